package patch_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/berth-panel/berth/agent/patch"
	"github.com/berth-panel/berth/agent/volume"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const instance = ident.Instance("0123abcd")

// site is a volume with a Patcher, and a folder outside that nothing may reach.
type site struct {
	t       *testing.T
	data    string
	outside string
	volumes *volume.Store
	p       *patch.Patcher
	owner   patch.Owner
}

func setup(t *testing.T) *site { return setupAt(t, filepath.Join(t.TempDir(), "volumes")) }

func setupAt(t *testing.T, dir string) *site {
	t.Helper()
	volumes, err := volume.Open(dir)
	must(t, err)
	t.Cleanup(func() { _ = volumes.Close() })
	_, err = volumes.Ensure(instance)
	must(t, err)
	s := &site{t: t, data: volumes.Path(instance), outside: t.TempDir(), volumes: volumes, p: patch.New(volumes, volumes.Privileged)}
	s.owner = patch.Owner{UID: os.Geteuid(), GID: os.Getegid()}
	if volumes.Privileged {
		s.owner = patch.Owner{UID: 1234, GID: 5678}
	}
	must(t, os.WriteFile(filepath.Join(s.outside, "precious"), []byte("a=1\n"), 0o600))
	t.Cleanup(func() {
		if b, err := os.ReadFile(filepath.Join(s.outside, "precious")); err != nil || string(b) != "a=1\n" {
			t.Errorf("outside: %q, %v", b, err)
		}
		if list, err := os.ReadDir(s.outside); err != nil || len(list) != 1 {
			t.Errorf("outside: %v, %v", list, err)
		}
	})
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *site) at(path string) string { return filepath.Join(s.data, path) }

func (s *site) plant(path, text string, mode os.FileMode) {
	s.t.Helper()
	must(s.t, os.MkdirAll(filepath.Dir(s.at(path)), 0o755))
	must(s.t, os.WriteFile(s.at(path), []byte(text), 0o600))
	must(s.t, os.Chmod(s.at(path), mode))
}

func (s *site) apply(list ...wire.Patch) ([]string, error) {
	s.t.Helper()
	return s.p.Apply(s.t.Context(), instance, list, s.owner)
}

func (s *site) holds(path, want string) {
	s.t.Helper()
	if got, err := os.ReadFile(s.at(path)); err != nil || string(got) != want {
		s.t.Errorf("%s: %q, %v; want %q", path, got, err, want)
	}
}

// noParts checks that nothing is left beside the volume.
func (s *site) noParts() {
	s.t.Helper()
	parts, err := s.volumes.Parts(instance)
	must(s.t, err)
	defer func() { _ = parts.Close() }()
	if names, err := parts.Names(wire.Root); err != nil || len(names) != 0 {
		s.t.Errorf("%v, %v", names, err)
	}
}

func properties(path string, value any) wire.Patch {
	return wire.Patch{Path: path, Parser: wire.PatchProperties, Set: []wire.PatchSet{one("a", value)}}
}

func TestFilesAreReplacedWithTheirModeAndOwner(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.plant("dir/server.properties", "# c\na=1\n", 0o640)
	if s.volumes.Privileged {
		must(t, os.Chown(s.at("dir/server.properties"), 77, 88))
	}
	told, err := s.apply(properties("./dir/server.properties", 2), properties("new/deep/x.properties", 3),
		wire.Patch{Path: "none.txt", Parser: wire.PatchFile, Set: []wire.PatchSet{one("a", "b")}})
	if err != nil || len(told) != 1 || !strings.HasPrefix(told[0], "new/deep/x.properties: it was not there") {
		t.Fatalf("%q, %v", told, err)
	}
	s.holds("dir/server.properties", "# c\na=2\n")
	s.holds("new/deep/x.properties", "a=3\n")
	if _, err := os.Lstat(s.at("none.txt")); !os.IsNotExist(err) {
		t.Errorf("a file of lines was made: %v", err)
	}
	type meta struct {
		mode     os.FileMode
		uid, gid int
	}
	self := meta{uid: s.owner.UID, gid: s.owner.GID}
	want := map[string]meta{"dir/server.properties": {0o640, self.uid, self.gid}, "new/deep/x.properties": {0o644, self.uid, self.gid}, "new/deep": {0o755 | os.ModeDir, self.uid, self.gid}}
	if s.volumes.Privileged {
		want["dir/server.properties"] = meta{0o640, 77, 88}
	}
	for path, m := range want {
		info, err := os.Stat(s.at(path))
		must(t, err)
		st := info.Sys().(*syscall.Stat_t)
		if got := (meta{info.Mode(), int(st.Uid), int(st.Gid)}); got != m {
			t.Errorf("%s: %+v, want %+v", path, got, m)
		}
	}
	s.noParts()
}

func TestAFileInWhichNothingChangesIsNotWritten(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.plant("x", "a=2\n", 0o644)
	before, err := os.Stat(s.at("x"))
	must(t, err)
	_, err = s.apply(properties("x", 2))
	must(t, err)
	after, err := os.Stat(s.at("x"))
	must(t, err)
	if !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) {
		t.Error("it was")
	}
}

