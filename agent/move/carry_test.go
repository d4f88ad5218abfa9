package move

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// TestWhateverBreaksTheCopyIsTheSameInTheEnd carries random trees that change
// between passes, over lines that break anywhere, to agents that are killed.
func TestWhateverBreaksTheCopyIsTheSameInTheEnd(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			from, to := newSide(t), newSide(t)
			random := rand.New(rand.NewPCG(seed, 7))
			f := &forest{t: t, dir: from.volume(one), random: random, root: os.Geteuid() == 0}
			to.announce(one)
			for range 3 {
				for range 60 {
					f.change()
				}
				x := &transfer{from: from, to: to, id: one}
				for cuts := 0; ; cuts++ {
					x.tap = nil
					if cuts < 6 {
						after := []int64{1, 100, 5000, 100_000, 2 << 20}[random.IntN(5)]
						x.tap = func(r io.Reader) io.Reader { return breaking(r, random.Int64N(after)) }
					}
					err := x.pass(t.Context())
					if err == nil {
						break
					}
					if cuts >= 6 {
						t.Fatalf("a pass that nothing breaks fails: %v", err)
					}
					switch random.IntN(3) {
					case 0:
						to.reboot()
					case 1:
						f.change() // the instance still runs
					}
				}
				same(t, f.dir, to.staged(one))
				if a, b := from.digest(one, false), to.digest(one, true); a != b || a.Sum == "" {
					t.Fatalf("digests %+v and %+v", a, b)
				}
				again := &transfer{from: from, to: to, id: one}
				if err := again.pass(t.Context()); err != nil || again.changed != 0 || again.needs != 0 {
					t.Fatalf("a pass over what is the same: %v, %d changes, %d needs", err, again.changed, again.needs)
				}
			}
			must(t, to.store.Adopt(one))
			same(t, f.dir, to.volumes.Path(one))
		})
	}
}

func TestLargeFileGoesOnWhereItWasCut(t *testing.T) {
	t.Parallel()
	from, to := newSide(t), newSide(t)
	const size = 200 << 20
	path := filepath.Join(from.volume(one), "world.dat")
	file, err := os.Create(path)
	must(t, err)
	block := make([]byte, 1<<20)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(block)
	for n := range size >> 20 {
		block[n] = byte(n)
		_, err := file.Write(block)
		must(t, err)
	}
	must(t, file.Close())
	to.announce(one)
	x := &transfer{from: from, to: to, id: one, tap: func(r io.Reader) io.Reader { return breaking(r, 35<<20+12345) }}
	for cut := range 5 {
		if err := x.pass(t.Context()); err == nil {
			t.Fatal("a line that breaks carries all")
		}
		if cut == 2 {
			to.reboot()
		}
	}
	x.tap = nil
	must(t, x.pass(t.Context()))
	if sent := x.sent.Load(); sent < size || sent >= size*3/2 {
		t.Errorf("%d MiB were sent for %d MiB", sent>>20, size>>20)
	}
	if a, b := from.digest(one, false), to.digest(one, true); a != b || a.Bytes != size {
		t.Errorf("digests %+v and %+v", a, b)
	}
	if parts, err := os.ReadDir(filepath.Join(to.staged(one), "../parts")); err != nil || len(parts) != 0 {
		t.Errorf("parts that stay: %v, %v", parts, err)
	}
}

