package console

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const one = ident.Instance("00000001")

// states are what the instances of a test do.
type states struct {
	mu      sync.Mutex
	all     map[ident.Instance]wire.State
	looking map[chan struct{}]struct{}
}

func (s *states) State(id ident.Instance) (wire.State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	state, ok := s.all[id]
	if !ok {
		return wire.State{}, problem.New(problem.NotFound, "this node has no instance %s", id)
	}
	return state, nil
}

func (s *states) Subscribe(ident.Instance) (<-chan struct{}, func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := make(chan struct{}, 1)
	s.looking[changed] = struct{}{}
	return changed, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.looking, changed)
	}
}

func (s *states) set(id ident.Instance, actual wire.Actual) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if actual == "" {
		delete(s.all, id)
	} else {
		s.all[id] = wire.State{Phase: wire.PhaseReady, Actual: actual}
	}
	for c := range s.looking {
		token(c)
	}
}

// world is a Room on a scripted engine.
type world struct {
	t       testing.TB
	dir     string
	engine  *fake.Engine
	options Options
	states  *states
	room    *Room
	server  *httptest.Server
}

func setup(t testing.TB, change ...func(*Options)) *world {
	t.Helper()
	engine := fake.New(fake.Options{})
	engine.AddImage("game:1", runtime.Image{}, nil)
	w := setupOn(t, engine, change...)
	w.engine = engine
	return w
}

func setupOn(t testing.TB, engine Engine, change ...func(*Options)) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), states: &states{all: map[ident.Instance]wire.State{}, looking: map[chan struct{}]struct{}{}}}
	upgrader := websocket.Upgrader{WriteBufferSize: 16 << 10}
	w.options = Options{
		Dir: filepath.Join(w.dir, "console"), Engine: engine, Instances: w.states,
		Upgrade: func(rw http.ResponseWriter, r *http.Request) (*websocket.Conn, error) {
			return upgrader.Upgrade(rw, r, nil)
		},
		Log: slog.New(slog.DiscardHandler), Now: time.Now,
	}
	for _, c := range change {
		c(&w.options)
	}
	w.room = w.open(w.options)
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		id, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		w.room.ServeInstance(rw, r, ident.Instance(id), rest)
	}))
	t.Cleanup(func() {
		if err := w.room.Close(); err != nil {
			t.Error(err)
		}
		w.server.Close()
	})
	return w
}

func (w *world) open(o Options) *Room {
	w.t.Helper()
	room, err := New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	return room
}

// killed is kill -9 of the agent, and another one on what is there. The old one is
// put away without its knowing.
func (w *world) killed() {
	w.t.Helper()
	old := w.room
	copied := filepath.Join(w.t.TempDir(), "console")
	copyDir(w.t, w.options.Dir, copied)
	if err := old.Close(); err != nil {
		w.t.Error(err)
	}
	w.options.Dir = copied
	w.room = w.open(w.options)
}

