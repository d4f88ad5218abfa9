package e2e

import (
	"bytes"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/shared/ident"
)

// checked is what POST /registries/{id}/check answers.
type checked struct{ Status, Message string }

func (p *panel) check(id string) checked {
	p.t.Helper()
	var got data[checked]
	p.must(http.StatusOK, "POST", "/api/v1/registries/"+id+"/check", nil, &got)
	return got.Data
}

// A private registry refuses, is let in by an admin, and goes on to serve a node
// whose controller is away; its password is nowhere that it needn't be.
func TestPrivateRegistry(t *testing.T) {
	t.Parallel()
	const word = "hush-hush-4711"
	p, h, owner := setup(t)
	registry := runtimetest.NewPrivate(t, runtime.Login{Username: "anna", Password: word})
	repository := "team/game-" + string(ident.NewInstance())
	reference := registry.PushProbe(t, h.docker, repository)
	p.catalogue(reference, []string{"idle"}, nil)

	id, job := h.begin(h.body(reference, owner, 0))
	if failed := p.awaitJob(job, "failed"); failed.Failure == nil || failed.Failure.Code != "FORBIDDEN" || !strings.Contains(failed.Failure.Message, "registry "+registry.Address) || !strings.Contains(failed.Failure.Message, "needs a login, which an admin adds") {
		t.Fatalf("without a login: %+v", failed.Failure)
	}
	var made data[struct{ ID string }]
	p.must(http.StatusCreated, "POST", "/api/v1/registries", map[string]any{"host": registry.Address, "username": "anna", "password": "wr0ng"}, &made)
	if got := p.check(made.Data.ID); got.Status != "refused" || !strings.Contains(got.Message, "wrong user name or password") {
		t.Fatalf("a wrong password: %+v", got)
	}
	if failed := p.awaitJob(p.order(id, "start"), "failed"); failed.Failure == nil || failed.Failure.Code != "FORBIDDEN" || !strings.Contains(failed.Failure.Message, "to user anna") {
		t.Fatalf("with a wrong login: %+v", failed.Failure)
	}
	p.must(http.StatusOK, "PATCH", "/api/v1/registries/"+made.Data.ID, map[string]any{"password": word}, nil)
	if got := p.check(made.Data.ID); got.Status != "ok" {
		t.Fatalf("the right password: %+v", got)
	}
	p.awaitJob(p.order(id, "start"), "succeeded") // at once: the node is told before it is ordered
	first := p.awaitStatus(id, "running").ContainerID

	h.awayAndGone(first, reference)
	second := p.again(h, id, first)
	p.awaitJob(p.order(id, "restart"), "succeeded") // and so the new controller has told the node
	if status, list := p.raw(adminKey, "GET", "/api/v1/registries", nil); status != http.StatusOK || bytes.Contains(list, []byte(word)) || !bytes.Contains(list, []byte(registry.Address)) {
		t.Errorf("the list: %d %s", status, list)
	}
	nowhere(t, word, p.data, h.dir)

	p.must(http.StatusOK, "DELETE", "/api/v1/registries/"+made.Data.ID, nil, nil)
	other := registry.PushProbe(t, h.docker, repository+"-other")
	p.catalogue(other, []string{"idle"}, nil)
	_, job = h.begin(h.body(other, owner, 0)) // at once: the node is told before it is ordered
	p.awaitJob(job, "failed")
	if now := p.awaitStatus(id, "running").ContainerID; now != second {
		t.Errorf("the running container was replaced: %s, %s", second, now)
	}
}

// awayAndGone ends the controller and the agent, takes container and image away by
// hand, and lets the agent come back alone.
func (h *host) awayAndGone(container, reference string) {
	t := h.panel.t
	t.Helper()
	h.restartPanel(func() {
		h.stop()
		for _, path := range []string{"/containers/" + container + "?force=1", "/images/" + reference + "?force=1"} {
			if status := h.engineCall("DELETE", path, nil, nil); status >= 300 {
				t.Fatalf("DELETE %s: %d", path, status)
			}
		}
		h.run(nil)
		engine := h.engine()
		eventually(t, "the agent has fetched the image by itself", func() bool {
			_, err := engine.Image(t.Context(), reference)
			return err == nil
		})
	})
}

// again waits until an instance runs in another container.
func (p *panel) again(h *host, id, before string) (container string) {
	p.t.Helper()
	*p = *h.panel
	eventually(p.t, "it runs in a new container", func() bool {
		v := p.instance(id)
		container = v.ContainerID
		return v.Status == "running" && container != "" && container != before
	})
	return container
}

// nowhere fails the test if a file beneath the folders holds the text, but for the
// agent's journal, which only its user may read.
func nowhere(t *testing.T, text string, folders ...string) {
	t.Helper()
	journals := 0
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil //nolint:nilerr // what goes away meanwhile holds nothing
			}
			content, err := os.ReadFile(path)
			if err != nil || !bytes.Contains(content, []byte(text)) {
				return nil //nolint:nilerr // likewise
			}
			info, err := d.Info()
			if d.Name() != "journal.db" || err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s is in %s (%v)", text, path, info.Mode())
			}
			journals++
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	if journals == 0 {
		t.Error("it is not even in the journal: this test looks in the wrong places")
	}
}
