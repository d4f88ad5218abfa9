package docker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/docker"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/shared/ident"
)

// stub plays an engine for what a real one does too seldom. Routes are "METHOD
// /path" without the version; what has none is a 404.
type stub struct {
	api    string
	mu     sync.Mutex
	asked  []string
	routes map[string]http.HandlerFunc
}

var versioned = regexp.MustCompile(`^/v([0-9.]+)`)

func newStub(t *testing.T, node ident.Node, routes map[string]http.HandlerFunc) (*stub, *docker.Engine) {
	t.Helper()
	dir, err := os.MkdirTemp("", "bt") // t.TempDir is too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	s := &stub{api: "1.41", routes: routes}
	server := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		_ = os.RemoveAll(dir)
	})
	return s, engineOf(t, "unix://"+filepath.Join(dir, "s"), node)
}

func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := versioned.ReplaceAllString(r.URL.Path, "")
	s.mu.Lock()
	s.asked = append(s.asked, r.Method+" "+r.URL.Path)
	s.mu.Unlock()
	w.Header().Set("Api-Version", s.api)
	w.Header().Set("Content-Type", "application/json")
	if path == "/_ping" {
		return
	}
	if route := s.routes[r.Method+" "+path]; route != nil {
		route(w, r)
		return
	}
	reply(http.StatusNotFound, "no such thing")(w, r)
}

func (s *stub) count(method, path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, a := range s.asked {
		if strings.HasPrefix(a, method+" ") && strings.HasSuffix(a, path) {
			n++
		}
	}
	return n
}

// reply answers with an engine's error.
func reply(status int, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"message": message})
	}
}

// replyJSON answers with an object.
func replyJSON(v any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(v) }
}

// inTurn answers each request with the next, and all further ones with the last.
func inTurn(answers ...http.HandlerFunc) http.HandlerFunc {
	var mu sync.Mutex
	next := 0
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		answer := answers[next]
		next = min(next+1, len(answers)-1)
		mu.Unlock()
		answer(w, r)
	}
}

const stubID = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// boxOf is what inspecting a container gives.
func boxOf(node ident.Node, status string) map[string]any {
	return map[string]any{
		"Id": stubID, "Name": "/bt-1", "Image": "sha256:0", "Path": "",
		"State":  map[string]any{"Status": status, "Running": status == "running"},
		"Config": map[string]any{"Labels": map[string]string{"berth.node": string(node), "berth.instance": "0123abcd"}},
		"HostConfig": map[string]any{"PortBindings": map[string]any{
			"80/tcp": []any{map[string]string{"HostIp": "0.0.0.0", "HostPort": "8080"}},
			"80/udp": []any{map[string]string{"HostIp": "0.0.0.0", "HostPort": "8080"}},
		}},
	}
}

const (
	inspectPath = "/containers/" + stubID + "/json"
	removePath  = "/containers/" + stubID
	waitPath    = "/containers/" + stubID + "/wait"
)

// TestRemoveUnderWay: somebody else's removal is waited for.
func TestRemoveUnderWay(t *testing.T) {
	t.Parallel()
	inProgress := reply(http.StatusConflict, "removal of container "+stubID+" is already in progress")
	for what, c := range map[string]struct {
		remove, wait http.HandlerFunc
		removals     int
	}{
		"it goes":                 {inProgress, replyJSON(map[string]any{"StatusCode": 0}), 1},
		"it is gone before":       {inProgress, reply(http.StatusNotFound, "No such container: "+stubID), 1},
		"it fails, ours succeeds": {inTurn(inProgress, reply(http.StatusNoContent, "")), replyJSON(map[string]any{"Error": map[string]string{"Message": "busy"}}), 2},
		"it is gone at our turn":  {reply(http.StatusNotFound, "No such container"), nil, 1},
	} {
		node := runtimetest.NewNode()
		stub, engine := newStub(t, node, map[string]http.HandlerFunc{
			"GET " + inspectPath: replyJSON(boxOf(node, "removing")), "DELETE " + removePath: c.remove, "POST " + waitPath: c.wait,
		})
		if err := engine.Remove(t.Context(), stubID); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if n := stub.count("DELETE", removePath); n != c.removals {
			t.Errorf("%s: it was asked for %d times, want %d", what, n, c.removals)
		}
	}
}

