package runtimetest

import (
	"strings"
	"sync"
	"testing"

	"github.com/berth-panel/berth/agent/runtime"
)

func networkTests() map[string]func(*testing.T, Harness) {
	return map[string]func(*testing.T, Harness){
		"made once":           networkOnce,
		"made at once":        networkTogether,
		"of another subnet":   networkOther,
		"that can't be":       networkRefused,
		"that is not there":   networkMissing,
		"overlapping subnets": networkOverlap,
	}
}

func networkOnce(t *testing.T, h Harness) {
	spec := Network(t, h.Engine)
	must(t, "EnsureNetwork again", h.Engine.EnsureNetwork(t.Context(), spec))
	must(t, "EnsureNetwork of any subnet", h.Engine.EnsureNetwork(t.Context(), runtime.NetworkSpec{Name: spec.Name}))
	must(t, "EnsureNetwork of another node", h.Beside.EnsureNetwork(t.Context(), spec))
	c := h.spec("idle")
	c.Network = spec.Name
	start(t, h.Engine, c)
}

// networkTogether: two agents that make it at once get one network, also when
// the engine chooses the subnet.
func networkTogether(t *testing.T, h Harness) {
	chosen, free := DrawNetwork(), DrawNetwork()
	free.Subnet = ""
	for _, spec := range []runtime.NetworkSpec{chosen, free} {
		var group sync.WaitGroup
		for i := range 8 {
			engine := h.Engine
			if i%2 == 0 {
				engine = h.Beside
			}
			group.Go(func() {
				if err := engine.EnsureNetwork(t.Context(), spec); err != nil {
					t.Errorf("one of several EnsureNetworks: %v", err)
				}
			})
		}
		group.Wait()
		c := h.spec("idle")
		c.Network = spec.Name
		start(t, h.Engine, c) // fails when the name is ambiguous
	}
}

func networkOther(t *testing.T, h Harness) {
	spec := Network(t, h.Engine)
	spec.Subnet = DrawNetwork().Subnet
	refused(t, "EnsureNetwork", h.Engine.EnsureNetwork(t.Context(), spec), runtime.Conflict)
}

func networkRefused(t *testing.T, h Harness) {
	for _, spec := range []runtime.NetworkSpec{
		{}, {Name: "-x"}, {Name: "a b"}, {Name: "../x"}, {Name: strings.Repeat("n", 65)},
		{Name: "bt-refused", Subnet: "10.0.0.0"}, {Name: "bt-refused", Subnet: "10.0.0.0/33"}, {Name: "bt-refused", Subnet: "10.0.0.0/31"},
		{Name: "bt-refused", Subnet: "::/64"}, {Name: "bt-refused", Subnet: "all"}, {Name: "bt-refused", Subnet: "0.0.0.0/0"},
	} {
		refused(t, "EnsureNetwork", h.Engine.EnsureNetwork(t.Context(), spec), runtime.InvalidSpec)
	}
}

func networkMissing(t *testing.T, h Harness) {
	spec := h.spec("idle")
	spec.Network = DrawNetwork().Name
	id, err := h.Engine.Create(t.Context(), spec)
	if err == nil { // an engine may look for it only now
		err = h.Engine.Start(t.Context(), id)
	}
	refused(t, "Create and Start", err, runtime.InvalidSpec)
}

func networkOverlap(t *testing.T, h Harness) {
	spec := Network(t, h.Engine)
	spec.Name = DrawNetwork().Name
	refused(t, "EnsureNetwork", h.Engine.EnsureNetwork(t.Context(), spec), runtime.Conflict)
	c := h.spec("idle")
	c.Network = spec.Name
	id, err := h.Engine.Create(t.Context(), c)
	if err == nil {
		err = h.Engine.Start(t.Context(), id)
	}
	refused(t, "a container on what was not made", err, runtime.InvalidSpec)
}
