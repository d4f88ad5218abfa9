package e2e

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/enrol"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/shared/wire"
)

// slow makes a deployment that waits in its install until the gate opens, and
// gives it when it is there.
func slow(t *testing.T, h *host, owner string, port uint16) (g *gate, id, job string) {
	t.Helper()
	g = newGate(t)
	image := h.loadProbeAs("")
	h.panel.catalogue(image, []string{"serve", "8080"}, map[string]any{"install": []map[string]string{{"uri": g.url, "path": "file"}}})
	id, job = h.begin(h.body(image, owner, port))
	g.await(t)
	return g, id, job
}

// The agent dies in the middle of a deployment and goes on with it when it is back.
func TestAgentEndsInADeploy(t *testing.T) {
	t.Parallel()
	bothWays(t, agentEndsInADeploy)
}

func agentEndsInADeploy(t *testing.T, w way) {
	p, h, owner := setup(t, w, loopback)
	port := runtimetest.FreePort(t)
	g, id, job := slow(t, h, owner, port)
	h.stop()
	if v := p.instance(id); v.Status != "installing" {
		t.Errorf("%+v", v)
	}
	h.run(nil)
	g.await(t) // it downloads again
	g.open()
	p.awaitStatus(id, "running")
	p.awaitJob(job, "succeeded")
	runtimetest.Echoes(t, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if c := h.containers(); len(c) != 1 {
		t.Errorf("%d containers", len(c))
	}
}

// The controller dies in the middle of a deployment; the agent goes on alone, and
// the job ends when the controller is back.
func TestControllerEndsInADeploy(t *testing.T) {
	t.Parallel()
	bothWays(t, controllerEndsInADeploy)
}

func controllerEndsInADeploy(t *testing.T, w way) {
	_, h, owner := setup(t, w, loopback)
	port := runtimetest.FreePort(t)
	g, id, job := slow(t, h, owner, port)
	p := h.restartPanel(func() {
		g.open()
		runtimetest.Echoes(t, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	})
	p.awaitJob(job, "succeeded")
	p.awaitStatus(id, "running")
	if c := h.containers(); len(c) != 1 {
		t.Errorf("%d containers", len(c))
	}
}

// A deployment that is deleted while it installs ends at once and leaves nothing.
func TestDeleteInADeploy(t *testing.T) {
	t.Parallel()
	p, h, owner := setup(t, loopback)
	_, id, job := slow(t, h, owner, runtimetest.FreePort(t))
	p.remove(id) // the gate stays shut
	if j := p.job(job); j.State != "cancelled" {
		t.Errorf("%+v", j)
	}
	if left := h.containers(); len(left) != 0 {
		t.Errorf("containers are left: %v", left)
	}
}

// A cancelled deployment stays as it is until somebody starts it.
func TestCancelOfADeploy(t *testing.T) {
	t.Parallel()
	p, h, owner := setup(t, loopback)
	g, id, job := slow(t, h, owner, runtimetest.FreePort(t))
	p.must(http.StatusOK, "POST", "/api/v1/jobs/"+job+"/cancel", nil, nil)
	if v := p.awaitStatus(id, "failed"); v.Failure == nil || !strings.Contains(v.Failure.Message, "cancelled") {
		t.Errorf("%+v", v)
	}
	eventually(t, "the node has let go", func() bool {
		var jobs data[[]jobView]
		p.must(http.StatusOK, "GET", "/api/v1/jobs?instance_id="+id+"&state=succeeded", nil, &jobs)
		return len(jobs.Data) == 1 && jobs.Data[0].Kind == "instance.sync"
	})
	g.open()
	p.order(id, "start")
	p.awaitStatus(id, "running")
}

// While the node is away: /api/v1 keeps the wish and the job goes on later, the
// classic API says so at once and keeps nothing.
func TestNodeOffline(t *testing.T) {
	t.Parallel()
	bothWays(t, nodeOffline)
}

func nodeOffline(t *testing.T, w way) {
	p, h, owner := setup(t, w)
	image := h.loadProbe("serve", "8080")
	h.stop()
	eventually(t, "the node is offline", func() bool { return !p.app.Fleet.Online(h.id) })
	status, text := p.raw(adminKey, "POST", "/api/instances/deploy", map[string]any{"image": image, "memory": 64, "cpu": 1,
		"ports": mapping(8080, runtimetest.FreePort(t)), "nodeId": h.id, "name": "test", "user": owner})
	var refusal struct{ Error, Details string }
	if err := json.Unmarshal(text, &refusal); status != http.StatusInternalServerError || err != nil || !strings.Contains(refusal.Details, "offline") {
		t.Errorf("the classic API answers %d %s", status, text)
	}
	var all []classicInstance
	p.must(http.StatusOK, "GET", "/api/instances", nil, &all)
	if len(all) != 0 {
		t.Errorf("the classic API kept %+v", all)
	}
	id, job := h.begin(h.body(image, owner, runtimetest.FreePort(t)))
	if j := p.awaitJob(job, "waiting"); !strings.Contains(j.Message, "node a is offline") {
		t.Errorf("%+v", j)
	}
	h.run(nil)
	p.awaitJob(job, "succeeded")
	p.awaitStatus(id, "running")
}

// Instances run on while the controller is away, and are started again there.
func TestControllerAway(t *testing.T) {
	t.Parallel()
	bothWays(t, controllerAway)
}

func controllerAway(t *testing.T, w way) {
	_, h, owner := setup(t, w)
	port := runtimetest.FreePort(t)
	id, container := h.running(h.loadProbe("serve", "8080"), owner, port)
	address := fmt.Sprintf("127.0.0.1:%d", port)
	p := h.restartPanel(func() {
		runtimetest.Echoes(t, "tcp", address)
		before := h.startedAt(container)
		h.crash(container)
		eventually(t, "the agent has started it again", func() bool {
			c, there := h.inspect(container)
			return there && c.State.Running && h.startedAt(container) != before
		})
	})
	p.awaitStatus(id, "running")
	runtimetest.Echoes(t, "tcp", address)
	told := func() int {
		var events data[[]struct{ Type string }]
		p.must(http.StatusOK, "GET", "/api/v1/events?type=instance.crashed&instance_id="+id, nil, &events)
		return len(events.Data)
	}
	eventually(t, "the crash is told", func() bool { return told() > 0 })
	p.awaitStatus(id, "running")
	if n := told(); n != 1 {
		t.Errorf("the crash is told %d times", n)
	}
}

// An agent answers its controller alone: nobody without a certificate, with one
// of another CA, or with another node's.
func TestAgentsDoor(t *testing.T) {
	t.Parallel()
	p, a, _ := setup(t)
	b := p.addHost("b")
	other := startPanel(t, "").addHost("stranger")
	for name, from := range map[string]*host{"nobody": nil, "another node": b, "another controller's node": other, "itself": a} {
		config := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13} // the agent is who is tested
		if from != nil {
			identity, err := enrol.Load(from.dir)
			if err != nil {
				t.Fatal(err)
			}
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &identity.Certificate, nil }
		}
		client := http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
		for _, path := range []string{wire.PathHello, wire.PathInstances, wire.PathEvents} {
			res, err := client.Get("https://" + a.listen + path)
			if err == nil {
				_ = res.Body.Close()
				t.Errorf("%s gets %d for %s", name, res.StatusCode, path)
			}
		}
	}
}

