package transfer

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/berth-panel/berth/agent/volume"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	one      = ident.Instance("00000001")
	patience = 60 * time.Second
)

// node is an agent's part that has files: one instance, with a door.
type node struct {
	t       testing.TB
	dir     string // of the volumes
	data    string // of the instance
	outside string // what nothing may reach
	volumes *volume.Store
	limit   *int64 // of the instance's disk; nil asks the volume
	store   *Store
	door    *httptest.Server
	stop    func()

	mu     sync.Mutex
	refuse error // what Writable says
	asked  func()
}

func (n *node) Spec(id ident.Instance) (wire.Spec, error) {
	if id != one {
		return wire.Spec{}, problem.New(problem.NotFound, "this node has no settings of instance %s", id)
	}
	return wire.Spec{Instance: id}, nil
}

func (n *node) Writable(id ident.Instance) error {
	if _, err := n.Spec(id); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.asked != nil {
		n.asked()
	}
	return n.refuse
}

func (n *node) forbid(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refuse = err
}

// limited is a volume with a limit that the test sets.
type limited struct {
	*volume.Store
	n *node
}

func (l limited) Usage(id ident.Instance) (int64, int64, error) {
	if l.n.limit != nil {
		return 0, *l.n.limit, nil
	}
	return l.Store.Usage(id)
}

func setup(t testing.TB) *node {
	t.Helper()
	return setupAt(t, filepath.Join(t.TempDir(), "volumes"))
}

func setupAt(t testing.TB, dir string) *node {
	t.Helper()
	n := &node{t: t, dir: dir, outside: t.TempDir()}
	must(t, os.WriteFile(filepath.Join(n.outside, "precious"), []byte("precious"), 0o600))
	must(t, os.Mkdir(filepath.Join(n.outside, "folder"), 0o700))
	must(t, os.WriteFile(filepath.Join(n.outside, "folder", "inner"), []byte("precious"), 0o600))
	t.Cleanup(func() { n.untouched() })
	n.boot()
	t.Cleanup(func() { n.stop() })
	n.data = n.volumes.Path(one)
	return n
}

// boot starts the agent on what the disk holds.
func (n *node) boot() {
	n.t.Helper()
	var err error
	n.volumes, err = volume.Open(n.dir)
	must(n.t, err)
	_, err = n.volumes.Ensure(one)
	must(n.t, err)
	n.store = New(Options{
		Volumes: limited{n.volumes, n}, Instances: n, All: func() []ident.Instance { return []ident.Instance{one} },
		Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	n.door = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		n.store.ServeInstance(w, r, ident.Instance(id), rest)
	}))
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { n.store.Run(ctx) })
	n.stop = sync.OnceFunc(func() {
		cancel()
		n.door.Close()
		running.Wait()
		_ = n.volumes.Close()
	})
}

