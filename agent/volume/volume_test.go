package volume

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const one = ident.Instance("00000001")

func setup(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "volumes"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func ensure(t *testing.T, s *Store) {
	t.Helper()
	if _, err := s.Ensure(one); err != nil {
		t.Fatal(err)
	}
}

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

func owner(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatal("no owner on this system")
	}
	return fmt.Sprintf("%d:%d", stat.Uid, stat.Gid)
}

// outside is a directory beside the volumes that nothing may reach.
func outside(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "precious"), []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func untouched(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("outside: %v, %v", entries, err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "precious")); err != nil || string(got) != "precious" {
		t.Fatalf("outside: %q, %v", got, err)
	}
}

func TestEnsureMakesItOnceAndClosed(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for i, want := range []bool{true, false} {
		if created, err := s.Ensure(one); err != nil || created != want {
			t.Errorf("call %d: created=%v, %v", i+1, created, err)
		}
	}
	for path, want := range map[string]fs.FileMode{s.dir: 0o700, filepath.Dir(s.Path(one)): 0o700, s.Path(one): 0o755} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if !filepath.IsAbs(s.Path(one)) {
		t.Errorf("the path is %q", s.Path(one))
	}
}

func TestIdsThatAreNone(t *testing.T) {
	t.Parallel()
	s := setup(t)
	dir := outside(t)
	for _, id := range []ident.Instance{"", ".", "..", "../../../tmp", ident.Instance(dir), "0000000G", "00000001/x", "00000001\x00"} {
		_, err := s.Ensure(id)
		for verb, err := range map[string]error{"ensure": err, "remove": s.Remove(id), "own": s.Own(id, 0, 0), "put": s.Put(id, "f", 0, 0, text("x"))} {
			if err == nil {
				t.Errorf("%s of %q works", verb, id)
			}
		}
		if s.Path(id) != "" {
			t.Errorf("%q has the path %q", id, s.Path(id))
		}
	}
	untouched(t, dir)
	if entries, err := os.ReadDir(s.dir); err != nil || len(entries) != 0 {
		t.Errorf("the store holds %v, %v", entries, err)
	}
}

