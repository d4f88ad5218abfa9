package node_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/fleet/fleettest"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/roomtest"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// live is a bundle with real connections.
type live struct {
	*bundle
	real *fleet.Fleet
}

func setupLive(t *testing.T) *live {
	t.Helper()
	b := &bundle{t: t, dir: t.TempDir(), guests: &guests{refuse: map[int64]error{}}, log: &roomtest.Log{}}
	authority, err := fleet.OpenAuthority(b.dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	l := &live{bundle: b, real: fleet.New(fleet.Options{Authority: authority, Logger: slog.New(slog.NewTextHandler(b.log, nil)), Now: time.Now})}
	b.open(l.real, time.Now)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.real.Run(ctx, b.nodes, b.nodes) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return l
}

// eventually waits for what has no signal of its own.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("waited for nothing: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func (l *live) state(id ident.Node) node.State {
	l.t.Helper()
	state, _ := l.nodes.State(l.get(id))
	return state
}

// admit enrols the scripted agent with the key, as the real one does.
func (l *live) admit(agent *fleettest.Agent, key wire.EnrolmentKey) ident.Node {
	l.t.Helper()
	r := l.request(key)
	r.CSR, r.Agent.Address, r.Agent.Port = agent.CSR(), agent.Host(), agent.Port()
	r.MAC = key.SignRequest(r)
	answer, err := l.nodes.Enrol(l.t.Context(), r, home)
	if err != nil {
		l.t.Fatal(err)
	}
	agent.Certify(l.t, answer.Node, answer.CA, answer.Certificate)
	return answer.Node
}

// join has a new agent join with a join key and waits until it is online.
func (l *live) join() (*fleettest.Agent, ident.Node) {
	l.t.Helper()
	e, err := l.nodes.NewJoinKey(l.t.Context(), admin, node.Join{})
	if err != nil {
		l.t.Fatal(err)
	}
	agent := fleettest.Listen(l.t)
	id := l.admit(agent, l.parse(e))
	eventually(l.t, "online", func() bool { return l.state(id) == node.Online })
	return agent, id
}

func TestEnrolledAgentComesOnline(t *testing.T) {
	t.Parallel()
	l := setupLive(t)
	agent, id := l.join()
	agent.Emit(states(1, 2, 3)...)
	agent.WaitAcked(t)
	if got := l.applied(id); !slices.Equal(got, []int64{1, 2, 3}) {
		t.Fatalf("took effect: %v", got)
	}
	agent.Stop()
	eventually(t, "offline", func() bool { return l.state(id) == node.Offline })
	eventually(t, "told", func() bool {
		return l.facts() == "join_key.created node.created node.enrolled node.online node.offline"
	})
	agent.Start(t)
	eventually(t, "back", func() bool { return l.state(id) == node.Online })
}

func TestEventsSentTwiceTakeEffectOnceOverRealConnections(t *testing.T) {
	t.Parallel()
	l := setupLive(t)
	agent, id := l.join()
	for range 5 {
		agent.Emit(states(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)...) // Emit numbers them
		agent.Drop()                                        // maybe between effect and acknowledgement
	}
	agent.WaitAcked(t)
	got := l.applied(id)
	if len(got) != 50 {
		t.Fatalf("%d of 50 took effect: %v", len(got), got)
	}
	for i, n := range got {
		if n != int64(i+1) {
			t.Fatalf("out of order or twice: %v", got)
		}
	}
}

func TestRevokedAgentIsCutAndStaysOut(t *testing.T) {
	t.Parallel()
	l := setupLive(t)
	agent, id := l.join()
	if _, err := l.nodes.Revoke(t.Context(), admin, id); err != nil {
		t.Fatal(err)
	}
	eventually(t, "cut", func() bool { return !l.real.Online(id) })
	_, err := l.real.Apply(t.Context(), id, wire.Spec{Instance: "0a1b2c3d"})
	wantProblem(t, err, problem.NodeOffline, "is offline")
	if len(agent.Specs()) != 0 || l.state(id) != node.Revoked {
		t.Fatalf("%s, specs %v", l.state(id), agent.Specs())
	}
	e, err := l.nodes.NewKey(t.Context(), admin, id)
	if err != nil {
		t.Fatal(err)
	}
	change := func(s *node.Spec) { s.Address, s.Port = agent.Host(), agent.Port() }
	if _, err := l.nodes.Change(t.Context(), admin, id, change); err != nil {
		t.Fatal(err)
	}
	l.admit(agent, l.parse(e))
	eventually(t, "let in again", func() bool { return l.state(id) == node.Online })
}

func TestAgentWithAnOlderCertificateIsCut(t *testing.T) {
	t.Parallel()
	l := setupLive(t)
	agent, id := l.join()
	e, err := l.nodes.NewKey(t.Context(), admin, id)
	if err != nil {
		t.Fatal(err)
	}
	thief := fleettest.Listen(t) // enrols as the node, but is not where the node is
	l.admit(thief, l.parse(e))
	eventually(t, "the older certificate is void", func() bool {
		state, presence := l.nodes.State(l.get(id))
		return state == node.Offline && presence.Reason == "its certificate is void because the node was enrolled again since: start the agent with the new one"
	})
	if len(agent.Specs()) != 0 {
		t.Fatal("it was told something")
	}
}

func TestNodeCannotSpeakForAnother(t *testing.T) {
	t.Parallel()
	l := setupLive(t)
	one, first := l.join()
	two, second := l.join()
	one.Say(func(h *wire.Hello) { h.Node = second })
	one.Drop()
	eventually(t, "refused", func() bool {
		_, presence := l.nodes.State(l.get(first))
		return !presence.Online && presence.Reason == "the agent there says that it is another node"
	})
	two.Emit(states(1)...)
	two.WaitAcked(t)
	if len(l.applied(first)) != 0 || len(l.applied(second)) != 1 {
		t.Fatalf("events of %v and %v", l.applied(first), l.applied(second))
	}
}

func TestDeletedNodeIsCut(t *testing.T) {
	t.Parallel()
	l := setupLive(t)
	agent, id := l.join()
	if err := l.nodes.Delete(t.Context(), admin, id); err != nil {
		t.Fatal(err)
	}
	eventually(t, "cut", func() bool { return !l.real.Online(id) })
	agent.Emit(states(1)...)
	if len(l.applied(id)) != 0 {
		t.Fatal("an event of a deleted node took effect")
	}
}

func TestChangedAddressIsFollowed(t *testing.T) {
	t.Parallel()
	l := setupLive(t)
	_, id := l.join()
	nowhere := func(s *node.Spec) { s.Address, s.Port = "127.0.0.1", 1 }
	if _, err := l.nodes.Change(t.Context(), admin, id, nowhere); err != nil {
		t.Fatal(err)
	}
	eventually(t, "offline", func() bool {
		_, presence := l.nodes.State(l.get(id))
		return !presence.Online && presence.Reason == "nothing listens at its address and port; is the agent running?"
	})
}
