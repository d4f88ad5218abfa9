package httpapi

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestLimiterCountsExactly(t *testing.T) {
	t.Parallel()
	type step struct {
		after     time.Duration // since the start
		calls     int
		allowed   int
		remaining int           // after the last
		wait      time.Duration // of the last
	}
	for name, tc := range map[string]struct {
		limit int
		steps []step
	}{
		"a second's cap": {100, []step{
			{0, 25, 20, 80, time.Second},
			{999 * time.Millisecond, 1, 0, 80, time.Millisecond},
			{time.Second, 25, 20, 60, time.Second},
		}},
		"a minute's cap, and each call leaves by itself": {100, []step{
			{0, 20, 20, 80, 0},
			{10 * time.Second, 20, 20, 60, 0},
			{20 * time.Second, 20, 20, 40, 0},
			{30 * time.Second, 20, 20, 20, 0},
			{40 * time.Second, 21, 20, 0, 20 * time.Second},
			{59 * time.Second, 1, 0, 0, time.Second},
			{60 * time.Second, 20, 20, 0, 0},
			{61 * time.Second, 1, 0, 0, 9 * time.Second},
		}},
		"a small limit": {1, []step{
			{0, 1, 1, 0, 0},
			{time.Millisecond, 1, 0, 0, time.Minute - time.Millisecond},
			{time.Minute - 1, 1, 0, 0, 1},
			{time.Minute, 1, 1, 0, 0},
		}},
		"a large limit's second": {1000, []step{
			{0, 300, 200, 800, time.Second},
			{time.Second, 300, 200, 600, time.Second},
		}},
		"no double allowance at a minute's edge": {20, []step{
			{59 * time.Second, 20, 20, 0, 0},
			{60 * time.Second, 20, 0, 0, 59 * time.Second},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLimiter()
			for i, s := range tc.steps {
				allowed := 0
				var last verdict
				for range s.calls {
					if last = l.take("k", tc.limit, start.Add(s.after)); last.wait == 0 {
						allowed++
					}
				}
				if allowed != s.allowed || last.remaining != s.remaining || last.wait != s.wait {
					t.Fatalf("step %d: %d allowed, remaining %d, wait %s; wanted %d, %d, %s", i, allowed, last.remaining, last.wait, s.allowed, s.remaining, s.wait)
				}
			}
		})
	}
}

func TestResetIsWhenTheOldestCallLeaves(t *testing.T) {
	t.Parallel()
	l := newLimiter()
	l.take("k", 100, start)
	v := l.take("k", 100, start.Add(30500*time.Millisecond))
	if want := start.Add(time.Minute).Unix(); v.reset != want {
		t.Fatalf("reset %d, wanted %d", v.reset, want)
	}
	v = l.take("k", 100, start.Add(60*time.Second)) // the first has left
	if want := start.Add(91 * time.Second).Unix(); v.reset != want {
		t.Fatalf("reset %d, wanted %d: rounded up", v.reset, want)
	}
}

func TestCallersAreApart(t *testing.T) {
	t.Parallel()
	l := newLimiter()
	for range 30 {
		l.take("a", 100, start)
	}
	if v := l.take("b", 100, start); v.wait != 0 || v.remaining != 99 {
		t.Fatalf("another caller's calls count: %+v", v)
	}
}

func TestLimitMayShrinkBetweenCalls(t *testing.T) {
	t.Parallel()
	l := newLimiter()
	for range 20 {
		l.take("k", 100, start)
	}
	v := l.take("k", 5, start.Add(2*time.Second))
	if v.wait != 58*time.Second || v.remaining != 0 {
		t.Fatalf("%+v after the limit shrank below what was used", v)
	}
}

func TestRecentForgets(t *testing.T) {
	t.Parallel()
	l := newLimiter()
	for i := range 3 * l.callers.most {
		l.take(fmt.Sprint(i), 100, start)
	}
	if n := len(l.callers.items); n != l.callers.most {
		t.Fatalf("%d callers are remembered, %d at most", n, l.callers.most)
	}
	l.take("later", 100, start.Add(2*time.Minute))
	if n := len(l.callers.items); n != 1 {
		t.Fatalf("%d callers are remembered after all but one were idle", n)
	}
}

