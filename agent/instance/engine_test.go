package instance

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

func TestEngineThatIsAwayAtTheStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.engine.SetUnreachable(true)
		w.boot()
		defer func() { w.stop() }()
		w.apply(basic(one, 1)) // accepted, and waits
		w.sleep(time.Hour)
		w.expect(one, wire.PhaseInstalling, wire.ActualUnknown, false)
		if e := w.m.Engine(); e.Reachable || e.Message == "" {
			t.Errorf("engine: %+v", e)
		}
		w.engine.SetUnreachable(false)
		w.sleep(20 * time.Second)
		w.running(one)
		told := w.events(wire.EventEngine)
		if len(told) != 2 || told[0].Engine.Reachable || !told[1].Engine.Reachable || told[1].Engine.Cores != w.m.Engine().Cores {
			t.Errorf("told of the engine: %+v", told)
		}
	})
}

func TestEngineThatGoesAwayAndComesBack(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		for _, id := range []ident.Instance{one, "0000000b", "0000000c", "0000000d"} {
			spec := basic(id, 1)
			spec.Ports = nil
			w.apply(spec)
		}
		lives := w.running(one)
		w.engine.SetUnreachable(true)
		w.sleep(time.Minute)
		// Nobody sees what happens now: it says nothing about how they ended.
		w.engine.Crash(w.engine.Find("0000000b")[0].ID, 0)
		w.engine.Crash(w.engine.Find("0000000c")[0].ID, 137)
		w.engine.Vanish(w.engine.Find("0000000d")[0].ID)
		w.sleep(time.Minute)
		for _, id := range []ident.Instance{one, "0000000b", "0000000c", "0000000d"} {
			w.expect(id, wire.PhaseReady, wire.ActualRunning, true) // as it was known
		}
		w.engine.SetUnreachable(false)
		w.sleep(time.Minute)
		for _, id := range []ident.Instance{"0000000b", "0000000c", "0000000d"} {
			w.running(id)
		}
		if box := w.running(one); box.ID != lives.ID || !box.StartedAt.Equal(lives.StartedAt) {
			t.Error("the one that lived on was touched")
		}
		if told := w.events(wire.EventEngine); len(told) != 3 {
			t.Errorf("%d events about the engine, want there, away and back", len(told))
		}
	})
}

func TestEngineThatEndsItsContainersInGoodOrder(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		spec := basic("0000000b", 1)
		spec.Ports = nil
		w.apply(spec)
		w.apply(basic(one, 1))
		w.engine.Crash(w.running("0000000b").ID, 0) // by itself, long before
		w.sleep(time.Minute)
		w.engine.Crash(w.running(one).ID, 0) // by the engine, which ends
		w.sleep(5 * time.Second)
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
		w.engine.SetUnreachable(true)
		w.sleep(time.Minute)
		w.engine.SetUnreachable(false)
		w.sleep(time.Minute)
		w.running(one)
		w.expect("0000000b", wire.PhaseReady, wire.ActualStopped, true)
	})
}

func TestBrokenStreamTouchesNoRunningContainer(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		box := w.running(one)
		for range 5 {
			w.engine.BreakWatches()
			w.sleep(time.Minute)
		}
		if again := w.running(one); !again.StartedAt.Equal(box.StartedAt) || again.ID != box.ID {
			t.Error("it was restarted")
		}
		if n := len(w.events(wire.EventEngine)); n != 1 {
			t.Errorf("%d events about an engine that was never away", n)
		}
		// And the new stream is listened to.
		w.crash(one)
		w.engine.Crash(box.ID, 1)
		w.sleep(time.Millisecond)
		w.expect(one, wire.PhaseReady, wire.ActualCrashed, true)
	})
}

func TestEngineThatHangsIsNoticed(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		release := w.engine.Hold(fake.Info)
		w.sleep(2 * time.Minute)
		if w.m.Engine().Reachable {
			t.Error("an engine that hangs counts as there")
		}
		release()
		w.sleep(time.Minute)
		if !w.m.Engine().Reachable {
			t.Error("it is not noticed that the engine is back")
		}
	})
}

