package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/shared/ident"
)

// An instance that was stopped before its suspension stays stopped after it.
func TestSuspensionOfAStopped(t *testing.T) {
	t.Parallel()
	p, h, owner := setup(t)
	id, container := h.running(h.loadProbe("serve", "8080"), owner, runtimetest.FreePort(t))
	p.awaitJob(p.order(id, "stop"), "succeeded")
	p.awaitJob(p.order(id, "suspend"), "succeeded")
	if v := p.instance(id); v.Status != "suspended" || v.Actual != "stopped" {
		t.Errorf("%+v", v)
	}
	if job := p.order(id, "suspend"); job != "" {
		t.Errorf("a second suspension is work: job %s", job)
	}
	p.awaitJob(p.order(id, "unsuspend"), "succeeded")
	if v := p.instance(id); v.Status != "stopped" {
		t.Errorf("%+v", v)
	}
	if c, there := h.inspect(container); !there || c.State.Running {
		t.Errorf("Docker says %v %+v", there, c)
	}
	p.awaitJob(p.order(id, "start"), "succeeded")
	p.awaitStatus(id, "running")
}

// Somebody removes the container: it is made again, with the same volume.
func TestContainerRemovedByHand(t *testing.T) {
	t.Parallel()
	p, h, owner := setup(t)
	port := runtimetest.FreePort(t)
	id, container := h.running(h.loadProbe("write", "/app/data/kept", "yes", "then", "serve", "8080"), owner, port)
	if status := h.engineCall("DELETE", "/containers/"+container+"?force=1", nil, nil); status != http.StatusNoContent {
		t.Fatalf("Docker answers %d", status)
	}
	eventually(t, "another container runs", func() bool {
		v := p.instance(id)
		return v.Status == "running" && v.ContainerID != container
	})
	runtimetest.Echoes(t, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if c := h.containers(); len(c) != 1 {
		t.Errorf("%d containers", len(c))
	}
}

// The process dies: that is a crash, and it is started again.
func TestKilledByTheKernel(t *testing.T) {
	t.Parallel()
	p, h, owner := setup(t)
	id, container := h.running(h.loadProbe("serve", "8080"), owner, runtimetest.FreePort(t))
	h.crash(container)
	var found crash
	eventually(t, "the crash is told", func() bool {
		told := p.crashes(id)
		if len(told) != 1 {
			return false
		}
		found = told[0]
		return true
	})
	if found.ExitCode != 137 || found.OOM {
		t.Errorf("%+v", found)
	}
	if v := p.awaitStatus(id, "running"); v.ContainerID != container {
		t.Errorf("%+v", v)
	}
}

// Somebody tells Docker to end it: that is no crash, and is put right; or left
// and said so, where the instance says that, until the next order.
func TestStoppedByHand(t *testing.T) {
	t.Parallel()
	p, h, owner := setup(t)
	id, container := h.running(h.loadProbe("serve", "8080"), owner, runtimetest.FreePort(t))
	for _, verb := range []string{"kill", "stop"} {
		before := h.startedAt(container)
		if status := h.engineCall("POST", "/containers/"+container+"/"+verb, nil, nil); status != http.StatusNoContent {
			t.Fatalf("Docker answers %d", status)
		}
		eventually(t, "it is started again", func() bool {
			c, there := h.inspect(container)
			return there && c.State.Running && h.startedAt(container) != before
		})
	}
	if told := p.crashes(id); len(told) != 0 {
		t.Errorf("it counts as a crash: %+v", told)
	}
	var changed data[struct{ Job struct{ ID string } }]
	p.must(http.StatusAccepted, "PATCH", "/api/v1/instances/"+id, map[string]any{"drift_policy": "report"}, &changed)
	p.awaitJob(changed.Data.Job.ID, "succeeded")
	h.engineCall("POST", "/containers/"+container+"/stop", nil, nil)
	var shown data[struct {
		Status, Power, Drift string
		Policy               string `json:"drift_policy"`
	}]
	eventually(t, "the drift is shown", func() bool {
		p.must(http.StatusOK, "GET", "/api/v1/instances/"+id, nil, &shown)
		return shown.Data.Drift != ""
	})
	if v := shown.Data; v.Status != "stopped" || v.Power != "running" || v.Drift != "the container was stopped by hand" || v.Policy != "report" {
		t.Errorf("%+v", v)
	}
	p.awaitJob(p.order(id, "start"), "succeeded")
	p.awaitStatus(id, "running")
	p.must(http.StatusOK, "GET", "/api/v1/instances/"+id, nil, &shown)
}

// crash ends a container's process as the kernel does.
func (h *host) crash(container string) {
	h.panel.t.Helper()
	c, there := h.inspect(container)
	if !there || c.State.Pid == 0 {
		h.panel.t.Fatalf("container %s does not run", container)
	}
	if err := syscall.Kill(c.State.Pid, syscall.SIGKILL); err != nil {
		h.panel.t.Skipf("the engine's processes can't be killed from here: %v", err)
	}
}

// crash is what an event says of one.
type crash struct {
	ExitCode int `json:"exit_code"`
	OOM      bool
}

// crashes are the data of the events that tell of an instance's crashes.
func (p *panel) crashes(id string) []crash {
	p.t.Helper()
	var events data[[]struct {
		Data crash
	}]
	p.must(http.StatusOK, "GET", "/api/v1/events?type=instance.crashed&instance_id="+id, nil, &events)
	list := make([]crash, 0, len(events.Data))
	for _, e := range events.Data {
		list = append(list, e.Data)
	}
	return list
}

// Container and volume are gone already: a delete has nothing to do and says so.
func TestDeleteOfNothing(t *testing.T) {
	t.Parallel()
	p, h, owner := setup(t)
	id, _ := h.running(h.loadProbe("serve", "8080"), owner, runtimetest.FreePort(t))
	h.stop() // or it would be made again
	for _, c := range h.containers() {
		h.engineCall("DELETE", "/containers/"+c+"?force=1", nil, nil)
	}
	if err := os.RemoveAll(filepath.Join(h.dir, "volumes", id)); err != nil {
		t.Fatal(err)
	}
	p.must(http.StatusAccepted, "DELETE", "/api/v1/instances/"+id, nil, nil)
	h.run(nil)
	p.awaitGone(id)
	if left := h.containers(); len(left) != 0 {
		t.Errorf("containers are left: %v", left)
	}
	p.must(http.StatusNotFound, "DELETE", "/api/v1/instances/"+id, nil, nil)
}

// What isn't Berth's is not touched, whatever is deleted and restarted.
func TestForeignContainer(t *testing.T) {
	t.Parallel()
	p, h, owner := setup(t)
	image := h.loadProbe("serve", "8080")
	var foreign struct{ ID string }
	status := h.engineCall("POST", "/containers/create?name=foreign-"+string(ident.NewInstance()), map[string]any{"Image": image, "Cmd": []string{"idle"}}, &foreign)
	if status != http.StatusCreated {
		t.Fatalf("Docker answers %d", status)
	}
	t.Cleanup(func() { h.engineCall("DELETE", "/containers/"+foreign.ID+"?force=1", nil, nil) })
	if status := h.engineCall("POST", "/containers/"+foreign.ID+"/start", nil, nil); status != http.StatusNoContent {
		t.Fatalf("Docker answers %d", status)
	}
	id, _ := h.running(image, owner, runtimetest.FreePort(t))
	h.stop()
	h.run(nil)
	h.awaitOnline()
	p.remove(id)
	if c, there := h.inspect(foreign.ID); !there || !c.State.Running {
		t.Errorf("the foreign container: %v %+v", there, c)
	}
	if left := h.containers(); len(left) != 0 {
		t.Errorf("containers are left: %v", left)
	}
}

// New limits need a new container; the volume and its data stay.
func TestChangeOfMemory(t *testing.T) {
	t.Parallel()
	p, h, owner := setup(t)
	port := runtimetest.FreePort(t)
	id, container := h.running(h.loadProbe("serve", "8080"), owner, port)
	kept := filepath.Join(h.dir, "volumes", id, "data", "kept")
	if err := os.WriteFile(kept, []byte("yes"), 0o644); err != nil {
		t.Fatal(err)
	}
	var made data[struct{ Job struct{ ID string } }]
	p.must(http.StatusAccepted, "PATCH", "/api/v1/instances/"+id, map[string]any{"memory": 96, "cpu": 0.25, "variables": map[string]string{"NEW": "value"}}, &made)
	p.awaitJob(made.Data.Job.ID, "succeeded")
	v := p.awaitStatus(id, "running")
	c, there := h.inspect(v.ContainerID)
	if !there || c.HostConfig.Memory != 96<<20 || c.HostConfig.MemorySwap != 96<<20 || c.HostConfig.NanoCpus != 250_000_000 {
		t.Fatalf("Docker says %v %+v", there, c)
	}
	if v.ContainerID == container || len(h.containers()) != 1 {
		t.Errorf("containers: %v, before %s", h.containers(), container)
	}
	if text, err := os.ReadFile(kept); err != nil || string(text) != "yes" {
		t.Errorf("the volume holds %q, %v", text, err)
	}
	runtimetest.Echoes(t, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
}

// The volume, and what an install puts there, belong to the image's user.
func TestImagesUserOwnsTheVolume(t *testing.T) {
	t.Parallel()
	p, h, owner := setup(t, loopback)
	g := newGate(t)
	g.open()
	image := h.loadProbeAs("web") // 33:34 in the probe's passwd
	p.catalogue(image, []string{"write", "/app/data/own", "yes", "then", "serve", "8080"}, map[string]any{"install": []map[string]string{{"uri": g.url, "path": "deep/file"}}})
	id, _ := h.running(image, owner, runtimetest.FreePort(t))
	root := filepath.Join(h.dir, "volumes", id, "data")
	for _, name := range []string{"", "own", "deep", "deep/file"} {
		info, err := os.Stat(filepath.Join(root, name))
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if s, ok := info.Sys().(*syscall.Stat_t); !ok || s.Uid != 33 || s.Gid != 34 {
			t.Errorf("%q belongs to %+v", name, info.Sys())
		}
	}
	if text, err := os.ReadFile(filepath.Join(root, "deep", "file")); err != nil || string(text) != "downloaded" {
		t.Errorf("%q, %v", text, err)
	}
}
