package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/berth-panel/berth/agent/runtime/runtimetest"
)

// stray is what a node holds beside its instances.
type stray struct {
	InstanceID  string `json:"instance_id"`
	Actual      string
	ContainerID string `json:"container_id"`
}

func (h *host) strays() []stray {
	h.panel.t.Helper()
	var list data[[]stray]
	h.panel.must(http.StatusOK, "GET", "/api/v1/nodes/"+string(h.id)+"/strays", nil, &list)
	return list.Data
}

// copyDatabase runs the panel again, and gives its database as it was between.
func (h *host) copyDatabase() (database []byte) {
	h.panel.t.Helper()
	h.restartPanel(func() {
		var err error
		if database, err = os.ReadFile(filepath.Join(h.panel.data, "berth.db")); err != nil {
			h.panel.t.Fatal(err)
		}
	})
	return database
}

// putBack gives the panel an older database.
func (h *host) putBack(database []byte) *panel {
	h.panel.t.Helper()
	path := filepath.Join(h.panel.data, "berth.db")
	return h.restartPanel(func() {
		if err := os.WriteFile(path, database, 0o600); err != nil {
			h.panel.t.Fatal(err)
		}
		for _, more := range []string{"-wal", "-shm"} {
			if err := os.Remove(path + more); err != nil && !errors.Is(err, fs.ErrNotExist) {
				h.panel.t.Fatal(err)
			}
		}
	})
}

// An old copy of the database is put back. What was deployed after it runs on
// untouched as a stray, and can be adopted or removed; what the copy knows is as
// it was.
func TestOldDatabaseIsPutBack(t *testing.T) {
	t.Parallel()
	_, h, owner := setup(t)
	reference := h.loadProbe("write", "/app/data/kept", "yes", "then", "serve", "8080")
	first := runtimetest.FreePort(t)
	known, container := h.running(reference, owner, first)

	old := h.copyDatabase()
	h.awaitOnline()
	second := runtimetest.FreePort(t)
	adopted, adoptedBox := h.running(reference, owner, second)
	removed, removedBox := h.running(reference, owner, 0)

	p := h.putBack(old)
	h.awaitOnline()
	eventually(t, "both are strays", func() bool { return len(h.strays()) == 2 })
	p.awaitStatus(known, "running")
	for _, s := range h.strays() {
		if box := map[string]string{adopted: adoptedBox, removed: removedBox}[s.InstanceID]; box == "" || s.ContainerID != box || s.Actual != "running" {
			t.Errorf("%+v", s)
		}
	}
	runtimetest.Echoes(t, "tcp", fmt.Sprintf("127.0.0.1:%d", second))
	started := h.startedAt(adoptedBox)

	base := "/api/v1/nodes/" + string(h.id) + "/strays/"
	var made data[struct{ Job struct{ ID string } }]
	p.must(http.StatusAccepted, "POST", base+adopted+"/adopt", map[string]any{"owner_id": owner, "name": "back"}, &made)
	p.awaitJob(made.Data.Job.ID, "succeeded")
	if v := p.awaitStatus(adopted, "running"); v.ContainerID != adoptedBox || h.startedAt(adoptedBox) != started {
		t.Errorf("the container was touched: %+v, started %s, before %s", v, h.startedAt(adoptedBox), started)
	}
	if i, status := p.classic(adopted); status != http.StatusOK || i.Ports != mapping(8080, second) || i.Memory != 64 {
		t.Errorf("%d %+v", status, i)
	}
	p.awaitJob(p.order(adopted, "restart"), "succeeded")
	runtimetest.Echoes(t, "tcp", fmt.Sprintf("127.0.0.1:%d", second))

	var job data[struct{ ID string }]
	p.must(http.StatusAccepted, "POST", base+removed+"/remove", map[string]string{"confirm": removed}, &job)
	p.awaitJob(job.Data.ID, "succeeded")
	if _, there := h.inspect(removedBox); there || len(h.strays()) != 0 {
		t.Errorf("the container is there: %v, strays %+v", there, h.strays())
	}
	if v := p.instance(known); v.Status != "running" || v.ContainerID != container {
		t.Errorf("%+v, was %s", v, container)
	}
	p.remove(adopted)
}

// Orders that wait for their node while an older database is put back are carried
// out, though the node has seen their numbers: as many orders since (of the one that
// is suspended), or more (of the one that is deleted).
func TestOrdersAfterAnOldDatabase(t *testing.T) {
	t.Parallel()
	_, h, owner := setup(t)
	reference := h.loadProbe("serve", "8080")
	suspended, suspendedBox := h.running(reference, owner, 0)
	deleted, deletedBox := h.running(reference, owner, 0)
	left, leftBox := h.running(reference, owner, 0)
	old := h.copyDatabase()
	h.awaitOnline()
	for _, id := range []string{suspended, deleted, deleted, left} {
		h.panel.awaitJob(h.panel.order(id, "restart"), "succeeded")
	}
	started := h.startedAt(leftBox)
	h.stop()
	p := h.putBack(old)
	suspend := p.order(suspended, "suspend")
	p.must(http.StatusAccepted, "DELETE", "/api/v1/instances/"+deleted, nil, nil)
	h.run(nil)
	h.awaitOnline()
	p.awaitJob(suspend, "succeeded")
	if c, there := h.inspect(suspendedBox); !there || c.State.Running {
		t.Errorf("what is suspended is there: %v, %+v", there, c)
	}
	p.awaitGone(deleted)
	if _, there := h.inspect(deletedBox); there {
		t.Error("the container of what was deleted is there")
	}
	p.awaitIdle()
	if v := p.instance(left); v.Status != "running" || h.startedAt(leftBox) != started {
		t.Errorf("what nobody ordered anything of is %+v, started %s, before %s", v, h.startedAt(leftBox), started)
	}
}

// A stray of which only the container is left, since the agent's journal was lost
// too, can be removed but not adopted.
func TestStrayWithoutItsJournal(t *testing.T) {
	t.Parallel()
	p, h, owner := setup(t)
	id, box := h.running(h.loadProbe("serve", "8080"), owner, 0)
	h.stop()
	p.must(http.StatusAccepted, "DELETE", "/api/v1/instances/"+id+"?forget=true", nil, nil)
	if err := os.Remove(filepath.Join(h.dir, "journal.db")); err != nil {
		t.Fatal(err)
	}
	h.run(nil)
	h.awaitOnline()
	eventually(t, "it is a stray", func() bool { return len(h.strays()) == 1 })
	base := "/api/v1/nodes/" + string(h.id) + "/strays/" + id
	if status := p.status("POST", base+"/adopt", map[string]any{"owner_id": owner}); status != http.StatusConflict {
		t.Errorf("adopting it answers %d", status)
	}
	if c, there := h.inspect(box); !there || !c.State.Running {
		t.Errorf("it was not left alone: %v %+v", there, c)
	}
	var job data[struct{ ID string }]
	p.must(http.StatusAccepted, "POST", base+"/remove", map[string]string{"confirm": id}, &job)
	p.awaitJob(job.Data.ID, "succeeded")
	if _, there := h.inspect(box); there || len(h.strays()) != 0 {
		t.Errorf("the container is there: %v, strays %+v", there, h.strays())
	}
}

// startedAt asks Docker when a container was started.
func (h *host) startedAt(container string) string {
	h.panel.t.Helper()
	var c struct{ State struct{ StartedAt string } }
	if status := h.engineCall("GET", "/containers/"+container+"/json", nil, &c); status != http.StatusOK {
		h.panel.t.Fatalf("Docker answers %d", status)
	}
	return c.State.StartedAt
}