// TestRemoveFails: a container that does not go is a failure, after some tries.
func TestRemoveFails(t *testing.T) {
	t.Parallel()
	node := runtimetest.NewNode()
	stub, engine := newStub(t, node, map[string]http.HandlerFunc{
		"GET " + inspectPath:   replyJSON(boxOf(node, "dead")),
		"DELETE " + removePath: reply(http.StatusInternalServerError, `driver "overlay2" failed to remove root filesystem: device or resource busy`),
	})
	err := engine.Remove(t.Context(), stubID)
	wantReason(t, "Remove", err, runtime.Unknown)
	if n := stub.count("DELETE", removePath); n != 3 {
		t.Errorf("it was asked for %d times, want 3", n)
	}
	if c, err := engine.Inspect(t.Context(), stubID); err != nil || c.Status != runtime.Dead {
		t.Errorf("Inspect gives %+v, %v", c, err)
	}
}

// TestRemoveHalf: a container that can't even be inspected is removed when the
// list says that it is ours, and only then.
func TestRemoveHalf(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		list     []map[string]string
		removals int
		want     runtime.Reason
	}{
		"ours":       {[]map[string]string{{"Id": stubID}}, 1, ""},
		"a stranger": {nil, 0, runtime.Unknown},
	} {
		node := runtimetest.NewNode()
		var filters string
		stub, engine := newStub(t, node, map[string]http.HandlerFunc{
			"GET " + inspectPath:   reply(http.StatusInternalServerError, "RWLayer of container "+stubID+" is unexpectedly nil"),
			"DELETE " + removePath: reply(http.StatusNoContent, ""),
			"GET /containers/json": func(w http.ResponseWriter, r *http.Request) {
				filters = r.URL.Query().Get("filters")
				replyJSON(c.list)(w, r)
			},
		})
		if err := engine.Remove(t.Context(), stubID); runtime.ReasonOf(err) != c.want {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
		if n := stub.count("DELETE", removePath); n != c.removals {
			t.Errorf("%s: it was removed %d times, want %d", what, n, c.removals)
		}
		if !strings.Contains(filters, "berth.node="+string(node)) || !strings.Contains(filters, stubID) {
			t.Errorf("%s: the list was asked for %s", what, filters)
		}
	}
}

// TestStartTexts: what newer engines say reaches the caller as a reason.
func TestStartTexts(t *testing.T) {
	t.Parallel()
	const modern = "failed to set up container networking: driver failed programming external connectivity on endpoint bt-1 (0123): "
	for text, want := range map[string]uint16{
		"failed to bind host port for 0.0.0.0:9090:172.19.0.2:80/tcp: address already in use": 9090,
		"failed to listen on TCP socket: address already in use":                              8080, // the only one that it publishes
	} {
		node := runtimetest.NewNode()
		_, engine := newStub(t, node, map[string]http.HandlerFunc{
			"GET " + inspectPath:                    replyJSON(boxOf(node, "created")),
			"POST /containers/" + stubID + "/start": reply(http.StatusInternalServerError, modern+text),
		})
		err := engine.Start(t.Context(), stubID)
		var f *runtime.Failure
		if !errors.As(err, &f) || f.Reason != runtime.PortInUse || f.Port != want {
			t.Errorf("%s gives %v, want port %d", text, err, want)
		}
	}
}

