package instance

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// adopter takes over what was staged in the world's volumes.
type adopter struct{ w *world }

func (a adopter) Adopt(id ident.Instance) error {
	if err := a.w.volumes.Adopt(id); err != nil {
		return problem.New(problem.NotFound, "it is not here").Because(err)
	}
	return nil
}

// copied is a spec of an instance that comes from another node.
func copied(generation int64) wire.Spec {
	spec := basic(one, generation)
	spec.Copied = true
	spec.Install.Downloads = []wire.Download{{URL: "u", Path: "installed"}}
	return spec
}

// stage puts a volume with a save game where copies arrive.
func (w *world) stage() {
	w.t.Helper()
	if err := w.volumes.Stage(one, []byte("{}")); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "volumes/.incoming", string(one), "data/save"), []byte("precious"), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) saved() {
	w.t.Helper()
	if text, err := os.ReadFile(w.volumeFile(one, "save")); err != nil || string(text) != "precious" {
		w.t.Fatalf("the volume holds %q, %v", text, err)
	}
	if _, err := os.Lstat(w.volumeFile(one, "installed")); err == nil || w.installer.count() != 0 {
		w.t.Error("something was installed into it")
	}
}

// playCopied is play with volumes that may come from other nodes.
func playCopied(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.moves = adopter{w}
		w.boot()
		defer func() { w.stop() }()
		test(w)
	})
}

func TestCopiedVolumeIsTakenOver(t *testing.T) {
	t.Parallel()
	playCopied(t, func(w *world) {
		w.stage()
		w.apply(copied(7))
		w.running(one)
		w.saved()
		w.reboot()
		w.running(one)
		w.saved()
		again := copied(8) // later ones say so, too
		again.Env = []string{"B=2"}
		w.apply(again)
		w.running(one)
		w.saved()
		w.loseJournal()
		w.apply(copied(9))
		w.running(one)
		w.saved()
		w.remove(one, 10)
		if w.hasVolume(one) {
			t.Error("its volume outlived it")
		}
	})
}

func TestCopiedVolumeThatIsNotThereIsNeverMadeEmpty(t *testing.T) {
	t.Parallel()
	playCopied(t, func(w *world) {
		w.apply(copied(7))
		s := w.expect(one, wire.PhaseFailed, wire.ActualStopped, true)
		if s.Failure == nil || s.Failure.Code != problem.NotFound {
			t.Errorf("it failed because of %v", s.Failure)
		}
		if w.hasVolume(one) || len(w.engine.Find(one)) != 0 {
			t.Error("something was made in its place")
		}
		w.stage() // it comes after all
		w.apply(copied(8))
		w.running(one)
		w.saved()
		// Taken away by hand: nothing is made in its place either.
		w.apply(func() wire.Spec {
			spec := copied(9)
			spec.Power = wire.Power{Want: wire.WantStopped, Order: 2}
			return spec
		}())
		if err := os.RemoveAll(filepath.Dir(w.volumeFile(one, ""))); err != nil {
			t.Fatal(err)
		}
		spec := copied(10)
		spec.Power = wire.Power{Want: wire.WantRunning, Order: 3}
		w.apply(spec)
		if s := w.state(one); s.Failure == nil || s.Failure.Code != problem.NotFound || s.Actual == wire.ActualRunning || w.hasVolume(one) {
			t.Errorf("without its volume it is %+v", s)
		}
	})
	play(t, func(w *world) { // an agent that takes no volumes over
		w.apply(copied(7))
		if s := w.expect(one, wire.PhaseFailed, wire.ActualStopped, true); s.Failure == nil || w.hasVolume(one) {
			t.Errorf("it is %+v", s)
		}
	})
}

