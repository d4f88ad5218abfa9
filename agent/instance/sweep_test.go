package instance

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/shared/ident"
)

// What the engine did not tell of is found by the sweep.
func TestSweepFindsWhatWasNotTold(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		alter func(w *world, id runtime.ContainerID)
		keeps bool
	}{
		"removed": {func(w *world, id runtime.ContainerID) { w.engine.Vanish(id) }, false},
		"ended":   {func(w *world, id runtime.ContainerID) { w.engine.Crash(id, 1) }, true},
		"paused":  {func(w *world, id runtime.ContainerID) { w.engine.Pause(id) }, true},
		"renamed": {func(w *world, id runtime.ContainerID) {
			w.engine.Alter(id, func(c *runtime.Container) { c.Name = "x" })
		}, true},
		"memory": {func(w *world, id runtime.ContainerID) {
			w.engine.Alter(id, func(c *runtime.Container) { c.MemoryBytes *= 2 })
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, func(w *world) {
				w.apply(basic(one, 1))
				box := w.running(one)
				w.engine.HoldChanges(true)
				tt.alter(w, box.ID)
				w.sleep(time.Minute)
				again := w.running(one)
				if (again.ID == box.ID) != tt.keeps || again.Name != box.Name || again.MemoryBytes != box.MemoryBytes {
					t.Errorf("it is\n%+v, was\n%+v", again, box)
				}
			})
		})
	}
	t.Run("another container of the instance", func(t *testing.T) {
		t.Parallel()
		play(t, func(w *world) {
			w.apply(basic(one, 1))
			box := w.running(one)
			w.engine.HoldChanges(true)
			stray := w.engine.Spec(box.ID)
			stray.Name, stray.SpecHash, stray.Ports = "stray", "other", nil
			if _, err := w.engine.Create(t.Context(), stray); err != nil {
				t.Fatal(err)
			}
			w.sleep(time.Minute)
			if again := w.running(one); again.ID != box.ID {
				t.Error("the wrong one was kept")
			}
		})
	})
}

// A sweep over many instances costs one call, and a few looks.
func TestSweepIsCheap(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		const n = 100
		for i := range n {
			spec := basic(ident.Instance(fmt.Sprintf("%08x", i)), 1)
			spec.Ports = nil
			if _, err := w.m.Apply(spec); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		lists, glances, looks, seq := w.engine.Calls(fake.List), w.engine.Calls(fake.Glance), w.engine.Calls(fake.Inspect), w.journal.LastSeq()
		const sweeps = 10
		w.sleep(sweeps*askEvery + time.Second)
		swept := w.engine.Calls(fake.Glance) - glances
		if swept < sweeps/2 || swept > sweeps {
			t.Errorf("%d sweeps", swept)
		}
		if got := w.engine.Calls(fake.Inspect) - looks; got != swept*looksPerSweep || w.engine.Calls(fake.List) != lists {
			t.Errorf("%d looks in %d sweeps, %d whole lists", got, swept, w.engine.Calls(fake.List)-lists)
		}
		if w.journal.LastSeq() != seq {
			t.Error("something was told")
		}
	})
}