// The controller talks to the node that it means: another one at that address,
// and one whose certificate was revoked, stay outside.
func TestControllersDoor(t *testing.T) {
	t.Parallel()
	p, a, _ := setup(t)
	b := p.addHost("b")
	_, port, _ := net.SplitHostPort(b.listen)
	p.must(http.StatusOK, "PATCH", "/api/v1/nodes/"+string(a.id), map[string]any{"port": json.Number(port)}, nil)
	eventually(t, "the node at another's address is offline", func() bool { return !p.app.Fleet.Online(a.id) })
	eventually(t, "it says why", func() bool { return p.app.Fleet.Presence(a.id).Reason != "" })
	p.must(http.StatusOK, "POST", "/api/v1/nodes/"+string(b.id)+"/revoke", nil, nil)
	eventually(t, "the revoked node is offline", func() bool { return !p.app.Fleet.Online(b.id) })

	// Neither comes back although both agents answer.
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		if p.app.Fleet.Online(a.id) || p.app.Fleet.Online(b.id) {
			t.Fatal("a node that must stay outside is online")
		}
		time.Sleep(50 * time.Millisecond)
	}
	_, port, _ = net.SplitHostPort(a.listen)
	p.must(http.StatusOK, "PATCH", "/api/v1/nodes/"+string(a.id), map[string]any{"port": json.Number(port)}, nil)
	a.awaitOnline()
}
