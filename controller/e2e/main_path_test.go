package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/agent/supervisor"
)

// The way of a hoster: user, image, node, deploy, use, suspend, unsuspend,
// delete; nothing of it is played.
func TestMainPath(t *testing.T) {
	t.Parallel()
	bothWays(t, mainPath)
}

func mainPath(t *testing.T, w way) {
	p := startPanel(t, "")
	h := p.addHost("a", w)
	image := h.loadProbe("write", "/app/data/kept", "yes", "then", "serve", "8080")
	owner := p.user("anna")
	port := runtimetest.FreePort(t)
	id := h.deploy(image, owner, mapping(8080, port), map[string]any{"primary": "8080", "variables": `{"COLOUR":"{{FROM_IMAGE}}","N":3}`})
	p.awaitStatus(id, "running")

	address := fmt.Sprintf("127.0.0.1:%d", port)
	runtimetest.Echoes(t, "tcp", address)
	runtimetest.Echoes(t, "udp", address)
	runtimetest.HasPage(t, "http://"+address)
	container := checkContainer(t, h, id, port)
	volume := filepath.Join(h.dir, "volumes", id, "data")
	if text, err := os.ReadFile(filepath.Join(volume, "kept")); err != nil || string(text) != "yes" {
		t.Fatalf("the volume holds %q, %v", text, err)
	}

	p.must(http.StatusOK, "POST", "/api/instances/suspend/"+id, nil, nil)
	eventually(t, "the suspended container is down", func() bool { c, there := h.inspect(container); return there && !c.State.Running })
	if i, _ := p.classic(id); !i.Suspended {
		t.Fatal("the classic API does not say suspended")
	}
	if status, text := p.raw(adminKey, "POST", "/api/v1/instances/"+id+"/start", nil); status != http.StatusConflict {
		t.Fatalf("a suspended instance was started: %d %s", status, text)
	}
	p.must(http.StatusOK, "POST", "/api/instances/unsuspend/"+id, nil, nil)
	p.awaitStatus(id, "running")
	runtimetest.Echoes(t, "tcp", address)

	container = p.instance(id).ContainerID
	p.must(http.StatusCreated, "DELETE", "/api/instance/delete", map[string]string{"id": id}, nil)
	checkGone(t, h, id, container)
	p.must(http.StatusBadRequest, "DELETE", "/api/instance/delete", map[string]string{"id": id}, nil)
	again := h.deploy(image, owner, mapping(8080, port), nil) // the port is free again
	p.awaitStatus(again, "running")
}

// checkContainer holds Docker's own word against what was asked for.
func checkContainer(t *testing.T, h *host, id string, port uint16) (container string) {
	t.Helper()
	i, status := h.panel.classic(id)
	if status != http.StatusOK || i.InternalState != "READY" || i.ID != id || i.VolumeId != id || i.Memory != 64 || i.Ports != mapping(8080, port) {
		t.Fatalf("the classic API says %d %+v", status, i)
	}
	c, there := h.inspect(i.ContainerId)
	if !there || !c.State.Running {
		t.Fatalf("Docker knows nothing running as %s", i.ContainerId)
	}
	hc := c.HostConfig
	if hc.Memory != 64<<20 || hc.MemorySwap != 64<<20 || hc.NanoCpus != 500_000_000 || hc.PidsLimit <= 0 {
		t.Errorf("limits: %+v", hc)
	}
	if hc.Privileged || !slices.Equal(hc.CapDrop, []string{"ALL"}) || !slices.Contains(hc.SecurityOpt, "no-new-privileges") || !c.Config.OpenStdin || !c.Config.Tty {
		t.Errorf("sandbox: %+v %+v", hc, c.Config)
	}
	for _, protocol := range []string{"tcp", "udp"} {
		if b := hc.PortBindings["8080/"+protocol]; len(b) != 1 || b[0].HostPort != fmt.Sprint(port) || b[0].HostIp != "0.0.0.0" {
			t.Errorf("%s: %+v", protocol, b)
		}
	}
	for _, want := range []string{"FROM_IMAGE=yes", "COLOUR={{FROM_IMAGE}}", "N=3", "PRIMARY_PORT=8080"} {
		if !slices.Contains(c.Config.Env, want) {
			t.Errorf("the environment lacks %s: %v", want, c.Config.Env)
		}
	}
	if c.Config.Labels["berth.instance"] != id || c.Config.Labels["berth.node"] != string(h.id) || c.Config.Labels["berth.generation"] == "" {
		t.Errorf("labels: %v", c.Config.Labels)
	}
	checkFirstProcess(t, c)
	return c.ID
}

// checkFirstProcess: the engine's init, or ours in an agent that is built with it. The
// container sees the volume, and of the agent what it can't change.
func checkFirstProcess(t *testing.T, c *inspected) {
	t.Helper()
	ours := supervisor.Program() != nil
	if c.HostConfig.Init == ours || ours && !slices.Equal(c.Config.Entrypoint, []string{"/.berth/init"}) {
		t.Errorf("the first process: init %v, %q", c.HostConfig.Init, c.Config.Entrypoint)
	}
	var writable []string
	for _, m := range c.Mounts {
		if m.RW {
			writable = append(writable, m.Destination)
		} else if !ours || m.Destination != "/.berth" {
			t.Errorf("mounted: %+v", m)
		}
	}
	if !slices.Equal(writable, []string{"/app/data"}) {
		t.Errorf("mounts: %+v", c.Mounts)
	}
}

func checkGone(t *testing.T, h *host, id, container string) {
	t.Helper()
	if _, there := h.inspect(container); there {
		t.Error("the container is still there")
	}
	if _, err := os.Stat(filepath.Join(h.dir, "volumes", id)); !os.IsNotExist(err) {
		t.Errorf("the volume is still there: %v", err)
	}
	if _, status := h.panel.classic(id); status != http.StatusBadRequest {
		t.Errorf("getInstance answers %d", status)
	}
	var held data[[]struct{ InstanceID string }]
	h.panel.must(http.StatusOK, "GET", "/api/v1/nodes/"+string(h.id)+"/allocations?use=used", nil, &held)
	if len(held.Data) != 0 {
		t.Errorf("allocations are still held: %+v", held.Data)
	}
}
