package carry

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/berth-panel/berth/agent/app"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestMain(m *testing.M) {
	// net/http sleeps half a second before it closes a connection of which it has
	// not read everything, and nothing waits for that.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

const (
	patience = 60 * time.Second
	one      = ident.Instance("00000001")
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// until waits for what nobody tells.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// world is a fleet with its agents, and lines between them that can break.
type world struct {
	t         testing.TB
	authority *fleet.Authority
	fleet     *fleet.Fleet
	agents    []*agent

	mu      sync.Mutex
	targets []fleet.Target
	states  map[ident.Instance]wire.Event

	carried atomic.Int64 // bytes on all lines
	budget  atomic.Int64 // bytes until a line breaks; 0: none does
	tripAt  atomic.Int64 // when so many were carried, trip is called; 0: never
	trip    func()
}

func (w *world) Targets(context.Context) ([]fleet.Target, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.targets), nil
}

func (w *world) Tunnelled(context.Context, ident.Node) error            { return nil }
func (w *world) Renewed(context.Context, ident.Node, fleet.Shown) error { return nil }

func (w *world) Connected(context.Context, ident.Node, wire.Hello) (int64, error) { return 0, nil }
func (w *world) Synced(context.Context, ident.Node, wire.Inventory) error         { return nil }
func (w *world) Disconnected(context.Context, ident.Node, error)                  {}
func (w *world) Events(_ context.Context, _ ident.Node, _ string, events []wire.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range events {
		if e.Type == wire.EventState {
			w.states[e.Instance] = e
		}
	}
	return nil
}

// line is a connection whose bytes are counted.
type line struct {
	net.Conn
	w *world
}

func (l line) count(n int) {
	carried := l.w.carried.Add(int64(n))
	if at := l.w.tripAt.Load(); at > 0 && carried > at && l.w.tripAt.CompareAndSwap(at, 0) {
		l.w.trip()
	}
	if left := l.w.budget.Load(); left > 0 && l.w.budget.Add(-int64(n)) <= 0 {
		l.w.budget.Store(0)
		_ = l.Close()
	}
}

func (l line) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	l.count(n)
	return n, err
}

func (l line) Write(p []byte) (int, error) {
	n, err := l.Conn.Write(p)
	l.count(n)
	return n, err
}

// newWorld starts a fleet and an agent for each data directory; "" is a new one.
func newWorld(t testing.TB, dirs ...string) *world {
	t.Helper()
	authority, err := fleet.OpenAuthority(t.TempDir(), time.Now)
	must(t, err)
	w := &world{t: t, authority: authority, states: map[ident.Instance]wire.Event{}}
	w.fleet = fleet.New(fleet.Options{
		Authority: authority, Logger: slog.New(slog.DiscardHandler), Now: time.Now,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return line{conn, w}, nil
		},
	})
	for _, dir := range dirs {
		w.enrol(dir)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.fleet.Run(ctx, w, w) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		for _, a := range w.agents {
			a.stop()
		}
	})
	for _, a := range w.agents {
		w.online(a)
	}
	return w
}

func (w *world) online(a *agent) {
	w.t.Helper()
	until(w.t, "the agent is online", func() bool { return w.fleet.Online(a.node) })
}

// agent is a whole agent on a scripted engine.
type agent struct {
	w    *world
	node ident.Node
	dir  string
	addr string
	stop func()
}

