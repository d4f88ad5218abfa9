package instance

import (
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// removed checks that nothing of the instance is left but its tombstone, and
// that n removals were told, the last one for this generation.
func (w *world) removed(id ident.Instance, generation int64, n int) {
	w.t.Helper()
	if boxes := w.engine.Find(id); len(boxes) != 0 {
		w.t.Fatalf("containers are left: %+v", boxes)
	}
	if w.hasVolume(id) {
		w.t.Fatal("the volume is left")
	}
	if h := w.holding(id); h == nil || !h.Removing || h.Generation != generation {
		w.t.Fatalf("the tombstone is %+v", h)
	}
	told := w.events(wire.EventRemoved)
	if len(told) != n || told[n-1].Generation != generation || told[n-1].Instance != id {
		w.t.Fatalf("removals told: %+v, want %d, the last of generation %d", told, n, generation)
	}
}

// forgotten acknowledges everything and checks that the instance is unknown,
// also after a reboot.
func (w *world) forgotten(id ident.Instance) {
	w.t.Helper()
	if err := w.m.Ack(w.journal.LastSeq()); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
	if h := w.holding(id); h != nil {
		w.t.Fatalf("still known: %+v", *h)
	}
	w.reboot()
	if h := w.holding(id); h != nil {
		w.t.Fatalf("known again after a reboot: %+v", *h)
	}
}

func TestRemoveTakesEverythingAtOnce(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.engine.SetProgram(func(runtime.ContainerSpec) fake.Program { return fake.Program{Stubborn: true} })
		w.apply(basic(one, 1))
		w.running(one)
		other := basic("0000000b", 1)
		other.Ports = nil
		w.apply(other)
		if err := writeFile(w.volumeFile(one, "world")); err != nil {
			t.Fatal(err)
		}
		w.remove(one, 2)
		w.removed(one, 2, 1)
		if w.engine.Calls(fake.Stop) != 0 {
			t.Error("it was asked first")
		}
		w.running("0000000b")

		w.remove(one, 2) // again: the controller lost the answer
		w.remove(one, 3)
		w.removed(one, 3, 3)
		w.forgotten(one)
		w.running("0000000b")
	})
}

func TestRemoveOfAnUnknownOne(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.remove(one, 7)
		w.removed(one, 7, 1)
		w.forgotten(one)
		w.remove(one, 7) // a controller that never got the event asks again
		w.removed(one, 7, 1)
	})
}

func TestRemoveInterruptsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	for _, method := range []fake.Method{fake.Pull, fake.EnsureNetwork, fake.Create, fake.Start, fake.Inspect, fake.Stop} {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			play(t, func(w *world) {
				release := w.engine.Hold(method)
				spec := basic(one, 1)
				if method == fake.Pull {
					spec.Image.Reference = "slow:1"
				}
				w.apply(spec)
				if method == fake.Stop {
					w.apply(order(2, wire.Power{Want: wire.WantStopped, Order: 2}))
				}
				if w.engine.Waiting(method) != 1 {
					t.Fatalf("nothing waits in %s", method)
				}
				w.remove(one, 3)
				release()
				synctest.Wait()
				w.removed(one, 3, 1)
			})
		})
	}
	t.Run("install", func(t *testing.T) {
		t.Parallel()
		play(t, func(w *world) {
			w.installer.hold = make(chan struct{})
			spec := basic(one, 1)
			spec.Install.Downloads = []wire.Download{{URL: "u", Path: "f"}}
			w.apply(spec)
			w.remove(one, 2)
			w.removed(one, 2, 1)
		})
	})
}

func TestRemoveWhenHalfIsGone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		ruin func(w *world)
	}{
		{"the container", func(w *world) { w.engine.Vanish(w.engine.Find(one)[0].ID) }},
		{"the volume", func(w *world) {
			if err := os.RemoveAll(w.volumes.Path(one)); err != nil {
				w.t.Error(err)
			}
		}},
		{"the image", func(w *world) { w.engine.DropImage(gameImage) }},
		{"the container, by half", func(w *world) { w.engine.Half(w.engine.Find(one)[0].ID) }},
		{"the answer to the first try", func(w *world) {
			w.engine.LoseAnswer(fake.Remove, runtime.Fail(runtime.Unknown, nil, "broken off"))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			play(t, func(w *world) {
				w.apply(basic(one, 1))
				w.running(one)
				tt.ruin(w) // and no time to put it right
				w.remove(one, 2)
				w.sleep(time.Minute)
				w.removed(one, 2, 1)
				w.forgotten(one)
			})
		})
	}
}

func TestRemoveIsTriedUntilItWorks(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		w.engine.Fail(fake.Remove, runtime.Fail(runtime.Unknown, errors.New("busy"), "the container can't be removed"))
		w.remove(one, 2)
		w.sleep(time.Hour)
		h := w.holding(one)
		if !h.Removing || h.State.Failure == nil || h.State.Failure.Message != "the container can't be removed" || !w.hasVolume(one) {
			t.Errorf("holding %+v", h)
		}
		if n := w.engine.Calls(fake.Remove); n < 10 || n > 100 {
			t.Errorf("%d tries in an hour", n)
		}
		w.reboot() // it is remembered
		w.engine.Fail(fake.Remove, nil)
		w.sleep(time.Minute)
		w.removed(one, 2, 1)
	})
}