func (n *node) reboot() {
	n.t.Helper()
	n.stop()
	n.boot()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// untouched checks what lies outside of the volume.
func (n *node) untouched() {
	n.t.Helper()
	for _, name := range []string{"precious", "folder/inner"} {
		path := filepath.Join(n.outside, name)
		got, err := os.ReadFile(path)
		if err != nil || string(got) != "precious" {
			n.t.Errorf("outside, %s is %q, %v", name, got, err)
			continue
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 || info.Sys().(*syscall.Stat_t).Uid != uint32(os.Getuid()) || info.Sys().(*syscall.Stat_t).Nlink != 1 {
			n.t.Errorf("outside, %s has become %v, %v", name, info, err)
		}
	}
	for dir, want := range map[string]int{"": 2, "folder": 1} {
		list, err := os.ReadDir(filepath.Join(n.outside, dir))
		if err != nil || len(list) != want {
			n.t.Errorf("outside, %q holds %v, %v", dir, list, err)
		}
	}
}

// reply is an answer of the door.
type reply struct {
	status int
	body   []byte
	header http.Header
	err    error // of a body that breaks off
}

func (n *node) do(method, call string, body io.Reader, header ...string) reply {
	n.t.Helper()
	req, err := http.NewRequest(method, n.door.URL+"/"+string(one)+"/"+call, body)
	must(n.t, err)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	answer, err := n.door.Client().Do(req)
	if err != nil {
		return reply{err: err}
	}
	defer func() { _ = answer.Body.Close() }()
	r := reply{status: answer.StatusCode, header: answer.Header}
	r.body, r.err = io.ReadAll(answer.Body)
	return r
}

func (n *node) json(method, call string, in any) reply {
	n.t.Helper()
	if in == nil {
		return n.do(method, call, nil)
	}
	text, err := json.Marshal(in)
	must(n.t, err)
	return n.do(method, call, bytes.NewReader(text))
}

// good wants a success, and reads it.
func (r reply) good(t testing.TB, into any) reply {
	t.Helper()
	if r.err != nil || r.status/100 != 2 {
		t.Fatalf("the answer is %d, %s, %v", r.status, r.body, r.err)
	}
	if into != nil {
		if err := json.Unmarshal(r.body, into); err != nil {
			t.Fatalf("the answer is %s: %v", r.body, err)
		}
	}
	return r
}

// bad wants a failure, and gives what it says.
func (r reply) bad(t testing.TB, code problem.Code) string {
	t.Helper()
	var p problem.Problem
	if err := json.Unmarshal(r.body, &p); err != nil || r.err != nil || r.status != code.Status() || p.Code != code || p.Message == "" {
		t.Fatalf("the answer is %d, %s, %v: want %s", r.status, r.body, r.err, code)
	}
	return p.Message
}

func at(path wire.Path) string {
	text, _ := path.MarshalText()
	return "path=" + url.QueryEscape(string(text))
}

func (n *node) put(path wire.Path, content string) wire.FileEntry {
	n.t.Helper()
	var e wire.FileEntry
	n.do("PUT", "content?"+at(path), strings.NewReader(content)).good(n.t, &e)
	return e
}

func (n *node) get(path wire.Path) string {
	n.t.Helper()
	return string(n.do("GET", "content?"+at(path), nil).good(n.t, nil).body)
}

// plant makes a file as the container would.
func (n *node) plant(path, content string) {
	n.t.Helper()
	full := filepath.Join(n.data, path)
	must(n.t, os.MkdirAll(filepath.Dir(full), 0o755))
	must(n.t, os.WriteFile(full, []byte(content), 0o644))
}

// task runs a task to its end.
func (n *node) task(in wire.FileTask) wire.FileTaskState {
	n.t.Helper()
	id := uuid.NewString()
	n.json("PUT", "tasks/"+id, in).good(n.t, nil)
	return n.ended(id)
}

func (n *node) ended(id string) (state wire.FileTaskState) {
	n.t.Helper()
	until(n.t, "the task to end", func() bool {
		n.json("GET", "tasks/"+id, nil).good(n.t, &state)
		return state.Done
	})
	return state
}

func (n *node) works(in wire.FileTask) wire.FileTaskState {
	n.t.Helper()
	state := n.task(in)
	if state.Failure != nil {
		n.t.Fatalf("the task failed: %v", state.Failure)
	}
	return state
}

func (n *node) fails(in wire.FileTask, code problem.Code) wire.FileTaskState {
	n.t.Helper()
	state := n.task(in)
	if state.Failure == nil || state.Failure.Code != code {
		n.t.Fatalf("the task ended with %+v, %v: want %s", state, state.Failure, code)
	}
	return state
}

func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(time.Millisecond) // it is asked for as the controller does
	}
}

// parts are the names of what lies beside the data.
func (n *node) parts() []string {
	n.t.Helper()
	root, err := n.volumes.Parts(one)
	must(n.t, err)
	defer func() { _ = root.Close() }()
	names, err := root.Names(wire.Root)
	must(n.t, err)
	return names
}

// noParts waits until nothing is left of what was begun.
func (n *node) noParts() {
	n.t.Helper()
	until(n.t, "the parts to go", func() bool { return len(n.parts()) == 0 })
}

// tree is all that a folder of this machine holds: names with what they are.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		switch {
		case d.IsDir():
			all[rel] = "dir"
		case d.Type()&os.ModeSymlink != 0:
			target, err := os.Readlink(path)
			must(t, err)
			all[rel] = "-> " + target
		case d.Type().IsRegular():
			content, err := os.ReadFile(path)
			must(t, err)
			all[rel] = string(content)
		default:
			all[rel] = d.Type().String()
		}
		return nil
	}))
	delete(all, ".")
	return all
}

func same(t testing.TB, got, want map[string]string) {
	t.Helper()
	for name, w := range want {
		if g, ok := got[name]; !ok || g != w {
			t.Errorf("%q is %.80q (%v), want %.80q", name, g, ok, w)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%q is there: %.80q", name, got[name])
		}
	}
}