func copyDir(t testing.TB, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		if d.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a name on its way to another
		}
		if err != nil {
			return err
		}
		return os.WriteFile(target, text, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// create makes a container of the instance.
func (w *world) create(tty bool) runtime.ContainerID {
	w.t.Helper()
	spec := runtimetest.Spec("game:1")
	spec.Instance, spec.TTY = one, tty
	id, err := w.engine.Create(w.t.Context(), spec)
	if err != nil {
		w.t.Fatal(err)
	}
	w.states.set(one, wire.ActualStopped)
	return id
}

// start does what an instance's owner does.
func (w *world) start(id runtime.ContainerID) {
	w.t.Helper()
	w.room.Begin(w.t.Context(), w.look(id))
	if err := w.engine.Start(w.t.Context(), id); err != nil {
		w.t.Fatal(err)
	}
	w.states.set(one, wire.ActualRunning)
}

func (w *world) look(id runtime.ContainerID) runtime.Container {
	w.t.Helper()
	c, err := w.engine.Inspect(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// run starts a container that has just been made.
func (w *world) run(tty bool) runtime.ContainerID {
	id := w.create(tty)
	w.start(id)
	return id
}

// texts is what the record holds of some sources; none is what was printed.
func (w *world) texts(sources ...wire.ConsoleSource) []string {
	w.t.Helper()
	if len(sources) == 0 {
		sources = []wire.ConsoleSource{wire.ConsoleOut, wire.ConsoleErr}
	}
	c := w.room.of(one)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.open(); err != nil {
		w.t.Fatal(err)
	}
	list := []string{}
	for _, e := range c.past(0) {
		for _, s := range sources {
			if e.source == s {
				list = append(list, e.text)
			}
		}
	}
	return list
}

// expect waits until the record holds these printed lines and no others.
func (w *world) expect(lines ...string) {
	w.t.Helper()
	var got []string
	deadline := time.Now().Add(runtimetest.Patience)
	for {
		if got = w.texts(); strings.Join(got, "\n") == strings.Join(lines, "\n") {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("the record holds\n%q, want\n%q", got, lines)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// client is one who looks on.
type client struct {
	t      testing.TB
	conn   *websocket.Conn
	frames chan wire.ConsoleFrame
	closed chan struct{}
	err    error // why it ended; once closed is
	seen   []wire.ConsoleLineFrame
	missed []wire.ConsoleMissed
	tail   string
	mark   int // how much of seen was waited for
	record string
}

// dial opens a console and reads its frames in the background.
func (w *world) dial(query string) *client {
	w.t.Helper()
	c := w.dialQuietly(query)
	go c.read()
	w.t.Cleanup(func() {
		_ = c.conn.Close()
		for range c.frames { // it ends with the connection
		}
	})
	return c
}

func (w *world) dialQuietly(query string) *client {
	w.t.Helper()
	conn, response, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(w.server.URL, "http")+"/"+string(one)+query, nil)
	if err != nil {
		w.t.Fatalf("dial: %v, %v", err, response)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	return &client{t: w.t, conn: conn, frames: make(chan wire.ConsoleFrame, 1024), closed: make(chan struct{})}
}

func (c *client) read() {
	defer close(c.frames)
	defer close(c.closed)
	for {
		kind, text, err := c.conn.ReadMessage()
		if err != nil {
			c.err = err
			return
		}
		var f wire.ConsoleFrame
		if err := json.Unmarshal(text, &f); err != nil || kind != websocket.TextMessage || len(text) > wire.ConsoleFrameMax {
			c.err = errors.New("a frame that is none")
			return
		}
		c.frames <- f
	}
}

// until takes frames until one fits.
func (c *client) until(what string, fits func(f wire.ConsoleFrame) bool) wire.ConsoleFrame {
	c.t.Helper()
	timer := time.NewTimer(runtimetest.Patience)
	defer timer.Stop()
	for {
		select {
		case f, ok := <-c.frames:
			if !ok {
				c.t.Fatalf("the console ended while waiting for %s: %v", what, c.err)
			}
			c.note(f)
			if fits(f) {
				return f
			}
		case <-timer.C:
			c.t.Fatalf("waited in vain for %s; %d lines came", what, len(c.seen))
		}
	}
}

// note holds the rules of a stream against what comes.
func (c *client) note(f wire.ConsoleFrame) {
	c.t.Helper()
	for _, l := range f.Lines {
		c.follow(l.Seq)
		c.seen = append(c.seen, l)
		c.tail = ""
	}
	if f.Missed != nil {
		if c.follow(f.Missed.From); f.Missed.To < f.Missed.From {
			c.t.Fatalf("missed %+v", *f.Missed)
		}
		c.missed = append(c.missed, *f.Missed)
	}
	if f.Tail != nil {
		c.tail = *f.Tail
	}
	if f.Record != "" {
		c.record = f.Record
	}
}

// follow fails the test unless a number is the next one.
func (c *client) follow(seq int64) {
	c.t.Helper()
	last := int64(0)
	if n := len(c.seen); n > 0 {
		last = c.seen[n-1].Seq
	}
	if n := len(c.missed); n > 0 {
		last = max(last, c.missed[n-1].To)
	}
	if last > 0 && seq != last+1 {
		c.t.Fatalf("line %d follows %d", seq, last)
	}
}

// line waits for a line with that text, behind those that were waited for.
func (c *client) line(text string) {
	c.t.Helper()
	found := func() bool {
		for i := c.mark; i < len(c.seen); i++ {
			if c.seen[i].Text == text {
				c.mark = i + 1
				return true
			}
		}
		return false
	}
	if !found() {
		c.until("line "+text, func(wire.ConsoleFrame) bool { return found() })
	}
}

func (c *client) send(in wire.ConsoleInput) {
	c.t.Helper()
	if err := c.conn.WriteJSON(in); err != nil {
		c.t.Fatal(err)
	}
}

func command(ref, text string) wire.ConsoleInput { return wire.ConsoleInput{Ref: ref, Command: &text} }
