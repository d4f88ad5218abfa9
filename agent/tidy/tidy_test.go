package tidy_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/berth-panel/berth/agent/journal"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/agent/tidy"
	"github.com/berth-panel/berth/shared/ident"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a Tidy on a scripted engine whose registry offers game:1 to game:5,
// in a bubble of fake time.
type world struct {
	t       *testing.T
	engine  *fake.Engine
	journal *journal.Journal
	tidy    *tidy.Tidy
	mu      sync.Mutex
	held    []string
}

func play(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, engine: fake.New(fake.Options{})}
		var err error
		if w.journal, err = journal.Open(filepath.Join(t.TempDir(), "journal.db")); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = w.journal.Close() }()
		for i := range 5 {
			w.engine.OfferImage(game(i+1), fake.Offer{})
		}
		w.tidy = tidy.New(tidy.Options{Engine: w.engine, Journal: w.journal, Log: slog.New(slog.DiscardHandler), Now: time.Now})
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			w.tidy.Run(ctx, w.references)
		}()
		defer func() {
			cancel()
			<-ended
		}()
		test(w)
	})
}

func game(n int) string { return fmt.Sprintf("game:%d", n) }

func (w *world) references() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.held)
}

func (w *world) hold(references ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = references
}

func (w *world) pull(reference string) {
	w.t.Helper()
	if err := w.tidy.Engine().Pull(w.t.Context(), reference, runtime.Login{}, nil); err != nil {
		w.t.Fatal(err)
	}
}

// use makes a container of another node's from the image.
func (w *world) use(reference string) (release func()) {
	w.t.Helper()
	other := w.engine.Beside("another-node")
	id := ident.NewInstance()
	c, err := other.Create(w.t.Context(), runtime.ContainerSpec{Name: string(id), Instance: id, Image: reference, MemoryBytes: 64 << 20, NanoCPUs: 1e9})
	if err != nil {
		w.t.Fatal(err)
	}
	return func() {
		if err := other.Remove(w.t.Context(), c); err != nil {
			w.t.Fatal(err)
		}
	}
}

// has checks which of the five games are on the engine.
func (w *world) has(want ...int) {
	w.t.Helper()
	synctest.Wait()
	var got []int
	for i := range 5 {
		if _, err := w.engine.Image(w.t.Context(), game(i+1)); err == nil {
			got = append(got, i+1)
		}
	}
	if !slices.Equal(got, want) {
		w.t.Fatalf("the engine has the games %v, want %v", got, want)
	}
}

const (
	day  = 24 * time.Hour
	slot = 15 * time.Minute // within it there is a pass
)

func TestUnusedForAWeekGoes(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.pull(game(1))
		w.pull(game(2))
		w.pull(game(3))
		w.engine.AddImage(game(4), runtime.Image{}, nil) // by hand
		release := w.use(game(2))
		w.hold(game(3), "not-here:1", "NO/NAME")
		time.Sleep(7*day - slot)
		w.has(1, 2, 3, 4)
		time.Sleep(2 * slot)
		w.has(2, 3, 4)
		time.Sleep(8 * day)
		w.has(2, 3, 4)
		release()
		w.hold()
		time.Sleep(7*day - 2*slot) // from then on
		w.has(2, 3, 4)
		time.Sleep(4 * slot)
		w.has(4)
		notes, err := w.journal.Images()
		if err != nil || len(notes) != 0 {
			t.Errorf("it still remembers %+v, %v", notes, err)
		}
		w.pull(game(1)) // and it can be had again
		time.Sleep(7*day - slot)
		w.has(1, 4)
	})
}

func TestFullDiskClearsEarlier(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		info, err := w.engine.Info(w.t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i := range 4 {
			w.pull(game(i + 1))
			time.Sleep(time.Hour)
		}
		w.engine.SetFree(info.StorageBytes / 10) // exactly what is kept free
		w.hold(game(2))
		time.Sleep(slot)
		w.has(1, 2, 3, 4)
		w.engine.SetFree(info.StorageBytes/10 - 1<<20)
		w.engine.FreeOnRemoval(info.StorageBytes / 10) // the first one makes room enough
		time.Sleep(slot)
		w.has(2, 3, 4)
		w.engine.SetFree(0)
		w.engine.FreeOnRemoval(0)
		w.pull(game(5)) // just now
		time.Sleep(slot)
		w.has(2, 5)
		time.Sleep(tidy.Recent)
		w.has(2)
	})
}

