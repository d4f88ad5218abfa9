package fleet_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-panel/berth/controller/fleet/fleettest"
)

// A slow stranger is given up after 10 s, and counts no more.
func TestUnprovenTunnelIsClosed(t *testing.T) {
	t.Parallel()
	alone(t, func(t *testing.T) {
		bubble(t, tunnelled, func(t *testing.T, b *bundle, _ *fleettest.Network) {
			begin := time.Now()
			socket := b.socket(t)
			for {
				if _, _, err := socket.ReadMessage(); err != nil {
					break
				}
			}
			if took := time.Since(begin); took < 9*time.Second || took > 11*time.Second {
				t.Errorf("closed after %v", took)
			}
		})
	})
}

// An arriving tunnel is used at once, however long the pause between tries has
// grown.
func TestArrivingTunnelIsUsedAtOnce(t *testing.T) {
	t.Parallel()
	alone(t, func(t *testing.T) {
		bubble(t, tunnelled, func(t *testing.T, b *bundle, network *fleettest.Network) {
			agent := b.enlist(t, network)
			agent.Stop()
			time.Sleep(time.Minute)
			agent.Start(t)
			time.Sleep(time.Millisecond)
			synctest.Wait()
			if !b.fleet.Online(agent.Target().Node) {
				t.Errorf("%+v", b.fleet.Presence(agent.Target().Node))
			}
		})
	})
}

// Whatever way an agent dies, that is known within 15 s, and so is its return
// within 15 s of what lies in between.
func TestDeathIsKnownWithin15Seconds(t *testing.T) {
	t.Parallel()
	ways := map[string]struct {
		die, heal func(t *testing.T, agent *fleettest.Agent, network *fleettest.Network)
	}{
		"reset": {
			func(_ *testing.T, a *fleettest.Agent, _ *fleettest.Network) { a.Stop() },
			func(t *testing.T, a *fleettest.Agent, _ *fleettest.Network) { a.Start(t) },
		},
		"silence": {
			func(_ *testing.T, _ *fleettest.Agent, n *fleettest.Network) { n.Swallow(true) },
			func(_ *testing.T, _ *fleettest.Agent, n *fleettest.Network) { n.Swallow(false) },
		},
		"freeze": {
			func(_ *testing.T, _ *fleettest.Agent, n *fleettest.Network) { n.Freeze() },
			func(_ *testing.T, _ *fleettest.Agent, n *fleettest.Network) { n.Thaw() },
		},
	}
	for name, how := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, b *bundle, network *fleettest.Network) {
				agent := b.enlist(t, network)
				node := agent.Target().Node
				for round := range 3 { // at different moments between signs of life
					time.Sleep(time.Minute + time.Duration(round)*1700*time.Millisecond)
					synctest.Wait()
					if !b.fleet.Online(node) {
						t.Fatalf("before: %+v", b.fleet.Presence(node))
					}
					how.die(t, agent, network)
					time.Sleep(15 * time.Second)
					synctest.Wait()
					if b.fleet.Online(node) || b.sink.count("disconnected") != round+1 {
						t.Fatalf("15 s after its death: %+v, told %s", b.fleet.Presence(node), b.sink.heard())
					}
					how.heal(t, agent, network)
					time.Sleep(15 * time.Second)
					synctest.Wait()
					if !b.fleet.Online(node) {
						t.Fatalf("15 s after it healed: %+v", b.fleet.Presence(node))
					}
				}
			})
		})
	}
}
