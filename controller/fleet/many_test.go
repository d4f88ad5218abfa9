package fleet_test

import (
	"slices"
	"testing"

	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/fleet/fleettest"
	"github.com/berth-panel/berth/shared/wire"
)

func TestManyNodesComeAndGo(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, w way) {
		b := setup(t, w, nil)
		var targets []fleet.Target
		var agents []*fleettest.Agent
		for range 20 {
			agent := b.agent(t)
			agents, targets = append(agents, agent), append(targets, agent.Target())
		}
		b.directory.set(targets...)
		b.fleet.Refresh()
		b.sink.wait(t, "all of them", func() bool { return b.sink.count("synced") == 20 })
		if n := len(b.fleet.OnlineNodes()); n != 20 {
			t.Fatalf("%d are online", n)
		}
		b.directory.set(slices.Clone(targets[:5])...)
		b.fleet.Refresh()
		b.sink.wait(t, "fifteen cut", func() bool { return b.sink.count("disconnected") == 15 })
		if n := len(b.fleet.OnlineNodes()); n != 5 {
			t.Fatalf("%d are online", n)
		}
		for _, agent := range agents[:5] {
			if _, err := b.fleet.Apply(t.Context(), agent.Target().Node, wire.Spec{Instance: "0a1b2c3d"}); err != nil {
				t.Error(err)
			}
		}
	})
}