func TestImageIsFetchedForWhatIsStillToCome(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.engine.OfferImage("far:1", fake.Offer{})
		if err := w.m.Fetch(w.t.Context(), wire.ImageSpec{Reference: "far:1"}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.engine.Image(w.t.Context(), "far:1"); err != nil {
			t.Errorf("the image is not there: %v", err)
		}
		if err := w.m.Fetch(w.t.Context(), wire.ImageSpec{Reference: "nowhere:1"}); !problem.Is(err, problem.NotFound) {
			t.Errorf("of one that nobody has: %v", err)
		}
		if err := w.m.Fetch(w.t.Context(), wire.ImageSpec{Reference: "other:1", Pull: wire.PullNever}); !problem.Is(err, problem.NotFound) || !strings.Contains(err.Error(), "pull policy is never") {
			t.Errorf("of one that may not be fetched: %v", err)
		}
		pulls := w.engine.Calls(fake.Pull)
		if err := w.m.Fetch(w.t.Context(), wire.ImageSpec{Reference: "far:1", Pull: wire.PullNever}); err != nil || w.engine.Calls(fake.Pull) != pulls {
			t.Errorf("of one that is there and may not be fetched: %v, %d pulls", err, w.engine.Calls(fake.Pull)-pulls)
		}
		if err := w.m.Fetch(w.t.Context(), wire.ImageSpec{Reference: "far:1", Pull: wire.PullAlways}); err != nil || w.engine.Calls(fake.Pull) != pulls+1 {
			t.Errorf("of one that is always fetched: %v, %d pulls", err, w.engine.Calls(fake.Pull)-pulls)
		}
		w.engine.OfferImage("moving:1", fake.Offer{Image: runtime.Image{ID: id('a'), Digest: digest('a')}})
		w.engine.OfferImage("moving:2", fake.Offer{Image: runtime.Image{ID: id('b'), Digest: digest('b')}})
		pinned := wire.ImageSpec{Reference: "moving:2", Digest: digest('a')}
		if err := w.m.Fetch(w.t.Context(), pinned); err != nil {
			t.Error(err)
		}
		if found, err := w.engine.Image(w.t.Context(), wanted(pinned)); err != nil || found.ID != id('a') {
			t.Errorf("of one that is pinned: %+v, %v", found, err)
		}
		w.engine.FailNext(fake.Image, runtime.Fail(runtime.Unreachable, nil, "away"))
		if err := w.m.Fetch(w.t.Context(), wire.ImageSpec{Reference: "far:2"}); !problem.Is(err, problem.NodeOffline) {
			t.Errorf("while the engine is away: %v", err)
		}
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
		defer cancel()
		release := w.engine.Hold(fake.Pull)
		w.engine.OfferImage("slow:1", fake.Offer{})
		if err := w.m.Fetch(ctx, wire.ImageSpec{Reference: "slow:1"}); err == nil {
			t.Error("it can't be called off")
		}
		release()
	})
}

func TestNothingIsFetchedOnceTheAgentHasEnded(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.stop()
		if err := w.m.Fetch(w.t.Context(), wire.ImageSpec{Reference: gameImage}); !problem.Is(err, problem.NodeOffline) {
			t.Errorf("it answers %v", err)
		}
		w.boot()
	})
}

// TestCopiedAndFrozen: a volume that came is taken over while the instance stays
// down, until its move is settled.
func TestCopiedAndFrozen(t *testing.T) {
	t.Parallel()
	playCopied(t, func(w *world) {
		w.stage()
		s := copied(1)
		s.Moving, s.Installed, s.Wipe = true, true, 7
		w.apply(s)
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
		w.saved()
		w.writable(problem.Conflict)
		s.Generation, s.Copied, s.Moving, s.Power.Order = 2, false, false, 2
		w.apply(s)
		w.running(one)
		w.saved()
		w.writable("")
	})
}

func TestCopiedAndNothingCame(t *testing.T) {
	t.Parallel()
	playCopied(t, func(w *world) {
		s := copied(1)
		s.Moving, s.Installed = true, true
		w.apply(s)
		if st := w.expect(one, wire.PhaseFailed, wire.ActualStopped, true); st.Failure == nil || st.Failure.Code != problem.NotFound {
			t.Errorf("state: %+v", st)
		}
	})
}
