package fleet_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/berth-panel/berth/controller/fleet/fleettest"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestCallsArrive(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, w way) {
		b := setup(t, w, nil)
		agent := b.join(t)
		agent.Obey()
		node := agent.Target().Node
		spec := wire.Spec{Instance: "0a1b2c3d", Generation: 3, Env: []string{"A=b"}, Power: wire.Power{Want: wire.WantRunning, Order: 1}}
		accepted, err := b.fleet.Apply(t.Context(), node, spec)
		if err != nil || accepted.Generation != 3 {
			t.Fatalf("%+v, %v", accepted, err)
		}
		if got := agent.Specs(); len(got) != 1 || got[0].Env[0] != "A=b" || got[0].Power != spec.Power {
			t.Fatalf("the agent was told %+v", got)
		}
		spec.Generation = 2
		if accepted, err = b.fleet.Apply(t.Context(), node, spec); err != nil || accepted.Generation != 3 {
			t.Fatalf("an old spec was answered by %+v, %v", accepted, err)
		}
		if accepted, err = b.fleet.Remove(t.Context(), node, "0a1b2c3d", wire.Removal{Generation: 4}); err != nil || accepted.Generation != 4 {
			t.Fatalf("%+v, %v", accepted, err)
		}
		agent.WaitAcked(t)
		last := b.sink.took()[len(b.sink.took())-1]
		if last.Type != wire.EventRemoved || last.Generation != 4 {
			t.Fatalf("the last event is %+v", last)
		}
	})
}

func TestWhatTheAgentAnswers(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, w way) {
		cases := map[string]struct {
			answer fleettest.Answer
			code   problem.Code
			text   string
		}{
			"a refusal":        {fleettest.Answer{Problem: problem.New(problem.InsufficientResources, "the disk is full")}, problem.InsufficientResources, "the disk is full"},
			"fields":           {fleettest.Answer{Problem: problem.Invalid("ports", "no")}, problem.Validation, "ports: no"},
			"not obeying":      {fleettest.Answer{Problem: problem.New(problem.Unauthorized, "who are you")}, problem.NodeOffline, "does not obey this controller: who are you"},
			"breaking off":     {fleettest.Answer{Break: true}, problem.NodeOffline, "broke off"},
			"an HTML page":     {fleettest.Answer{Status: 502, Body: "<html>"}, problem.NodeOffline, "not understood"},
			"a redirect":       {fleettest.Answer{Status: 302, Body: "{}"}, problem.NodeOffline, "not understood"},
			"a text":           {fleettest.Answer{Status: 202, Body: "yes"}, problem.NodeOffline, "not understood"},
			"an empty refusal": {fleettest.Answer{Status: 500, Body: "{}"}, problem.NodeOffline, "not understood"},
			"far too much":     {fleettest.Answer{Status: 202, Body: string(make([]byte, 2<<20))}, problem.NodeOffline, "not understood"},
		}
		b := setup(t, w, nil)
		agent := b.join(t)
		target := agent.Target()
		for name, c := range cases {
			agent.OnApply(func(wire.Spec) *fleettest.Answer { return &c.answer })
			_, err := b.fleet.Apply(t.Context(), target.Node, wire.Spec{Instance: "0a1b2c3d"})
			t.Log(name, "→", err)
			wantProblem(t, err, c.code, c.text)
		}
		agent.OnApply(nil)
		if _, err := b.fleet.Apply(t.Context(), target.Node, wire.Spec{Instance: "0a1b2c3d"}); err != nil {
			t.Fatalf("after all that: %v", err)
		}
		if b.sink.count("disconnected") != 0 {
			t.Fatal("a call that failed ended the event stream")
		}
	})
}

func TestFieldsOfARefusalArrive(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, w way) {
		b := setup(t, w, nil)
		agent := b.join(t)
		agent.OnRemove(func(ident.Instance, wire.Removal) *fleettest.Answer {
			return &fleettest.Answer{Problem: problem.Invalid("generation", "too low")}
		})
		_, err := b.fleet.Remove(t.Context(), agent.Target().Node, "0a1b2c3d", wire.Removal{})
		p := problem.From(err)
		if len(p.Fields) != 1 || p.Fields[0].Field != "generation" || p.Fields[0].Message != "too low" {
			t.Fatalf("%+v", p)
		}
	})
}

func TestCallsThatCannotBeMade(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, w way) {
		b := setup(t, w, nil)
		agent := b.join(t)
		node := agent.Target().Node
		_, err := b.fleet.Apply(t.Context(), "nobody", wire.Spec{Instance: "0a1b2c3d"})
		wantProblem(t, err, problem.NodeOffline, "node nobody is offline: it is not enrolled")
		for _, id := range []ident.Instance{"", "../hello", "0A1B2C3D", "0a1b2c3d/x"} {
			if _, err := b.fleet.Apply(t.Context(), node, wire.Spec{Instance: id}); err == nil {
				t.Errorf("the id %q went through", id)
			}
			if _, err := b.fleet.Remove(t.Context(), node, id, wire.Removal{}); err == nil {
				t.Errorf("the id %q went through", id)
			}
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := b.fleet.Apply(cancelled, node, wire.Spec{Instance: "0a1b2c3d"}); !errors.Is(err, context.Canceled) || problem.Is(err, problem.NodeOffline) {
			t.Errorf("a caller who is gone: %v", err)
		}
		if len(agent.Specs()) != 0 || len(agent.Removals()) != 0 {
			t.Fatal("the agent was called")
		}
	})
}

func TestCallsAfterTheAgentRestarted(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, w way) {
		b := setup(t, w, nil)
		agent := b.join(t)
		node := agent.Target().Node
		for i := range 3 {
			if _, err := b.fleet.Apply(t.Context(), node, wire.Spec{Instance: "0a1b2c3d"}); err != nil {
				t.Fatal(err)
			}
			agent.Stop()
			agent.Start(t)
			b.sink.wait(t, "synced again", func() bool { return b.sink.count("synced") == i+2 })
		}
	})
}

func TestSlowNodeHoldsUpOnlyItself(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, w way) {
		b := setup(t, w, nil)
		slow := b.agent(t)
		quick := b.agent(t)
		b.directory.set(slow.Target(), quick.Target())
		b.fleet.Refresh()
		b.sink.wait(t, "both", func() bool { return b.sink.count("synced") == 2 })

		release := make(chan struct{})
		entered := make(chan struct{}, 40)
		slow.OnApply(func(wire.Spec) *fleettest.Answer {
			entered <- struct{}{}
			return &fleettest.Answer{Until: release}
		})
		var calls sync.WaitGroup
		for range 40 {
			calls.Go(func() {
				if _, err := b.fleet.Apply(t.Context(), slow.Target().Node, wire.Spec{Instance: "0a1b2c3d"}); err != nil {
					t.Error(err)
				}
			})
		}
		for range 16 {
			<-entered
		}
		if _, err := b.fleet.Apply(t.Context(), quick.Target().Node, wire.Spec{Instance: "0a1b2c3d"}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-entered:
			t.Error("more calls at once than 16")
		default:
		}
		close(release)
		calls.Wait()
		if len(slow.Specs()) != 40 {
			t.Fatalf("%d of 40 calls arrived", len(slow.Specs()))
		}
	})
}