func TestHalfFileOfAnotherVersionStartsAnew(t *testing.T) {
	t.Parallel()
	from, to := newSide(t), newSide(t)
	path := filepath.Join(from.volume(one), "f")
	old := make([]byte, 3<<20)
	copy(old, bytes.Repeat([]byte("o"), len(old)))
	must(t, os.WriteFile(path, old, 0o644))
	to.announce(one)
	x := &transfer{from: from, to: to, id: one, tap: func(r io.Reader) io.Reader { return breaking(r, 2<<20+100) }}
	if err := x.pass(t.Context()); err == nil {
		t.Fatal("it was not cut")
	}
	// Another content of the same size and time: what was sent of the old one is no good.
	info, err := os.Stat(path)
	must(t, err)
	time.Sleep(grain) // so that the clock of the filesystem has moved on
	copy(old, bytes.Repeat([]byte("n"), len(old)))
	must(t, os.WriteFile(path, old, 0o644))
	must(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
	x.tap = nil
	must(t, x.pass(t.Context()))
	same(t, filepath.Dir(path), to.staged(one))
	// And so is the whole copy of it when that happens once more.
	time.Sleep(grain)
	must(t, os.WriteFile(path, make([]byte, 3<<20), 0o644))
	must(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
	must(t, x.pass(t.Context()))
	same(t, filepath.Dir(path), to.staged(one))
}

// onRead does something once so many bytes have passed.
type onRead struct {
	from io.Reader
	left int64
	do   func()
}

func (o *onRead) Read(p []byte) (int, error) {
	n, err := o.from.Read(p[:min(len(p), 32<<10)])
	if o.left -= int64(n); o.left <= 0 && o.do != nil {
		o.do()
		o.do = nil
	}
	return n, err
}

func TestFilesThatChangeWhileTheyAreReadFailNoPass(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(path string) error{
		"grows": func(path string) error {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString("more")
			return errors.Join(err, f.Close())
		},
		"shrinks":    func(path string) error { return os.Truncate(path, 10) },
		"is written": func(path string) error { return writeAt(path, 7<<20) },
		"is written and hides it": func(path string) error {
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			return errors.Join(writeAt(path, 7<<20), os.Chtimes(path, info.ModTime(), info.ModTime()))
		},
		"vanishes":    os.Remove,
		"is replaced": func(path string) error { return os.Rename(path+".other", path) },
		"is a folder": func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o755)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := newSide(t), newSide(t)
			dir := from.volume(one)
			path := filepath.Join(dir, "a")
			must(t, os.WriteFile(path, make([]byte, 8<<20), 0o644))
			must(t, os.WriteFile(path+".other", make([]byte, 100), 0o644))
			must(t, os.WriteFile(filepath.Join(dir, "z"), []byte("steady"), 0o644))
			to.announce(one)
			time.Sleep(grain)
			x := &transfer{from: from, to: to, id: one}
			once := sync.OnceFunc(func() { must(t, change(path)) })
			x.tap = func(r io.Reader) io.Reader { return &onRead{from: r, left: 1 << 20, do: once} }
			must(t, x.pass(t.Context()))
			if text, err := os.ReadFile(filepath.Join(to.staged(one), "z")); err != nil || string(text) != "steady" {
				t.Errorf("what was steady: %q, %v", text, err)
			}
			if unlinked := name == "is replaced" || name == "vanishes" || name == "is a folder"; !unlinked && x.got.Unsteady != 1 {
				t.Errorf("received %+v", x.got)
			}
			must(t, x.pass(t.Context()))
			same(t, dir, to.staged(one))
			if a, b := from.digest(one, false), to.digest(one, true); a != b {
				t.Errorf("digests %+v and %+v", a, b)
			}
		})
	}
}

func writeAt(path string, offset int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte("x"), offset)
	return errors.Join(err, f.Close())
}

func TestFilesThatVanishBeforeTheyAreRead(t *testing.T) {
	t.Parallel()
	from, to := newSide(t), newSide(t)
	dir := from.volume(one)
	for _, name := range []string{"a", "b", "c"} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644))
	}
	to.announce(one)
	page, err := from.store.Entries(t.Context(), one, wire.EntryQuery{Limit: 100})
	must(t, err)
	needs, err := to.store.Compare(t.Context(), one, page)
	must(t, err)
	must(t, os.Remove(filepath.Join(dir, "a")))
	must(t, os.Remove(filepath.Join(dir, "b")))
	must(t, syscall.Mkfifo(filepath.Join(dir, "b"), 0o600)) // whoever opens it waits for ever
	x := &transfer{from: from, to: to, id: one}
	must(t, x.pipe(t.Context(), needs))
	if x.got != (wire.Received{Files: 1, Bytes: 1, Unsteady: 2}) {
		t.Errorf("received %+v", x.got)
	}
}

