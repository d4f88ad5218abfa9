package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/berth-panel/berth/shared/wire"
)

var mine = Meta{Mode: 0o755, UID: os.Geteuid(), GID: os.Getegid()}

func TestMakeDirs(t *testing.T) {
	t.Parallel()
	r, dir, outside := setup(t)
	must(t, r.MakeDirs("a/b/c", mine))
	must(t, r.MakeDirs("a/b/c", mine))
	must(t, r.MakeDirs(".", mine))
	must(t, os.Chmod(filepath.Join(dir, "a"), 0o700))
	must(t, r.MakeDirs("a/d", Meta{Mode: 0o4711, UID: mine.UID, GID: mine.GID}))
	for path, want := range map[string]os.FileMode{"a": 0o700, "a/b/c": 0o755, "a/d": 0o711} {
		if info, err := os.Stat(filepath.Join(dir, path)); err != nil || info.Mode() != want|os.ModeDir {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	must(t, os.Symlink(outside, filepath.Join(dir, "out")))
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	for _, bad := range []wire.Path{"out/x", "out", "file/x", "file", "../x", "/x", ""} {
		if err := r.MakeDirs(bad, mine); err == nil {
			t.Errorf("%q was made", bad)
		}
	}
}

// What was made is said, also of what failed, and can be taken back: a folder that is
// empty, and nothing else.
func TestNewDirs(t *testing.T) {
	t.Parallel()
	r, dir, outside := setup(t)
	must(t, os.MkdirAll(filepath.Join(dir, "a", "full"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "a", "full", "f"), nil, 0o600))
	must(t, os.Symlink(outside, filepath.Join(dir, "out")))
	for path, want := range map[wire.Path][]wire.Path{".": nil, "a": nil, "a/b/c": {"a/b", "a/b/c"}, "x": {"x"}} {
		if made, err := r.NewDirs(path, mine); err != nil || !slices.Equal(made, want) {
			t.Errorf("%s: %q were made, %v", path, made, err)
		}
	}
	if made, err := r.NewDirs("y/../z", mine); err == nil || made != nil {
		t.Errorf("%q were made", made)
	}
	for _, kept := range []wire.Path{"a/full", "a/full/f", "out", "a"} {
		if err := r.RemoveDir(kept); err == nil {
			t.Errorf("%s was removed", kept)
		}
	}
	must(t, r.RemoveDir("x"))
	if _, err := os.Lstat(filepath.Join(dir, "x")); err == nil {
		t.Error("it is there yet")
	}
}

func TestChmodOpensNothing(t *testing.T) {
	t.Parallel()
	r, dir, outside := setup(t)
	must(t, os.WriteFile(filepath.Join(dir, "f"), nil, 0o000))
	must(t, r.Chmod("f", 0o6755))
	must(t, r.Chmod(".", 0o711))
	if info, err := os.Stat(filepath.Join(dir, "f")); err != nil || info.Mode() != 0o755 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	must(t, os.Symlink(filepath.Join(outside, "precious"), filepath.Join(dir, "l")))
	must(t, syscall.Mkfifo(filepath.Join(dir, "p"), 0o600))
	for _, path := range []wire.Path{"l", "p"} {
		if err := r.Chmod(path, 0o777); !errors.Is(err, ErrKind) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := r.Chmod("none", 0o777); !NotFound(err) {
		t.Errorf("%v", err)
	}
}

func TestMoveNewTakesNobodysPlace(t *testing.T) {
	t.Parallel()
	r, dir, outside := setup(t)
	for _, name := range []string{"a", "b"} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600))
	}
	must(t, os.Symlink(filepath.Join(outside, "precious"), filepath.Join(dir, "l")))
	must(t, os.MkdirAll(filepath.Join(dir, "d/e"), 0o700))
	for _, to := range []wire.Path{"b", "l", "d", "a"} {
		if err := r.MoveNew("a", r, to); !errors.Is(err, fs.ErrExist) {
			t.Errorf("to %s: %v", to, err)
		}
	}
	if err := r.MoveNew("d", r, "d/e/f"); !Impossible(err) {
		t.Errorf("into itself: %v", err)
	}
	if err := r.MoveNew("none", r, "c"); !NotFound(err) {
		t.Errorf("%v", err)
	}
	must(t, r.MoveNew("a", r, "d/c"))
	must(t, r.MoveNew("l", r, "d/l"))
}