func TestEngineThatAnswersButCannotBeWatchedOrListed(t *testing.T) {
	t.Parallel()
	for _, method := range []fake.Method{fake.Watch, fake.List} {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var release func()
				if method == fake.Watch {
					release = w.engine.Hold(fake.Watch)
				} else {
					w.engine.Fail(fake.List, runtime.Fail(runtime.Unknown, nil, "no list today"))
					release = func() { w.engine.Fail(fake.List, nil) }
				}
				w.boot()
				defer func() { w.stop() }()
				w.apply(basic(one, 1))
				w.sleep(10 * time.Minute)
				if e := w.m.Engine(); e.Reachable || e.Message == "" {
					t.Errorf("engine: %+v", e)
				}
				w.expect(one, wire.PhaseInstalling, wire.ActualUnknown, false)
				release()
				w.sleep(time.Minute)
				w.running(one)
			})
		})
	}
}

func TestEngineThatGoesAwayInEveryStep(t *testing.T) {
	t.Parallel()
	away := runtime.Fail(runtime.Unreachable, nil, "away")
	for _, method := range []fake.Method{fake.Image, fake.Pull, fake.EnsureNetwork, fake.Create, fake.Start, fake.Inspect} {
		for _, lost := range []bool{false, true} {
			if lost && method != fake.Create && method != fake.Start && method != fake.EnsureNetwork {
				continue
			}
			t.Run(fmt.Sprintf("%s lost=%v", method, lost), func(t *testing.T) {
				t.Parallel()
				play(t, func(w *world) {
					w.engine.OfferImage("far:1", fake.Offer{})
					plan := w.engine.FailNext
					if lost {
						plan = w.engine.LoseAnswer
					}
					plan(method, away)
					spec := basic(one, 1)
					spec.Image.Reference = "far:1"
					w.apply(spec)
					w.sleep(time.Minute)
					w.running(one)
				})
			})
		}
	}
}

func TestBootAdoptsWhatRuns(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		box := w.running(one)
		starts := w.engine.Calls(fake.Start)
		w.reboot()
		if again := w.running(one); again.ID != box.ID || w.engine.Calls(fake.Start) != starts {
			t.Error("it was started again")
		}
		// What is down, as after the host's reboot, is started.
		w.stop()
		w.engine.Crash(box.ID, 137)
		w.boot()
		w.running(one)
		// What was removed meanwhile is made again.
		w.stop()
		w.engine.Vanish(box.ID)
		w.boot()
		w.running(one)
	})
}

func TestLostJournal(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		spec := basic(one, 3)
		spec.Install.Downloads = []wire.Download{{URL: "u", Path: "f"}}
		w.apply(spec)
		box := w.running(one)
		gone := basic("0000000b", 2)
		gone.Ports = nil
		w.apply(gone)
		epoch := w.journal.Epoch()
		w.loseJournal()
		if w.journal.Epoch() == epoch {
			t.Error("a new journal has the old one's epoch")
		}
		h := w.holding(one)
		if h == nil || h.Generation != 3 || h.State.Actual != wire.ActualRunning || h.State.Container != string(box.ID) {
			t.Fatalf("the container's instance is held as %+v", h)
		}
		w.sleep(time.Hour)
		spec.Generation = 4
		w.apply(spec)
		if again := w.running(one); again.ID != box.ID || !again.StartedAt.Equal(box.StartedAt) {
			t.Error("it was not adopted")
		}
		if w.installer.count() != 1 {
			t.Error("the downloads were put over the owner's files")
		}
		w.remove("0000000b", 3)
		w.removed("0000000b", 3, 1)
	})
}

func TestStrangersFollowWhatHappensToThem(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		box := w.running(one)
		w.loseJournal()
		w.engine.Crash(box.ID, 0)
		synctest.Wait()
		if h := w.holding(one); h == nil || h.State.Actual != wire.ActualStopped {
			t.Errorf("after its end: %+v", h)
		}
		w.apply(order(2, wire.Power{Want: wire.WantStopped, Order: 1}))
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
		w.loseJournal()
		w.engine.Vanish(box.ID)
		synctest.Wait()
		if h := w.holding(one); h != nil {
			t.Errorf("after its removal: %+v", h)
		}
	})
}

