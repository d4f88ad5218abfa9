package e2e

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	agentapp "github.com/berth-panel/berth/agent/app"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/shared/wire"
)

// images has a node hold disk limits that are hard.
func images(t *testing.T) func(*agentapp.Config) {
	t.Helper()
	if _, err := os.Stat("/dev/loop-control"); err != nil || os.Geteuid() != 0 {
		t.Skip("disk images need root and loop devices")
	}
	return func(c *agentapp.Config) { c.Volumes = string(wire.VolumeImage) }
}

// unmount takes the mounts of a host's volumes away.
func (h *host) unmount() {
	// A device that lingers is in a namespace that somebody else has made
	// meanwhile, and goes with that.
	if err := agentapp.UnmountVolumes(h.dir); errors.Is(err, syscall.EBUSY) {
		h.panel.t.Log(err)
	} else if err != nil {
		h.panel.t.Error(err)
	}
}

// disk is how an instance's disk is held.
func (p *panel) disk(id string) (d wire.Disk) {
	p.t.Helper()
	var v data[struct {
		Disk *wire.Disk `json:"disk_state"`
	}]
	p.must(http.StatusOK, "GET", "/api/v1/instances/"+id, nil, &v)
	if v.Data.Disk != nil {
		d = *v.Data.Disk
	}
	return d
}

// change orders a change of an instance and waits until it is carried out.
func (p *panel) change(id string, body map[string]any) {
	p.t.Helper()
	var made data[struct{ Job struct{ ID string } }]
	p.must(http.StatusAccepted, "PATCH", "/api/v1/instances/"+id, body, &made)
	p.awaitJob(made.Data.Job.ID, "succeeded")
}

// A full disk is its instance's own affair: that gets ENOSPC and lives, writers
// are told, and nobody else notices. It grows, live or by a restart, and the
// container is the same.
func TestAFullDisk(t *testing.T) {
	t.Parallel()
	p, h, owner := setup(t, images(t))
	eventually(t, "the node says how it holds limits", func() bool {
		var node data[struct{ Volumes *wire.Volumes }]
		p.must(http.StatusOK, "GET", "/api/v1/nodes/"+string(h.id), nil, &node)
		v := node.Data.Volumes
		return v != nil && v.Driver == wire.VolumeImage && v.Hard && v.SizeBytes > 0 && v.FreeBytes > 0
	})
	other := h.filed(owner)
	body := h.body(h.loadProbe("stuff", "/app/data/stuff", "then", "idle"), owner, 0)
	body["disk"] = 32
	id, _ := h.begin(body)
	container := p.awaitStatus(id, "running").ContainerID
	full := &filed{host: h, id: id, base: "/api/v1/instances/" + id + "/files"}
	eventually(t, "the disk is full", func() bool {
		var st syscall.Statfs_t
		return syscall.Statfs(filepath.Join(h.dir, "volumes", id, "mount"), &st) == nil && int64(st.Bavail)*st.Bsize <= 1<<20
	})
	text, _ := full.is(http.StatusInsufficientStorage, "PUT", "/content?path=f", make([]byte, 2<<20))
	if !strings.Contains(string(text), "INSUFFICIENT_RESOURCES") || !strings.Contains(string(text), "32 MiB") {
		t.Errorf("a writer is told %s", text)
	}
	other.is(http.StatusOK, "PUT", "/content?path=f", make([]byte, 1<<20))
	if c, there := h.inspect(container); !there || !c.State.Running {
		t.Error("the full instance does not live")
	}
	p.change(id, map[string]any{"disk": 96})
	if d := p.disk(id); !d.Hard || d.Full != (d.LimitBytes == 32<<20) || d.LimitBytes != 96<<20 && d.WantBytes != 96<<20 {
		t.Errorf("its disk is %+v", d)
	}
	if now := p.instance(id); now.Status != "running" || now.ContainerID != container {
		t.Errorf("a larger disk made of it %+v", now)
	}
	p.awaitJob(p.order(id, "stop"), "succeeded")
	eventually(t, "the disk has grown", func() bool { d := p.disk(id); return d.LimitBytes == 96<<20 && d.WantBytes == 0 })
	full.is(http.StatusOK, "PUT", "/content?path=f", make([]byte, 1<<20))
	if c, there := h.inspect(container); !there || c.State.Running {
		t.Error("the container was made anew")
	}
	p.remove(id)
	if _, err := os.Lstat(filepath.Join(h.dir, "volumes", id)); !os.IsNotExist(err) {
		t.Errorf("the volume is still there: %v", err)
	}
}

