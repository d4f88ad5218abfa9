package files

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// setup gives a root, its path on this machine, and a folder outside of it that
// nothing may reach.
func setup(t *testing.T) (r *Root, dir, outside string) {
	t.Helper()
	dir, outside = filepath.Join(t.TempDir(), "volume"), t.TempDir()
	must(t, os.Mkdir(dir, 0o755))
	must(t, os.WriteFile(filepath.Join(outside, "precious"), []byte("precious"), 0o600))
	f, err := os.Open(dir)
	must(t, err)
	r = At(f)
	t.Cleanup(func() {
		_ = r.Close()
		untouched(t, outside)
	})
	return r, dir, outside
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func untouched(t *testing.T, outside string) {
	t.Helper()
	entries, err := os.ReadDir(outside)
	if err != nil || len(entries) != 1 {
		t.Fatalf("outside: %v, %v", entries, err)
	}
	info, err := os.Stat(filepath.Join(outside, "precious"))
	if got, rerr := os.ReadFile(filepath.Join(outside, "precious")); err != nil || rerr != nil || string(got) != "precious" || info.Mode().Perm() != 0o600 {
		t.Fatalf("outside: %q, %v, %v, %v", got, info, err, rerr)
	}
}

// walk gives the paths behind after.
func walk(t *testing.T, r *Root, after wire.Path) (paths []wire.Path, kinds map[wire.Path]Kind) {
	t.Helper()
	w, err := r.Walk(after)
	must(t, err)
	defer w.Close()
	kinds = map[wire.Path]Kind{}
	for {
		info, err := w.Next()
		if errors.Is(err, io.EOF) {
			return paths, kinds
		}
		must(t, err)
		paths = append(paths, info.Path)
		kinds[info.Path] = info.Kind
	}
}

func TestWalkGoesOnBehindAnyPath(t *testing.T) {
	t.Parallel()
	r, dir, _ := setup(t)
	random := rand.New(rand.NewPCG(1, 2))
	all := []wire.Path{wire.Root}
	var grow func(at wire.Path, depth int)
	grow = func(at wire.Path, depth int) {
		for _, name := range []string{"a", "a!", "a.b", "b", "é", "\xff", "x\ny", "-"} {
			if random.IntN(3) == 0 {
				continue
			}
			path := join(at, name)
			all = append(all, path)
			if depth < 3 && random.IntN(2) == 0 {
				must(t, os.Mkdir(filepath.Join(dir, string(path)), 0o755))
				grow(path, depth+1)
			} else {
				must(t, os.WriteFile(filepath.Join(dir, string(path)), nil, 0o644))
			}
		}
	}
	grow(wire.Root, 0)
	slices.SortFunc(all, wire.Path.Compare)
	if got, _ := walk(t, r, ""); !slices.Equal(got, all) {
		t.Fatalf("the walk gives\n%q, want\n%q", got, all)
	}
	behind := append([]wire.Path{"a/nothing", "a!/x/y/z", "zz", "\x01", "a.b/b/b/b/b"}, all...)
	for _, after := range behind {
		want := all[len(all):]
		if n := slices.IndexFunc(all, func(p wire.Path) bool { return p.Compare(after) > 0 }); n >= 0 {
			want = all[n:]
		}
		if got, _ := walk(t, r, after); !slices.Equal(got, want) {
			t.Fatalf("behind %q come %q, want %q", after, got, want)
		}
	}
	for _, bad := range []wire.Path{"..", "/", "a//b", "../x"} {
		if _, err := r.Walk(bad); err == nil {
			t.Errorf("a walk behind %q", bad)
		}
	}
}

func TestFoldersOfAnySizeTakeLittleRoom(t *testing.T) {
	t.Parallel()
	r, dir, _ := setup(t)
	const many = 4*namesHeld + 1000
	for n := range many {
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%06d", (n*7919)%many)), nil, 0o600))
	}
	w, err := r.Walk("000010")
	must(t, err)
	defer w.Close()
	for n := 11; n < many; n++ {
		info, err := w.Next()
		if err != nil || info.Path != wire.Path(fmt.Sprintf("%06d", n)) {
			t.Fatalf("entry %d is %q, %v", n, info.Path, err)
		}
		if held := len(w.stack[0].batch); held > namesHeld {
			t.Fatalf("%d names are held", held)
		}
	}
	if _, err := w.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("then %v", err)
	}
}

