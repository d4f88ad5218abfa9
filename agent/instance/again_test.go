package instance

import (
	"errors"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/shared/wire"
)

// fails is a start that the engine refuses.
func fails(r runtime.Reason) error {
	return runtime.Fail(r, errors.New("it says so"), "it can't be started")
}

// A container that the engine could not start and did not say why, as after the
// engine's own death, is made anew, without anybody's order.
func TestAContainerThatCannotBeStartedIsMadeAnew(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		old := w.running(one)
		restart := basic(one, 2)
		restart.Power = wire.Power{Want: wire.WantRunning, Order: 2, Restart: true}
		w.engine.FailNext(fake.Start, fails(runtime.Unknown))
		w.apply(restart)
		if s := w.expect(one, wire.PhaseReady, wire.ActualStopped, true); s.Failure == nil {
			t.Fatal("the failure was not told")
		}
		w.lastState(one)
		w.sleep(firstAgain)
		if now := w.running(one); now.ID == old.ID {
			t.Error("it is the same container")
		}
		w.lastState(one)
	})
}

// What stands in the way for longer is tried more and more rarely, and a new
// order tries at once.
func TestAFailureThatMayPassIsTriedAgain(t *testing.T) {
	t.Parallel()
	for _, reason := range []runtime.Reason{runtime.Unknown, runtime.NoSpace, runtime.PortInUse} {
		t.Run(string(reason), func(t *testing.T) {
			t.Parallel()
			play(t, func(w *world) {
				w.apply(basic(one, 1))
				w.running(one)
				w.engine.Fail(fake.Start, fails(reason))
				w.crash(one)
				before := w.engine.Calls(fake.Start)
				w.sleep(time.Hour)
				if tries := w.engine.Calls(fake.Start) - before; tries < 12 || tries > 25 {
					t.Errorf("%d tries in an hour", tries)
				}
				w.engine.Fail(fake.Start, nil)
				w.apply(basic(one, 2))
				w.running(one)
				w.engine.Fail(fake.Start, fails(reason))
				w.crash(one)
				w.engine.Fail(fake.Start, nil)
				w.sleep(firstAgain)
				w.running(one)
			})
		})
	}
}

// A suspension that the engine refused to carry out is not given up either.
func TestAStopThatFailsIsTriedAgain(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		w.running(one)
		for _, m := range []fake.Method{fake.Stop, fake.Kill} {
			w.engine.Fail(m, fails(runtime.Unknown))
		}
		suspended := basic(one, 2)
		suspended.Suspended = true
		w.apply(suspended)
		if s := w.state(one); s.Failure == nil {
			t.Fatalf("%+v", s)
		}
		for _, m := range []fake.Method{fake.Stop, fake.Kill} {
			w.engine.Fail(m, nil)
		}
		w.sleep(time.Minute)
		if s := w.expect(one, wire.PhaseReady, wire.ActualStopped, true); s.Failure != nil {
			t.Errorf("%+v", s)
		}
	})
}

// A deployment that the end of the engine, or of the agent, has cut off is tried again
// for a minute before anybody hears that it failed, each time with a container of its
// own: an engine that was killed may have left half of one.
func TestADeploymentThatWasCutOffIsTriedAgain(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(w *world){
		"by the engine": func(w *world) {
			release := w.engine.Hold(fake.Start)
			w.apply(basic(one, 1))
			w.engine.SetUnreachable(true)
			w.sleep(time.Second)
			release()
		},
		"by the agent": func(w *world) {
			w.engine.SetUnreachable(true)
			w.sleep(time.Second)
			w.apply(basic(one, 1))
			w.reboot()
		},
	} {
		for _, reason := range []runtime.Reason{runtime.Unknown, runtime.PortInUse} {
			t.Run(name+" "+string(reason), func(t *testing.T) {
				t.Parallel()
				play(t, func(w *world) {
					end(w)
					w.engine.Fail(fake.Start, fails(reason))
					w.engine.SetUnreachable(false)
					w.sleep(20 * time.Second)
					first := w.engine.Find(one)
					if s := w.expect(one, wire.PhaseInstalling, wire.ActualStopped, false); s.Failure != nil || len(first) != 1 {
						t.Fatalf("%+v, containers %+v", s, first)
					}
					w.engine.Fail(fake.Start, nil)
					w.sleep(settleFor)
					if now := w.running(one); now.ID == first[0].ID {
						t.Error("it is the same container")
					}
					for _, e := range w.events(wire.EventState) {
						if e.State.Failure != nil {
							t.Errorf("a failure was told: %+v", e.State)
						}
					}
				})
				play(t, func(w *world) {
					end(w)
					w.engine.Fail(fake.Start, fails(reason))
					w.engine.SetUnreachable(false)
					w.sleep(2 * settleFor)
					if s := w.expect(one, wire.PhaseFailed, wire.ActualStopped, true); s.Failure == nil {
						t.Errorf("%+v", s)
					}
					before := w.engine.Calls(fake.Start)
					w.sleep(time.Hour)
					if w.engine.Calls(fake.Start) != before {
						t.Error("what has failed is tried again")
					}
				})
			})
		}
	}
}

// One that was ordered while the engine was away, and of which nothing had begun,
// fails at once.
func TestADeploymentThatWaitedForTheEngineFailsAtOnce(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.engine.SetUnreachable(true)
		w.sleep(time.Second)
		w.apply(basic(one, 1))
		w.engine.FailNext(fake.Start, fails(runtime.PortInUse))
		w.engine.SetUnreachable(false)
		w.sleep(20 * time.Second)
		w.expect(one, wire.PhaseFailed, wire.ActualStopped, true)
	})
}

// What only a change of the instance can mend is not tried again, and neither is
// a deployment: whoever ordered it is told, and decides.
func TestAFailureThatStaysIsLeft(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.engine.FailNext(fake.Start, fails(runtime.Unknown))
		w.apply(basic(one, 1))
		w.sleep(time.Hour)
		w.expect(one, wire.PhaseFailed, wire.ActualStopped, true)
		w.apply(basic(one, 2))
		w.running(one)
		w.engine.Fail(fake.Start, fails(runtime.CommandNotFound))
		w.crash(one)
		before := w.engine.Calls(fake.Start)
		w.sleep(time.Hour)
		if tries := w.engine.Calls(fake.Start) - before; tries != 0 {
			t.Errorf("%d tries", tries)
		}
	})
}
