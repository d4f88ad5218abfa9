package carry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// fill makes a volume with all that is carried, and large enough for a few pages.
func fill(t testing.TB, dir string, random *rand.Rand) {
	t.Helper()
	for n := range 1100 {
		path := filepath.Join(dir, fmt.Sprintf("d%d", n%7), fmt.Sprintf("f%d", n))
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(path)[:random.IntN(len(path))], 0o640))
	}
	large := make([]byte, 6<<20)
	_, _ = rand.NewChaCha8([32]byte{byte(random.Uint32())}).Read(large)
	must(t, os.WriteFile(filepath.Join(dir, "large"), large, 0o755|os.ModeSetuid))
	must(t, os.Symlink("/etc/passwd", filepath.Join(dir, "d1/link\n\xff")))
	must(t, os.Mkdir(filepath.Join(dir, "empty"), 0o700))
	must(t, syscall.Mkfifo(filepath.Join(dir, "zz-pipe"), 0o600))
	must(t, os.Chtimes(filepath.Join(dir, "d3"), time.Unix(1, 2), time.Unix(3, 4)))
	if os.Geteuid() == 0 {
		must(t, os.Chown(filepath.Join(dir, "d4/f4"), 1234, 5678))
	}
}

func TestVolumeIsCarriedAndTakenOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", "")
	from, to := w.agents[0], w.agents[1]
	dir := from.volume(one)
	fill(t, dir, rand.New(rand.NewPCG(1, 1)))
	must(t, os.Remove(filepath.Join(dir, "zz-pipe"))) // so that the trees can be compared
	if _, err := w.fleet.Incoming(t.Context(), to.node, one); !problem.Is(err, problem.NotFound) {
		t.Fatalf("before it was announced: %v", err)
	}
	must(t, w.fleet.DropIncoming(t.Context(), to.node, one))
	w.open(to, one)
	var mu sync.Mutex
	var told [][2]int64
	must(t, w.fleet.Copy(t.Context(), from.node, to.node, one, func(done, total int64) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, [2]int64{done, total})
	}))
	same(t, dir, to.staged(one))
	if !slices.IsSortedFunc(told, func(a, b [2]int64) int { return int(a[0] - b[0]) }) || told[0][0] != 0 || told[len(told)-1][0] != told[0][1] {
		t.Errorf("the progress was %v", told)
	}
	carried := w.carried.Load()
	must(t, w.fleet.Copy(t.Context(), from.node, to.node, one, nil))
	if again := w.carried.Load() - carried; again > 1<<20 {
		t.Errorf("nothing had changed, and %d bytes travelled", again)
	}
	if a, b := w.digest(from, one, false), w.digest(to, one, true); a != b || a.Entries < 1100 {
		t.Errorf("digests %+v and %+v", a, b)
	}
	_, err := w.fleet.Apply(t.Context(), to.node, spec(one, 7))
	must(t, err)
	until(t, "it runs", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		e := w.states[one]
		return e.State != nil && e.State.Converged && e.State.Actual == wire.ActualRunning
	})
	same(t, dir, to.volume(one))
	if _, err := w.fleet.Incoming(t.Context(), to.node, one); !problem.Is(err, problem.NotFound) {
		t.Errorf("after it was taken over: %v", err)
	}
	_, err = w.fleet.OpenIncoming(t.Context(), to.node, wire.Incoming{Instance: one, Spec: spec(one, 8)})
	wantProblem(t, err, problem.Conflict, "holds a volume")
}

