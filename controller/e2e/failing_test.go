package e2e

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/berth-panel/berth/agent/runtime/runtimetest"
)

// failed waits until the deployment has failed and gives the sentence, which is
// the job's too.
func (p *panel) failed(id, job string) string {
	p.t.Helper()
	v := p.awaitStatus(id, "failed")
	j := p.awaitJob(job, "failed")
	if v.Failure == nil || j.Failure == nil || v.Failure.Message != j.Failure.Message {
		p.t.Fatalf("the instance says %+v, the job %+v", v.Failure, j.Failure)
	}
	return v.Failure.Message
}

func TestImageThatIsNowhere(t *testing.T) {
	t.Parallel()
	p, h, owner := setup(t)
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path != "/v2/" {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`))
		}
	}))
	defer registry.Close()
	reference := strings.TrimPrefix(registry.URL, "http://") + "/berth-test/nowhere:1"
	p.catalogue(reference, nil, nil)
	id, job := h.begin(h.body(reference, owner, runtimetest.FreePort(t)))
	if why := p.failed(id, job); !strings.Contains(why, "nowhere") || !strings.Contains(why, "not found") && !strings.Contains(why, "is not in") {
		t.Errorf("it says %q", why)
	}
	if left := h.containers(); len(left) != 0 {
		t.Errorf("containers are left: %v", left)
	}
	p.remove(id)
}

// A registry that nobody reaches is tried for a while, and then named.
func TestRegistryThatIsDown(t *testing.T) {
	t.Parallel()
	p, h, owner := setup(t)
	reference := fmt.Sprintf("127.0.0.1:%d/berth-test/unreached:1", runtimetest.FreePort(t))
	p.catalogue(reference, nil, nil)
	id, job := h.begin(h.body(reference, owner, 0))
	if why := p.failed(id, job); !strings.Contains(why, "registry") {
		t.Errorf("it says %q", why)
	}
}

// A port that another program of the machine holds: the sentence names it, and
// when it is free a start is enough.
func TestPortOfAnotherProgram(t *testing.T) {
	t.Parallel()
	p, h, owner := setup(t)
	image := h.loadProbe("serve", "8080")
	port := runtimetest.FreePort(t)
	squatter, err := net.Listen("tcp", fmt.Sprintf("0.0.0.0:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = squatter.Close() }()
	id, job := h.begin(h.body(image, owner, port))
	if why := p.failed(id, job); why != fmt.Sprintf("port %d is in use on this node by another program", port) {
		t.Errorf("it says %q", why)
	}
	_ = squatter.Close()
	p.awaitJob(p.order(id, "start"), "succeeded")
	if v := p.awaitStatus(id, "running"); v.Failure != nil {
		t.Errorf("the failure stays: %+v", v.Failure)
	}
	runtimetest.Echoes(t, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
}

// The memory that was asked for holds: what takes more is killed, and says so.
func TestMemoryHolds(t *testing.T) {
	t.Parallel()
	p, h, owner := setup(t)
	image := h.loadProbe("wait", "300", "then", "hog", "200")
	id, _ := h.begin(h.body(image, owner, 0))
	if v := p.awaitStatus(id, "crashed"); (!v.OOM && !runtimetest.BlindToOOM(t, h.docker)) || v.ExitCode == nil || *v.ExitCode != 137 {
		t.Errorf("%+v", v)
	}
	p.remove(id)
}

func TestMissingCommand(t *testing.T) {
	t.Parallel()
	p, h, owner := setup(t)
	image := h.loadProbeAs("nobody-in-there")
	p.catalogue(image, []string{"idle"}, nil)
	id, job := h.begin(h.body(image, owner, 0))
	if why := p.failed(id, job); !strings.Contains(why, "nobody-in-there") {
		t.Errorf("it says %q", why)
	}
	p.remove(id)
	if left := h.containers(); len(left) != 0 {
		t.Errorf("containers are left: %v", left)
	}
}

// Fifty deploys at once of the same port: one instance, one container.
func TestOnePortOneInstance(t *testing.T) {
	t.Parallel()
	p, h, owner := setup(t)
	image := h.loadProbe("serve", "8080")
	port := runtimetest.FreePort(t)
	body := map[string]any{"image": image, "memory": "16", "cpu": "0.5", "ports": mapping(8080, port), "nodeId": h.id, "name": "test", "user": owner}
	statuses := make(chan int, 50)
	for range cap(statuses) {
		go func() { statuses <- p.status("POST", "/api/instances/deploy", body) }()
	}
	counts := map[int]int{}
	for range cap(statuses) {
		counts[<-statuses]++
	}
	if counts[http.StatusCreated] != 1 || counts[http.StatusBadRequest]+counts[http.StatusConflict] != 49 {
		t.Fatalf("statuses: %v", counts)
	}
	var all []classicInstance
	p.must(http.StatusOK, "GET", "/api/instances", nil, &all)
	if len(all) != 1 {
		t.Fatalf("%d instances", len(all))
	}
	p.awaitStatus(all[0].ID, "running")
	if c := h.containers(); len(c) != 1 {
		t.Errorf("%d containers", len(c))
	}
	runtimetest.Echoes(t, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
}
