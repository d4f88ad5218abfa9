package instance

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func filled(generation int64) wire.Spec {
	s := basic(one, generation)
	s.Install.Downloads = []wire.Download{{URL: "fresh", Path: "server.jar"}}
	return s
}

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(w.volumeFile(one, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) read(name string) string {
	text, err := os.ReadFile(w.volumeFile(one, name))
	if err != nil {
		return ""
	}
	return string(text)
}

func (w *world) writable(want problem.Code) {
	w.t.Helper()
	err := w.m.Writable(one)
	if want == "" && err != nil || want != "" && !problem.Is(err, want) {
		w.t.Fatalf("writable: %v, want %q", err, want)
	}
}

func TestReinstallWithWipe(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.writable(problem.NotFound)
		w.apply(filled(1))
		w.writable("")
		w.write("world", "mine")
		w.write("server.jar", "changed")
		box := w.running(one).ID
		s := filled(2)
		s.Wipe, s.Power.Order, s.Installed = 2, 2, true
		w.apply(s)
		if now := w.running(one).ID; now == box || w.read("world") != "" || w.read("server.jar") != "fresh" {
			t.Errorf("container %s; world %q, server.jar %q", now, w.read("world"), w.read("server.jar"))
		}
		w.write("world", "new")
		s.Generation = 3 // the same order once more
		w.apply(s)
		w.reboot()
		if w.running(one); w.read("world") != "new" || w.installer.count() != 2 {
			t.Errorf("world %q, %d installs", w.read("world"), w.installer.count())
		}
	})
}

func TestReinstallOverWhatIsThere(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(filled(1))
		w.write("world", "mine")
		w.write("server.jar", "changed")
		s := filled(2)
		s.Reinstall, s.Installed = 2, true
		w.apply(s)
		if w.running(one); w.read("world") != "mine" || w.read("server.jar") != "fresh" || w.installer.count() != 2 {
			t.Errorf("world %q, server.jar %q, %d installs", w.read("world"), w.read("server.jar"), w.installer.count())
		}
	})
}

func TestReinstallOfWhatIsStopped(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		s := filled(1)
		w.apply(s)
		s.Generation, s.Power = 2, wire.Power{Want: wire.WantStopped, Order: 2}
		w.apply(s)
		s.Generation, s.Wipe = 3, 3
		w.apply(s)
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
		if w.read("server.jar") != "fresh" || w.installer.count() != 2 {
			t.Errorf("%d installs", w.installer.count())
		}
	})
}

// TestReinstallKilledHalfway: at the installation, and when that has failed.
func TestReinstallKilledHalfway(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(filled(1))
		w.write("world", "mine")
		w.installer.mu.Lock()
		w.installer.hold, w.installer.fails = make(chan struct{}), errors.New("no")
		w.installer.mu.Unlock()
		s := filled(2)
		s.Wipe, s.Installed = 2, true
		w.apply(s)
		w.expect(one, wire.PhaseInstalling, wire.ActualStopped, false)
		w.writable(problem.Conflict)
		w.reboot()
		w.expect(one, wire.PhaseInstalling, wire.ActualStopped, false)
		w.installer.mu.Lock()
		close(w.installer.hold)
		w.installer.hold = nil
		w.installer.mu.Unlock()
		w.sleep(time.Second)
		w.expect(one, wire.PhaseFailed, wire.ActualStopped, true)
		w.installer.mu.Lock()
		w.installer.fails = nil
		w.installer.mu.Unlock()
		s.Generation, s.Power.Order = 3, 2
		w.apply(s)
		if w.running(one); w.read("world") != "" || w.read("server.jar") != "fresh" {
			t.Errorf("world %q, server.jar %q", w.read("world"), w.read("server.jar"))
		}
		w.writable("")
	})
}

// TestReinstallKilledAtEachStep kills the agent after each of the engine's calls
// of a reinstall.
func TestReinstallKilledAtEachStep(t *testing.T) {
	t.Parallel()
	for _, op := range []fake.Method{fake.Stop, fake.Remove, fake.Create, fake.Start} {
		t.Run(string(op), func(t *testing.T) {
			t.Parallel()
			play(t, func(w *world) {
				w.apply(filled(1))
				w.write("world", "mine")
				release := w.engine.Hold(op)
				s := filled(2)
				s.Wipe, s.Installed, s.Stop = 2, true, wire.Stop{Signal: "SIGTERM", GraceSeconds: 5}
				if _, err := w.m.Apply(s); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if w.engine.Waiting(op) != 1 {
					t.Fatal("it is not at that step")
				}
				w.stop()
				release()
				w.boot()
				w.sleep(time.Minute)
				if w.running(one); w.read("world") != "" || w.read("server.jar") != "fresh" {
					t.Errorf("world %q, server.jar %q", w.read("world"), w.read("server.jar"))
				}
			})
		})
	}
}

// TestOldOrdersToWipeAreNotCarriedOut: a journal that was lost, or a node that the
// instance has come to, has not seen them.
func TestOldOrdersToWipeAreNotCarriedOut(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(filled(1))
		w.write("world", "mine")
		w.loseJournal()
		s := filled(9)
		s.Wipe, s.Reinstall, s.Installed = 7, 5, true
		w.apply(s)
		if w.running(one); w.read("world") != "mine" || w.installer.count() != 1 {
			t.Errorf("world %q, %d installs", w.read("world"), w.installer.count())
		}
		s.Generation, s.Wipe = 10, 10
		w.apply(s)
		if w.running(one); w.read("world") != "" {
			t.Error("a new order was not carried out")
		}
	})
}