func TestTreesOfAnyDepthTakeFewDescriptors(t *testing.T) {
	t.Parallel()
	r, dir, _ := setup(t)
	at, err := os.OpenRoot(dir)
	must(t, err)
	const depth = 1500
	for range depth {
		must(t, at.Mkdir("d", 0o755))
		must(t, at.WriteFile("x", nil, 0o600))
		next, err := at.OpenRoot("d")
		must(t, err)
		_ = at.Close()
		at = next
	}
	defer func() { _ = at.Close() }()
	w, err := r.Walk("")
	must(t, err)
	defer w.Close()
	seen := 0
	for {
		_, err := w.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		seen++
		open := 0
		for _, l := range w.stack {
			if l.fd >= 0 {
				open++
			}
		}
		if open > dirsOpen+1 {
			t.Fatalf("%d folders are open", open)
		}
	}
	if want := 2*depth + 1; seen != want {
		t.Errorf("%d entries, want %d", seen, want)
	}
	for range 2 { // beyond what any path can name
		long := strings.Repeat("l", 255)
		for range 8 {
			must(t, at.Mkdir(long, 0o755))
			next, err := at.OpenRoot(long)
			must(t, err)
			_ = at.Close()
			at = next
		}
	}
	again, err := r.Walk("")
	must(t, err)
	defer again.Close()
	for err == nil {
		_, err = again.Next()
	}
	if !problem.Is(err, problem.Validation) || !strings.Contains(err.Error(), "too deep") {
		t.Errorf("a tree that is too deep ends with %v", err)
	}
}

func TestLinksAreNeverFollowed(t *testing.T) {
	t.Parallel()
	r, dir, outside := setup(t)
	must(t, os.Mkdir(filepath.Join(dir, "in"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "in/file"), []byte("mine"), 0o644))
	for name, target := range map[string]string{
		"out": outside, "file": filepath.Join(outside, "precious"), "loop": "loop", "up": "../..", "inner": "in", "innerfile": "in/file",
	} {
		must(t, os.Symlink(target, filepath.Join(dir, name)))
	}
	paths, kinds := walk(t, r, "")
	for _, p := range paths {
		if strings.Contains(string(p), "precious") || strings.HasPrefix(string(p), "inner/") {
			t.Errorf("the walk went through a link to %q", p)
		}
	}
	for _, name := range []wire.Path{"out", "file", "loop", "up", "inner", "innerfile"} {
		if kinds[name] != Link {
			t.Errorf("%q is of kind %v", name, kinds[name])
		}
	}
	for _, path := range []wire.Path{"file", "loop", "innerfile", "out/precious", "inner/file", "up/x", "out/../in/file"} {
		if f, _, err := r.Open(path); err == nil {
			_ = f.Close()
			t.Errorf("%q was opened", path)
		}
		if f, err := r.Create(path); err == nil {
			_ = f.Close()
			t.Errorf("%q was created", path)
		}
		if _, err := r.Sub(path); err == nil {
			t.Errorf("%q is a root", path)
		}
	}
	for _, path := range []wire.Path{"out/x", "inner/x", "up/x", "loop/x"} {
		for verb, err := range map[string]error{
			"mkdir": r.Mkdir(path), "symlink": r.Symlink("x", path), "move to": r.Move("in/file", r, path),
			"move": r.Move(path, r, "y"), "remove": r.Remove(path),
		} {
			if err == nil {
				t.Errorf("%s %q works", verb, path)
			}
		}
		if _, err := r.Lstat(path); !Gone(err) {
			t.Errorf("lstat %q: %v", path, err)
		}
	}
	if err := r.Remove("out/precious"); err == nil {
		t.Error("a file outside was removed")
	}
	// What is done to a link is done to itself.
	link, err := r.Lstat("file")
	must(t, err)
	if _, err := r.Apply(link, Meta{Mode: 0o777, UID: link.UID, GID: link.GID, MTime: 5e9}); err != nil {
		t.Error(err)
	}
	if again, err := r.Lstat("file"); err != nil || again.MTime != 5e9 {
		t.Errorf("the link's own time is %v, %v", again.MTime, err)
	}
	link.Kind = File // as one who was looked at before it was swapped
	if _, err := r.Apply(link, Meta{Mode: 0o4755, UID: link.UID, GID: link.GID, MTime: 7e9}); err == nil {
		t.Error("the mode of a link's target was changed")
	}
	if err := r.Move("in/file", r, "file"); err != nil {
		t.Errorf("a link can't be replaced: %v", err)
	}
}

