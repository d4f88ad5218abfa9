package instance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// TestScriptGoesOn over what says nothing about it.
func TestScriptGoesOn(t *testing.T) {
	t.Parallel()
	for name, befalls := range map[string]func(w *world){
		"another order": func(w *world) {
			s := prepared(2)
			s.Power.Restart, s.Limits.MemoryMiB = true, 128
			w.apply(s)
		},
		"an order for the disk": func(w *world) {
			s := prepared(2)
			s.Convert, s.Limits.DiskMiB = true, 20
			w.apply(s)
		},
		"the agent's restart":   (*world).reboot,
		"the agent killed":      (*world).kill,
		"a break of the stream": func(w *world) { w.engine.BreakWatches() },
		"an engine that is away": func(w *world) {
			w.engine.SetUnreachable(true)
			w.sleep(20 * time.Second)
			w.engine.SetUnreachable(false)
		},
		"a journal that is full":  func(w *world) { w.full.Store(true); w.sleep(20 * time.Second); w.full.Store(false) },
		"a log that can't be had": func(w *world) { w.engine.FailNext(fake.Log, runtime.Fail(runtime.Unknown, nil, "no log today")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script(t, fake.Program{Ends: true, Runs: 2 * time.Minute, Says: "first\n"}, func(w *world, printed *paper) {
				w.apply(prepared(1))
				w.sleep(10 * time.Second)
				aide := w.aide()
				befalls(w)
				w.sleep(40 * time.Second) // the next connection to the engine stands
				if again := w.aide(); again == nil || again.ID != aide.ID {
					t.Fatalf("the installation is %+v, was %+v", again, aide)
				}
				w.engine.Print(aide.ID, false, "second\n")
				w.sleep(3 * time.Minute)
				w.installed()
				if n := w.engine.Calls(fake.Create); n > 2 || w.installer.count() != 1 {
					t.Errorf("%d containers made, %d downloads", n, w.installer.count())
				}
				if strings.Count(printed.String(), "first\n") != 1 || strings.Count(printed.String(), "second\n") != 1 {
					t.Errorf("the console says %q", printed.String())
				}
			})
		})
	}
}

// TestScriptIsBegunAnew where nobody can know how it ended, or what it is to do has
// changed.
func TestScriptIsBegunAnew(t *testing.T) {
	t.Parallel()
	gone := func(code int) func(w *world) {
		return func(w *world) { // the engine ends its containers, and is away
			w.engine.SetUnreachable(true)
			w.engine.Crash(w.aide().ID, code)
			w.sleep(20 * time.Second)
			w.engine.SetUnreachable(false)
		}
	}
	for name, befalls := range map[string]func(w *world){
		"the engine goes down":          gone(137),
		"the engine goes down in order": gone(0),
		"an end that nobody saw":        func(w *world) { id := w.aide().ID; w.stop(); w.engine.Crash(id, 0); w.boot() },
		"a failure just before the engine": func(w *world) {
			w.engine.Crash(w.aide().ID, 143)
			w.sleep(time.Second)
			w.failed(problem.Conflict, "143")
			w.engine.SetUnreachable(true)
			w.sleep(5 * time.Second)
			w.engine.SetUnreachable(false)
		},
		"another script":                    func(w *world) { s := prepared(2); s.Install.Script.Text = "echo other\n"; w.apply(s) },
		"another variable":                  func(w *world) { s := prepared(2); s.Install.Script.Env = nil; w.apply(s) },
		"a wipe":                            func(w *world) { s := prepared(2); s.Wipe = 2; w.apply(s) },
		"an order to install again":         func(w *world) { s := prepared(2); s.Reinstall = 2; w.apply(s) },
		"suspended and no longer":           func(w *world) { s := prepared(2); s.Suspended = true; w.apply(s); w.apply(prepared(3)) },
		"called off, and tried again":       func(w *world) { s := prepared(2); s.Hold = true; w.apply(s); w.apply(prepared(3)) },
		"a journal that is lost":            func(w *world) { w.loseJournal(); w.apply(prepared(2)) },
		"a journal that is lost for longer": func(w *world) { w.loseJournal(); w.sleep(time.Minute); w.apply(prepared(2)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script(t, fake.Program{Ends: true, Runs: time.Minute}, func(w *world, _ *paper) {
				w.apply(prepared(1))
				w.sleep(10 * time.Second)
				aide := w.aide().ID
				befalls(w)
				w.sleep(45 * time.Second)
				if again := w.aide(); again == nil || again.ID == aide {
					t.Fatalf("the installation is %+v, was %s", again, aide)
				}
				w.sleep(3 * time.Minute)
				w.installed()
				if w.installer.count() != 2 {
					t.Errorf("%d downloads", w.installer.count())
				}
			})
		})
	}
}