func TestNewIsNew(t *testing.T) {
	t.Parallel()
	r, dir, outside := setup(t)
	must(t, os.Symlink(filepath.Join(outside, "none"), filepath.Join(dir, "l")))
	must(t, os.WriteFile(filepath.Join(dir, "f"), []byte("x"), 0o600))
	for _, path := range []wire.Path{"l", "f"} {
		if f, err := r.New(path); !errors.Is(err, fs.ErrExist) || f != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	f, err := r.New("g")
	must(t, err)
	must(t, f.Close())
}

func TestList(t *testing.T) {
	t.Parallel()
	r, dir, _ := setup(t)
	for i := range 30 {
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), []byte(strings.Repeat("x", i)), 0o600))
	}
	var names []string
	cut, err := r.List(".", 30, func(name string, info Info) {
		if info.Kind != File || string(info.Path) != name || fmt.Sprint(info.Size) != name || info.Inode == 0 {
			t.Errorf("%q: %+v", name, info)
		}
		names = append(names, name)
	})
	slices.Sort(names)
	if err != nil || cut || len(slices.Compact(names)) != 30 {
		t.Errorf("%v, %v, %d", err, cut, len(names))
	}
	count := 0
	if cut, err := r.List(".", 29, func(string, Info) { count++ }); err != nil || !cut || count != 29 {
		t.Errorf("%v, %v, %d", err, cut, count)
	}
	if _, err := r.List("3", 1, func(string, Info) {}); !Gone(err) {
		t.Errorf("%v", err)
	}
}

func TestRemoveAll(t *testing.T) {
	t.Parallel()
	r, dir, outside := setup(t)
	top := filepath.Join(dir, "top")
	must(t, os.Mkdir(top, 0o755))
	must(t, os.Symlink(outside, filepath.Join(top, "out")))
	must(t, os.Symlink(filepath.Join(outside, "precious"), filepath.Join(top, "l")))
	must(t, syscall.Mkfifo(filepath.Join(top, "p"), 0o600))
	must(t, os.WriteFile(filepath.Join(top, ".deep-1"), nil, 0o600)) // the name that lifted ones get
	at, err := os.OpenRoot(top)
	must(t, err)
	made := 5
	for i := range 300 { // 30 kB of path
		name := fmt.Sprintf("%0100d", i)
		must(t, at.Mkdir(name, 0o700))
		must(t, at.Mkdir("side", 0o700))
		next, err := at.OpenRoot(name)
		must(t, err)
		_ = at.Close()
		at = next
		made += 2
	}
	_ = at.Close()
	removed := 0
	must(t, r.RemoveAll("top", func() error { removed++; return nil }))
	if _, err := os.Lstat(top); !os.IsNotExist(err) || removed != made {
		t.Errorf("%d removed, made %d, %v", removed, made, err)
	}
	must(t, r.RemoveAll("top", func() error { return nil }))
	must(t, os.MkdirAll(filepath.Join(dir, "x/y/z"), 0o700))
	stop := errors.New("stop")
	if err := r.RemoveAll("x", func() error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
}

// TestRemoveAllWhileLinksArePlanted swaps folders for links that lead outside.
func TestRemoveAllWhileLinksArePlanted(t *testing.T) {
	t.Parallel()
	r, dir, outside := setup(t)
	inside, err := os.OpenRoot(dir) // the container itself is not led out
	must(t, err)
	defer func() { _ = inside.Close() }()
	done := make(chan struct{})
	var container sync.WaitGroup
	container.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			_ = inside.MkdirAll("d/a/b", 0o700)
			_ = inside.WriteFile("d/a/b/precious", nil, 0o600)
			_ = inside.Rename("d/a", fmt.Sprint("aside", i))
			_ = inside.Symlink(outside, "d/a")
		}
	})
	for range 300 {
		_ = r.RemoveAll("d", func() error { return nil })
	}
	close(done)
	container.Wait()
}
