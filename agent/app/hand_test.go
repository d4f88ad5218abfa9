package app

import (
	"testing"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// idle deploys an instance that runs until somebody asks it to end, and then
// ends without an error.
func (n *node) idle(a *agent, drift wire.Drift) (wire.Spec, runtime.Container) {
	n.t.Helper()
	s := spec(ident.NewInstance(), 1, n.probe, runtimetest.FreePort(n.t))
	s.Image.Command, s.Drift = []string{"idle"}, drift
	a.apply(s)
	if st := a.settled(s.Instance, 1); st.Actual != wire.ActualRunning {
		n.t.Fatalf("deployed: %+v, %v", st, st.Failure)
	}
	return s, n.of(s.Instance)
}

// of is the one container of an instance.
func (n *node) of(id ident.Instance) runtime.Container {
	n.t.Helper()
	var found runtime.Container
	count := 0
	for _, c := range n.containers() {
		if c.Instance == id {
			found = c
			count++
		}
	}
	if count > 1 {
		n.t.Fatalf("%d containers of %s", count, id)
	}
	return found
}

func TestChangedByHandOnDocker(t *testing.T) {
	t.Parallel()
	n := setup(t)
	hand := runtimetest.DockerHand(n.config.DockerHost)
	a := n.run(n.config, nil)
	s, before := n.idle(a, wire.DriftRepair)
	id := s.Instance
	for what, change := range map[string]func(){
		"paused":          func() { hand.Pause(t, before.ID) },
		"renamed":         func() { hand.Rename(t, before.ID, before.Name+"-x") },
		"limited":         func() { hand.Limit(t, before.ID, 96<<20, 2e8, 9) },
		"given a restart": func() { hand.Restarts(t, before.ID) },
		"everything at once": func() {
			hand.Rename(t, before.ID, before.Name+"-y")
			hand.Limit(t, before.ID, 96<<20, 2e8, -1)
			hand.Pause(t, before.ID)
		},
	} {
		change()
		runtimetest.Eventually(t, "a container that was "+what+" to be as it was", func() bool { return n.of(id) == before })
	}
	for what, end := range map[string]func(){
		"stopped": func() { hand.Stop(t, before.ID) },
		"killed":  func() { hand.Signal(t, before.ID, 9) },
	} {
		start := n.of(id).StartedAt
		end()
		runtimetest.Eventually(t, "a container that was "+what+" to run", func() bool {
			c := n.of(id)
			return c.Status == runtime.Running && c.StartedAt.After(start) && c.ID == before.ID
		})
		a.until("it to be told as running", func() bool {
			st := a.states[id].State
			return st != nil && st.Actual == wire.ActualRunning && st.StartedAt.After(start)
		})
	}
	hand.Remove(t, before.ID)
	runtimetest.Eventually(t, "a container that was removed to be there", func() bool {
		c := n.of(id)
		return c.Status == runtime.Running && c.ID != before.ID
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.crashed[id] != 0 {
		t.Errorf("%d crashes are told", a.crashed[id])
	}
}

func TestHandIsReportedOnDocker(t *testing.T) {
	t.Parallel()
	n := setup(t)
	hand := runtimetest.DockerHand(n.config.DockerHost)
	a := n.run(n.config, nil)
	s, box := n.idle(a, wire.DriftReport)
	id := s.Instance
	drift := func(want string, actual wire.Actual) {
		t.Helper()
		a.until("drift to be told: "+want, func() bool {
			st := a.states[id].State
			return st != nil && st.Drift == want && st.Actual == actual && st.Converged
		})
	}
	next := func() {
		t.Helper()
		s.Generation++
		a.apply(s)
		if st := a.settled(id, s.Generation); st.Drift != "" || st.Actual != wire.ActualRunning {
			t.Fatalf("after the next order: %+v", st)
		}
	}
	hand.Pause(t, box.ID)
	drift("the container was changed by hand: it is paused", wire.ActualRunning)
	next()
	hand.Limit(t, box.ID, 96<<20, 5e8, 512)
	drift("the container was changed by hand: it may use 96 MiB of memory instead of 64", wire.ActualRunning)
	hand.Stop(t, box.ID)
	drift("the container was stopped by hand", wire.ActualStopped)
	a.stop()
	a = n.run(n.config, nil)
	a.apply(s) // the same generation: it says its state again
	drift("the container was stopped by hand", wire.ActualStopped)
	next()
	if c := n.of(id); c.ID != box.ID || c.MemoryBytes != box.MemoryBytes {
		t.Errorf("put right, it is %+v", c)
	}
	hand.Remove(t, box.ID)
	drift("the container was removed by hand", wire.ActualStopped)
	if c := n.of(id); c.ID != "" {
		t.Errorf("it is there: %+v", c)
	}
	next()
	// And a suspension wins.
	s.Generation, s.Suspended = s.Generation+1, true
	a.apply(s)
	a.settled(id, s.Generation)
	hand.Start(t, n.of(id).ID)
	runtimetest.Eventually(t, "a suspended instance to be down again", func() bool { return n.of(id).Status == runtime.Exited })
}

// Without a controller and without an engine the agent boots; what should run is
// started once the engine is there, and what is suspended is not.
func TestEngineAwayAtTheBootOnDocker(t *testing.T) {
	t.Parallel()
	n := setup(t)
	hand := runtimetest.DockerHand(n.config.DockerHost)
	relay := newRelay(t, n.config.DockerHost)
	n.config.DockerHost = relay.host
	a := n.run(n.config, nil)
	runs, _ := n.idle(a, "")
	held, _ := n.idle(a, "")
	held.Generation, held.Suspended = 2, true
	a.apply(held)
	a.settled(held.Instance, 2)
	lives, _ := n.idle(a, "")
	before := n.of(lives.Instance)
	a.stop()
	hand.Signal(t, n.of(runs.Instance).ID, 9) // as by the machine's own end
	runtimetest.Eventually(t, "it to be down", func() bool { return n.of(runs.Instance).Status == runtime.Exited })
	hand.Start(t, n.of(held.Instance).ID)

	relay.cut(true)
	a = n.run(n.config, nil)
	for _, h := range a.inventory() {
		if want := map[bool]wire.Actual{true: wire.ActualStopped, false: wire.ActualRunning}[h.Instance == held.Instance]; h.State.Actual != want {
			t.Errorf("while the engine is away, %s is said to be %s", h.Instance, h.State.Actual)
		}
	}
	relay.cut(false)
	runtimetest.Eventually(t, "what should run to run", func() bool { return n.of(runs.Instance).Status == runtime.Running })
	runtimetest.Eventually(t, "what is suspended to be down", func() bool { return n.of(held.Instance).Status == runtime.Exited })
	if after := n.of(lives.Instance); after != before {
		t.Errorf("what ran on is\n%+v, was\n%+v", after, before)
	}

	// A stream that breaks says nothing of what runs.
	relay.cut(true)
	relay.cut(false)
	hand.Pause(t, before.ID) // once this is put right, the agent has looked at everything again
	runtimetest.Eventually(t, "the agent to be back", func() bool { return n.of(lives.Instance).Status == runtime.Running })
	if after := n.of(lives.Instance); after != before {
		t.Errorf("after the break it is\n%+v, was\n%+v", after, before)
	}
}