func TestWhatIsNoFileIsNotOpened(t *testing.T) {
	t.Parallel()
	r, dir, _ := setup(t)
	must(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o666))
	socket, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	must(t, err)
	defer func() { _ = syscall.Close(socket) }()
	names := []wire.Path{"pipe"}
	if at := filepath.Join(dir, "socket"); syscall.Bind(socket, &syscall.SockaddrUnix{Name: at}) == nil {
		names = append(names, "socket")
	}
	if syscall.Mknod(filepath.Join(dir, "device"), syscall.S_IFCHR|0o666, 1<<8|5) == nil { // /dev/zero
		names = append(names, "device")
	}
	must(t, os.Mkdir(filepath.Join(dir, "folder"), 0o755))
	_, kinds := walk(t, r, "")
	for _, name := range names {
		if kinds[name] != Other {
			t.Errorf("%q is of kind %v", name, kinds[name])
		}
	}
	for _, name := range append(names, "folder", "nothing") {
		f, _, err := r.Open(name) // would block for ever, or never end
		if err == nil {
			_ = f.Close()
		}
		if !Gone(err) {
			t.Errorf("open %q: %v", name, err)
		}
	}
	if f, err := r.Create("pipe"); err == nil {
		_ = f.Close()
		t.Error("a pipe was created as a file")
	}
}

func TestSwappingWhileWalking(t *testing.T) {
	t.Parallel()
	r, dir, outside := setup(t)
	must(t, os.Mkdir(filepath.Join(dir, "d"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "d/mine"), []byte("mine"), 0o644))
	must(t, os.Symlink(outside, filepath.Join(dir, "l")))
	stop := make(chan struct{})
	var swapper sync.WaitGroup
	swapper.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.Rename(filepath.Join(dir, "d"), filepath.Join(dir, "t"))
			_ = os.Rename(filepath.Join(dir, "l"), filepath.Join(dir, "d"))
			_ = os.Rename(filepath.Join(dir, "d"), filepath.Join(dir, "l"))
			_ = os.Rename(filepath.Join(dir, "t"), filepath.Join(dir, "d"))
		}
	})
	for range 3000 {
		paths, _ := walk(t, r, "")
		for _, p := range paths {
			if strings.Contains(string(p), "precious") {
				t.Fatalf("the walk left the root: %q", p)
			}
		}
		if f, _, err := r.Open("d/precious"); err == nil {
			_ = f.Close()
			t.Fatal("a file outside was opened")
		}
		_ = r.Remove("d/precious")
		_ = r.Symlink("x", "d/made")
		_ = r.Remove("d/made")
	}
	close(stop)
	swapper.Wait()
}