func TestScriptIsEnded(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		order func(w *world)
		end   func(w *world)
	}{
		"by a suspension": {func(w *world) { s := prepared(2); s.Suspended = true; w.apply(s) },
			func(w *world) { w.expect(one, wire.PhaseFailed, wire.ActualStopped, true) }},
		"by a cancel": {func(w *world) { s := prepared(2); s.Hold = true; w.apply(s) },
			func(w *world) { w.expect(one, wire.PhaseFailed, wire.ActualStopped, true) }},
		"by a move": {func(w *world) { s := prepared(2); s.Moving = true; w.apply(s) },
			func(w *world) {
				if s := w.state(one); !s.Converged || s.Actual != wire.ActualStopped {
					w.t.Errorf("it is %+v", s)
				}
			}},
		"by a removal": {func(w *world) { w.remove(one, 2) }, func(w *world) { w.removed(one, 2, 1) }},
		"by a removal while the agent is down": {
			func(w *world) {
				release := w.engine.Hold(fake.Remove)
				w.remove(one, 2)
				w.stop()
				release()
				w.boot()
				w.sleep(time.Minute)
			},
			func(w *world) { w.removed(one, 2, 1) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script(t, fake.Program{}, func(w *world, _ *paper) {
				w.apply(prepared(1))
				w.sleep(10 * time.Second)
				if w.aide() == nil {
					t.Fatal("nothing installs")
				}
				tt.order(w)
				w.sleep(time.Second)
				tt.end(w)
				if w.aide() != nil {
					t.Error("it goes on")
				}
				if left, err := os.ReadDir(filepath.Join(w.dir, "install")); err != nil || len(left) != 0 {
					t.Errorf("scripts are left: %v, %v", left, err)
				}
				w.sleep(time.Hour)
				tt.end(w)
			})
		})
	}
}

// TestScriptKilledInEachStep kills the agent in each of the engine's calls that an
// installation makes, before and after it has taken effect.
func TestScriptKilledInEachStep(t *testing.T) {
	t.Parallel()
	for _, method := range []fake.Method{fake.Image, fake.Create, fake.Start, fake.Inspect, fake.Log, fake.Remove} {
		for _, done := range []bool{false, true} {
			if lost := map[fake.Method]bool{fake.Create: true, fake.Start: true, fake.Remove: true}; done && !lost[method] {
				continue
			}
			t.Run(fmt.Sprintf("%s done=%v", method, done), func(t *testing.T) {
				t.Parallel()
				script(t, fake.Program{Ends: true, Runs: 10 * time.Second}, func(w *world, _ *paper) {
					// The instance's own container is there: the steps that follow are the script's.
					first := prepared(1)
					first.Install.Script, first.Power.Want = nil, wire.WantStopped
					w.apply(first)
					calls := w.engine.Calls(method)
					release := func() {}
					if done {
						w.engine.LoseAnswer(method, runtime.Fail(runtime.Unreachable, nil, "away"))
					} else {
						release = w.engine.Hold(method)
					}
					s := prepared(2)
					s.Reinstall = 2
					w.apply(s)
					w.sleep(12 * time.Second)
					if w.engine.Calls(method) == calls {
						t.Fatal("the step was not reached")
					}
					go func() {
						time.Sleep(time.Second)
						release()
					}()
					w.kill()
					w.sleep(3 * time.Minute)
					w.installed()
				})
			})
		}
	}
}

// TestScriptsContainerIsRemovedByHand: that is told, and the next order tries again.
func TestScriptsContainerIsRemovedByHand(t *testing.T) {
	t.Parallel()
	script(t, fake.Program{Ends: true, Runs: time.Minute}, func(w *world, _ *paper) {
		w.apply(prepared(1))
		w.engine.Vanish(w.aide().ID)
		w.sleep(time.Minute)
		w.failed(problem.Conflict, "removed by hand")
		w.apply(prepared(2))
		w.sleep(2 * time.Minute)
		w.installed()
	})
}

// TestScriptsContainerThatWontGo: what is left of it is taken away later, and keeps
// nobody waiting.
func TestScriptsContainerThatWontGo(t *testing.T) {
	t.Parallel()
	script(t, fake.Program{Ends: true, ExitCode: 4}, func(w *world, _ *paper) {
		w.engine.Fail(fake.Remove, runtime.Fail(runtime.Unknown, nil, "device or resource busy"))
		w.apply(prepared(1))
		w.sleep(time.Minute)
		s := w.state(one)
		if s.Phase != wire.PhaseFailed || s.Failure == nil {
			t.Fatalf("it is %+v", s)
		}
		w.engine.Fail(fake.Remove, nil)
		w.sleep(2 * time.Minute)
		if w.aide() != nil {
			t.Error("the container is left")
		}
	})
}
