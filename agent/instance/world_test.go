package instance

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/berth-panel/berth/agent/install"
	"github.com/berth-panel/berth/agent/journal"
	"github.com/berth-panel/berth/agent/patch"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/agent/volume"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	one       = ident.Instance("00000001")
	gameImage = "game:1"
)

// world is a whole agent below its door: a Manager on a real journal, real
// volumes and a scripted engine, all in a bubble of fake time.
type world struct {
	t         *testing.T
	dir       string
	engine    *fake.Engine
	installer *shelf
	images    Images
	logins    Logins
	moves     Moves
	console   Console
	writers   Writers
	fence     Fence
	journal   *journal.Journal
	volumes   *volume.Store
	scripts   *install.Scripts
	m         *Manager
	full      atomic.Bool // the journal can't be written
	stop      func()
}

// disk is the journal on a disk that may be full.
type disk struct {
	*journal.Journal
	full *atomic.Bool
}

func (d disk) Write(c journal.Change) error {
	if d.full.Load() {
		return errors.New("no space left on device")
	}
	return d.Journal.Write(c)
}

// play runs a test in a bubble. The image game:1 is there.
func play(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.boot()
		defer func() { w.stop() }()
		test(w)
	})
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir(), engine: fake.New(fake.Options{}), installer: &shelf{}}
	w.engine.AddImage(gameImage, runtime.Image{}, nil)
	return w
}

