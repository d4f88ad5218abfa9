package instance

import (
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-panel/berth/agent/journal"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/shared/wire"
)

func TestLostJournalOfAStoppedOneInstallsNothing(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		spec := basic(one, 1)
		spec.Install.Downloads = []wire.Download{{URL: "u", Path: "f"}}
		w.apply(spec)
		w.stop()
		w.engine.Crash(w.engine.Find(one)[0].ID, 137)
		w.dropJournal()
		w.boot()
		w.apply(spec)
		w.running(one)
		if n := w.installer.count(); n != 1 {
			t.Errorf("%d installs: the owner's files were written over", n)
		}
	})
}

// leftover makes a container that the owner doesn't know of, as when the engine
// carries out a create whose caller has gone.
func (w *world) leftover() {
	w.t.Helper()
	_, err := w.engine.Create(w.t.Context(), runtime.ContainerSpec{
		Name: "berth-" + string(one), Instance: one, Image: gameImage, MemoryBytes: 64 << 20, NanoCPUs: 1e9, SpecHash: "old",
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestCreateThatFindsALeftover(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.leftover()
		w.apply(basic(one, 1))
		w.running(one)
	})
}

func TestCreateWhoseAnswerWasLostLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.engine.LoseAnswer(fake.Create, runtime.Fail(runtime.Unknown, nil, "broken off"))
		w.apply(basic(one, 1))
		w.expect(one, wire.PhaseFailed, wire.ActualStopped, true)
		w.remove(one, 2)
		w.removed(one, 2, 1)
	})
}

func TestCreateThatOutlivesItsTurn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		last func(w *world)
	}{
		{"removal", func(w *world) { w.remove(one, 2) }},
		{"end of the agent", func(w *world) { w.stop() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			play(t, func(w *world) {
				w.engine.Delay(fake.Create, time.Second)
				w.apply(basic(one, 1))
				tt.last(w) // in the middle of the create
				w.sleep(time.Second)
				if tt.name == "removal" {
					w.removed(one, 2, 1)
					return
				}
				if len(w.engine.Find(one)) != 1 {
					t.Error("the create was broken off")
				}
				w.boot()
				w.running(one)
			})
		})
	}
}

func TestCreateThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		release := w.engine.Hold(fake.Create)
		defer release()
		w.apply(basic(one, 1))
		began := time.Now()
		w.stop()
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the agent took %s to end", took)
		}
		w.boot()
	})
}

func TestFailedStartIsTriedAgainWhenTheEngineComesBack(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		w.running(one)
		vacate := w.engine.Occupy(25565, runtime.TCP)
		w.apply(order(2, wire.Power{Want: wire.WantRunning, Order: 2, Restart: true}))
		w.sleep(time.Hour) // by now it is tried every five minutes
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
		vacate()
		w.engine.BreakWatches()
		w.sleep(time.Minute)
		w.running(one)
	})
}

func TestExitNoticedDuringASuspensionIsNotHeldAgainstIt(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		release := w.engine.Hold(fake.Inspect)
		w.engine.Crash(w.engine.Find(one)[0].ID, 0)
		synctest.Wait()
		spec := basic(one, 2)
		spec.Suspended = true
		w.apply(spec)
		release()
		synctest.Wait()
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
		spec.Generation, spec.Suspended = 3, false
		w.apply(spec)
		w.running(one)
	})
}

func TestCrashBeforeTheStreamBreaksIsForgotten(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		for range 4 {
			w.engine.Crash(w.running(one).ID, 137)
			w.sleep(10 * time.Second)
		}
		w.sleep(time.Minute)
		w.engine.Crash(w.running(one).ID, 137) // the fifth: given up
		w.sleep(time.Second)
		w.expect(one, wire.PhaseReady, wire.ActualCrashed, true)
		w.engine.SetUnreachable(true) // but it was the engine's doing
		w.sleep(time.Minute)
		w.engine.SetUnreachable(false)
		w.sleep(time.Minute)
		w.running(one)
	})
}

func TestCrashBeforeTheStreamBreaksDoesNotCount(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		w.engine.Crash(w.running(one).ID, 137)
		w.sleep(100 * time.Millisecond)
		w.engine.BreakWatches()
		w.sleep(30 * time.Second)
		w.engine.Crash(w.running(one).ID, 137)
		w.sleep(0)
		w.running(one) // at once: the first one was not counted
	})
}

// An end of which a container that stayed up has told was nobody's but its program's.
func TestACertainEndCountsThoughTheStreamBreaks(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	o := newOwner(&Manager{log: slog.New(slog.DiscardHandler)}, one)
	certain, other := at, at.Add(time.Second)
	o.sure = []time.Time{certain}
	o.known = journal.Known{Crashes: []time.Time{certain, other}, Halt: journal.HaltEnded, HaltAt: certain}
	o.distrust(other.Add(time.Second))
	if !slices.Equal(o.known.Crashes, []time.Time{certain}) || o.known.Halt != journal.HaltEnded {
		t.Errorf("%+v", o.known)
	}
}

func TestManyOrdersAtOnce(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.engine.SetProgram(func(runtime.ContainerSpec) fake.Program { return fake.Program{StopTakes: time.Second} })
		for i := range int64(100) {
			power := wire.Power{Want: wire.WantRunning, Order: i + 1, Restart: i%3 == 0}
			if i%2 == 0 {
				power = wire.Power{Want: wire.WantStopped, Order: i + 1, Force: i%4 == 0}
			}
			if _, err := w.m.Apply(order(i+1, power)); err != nil {
				t.Fatal(err)
			}
			if i%7 == 0 {
				w.sleep(300 * time.Millisecond)
			}
		}
		w.sleep(time.Minute)
		w.running(one)
		if e := w.lastState(one); e.Generation != 100 || !e.State.Converged {
			t.Errorf("told last: %+v", e)
		}
	})
}

func TestApplyAfterTheEndIsRefused(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.stop()
		if _, err := w.m.Apply(basic(one, 1)); err == nil {
			t.Error("an agent that has ended takes orders")
		}
		w.boot()
	})
}
