package fleet_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/fleet/fleettest"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestComesOnlineInOrder(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, w way) {
		b := setup(t, w, nil)
		agent := b.agent(t)
		agent.Hold(wire.Spec{Instance: "0a1b2c3d", Generation: 4}, wire.State{Phase: wire.PhaseReady})
		agent.Emit(wire.Event{Type: wire.EventEngine, Engine: &wire.Engine{Reachable: true}})
		b.directory.set(agent.Target())
		b.fleet.Refresh()
		b.sink.wait(t, "the event", func() bool { return len(b.sink.took()) == 1 })
		if got := b.sink.heard(); got != "[connected synced events]" {
			t.Fatalf("the sink was called %s", got)
		}
		if b.sink.hello.Node != agent.Target().Node || b.sink.hello.Release != "scripted" {
			t.Fatalf("hello was %+v", b.sink.hello)
		}
		if len(b.sink.held.Instances) != 1 || b.sink.held.Instances[0].Generation != 4 {
			t.Fatalf("the inventory was %+v", b.sink.held)
		}
		p := b.fleet.Presence(agent.Target().Node)
		if !p.Online || p.Reason != "" || p.Since.IsZero() || p.Heard.Before(p.Since) {
			t.Fatalf("presence %+v", p)
		}
		if nodes := b.fleet.OnlineNodes(); len(nodes) != 1 || nodes[0] != agent.Target().Node {
			t.Fatalf("online: %v", nodes)
		}
	})
}

func TestEventsAreAcknowledgedOnceTheyTookEffect(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, w way) {
		b := setup(t, w, nil)
		b.sink.fail("events", errors.New("the disk is full"))
		agent := b.join(t)
		agent.Emit(make([]wire.Event, 250)...)
		b.sink.wait(t, "tries", func() bool { return b.sink.count("events") >= 2 })
		if agent.Acked() != 0 {
			t.Fatal("acknowledged though it failed")
		}
		b.sink.fail("events", nil)
		agent.WaitAcked(t)
		if len(b.sink.took()) != 250 || agent.Acked() != 250 {
			t.Fatalf("%d events took effect, %d acknowledged", len(b.sink.took()), agent.Acked())
		}
		for i, e := range b.sink.took() {
			if e.Seq != int64(i+1) {
				t.Fatalf("event %d has number %d", i, e.Seq)
			}
		}
	})
}

func TestReconnectGoesOnAtTheCursor(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, w way) {
		b := setup(t, w, nil)
		agent := b.join(t)
		agent.Emit(make([]wire.Event, 5)...)
		agent.WaitAcked(t)
		agent.Drop()
		agent.Emit(make([]wire.Event, 3)...)
		agent.WaitAcked(t)
		streams := agent.Streams()
		if len(streams) != 2 || streams[0].After != 0 || streams[1].After != 5 || streams[1].Epoch != agent.Epoch() {
			t.Fatalf("the streams were opened with %+v", streams)
		}
		if len(b.sink.took()) != 8 {
			t.Fatalf("%d events took effect", len(b.sink.took()))
		}
		agent.LoseJournal()
		agent.Drop()
		agent.Emit(wire.Event{})
		agent.WaitAcked(t)
		last := agent.Streams()[len(agent.Streams())-1]
		if last.After != 0 || last.Epoch == streams[0].Epoch {
			t.Fatalf("after the journal was lost the stream was opened with %+v", last)
		}
	})
}

func TestConnectedAndDisconnectedPair(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, w way) {
		b := setup(t, w, nil)
		agent := b.join(t)
		agent.Stop()
		b.sink.wait(t, "disconnected", func() bool { return b.sink.count("disconnected") == 1 })
		b.offline(t, agent.Target().Node, w.gone())
		agent.Start(t)
		b.sink.wait(t, "synced again", func() bool { return b.sink.count("synced") == 2 })
		b.stop()
		if got := b.sink.heard(); got != "[connected synced disconnected connected synced disconnected]" {
			t.Fatalf("the sink was called %s", got)
		}
		if len(b.sink.reasons()) != 2 || errors.Is(b.sink.reasons()[0], fleet.ErrStopped) || !errors.Is(b.sink.reasons()[1], fleet.ErrStopped) {
			t.Fatalf("disconnected because of %v", b.sink.reasons())
		}
	})
}

