package fleet_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-panel/berth/controller/fleet/fleettest"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// inBubble runs a test on a clock of its own, with a network inside the process.
func inBubble(t *testing.T, f func(t *testing.T, b *bundle, network *fleettest.Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network := fleettest.NewNetwork()
		f(t, setup(t, network), network)
	})
}

// enlist makes an agent on the network, certified and listening.
func (b *bundle) enlist(t *testing.T, network *fleettest.Network) *fleettest.Agent {
	t.Helper()
	agent := fleettest.ListenAt(t, "agent", 8700, network.Listener("agent:8700"))
	b.admit(t, agent)
	return agent
}

// admit gives the agent a certificate and has the fleet connect.
func (b *bundle) admit(t *testing.T, agent *fleettest.Agent) {
	t.Helper()
	node := ident.Node(ident.New())
	issued, err := b.authority.IssueNode(node, agent.CSR(), "")
	if err != nil {
		t.Fatal(err)
	}
	agent.Certify(t, node, b.authority.CertificatePEM(), issued.PEM)
	b.directory.set(agent.Target())
	b.fleet.Refresh()
	synctest.Wait()
}

func TestSilenceIsNoticedWithin15Seconds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bundle, network *fleettest.Network) {
		agent := b.enlist(t, network)
		node := agent.Target().Node
		time.Sleep(time.Hour)
		synctest.Wait()
		if p := b.fleet.Presence(node); !p.Online || time.Since(p.Since) < time.Hour || time.Since(p.Heard) > 6*time.Second {
			t.Fatalf("after an hour of signs of life: %+v", p)
		}
		if n := len(agent.Streams()); n != 1 {
			t.Fatalf("the stream was opened %d times", n)
		}
		agent.Mute(true)
		network.BlackHole(true)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if !b.fleet.Online(node) {
			t.Fatal("given up after one missing sign of life")
		}
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if p := b.fleet.Presence(node); p.Online {
			t.Fatalf("after 15 s of silence: %+v", p)
		}
		if !strings.Contains(b.log.String(), "no sign of life for 12 s") {
			t.Fatalf("the log: %s", b.log)
		}
		agent.Mute(false)
		network.BlackHole(false)
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if !b.fleet.Online(node) {
			t.Fatalf("15 s after its return: %+v", b.fleet.Presence(node))
		}
	})
}

func TestAgentThatIsSilentFromTheStartIsNoticed(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bundle, network *fleettest.Network) {
		agent := fleettest.ListenAt(t, "agent", 8700, network.Listener("agent:8700"))
		agent.Mute(true)
		b.admit(t, agent)
		time.Sleep(13 * time.Second)
		synctest.Wait()
		if n := b.sink.count("disconnected"); n != 1 {
			t.Fatalf("disconnected %d times within 13 s", n)
		}
	})
}

func TestMovedNodeWaitsForItsOldConnection(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bundle, network *fleettest.Network) {
		first := b.enlist(t, network)
		done := make(chan struct{})
		b.sink.block("disconnected", done)
		second := fleettest.ListenAt(t, "elsewhere", 8700, network.Listener("elsewhere:8700"))
		issued, err := b.authority.IssueNode(first.Target().Node, second.CSR(), "")
		if err != nil {
			t.Fatal(err)
		}
		second.Certify(t, first.Target().Node, b.authority.CertificatePEM(), issued.PEM)
		b.directory.set(second.Target())
		b.fleet.Refresh()
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := b.sink.heard(); got != "[connected synced]" || len(second.Streams()) != 0 {
			t.Errorf("while the old connection is being ended: %s", got)
		}
		close(done)
		synctest.Wait()
		if got := b.sink.heard(); got != "[connected synced disconnected connected synced]" {
			t.Errorf("then: %s", got)
		}
	})
}

