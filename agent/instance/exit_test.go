package instance

import (
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/shared/wire"
)

func TestExitWithoutErrorStaysUntilTheNextOrder(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		w.engine.Crash(w.running(one).ID, 0)
		w.sleep(time.Hour)
		s := w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
		if s.ExitCode == nil || *s.ExitCode != 0 || s.RetryAt != nil {
			t.Errorf("state: %+v", s)
		}
		w.lastState(one)
		w.reboot()
		w.apply(basic(one, 2)) // the same order
		w.sleep(time.Hour)
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
		if n := w.engine.Calls(fake.Start); n != 1 {
			t.Fatalf("%d starts", n)
		}
		w.apply(order(3, wire.Power{Want: wire.WantRunning, Order: 2}))
		if w.running(one); w.state(one).ExitCode != nil {
			t.Error("the old exit code is shown while it runs")
		}
	})
}

func TestCrashesAreRestartedAndGivenUp(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		w.engine.Crash(w.running(one).ID, 3)
		w.sleep(0)
		w.running(one) // the first is restarted at once
		if told := w.crashes(one); told != 1 {
			t.Errorf("%d crashes are told", told)
		}
		for i, wait := range []time.Duration{1, 2, 4} {
			w.engine.Crash(w.running(one).ID, 3)
			w.sleep(time.Millisecond)
			s := w.expect(one, wire.PhaseReady, wire.ActualCrashed, true)
			if s.ExitCode == nil || *s.ExitCode != 3 || s.OOM || s.RetryAt == nil {
				t.Fatalf("crash %d: %+v", i+1, s)
			}
			w.lastState(one)
			if left := time.Until(*s.RetryAt); left > wait*time.Second || left < wait*time.Second-10*time.Millisecond {
				t.Errorf("crash %d: again in %s, want %ds", i+1, left, wait)
			}
			if i == 2 {
				w.reboot() // the record survives
			}
			w.sleep(time.Until(*s.RetryAt))
		}
		w.engine.Crash(w.running(one).ID, 3)
		w.sleep(time.Hour)
		if s := w.expect(one, wire.PhaseReady, wire.ActualCrashed, true); s.RetryAt != nil {
			t.Errorf("not given up: %+v", s)
		}
		w.reboot()
		w.sleep(time.Hour)
		w.expect(one, wire.PhaseReady, wire.ActualCrashed, true)
		if n := w.engine.Calls(fake.Start); n != 5 {
			t.Errorf("%d starts, want 5", n)
		}
		// A new order is a new chance, with a clean record.
		w.apply(order(2, wire.Power{Want: wire.WantRunning, Order: 2}))
		w.engine.Crash(w.running(one).ID, 3)
		w.sleep(0)
		w.running(one)
	})
}

func TestQuietTimeClearsTheRecord(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		for range 20 {
			w.sleep(quietTime)
			w.engine.Crash(w.running(one).ID, 1)
			w.sleep(0)
			w.running(one)
		}
		w.sleep(quietTime - time.Second)
		w.engine.Crash(w.running(one).ID, 1)
		w.sleep(0)
		w.expect(one, wire.PhaseReady, wire.ActualCrashed, true)
	})
}

func TestOutOfMemoryIsACrash(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		box := w.running(one)
		w.engine.OOMInside(box.ID) // one process of several: it lives on
		w.sleep(time.Minute)
		w.running(one)
		w.crash(one) // the first is restarted at once
		w.engine.OOMKill(box.ID)
		w.sleep(time.Millisecond)
		if s := w.expect(one, wire.PhaseReady, wire.ActualCrashed, true); !s.OOM || s.ExitCode == nil {
			t.Errorf("state: %+v", s)
		}
	})
}

func TestOrdersDoNotWaitForTheBackoff(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		for range 3 {
			w.engine.Crash(w.running(one).ID, 1)
			w.sleep(5 * time.Second)
		}
		w.engine.Crash(w.running(one).ID, 1)
		w.sleep(time.Millisecond)
		w.apply(order(2, wire.Power{Want: wire.WantRunning, Order: 2}))
		w.running(one)
		w.engine.Crash(w.running(one).ID, 1)
		w.sleep(time.Millisecond)
		w.apply(order(3, wire.Power{Want: wire.WantStopped, Order: 3}))
		s := w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
		w.sleep(time.Hour)
		if s.RetryAt != nil || w.state(one).Actual != wire.ActualStopped {
			t.Errorf("it came back: %+v", w.state(one))
		}
	})
}

func TestContainerThatEndsAtOnce(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.engine.SetProgram(func(runtime.ContainerSpec) fake.Program { return fake.Program{Ends: true, ExitCode: 1} })
		w.apply(basic(one, 1))
		w.sleep(time.Hour)
		s := w.expect(one, wire.PhaseReady, wire.ActualCrashed, true)
		if s.RetryAt != nil || w.engine.Calls(fake.Start) != 5 {
			t.Errorf("state %+v after %d starts", s, w.engine.Calls(fake.Start))
		}
	})
}

func TestNothingIsToldWhenNothingChanges(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		box := w.running(one)
		before := w.journal.LastSeq()
		for range 10 {
			w.engine.OOMInside(box.ID) // an event that means nothing
			w.sleep(time.Minute)
		}
		w.reboot()
		w.sleep(time.Hour)
		after, err := w.journal.Events(before, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range after {
			if e.Type != wire.EventEngine {
				t.Errorf("told %+v", e)
			}
		}
	})
}

func TestJudge(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	at := func(d time.Duration) time.Time { return begin.Add(d) }
	t.Run("the wait doubles up to five minutes when crashes are rare enough", func(t *testing.T) {
		t.Parallel()
		var crashes []time.Time
		want := []time.Duration{0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300}
		for i, seconds := range want {
			var wait time.Duration
			crashes, wait = judge(crashes, time.Minute, at(time.Duration(i)*3*time.Minute), policyOf(wire.Crash{}))
			if wait != seconds*time.Second {
				t.Fatalf("crash %d: wait %s, want %ds", i+1, wait, seconds)
			}
		}
		for i := len(want); i < 1000; i++ {
			var wait time.Duration
			if crashes, wait = judge(crashes, time.Minute, at(time.Duration(i)*3*time.Minute), policyOf(wire.Crash{})); wait != 5*time.Minute || len(crashes) > 20 {
				t.Fatalf("crash %d: wait %s, %d remembered", i+1, wait, len(crashes))
			}
		}
	})
	t.Run("five within ten minutes are too many", func(t *testing.T) {
		t.Parallel()
		var crashes []time.Time
		var wait time.Duration
		for i := range 5 {
			crashes, wait = judge(crashes, 0, at(time.Duration(i)*149*time.Second), policyOf(wire.Crash{}))
			if (wait == never) != (i == 4) {
				t.Fatalf("crash %d: wait %s", i+1, wait)
			}
		}
	})
	t.Run("ten quiet minutes clear the record", func(t *testing.T) {
		t.Parallel()
		crashes, wait := judge([]time.Time{at(0), at(1), at(2), at(3)}, 10*time.Minute, at(10*time.Minute), policyOf(wire.Crash{}))
		if len(crashes) != 1 || wait != 0 {
			t.Errorf("%d crashes, wait %s", len(crashes), wait)
		}
		if crashes, _ := judge([]time.Time{at(0)}, 10*time.Minute-1, at(10*time.Minute), policyOf(wire.Crash{})); len(crashes) != 2 {
			t.Errorf("%d crashes after a run that was too short", len(crashes))
		}
	})
}
