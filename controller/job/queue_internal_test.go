package job

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/shared/ident"
)

var start = time.UnixMilli(1_700_000_000_000)

func at(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

// on names a job after its node and number.
func on(node ident.Node, n int) pick {
	return pick{id: ident.Job(fmt.Sprintf("%s%d", node, n)), lane: lane{node: node}}
}

func names(picks []pick) string {
	var out []string
	for _, p := range picks {
		out = append(out, string(p.id))
	}
	return strings.Join(out, " ")
}

func TestQueueGoesByTimeAndLetsNodesTakeTurns(t *testing.T) {
	t.Parallel()
	q := newQueue()
	for n := range 3 {
		q.push(on("a", n), at(n))
	}
	q.push(on("b", 0), at(2))
	q.push(on("c", 0), at(60))
	if got := q.take(at(-1)); len(got) != 0 {
		t.Fatalf("too early: %s", names(got))
	}
	if next := q.next(); !next.Equal(at(0)) {
		t.Fatalf("the next is due at %s", next)
	}
	if got := names(q.take(at(3))); got != "a0 b0 a1 a2" {
		t.Fatalf("got %s", got)
	}
	if next := q.next(); !next.Equal(at(60)) {
		t.Fatalf("then at %s", next)
	}
	if got := names(q.take(at(60))); got != "c0" || !q.next().IsZero() {
		t.Fatalf("at last %s", got)
	}
}

func TestQueueTakesTheEarlierOfTwoHints(t *testing.T) {
	t.Parallel()
	for _, order := range [][]int{{1, 30}, {30, 1}} {
		q := newQueue()
		for _, when := range order {
			q.push(on("a", 0), at(when))
		}
		if got := names(q.take(at(1))); got != "a0" {
			t.Errorf("%v: at its time came %q", order, got)
		}
		if got := names(q.take(at(99))); got != "" {
			t.Errorf("%v: it came again: %s", order, got)
		}
		q.push(on("a", 0), at(2)) // and may come again when somebody says so
		if got := names(q.take(at(2))); got != "a0" {
			t.Errorf("%v: pushed again, came %q", order, got)
		}
	}
}

func TestQueueLimitsEachNode(t *testing.T) {
	t.Parallel()
	q := newQueue()
	for n := range 100 {
		q.push(on("stuck", n), at(0))
	}
	q.push(on("well", 0), at(1))
	for n := range 10 {
		q.push(on("", n), at(2)) // of no node: only the whole limits them
	}
	first := q.take(at(2))
	if len(first) != perNode+1+10 {
		t.Fatalf("came %s", names(first))
	}
	if got := q.take(at(2)); len(got) != 0 {
		t.Fatalf("beyond the limit came %s", names(got))
	}
	q.release(on("stuck", 0))
	if got := names(q.take(at(2))); got != fmt.Sprintf("stuck%d", perNode) {
		t.Fatalf("for one free place came %s", got)
	}

	// Found away: one at a time, until it is back.
	q.found("stuck", false)
	for n := range perNode - 1 {
		q.release(on("stuck", n))
		if got := q.take(at(2)); len(got) != 0 {
			t.Fatalf("%d of its calls are still out, and came %s", perNode-1-n, names(got))
		}
	}
	q.release(on("stuck", perNode))
	if got := q.take(at(2)); len(got) != 1 {
		t.Fatalf("of a node that is away came %s", names(got))
	}
	q.found("stuck", true)
	if got := q.take(at(2)); len(got) != perNode-1 {
		t.Fatalf("of the node that is back came %s", names(got))
	}
}

func TestQueueKeepsLongWorkApart(t *testing.T) {
	t.Parallel()
	q := newQueue()
	for n := range 2 * longWorkers {
		p := on("", n)
		p.lane.long = true
		q.push(p, at(0))
	}
	long := q.take(at(0))
	for more := q.take(at(0)); len(more) > 0; more = q.take(at(0)) {
		long = append(long, more...)
	}
	if len(long) != longWorkers {
		t.Fatalf("%d long ones came", len(long))
	}
	q.push(on("a", 0), at(0))
	if got := names(q.take(at(0))); got != "a0" {
		t.Fatalf("beside the long ones came %q", got)
	}
}

func TestQueueIsBoundedAsAWhole(t *testing.T) {
	t.Parallel()
	q := newQueue()
	for n := range 2 * workers {
		q.push(on(ident.Node(fmt.Sprintf("n%d-", n)), 0), at(0))
	}
	total := 0
	for got := q.take(at(0)); len(got) > 0; got = q.take(at(0)) {
		if len(got) > batch {
			t.Fatalf("%d in one batch", len(got))
		}
		total += len(got)
	}
	if total != workers {
		t.Fatalf("%d came at a time", total)
	}
}

// Whatever is pushed, taken, released and found away in whatever order: each job
// comes once for each push that counted, no limit is broken, nothing is left
// behind, and nothing of what has gone is kept.
func TestQueueLosesNothing(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	q := newQueue()
	wanted, out := map[ident.Job]bool{}, map[ident.Job]pick{}
	busy := map[lane]int{}
	take := func(now time.Time) {
		for _, p := range q.take(now) {
			if !wanted[p.id] {
				t.Fatalf("%s came and was not in", p.id)
			}
			delete(wanted, p.id)
			out[p.id] = p
			if busy[p.lane]++; p.lane.node != "" && busy[p.lane] > perNode {
				t.Fatalf("%d of %+v at a time", busy[p.lane], p.lane)
			}
		}
	}
	release := func(p pick) {
		delete(out, p.id)
		busy[p.lane]--
		q.release(p)
	}
	for step := range 20_000 {
		node := ident.Node([]string{"", "a", "b", "c"}[random.IntN(4)])
		switch random.IntN(5) {
		case 0, 1:
			p := on(node, random.IntN(40))
			p.lane.long = random.IntN(40) == 0
			if _, away := out[p.id]; !away {
				q.push(p, at(step/100+random.IntN(10)-3))
				wanted[p.id] = true
			}
		case 2:
			q.found(node, random.IntN(2) == 0)
		case 3:
			for _, p := range out {
				release(p)
				break
			}
		case 4:
			take(at(step / 100))
		}
	}
	for len(wanted) > 0 || len(out) > 0 {
		before := len(wanted) + len(out)
		take(at(1_000_000))
		for _, p := range out {
			release(p)
		}
		if len(wanted)+len(out) == before {
			t.Fatalf("%d are never given out", len(wanted))
		}
	}
	if take(at(1_000_000)); len(q.waiting) != 0 || len(q.lines) != 0 || len(q.later) != 0 || q.busy != [2]int{} {
		t.Fatalf("left behind: %+v, %+v, %d, %v", q.waiting, q.lines, len(q.later), q.busy)
	}
}
