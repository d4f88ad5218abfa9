package move

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/berth-panel/berth/agent/volume"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	one      = ident.Instance("00000001")
	patience = 30 * time.Second
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantProblem(t testing.TB, err error, code problem.Code) {
	t.Helper()
	if !problem.Is(err, code) {
		t.Fatalf("the failure is %v, want %s", err, code)
	}
}

// side is one node: its volumes and its moves.
type side struct {
	t       testing.TB
	dir     string
	volumes *volume.Store
	store   *Store
	fetch   func(context.Context, wire.ImageSpec) error
	stop    func()
}

func newSide(t testing.TB) *side {
	t.Helper()
	return newSideAt(t, filepath.Join(t.TempDir(), "volumes"))
}

func newSideAt(t testing.TB, dir string) *side {
	t.Helper()
	s := &side{t: t, dir: dir, fetch: func(context.Context, wire.ImageSpec) error { return nil }}
	s.boot()
	t.Cleanup(func() { s.stop() })
	return s
}

// boot starts the node's agent on what the disk holds.
func (s *side) boot() {
	s.t.Helper()
	var err error
	s.volumes, err = volume.Open(s.dir)
	must(s.t, err)
	s.store, err = New(Options{
		Volumes: s.volumes, Log: slog.New(slog.DiscardHandler), Now: time.Now,
		Fetch: func(ctx context.Context, image wire.ImageSpec) error { return s.fetch(ctx, image) },
	})
	must(s.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.store.Run(ctx) })
	for { // until it runs: what a call before would wait for
		s.store.mu.Lock()
		live := s.store.live
		s.store.mu.Unlock()
		if live != nil {
			break
		}
		time.Sleep(time.Millisecond) // nobody tells
	}
	s.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		_ = s.volumes.Close()
	})
}

// reboot ends the agent and starts it again on what the disk holds.
func (s *side) reboot() {
	s.stop()
	s.boot()
}

// volume makes an instance's volume and gives its path.
func (s *side) volume(id ident.Instance) string {
	s.t.Helper()
	_, err := s.volumes.Ensure(id)
	must(s.t, err)
	return s.volumes.Path(id)
}

// staged is the path of an incoming volume's data.
func (s *side) staged(id ident.Instance) string {
	return filepath.Join(s.dir, ".incoming", string(id), "data")
}

func (s *side) announce(id ident.Instance) {
	s.t.Helper()
	_, err := s.store.Announce(wire.Incoming{Instance: id, Spec: wire.Spec{Instance: id, Image: wire.ImageSpec{Reference: "game:1"}}})
	must(s.t, err)
}

// digest waits for a digest.
func (s *side) digest(id ident.Instance, incoming bool) wire.Digest {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		d, err := s.store.Digest(id, incoming)
		must(s.t, err)
		if d.Done {
			return d
		}
		if time.Now().After(deadline) {
			s.t.Fatal("the digest is never done")
		}
		time.Sleep(time.Millisecond) // it is asked for as the controller does
	}
}

// transfer is how the two sides are joined, as the controller joins them.
type transfer struct {
	from, to *side
	id       ident.Instance
	// tap may stand between them.
	tap     func(io.Reader) io.Reader
	sent    atomic.Int64
	changed int
	needs   int
	got     wire.Received
}

// pass is a whole pass. It ends at the first failure, as the controller's does.
func (x *transfer) pass(ctx context.Context) error {
	if err := x.walk(ctx, true); err != nil {
		return err
	}
	return x.walk(ctx, false)
}

func (x *transfer) walk(ctx context.Context, content bool) error {
	for after := wire.Path(""); ; {
		page, err := x.from.store.Entries(ctx, x.id, wire.EntryQuery{After: after, Limit: 7})
		if err != nil {
			return err
		}
		needs, err := x.to.store.Compare(ctx, x.id, page)
		if err != nil {
			return err
		}
		x.changed += needs.Changed
		x.needs += len(needs.Files)
		if content && len(needs.Files) > 0 {
			if err := x.pipe(ctx, needs); err != nil {
				return err
			}
		}
		if page.Last {
			return nil
		}
		after = page.Entries[len(page.Entries)-1].Path
	}
}