func (w *world) enrol(dir string) {
	w.t.Helper()
	if dir == "" {
		dir = w.t.TempDir()
	}
	a := &agent{w: w, node: ident.Node(ident.New()), dir: dir, addr: "127.0.0.1:0"}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(w.t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(w.t, err)
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	must(w.t, err)
	issued, err := w.authority.IssueNode(a.node, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request})), "")
	must(w.t, err)
	record, err := json.Marshal(map[string]any{"node": a.node, "controller": "http://panel.example", "enrolled_at": time.Now()})
	must(w.t, err)
	for name, text := range map[string][]byte{
		"node.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), "node.crt": []byte(issued.PEM),
		"ca.crt": []byte(w.authority.CertificatePEM()), "node.json": record,
	} {
		must(w.t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	a.boot()
	host, port, err := net.SplitHostPort(a.addr)
	must(w.t, err)
	target := fleet.Target{Node: a.node, Name: fmt.Sprintf("n%d", len(w.agents)), Address: host, Certificate: issued.Serial}
	_, err = fmt.Sscan(port, &target.Port)
	must(w.t, err)
	w.targets = append(w.targets, target)
	w.agents = append(w.agents, a)
}

// boot starts the agent on what its directory holds, where it listened before.
func (a *agent) boot() {
	t := a.w.t
	t.Helper()
	listener, err := net.Listen("tcp", a.addr)
	must(t, err)
	a.addr = listener.Addr().String()
	engine := fake.New(fake.Options{})
	engine.AddImage("game:1", runtime.Image{}, nil)
	whole, err := app.New(app.Config{Data: a.dir, NoDemo: true}, app.Deps{Engine: engine, Listener: listener})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- whole.Run(ctx) }()
	a.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// volume is the path of an instance's volume, made when it is missing.
func (a *agent) volume(id ident.Instance) string {
	a.w.t.Helper()
	path := filepath.Join(a.dir, "volumes", string(id), "data")
	must(a.w.t, os.MkdirAll(path, 0o755))
	return path
}

func (a *agent) staged(id ident.Instance) string {
	return filepath.Join(a.dir, "volumes/.incoming", string(id), "data")
}

func spec(id ident.Instance, generation int64) wire.Spec {
	return wire.Spec{
		Instance: id, Generation: generation, Image: wire.ImageSpec{Reference: "game:1"}, Env: []string{"A=1"},
		Limits: wire.Limits{MemoryMiB: 64, NanoCPUs: 5e8, DiskMiB: 100}, Volume: "/app/data",
		Power: wire.Power{Want: wire.WantRunning, Order: 1}, Copied: true,
	}
}

// open announces an instance to an agent and waits for its image.
func (w *world) open(to *agent, id ident.Instance) {
	w.t.Helper()
	_, err := w.fleet.OpenIncoming(w.t.Context(), to.node, wire.Incoming{Instance: id, Spec: spec(id, 7)})
	must(w.t, err)
	until(w.t, "the image is there", func() bool {
		state, err := w.fleet.Incoming(w.t.Context(), to.node, id)
		must(w.t, err)
		return state.Image == wire.ImageReady
	})
}

func (w *world) digest(a *agent, id ident.Instance, incoming bool) wire.Digest {
	w.t.Helper()
	var d wire.Digest
	until(w.t, "the digest is done", func() bool {
		var err error
		d, err = w.fleet.VolumeDigest(w.t.Context(), a.node, id, incoming)
		must(w.t, err)
		return d.Done
	})
	return d
}

// same fails unless both folders hold the same.
func same(t testing.TB, from, to string) {
	t.Helper()
	if a, b := tree(t, from), tree(t, to); a != b {
		t.Fatalf("the source is\n%s\nand the target\n%s", a, b)
	}
}

func tree(t testing.TB, dir string) string {
	t.Helper()
	var out strings.Builder
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
		fmt.Fprintf(&out, "%q %v %d:%d %d", rel, info.Mode(), st.Uid, st.Gid, info.ModTime().UnixNano())
		if target, err := os.Readlink(path); err == nil {
			fmt.Fprintf(&out, " → %q", target)
		}
		if info.Mode().IsRegular() {
			file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOATIME, 0) // the copy's time of access means something
			if err != nil {
				return err
			}
			text, err := io.ReadAll(file)
			if err := errors.Join(err, file.Close()); err != nil {
				return err
			}
			fmt.Fprintf(&out, " %d %x", len(text), crc32.ChecksumIEEE(text))
		}
		out.WriteString("\n")
		return nil
	}))
	return out.String()
}

func wantProblem(t testing.TB, err error, code problem.Code, text string) {
	t.Helper()
	if !problem.Is(err, code) || !strings.Contains(err.Error(), text) {
		t.Fatalf("the failure is %v, want %s with %q", err, code, text)
	}
}
