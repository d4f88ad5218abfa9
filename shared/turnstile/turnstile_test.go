package turnstile_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berth-panel/berth/shared/turnstile"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

var pace = turnstile.Pace{Free: 3, First: time.Second, Most: 8 * time.Second, Forget: time.Minute, Places: 100}

func TestWaitsGrow(t *testing.T) {
	t.Parallel()
	b, now := turnstile.NewBrake(pace), start
	for n := range 3 {
		if wait := b.Try("a", now); wait != 0 {
			t.Fatalf("try %d waits %v", n, wait)
		}
	}
	for n, want := range []time.Duration{1, 2, 4, 8, 8, 8} {
		want *= time.Second
		if wait := b.Try("a", now); wait != 0 {
			t.Fatalf("try %d waits %v", n, wait)
		}
		if wait := b.Try("a", now); wait != want {
			t.Fatalf("behind try %d the wait is %v, want %v", n, wait, want)
		}
		if wait := b.Try("b", now); wait != 0 && n == 0 {
			t.Fatalf("another waits %v", wait)
		}
		now = now.Add(want)
	}
	now = now.Add(time.Minute)
	for range 3 {
		if wait := b.Try("a", now); wait != 0 {
			t.Fatalf("after a quiet time it waits %v", wait)
		}
	}
}

func TestWhatPassedIsNoTry(t *testing.T) {
	t.Parallel()
	b := turnstile.NewBrake(pace)
	for n := range 1000 {
		if wait := b.Try("a", start); wait != 0 {
			t.Fatalf("try %d waits %v", n, wait)
		}
		b.Passed("a")
	}
	if b.Held() != 0 {
		t.Errorf("%d keys are held", b.Held())
	}
	b.Passed("nobody")
	// Who has a right password doesn't get more tries for wrong ones by it.
	for range 4 {
		b.Try("a", start)
	}
	now := start.Add(time.Second)
	b.Try("a", now)
	b.Passed("a")
	b.Try("a", now)
	if wait := b.Try("a", now); wait == 0 {
		t.Error("a right one made all wrong ones forgotten")
	}
}

func TestManyAtOnceGetNoMore(t *testing.T) {
	t.Parallel()
	b := turnstile.NewBrake(pace)
	var passed atomic.Int32
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if b.Try("a", start) == 0 {
				passed.Add(1)
			}
		})
	}
	all.Wait()
	if passed.Load() != 4 {
		t.Errorf("%d tries went on", passed.Load())
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	b := turnstile.NewBrake(pace)
	for n := range 100_000 {
		b.Try(fmt.Sprint(n), start)
	}
	if b.Held() != pace.Places {
		t.Errorf("%d keys are held", b.Held())
	}
}

func TestLobby(t *testing.T) {
	t.Parallel()
	l := turnstile.NewLobby(3, 2)
	one, ok := l.Enter("a")
	two, ok2 := l.Enter("a")
	if !ok || !ok2 {
		t.Fatal("there is no room")
	}
	if _, ok := l.Enter("a"); ok || l.Room("a") || !l.Room("b") {
		t.Fatal("the third of one key is let in")
	}
	three, ok := l.Enter("b")
	if _, more := l.Enter("c"); !ok || more || l.Room("c") {
		t.Fatal("the fourth is let in, or the third is not")
	}
	one()
	one()
	if l.Open() != 2 || !l.Room("c") {
		t.Fatalf("%d are inside", l.Open())
	}
	two()
	three()
	if l.Open() != 0 {
		t.Fatalf("%d are inside", l.Open())
	}
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64",
		"": "", "unix": "unix",
	} {
		if got := turnstile.Network(address); got != want {
			t.Errorf("%q is in %q, want %q", address, got, want)
		}
	}
}

func TestGuesses(t *testing.T) {
	t.Parallel()
	for what, who := range map[string]func(n int) (address, name string){
		"one address":   func(n int) (string, string) { return "2001:db8::" + fmt.Sprint(n), fmt.Sprint(n) },
		"one name":      func(n int) (string, string) { return fmt.Sprintf("192.0.2.%d", n), "anna" },
		"all together":  func(n int) (string, string) { return fmt.Sprintf("192.0.2.%d", n), fmt.Sprint(n) },
		"names without": func(n int) (string, string) { return "", fmt.Sprint(n) },
	} {
		g, free := turnstile.NewGuesses(), 0
		for ; free < 200; free++ {
			if address, name := who(free); g.Try(address, name, start) != 0 {
				break
			}
		}
		want := map[string]int{"one address": 11, "one name": 21, "all together": 30, "names without": 30}[what]
		if free != want {
			t.Errorf("%s: %d tries go without a wait, want %d", what, free, want)
		}
		address, name := who(0)
		g.Passed(address, name)
	}
	g := turnstile.NewGuesses()
	for n := range 1000 {
		if wait := g.Try("192.0.2.1", "anna", start.Add(time.Duration(n)*100*time.Millisecond)); wait != 0 {
			t.Fatalf("right password %d waits %v", n, wait)
		}
		g.Passed("192.0.2.1", "anna")
	}
	if g.Held() != 0 {
		t.Errorf("%d are held", g.Held())
	}
}
