package instance

import (
	"context"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/shared/wire"
)

type provide func(reference string) (bool, error)

func (p provide) Provide(_ context.Context, reference string) (bool, error) { return p(reference) }

// order is the basic spec with another power order.
func order(generation int64, power wire.Power) wire.Spec {
	s := basic(one, generation)
	s.Power = power
	return s
}

func TestStopAsksAndThenKills(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		stop    wire.Stop
		program fake.Program
		takes   time.Duration
		lines   []string
		signals []string
	}{
		{"command", wire.Stop{Command: "end", Signal: "SIGINT", GraceSeconds: 10}, fake.Program{OnLine: func(line string) (int, bool) { return 0, line == "end" }, StopTakes: 3 * time.Second}, 3 * time.Second, []string{"end"}, nil},
		{"signal", wire.Stop{Signal: "SIGINT", GraceSeconds: 10}, fake.Program{}, 0, nil, []string{"SIGINT"}},
		{"the image's own signal", wire.Stop{GraceSeconds: 10}, fake.Program{}, 0, nil, []string{"SIGTERM"}},
		{"stubborn", wire.Stop{Command: "stop", GraceSeconds: 10}, fake.Program{Stubborn: true}, 10 * time.Second, []string{"stop"}, nil},
		{"a signal that is none", wire.Stop{Signal: "SIGNOTHING", GraceSeconds: 10}, fake.Program{}, 0, nil, nil},
		{"no grace", wire.Stop{Command: "stop"}, fake.Program{Stubborn: true}, 0, []string{"stop"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			play(t, func(w *world) {
				w.engine.SetProgram(func(runtime.ContainerSpec) fake.Program { return tt.program })
				spec := basic(one, 1)
				spec.Stop = tt.stop
				w.apply(spec)
				box := w.running(one)
				spec.Generation, spec.Power = 2, wire.Power{Want: wire.WantStopped, Order: 2}
				w.apply(spec)
				if tt.takes > 0 {
					w.sleep(tt.takes - time.Millisecond)
					w.expect(one, wire.PhaseReady, wire.ActualStopping, false)
					w.sleep(time.Millisecond)
				}
				s := w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
				if s.StartedAt != nil || s.RetryAt != nil || s.Failure != nil {
					t.Errorf("state after the stop: %+v", s)
				}
				if got := w.engine.Lines(box.ID); !reflect.DeepEqual(got, tt.lines) {
					t.Errorf("lines %q, want %q", got, tt.lines)
				}
				if got := w.engine.Signals(box.ID); !reflect.DeepEqual(got, tt.signals) {
					t.Errorf("signals %q, want %q", got, tt.signals)
				}
				w.sleep(time.Hour)
				w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
				w.lastState(one)
			})
		})
	}
}

func TestForceKillsAlsoInTheMiddleOfAStop(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.engine.SetProgram(func(runtime.ContainerSpec) fake.Program { return fake.Program{Stubborn: true} })
		w.apply(basic(one, 1))
		w.apply(order(2, wire.Power{Want: wire.WantStopped, Order: 2}))
		w.expect(one, wire.PhaseReady, wire.ActualStopping, false)
		w.apply(order(3, wire.Power{Want: wire.WantStopped, Order: 3, Force: true}))
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
		if w.engine.Calls(fake.Kill) != 1 {
			t.Error("it was not killed")
		}
	})
}

func TestRestartHappensOncePerOrder(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		first := w.running(one)
		w.sleep(time.Second)
		again := order(2, wire.Power{Want: wire.WantRunning, Order: 2, Restart: true})
		w.apply(again)
		second := w.running(one)
		if !second.StartedAt.After(first.StartedAt) || second.ID != first.ID {
			t.Fatalf("not restarted: %+v then %+v", first, second)
		}
		w.sleep(time.Second)
		w.apply(again) // the same spec again
		spec := order(3, again.Power)
		spec.Stop.GraceSeconds = 20 // another spec, the same order
		w.apply(spec)
		w.reboot()
		if third := w.running(one); !third.StartedAt.Equal(second.StartedAt) {
			t.Errorf("restarted again at %s", third.StartedAt)
		}
		if w.engine.Calls(fake.Stop) != 1 {
			t.Errorf("%d stops", w.engine.Calls(fake.Stop))
		}
	})
}