func TestWhatCantBeReadNamesFileAndLine(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.plant("x.properties", "a=1\n", 0o644)
	s.plant("conf/b.yml", "a: 1\nb: [\n", 0o644)
	_, err := s.apply(properties("x.properties", 2), wire.Patch{Path: "conf/b.yml", Parser: wire.PatchYAML, Set: []wire.PatchSet{one("a", 2)}})
	if !problem.Is(err, problem.Conflict) || !strings.HasPrefix(problem.From(err).Message, "conf/b.yml, line 2: a [ has no end. Mend the file") {
		t.Fatalf("%v", err)
	}
	s.holds("conf/b.yml", "a: 1\nb: [\n")
	s.plant("conf/b.yml", "a: 1\n", 0o644)
	told, err := s.apply(wire.Patch{Path: "conf/b.yml", Parser: wire.PatchYAML, Set: []wire.PatchSet{one("a.b", 2), one("a", 3)}})
	if err != nil || len(told) != 1 || !strings.HasPrefix(told[0], "conf/b.yml: a.b isn't set") {
		t.Fatalf("%q, %v", told, err)
	}
	s.holds("conf/b.yml", "a: 3\n")
}

func TestLinksPipesAndFoldersAreRefused(t *testing.T) {
	t.Parallel()
	s := setup(t)
	must(t, os.Symlink(filepath.Join(s.outside, "precious"), s.at("link")))
	must(t, os.Symlink(s.outside, s.at("out")))
	must(t, syscall.Mkfifo(s.at("pipe"), 0o666))
	must(t, os.Mkdir(s.at("folder"), 0o755))
	s.plant("file", "x", 0o644)
	for _, path := range []string{"link", "out/precious", "out/new", "pipe", "folder", "file/x", strings.Repeat("n", 300)} {
		if _, err := s.apply(properties(path, 2)); !problem.Is(err, problem.Conflict) {
			t.Errorf("%.20s: %v", path, err)
		}
	}
	for _, path := range []string{"../x", "/etc/passwd", "a/../../x", ".", "", "a\x00b"} {
		if _, err := s.apply(properties(path, 2)); err == nil {
			t.Errorf("%q was patched", path)
		}
	}
	s.noParts()
}

// TestSwappingWhilePatching has files and folders turn into links that lead out,
// and back, all the time. The site checks what lies outside.
func TestSwappingWhilePatching(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.plant("d/precious", "a=1\n", 0o644)
	must(t, os.Symlink(s.outside, s.at("l")))
	s.plant("f/real", "a=1\n", 0o644)
	must(t, os.Symlink(filepath.Join(s.outside, "precious"), s.at("f/link")))
	var stop sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	stop.Go(func() {
		for ctx.Err() == nil {
			_ = unix.Renameat2(unix.AT_FDCWD, s.at("d"), unix.AT_FDCWD, s.at("l"), unix.RENAME_EXCHANGE)
			_ = unix.Renameat2(unix.AT_FDCWD, s.at("f/real"), unix.AT_FDCWD, s.at("f/link"), unix.RENAME_EXCHANGE)
		}
	})
	done := 0
	for i := range 25 {
		for _, path := range []string{"d/precious", "l/precious", "f/real", "f/link"} {
			if _, err := s.apply(properties(path, 10+i)); err == nil {
				done++
			}
		}
	}
	cancel()
	stop.Wait()
	if done == 0 {
		t.Error("none was patched")
	}
	s.noParts()
}

func TestFilesThatAreTooLarge(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.plant("x", "", 0o644)
	must(t, os.Truncate(s.at("x"), wire.PatchMost+1))
	if _, err := s.apply(properties("x", 1)); !problem.Is(err, problem.TooLarge) {
		t.Errorf("%v", err)
	}
	s.plant("y", "a\n", 0o644)
	must(t, os.Truncate(s.at("y"), wire.PatchMost)) // no more fits into it
	if _, err := s.apply(wire.Patch{Path: "y", Parser: wire.PatchFile, Set: []wire.PatchSet{one("a", "abc")}}); !problem.Is(err, problem.TooLarge) {
		t.Errorf("%v", err)
	}
	// Nobody is kept waiting after a failure.
	s.plant("z", strings.Repeat("x", 5<<20), 0o644)
	_, err := s.apply(properties("z", 1))
	must(t, err)
}

func TestAFullDiskIsSaid(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "small")
	must(t, os.Mkdir(dir, 0o755))
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("a filesystem of its own can't be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	s := setupAt(t, filepath.Join(dir, "volumes"))
	text := strings.Repeat("#234567\n", 1<<17) + "a=1\n"
	s.plant("x", text, 0o644)
	s.plant("log", strings.Repeat("x", 2<<20+1<<19), 0o644)
	_, err := s.apply(properties("x", 2))
	if err == nil || !problem.Is(err, problem.InsufficientResources) && !strings.Contains(err.Error(), "no space left") {
		t.Fatalf("%v", err)
	}
	s.holds("x", text)
	s.noParts()
	must(t, os.Remove(s.at("log")))
	_, err = s.apply(properties("x", 2))
	must(t, err)
	s.holds("x", strings.Replace(text, "a=1", "a=2", 1))
}

func TestACancelledOrderStops(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.plant("x", "a=1\n", 0o644)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.p.Apply(ctx, instance, []wire.Patch{properties("x", 2)}, s.owner); err == nil {
		t.Error("it went on")
	}
	s.holds("x", "a=1\n")
}

func TestManyAtATime(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ids := make([]ident.Instance, 4)
	var all sync.WaitGroup
	for i := range ids {
		ids[i] = ident.Instance(fmt.Sprintf("0000000%d", i))
		_, err := s.volumes.Ensure(ids[i])
		must(t, err)
		must(t, os.WriteFile(filepath.Join(s.volumes.Path(ids[i]), "x"), bytes.Repeat([]byte("b=12345 and so on and on\n"), 1<<20/5), 0o644))
		all.Go(func() {
			if _, err := s.p.Apply(t.Context(), ids[i], []wire.Patch{properties("x", i)}, s.owner); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