func TestRemoveWaitsForTheEngine(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		w.running(one)
		w.engine.SetUnreachable(true)
		w.sleep(time.Second)
		w.remove(one, 2)
		w.sleep(time.Hour)
		if len(w.events(wire.EventRemoved)) != 0 || !w.hasVolume(one) {
			t.Fatal("removed without its container")
		}
		w.reboot()
		w.engine.SetUnreachable(false)
		w.sleep(time.Minute)
		w.removed(one, 2, 1)
	})
}

func TestSpecAfterARemovalIsANewInstance(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		spec := basic(one, 1)
		spec.Install.Downloads = []wire.Download{{URL: "u", Path: "f"}}
		w.apply(spec)
		w.running(one)
		if err := writeFile(w.volumeFile(one, "world")); err != nil {
			t.Fatal(err)
		}
		release := w.engine.Hold(fake.Remove)
		w.remove(one, 2)
		spec.Generation = 3
		w.apply(spec) // while the old one is being removed
		w.expect(one, wire.PhaseInstalling, wire.ActualRunning, false)
		release()
		synctest.Wait()
		w.running(one)
		if exists(w.volumeFile(one, "world")) || w.installer.count() != 2 {
			t.Errorf("the new one has the old one's data (%d installs)", w.installer.count())
		}
		if told := w.events(wire.EventRemoved); len(told) != 1 || told[0].Generation != 2 {
			t.Errorf("removals told: %+v", told)
		}
		// The old one's end is acknowledged: the new one stays.
		if err := w.m.Ack(w.journal.LastSeq()); err != nil {
			t.Fatal(err)
		}
		w.reboot()
		w.running(one)

		// And after the removal was finished.
		w.remove(one, 4)
		w.removed(one, 4, 1)
		spec.Generation = 5
		w.apply(spec)
		if err := w.m.Ack(w.journal.LastSeq()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.running(one)
	})
}

func TestGenerationsGoUpOnly(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 5))
		w.running(one)
		events := w.journal.LastSeq()
		stale := order(4, wire.Power{Want: wire.WantStopped, Order: 9})
		if a, err := w.m.Apply(stale); err != nil || a.Generation != 5 {
			t.Errorf("a lower generation: %+v, %v", a, err)
		}
		if a, err := w.m.Remove(one, wire.Removal{Generation: 4}); err != nil || a.Generation != 5 {
			t.Errorf("a removal of a lower generation: %+v, %v", a, err)
		}
		synctest.Wait()
		w.running(one)
		if w.journal.LastSeq() != events {
			t.Error("old news made events")
		}
		stale.Generation = 5
		w.apply(stale) // the generation decides, not what is in it
		w.running(one)
		e := w.lastState(one)
		if w.journal.LastSeq() != events+1 || e.Seq != events+1 || e.State.Actual != wire.ActualRunning || e.Generation != 5 {
			t.Errorf("the same generation again must tell the state again: %+v", e)
		}
		w.remove(one, 6)
		if a, err := w.m.Apply(basic(one, 6)); err != nil || a.Generation != 6 {
			t.Errorf("a spec of the removal's generation: %+v, %v", a, err)
		}
		synctest.Wait()
		w.removed(one, 6, 1)
	})
}

func TestBadOrdersAreRefused(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		if _, err := w.m.Remove("../../etc", wire.Removal{Generation: 1}); !problem.Is(err, problem.Validation) {
			t.Errorf("a path as an id: %v", err)
		}
		if _, err := w.m.Remove(one, wire.Removal{}); !problem.Is(err, problem.Validation) {
			t.Errorf("no generation: %v", err)
		}
		if _, err := w.m.Apply(basic("../../etc", 1)); !problem.Is(err, problem.Validation) {
			t.Errorf("a path as an id: %v", err)
		}
		if n := len(w.m.Inventory().Instances); n != 0 {
			t.Errorf("%d instances", n)
		}
	})
}

func TestWhatCannotBeJournalledIsRefused(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		w.running(one)
		w.full.Store(true)
		if _, err := w.m.Apply(basic("0000000c", 1)); !problem.Is(err, problem.Internal) {
			t.Errorf("a new one: %v", err)
		}
		if _, err := w.m.Apply(order(2, wire.Power{Want: wire.WantStopped, Order: 2})); !problem.Is(err, problem.Internal) {
			t.Errorf("a change: %v", err)
		}
		if _, err := w.m.Remove(one, wire.Removal{Generation: 2}); !problem.Is(err, problem.Internal) {
			t.Errorf("a removal: %v", err)
		}
		synctest.Wait()
		if h := w.holding("0000000c"); h != nil {
			t.Errorf("the refused one is held: %+v", h)
		}
		w.running(one)
		w.full.Store(false)
		w.apply(order(2, wire.Power{Want: wire.WantStopped, Order: 2}))
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
	})
}

func TestStatesAreToldOnceTheDiskHasRoomAgain(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		box := w.running(one)
		w.full.Store(true)
		w.engine.Crash(box.ID, 0)
		w.sleep(time.Minute)
		w.full.Store(false)
		w.sleep(time.Minute)
		if e := w.lastState(one); e.State.Actual != wire.ActualStopped {
			t.Errorf("told last: %+v", e.State)
		}
	})
}