func TestSeveralContainersOfOneInstance(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		box := w.running(one)
		stray := w.engine.Spec(box.ID)
		stray.Name, stray.SpecHash, stray.Generation, stray.Ports = "stray", "other", 99, nil
		id, err := w.engine.Create(t.Context(), stray)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.engine.Start(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		w.reboot()
		if again := w.running(one); again.ID != box.ID || !again.StartedAt.Equal(box.StartedAt) {
			t.Error("the wrong one was kept")
		}
	})
}

func TestForeignContainerOfTheSameName(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		other := w.engine.Beside("another-node")
		_, err := other.Create(t.Context(), runtime.ContainerSpec{Name: "berth-00000001", Instance: one, Image: gameImage, MemoryBytes: 64 << 20, NanoCPUs: 1e9})
		if err != nil {
			t.Fatal(err)
		}
		w.apply(basic(one, 1))
		if s := w.expect(one, wire.PhaseFailed, wire.ActualStopped, true); s.Failure == nil || s.Failure.Code != "CONFLICT" {
			t.Errorf("failure: %+v", s.Failure)
		}
		w.remove(one, 2)
		w.removed(one, 2, 1)
		if len(other.Containers()) != 1 {
			t.Error("another node's container was removed")
		}
	})
}

func TestHundredsOfInstancesBoot(t *testing.T) {
	t.Parallel()
	const n = 300
	play(t, func(w *world) {
		for i := range n {
			spec := basic(ident.Instance(fmt.Sprintf("%08x", i)), 1)
			spec.Ports = nil
			if i%10 == 0 {
				spec.Power.Want = wire.WantStopped
			}
			if _, err := w.m.Apply(spec); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		seq := w.journal.LastSeq()
		calls := w.engine.Calls(fake.Inspect) + w.engine.Calls(fake.Start) + w.engine.Calls(fake.Create)
		lists := w.engine.Calls(fake.List)
		w.reboot()
		up := 0
		for _, h := range w.m.Inventory().Instances {
			if h.State.Actual == wire.ActualRunning && h.State.Converged {
				up++
			}
		}
		if up != n*9/10 {
			t.Errorf("%d of %d run", up, n*9/10)
		}
		if d := w.engine.Calls(fake.Inspect) + w.engine.Calls(fake.Start) + w.engine.Calls(fake.Create) - calls; d != 0 {
			t.Errorf("a boot with everything in place took %d calls of the engine", d)
		}
		if d := w.engine.Calls(fake.List) - lists; d != 1 {
			t.Errorf("%d lists", d)
		}
		if d := w.journal.LastSeq() - seq; d != 1 { // the engine's own
			t.Errorf("it told %d events", d)
		}
		// The host was rebooted: all are down, and come up a few at a time.
		w.stop()
		for _, c := range w.engine.Containers() {
			w.engine.Crash(c.ID, 137)
		}
		release := w.engine.Hold(fake.Start)
		w.boot()
		if d := w.engine.Waiting(fake.Start); d != maxWork {
			t.Errorf("%d starts at a time", d)
		}
		release()
		synctest.Wait()
		w.running("00000001")
		w.running("0000012b")
		w.expect("00000000", wire.PhaseReady, wire.ActualStopped, true)
	})
}

// TestOrdersSayThatTheyWait: what is ordered while the engine is away says so, and
// what is at rest says nothing.
func TestOrdersSayThatTheyWait(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		w.engine.SetUnreachable(true)
		w.sleep(time.Minute)
		for _, e := range w.events(wire.EventProgress) {
			if e.Progress.Step == wire.StepWait {
				t.Fatal("it waits for nothing")
			}
		}
		w.apply(order(2, wire.Power{Want: wire.WantStopped, Order: 2}))
		w.sleep(time.Second)
		list := w.events(wire.EventProgress)
		if last := list[len(list)-1]; last.Progress.Step != wire.StepWait || last.Generation != 2 {
			t.Errorf("progress: %+v", last.Progress)
		}
		w.engine.SetUnreachable(false)
		w.sleep(time.Minute)
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
	})
}