// A mounted disk outlives kill -9 of the agent, with its container; after a
// reboot, when nothing is mounted, it is mounted before the start.
func TestDisksOutliveTheAgentAndTheNode(t *testing.T) {
	t.Parallel()
	edit := images(t)
	runtimetest.DockerHost(t)
	p := startPanel(t, "")
	h := p.addProcess("a", edit)
	id, container := h.running(h.loadProbe("write", "/app/data/kept", "yes", "then", "idle"), p.user("anna"), 0)
	inside := filepath.Join(h.dir, "volumes", id, "mount", "data")
	h.killAgent()
	eventually(t, "the node is away", func() bool { return !p.app.Fleet.Online(h.id) })
	if text, err := os.ReadFile(filepath.Join(inside, "kept")); err != nil || string(text) != "yes" {
		t.Errorf("without its agent the disk holds %q, %v", text, err)
	}
	h.spawn()
	h.awaitOnline()
	if c, there := h.inspect(container); !there || !c.State.Running {
		t.Error("its container has not outlived it")
	}
	f := &filed{host: h, id: id, base: "/api/v1/instances/" + id + "/files"}
	if text, _ := f.is(http.StatusOK, "GET", "/content?path=kept", nil); string(text) != "yes" {
		t.Errorf("the new agent finds %q", text)
	}
	p.awaitJob(p.order(id, "stop"), "succeeded")
	h.killAgent()
	eventually(t, "the node is away", func() bool { return !p.app.Fleet.Online(h.id) })
	h.unmount()
	if _, err := os.Stat(inside); !os.IsNotExist(err) {
		t.Fatalf("it is still mounted: %v", err)
	}
	if status := h.engineCall("POST", "/containers/"+container+"/start", nil, nil); status < http.StatusBadRequest {
		t.Errorf("a container was started without its disk: %d", status)
	}
	h.spawn()
	h.awaitOnline()
	p.awaitJob(p.order(id, "start"), "succeeded")
	p.awaitStatus(id, "running")
	if text, err := os.ReadFile(filepath.Join(inside, "kept")); err != nil || string(text) != "yes" {
		t.Errorf("after a reboot the disk holds %q, %v", text, err)
	}
}

// A plain directory of before becomes a disk with a limit that holds, with all
// that is in it, before the next start.
func TestConversionOfAVolume(t *testing.T) {
	t.Parallel()
	edit := images(t)
	p, h, owner := setup(t, withSFTP)
	id, container := h.running(h.loadProbe("write", "/app/data/kept", "yes", "then", "idle"), owner, 0)
	user, byKey := p.newLogin(owner)
	if d := p.disk(id); d.Driver != wire.VolumeDirectory || d.Hard || d.LimitBytes != 256<<20 {
		t.Errorf("a plain directory is %+v", d)
	}
	p.must(http.StatusConflict, "POST", "/api/v1/instances/"+id+"/convert-volume", nil, nil)
	h.stop()
	edit(&h.config)
	h.run(nil)
	h.awaitOnline()
	eventually(t, "it can be converted", func() bool { return p.disk(id).Convert })
	var made data[struct{ Job jobView }]
	p.must(http.StatusAccepted, "POST", "/api/v1/instances/"+id+"/convert-volume", nil, &made)
	p.awaitJob(made.Data.Job.ID, "succeeded")
	if now := p.instance(id); now.Status != "running" || now.ContainerID != container {
		t.Errorf("the order alone made of it %+v", now)
	}
	session := p.awaitDoor(id, user, byKey).session(t, byKey)
	if _, err := session.Create("/open"); err != nil { // and it stays open
		t.Fatal(err)
	}
	p.awaitJob(p.order(id, "restart"), "succeeded")
	eventually(t, "it is converted", func() bool { d := p.disk(id); return d.Hard && d.Driver == wire.VolumeImage && !d.Convert })
	eventually(t, "it runs on its new disk", func() bool { now := p.instance(id); return now.Status == "running" && now.ContainerID != container })
	f := &filed{host: h, id: id, base: "/api/v1/instances/" + id + "/files"}
	if text, _ := f.is(http.StatusOK, "GET", "/content?path=kept", nil); string(text) != "yes" {
		t.Errorf("its new disk holds %q", text)
	}
	if _, err := os.Lstat(filepath.Join(h.dir, "volumes", id, "data")); !os.IsNotExist(err) {
		t.Errorf("its old one is still there: %v", err)
	}
	if _, err := session.ReadDir("/"); err == nil {
		t.Error("a session that had a file of the old one open goes on")
	}
}