func TestLinesThatBreakAndAgentsThatAreRestarted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", "")
	from, to := w.agents[0], w.agents[1]
	dir := from.volume(one)
	random := rand.New(rand.NewPCG(2, 2))
	fill(t, dir, random)
	must(t, os.Remove(filepath.Join(dir, "zz-pipe")))
	w.open(to, one)
	broken := 0
	for try := 0; ; try++ {
		if try < 6 {
			w.budget.Store(100_000 + random.Int64N(4<<20))
		}
		err := w.fleet.Copy(t.Context(), from.node, to.node, one, nil)
		if err == nil {
			break
		}
		broken++
		if try > 50 {
			t.Fatal("it never ends")
		}
		wantProblem(t, err, problem.NodeOffline, "node n")
		switch try {
		case 1:
			to.stop()
			to.boot()
		case 2:
			from.stop()
			from.boot()
		}
		w.online(from)
		w.online(to)
	}
	if broken < 3 {
		t.Fatalf("only %d passes were cut", broken)
	}
	w.budget.Store(0)
	same(t, dir, to.staged(one))
	if a, b := w.digest(from, one, false), w.digest(to, one, true); a != b {
		t.Errorf("digests %+v and %+v", a, b)
	}
	must(t, w.fleet.DropIncoming(t.Context(), to.node, one))
	if _, err := os.Stat(to.staged(one)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestTheOneThatBrokeIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", "")
	from, to := w.agents[0], w.agents[1]
	must(t, os.WriteFile(filepath.Join(from.volume(one), "large"), make([]byte, 64<<20), 0o600))
	w.open(to, one)
	ctx := t.Context()
	to.stop()
	wantProblem(t, w.fleet.Copy(ctx, from.node, to.node, one, nil), problem.NodeOffline, "node n1")
	to.boot()
	w.online(to)
	from.stop()
	wantProblem(t, w.fleet.Copy(ctx, from.node, to.node, one, nil), problem.NodeOffline, "node n0")
	from.boot()
	w.online(from)
	wantProblem(t, w.fleet.Copy(ctx, from.node, to.node, "0000000f", nil), problem.NotFound, "0000000f")
	wantProblem(t, w.fleet.Copy(ctx, "nobody", to.node, one, nil), problem.NodeOffline, "nobody")
	if err := w.fleet.Copy(ctx, from.node, to.node, "../..", nil); err == nil {
		t.Error("an id that is none went through")
	}
	cancelled, cancel := context.WithCancel(ctx)
	err := w.fleet.Copy(cancelled, from.node, to.node, one, func(done, _ int64) {
		if done == 0 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || problem.Is(err, problem.NodeOffline) {
		t.Errorf("called off: %v", err)
	}
	must(t, w.fleet.Copy(ctx, from.node, to.node, one, nil))
}

func TestNodesThatSendToEachOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", "")
	var copies sync.WaitGroup
	for n := range 10 {
		from, to := w.agents[n%2], w.agents[1-n%2]
		id := ident.Instance(fmt.Sprintf("%08x", n))
		for f := range 20 {
			must(t, os.WriteFile(filepath.Join(from.volume(id), fmt.Sprint(f)), make([]byte, 200_000), 0o600))
		}
		w.open(to, id)
		copies.Go(func() {
			if err := w.fleet.Copy(t.Context(), from.node, to.node, id, nil); err != nil {
				t.Error(err)
			}
		})
	}
	for range 20 { // other calls are none the worse
		if _, err := w.fleet.Incoming(t.Context(), w.agents[0].node, "00000001"); err != nil {
			t.Error(err)
		}
	}
	copies.Wait()
	for n := range 10 {
		id := ident.Instance(fmt.Sprintf("%08x", n))
		same(t, w.agents[n%2].volume(id), w.agents[1-n%2].staged(id))
	}
}

func TestFullDiskOfTheTargetIsToldAsSuch(t *testing.T) {
	t.Parallel()
	small := t.TempDir()
	if err := syscall.Mount("berth-test", small, "tmpfs", 0, "size=60m"); err != nil {
		t.Skipf("nothing can be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(small, syscall.MNT_DETACH) })
	w := newWorld(t, "", small)
	from, to := w.agents[0], w.agents[1]
	dir := from.volume(one)
	must(t, os.WriteFile(filepath.Join(dir, "large"), make([]byte, 100<<20), 0o600))
	w.open(to, one)
	err := w.fleet.Copy(t.Context(), from.node, to.node, one, nil)
	wantProblem(t, err, problem.InsufficientResources, "room")
	// It fits at first, and then somebody else takes the room.
	must(t, os.Truncate(filepath.Join(dir, "large"), 15<<20))
	text := make([]byte, 15<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(text)
	must(t, os.WriteFile(filepath.Join(dir, "large"), text, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "a"), text[:5<<20], 0o600))
	taken := make(chan struct{})
	w.trip = func() {
		defer close(taken)
		if err := os.WriteFile(filepath.Join(small, "somebody"), make([]byte, 64<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("the disk has room for it: %v", err)
		}
	}
	w.tripAt.Store(w.carried.Load() + 4<<20)
	err = w.fleet.Copy(t.Context(), from.node, to.node, one, nil)
	// Found by the write, or by the look before the next stream.
	wantProblem(t, err, problem.InsufficientResources, "disk")
	<-taken // the copy may be the first to find the disk full
	must(t, os.Remove(filepath.Join(small, "somebody")))
	must(t, w.fleet.Copy(t.Context(), from.node, to.node, one, nil))
	same(t, dir, to.staged(one))
}
