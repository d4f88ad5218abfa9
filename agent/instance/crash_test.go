package instance

import (
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/shared/wire"
)

func policed(generation int64, c wire.Crash) wire.Spec {
	s := basic(one, generation)
	s.Crash = c
	return s
}

// end ends the instance's container by itself with that code.
func (w *world) end(code int) {
	w.t.Helper()
	w.sleep(time.Millisecond)
	if !w.engine.Crash(w.engine.Find(one)[0].ID, code) {
		w.t.Fatal("nothing runs")
	}
	w.sleep(0)
}

func TestCleanCodesAreNoErrors(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(policed(1, wire.Crash{CleanCodes: []int{143, 7}}))
		w.end(7)
		w.sleep(time.Hour)
		if s := w.expect(one, wire.PhaseReady, wire.ActualStopped, true); s.ExitCode == nil || *s.ExitCode != 7 || s.Crashes != 0 {
			t.Errorf("state: %+v", s)
		}
		w.apply(func() wire.Spec {
			s := policed(2, wire.Crash{CleanCodes: []int{137}})
			s.Power.Order = 2
			return s
		}())
		w.engine.OOMKill(w.running(one).ID) // ends with 137, and is an error all the same
		w.sleep(0)
		w.running(one)
		if s := w.state(one); s.Crashes != 1 {
			t.Errorf("state: %+v", s)
		}
	})
}

func TestRestartAlways(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(policed(1, wire.Crash{Restart: wire.RestartAlways}))
		w.end(0)
		w.running(one) // at once
		w.end(0)
		s := w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
		if s.RetryAt == nil || time.Until(*s.RetryAt) != time.Second || s.Crashes != 2 {
			t.Fatalf("state: %+v", s)
		}
		w.lastState(one)
		w.reboot()
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
		w.sleep(time.Second)
		w.running(one)
		w.end(3)
		w.expect(one, wire.PhaseReady, wire.ActualCrashed, true)
		w.apply(order(2, wire.Power{Want: wire.WantStopped, Order: 2}))
		w.sleep(time.Hour)
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
	})
}

func TestRestartNever(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(policed(1, wire.Crash{Restart: wire.RestartNever}))
		w.end(3)
		w.sleep(time.Hour)
		if s := w.expect(one, wire.PhaseReady, wire.ActualCrashed, true); s.RetryAt != nil || s.GaveUp || s.Crashes != 1 {
			t.Fatalf("state: %+v", s)
		}
		w.lastState(one)
		w.reboot()
		w.sleep(time.Hour)
		w.expect(one, wire.PhaseReady, wire.ActualCrashed, true)
		w.apply(policed(2, wire.Crash{})) // another policy is no order to start
		w.sleep(time.Hour)
		w.expect(one, wire.PhaseReady, wire.ActualCrashed, true)
		if n := w.engine.Calls(fake.Start); n != 1 {
			t.Fatalf("%d starts", n)
		}
		w.apply(order(3, wire.Power{Want: wire.WantRunning, Order: 2}))
		w.running(one)
	})
}

func TestGivingUpAsThePolicySays(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(policed(1, wire.Crash{Limit: 2, WindowSeconds: 60}))
		w.end(1)
		w.running(one)
		w.sleep(61 * time.Second) // out of the window
		w.end(1)
		w.sleep(time.Second)
		w.running(one)
		w.end(1)
		if s := w.expect(one, wire.PhaseReady, wire.ActualCrashed, true); !s.GaveUp || s.RetryAt != nil || s.Crashes != 3 {
			t.Fatalf("state: %+v", s)
		}
		w.lastState(one)
		w.reboot()
		w.sleep(time.Hour)
		if s := w.expect(one, wire.PhaseReady, wire.ActualCrashed, true); !s.GaveUp || s.Crashes != 3 {
			t.Fatalf("state: %+v", s)
		}
		s := policed(2, wire.Crash{Limit: 2, WindowSeconds: 60})
		s.Power.Order = 2
		w.apply(s)
		if w.running(one); w.state(one).GaveUp || w.state(one).Crashes != 0 {
			t.Errorf("state: %+v", w.state(one))
		}
	})
}

func TestNeverGivingUp(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(policed(1, wire.Crash{Limit: -1}))
		for range 30 {
			w.end(1)
			w.sleep(maxBackoffUp)
			w.running(one)
		}
		if s := w.state(one); s.GaveUp || s.Crashes != fewestKept {
			t.Errorf("state: %+v", s)
		}
	})
}

func TestQuietTimeAsThePolicySays(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(policed(1, wire.Crash{QuietSeconds: 30}))
		w.end(1)
		w.sleep(29 * time.Second)
		if s := w.state(one); s.Crashes != 1 {
			t.Fatalf("state: %+v", s)
		}
		w.reboot()
		w.sleep(time.Second)
		if s := w.state(one); s.Crashes != 0 {
			t.Fatalf("not forgotten after a quiet time: %+v", s)
		}
		w.lastState(one)
		w.end(1)
		w.running(one) // at once, as the first
	})
}

// TestAPolicyChangesNoContainer: nor do ready lines, or the way of a stop.
func TestAPolicyChangesNoContainer(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		box := w.running(one).ID
		s := policed(2, wire.Crash{Restart: wire.RestartNever, Limit: 9})
		s.Ready = wire.Ready{Lines: []string{"up"}, WithinSeconds: 9}
		s.Stop = wire.Stop{Signal: "SIGINT", GraceSeconds: 99}
		w.apply(s)
		if now := w.running(one).ID; now != box || w.engine.Calls(fake.Stop) != 0 {
			t.Errorf("container %s, was %s", now, box)
		}
	})
}

// TestAFailedStartIsNoCrash: twenty of twenty, as the peer has it wrong.
func TestAFailedStartIsNoCrash(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.engine.SetProgram(func(runtime.ContainerSpec) fake.Program { return fake.Program{Missing: true} })
		for generation := range int64(20) {
			s := basic(one, generation+1)
			s.Power.Order = generation + 1
			w.apply(s)
			w.sleep(time.Minute)
			if s := w.state(one); s.Actual != wire.ActualStopped || s.Crashes != 0 || s.Failure == nil || s.GaveUp || s.RetryAt != nil {
				t.Fatalf("start %d: %+v", generation+1, s)
			}
		}
		if n := w.crashes(one); n != 0 {
			t.Errorf("%d crashes are told", n)
		}
	})
}