func TestWindowMemoryGrowsOnlyWithUse(t *testing.T) {
	t.Parallel()
	w := window{span: time.Minute}
	for i := range 1000 {
		now := start.Add(time.Duration(i) * time.Minute).UnixNano()
		w.forget(now)
		w.add(now)
	}
	if len(w.times) > 8 {
		t.Fatalf("room for %d times where one at a time is counted", len(w.times))
	}
}

func sum(s string) [sha256.Size]byte { return sha256.Sum256([]byte(s)) }

func TestGuard(t *testing.T) {
	t.Parallel()
	g := newGuard()
	const home, other = "192.0.2.1", "192.0.2.2"
	g.right(home, sum("mine"), start)
	for i := range wrongKeys {
		if wait := g.enter(home, sum(fmt.Sprint(i)), start); wait != 0 {
			t.Fatalf("try %d has to wait %s", i, wait)
		}
		g.wrong(home, sum(fmt.Sprint(i)), start.Add(time.Duration(i)*time.Second))
	}
	at := start.Add(30 * time.Second)
	if wait := g.enter(home, sum("next"), at); wait != 30*time.Second {
		t.Fatalf("the 21st waits %s, wanted until the first is a minute old", wait)
	}
	if wait := g.enter(home, sum("mine"), at); wait != 0 {
		t.Fatalf("a key that was right waits %s", wait)
	}
	if wait := g.enter(other, sum("next"), at); wait != 0 {
		t.Fatalf("another address waits %s", wait)
	}
	if wait := g.enter(home, sum("next"), start.Add(time.Minute)); wait != 0 {
		t.Fatalf("waits %s after the first left the minute", wait)
	}
	g.wrong(home, sum("mine"), start.Add(time.Minute)) // it was revoked
	if wait := g.enter(home, sum("mine"), start.Add(time.Minute)); wait == 0 {
		t.Fatal("a revoked key still counts as a right one")
	}
}

func TestGuardTakesAnIPv6NetworkForOne(t *testing.T) {
	t.Parallel()
	g := newGuard()
	for i := range wrongKeys {
		g.wrong(fmt.Sprintf("2001:db8:1:2::%x", i), sum(fmt.Sprint(i)), start)
	}
	if g.enter("2001:db8:1:2:ffff::1", sum("x"), start) == 0 {
		t.Fatal("another address of the same /64 may go on")
	}
	if g.enter("2001:db8:1:3::1", sum("x"), start) != 0 {
		t.Fatal("another /64 has to wait")
	}
}

func TestGuardMemoryIsBounded(t *testing.T) {
	t.Parallel()
	g := newGuard()
	for i := range 2 * addresses {
		g.wrong(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), sum("x"), start)
	}
	if n := len(g.from.items); n > addresses {
		t.Fatalf("%d addresses are remembered", n)
	}
	for i := range 10 * knownKeys {
		g.right("192.0.2.1", sum(fmt.Sprint(i)), start.Add(time.Duration(i)))
	}
	v := g.visitor("192.0.2.1", start.UnixNano())
	if len(v.right) > knownKeys {
		t.Fatalf("%d keys of one address are remembered", len(v.right))
	}
	if _, ok := v.right[sum(fmt.Sprint(10*knownKeys-1))]; !ok {
		t.Fatal("the latest key was forgotten")
	}
}

func TestDepth(t *testing.T) {
	t.Parallel()
	deep := func(n int) []byte {
		b := make([]byte, 2*n)
		for i := range n {
			b[i], b[2*n-1-i] = '[', ']'
		}
		return b
	}
	for name, tc := range map[string]struct {
		body []byte
		ok   bool
	}{
		"as deep as allowed": {deep(maxDepth), true},
		"too deep":           {deep(maxDepth + 1), false},
		"far too deep":       {deep(500_000), false},
		"wide":               {[]byte(`[[],[],[],{},{}]`), true},
		"brackets in text":   {append(append([]byte(`"`), deep(1000)...), '"'), true},
		"escaped quotes":     {append([]byte(`{"a\"[[\\":"`), append(deep(1000), `"}`...)...), true},
	} {
		if err := checkDepth(tc.body); (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
