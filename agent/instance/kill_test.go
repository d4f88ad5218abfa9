package instance

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/shared/wire"
)

// kill is kill -9: nothing that happens from now on is journalled, calls under
// way lose their caller, and another agent boots on what is there.
func (w *world) kill() {
	w.t.Helper()
	w.full.Store(true)
	w.stop()
	w.full.Store(false)
	w.boot()
}

// The agent is killed in each step of each order, before the engine has done
// what it was told, and after it has but nobody heard of it. The next agent
// brings it to the end, with one container and nothing done twice that counts.
func TestKilledInEachStep(t *testing.T) {
	t.Parallel()
	running := func(w *world) { w.running(one) }
	stopped := func(w *world) {
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
		if boxes := w.engine.Find(one); len(boxes) != 1 || isUp(boxes[0]) {
			w.t.Errorf("containers: %+v", boxes)
		}
	}
	from := func(reference string, generation int64) wire.Spec {
		s := basic(one, generation)
		s.Image.Reference = reference
		return s
	}
	for what, tt := range map[string]struct {
		first bool // it is deployed with it; else it runs before
		begin func(w *world)
		steps []fake.Method
		end   func(w *world)
	}{
		"deploy": {true, func(w *world) { w.apply(from("far:1", 1)) },
			[]fake.Method{fake.Image, fake.Pull, fake.EnsureNetwork, fake.Create, fake.Start, fake.Inspect}, running},
		"change": {false, func(w *world) {
			s := from("far:1", 2)
			s.Env = []string{"A=2"}
			w.apply(s)
		}, []fake.Method{fake.Image, fake.Pull, fake.Stop, fake.Remove, fake.Create, fake.Start, fake.Inspect}, running},
		"stop": {false, func(w *world) { w.apply(order(2, wire.Power{Want: wire.WantStopped, Order: 2})) },
			[]fake.Method{fake.Stop}, stopped},
		"kill": {false, func(w *world) { w.apply(order(2, wire.Power{Want: wire.WantStopped, Order: 2, Force: true})) },
			[]fake.Method{fake.Kill}, stopped},
		"restart": {false, func(w *world) { w.apply(order(2, wire.Power{Want: wire.WantRunning, Order: 2, Restart: true})) },
			[]fake.Method{fake.Stop, fake.Start, fake.Inspect}, running},
		"suspend": {false, func(w *world) {
			s := basic(one, 2)
			s.Suspended = true
			w.apply(s)
		}, []fake.Method{fake.Stop}, stopped},
		"removal": {false, func(w *world) { w.remove(one, 2) },
			[]fake.Method{fake.Remove}, func(w *world) { w.removed(one, 2, 1) }},
		"a repair": {false, func(w *world) {
			w.engine.Alter(w.engine.Find(one)[0].ID, func(c *runtime.Container) { c.MemoryBytes *= 2 })
			synctest.Wait()
		}, []fake.Method{fake.Repair}, func(w *world) {
			if c := w.running(one); c.MemoryBytes != 64<<20 {
				w.t.Errorf("it is %+v", c)
			}
		}},
		"a crash": {false, func(w *world) { w.crash(one) }, []fake.Method{fake.Inspect, fake.Start}, running},
	} {
		for _, method := range tt.steps {
			for _, done := range []bool{false, true} {
				if lost := map[fake.Method]bool{fake.Create: true, fake.Start: true, fake.Kill: true, fake.Remove: true, fake.Repair: true, fake.EnsureNetwork: true}; done && !lost[method] {
					continue
				}
				t.Run(fmt.Sprintf("%s %s done=%v", what, method, done), func(t *testing.T) {
					t.Parallel()
					play(t, func(w *world) {
						w.engine.OfferImage("far:1", fake.Offer{})
						if !tt.first {
							w.apply(basic(one, 1))
							if err := writeFile(w.volumeFile(one, "world")); err != nil {
								t.Fatal(err)
							}
						}
						calls := w.engine.Calls(method)
						release := func() {}
						if done {
							w.engine.LoseAnswer(method, runtime.Fail(runtime.Unreachable, nil, "away"))
						} else {
							release = w.engine.Hold(method)
						}
						tt.begin(w)
						if w.engine.Calls(method) == calls {
							t.Fatal("the step was not reached")
						}
						go func() { // the next agent finds an engine that works
							time.Sleep(time.Second)
							release()
						}()
						w.kill()
						w.sleep(2 * time.Minute)
						tt.end(w)
						if !tt.first && what != "removal" && !exists(w.volumeFile(one, "world")) {
							t.Error("the data is gone")
						}
						if n := w.crashes(one); n > 1 {
							t.Errorf("%d crashes are told", n)
						}
					})
				})
			}
		}
	}
}

// Killed while it installs: the downloads are done again, by the next agent, and
// nothing runs before they are there.
func TestKilledDuringAnInstall(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.installer.hold = make(chan struct{})
		spec := basic(one, 1)
		spec.Install.Downloads = []wire.Download{{URL: "u", Path: "f"}}
		w.apply(spec)
		w.kill()
		w.sleep(time.Minute)
		w.expect(one, wire.PhaseInstalling, wire.ActualStopped, false)
		close(w.installer.hold)
		w.sleep(0)
		w.running(one)
		if w.installer.count() != 2 || !exists(w.volumeFile(one, "f")) {
			t.Errorf("%d installs", w.installer.count())
		}
	})
}

// A machine that was made anew: a new agent, a new journal, the containers and
// volumes of before. What the controller says fits, so nothing is touched; and
// what doesn't fit is made so.
func TestRebuiltMachine(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		same, stopped, other := basic(one, 7), basic("0000000b", 7), basic("0000000c", 7)
		stopped.Ports, other.Ports, stopped.Power.Want = nil, nil, wire.WantStopped
		for _, s := range []wire.Spec{same, stopped, other} {
			w.apply(s)
			if err := writeFile(w.volumeFile(s.Instance, "world")); err != nil {
				t.Fatal(err)
			}
		}
		before := w.engine.Containers()
		w.stop()
		w.dropJournal()
		w.engine.SetUnreachable(true) // the controller may come before the engine
		w.boot()
		same.Drift = wire.DriftReport
		w.apply(same)
		w.engine.SetUnreachable(false)
		w.sleep(time.Minute)
		w.apply(stopped)
		other.Generation, other.Env = 8, []string{"A=2"}
		w.apply(other)
		w.sleep(time.Minute)
		after := w.engine.Containers()
		if len(after) != 3 || after[0] != before[0] || after[1] != before[1] || after[2].ID == before[2].ID {
			t.Errorf("before\n%+v\nafter\n%+v", before, after)
		}
		w.running(one)
		w.running("0000000c")
		w.expect("0000000b", wire.PhaseReady, wire.ActualStopped, true)
		for _, s := range []wire.Spec{same, stopped, other} {
			if !exists(w.volumeFile(s.Instance, "world")) {
				t.Errorf("the data of %s is gone", s.Instance)
			}
		}
		if w.installer.count() != 0 {
			t.Error("something was installed")
		}
	})
}