// boot starts the agent on what the directory holds.
func (w *world) boot() {
	w.t.Helper()
	var err error
	if w.journal, err = journal.Open(filepath.Join(w.dir, "journal.db")); err != nil {
		w.t.Fatal(err)
	}
	if w.volumes, err = volume.Open(filepath.Join(w.dir, "volumes")); err != nil {
		w.t.Fatal(err)
	}
	if w.scripts, err = install.OpenScripts(filepath.Join(w.dir, "install")); err != nil {
		w.t.Fatal(err)
	}
	w.m, err = New(Config{Network: runtime.NetworkSpec{Name: "berth"}, PidsLimit: 100}, Deps{
		Engine: w.engine, Journal: disk{w.journal, &w.full}, Volumes: w.volumes, Installer: w.installer, Scripts: w.scripts, Patcher: patch.New(w.volumes, w.volumes.Privileged), Images: w.images, Logins: w.logins, Moves: w.moves, Console: w.console, Writers: w.writers, Fence: w.fence,
		Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.m.Run(ctx)
	}()
	w.stop = func() {
		cancel()
		<-ended
		if err := w.journal.Close(); err != nil {
			w.t.Error(err)
		}
		if err := errors.Join(w.volumes.Close(), w.scripts.Close()); err != nil {
			w.t.Error(err)
		}
	}
	synctest.Wait()
}

// reboot ends the agent and starts it again; the containers stay.
func (w *world) reboot() {
	w.t.Helper()
	w.stop()
	w.boot()
}

// loseJournal is a reboot without a journal.
func (w *world) loseJournal() {
	w.t.Helper()
	w.stop()
	w.dropJournal()
	w.boot()
}

func (w *world) dropJournal() {
	w.t.Helper()
	if err := os.Remove(filepath.Join(w.dir, "journal.db")); err != nil {
		w.t.Fatal(err)
	}
}

// basic is a spec that wants the instance to run, by the generation's order.
func basic(id ident.Instance, generation int64) wire.Spec {
	return wire.Spec{
		Instance: id, Generation: generation,
		Image:  wire.ImageSpec{Reference: gameImage},
		Env:    []string{"A=1"},
		Limits: wire.Limits{MemoryMiB: 64, NanoCPUs: 5e8, DiskMiB: 10},
		Ports:  []wire.Port{{IP: "0.0.0.0", Host: 25565, Container: 25565}},
		Volume: "/app/data", TTY: true,
		Stop:  wire.Stop{Command: "stop", GraceSeconds: 10},
		Power: wire.Power{Want: wire.WantRunning, Order: 1},
	}
}

// apply hands a spec over and waits until the agent is at rest.
func (w *world) apply(spec wire.Spec) {
	w.t.Helper()
	accepted, err := w.m.Apply(spec)
	if err != nil || accepted.Generation != spec.Generation {
		w.t.Fatalf("apply generation %d: %+v, %v", spec.Generation, accepted, err)
	}
	synctest.Wait()
}

func (w *world) remove(id ident.Instance, generation int64) {
	w.t.Helper()
	accepted, err := w.m.Remove(id, wire.Removal{Generation: generation})
	if err != nil || accepted.Generation != generation {
		w.t.Fatalf("remove generation %d: %+v, %v", generation, accepted, err)
	}
	synctest.Wait()
}

// sleep lets time pass and the agent come to rest.
func (w *world) sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// holding is the instance's line of the inventory; nil when there is none.
func (w *world) holding(id ident.Instance) *wire.Holding {
	for _, h := range w.m.Inventory().Instances {
		if h.Instance == id {
			return &h
		}
	}
	return nil
}

func (w *world) state(id ident.Instance) wire.State {
	w.t.Helper()
	h := w.holding(id)
	if h == nil {
		w.t.Fatalf("no instance %s in the inventory", id)
	}
	return h.State
}

// expect checks phase, actual and converged of an instance.
func (w *world) expect(id ident.Instance, phase wire.Phase, actual wire.Actual, converged bool) wire.State {
	w.t.Helper()
	s := w.state(id)
	if s.Phase != phase || s.Actual != actual || s.Converged != converged {
		w.t.Fatalf("instance %s is %s %s converged=%v (failure %v), want %s %s converged=%v",
			id, s.Phase, s.Actual, s.Converged, s.Failure, phase, actual, converged)
	}
	return s
}

// running checks that the instance runs, as its spec says, in one container.
func (w *world) running(id ident.Instance) runtime.Container {
	w.t.Helper()
	s := w.expect(id, wire.PhaseReady, wire.ActualRunning, true)
	boxes := w.engine.Find(id)
	if len(boxes) != 1 || boxes[0].Status != runtime.Running || string(boxes[0].ID) != s.Container || s.Failure != nil {
		w.t.Fatalf("containers of %s: %+v, state %+v", id, boxes, s)
	}
	return boxes[0]
}

// crash ends the instance's container with an error, of which the agent knows
// when it returns.
func (w *world) crash(id ident.Instance) {
	w.t.Helper()
	w.engine.Crash(w.engine.Find(id)[0].ID, 1)
	w.sleep(0)
}

// crashes is how often it was told that the instance crashed.
func (w *world) crashes(id ident.Instance) int {
	n := 0
	for _, e := range w.events(wire.EventState) {
		if e.Instance == id && e.State.Actual == wire.ActualCrashed {
			n++
		}
	}
	return n
}

// events are all that the journal keeps of a type.
func (w *world) events(kind wire.EventType) []wire.Event {
	w.t.Helper()
	all, err := w.journal.Events(0, 1<<20)
	if err != nil {
		w.t.Fatal(err)
	}
	var list []wire.Event
	for _, e := range all {
		if e.Type == kind {
			list = append(list, e)
		}
	}
	return list
}

// lastState checks that the last event says what the inventory says.
func (w *world) lastState(id ident.Instance) wire.Event {
	w.t.Helper()
	states := w.events(wire.EventState)
	for i := len(states) - 1; i >= 0; i-- {
		if states[i].Instance == id {
			if now := w.state(id); !same(*states[i].State, now) {
				w.t.Fatalf("told last: %+v, is: %+v", *states[i].State, now)
			}
			return states[i]
		}
	}
	w.t.Fatalf("nothing was told of %s", id)
	return wire.Event{}
}

// volumeFile is a path inside the instance's volume, on this machine.
func (w *world) volumeFile(id ident.Instance, name string) string {
	return filepath.Join(w.volumes.Path(id), name)
}

func (w *world) hasVolume(id ident.Instance) bool {
	_, err := os.Lstat(filepath.Dir(w.volumes.Path(id)))
	return err == nil
}

// shelf is an installer that writes each URL as the file's text.
type shelf struct {
	mu    sync.Mutex
	runs  int
	fails error
	hold  chan struct{} // Run waits for it, or for its context
}

func (f *shelf) Run(ctx context.Context, list []wire.Download, _ int64, put install.Put, progress func(wire.Progress)) error {
	f.mu.Lock()
	f.runs++
	fails, hold := f.fails, f.hold
	f.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if fails != nil {
		return fails
	}
	for _, d := range list {
		progress(wire.Progress{Step: "install", Percent: 50, Message: d.Path})
		err := put(d.Path, func(w io.Writer) error {
			_, err := io.WriteString(w, d.URL)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *shelf) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.runs
}
