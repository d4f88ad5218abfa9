package docker_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/docker"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/shared/ident"
)

// relay stands between an Engine and the real one: it can be cut.
type relay struct {
	host  string
	to    string
	mu    sync.Mutex
	cut   bool
	shut  bool // takes no new connections, keeps those that are there
	conns map[net.Conn]struct{}
	mute  func(request string) bool // connections whose first line it takes get no answer
	late  func(request string) bool // those get all that they are told a moment later
}

func newRelay(t *testing.T, host string) *relay {
	t.Helper()
	to, ok := strings.CutPrefix(host, "unix://")
	if !ok {
		t.Skip("this test needs an engine on a unix socket")
	}
	dir, err := os.MkdirTemp("", "bt") // t.TempDir is too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	r := &relay{host: "unix://" + filepath.Join(dir, "s"), to: to, conns: map[net.Conn]struct{}{}}
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = l.Close()
		r.setCut(true)
	})
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go r.carry(in)
		}
	}()
	return r
}

func (r *relay) carry(in net.Conn) {
	defer func() { _ = in.Close() }()
	r.mu.Lock()
	if r.cut || r.shut {
		r.mu.Unlock()
		return
	}
	r.conns[in] = struct{}{}
	r.mu.Unlock()
	reader := bufio.NewReader(in)
	first, err := reader.ReadString('\n')
	if err != nil {
		return
	}
	if r.mute != nil && r.mute(first) {
		_, _ = io.Copy(io.Discard, reader)
		return
	}
	out, err := net.Dial("unix", r.to)
	if err != nil {
		return
	}
	defer func() { _ = out.Close() }()
	go func() {
		_, _ = io.WriteString(out, first)
		_, _ = io.Copy(out, reader)
		_ = out.(*net.UnixConn).CloseWrite()
	}()
	if r.late == nil || !r.late(first) {
		_, _ = io.Copy(in, out)
		return
	}
	for piece := make([]byte, 64<<10); err == nil; {
		var n int
		n, err = out.Read(piece)
		time.Sleep(200 * time.Millisecond)
		_, _ = in.Write(piece[:n])
	}
}

// setCut closes every connection and refuses new ones, or lets them be again.
func (r *relay) setCut(cut bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = cut
	for c := range r.conns {
		_ = c.Close()
		delete(r.conns, c)
	}
}

func (r *relay) setShut(shut bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shut = shut
}

// relayed is an engine behind a relay, beside a bench of the same node.
func relayed(t *testing.T, prepare func(*relay)) (bench, *relay, *docker.Engine) {
	t.Helper()
	host := runtimetest.DockerHost(t)
	node := runtimetest.NewNode()
	runtimetest.CleanDocker(t, host, node)
	b := bench{host: host, engine: engineOf(t, host, node), raw: rawClient(t, host), image: "bt/probe-" + string(ident.NewInstance()) + ":1"}
	runtimetest.LoadProbe(t, b.engine, b.image)
	r := newRelay(t, host)
	if prepare != nil {
		prepare(r)
	}
	return b, r, engineOf(t, r.host, node)
}

// TestBrokenOff: the engine dies under calls that wait. They end as Unreachable,
// the containers live, and the same Engine works once it is back.
func TestBrokenOff(t *testing.T) {
	t.Parallel()
	b, relay, engine := relayed(t, nil)
	id := b.start(t, b.spec("write", "/tmp/begun", "yes", "then", "idle"))
	b.file(t, id, "/tmp/begun")

	ready, results := make(chan struct{}), make(chan error, 2)
	go func() {
		results <- engine.Watch(t.Context(), func() { close(ready) }, func(runtime.Change) {})
	}()
	<-ready
	go func() {
		results <- engine.Stop(t.Context(), id, runtime.StopSpec{Command: "not yet", Grace: time.Hour})
	}()
	runtimetest.Eventually(t, "the line to arrive", func() bool { return strings.Contains(containerOutput(t, b, id), "not yet") })
	relay.setCut(true)
	for range 2 {
		if err := <-results; runtime.ReasonOf(err) != runtime.Unreachable {
			t.Errorf("a call that waited: %v, want %s", err, runtime.Unreachable)
		}
	}
	if _, err := engine.List(t.Context()); runtime.ReasonOf(err) != runtime.Unreachable {
		t.Errorf("List while it is away: %v", err)
	}
	if c := b.inspect(t, id); c.Status != runtime.Running {
		t.Errorf("the container is %s", c.Status)
	}
	relay.setCut(false)
	if list, err := engine.List(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("List once it is back: %+v, %v", list, err)
	}
}

