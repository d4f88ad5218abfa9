package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	agentapp "github.com/berth-panel/berth/agent/app"
	"github.com/berth-panel/berth/agent/runtime/docker"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

// setup is a panel with one host and one user.
func setup(t *testing.T, edits ...func(*agentapp.Config)) (p *panel, h *host, owner string) {
	t.Helper()
	runtimetest.DockerHost(t) // skips before anything is started
	p = startPanel(t, "")
	return p, p.addHost("a", edits...), p.user("anna")
}

// restart ends the panel, calls between, and runs it again at its address.
func (h *host) restartPanel(between func()) *panel {
	t := h.panel.t
	t.Helper()
	h.panel.stop()
	http.DefaultClient.CloseIdleConnections()
	between()
	h.panel = startPanelAt(t, h.panel.data, strings.TrimPrefix(h.panel.url, "http://"))
	return h.panel
}

// letIn has a node count as enrolled that has no agent.
func (p *panel) letIn(id ident.Node) {
	p.t.Helper()
	err := p.app.DB.Write(p.t.Context(), func(tx *store.Tx) error {
		_, err := tx.ExecContext(p.t.Context(), `UPDATE nodes SET enrolled_at = 1 WHERE id = ?`, string(id))
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

// status calls as the admin and gives the answer's status.
func (p *panel) status(method, path string, body any) int {
	p.t.Helper()
	status, _ := p.raw(adminKey, method, path, body)
	return status
}

// jobView is a job of /api/v1.
type jobView struct {
	ID, Kind, State, Step, Message string
	InstanceID                     string `json:"instance_id"`
	Attempt                        int
	Failure                        *struct{ Code, Message string }
}

func (p *panel) job(id string) jobView {
	p.t.Helper()
	var j data[jobView]
	p.must(http.StatusOK, "GET", "/api/v1/jobs/"+id, nil, &j)
	return j.Data
}

func (p *panel) awaitJob(id, state string) jobView {
	p.t.Helper()
	var j jobView
	deadline := time.Now().Add(patience)
	for {
		if j = p.job(id); j.State == state {
			return j
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("job %+v is not %s", j, state)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// order asks for something of an instance and gives the job.
func (p *panel) order(id, verb string) string {
	p.t.Helper()
	var made data[struct{ Job *struct{ ID string } }]
	p.must(http.StatusAccepted, "POST", "/api/v1/instances/"+id+"/"+verb, nil, &made)
	if made.Data.Job == nil {
		return ""
	}
	return made.Data.Job.ID
}

// remove deletes an instance and waits until the panel knows it no more.
func (p *panel) remove(id string) {
	p.t.Helper()
	p.must(http.StatusAccepted, "DELETE", "/api/v1/instances/"+id, nil, nil)
	p.awaitGone(id)
}

// awaitIdle waits until no job is alive.
func (p *panel) awaitIdle() {
	p.t.Helper()
	eventually(p.t, "every job has ended", func() bool {
		var status data[struct {
			Counts struct {
				Active int `json:"jobs_active"`
			}
		}]
		p.must(http.StatusOK, "GET", "/api/v1/status", nil, &status)
		return status.Data.Counts.Active == 0
	})
}

func (p *panel) awaitGone(id string) {
	p.t.Helper()
	eventually(p.t, "instance "+id+" is gone", func() bool {
		return p.status("GET", "/api/v1/instances/"+id, nil) == http.StatusNotFound
	})
}

// body is an instance to deploy over /api/v1 from a reference of the catalogue.
func (h *host) body(reference, owner string, port uint16) map[string]any {
	b := map[string]any{"name": "test", "owner_id": owner, "node_id": h.id, "reference": reference, "memory": 64, "cpu": 0.5, "disk": 256}
	if port != 0 {
		b["ports"] = []map[string]any{{"container": 8080, "host": port}}
	}
	return b
}

// begin deploys over /api/v1 and gives instance and job at once.
func (h *host) begin(body map[string]any) (id, job string) {
	h.panel.t.Helper()
	var made data[struct {
		Instance struct{ ID string }
		Job      struct{ ID string }
	}]
	h.panel.must(http.StatusAccepted, "POST", "/api/v1/instances", body, &made)
	return made.Data.Instance.ID, made.Data.Job.ID
}

// running deploys an image and waits until it runs; it gives the container too.
func (h *host) running(reference, owner string, port uint16) (id, container string) {
	h.panel.t.Helper()
	id, _ = h.begin(h.body(reference, owner, port))
	return id, h.panel.awaitStatus(id, "running").ContainerID
}

// engineClient reaches Docker's own API, at the host "docker".
func (h *host) engineClient() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		network, address, _ := strings.Cut(h.docker, "://")
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}}
}

// engineCall makes one call of Docker's own API: a hand that Berth knows nothing of.
func (h *host) engineCall(method, path string, body, out any) int {
	t := h.panel.t
	t.Helper()
	var reader io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		reader = bytes.NewReader(text)
	}
	req, err := http.NewRequest(method, "http://docker"+path, reader)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := h.engineClient().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if out != nil {
		if err := json.NewDecoder(res.Body).Decode(out); err != nil {
			t.Fatal(err)
		}
	}
	return res.StatusCode
}

// containers gives the ids of the node's containers, also of those that don't run.
func (h *host) containers() []string {
	h.panel.t.Helper()
	filters, _ := json.Marshal(map[string][]string{"label": {"berth.node=" + string(h.id)}})
	var found []struct{ ID string }
	h.engineCall("GET", "/containers/json?all=1&filters="+url.QueryEscape(string(filters)), nil, &found)
	ids := make([]string, 0, len(found))
	for _, c := range found {
		ids = append(ids, c.ID)
	}
	return ids
}

// engine is the test's own way to the node's Docker.
func (h *host) engine() *docker.Engine {
	t := h.panel.t
	t.Helper()
	engine, err := docker.New(docker.Options{Host: h.docker, Node: h.id, Logger: logger(t, "engine"), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	return engine
}

// loadProbeAs is loadProbe for an image with a user, that isn't in the catalogue yet.
func (h *host) loadProbeAs(user string) (reference string) {
	t := h.panel.t
	t.Helper()
	reference = "berth-test/probe-" + string(ident.NewInstance()) + ":1"
	config := runtimetest.ProbeConfig()
	config.User = user
	if err := h.engine().Load(t.Context(), reference, runtimetest.Rootfs(t), config); err != nil {
		t.Fatal(err)
	}
	return reference
}

// catalogue adds an image with these steps of the probe; more are more fields.
func (p *panel) catalogue(reference string, steps []string, more map[string]any) {
	p.t.Helper()
	fields := map[string]any{"name": "probe " + string(ident.NewInstance()), "references": []string{reference}, "command": steps, "stop_command": "stop"}
	for k, v := range more {
		fields[k] = v
	}
	p.image(fields)
}

// gate is a server for an install's download: it says when somebody came and
// keeps all of them waiting until it is opened.
type gate struct {
	url  string
	came chan struct{}
	open func()
}

func newGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{came: make(chan struct{}, 100)}
	opened := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.came <- struct{}{}
		select {
		case <-opened:
			_, _ = w.Write([]byte("downloaded"))
		case <-r.Context().Done():
		}
	}))
	g.open = sync.OnceFunc(func() { close(opened) })
	t.Cleanup(func() { g.open(); server.Close() })
	g.url = server.URL + "/file"
	return g
}

// await waits until somebody downloads.
func (g *gate) await(t *testing.T) {
	t.Helper()
	select {
	case <-g.came:
	case <-time.After(patience):
		t.Fatal("nobody downloads")
	}
}

// loopback lets installs download from the test itself.
func loopback(c *agentapp.Config) {
	c.AllowDownloads = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}