func (x *transfer) pipe(ctx context.Context, needs wire.Needs) error {
	r, w := io.Pipe()
	var sender sync.WaitGroup
	sender.Go(func() { _ = w.CloseWithError(x.from.store.Send(ctx, x.id, needs, w)) })
	var in io.Reader = r
	if x.tap != nil {
		in = x.tap(r)
	}
	got, err := x.to.store.Receive(ctx, x.id, 0, &counter{in, &x.sent}, func() { _ = r.CloseWithError(errors.New("cut")) })
	_ = r.CloseWithError(errors.New("nobody listens any more"))
	sender.Wait()
	x.got.Files += got.Files
	x.got.Bytes += got.Bytes
	x.got.Unsteady += got.Unsteady
	return err
}

type counter struct {
	from io.Reader
	n    *atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// breaking ends in a failure after some bytes.
func breaking(r io.Reader, after int64) io.Reader {
	return io.MultiReader(io.LimitReader(r, after), broken{})
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("the line is dead") }

// tree describes all that is carried of a folder, a line each.
func tree(t testing.TB, dir string) string {
	t.Helper()
	var out string
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		st, _ := info.Sys().(*syscall.Stat_t)
		line := fmt.Sprintf("%q %v %d:%d %d", rel, info.Mode(), st.Uid, st.Gid, info.ModTime().UnixNano())
		switch {
		case info.Mode().IsRegular():
			text, err := peek(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %d %x", len(text), crc32.ChecksumIEEE(text))
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" → %q", target)
		case !info.IsDir():
			return nil // not carried
		}
		out += line + "\n"
		return nil
	}))
	return out
}

// peek reads a file without leaving a trace in its times, of which the target's
// last access is the original's ctime.
func peek(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOATIME, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(f)
}

// same fails unless both sides hold the same tree.
func same(t testing.TB, from, to string) {
	t.Helper()
	if a, b := tree(t, from), tree(t, to); a != b {
		t.Fatalf("the source is\n%s\nand the target\n%s", a, b)
	}
}

// forest grows and changes random trees.
type forest struct {
	t      testing.TB
	dir    string
	random *rand.Rand
	root   bool
}

var names = []string{"a", "a!", "a.txt", "b", "é", "\xff\xfe", "new\nline", "%41", "data", "-", "..x"}

func (f *forest) pick() (dir string) {
	dir = f.dir
	for f.random.IntN(3) > 0 {
		next := filepath.Join(dir, names[f.random.IntN(len(names))])
		if info, err := os.Lstat(next); err != nil || !info.IsDir() {
			break
		}
		dir = next
	}
	return dir
}

// change does one random thing to the tree.
func (f *forest) change() {
	path := filepath.Join(f.pick(), names[f.random.IntN(len(names))])
	switch f.random.IntN(10) {
	case 0, 1:
		_ = os.Mkdir(path, 0o755)
	case 2:
		_ = os.Symlink([]string{"/etc/passwd", "..", "a", "\xff", path}[f.random.IntN(5)], path)
	case 3:
		_ = os.RemoveAll(path)
	case 4:
		_ = syscall.Mkfifo(path, 0o600)
	case 5:
		_ = os.Rename(path, filepath.Join(f.pick(), names[f.random.IntN(len(names))]))
	case 6:
		if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink == 0 {
			_ = os.Chmod(path, fs.FileMode(0o700|f.random.IntN(0o100))|[]fs.FileMode{0, fs.ModeSetuid, fs.ModeSetgid, fs.ModeSticky}[f.random.IntN(4)])
			_ = os.Chtimes(path, time.Time{}, time.Unix(int64(f.random.IntN(2_000_000_000)), int64(f.random.IntN(1_000_000_000))))
		}
		if f.root {
			_ = os.Lchown(path, f.random.IntN(3), f.random.IntN(3))
		}
	default:
		f.write(path)
	}
}

func (f *forest) write(path string) {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return
	}
	defer func() { _ = file.Close() }()
	size := []int{0, 1, 100, 70_000, 3 << 20}[f.random.IntN(5)]
	text := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(f.random.Uint32())}).Read(text)
	_, err = file.WriteAt(text, []int64{0, 0, 10, 5 << 20}[f.random.IntN(4)])
	must(f.t, err)
}