func TestSinkThatRefusesEndsTheConnection(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, w way) {
		for _, method := range []string{"connected", "synced"} {
			t.Run(method, func(t *testing.T) {
				t.Parallel()
				b := setup(t, w, nil)
				b.sink.fail(method, problem.New(problem.Conflict, "not this one"))
				agent := b.agent(t)
				b.directory.set(agent.Target())
				b.fleet.Refresh()
				b.sink.wait(t, "two tries", func() bool { return b.sink.count(method) >= 2 })
				b.offline(t, agent.Target().Node, "not this one")
				b.sink.fail(method, nil)
				b.sink.wait(t, "synced", func() bool { return b.fleet.Online(agent.Target().Node) })
				b.stop()
				if connects := b.sink.count("disconnected"); method == "connected" && connects != 1 {
					t.Errorf("disconnected %d times, though only one Connected went well", connects)
				}
			})
		}
	})
}

func TestNodeThatIsGoneIsCut(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, w way) {
		b := setup(t, w, nil)
		agent := b.join(t)
		node, entered := agent.Target().Node, make(chan struct{})
		agent.OnApply(func(wire.Spec) *fleettest.Answer {
			close(entered)
			return &fleettest.Answer{Until: make(chan struct{})}
		})
		result := make(chan error, 1)
		go func() {
			_, err := b.fleet.Apply(t.Context(), node, wire.Spec{Instance: "0a1b2c3d"})
			result <- err
		}()
		<-entered
		b.directory.set()
		b.fleet.Refresh()
		wantProblem(t, <-result, problem.NodeOffline, "not let in any more")
		b.sink.wait(t, "disconnected", func() bool { return b.sink.count("disconnected") == 1 && errors.Is(b.sink.reasons()[0], fleet.ErrCut) })
		_, err := b.fleet.Apply(t.Context(), node, wire.Spec{Instance: "0a1b2c3d"})
		wantProblem(t, err, problem.NodeOffline, "is offline")
		b.offline(t, node, "not enrolled")

		agent.OnApply(nil)
		b.directory.set(agent.Target())
		b.fleet.Refresh()
		b.sink.wait(t, "back", func() bool { return b.sink.count("synced") == 2 })
	})
}

func TestNewNameCutsNothingAndShows(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, w way) {
		b := setup(t, w, nil)
		agent := b.join(t)
		other := b.agent(t)
		renamed := agent.Target()
		renamed.Name = "renamed"
		b.directory.set(renamed, other.Target())
		b.fleet.Refresh()
		b.sink.wait(t, "the other", func() bool { return b.sink.count("synced") == 2 })
		if b.sink.count("disconnected") != 0 || len(agent.Streams()) != 1 {
			t.Fatalf("the rename cut the connection: %v", b.sink.heard())
		}
		agent.Stop()
		b.offline(t, renamed.Node, w.gone())
		_, err := b.fleet.Apply(t.Context(), renamed.Node, wire.Spec{Instance: "0a1b2c3d"})
		wantProblem(t, err, problem.NodeOffline, "node renamed is offline: "+w.gone())
	})
}

func TestMovedNodeIsFollowed(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, w way) {
		b := setup(t, w, nil)
		first := b.join(t)
		node := first.Target().Node
		second := b.agentOf(t, node)
		b.directory.set(second.Target())
		b.fleet.Refresh()
		second.Wait(t, "the stream at the new place", func() bool { return len(second.Streams()) == 1 })
		b.sink.wait(t, "synced again", func() bool { return b.sink.count("synced") == 2 })
		if got := b.sink.heard(); got != "[connected synced disconnected connected synced]" {
			t.Fatalf("the sink was called %s", got)
		}
	})
}

func TestDirectoryThatFailsCutsNobody(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, w way) {
		b := setup(t, w, nil)
		agent := b.join(t)
		b.directory.fail(errors.New("the disk is gone"))
		b.fleet.Refresh()
		b.logs(t, "the disk is gone")
		agent.Emit(wire.Event{})
		agent.WaitAcked(t)
		b.directory.fail(nil)
		other := b.agent(t)
		b.directory.set(agent.Target(), other.Target()) // found without another Refresh
		b.sink.wait(t, "the other", func() bool { return b.sink.count("synced") == 2 })
		if b.sink.count("disconnected") != 0 {
			t.Fatalf("somebody was cut: %v", b.sink.heard())
		}
	})
}

