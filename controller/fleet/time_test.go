package fleet_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-panel/berth/controller/fleet/fleettest"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// inBubble runs a test on a clock of its own, with a network inside the process,
// for both ways.
func inBubble(t *testing.T, f func(t *testing.T, b *bundle, network *fleettest.Network)) {
	t.Helper()
	bothWays(t, func(t *testing.T, w way) {
		if w == tunnelled {
			alone(t, func(t *testing.T) { bubble(t, w, f) })
			return
		}
		bubble(t, w, f)
	})
}

// inDialledBubble is inBubble for what only happens to agents that are dialled.
func inDialledBubble(t *testing.T, f func(t *testing.T, b *bundle, network *fleettest.Network)) {
	t.Helper()
	bubble(t, dialled, f)
}

func bubble(t *testing.T, w way, f func(t *testing.T, b *bundle, network *fleettest.Network)) {
	synctest.Test(t, func(t *testing.T) {
		network := fleettest.NewNetwork()
		f(t, setup(t, w, network), network)
	})
}

// alone runs a test in a process of its own: yamux keeps timers for later use,
// and one that was made on another clock ends the process.
func alone(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	const name = "BERTH_TEST_ALONE"
	if os.Getenv(name) == t.Name() {
		f(t)
		return
	}
	parts := strings.Split(t.Name(), "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+strings.Join(parts, "/"), "-test.v")
	command.Env = append(os.Environ(), name+"="+t.Name())
	text, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(text), "--- PASS: "+t.Name()+" ") {
		t.Fatalf("%v\n%s", err, text)
	}
}

// listen makes an agent on the network that has no certificate yet.
func (b *bundle) listen(t *testing.T, network *fleettest.Network, name string) *fleettest.Agent {
	t.Helper()
	if b.way == tunnelled {
		return fleettest.ListenTunnelled(t, b.door)
	}
	return fleettest.ListenAt(t, name, 8700, network.Listener(name+":8700"))
}

// enlist makes an agent on the network, certified and listening.
func (b *bundle) enlist(t *testing.T, network *fleettest.Network) *fleettest.Agent {
	t.Helper()
	agent := b.listen(t, network, "agent")
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
		agent := b.listen(t, network, "agent")
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
		second := b.listen(t, network, "elsewhere")
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
	inDialledBubble(t, func(t *testing.T, b *bundle, network *fleettest.Network) {
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
	inDialledBubble(t, func(t *testing.T, b *bundle, network *fleettest.Network) {
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
			agent.Stop() // a connection's signs of life would cost real time, and so would tries
			b.directory.set()
			b.fleet.Refresh()
			time.Sleep(20 * 24 * time.Hour)
			agent.Start(t)
			b.directory.set(agent.Target())
			b.fleet.Refresh()
			time.Sleep(time.Second)
			synctest.Wait()
			if !b.fleet.Online(agent.Target().Node) {
				t.Fatalf("after %d days: %+v", 20*(i+1), b.fleet.Presence(agent.Target().Node))
			}
		}
	})
}
