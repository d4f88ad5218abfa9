package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/berth-panel/berth/shared/problem"
)

// TestInstallScript: it fails with its exit code and its last words, is tried again
// with another variable, and its output is in the job's log without the secret in
// it; so it is when the instance is installed again, over what it holds.
func TestInstallScript(t *testing.T) {
	t.Parallel()
	p, h, owner := setup(t)
	reference := h.loadProbeAs("1000:1000")
	tools := h.loadProbeAs("")
	p.catalogue(reference, []string{"idle"}, map[string]any{
		"script": map[string]any{
			"image": tools, "entrypoint": `/probe say begun\r\n then env /mnt/server/env then read /mnt/install/install.sh then read`, "text": "a line\r\n",
		},
		"variables": []map[string]any{{"name": "TOKEN", "secret": true, "default": "line"}, {"name": "VERSION", "default": "1"}},
	})
	logged := func(job string) string {
		t.Helper()
		var lines data[[]struct{ Text string }]
		p.must(http.StatusOK, "GET", "/api/v1/jobs/"+job+"/logs?limit=500", nil, &lines)
		texts := make([]string, 0, len(lines.Data))
		for _, l := range lines.Data {
			texts = append(texts, l.Text)
		}
		return strings.Join(texts, "\n")
	}
	id, job := h.begin(h.body(reference, owner, 0))
	p.awaitJob(job, "succeeded")
	p.awaitStatus(id, "running")
	if text := logged(job); !strings.Contains(text, "\nbegun\na ******\na ******") || strings.Contains(text, "a line") {
		t.Errorf("the job's log is\n%s", text)
	}
	if text, err := os.ReadFile(filepath.Join(h.volume(id), "env")); err != nil || !strings.Contains(string(text), "VERSION=1") {
		t.Errorf("its variables were %q, %v", text, err)
	}
	var st syscall.Stat_t
	if err := syscall.Lstat(filepath.Join(h.volume(id), "env"), &st); err != nil || os.Geteuid() == 0 && st.Uid != 1000 {
		t.Errorf("what it made belongs to %d, %v", st.Uid, err)
	}

	var made data[struct{ Job struct{ ID string } }]
	if err := os.Mkdir(filepath.Join(h.volume(id), "world"), 0o700); err != nil {
		t.Fatal(err)
	}
	p.must(http.StatusAccepted, "POST", "/api/v1/instances/"+id+"/reinstall", map[string]bool{"wipe": false}, &made)
	p.awaitJob(made.Data.Job.ID, "succeeded")
	p.awaitStatus(id, "running")
	if text := logged(made.Data.Job.ID); !strings.Contains(text, "\nbegun\n") {
		t.Errorf("installed again, the job's log is\n%s", text)
	}
	if _, err := os.Stat(filepath.Join(h.volume(id), "world")); err != nil {
		t.Errorf("what it held is gone: %v", err)
	}
}

func TestInstallScriptThatFails(t *testing.T) {
	t.Parallel()
	p, h, owner := setup(t)
	reference := h.loadProbeAs("")
	p.catalogue(reference, []string{"idle"}, map[string]any{
		"script": map[string]any{"image": reference, "entrypoint": `/probe cry no-such-version\r\n then exit 4 then read`, "text": "x"},
	})
	id, job := h.begin(h.body(reference, owner, 0))
	const want = "the install script ended with exit code 4; it printed last: no-such-version"
	if failed := p.awaitJob(job, "failed"); failed.Failure == nil || failed.Failure.Code != string(problem.Conflict) || failed.Failure.Message != want {
		t.Fatalf("it failed with %+v", failed.Failure)
	}
	if failed := p.awaitJob(p.order(id, "start"), "failed"); failed.Failure == nil || failed.Failure.Message != want {
		t.Fatalf("tried again, it failed with %+v", failed.Failure)
	}
	if n := len(h.containers()); n != 1 {
		t.Errorf("%d containers", n)
	}
	p.remove(id)
	p.awaitGone(id)
	if n := len(h.containers()); n != 0 {
		t.Errorf("%d containers are left", n)
	}
}