// TestEngineThatIsBeingStopped: it serves the connections that it has, takes no
// new ones, and starts nothing any more.
func TestEngineThatIsBeingStopped(t *testing.T) {
	t.Parallel()
	b, relay, engine := relayed(t, nil)
	id := b.create(t, b.spec("idle"))
	relay.setShut(true)
	if _, err := engine.List(t.Context()); runtime.ReasonOf(err) != runtime.Unreachable {
		t.Fatalf("a new connection: %v", err)
	}
	relay.setShut(false)
	if _, err := engine.List(t.Context()); err != nil { // a connection that is kept
		t.Fatal(err)
	}
	relay.setShut(true)
	if err := engine.Start(t.Context(), id); runtime.ReasonOf(err) != runtime.Unreachable {
		t.Errorf("Start: %v, want %s", err, runtime.Unreachable)
	}
	if c, err := engine.Inspect(t.Context(), id); err != nil || c.Status != runtime.Created {
		t.Errorf("it is %s (%v): the connection is good, the start was not to be", c.Status, err)
	}
	relay.setShut(false)
	if err := engine.Start(t.Context(), id); err != nil {
		t.Error(err)
	}
}

// TestPullBrokenOff: the engine dies in the middle of a pull.
func TestPullBrokenOff(t *testing.T) {
	t.Parallel()
	b, relay, engine := relayed(t, nil)
	registry := runtimetest.NewRegistry(t)
	reference := registry.Offer(t, b.host, "bt/game")
	registry.RefuseBy(cutAtBlob(relay))
	if err := engine.Pull(t.Context(), reference, runtime.Login{}, nil); runtime.ReasonOf(err) != runtime.Unreachable {
		t.Fatalf("Pull: %v, want %s", err, runtime.Unreachable)
	}
}

// TestHungEngine: one that takes requests and never answers.
func TestHungEngine(t *testing.T) {
	t.Parallel()
	_, _, engine := relayed(t, func(r *relay) { r.mute = func(string) bool { return true } })
	id := runtime.ContainerID(strings.Repeat("a", 64))
	for what, call := range map[string]func(context.Context) error{
		"Info":    func(ctx context.Context) error { _, err := engine.Info(ctx); return err },
		"Inspect": func(ctx context.Context) error { _, err := engine.Inspect(ctx, id); return err },
		"Stop":    func(ctx context.Context) error { return engine.Stop(ctx, id, runtime.StopSpec{Command: "stop"}) },
		"Remove":  func(ctx context.Context) error { return engine.Remove(ctx, id) },
		"Load": func(ctx context.Context) error {
			return engine.Load(ctx, "bt/x:1", runtimetest.Rootfs(t), runtime.ImageConfig{})
		},
		"Watch": func(ctx context.Context) error {
			return engine.Watch(ctx, func() { t.Error("ready") }, func(runtime.Change) {})
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want the context's error", what, err)
		}
		cancel()
	}
}

// TestHungAttach: a line that the engine does not take is replaced by a signal;
// and a Stop that is cancelled meanwhile does not wait for it.
func TestHungAttach(t *testing.T) {
	t.Parallel()
	b, _, engine := relayed(t, func(r *relay) {
		r.mute = func(request string) bool { return strings.Contains(request, "/attach?") }
	})
	id := b.start(t, b.spec("write", "/tmp/begun", "yes", "then", "idle"))
	b.file(t, id, "/tmp/begun")

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	how := runtime.StopSpec{Command: "stop", Signal: "SIGINT", Grace: time.Minute}
	if err := engine.Stop(ctx, id, how); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Stop: %v, want the context's error", err)
	}
	engine.SetStdinTimeout(50 * time.Millisecond)
	if err := engine.Stop(t.Context(), id, how); err != nil {
		t.Fatal(err)
	}
	if c := b.inspect(t, id); c.ExitCode != 42 {
		t.Fatalf("it was not ended by the signal: %+v", c)
	}
}

// TestWatchFellBehind: a handler that does not keep up ends the Watch instead of
// filling the memory.
func TestWatchFellBehind(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.engine.SetQueue(3)
	release, ended := make(chan struct{}), make(chan error, 1)
	ready := make(chan struct{})
	go func() {
		ended <- b.engine.Watch(t.Context(), func() { close(ready) }, func(runtime.Change) { <-release })
	}()
	<-ready
	for range 6 { // two changes each
		if err := b.engine.Remove(t.Context(), b.create(t, b.spec("idle"))); err != nil {
			t.Fatal(err)
		}
	}
	close(release)
	err := <-ended
	if runtime.ReasonOf(err) != runtime.Unreachable || !strings.Contains(err.Error(), "faster than they were handled") {
		t.Fatalf("Watch: %v", err)
	}
}