func TestVanishingWhileWalking(t *testing.T) {
	t.Parallel()
	r, dir, _ := setup(t)
	for _, name := range []string{"a/1", "a/2", "b/1", "c/1"} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
	}
	w, err := r.Walk("")
	must(t, err)
	defer w.Close()
	var got []wire.Path
	for {
		info, err := w.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		got = append(got, info.Path)
		switch info.Path {
		case "a/1":
			must(t, os.RemoveAll(filepath.Join(dir, "a")))
			must(t, os.RemoveAll(filepath.Join(dir, "b")))
			must(t, os.WriteFile(filepath.Join(dir, "b"), nil, 0o644)) // a file now
		case "c":
			w.SkipDir()
		}
	}
	if want := []wire.Path{".", "a", "a/1", "b", "c"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestHolesAreFound(t *testing.T) {
	t.Parallel()
	r, dir, _ := setup(t)
	f, err := os.Create(filepath.Join(dir, "sparse"))
	must(t, err)
	const size = 1 << 40
	must(t, f.Truncate(size))
	for _, at := range []int64{1 << 20, 1 << 30} {
		_, err := f.WriteAt([]byte("data"), at)
		must(t, err)
	}
	must(t, f.Close())
	open, info, err := r.Open("sparse")
	must(t, err)
	defer func() { _ = open.Close() }()
	if info.Size != size || info.Data == 0 || info.Data > 1<<20 {
		t.Skipf("this filesystem keeps no holes: %+v", info)
	}
	var starts []int64
	for at := int64(0); at < size; {
		start, end, err := Data(open, at, size)
		must(t, err)
		if start >= size {
			break
		}
		if end <= start || end-start > 1<<20 {
			t.Fatalf("data from %d to %d", start, end)
		}
		starts = append(starts, start)
		at = end
	}
	if want := []int64{1 << 20, 1 << 30}; !slices.Equal(starts, want) {
		t.Errorf("data at %v, want %v", starts, want)
	}
	must(t, os.Truncate(filepath.Join(dir, "sparse"), 0))
	if start, _, err := Data(open, 0, size); err != nil || start != size {
		t.Errorf("after it shrank: %d, %v", start, err)
	}
}

func TestReadingLeavesNoTrace(t *testing.T) {
	t.Parallel()
	r, dir, _ := setup(t)
	must(t, os.WriteFile(filepath.Join(dir, "f"), []byte("x"), 0o644))
	old := time.Unix(1000, 5)
	must(t, os.Chtimes(filepath.Join(dir, "f"), old, time.Unix(2000, 0)))
	f, _, err := r.Open("f")
	must(t, err)
	_, err = io.ReadAll(f)
	must(t, err)
	_ = f.Close()
	if info, err := r.Lstat("f"); err != nil || info.ATime != old.UnixNano() {
		t.Errorf("the time of the last access is %d, %v", info.ATime, err)
	}
}

func TestMetaOfEveryKind(t *testing.T) {
	t.Parallel()
	r, dir, _ := setup(t)
	must(t, r.Mkdir("dir"))
	must(t, r.Symlink("nowhere", "link"))
	f, err := r.Create("file")
	must(t, err)
	uid, gid := os.Geteuid(), os.Getegid()
	if uid == 0 {
		uid, gid = 1234, 5678
	}
	sealed := Meta{Mode: 0o4755, UID: uid, GID: gid, MTime: 1_600_000_000_123_456_789, ATime: 1_500_000_000_000_000_001}
	must(t, r.Seal(f, "file", sealed))
	must(t, f.Close())
	for path, mode := range map[wire.Path]uint32{"file": 0o4755, "dir": 0o1777, "link": 0o777, wire.Root: 0o2750} {
		info, err := r.Lstat(path)
		must(t, err)
		m := Meta{Mode: mode, UID: uid, GID: gid, MTime: 1_600_000_000_123_456_789}
		changed, err := r.Apply(info, m)
		must(t, err)
		if changed == (path == "file") { // that one has it all
			t.Errorf("%s: changed is %v", path, changed)
		}
		info, err = r.Lstat(path)
		must(t, err)
		if info.Mode != mode || info.UID != uid || info.GID != gid || !SameTime(info.MTime, m.MTime) {
			t.Errorf("%s is %+v, want %+v", path, info, m)
		}
		if changed, err := r.Apply(info, m); changed || err != nil {
			t.Errorf("%s was changed again: %v", path, err)
		}
	}
	if info, _ := r.Lstat("file"); !SameTime(info.ATime, sealed.ATime) {
		t.Errorf("the time of access is %d", info.ATime)
	}
	_ = os.Chmod(dir, 0o755)
}

func TestRemoveTellsWhatIsFull(t *testing.T) {
	t.Parallel()
	r, dir, _ := setup(t)
	must(t, os.MkdirAll(filepath.Join(dir, "full/x"), 0o755))
	if err := r.Remove("full"); !NotEmpty(err) {
		t.Errorf("a full folder: %v", err)
	}
	if err := r.Remove("full/x"); err != nil {
		t.Error(err)
	}
	if err := r.Remove("full"); err != nil {
		t.Error(err)
	}
	if err := r.Remove("full"); !Gone(err) {
		t.Errorf("one that is gone: %v", err)
	}
	for _, bad := range []wire.Path{wire.Root, "", "..", "x/../y"} {
		if err := r.Remove(bad); err == nil {
			t.Errorf("%q was removed", bad)
		}
	}
}

func TestTimesThatAreTheSame(t *testing.T) {
	t.Parallel()
	const set = 1_700_000_001_123_456_789
	for got, want := range map[int64]bool{
		set: true, 1_700_000_001_123_456_700: true, 1_700_000_001_123_456_000: true, 1_700_000_001_000_000_000: true, 1_700_000_000_000_000_000: true,
		set + 1: false, set - 1: false, 0: false, 1_700_000_002_000_000_000: false, 1_700_000_001_123_000_000: false,
	} {
		if SameTime(got, set) != want {
			t.Errorf("%d for %d: %v", got, int64(set), !want)
		}
	}
	if !SameTime(-1_000_000_000, -500_000_000) || SameTime(0, -500_000_000) {
		t.Error("before 1970 times are rounded up")
	}
}