func TestHugeFileOfHoles(t *testing.T) {
	t.Parallel()
	from, to := newSide(t), newSide(t)
	path := filepath.Join(from.volume(one), "sparse")
	file, err := os.Create(path)
	must(t, err)
	const size = 1 << 42
	must(t, file.Truncate(size))
	for _, at := range []int64{123, 1 << 33, size - 5} {
		_, err := file.WriteAt([]byte("data!"), at)
		must(t, err)
	}
	must(t, file.Close())
	var st syscall.Stat_t
	must(t, syscall.Stat(path, &st))
	if st.Blocks*512 > 1<<20 {
		t.Skip("this filesystem keeps no holes")
	}
	to.announce(one)
	x := &transfer{from: from, to: to, id: one, tap: func(r io.Reader) io.Reader { return breaking(r, 6000) }}
	if err := x.pass(t.Context()); err == nil {
		t.Fatal("it was not cut")
	}
	x.tap = nil
	must(t, x.pass(t.Context()))
	if sent := x.sent.Load(); sent > 1<<20 {
		t.Errorf("%d bytes were sent", sent)
	}
	must(t, syscall.Stat(filepath.Join(to.staged(one), "sparse"), &st))
	if st.Size != size || st.Blocks*512 > 1<<20 {
		t.Errorf("there it takes %d bytes of %d", st.Blocks*512, st.Size)
	}
	if a, b := from.digest(one, false), to.digest(one, true); a != b || a.Bytes != size {
		t.Errorf("digests %+v and %+v", a, b)
	}
}

func TestManySmallFilesTravelTogether(t *testing.T) {
	t.Parallel()
	from, to := newSide(t), newSide(t)
	dir := from.volume(one)
	for n := range 3 * batchFiles {
		must(t, os.WriteFile(filepath.Join(dir, "f"+string(rune('a'+n%26))+string(rune('a'+n/26))), []byte{byte(n)}, 0o644))
	}
	to.announce(one)
	page, err := from.store.Entries(t.Context(), one, wire.EntryQuery{Limit: wire.MaxEntries})
	must(t, err)
	if !page.Last {
		t.Fatal("it is more than a page")
	}
	needs, err := to.store.Compare(t.Context(), one, page)
	must(t, err)
	// Cut after the first batch: that one stays.
	x := &transfer{from: from, to: to, id: one, tap: func(r io.Reader) io.Reader { return breaking(r, 50_000) }}
	if err := x.pipe(t.Context(), needs); err == nil {
		t.Fatal("it was not cut")
	}
	first := x.got.Files
	if first < batchFiles {
		t.Fatalf("%d files stayed", first)
	}
	if needs, err = to.store.Compare(t.Context(), one, page); err != nil || len(needs.Files) != 3*batchFiles-first {
		t.Fatalf("%d files are needed after %d, %v", len(needs.Files), first, err)
	}
	x.tap = nil
	must(t, x.pipe(t.Context(), needs))
	must(t, x.walk(t.Context(), false))
	same(t, dir, to.staged(one))
	if state, err := to.store.Incoming(one); err != nil || state.Bytes != 3*batchFiles {
		t.Errorf("the state is %+v, %v", state, err)
	}
}