func TestRestartOfAStoppedOneStartsIt(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(order(1, wire.Power{Want: wire.WantStopped, Order: 1}))
		w.apply(order(2, wire.Power{Want: wire.WantRunning, Order: 2, Restart: true}))
		w.running(one)
	})
}

func TestStartInTheMiddleOfAStopEndsRunning(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.engine.SetProgram(func(runtime.ContainerSpec) fake.Program { return fake.Program{StopTakes: 3 * time.Second} })
		w.apply(basic(one, 1))
		first := w.running(one)
		w.apply(order(2, wire.Power{Want: wire.WantStopped, Order: 2}))
		w.sleep(time.Second)
		w.expect(one, wire.PhaseReady, wire.ActualStopping, false)
		w.apply(order(3, wire.Power{Want: wire.WantRunning, Order: 3}))
		w.sleep(time.Minute)
		if box := w.running(one); !box.StartedAt.After(first.StartedAt) {
			t.Error("the stop was never finished")
		}
	})
}

func TestSuspendStopsAndUnsuspendStartsWhatRan(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		w.running(one)
		spec := basic(one, 2)
		spec.Suspended = true
		w.apply(spec)
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)

		spec.Generation, spec.Power = 3, wire.Power{Want: wire.WantRunning, Order: 2, Restart: true}
		w.apply(spec)
		w.reboot()
		w.sleep(time.Hour)
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
		if n := w.engine.Calls(fake.Start); n != 1 {
			t.Fatalf("started while suspended: %d starts", n)
		}
		spec.Generation, spec.Suspended = 4, false
		w.apply(spec)
		w.running(one)
	})
}

func TestUnsuspendLeavesAStoppedOneStopped(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		spec := order(1, wire.Power{Want: wire.WantStopped, Order: 1})
		w.apply(spec)
		spec.Generation, spec.Suspended = 2, true
		w.apply(spec)
		spec.Generation, spec.Suspended = 3, false
		w.apply(spec)
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
		if w.engine.Calls(fake.Start) != 0 {
			t.Error("it was started")
		}
	})
}

func TestStopAndSuspendWorkWhileTheImageCannotBeHad(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		w.running(one)
		spec := basic(one, 2)
		spec.Image.Reference = "nope:1"
		w.apply(spec)
		if s := w.expect(one, wire.PhaseReady, wire.ActualRunning, true); s.Failure == nil {
			t.Error("the failed change was not told")
		}
		spec.Generation, spec.Suspended = 3, true
		w.apply(spec)
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
		if box := w.engine.Find(one)[0]; box.Status != runtime.Exited {
			t.Errorf("suspended, and %s", box.Status)
		}
	})
}

func TestChangedSpecMakesTheContainerAnew(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		old := w.running(one)
		if err := writeFile(w.volumeFile(one, "world")); err != nil {
			t.Fatal(err)
		}
		spec := basic(one, 2)
		spec.Env = []string{"A=2"}
		w.apply(spec)
		box := w.running(one)
		if box.ID == old.ID || w.engine.Spec(box.ID).Env[0] != "A=2" {
			t.Errorf("the container is %+v", box)
		}
		if got := w.engine.Lines(old.ID); len(got) != 0 {
			t.Errorf("the old container is still there: %q", got)
		}
		if w.engine.Calls(fake.Stop) != 1 {
			t.Error("the old one was not asked to stop")
		}
		if !exists(w.volumeFile(one, "world")) {
			t.Error("the data did not survive")
		}
		// What needs no new container leaves it alone.
		spec.Generation, spec.Stop.GraceSeconds = 3, 99
		w.apply(spec)
		if same := w.running(one); same.ID != box.ID || !same.StartedAt.Equal(box.StartedAt) {
			t.Error("a new grace made a new container")
		}
		if e := w.lastState(one); e.Generation != 3 || !e.State.Converged {
			t.Errorf("generation 3 was not told: %+v", e)
		}
	})
}

func TestInterruptedStartIsLookedAt(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		release := w.engine.Hold(fake.Start)
		w.apply(basic(one, 1))
		w.expect(one, wire.PhaseInstalling, wire.ActualStarting, false)
		w.apply(order(2, wire.Power{Want: wire.WantStopped, Order: 2}))
		release()
		synctest.Wait()
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
	})
}
