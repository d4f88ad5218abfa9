package instance

import (
	"reflect"
	"testing"

	"github.com/berth-panel/berth/shared/problem"
)

// The controller asks for a spec that it has lost: the agent gives exactly what
// it was told, and taking that over again touches no container.
func TestSpecIsGivenBackAndTouchesNothing(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		if _, err := w.m.Spec(one); !problem.Is(err, problem.NotFound) {
			t.Fatalf("of an unknown one: %v", err)
		}
		told := basic(one, 3)
		w.apply(told)
		before := w.running(one)
		got, err := w.m.Spec(one)
		if err != nil || !reflect.DeepEqual(got, told) {
			t.Fatalf("%+v, %v; want %+v", got, err, told)
		}
		got.Generation = 4
		w.apply(got)
		if after := w.running(one); after.ID != before.ID || !after.StartedAt.Equal(before.StartedAt) {
			t.Errorf("the container was touched: %+v, before %+v", after, before)
		}
		if h := w.holding(one); h == nil || h.Generation != 4 || !h.State.Converged {
			t.Errorf("%+v", h)
		}
		w.remove(one, 5)
		if _, err := w.m.Spec(one); err == nil {
			t.Error("a spec of what is being removed")
		}
	})
}

// A node that lost its journal knows of a container, but not what was asked.
func TestSpecOfALabelledContainerIsNotKnown(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 3))
		w.running(one)
		w.stop()
		w.dropJournal()
		w.boot()
		if h := w.holding(one); h == nil {
			t.Fatal("the container isn't in the inventory")
		}
		if _, err := w.m.Spec(one); !problem.Is(err, problem.NotFound) {
			t.Errorf("%v", err)
		}
	})
}
