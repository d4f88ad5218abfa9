package move

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func exists(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Lstat(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

func TestAnnouncedVolumesAreFoundAgain(t *testing.T) {
	t.Parallel()
	s := newSide(t)
	s.announce(one)
	s.announce("0000000f")
	s.announce(one) // may be repeated
	for range 2 {
		if got := s.store.Staged(); !slices.Equal(got, []ident.Instance{one, "0000000f"}) {
			t.Fatalf("staged: %v", got)
		}
		if got := s.store.Images(); !slices.Equal(got, []string{"game:1"}) {
			t.Errorf("images that are needed: %v", got)
		}
		s.reboot()
	}
	must(t, s.store.Drop(one))
	must(t, s.store.Drop(one))
	if _, err := s.store.Incoming(one); !problem.Is(err, problem.NotFound) {
		t.Errorf("after it was dropped: %v", err)
	}
	s.reboot()
	if got := s.store.Staged(); !slices.Equal(got, []ident.Instance{"0000000f"}) {
		t.Errorf("staged: %v", got)
	}
	_, err := s.store.Announce(wire.Incoming{Instance: one, Spec: wire.Spec{Instance: "0000000f"}})
	wantProblem(t, err, problem.Validation)
	s.volume("00000002")
	_, err = s.store.Announce(wire.Incoming{Instance: "00000002", Spec: wire.Spec{Instance: "00000002"}})
	wantProblem(t, err, problem.Conflict)
}

func TestWhatIsThrownAwayIsRemoved(t *testing.T) {
	t.Parallel()
	s := newSide(t)
	s.announce(one)
	must(t, os.MkdirAll(filepath.Join(s.staged(one), "a/b"), 0o755))
	must(t, os.WriteFile(filepath.Join(s.staged(one), "a/b/c"), nil, 0o400))
	must(t, s.store.Drop(one))
	deadline := time.Now().Add(patience)
	for {
		entries, err := os.ReadDir(filepath.Join(s.dir, ".incoming/trash"))
		must(t, err)
		if len(entries) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("it stays: %v", entries)
		}
		time.Sleep(time.Millisecond) // done in the background, nobody tells
	}
	if exists(t, filepath.Dir(s.staged(one))) {
		t.Error("it is still there")
	}
}

// TestKilledBetweenAnyTwoSteps puts on the disk what a kill leaves there.
func TestKilledBetweenAnyTwoSteps(t *testing.T) {
	t.Parallel()
	prepared := func(t *testing.T) *side {
		s := newSide(t)
		s.announce(one)
		must(t, os.WriteFile(filepath.Join(s.staged(one), "save"), []byte("precious"), 0o644))
		must(t, os.WriteFile(filepath.Join(s.staged(one), "../parts/half"), []byte("half"), 0o644))
		s.stop()
		return s
	}
	whole := func(t *testing.T, s *side) {
		t.Helper()
		for range 2 { // may be repeated
			must(t, s.store.Adopt(one))
			entries, err := os.ReadDir(filepath.Join(s.dir, string(one)))
			if err != nil || len(entries) != 1 {
				t.Errorf("beside the data: %v, %v", entries, err)
			}
			if text, err := os.ReadFile(filepath.Join(s.volumes.Path(one), "save")); err != nil || string(text) != "precious" {
				t.Errorf("the volume holds %q, %v", text, err)
			}
		}
		if len(s.store.Staged()) != 0 || exists(t, filepath.Dir(s.staged(one))) {
			t.Error("it is still staged")
		}
	}
	t.Run("before the room was whole", func(t *testing.T) {
		t.Parallel()
		s := prepared(t)
		must(t, os.Remove(filepath.Join(s.staged(one), "../record")))
		s.boot()
		if len(s.store.Staged()) != 0 {
			t.Error("half a room is listed")
		}
		err := s.store.Adopt(one)
		wantProblem(t, err, problem.NotFound)
		s.announce(one)
		if exists(t, filepath.Join(s.staged(one), "save")) {
			t.Error("something of before is in the new room")
		}
	})
	t.Run("with a record that is none", func(t *testing.T) {
		t.Parallel()
		s := prepared(t)
		must(t, os.WriteFile(filepath.Join(s.staged(one), "../record"), []byte("{"), 0o600))
		s.boot()
		if len(s.store.Staged()) != 0 {
			t.Error("it is listed")
		}
	})
	t.Run("before the adoption", func(t *testing.T) {
		t.Parallel()
		s := prepared(t)
		s.boot()
		whole(t, s)
	})
	t.Run("after the rename", func(t *testing.T) {
		t.Parallel()
		s := prepared(t)
		must(t, os.Rename(filepath.Dir(s.staged(one)), filepath.Join(s.dir, string(one))))
		s.boot()
		whole(t, s)
	})
	t.Run("with an empty place", func(t *testing.T) {
		t.Parallel()
		s := prepared(t)
		must(t, os.Mkdir(filepath.Join(s.dir, string(one)), 0o700))
		s.boot()
		whole(t, s)
	})
	t.Run("with a volume already", func(t *testing.T) {
		t.Parallel()
		s := prepared(t)
		s.boot()
		must(t, os.WriteFile(filepath.Join(s.volume(one), "mine"), nil, 0o600))
		must(t, s.store.Adopt(one))
		if !exists(t, filepath.Join(s.volumes.Path(one), "mine")) || exists(t, filepath.Join(s.volumes.Path(one), "save")) {
			t.Error("the volume that was there was touched")
		}
	})
	t.Run("with nothing at all", func(t *testing.T) {
		t.Parallel()
		s := newSide(t)
		wantProblem(t, s.store.Adopt(one), problem.NotFound)
		if exists(t, filepath.Join(s.dir, string(one))) {
			t.Error("an empty volume was made")
		}
	})
}

func TestImages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSide(t)
		var tries atomic.Int64
		var answer atomic.Pointer[problem.Problem]
		answer.Store(problem.New(problem.NodeOffline, "the engine is away"))
		hold := make(chan struct{})
		var policy atomic.Pointer[wire.PullPolicy]
		s.fetch = func(ctx context.Context, image wire.ImageSpec) error {
			tries.Add(1)
			policy.Store(&image.Pull)
			if p := answer.Load(); p != nil {
				return p.Because(errors.New("a secret"))
			}
			select {
			case <-hold:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		expect := func(want wire.ImageReadiness) wire.IncomingState {
			t.Helper()
			synctest.Wait()
			state, err := s.store.Incoming(one)
			if err != nil || state.Image != want {
				t.Fatalf("the image is %+v, %v; want %s", state, err, want)
			}
			return state
		}
		s.announce(one)
		time.Sleep(10 * time.Minute)
		expect(wire.ImagePulling)
		if n := tries.Load(); n < 10 || n > 20 {
			t.Errorf("%d tries in ten minutes", n)
		}
		never := wire.Incoming{Instance: one, Spec: wire.Spec{Instance: one, Image: wire.ImageSpec{Reference: "game:1", Pull: wire.PullNever}}}
		_, err := s.store.Announce(never) // by another policy
		must(t, err)
		synctest.Wait()
		if got := policy.Load(); *got != wire.PullNever {
			t.Errorf("it is fetched by the policy %q", *got)
		}
		answer.Store(problem.New(problem.NotFound, "there is no such image"))
		time.Sleep(2 * time.Minute)
		if state := expect(wire.ImageFailed); state.Failure == nil || state.Failure.Code != problem.NotFound || errors.Unwrap(state.Failure) != nil {
			t.Errorf("it failed because of %+v", state.Failure)
		}
		answer.Store(nil)
		s.announce(one) // tries again
		expect(wire.ImagePulling)
		close(hold)
		expect(wire.ImageReady)
		// After a restart it is looked at again; a drop ends the fetch under way.
		hold = make(chan struct{})
		s.reboot()
		expect(wire.ImagePulling)
		must(t, s.store.Drop(one))
		s.stop()
	})
}