// TestLeakedPort: a port that no container has is the engine's own to give back.
func TestLeakedPort(t *testing.T) {
	t.Parallel()
	const refused = "driver failed programming external connectivity on endpoint bt-1 (0123): Bind for 0.0.0.0:9090 failed: port is already allocated"
	for holder, want := range map[uint16]string{
		9090: "port 9090 is in use on this node by another container",
		9091: "port 9090 is kept by the container engine for a container that is gone: restart the container engine on this node",
	} {
		node := runtimetest.NewNode()
		_, engine := newStub(t, node, map[string]http.HandlerFunc{
			"GET " + inspectPath:                    replyJSON(boxOf(node, "created")),
			"POST /containers/" + stubID + "/start": reply(http.StatusInternalServerError, refused),
			"GET /containers/json":                  replyJSON([]map[string]any{{"Id": "other", "Ports": []map[string]any{{"PublicPort": holder, "Type": "tcp"}}}}),
		})
		err := engine.Start(t.Context(), stubID)
		var f *runtime.Failure
		if !errors.As(err, &f) || f.Reason != runtime.PortInUse || f.Port != 9090 || f.Message != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestVersionNegotiated: an engine is spoken to in a version that it knows.
func TestVersionNegotiated(t *testing.T) {
	t.Parallel()
	for api, want := range map[string]string{"1.41": "/v1.41/", "1.99": "/v1.51/"} {
		node := runtimetest.NewNode()
		stub, engine := newStub(t, node, map[string]http.HandlerFunc{"GET " + inspectPath: replyJSON(boxOf(node, "running"))})
		stub.api = api
		if _, err := engine.Inspect(t.Context(), stubID); err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(stub.asked, func(a string) bool { return strings.HasPrefix(a, "GET "+want) }) {
			t.Errorf("an engine of version %s was asked %v, want %s", api, stub.asked, want)
		}
	}
}

func infoOf(at time.Time) http.HandlerFunc {
	return replyJSON(map[string]any{"SystemTime": at.Format(time.RFC3339Nano)})
}

// event is a line of an engine's events.
func event(action string, at int64) string {
	return fmt.Sprintf(`{"Type":"container","Action":%q,"Actor":{"ID":%q,"Attributes":{"berth.instance":"0123abcd"}},"timeNano":%d}`+"\n", action, stubID, at)
}

// TestWatchStream: what is asked for, what is left out and how it ends.
func TestWatchStream(t *testing.T) {
	t.Parallel()
	node := runtimetest.NewNode()
	var asked string
	_, engine := newStub(t, node, map[string]http.HandlerFunc{
		"GET /info": infoOf(time.Unix(1700000000, 42)),
		"GET /events": func(w http.ResponseWriter, r *http.Request) {
			asked = r.URL.Query().Get("since") + " " + r.URL.Query().Get("filters")
			for i, action := range []string{"create", "start", "exec_create: sh", "health_status: healthy", "attach", "oom", "kill", "die", "pause", "destroy"} {
				_, _ = io.WriteString(w, event(action, int64(i)))
				_, _ = io.WriteString(w, event(action, int64(i))) // as at the moment of subscription
			}
		},
	})
	ready := 0
	var kinds []runtime.ChangeKind
	err := engine.Watch(t.Context(), func() { ready++ }, func(c runtime.Change) {
		kinds = append(kinds, c.Kind)
		if c.ID != stubID || c.Instance != "0123abcd" {
			t.Errorf("the change is %+v", c)
		}
	})
	wantReason(t, "an end of the stream", err, runtime.Unreachable)
	want := []runtime.ChangeKind{runtime.Other, runtime.Started, runtime.Other, runtime.OOM, runtime.Signalled, runtime.Died, runtime.Other, runtime.Removed}
	if ready != 1 || !slices.Equal(kinds, want) {
		t.Errorf("ready %d times, the changes are %v, want %v", ready, kinds, want)
	}
	if !strings.HasPrefix(asked, "1700000000.000000042 ") || !strings.Contains(asked, "berth.node="+string(node)) || !strings.Contains(asked, `"container":true`) {
		t.Errorf("asked for %s", asked)
	}
}

// TestWatchRefused: ready is not called, and the reason is told.
func TestWatchRefused(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		info, events http.HandlerFunc
		want         runtime.Reason
	}{
		"no info":      {reply(http.StatusInternalServerError, "no"), nil, runtime.Unknown},
		"no time":      {replyJSON(map[string]string{}), nil, runtime.Unknown},
		"no events":    {infoOf(time.Unix(1, 0)), reply(http.StatusInternalServerError, "no"), runtime.Unknown},
		"it shuts":     {reply(http.StatusServiceUnavailable, "shutting down"), nil, runtime.Unreachable},
		"not an event": {infoOf(time.Unix(1, 0)), func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, runtime.Unreachable},
	} {
		_, engine := newStub(t, runtimetest.NewNode(), map[string]http.HandlerFunc{"GET /info": c.info, "GET /events": c.events})
		ready := false
		err := engine.Watch(t.Context(), func() { ready = true }, func(runtime.Change) { t.Errorf("%s: a change", what) })
		wantReason(t, what, err, c.want)
		if ready && c.want != runtime.Unreachable {
			t.Errorf("%s: ready was called", what)
		}
	}
}

// TestStopLosesRace: the container ends while it is being asked to.
func TestStopLosesRace(t *testing.T) {
	t.Parallel()
	node := runtimetest.NewNode()
	for what, answer := range map[string]http.HandlerFunc{
		"it ended":      reply(http.StatusConflict, "Cannot kill container: "+stubID+": Container "+stubID+" is not running"),
		"it is removed": reply(http.StatusNotFound, "No such container: "+stubID),
	} {
		_, engine := newStub(t, node, map[string]http.HandlerFunc{
			"GET " + inspectPath:                   inTurn(replyJSON(boxOf(node, "running")), reply(http.StatusNotFound, "No such container")),
			"POST " + waitPath:                     reply(http.StatusNotFound, "No such container"),
			"POST /containers/" + stubID + "/kill": answer,
		})
		if err := engine.Stop(t.Context(), stubID, runtime.StopSpec{Grace: time.Minute}); err != nil {
			t.Errorf("%s: Stop: %v", what, err)
		}
	}
}

// TestForgedContainer: an engine that leaves out what we need is a failure, not
// a crash.
func TestForgedContainer(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{}`, `{"Id":"x"}`, `{"Id":"x","State":null,"Config":{}}`, `null`, `[]`, `{"State":{}}`} {
		_, engine := newStub(t, runtimetest.NewNode(), map[string]http.HandlerFunc{
			"GET " + inspectPath: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) },
		})
		if _, err := engine.Inspect(t.Context(), stubID); err == nil {
			t.Errorf("an engine that answers %s is believed", body)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for what, o := range map[string]docker.Options{
		"no node":          {Host: "unix:///x"},
		"not an address":   {Host: "nonsense", Node: "n"},
		"an unknown proto": {Host: "gopher://x", Node: "n"},
	} {
		if e, err := docker.New(o); err == nil {
			t.Errorf("%s: New gives %v", what, e)
		}
	}
}

func TestInfo(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, runtimetest.DockerHost(t))
	info, err := engine.Info(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if info.Engine != "docker" || (info.Arch != "amd64" && info.Arch != "arm64") || info.StorageBytes < 1<<20 {
		t.Errorf("Info is %+v", info)
	}
}

func TestFilesystem(t *testing.T) {
	t.Parallel()
	if size, free := docker.Filesystem(t.TempDir()); size < 1<<20 || free <= 0 || free > size {
		t.Errorf("the filesystem of a temporary directory has %d bytes, and %d free", size, free)
	}
	for _, path := range []string{"", "/does/not/exist"} {
		if size, free := docker.Filesystem(path); size != 0 || free != 0 {
			t.Errorf("%q has %d bytes and %d free, want 0 for unknown", path, size, free)
		}
	}
}