func TestOnlyTheRightAgentIsLetIn(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, w way) {
		cases := map[string]struct {
			change func(t *testing.T, b *bundle, agent *fleettest.Agent) fleet.Target
			reason string // of one that is dialled; a tunnel isn't even let in with a certificate that is none
		}{
			"another CA": {func(t *testing.T, b *bundle, agent *fleettest.Agent) fleet.Target {
				wrong := authority(t, t.TempDir())
				issued, err := wrong.IssueNode(agent.Target().Node, agent.CSR(), "")
				if err != nil {
					t.Fatal(err)
				}
				agent.Certify(t, agent.Target().Node, b.authority.CertificatePEM(), issued.PEM)
				return agent.Target()
			}, "not made by this controller"},
			"another node's certificate": {func(t *testing.T, _ *bundle, agent *fleettest.Agent) fleet.Target {
				target := agent.Target()
				target.Node = ident.Node(ident.New())
				return target
			}, "another node's"},
			"an older certificate": {func(_ *testing.T, _ *bundle, agent *fleettest.Agent) fleet.Target {
				target := agent.Target()
				target.Certificate = "4000000000000000000000000000aaaa"
				return target
			}, "void because the node was enrolled again"},
			"another node's hello": {func(_ *testing.T, _ *bundle, agent *fleettest.Agent) fleet.Target {
				target := agent.Target()
				agent.Say(func(h *wire.Hello) { h.Node = "another" })
				return target
			}, "says that it is another node"},
			"an agent of another controller": {func(t *testing.T, b *bundle, agent *fleettest.Agent) fleet.Target {
				issued, err := b.authority.IssueNode(agent.Target().Node, agent.CSR(), "")
				if err != nil {
					t.Fatal(err)
				}
				agent.Certify(t, agent.Target().Node, authority(t, t.TempDir()).CertificatePEM(), issued.PEM)
				return agent.Target()
			}, "refuses this controller's certificate"},
			"too old": {func(_ *testing.T, _ *bundle, agent *fleettest.Agent) fleet.Target {
				agent.Say(func(h *wire.Hello) { h.Wire, h.Release = wire.Version-1, "0.0.1" })
				return agent.Target()
			}, `(release "0.0.1") is too old for this controller`},
			"too new": {func(_ *testing.T, _ *bundle, agent *fleettest.Agent) fleet.Target {
				agent.Say(func(h *wire.Hello) { h.Wire = wire.Version + 1 })
				return agent.Target()
			}, "update the controller"},
			"no epoch": {func(_ *testing.T, _ *bundle, agent *fleettest.Agent) fleet.Target {
				agent.Say(func(h *wire.Hello) { h.Epoch = "" })
				return agent.Target()
			}, "which journal"},
			"no name": {func(_ *testing.T, _ *bundle, agent *fleettest.Agent) fleet.Target {
				target := agent.Target()
				target.Address = "nowhere.invalid"
				return target
			}, "can't be resolved"},
		}
		for name, c := range cases {
			if w == tunnelled {
				switch name {
				case "no name": // nothing is looked up
					continue
				case "another CA", "another node's certificate", "an older certificate":
					c.reason = w.gone()
				}
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b := setup(t, w, nil)
				agent := b.agent(t)
				target := c.change(t, b, agent)
				b.directory.set(target)
				b.fleet.Refresh()
				b.offline(t, target.Node, c.reason)
				_, err := b.fleet.Apply(t.Context(), target.Node, wire.Spec{Instance: "0a1b2c3d"})
				wantProblem(t, err, problem.NodeOffline, c.reason)
				b.stop()
				if b.sink.heard() != "[]" || len(agent.Specs()) != 0 || len(agent.Streams()) != 0 {
					t.Fatalf("it got further than it may: sink %v, specs %v", b.sink.heard(), agent.Specs())
				}
			})
		}
	})
}

func TestSomethingElseOnThePort(t *testing.T) {
	t.Parallel()
	b := setup(t, dialled, nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("220 mail.example ESMTP\r\n"))
			_ = conn.Close()
		}
	}()
	port := listener.Addr().(*net.TCPAddr).Port
	b.directory.set(fleet.Target{Node: "n", Name: "n", Address: "127.0.0.1", Port: port, Certificate: "1"})
	b.fleet.Refresh()
	b.offline(t, "n", "is not an agent")
}

func TestGarbledEventsEndTheConnectionOnly(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, w way) {
		b := setup(t, w, nil)
		agent := b.join(t)
		agent.Resend(wire.Event{Seq: 7}, wire.Event{Seq: 7})
		b.sink.wait(t, "disconnected", func() bool { return b.sink.count("disconnected") >= 1 })
		if len(b.sink.took()) != 0 {
			t.Fatalf("events took effect: %v", b.sink.took())
		}
		b.offline(t, agent.Target().Node, "not understood")
		agent.LoseJournal()
		agent.Emit(wire.Event{})
		agent.WaitAcked(t)
	})
}

func TestReasonsHoldNoAddress(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, w way) {
		b := setup(t, w, nil)
		agent := b.join(t)
		node := agent.Target().Node
		agent.Stop()
		b.offline(t, node, w.gone())
		_, err := b.fleet.Apply(t.Context(), node, wire.Spec{Instance: "0a1b2c3d"})
		p := problem.From(err)
		if strings.Contains(p.Message, agent.Host()) || w == dialled && strings.Contains(p.Message, fmt.Sprint(agent.Port())) {
			t.Fatalf("whoever has an instance there reads %q", p.Message)
		}
	})
}