func TestNewerCallTakesTheOlderOnesPlace(t *testing.T) {
	t.Parallel()
	for name, newer := range map[string]func(s *side) error{
		"receive": func(s *side) error {
			_, err := s.store.Receive(context.Background(), one, 0, broken{}, func() {})
			if !problem.Is(err, problem.BadRequest) {
				return err
			}
			return nil
		},
		"compare": func(s *side) error {
			_, err := s.store.Compare(context.Background(), one, wire.EntryPage{Last: true, Entries: []wire.Entry{{Path: ".", Kind: wire.EntryDir, Mode: 0o755, UID: os.Geteuid(), GID: os.Getegid()}}})
			return err
		},
		"drop":  func(s *side) error { return s.store.Drop(one) },
		"adopt": func(s *side) error { return s.store.Adopt(one) },
		"stop": func(s *side) error {
			s.stop()
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSide(t)
			s.announce(one)
			r, w := io.Pipe() // nothing ever comes
			reading := make(chan struct{})
			older := make(chan error, 1)
			go func() {
				_, err := s.store.Receive(context.Background(), one, 0, &onRead{from: &firstRead{r, reading, sync.Once{}}}, func() { _ = r.CloseWithError(errors.New("cut")) })
				older <- err
			}()
			<-reading
			must(t, newer(s))
			select {
			case err := <-older:
				if problem.From(err).Code == problem.Internal {
					t.Errorf("the older one ended with %v", err)
				}
			case <-time.After(patience):
				t.Fatal("the older one goes on")
			}
			_ = w.Close()
		})
	}
}

