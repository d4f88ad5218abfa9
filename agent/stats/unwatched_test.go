package stats_test

import (
	"testing"
	"time"

	"github.com/berth-panel/berth/shared/wire"
)

// TestUnwatched: what nobody looks at is measured each ten seconds, whose points
// are as right as those of seconds; a look brings the seconds back.
func TestUnwatched(t *testing.T) {
	t.Parallel()
	b := setup(t)
	cpu := time.Duration(0)
	rounds := func(n int) { // of half a core
		for range n {
			cpu += time.Second / 2
			b.used(boxed(1), 77, cpu, cpu.Milliseconds())
			b.rounds(1)
		}
	}
	b.used(boxed(1), 77, 0, 0)
	b.up(one, boxed(1), 77)
	b.up(two, boxed(2), 0) // what it isn't told of
	rounds(60)
	points := func() int {
		n := 0
		for _, at := range b.Seconds(one) { // which is no look
			if at.After(b.clock().Add(-time.Minute)) {
				n++
			}
		}
		return n
	}
	if n := points(); n < 58 {
		t.Errorf("%d samples in the first minute", n)
	}
	rounds(120)
	if n := points(); n != 6 {
		t.Errorf("%d samples in a minute that nobody looked in", n)
	}
	for range 4 { // as a collector of metrics does
		b.Node()
		rounds(15)
	}
	if n := points(); n != 6 {
		t.Errorf("%d samples in a minute of metrics", n)
	}
	if s := b.Node().Instances[one]; !near(s.CPU, 0.5) || s.NetInRate != 500 || b.clock().Sub(s.At) > 10*time.Second {
		t.Errorf("%+v", s)
	}
	h := b.past(one, wire.Ten)
	if len(h.At) != 24 {
		t.Errorf("%d points in four minutes", len(h.At))
	}
	for n, cpu := range h.CPU {
		if !near(cpu, 0.5) || h.NetIn[n] != 500 {
			t.Errorf("at %d: %v cores, %v bytes a second", h.At[n], cpu, h.NetIn[n])
		}
	}
	for name, look := range map[string]func(){ // the history, above, was a look
		"samples":   func() { b.newest(one) },
		"a history": func() { b.past(one, wire.Second) },
		"a page":    func() { b.Node(); b.Node() },
	} {
		rounds(120)
		look()
		rounds(59)
		if n := points(); n < 58 {
			t.Errorf("%d samples in the minute after a look at %s", n, name)
		}
	}
}

// TestUnwatchedEnd: that one has ended or begun is known at once all the same.
func TestUnwatchedEnd(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.used(boxed(1), 77, 0, 0)
	b.up(one, boxed(1), 77)
	b.rounds(122)
	b.down(one)
	b.rounds(1)
	if all := b.Node(); len(all.Instances) != 0 {
		t.Errorf("stopped, it is told of: %+v", all.Instances)
	}
	b.up(one, boxed(1), 77)
	b.rounds(3)
	if all := b.Node(); all.Instances[one].Pids != 2 {
		t.Errorf("started, it is not measured: %+v", all.Instances)
	}
}
