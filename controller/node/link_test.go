package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// states are instance events with these numbers.
func states(numbers ...int64) []wire.Event {
	var out []wire.Event
	for _, n := range numbers {
		out = append(out, wire.Event{Seq: n, Type: wire.EventState, Instance: "0a1b2c3d", State: &wire.State{}})
	}
	return out
}

// connect says hello and gives the cursor.
func (b *bundle) connect(n node.Node, epoch string, last int64) int64 {
	b.t.Helper()
	after, err := b.nodes.Connected(b.t.Context(), n.ID, wire.Hello{Node: n.ID, Wire: wire.Version, Release: "0.1.0", Epoch: epoch, LastSeq: last,
		Engine: wire.Engine{Reachable: true, Name: "docker", Version: "20.10", Cores: 4}})
	if err != nil {
		b.t.Fatal(err)
	}
	return after
}

func (b *bundle) take(n node.Node, epoch string, events ...wire.Event) {
	b.t.Helper()
	if err := b.nodes.Events(b.t.Context(), n.ID, epoch, events); err != nil {
		b.t.Fatal(err)
	}
}

func TestEventsTakeEffectOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n := b.enrolled("a")
	if after := b.connect(n, "one", 0); after != 0 {
		t.Fatalf("a first connection begins after %d", after)
	}
	b.take(n, "one", states(1, 2, 4)...) // a number may be missing
	b.take(n, "one", states(2, 4, 5)...) // the acknowledgement got lost
	b.take(n, "one", states(1)...)
	if after := b.connect(n, "one", 9); after != 5 {
		t.Fatalf("the next connection begins after %d", after)
	}
	b.take(n, "one", states(5, 6)...)
	if got := b.applied(n.ID); !slices.Equal(got, []int64{1, 2, 4, 5, 6}) {
		t.Fatalf("took effect: %v", got)
	}
}

func TestCursorAndEffectsSurviveTogether(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n := b.enrolled("a")
	b.connect(n, "one", 0)
	b.take(n, "one", states(1, 2)...)
	if err := b.db.Close(); err != nil { // before anything was acknowledged
		t.Fatal(err)
	}
	b.open(b.fleet, b.clock.Now)
	if after := b.connect(n, "one", 3); after != 2 {
		t.Fatalf("after the restart it goes on after %d", after)
	}
	b.take(n, "one", states(1, 2, 3)...)
	if got := b.applied(n.ID); !slices.Equal(got, []int64{1, 2, 3}) {
		t.Fatalf("took effect: %v", got)
	}
}

func TestLostJournalStartsOver(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n := b.enrolled("a")
	b.connect(n, "one", 0)
	b.take(n, "one", states(1, 2, 3)...)
	if after := b.connect(n, "two", 1); after != 0 {
		t.Fatalf("the new epoch begins after %d", after)
	}
	b.take(n, "two", states(1)...)
	if err := b.nodes.Events(t.Context(), n.ID, "one", states(9)); err == nil {
		t.Fatal("an event of the lost epoch was taken")
	}
	if got := b.applied(n.ID); !slices.Equal(got, []int64{1, 2, 3, 1}) {
		t.Fatalf("took effect: %v", got)
	}
	if !strings.Contains(b.log.String(), "journal was lost") {
		t.Fatalf("the log: %s", b.log)
	}
}

func TestJournalPutBackFromACopyLosesNothingNew(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n := b.enrolled("a")
	b.connect(n, "one", 0)
	b.take(n, "one", states(1, 2, 3, 4, 5)...)
	if after := b.connect(n, "one", 3); after != 3 {
		t.Fatalf("it goes on after %d", after)
	}
	b.take(n, "one", states(4)...) // another fact than the first number 4
	if got := b.applied(n.ID); !slices.Equal(got, []int64{1, 2, 3, 4, 5, 4}) {
		t.Fatalf("took effect: %v", got)
	}
}

func TestBadEventIsPassedOverAlone(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]error{
		"a problem":         problem.New(problem.Conflict, "no legal move"),
		"an inner problem":  problem.New(problem.Internal, "broken"),
		"any other mistake": errors.New("boom"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			n := b.enrolled("a")
			b.connect(n, "one", 0)
			b.guests.fail(2, refusal)
			b.take(n, "one", states(1, 2, 3)...)
			if got := b.applied(n.ID); !slices.Equal(got, []int64{1, 3}) {
				t.Fatalf("took effect: %v", got)
			}
			if after := b.connect(n, "one", 3); after != 3 {
				t.Fatalf("the cursor stands at %d", after)
			}
			if log := b.log.String(); !strings.Contains(log, "passed over") || !strings.Contains(log, "seq=2") {
				t.Fatalf("the log: %s", log)
			}
		})
	}
}

func TestDatabaseThatFailsStopsTheBatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n := b.enrolled("a")
	b.connect(n, "one", 0)
	b.guests.fail(2, fmt.Errorf("write: %w", context.DeadlineExceeded)) // as the store says that it can't now
	if err := b.nodes.Events(t.Context(), n.ID, "one", states(1, 2, 3)); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%v", err)
	}
	if got := b.applied(n.ID); len(got) != 0 {
		t.Fatalf("a part of the batch took effect: %v", got)
	}
	b.guests.fail(2, nil)
	b.take(n, "one", states(1, 2, 3)...)
	if got := b.applied(n.ID); !slices.Equal(got, []int64{1, 2, 3}) {
		t.Fatalf("took effect: %v", got)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.nodes.Events(cancelled, n.ID, "one", states(4)); err == nil {
		t.Fatal("a cancelled batch was said to have taken effect")
	}
}

func TestComingAndGoingIsTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n := b.enrolled("a")
	ctx := t.Context()
	inventory := wire.Inventory{Instances: []wire.Holding{{Instance: "0a1b2c3d"}}}

	b.connect(n, "one", 0)
	b.nodes.Disconnected(ctx, n.ID, errors.New("the stream did not open")) // never was online
	b.connect(n, "one", 0)
	if err := b.nodes.Synced(ctx, n.ID, inventory); err != nil {
		t.Fatal(err)
	}
	b.clock.Add(time.Minute)
	heard := b.clock.Now().Add(-5 * time.Second)
	b.fleet.set(n.ID, fleet.Presence{Reason: "the connection broke off", Heard: heard})
	b.nodes.Disconnected(ctx, n.ID, errors.New("read 10.0.0.5:8443: inner workings"))
	b.connect(n, "one", 0)
	if err := b.nodes.Synced(ctx, n.ID, inventory); err != nil {
		t.Fatal(err)
	}
	b.nodes.Disconnected(ctx, n.ID, fleet.ErrStopped)

	if got := b.facts(); got != "node.created node.enrolled node.online node.offline node.online" {
		t.Fatalf("facts: %s", got)
	}
	if len(b.guests.reconciled) != 2 || b.guests.reconciled[0].Instances[0].Instance != "0a1b2c3d" {
		t.Fatalf("reconciled with %+v", b.guests.reconciled)
	}
	var data string
	if err := b.db.Snapshot().QueryRowContext(ctx, `SELECT data FROM events WHERE type = 'node.offline'`).Scan(&data); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(data, "the connection broke off") || strings.Contains(data, "inner workings") {
		t.Fatalf("node.offline says %s", data)
	}
	after := b.get(n.ID)
	if after.LastSeenAt == nil || !after.LastSeenAt.Equal(heard) || after.Hello.Release != "0.1.0" || after.Capacity().Cores != 4 {
		t.Fatalf("%+v", after)
	}
}

func TestReconcileThatFailsEndsTheConnection(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n := b.enrolled("a")
	b.guests.failing = errors.New("not now")
	b.connect(n, "one", 0)
	if err := b.nodes.Synced(t.Context(), n.ID, wire.Inventory{}); !errors.Is(err, b.guests.failing) {
		t.Fatalf("%v", err)
	}
	b.nodes.Disconnected(t.Context(), n.ID, b.guests.failing)
	if got := b.facts(); got != "node.created node.enrolled node.online node.offline" {
		t.Fatalf("facts: %s", got)
	}
}

func TestDeletedNodeGoesQuietly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n := b.enrolled("a")
	b.connect(n, "one", 0)
	if err := b.nodes.Synced(t.Context(), n.ID, wire.Inventory{}); err != nil {
		t.Fatal(err)
	}
	if err := b.nodes.Delete(t.Context(), admin, n.ID); err != nil {
		t.Fatal(err)
	}
	b.nodes.Disconnected(t.Context(), n.ID, fleet.ErrCut)
	if got := b.facts(); got != "node.created node.enrolled node.online node.deleted" {
		t.Fatalf("facts: %s", got)
	}
	if strings.Contains(b.log.String(), "level=ERROR") {
		t.Fatalf("the log: %s", b.log)
	}
}

func TestEngineComesAndGoes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n := b.enrolled("a")
	b.connect(n, "one", 0)
	engine := func(seq int64, e *wire.Engine) wire.Event {
		return wire.Event{Seq: seq, Type: wire.EventEngine, Engine: e}
	}
	b.take(n, "one",
		engine(1, &wire.Engine{Message: "docker does not answer"}),
		engine(2, &wire.Engine{Message: "docker does still not answer"}),
		engine(3, nil), // passed over
	)
	if e := b.get(n.ID).Hello.Engine; e.Reachable || e.Message != "docker does still not answer" || e.Cores != 4 {
		t.Fatalf("%+v", e)
	}
	b.take(n, "one", engine(4, &wire.Engine{Reachable: true, Name: "docker", Version: "28", Cores: 8}))
	if e := b.get(n.ID).Hello.Engine; !e.Reachable || e.Message != "" || e.Version != "28" {
		t.Fatalf("%+v", e)
	}
	if got := b.facts(); got != "node.created node.enrolled node.engine_lost node.engine_back" {
		t.Fatalf("facts: %s", got)
	}
}

func TestLastContactIsNotWrittenForEachEvent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n := b.enrolled("a")
	b.connect(n, "one", 0)
	first := *b.get(n.ID).LastSeenAt
	b.clock.Add(9 * time.Second)
	b.take(n, "one", states(1)...)
	if seen := b.get(n.ID).LastSeenAt; !seen.Equal(first) {
		t.Fatalf("written after 9 s: %v", seen)
	}
	b.clock.Add(time.Second)
	b.take(n, "one", states(2)...)
	if seen := b.get(n.ID).LastSeenAt; !seen.Equal(b.clock.Now()) {
		t.Fatalf("after 10 s it still says %v", seen)
	}
}