// firstRead says when it is read for the first time.
type firstRead struct {
	from io.Reader
	when chan struct{}
	once sync.Once
}

func (s *firstRead) Read(p []byte) (int, error) {
	s.once.Do(func() { close(s.when) })
	return s.from.Read(p)
}

func TestPlacesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := make(gate, 1)
		must(t, g.enter(t.Context()))
		begun := time.Now()
		wantProblem(t, g.enter(t.Context()), problem.ResourceBusy)
		if waited := time.Since(begun); waited != slotWait {
			t.Errorf("it waited %v", waited)
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errStopping)
		defer cancel()
		if err := g.enter(ctx); !errors.Is(err, errStopping) {
			t.Errorf("who has left gets %v", err)
		}
		time.AfterFunc(time.Second, g.leave)
		must(t, g.enter(t.Context()))
	})
}

func TestComparingWithWhatNoSourceSends(t *testing.T) {
	t.Parallel()
	s := newSide(t)
	s.announce(one)
	root := wire.Entry{Path: ".", Kind: wire.EntryDir, Mode: 0o755}
	for name, page := range map[string]wire.EntryPage{
		"no root":       {Last: true},
		"another first": {Entries: []wire.Entry{{Path: "a", Kind: wire.EntryDir}}},
		"a root file":   {Entries: []wire.Entry{{Path: ".", Kind: wire.EntryFile}}},
		"dots":          {Entries: []wire.Entry{root, {Path: "../x", Kind: wire.EntryDir}}},
		"absolute":      {Entries: []wire.Entry{root, {Path: "/etc", Kind: wire.EntryDir}}},
		"order":         {Entries: []wire.Entry{root, {Path: "b", Kind: wire.EntryDir}, {Path: "a", Kind: wire.EntryDir}}},
		"twice":         {Entries: []wire.Entry{root, {Path: "b", Kind: wire.EntryDir}, {Path: "b", Kind: wire.EntryDir}}},
		"before after":  {After: "c", Entries: []wire.Entry{{Path: "b", Kind: wire.EntryDir}}},
		"bad after":     {After: "..", Last: true},
		"a kind":        {Entries: []wire.Entry{root, {Path: "b", Kind: "device"}}},
		"a size":        {Entries: []wire.Entry{root, {Path: "b", Kind: wire.EntryFile, Size: -1}}},
		"a mode":        {Entries: []wire.Entry{root, {Path: "b", Kind: wire.EntryFile, Mode: 0o100644}}},
		"an owner":      {Entries: []wire.Entry{root, {Path: "b", Kind: wire.EntryFile, UID: -1}}},
		"no target":     {Entries: []wire.Entry{root, {Path: "b", Kind: wire.EntryLink}}},
		"a target":      {Entries: []wire.Entry{root, {Path: "b", Kind: wire.EntryLink, Target: "a\x00"}}},
		"too many":      {Entries: slices.Repeat([]wire.Entry{root}, wire.MaxEntries+1)},
	} {
		if _, err := s.store.Compare(t.Context(), one, page); !problem.Is(err, problem.Validation) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := s.store.Compare(t.Context(), "0000000f", wire.EntryPage{Last: true, Entries: []wire.Entry{root}})
	wantProblem(t, err, problem.NotFound)
	// A file below a link: there is no such tree, and nothing may be written there.
	outside := t.TempDir()
	_, err = s.store.Compare(t.Context(), one, wire.EntryPage{Last: true, Entries: []wire.Entry{
		{Path: ".", Kind: wire.EntryDir, Mode: 0o755, UID: os.Geteuid(), GID: os.Getegid()},
		{Path: "l", Kind: wire.EntryLink, Target: wire.Path(outside), UID: os.Geteuid(), GID: os.Getegid()},
		{Path: "l/x", Kind: wire.EntryDir, Mode: 0o755, UID: os.Geteuid(), GID: os.Getegid()},
	}})
	if entries, rerr := os.ReadDir(outside); err == nil || rerr != nil || len(entries) != 0 {
		t.Errorf("below a link: %v, %v, %v", err, entries, rerr)
	}
}