func TestOwnIsTheDirectoryOnly(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ensure(t, s)
	inside := filepath.Join(s.Path(one), "f")
	if err := os.WriteFile(inside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before := owner(t, inside)
	if err := s.Own(one, 1234, 5678); err != nil {
		t.Fatal(err)
	}
	if owner(t, inside) != before {
		t.Error("a file changed hands")
	}
	want := before
	if s.Privileged {
		want = "1234:5678"
	}
	if got := owner(t, s.Path(one)); got != want {
		t.Errorf("it belongs to %s, want %s", got, want)
	}
	if err := s.Own("0000000f", 1, 1); s.Privileged && err == nil {
		t.Error("a volume that isn't there was given away")
	}
}

func TestPutReplacesWhole(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ensure(t, s)
	for _, want := range []string{"first", "second"} {
		if err := s.Put(one, "a/b/c.txt", 1234, 5678, text(want)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(s.Path(one), "a/b/c.txt")); err != nil || string(got) != want {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if s.Privileged {
		for _, name := range []string{"a", "a/b", "a/b/c.txt"} {
			if got := owner(t, filepath.Join(s.Path(one), name)); got != "1234:5678" {
				t.Errorf("%s belongs to %s", name, got)
			}
		}
	}
	broken := errors.New("broken off")
	err := s.Put(one, "a/b/c.txt", 0, 0, func(w io.Writer) error {
		if err := text("half")(w); err != nil {
			return err
		}
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("the failure is %v", err)
	}
	entries, _ := os.ReadDir(filepath.Join(s.Path(one), "a/b"))
	if got, err := os.ReadFile(filepath.Join(s.Path(one), "a/b/c.txt")); err != nil || string(got) != "second" || len(entries) != 1 {
		t.Errorf("after a failure: %q, %v, %v", got, err, entries)
	}
}

func TestPutStaysInside(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(t *testing.T, volume, dir string) (path string){
		"dots":      func(*testing.T, string, string) string { return "../../../escaped" },
		"absolute":  func(_ *testing.T, _, dir string) string { return filepath.Join(dir, "escaped") },
		"the root":  func(*testing.T, string, string) string { return "." },
		"nothing":   func(*testing.T, string, string) string { return "" },
		"another's": func(*testing.T, string, string) string { return "../../0000000f/data/x" },
		"linked parent": func(t *testing.T, volume, dir string) string {
			link(t, dir, filepath.Join(volume, "out"))
			return "out/escaped"
		},
		"linked deeper": func(t *testing.T, volume, dir string) string {
			link(t, dir, filepath.Join(volume, "out"))
			return "out/a/b"
		},
		"temporary": func(t *testing.T, volume, dir string) string {
			link(t, filepath.Join(dir, "precious"), filepath.Join(volume, "x.berth-part"))
			return "x"
		},
		"target": func(t *testing.T, volume, dir string) string {
			link(t, filepath.Join(dir, "precious"), filepath.Join(volume, "x"))
			return "x"
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			ensure(t, s)
			dir := outside(t)
			path := prepare(t, s.Path(one), dir)
			err := s.Put(one, path, 1234, 1234, text("hostile"))
			untouched(t, dir)
			switch name {
			case "temporary", "target": // the link itself is replaced
				if got, rerr := os.ReadFile(filepath.Join(s.Path(one), path)); err != nil || rerr != nil || string(got) != "hostile" {
					t.Errorf("%v, %v, %q", err, rerr, got)
				}
			default:
				if err == nil {
					t.Errorf("%q was written", path)
				}
			}
		})
	}
}

func link(t *testing.T, target, at string) {
	t.Helper()
	if err := os.Symlink(target, at); err != nil {
		t.Fatal(err)
	}
}

func TestRemoveTakesAllAndFollowsNothing(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ensure(t, s)
	if _, err := s.Ensure("0000000f"); err != nil {
		t.Fatal(err)
	}
	dir := outside(t)
	volume := s.Path(one)
	deep := filepath.Join(volume, strings.Repeat("d/", 200))
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	link(t, dir, filepath.Join(volume, "out"))
	link(t, filepath.Join(dir, "precious"), filepath.Join(deep, "file"))
	link(t, "loop", filepath.Join(volume, "loop"))
	if err := syscall.Mkfifo(filepath.Join(volume, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	locked := filepath.Join(volume, "locked")
	if err := os.MkdirAll(filepath.Join(locked, "inner"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(locked, 0); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Remove(one); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(filepath.Dir(volume)); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("it is still there: %v", err)
		}
	}
	untouched(t, dir)
	if _, err := os.Lstat(s.Path("0000000f")); err != nil {
		t.Errorf("another volume: %v", err)
	}
}

func TestRemoveWhenHalfIsGoneOrALinkStandsThere(t *testing.T) {
	t.Parallel()
	s := setup(t)
	dir := outside(t)
	if err := os.Mkdir(filepath.Join(s.dir, string(one)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(one); err != nil {
		t.Errorf("without its data: %v", err)
	}
	link(t, dir, filepath.Join(s.dir, string(one)))
	if _, err := s.Ensure(one); err == nil {
		t.Error("a link passes for a volume")
	}
	if err := s.Remove(one); err != nil {
		t.Errorf("a link in its place: %v", err)
	}
	untouched(t, dir)
	ensure(t, s)
}

// TestWhatLiesTooDeepHidesNothing: one folder that no path leads to must not keep
// all the rest from being counted.
func TestWhatLiesTooDeepHidesNothing(t *testing.T) {
	t.Parallel()
	s := open(t, wire.VolumeDirectory)
	create(t, s, one, mib)
	at, err := os.OpenRoot(s.Path(one))
	must(t, err)
	for range 2*wire.MaxPath/wire.MaxName + 1 {
		name := strings.Repeat("a", wire.MaxName)
		must(t, at.Mkdir(name, 0o755))
		next, err := at.OpenRoot(name)
		must(t, errors.Join(err, at.Close()))
		at = next
	}
	must(t, at.Close())
	must(t, os.WriteFile(filepath.Join(s.Path(one), "f"), make([]byte, 2*mib), 0o600))
	s.look(t.Context())
	if used, _, err := s.Usage(one); err != nil || used < 2*mib {
		t.Errorf("it holds %d, %v", used, err)
	}
	want(t, s.Put(one, "g", 0, 0, text("x")), problem.InsufficientResources)
	must(t, s.Remove(one))
	nothingLeft(t, s)
}

// TestPutWithoutRoomForAFile: the bytes would fit, but the filesystem has no room for
// one more file.
func TestPutWithoutRoomForAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8m,nr_inodes=40"); err != nil {
		t.Skipf("a filesystem of its own can't be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s, err := Open(filepath.Join(dir, "volumes"))
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	_, err = s.Ensure(two) // without a limit
	must(t, err)
	_, err = s.Make(t.Context(), one, 4<<20)
	must(t, err)
	for n := 0; err == nil; n++ {
		err = s.Put(one, fmt.Sprint("f", n), 0, 0, text("x"))
	}
	want(t, err, problem.InsufficientResources)
	if said := problem.From(err).Message; !strings.Contains(said, "the instance's disk of 4 MiB holds as many files as it can") {
		t.Error(said)
	}
	if err := s.Put(two, "f", 0, 0, text("x")); !errors.Is(err, files.ErrMany) {
		t.Errorf("without a limit: %v", err)
	}
}