func TestPausesGrowAndStartOverAfterASteadyConnection(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bundle, network *fleettest.Network) {
		agent := b.enlist(t, network)
		node := agent.Target().Node
		time.Sleep(time.Minute)
		before := network.Dials()
		agent.Stop()
		time.Sleep(time.Second)
		synctest.Wait()
		early := network.Dials() - before
		if early < 2 {
			t.Errorf("%d tries in the first second: the pause must begin small", early)
		}
		time.Sleep(time.Minute)
		before = network.Dials()
		time.Sleep(time.Minute)
		synctest.Wait()
		if late := network.Dials() - before; late < 12 || late > 25 {
			t.Errorf("%d tries a minute, want one each 2.5 to 5 s", late)
		}
		since := b.fleet.Presence(node).Since
		if gone := time.Since(since); gone < 2*time.Minute || gone > 3*time.Minute {
			t.Errorf("offline since %v ago", gone)
		}
		agent.Start(t)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if !b.fleet.Online(node) {
			t.Fatalf("not back: %+v", b.fleet.Presence(node))
		}
		time.Sleep(time.Minute)
		agent.Drop()
		time.Sleep(210 * time.Millisecond)
		synctest.Wait()
		if !b.fleet.Online(node) {
			t.Errorf("a steady connection that broke was not tried again within 0.2 s: %+v", b.fleet.Presence(node))
		}
	})
}

func TestAgentThatFlapsIsNotHammered(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bundle, network *fleettest.Network) {
		b.sink.fail("synced", problem.New(problem.Internal, "not now"))
		b.enlist(t, network)
		time.Sleep(time.Minute)
		before := b.sink.count("connected")
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := b.sink.count("connected") - before; n > 25 {
			t.Errorf("%d connections a minute", n)
		}
	})
}

func TestBlackHoleIsGivenUp(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bundle, network *fleettest.Network) {
		network.BlackHole(true)
		agent := b.enlist(t, network)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if p := b.fleet.Presence(agent.Target().Node); p.Online || p.Reason != "no answer within 5 s" {
			t.Fatalf("%+v", p)
		}
	})
}

func TestCallThatIsNotAnsweredEnds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bundle, network *fleettest.Network) {
		agent := b.enlist(t, network)
		never := make(chan struct{})
		agent.OnApply(func(wire.Spec) *fleettest.Answer { return &fleettest.Answer{Until: never} })
		begin := time.Now()
		_, err := b.fleet.Apply(t.Context(), agent.Target().Node, wire.Spec{Instance: "0a1b2c3d"})
		wantProblem(t, err, problem.NodeOffline, "did not answer within 10 s")
		if took := time.Since(begin); took != 10*time.Second {
			t.Errorf("it took %v", took)
		}
		if !b.fleet.Online(agent.Target().Node) {
			t.Error("one slow call took the node offline")
		}
	})
}

func TestCallIsCutWithItsConnection(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bundle, network *fleettest.Network) {
		agent := b.enlist(t, network)
		never, entered := make(chan struct{}), make(chan struct{})
		agent.OnApply(func(wire.Spec) *fleettest.Answer {
			close(entered)
			return &fleettest.Answer{Until: never}
		})
		go func() {
			<-entered
			agent.Drop() // the event stream alone; the call's own connection stands
		}()
		begin := time.Now()
		_, err := b.fleet.Apply(t.Context(), agent.Target().Node, wire.Spec{Instance: "0a1b2c3d"})
		wantProblem(t, err, problem.NodeOffline, "failed: the connection broke off")
		if took := time.Since(begin); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

func TestSlowSinkIsNotTakenForASilentAgent(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bundle, network *fleettest.Network) {
		agent := b.enlist(t, network)
		b.sink.slow(15 * time.Second) // a batch; four wait behind it and the reader with them
		for range 8 {
			agent.Emit(wire.Event{})
			synctest.Wait()
		}
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if b.sink.count("disconnected") != 0 || agent.Acked() != 8 {
			t.Fatalf("disconnected %d times, acknowledged up to %d", b.sink.count("disconnected"), agent.Acked())
		}
	})
}

func TestControllersCertificateIsRenewed(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bundle, network *fleettest.Network) {
		agent := b.enlist(t, network)
		for i := range 5 {
			b.directory.set() // a connection's signs of life would cost real time
			b.fleet.Refresh()
			time.Sleep(20 * 24 * time.Hour)
			b.directory.set(agent.Target())
			b.fleet.Refresh()
			synctest.Wait()
			if !b.fleet.Online(agent.Target().Node) {
				t.Fatalf("after %d days: %+v", 20*(i+1), b.fleet.Presence(agent.Target().Node))
			}
		}
	})
}
