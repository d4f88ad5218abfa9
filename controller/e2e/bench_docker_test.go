package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/agent/supervisor"
)

// direct speaks to the Docker Engine without anything of Berth between: what it
// makes is made from the engine's own description of a container of ours.
type direct struct {
	b      *testing.B
	host   *siteHost
	client *http.Client
	node   string
	made   int
	config map[string]any
	limits map[string]any
}

func newDirect(b *testing.B, h *siteHost) *direct {
	node := runtimetest.NewNode()
	runtimetest.CleanDocker(b, h.docker, node)
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		network, address, _ := strings.Cut(h.docker, "://")
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	b.Cleanup(transport.CloseIdleConnections)
	return &direct{b: b, host: h, client: &http.Client{Transport: transport}, node: string(node)}
}

// call makes one request and decodes the answer into out when that isn't nil.
func (d *direct) call(method, path string, body, out any) {
	d.b.Helper()
	var reader io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			d.b.Fatal(err)
		}
		reader = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(d.b.Context(), method, "http://docker"+path, reader)
	if err != nil {
		d.b.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := d.client.Do(req)
	if err != nil {
		d.b.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= http.StatusBadRequest {
		d.b.Fatalf("%s %s: %d %s %v", method, path, res.StatusCode, text, err)
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			d.b.Fatalf("%s %s: %s: %v", method, path, text, err)
		}
	}
}

// learn takes over how the container of an instance is made, but for its first
// process, which is the engine's own; with the node's label its agent would think that
// it is his.
func (d *direct) learn(instance string) {
	d.b.Helper()
	var c struct{ Config, HostConfig map[string]any }
	d.call("GET", "/containers/berth-"+instance+"/json", nil, &c)
	d.config, d.limits = c.Config, c.HostConfig
	labels, ok := d.config["Labels"].(map[string]any)
	if !ok {
		d.b.Fatalf("a container without labels: %v", d.config)
	}
	labels["berth.node"] = d.node
	if supervisor.Program() == nil {
		return
	}
	d.config["Entrypoint"], d.config["Cmd"], d.limits["Init"] = d.config["Cmd"], nil, true
	mounts, _ := d.limits["Mounts"].([]any)
	d.limits["Mounts"] = slices.DeleteFunc(mounts, func(m any) bool {
		of, _ := m.(map[string]any)
		return of["Target"] == "/.berth"
	})
}

// deploy creates and starts a container just like the one that was learned, but
// with a port and a volume of its own.
func (d *direct) deploy(s *starts) time.Duration {
	d.b.Helper()
	d.made++
	name := fmt.Sprintf("%s-%d", d.node, d.made)
	mounts, ok := d.limits["Mounts"].([]any)
	if !ok || len(mounts) != 1 {
		d.b.Fatalf("a container without its volume: %v", d.limits)
	}
	volume, ok := mounts[0].(map[string]any)
	if !ok {
		d.b.Fatalf("no mount: %v", mounts[0])
	}
	volume["Source"] = d.b.TempDir()
	port := fmt.Sprint(runtimetest.FreePort(d.b))
	bindings := []map[string]string{{"HostIp": "0.0.0.0", "HostPort": port}}
	d.limits["PortBindings"] = map[string]any{"8080/tcp": bindings, "8080/udp": bindings}
	body := map[string]any{"HostConfig": d.limits}
	for k, v := range d.config {
		body[k] = v
	}
	var made struct{ ID string }
	began := time.Now()
	d.call("POST", "/containers/create?name="+name, body, &made)
	d.call("POST", "/containers/"+made.ID+"/start", nil, nil)
	took := s.await(d.b, name).Sub(began)
	d.call("DELETE", "/containers/"+made.ID+"?force=1", nil, nil)
	return took
}

// starts knows when which container started, as the engine told it.
type starts struct {
	mu   sync.Mutex
	seen map[string]time.Time
	news chan struct{} // holds one token
}

// watchStarts listens to the engine from now on.
func (d *direct) watchStarts() *starts {
	d.b.Helper()
	filters := url.Values{"filters": {`{"type":["container"],"event":["start"]}`}}
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/events?"+filters.Encode(), http.NoBody)
	if err != nil {
		d.b.Fatal(err)
	}
	res, err := d.client.Do(req)
	if err != nil {
		d.b.Fatal(err)
	}
	s := &starts{seen: map[string]time.Time{}, news: make(chan struct{}, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = res.Body.Close() }()
		s.read(json.NewDecoder(res.Body))
	}()
	d.b.Cleanup(func() { cancel(); <-done })
	return s
}

// read notes events until their stream ends.
func (s *starts) read(stream *json.Decoder) {
	for {
		var e struct {
			Actor struct{ Attributes map[string]string }
		}
		if stream.Decode(&e) != nil {
			return
		}
		now := time.Now()
		s.mu.Lock()
		s.seen[e.Actor.Attributes["name"]] = now
		s.mu.Unlock()
		select {
		case s.news <- struct{}{}:
		default:
		}
	}
}

// await gives when the container of that name started.
func (s *starts) await(b *testing.B, name string) time.Time {
	b.Helper()
	timeout := time.After(patience)
	for {
		s.mu.Lock()
		at, there := s.seen[name]
		s.mu.Unlock()
		if there {
			return at
		}
		select {
		case <-s.news:
		case <-timeout:
			b.Fatalf("container %s has not started within %s", name, patience)
		}
	}
}