// TestDataThatIsGone: what was ready once never begins with an empty volume.
func TestDataThatIsGone(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(w *world){
		"the journal knows":       func(*world) {},
		"the journal is lost too": (*world).loseJournal,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, func(w *world) {
				w.apply(filled(1))
				w.apply(order(2, wire.Power{Want: wire.WantStopped, Order: 2}))
				w.engine.Vanish(w.engine.Find(one)[0].ID)
				if err := w.volumes.Remove(one); err != nil {
					t.Fatal(err)
				}
				lose(w)
				s := filled(3)
				s.Installed, s.Power.Order = true, 3
				w.apply(s)
				w.sleep(time.Minute)
				if st := w.state(one); st.Actual != wire.ActualStopped || st.Failure == nil || st.Failure.Code != problem.NotFound || w.hasVolume(one) {
					t.Fatalf("state: %+v", st)
				}
				if n := w.engine.Calls(fake.Start); n != 1 {
					t.Errorf("%d starts", n)
				}
				s.Generation, s.Wipe, s.Power.Order = 4, 4, 4
				w.apply(s)
				if w.running(one); w.read("server.jar") != "fresh" {
					t.Error("the reinstall did not begin anew")
				}
			})
		})
	}
}

func TestDataThatComesBack(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(filled(1))
		s := filled(2)
		s.Power = wire.Power{Want: wire.WantStopped, Order: 2}
		w.apply(s)
		at := w.volumes.Path(one)
		if err := os.Rename(at, at+".away"); err != nil {
			t.Fatal(err)
		}
		s.Generation, s.Power = 3, wire.Power{Want: wire.WantRunning, Order: 3}
		w.apply(s)
		if st := w.state(one); st.Failure == nil {
			t.Fatalf("state: %+v", st)
		}
		if err := os.Rename(at+".away", at); err != nil {
			t.Fatal(err)
		}
		w.sleep(maxAgain) // it is tried again by itself
		if w.running(one); w.read("server.jar") != "fresh" {
			t.Error("not the same data")
		}
	})
}

func TestMovingStaysDown(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(filled(1))
		s := filled(2)
		s.Moving, s.Power.Order = true, 2
		w.apply(s)
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
		w.writable(problem.Conflict)
		if err := w.engine.Start(t.Context(), w.engine.Find(one)[0].ID); err != nil { // by hand
			t.Fatal(err)
		}
		w.sleep(time.Second)
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
		w.reboot()
		w.sleep(time.Hour)
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
		w.writable(problem.Conflict)
		s.Generation, s.Moving = 3, false
		w.apply(s)
		w.running(one)
		w.writable("")
		w.remove(one, 4)
		w.writable(problem.NotFound)
	})
}

// TestMovingEvenWhenItFails: one whose image can't be had goes down all the same,
// and says that it is.
func TestMovingEvenWhenItFails(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(filled(1))
		s := filled(2)
		s.Image.Reference, s.Moving, s.Drift = "nowhere:1", true, wire.DriftReport
		w.apply(s)
		if st := w.expect(one, wire.PhaseReady, wire.ActualStopped, true); st.Failure != nil {
			t.Errorf("state: %+v", st)
		}
	})
}

// cutters note what was so when writers were cut.
type cutters struct {
	w    *world
	seen []string
}

func (c *cutters) Cut(id ident.Instance, why *problem.Problem) {
	c.w.t.Helper()
	_, err := os.Lstat(filepath.Join(c.w.dir, "volumes", string(id)))
	up := slices.ContainsFunc(c.w.engine.Find(id), isUp)
	if err := c.w.m.Writable(id); !problem.Is(err, why.Code) || err.Error() != why.Error() {
		c.w.t.Errorf("writers are cut because of %v, and new ones meet %v", why, err)
	}
	c.seen = append(c.seen, fmt.Sprintf("up %v, volume %v, converged %v", up, err == nil, c.w.state(id).Converged))
}

// TestWritersAreCutInTime: what an upload or a session still writes neither gets
// lost behind a move's last copy nor lands in a volume that is thrown away.
func TestWritersAreCutInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := &cutters{w: w}
		w.writers = c
		w.boot()
		defer func() { w.stop() }()
		expect := func(after string, times int) {
			t.Helper()
			synctest.Wait()
			if len(c.seen) != times || slices.ContainsFunc(c.seen, func(s string) bool { return s != "up false, volume true, converged false" }) {
				t.Errorf("after %s: %q, want %d times in the right moment", after, c.seen, times)
			}
			c.seen = nil
		}
		s := filled(1)
		w.apply(s)
		w.running(one)
		expect("a deployment", 0)
		s.Generation, s.Moving, s.Power.Order = 2, true, 2
		w.apply(s)
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
		expect("a move's begin", 1)
		w.sleep(time.Hour)
		w.reboot()
		w.sleep(time.Hour)
		expect("a long move", 0)
		s.Generation, s.Moving, s.Power.Order = 3, false, 3
		w.apply(s)
		w.running(one)
		s.Generation, s.Reinstall, s.Installed = 4, 4, true
		w.apply(s)
		w.running(one)
		expect("a reinstallation", 1)
		s.Generation, s.Wipe, s.Reinstall = 5, 5, 5
		w.apply(s)
		w.running(one)
		expect("a wipe", 1)
		w.remove(one, 6)
		w.removed(one, 6, 1)
		expect("a removal", 1)
	})
}