func TestWhatSomebodyNamedStays(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.pull(game(1))
		image, err := w.engine.Image(w.t.Context(), game(1))
		if err != nil {
			t.Fatal(err)
		}
		w.engine.AddImage("mine:1", image, nil) // docker tag
		w.engine.SetFree(1)
		time.Sleep(8 * day)
		w.has(1)
		w.engine.DropImage("mine:1")
		time.Sleep(slot)
		w.has()
	})
}

// A tag that has moved on leaves its old image without one.
func TestImageWhoseTagMovedGoes(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.pull(game(1))
		old, err := w.engine.Image(w.t.Context(), game(1))
		if err != nil {
			t.Fatal(err)
		}
		w.engine.OfferImage(game(1), fake.Offer{Image: runtime.Image{ID: "sha256:new"}})
		w.pull(game(1))
		w.hold(game(1))
		if _, err := w.engine.Image(w.t.Context(), old.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(7*day + slot)
		if _, err := w.engine.Image(w.t.Context(), old.ID); runtime.ReasonOf(err) != runtime.ImageMissing {
			t.Errorf("the old one: %v", err)
		}
		w.has(1)
	})
}

func TestPullUnderWayKeepsItsImage(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.pull(game(1))
		time.Sleep(6 * day)
		w.engine.OfferImage(game(1), fake.Offer{Takes: 3 * day})
		done := make(chan error, 1)
		go func() { done <- w.tidy.Engine().Pull(w.t.Context(), game(1), runtime.Login{}, nil) }()
		time.Sleep(2 * day)
		w.has(1)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		time.Sleep(7*day - slot) // from its end on
		w.has(1)
		time.Sleep(2 * slot)
		w.has()
	})
}

// A deploy that begins while its image is being removed waits, and pulls it anew;
// one that began before keeps it.
func TestDeployInTheSameMoment(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"deploy", "removal"} {
		t.Run(first+" first", func(t *testing.T) {
			t.Parallel()
			play(t, func(w *world) {
				w.pull(game(1))
				time.Sleep(7*day - time.Hour)
				method := fake.RemoveImage
				if first == "deploy" {
					method = fake.Images
				}
				release := w.engine.Hold(method)
				time.Sleep(time.Hour)
				for w.engine.Waiting(method) == 0 { // the pass begins, and hangs
					time.Sleep(time.Second)
				}
				w.hold(game(1)) // as a spec does before anything is looked up
				looked := make(chan error, 1)
				go func() {
					_, err := w.tidy.Engine().Image(w.t.Context(), game(1))
					looked <- err
				}()
				synctest.Wait()
				release()
				err := <-looked
				time.Sleep(day)
				if first == "deploy" {
					if err != nil {
						t.Errorf("the image: %v", err)
					}
					w.has(1)
					return
				}
				if runtime.ReasonOf(err) != runtime.ImageMissing {
					t.Errorf("the image that was being removed: %v", err)
				}
				w.pull(game(1))
				w.use(game(1))
				w.has(1)
			})
		})
	}
}

// What the engine refuses to remove is in use, whatever we think.
func TestEngineRefuses(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.pull(game(1))
		w.engine.Fail(fake.RemoveImage, runtime.Fail(runtime.Conflict, nil, "in use"))
		time.Sleep(8 * day)
		w.has(1)
		if n := w.engine.Calls(fake.RemoveImage); n != 1 {
			t.Errorf("%d tries", n)
		}
		w.engine.Fail(fake.RemoveImage, nil)
		time.Sleep(7 * day)
		w.has()
	})
}

func TestEngineAway(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.pull(game(1))
		w.engine.SetUnreachable(true)
		time.Sleep(8 * day)
		w.engine.SetUnreachable(false)
		w.has(1)
		time.Sleep(slot)
		w.has()
	})
}

// Only what was really pulled is noted, and a node that pulled nothing asks its
// engine nothing.
func TestFailedPullIsNotNoted(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.engine.AddImage(game(1), runtime.Image{}, nil)
		w.engine.OfferImage(game(1), fake.Offer{Fails: errors.New("broken off")})
		if err := w.tidy.Engine().Pull(w.t.Context(), game(1), runtime.Login{}, nil); err == nil {
			t.Fatal("it worked")
		}
		w.engine.SetFree(1)
		time.Sleep(8 * day)
		w.has(1)
		if w.engine.Calls(fake.Images) != 0 {
			t.Error("it looked for images though it pulled none")
		}
	})
}