// smallDisk mounts a filesystem of a few megabytes.
func smallDisk(t *testing.T, mebibytes string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("berth-test", dir, "tmpfs", 0, "size="+mebibytes+"m"); err != nil {
		t.Skipf("nothing can be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return filepath.Join(dir, "volumes")
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	at := smallDisk(t, "24")
	from, to := newSide(t), newSideAt(t, at)
	dir := from.volume(one)
	small := make([]byte, 100_000)
	must(t, os.WriteFile(filepath.Join(dir, "a"), small, 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "b"), make([]byte, 40<<20), 0o644))
	to.announce(one)
	// It is known before.
	if _, err := to.store.Receive(t.Context(), one, 40<<20, broken{}, func() {}); !problem.Is(err, problem.InsufficientResources) {
		t.Fatalf("too much is begun: %v", err)
	}
	// It shows only on the way.
	x := &transfer{from: from, to: to, id: one}
	wantProblem(t, x.pass(t.Context()), problem.InsufficientResources)
	if text, err := os.ReadFile(filepath.Join(to.staged(one), "a")); err != nil || len(text) != len(small) {
		t.Errorf("what came before it was full: %d bytes, %v", len(text), err)
	}
	// Less to carry: what arrived in vain makes room.
	must(t, os.WriteFile(filepath.Join(dir, "b"), make([]byte, 8<<20), 0o644))
	must(t, x.pass(t.Context()))
	same(t, dir, to.staged(one))
	must(t, to.store.Adopt(one))
	same(t, dir, to.volumes.Path(one))
}

func TestDigestsTellWhatDiffers(t *testing.T) {
	t.Parallel()
	s := newSide(t)
	dir := s.volume(one)
	file := filepath.Join(dir, "f")
	must(t, os.WriteFile(file, make([]byte, 300_000), 0o644))
	must(t, os.Symlink("x", filepath.Join(dir, "l")))
	sum := func() string {
		t.Helper()
		_, err := s.store.Entries(t.Context(), one, wire.EntryQuery{Limit: 1}) // a pass begins
		must(t, err)
		return s.digest(one, false).Sum
	}
	first := sum()
	if s.digest(one, false).Sum != first {
		t.Error("it changes by being asked for")
	}
	// Holes in place of zeros, and other times: the same.
	must(t, os.Truncate(file, 0))
	must(t, os.Truncate(file, 300_000))
	must(t, os.Chtimes(file, time.Unix(1, 0), time.Unix(1, 0)))
	if got := sum(); got != first {
		t.Error("holes are told from zeros")
	}
	seen := map[string]string{first: "the first"}
	for name, change := range map[string]func() error{
		"a byte": func() error { return writeAt(file, 299_999) },
		"a mode": func() error { return os.Chmod(file, 0o600) },
		"a link": func() error {
			return errors.Join(os.Remove(filepath.Join(dir, "l")), os.Symlink("y", filepath.Join(dir, "l")))
		},
		"a folder": func() error { return os.Mkdir(filepath.Join(dir, "d"), 0o755) },
	} {
		must(t, change())
		got := sum()
		if before := seen[got]; before != "" {
			t.Errorf("after %s it is that of %s", name, before)
		}
		seen[got] = name
	}
	if _, err := s.store.Digest("0000000f", false); !problem.Is(err, problem.NotFound) {
		t.Errorf("of no volume: %v", err)
	}
	if _, err := s.store.Digest(one, true); !problem.Is(err, problem.NotFound) {
		t.Errorf("of no incoming volume: %v", err)
	}
}

func TestSourceThatIsNotThere(t *testing.T) {
	t.Parallel()
	s := newSide(t)
	_, err := s.store.Entries(t.Context(), one, wire.EntryQuery{Limit: 1})
	wantProblem(t, err, problem.NotFound)
	wantProblem(t, s.store.Send(t.Context(), one, wire.Needs{}, io.Discard), problem.NotFound)
	s.volume(one)
	for _, limit := range []int{0, -1, wire.MaxEntries + 1} {
		_, err = s.store.Entries(t.Context(), one, wire.EntryQuery{Limit: limit})
		wantProblem(t, err, problem.Validation)
	}
	_, err = s.store.Entries(t.Context(), one, wire.EntryQuery{Limit: 1, After: "../.."})
	wantProblem(t, err, problem.Validation)
	wantProblem(t, s.store.Send(t.Context(), one, wire.Needs{Files: []wire.Need{{Path: "../x"}}}, io.Discard), problem.Validation)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.store.Entries(cancelled, one, wire.EntryQuery{Limit: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("for nobody: %v", err)
	}
}
