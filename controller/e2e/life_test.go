package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/shared/ident"
)

// life is what /api/v1 says of a run.
type life struct {
	Status, Actual, Power, Health string
	ContainerID                   string     `json:"container_id"`
	StartedAt                     *time.Time `json:"started_at"`
	ReadyAt                       *time.Time `json:"ready_at"`
	ExitCode                      *int       `json:"exit_code"`
	OOM                           bool
	Overdue                       bool
	Crashes                       int
	GaveUp                        bool `json:"gave_up"`
	Failure                       *struct{ Message string }
}

func (p *panel) life(id string) life {
	p.t.Helper()
	var v data[life]
	p.must(http.StatusOK, "GET", "/api/v1/instances/"+id, nil, &v)
	return v.Data
}

func (p *panel) awaitLife(id, what string, holds func(l life) bool) life {
	p.t.Helper()
	var l life
	deadline := time.Now().Add(patience)
	for {
		if l = p.life(id); holds(l) {
			return l
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("not within %s: %s; it is %+v", patience, what, l)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// facts are the types of the events about an instance.
func (p *panel) facts(id string) []string {
	p.t.Helper()
	var list data[[]struct{ Type string }]
	p.must(http.StatusOK, "GET", "/api/v1/events?limit=100&instance_id="+id, nil, &list)
	var out []string
	for _, e := range list.Data {
		out = append(out, e.Type)
	}
	return out
}

// on gives the panel and the host of a subtest.
func (h *host) on(t *testing.T) (*panel, *host) {
	p, sub := *h.panel, *h
	p.t, sub.panel = t, &p
	return &p, &sub
}

// made deploys the steps of the probe with more fields of the image, and waits for
// the job.
func (h *host) made(owner string, steps []string, more map[string]any) string {
	h.panel.t.Helper()
	reference := h.loadProbeAs("")
	h.panel.catalogue(reference, steps, more)
	id, job := h.begin(h.body(reference, owner, 0))
	h.panel.awaitJob(job, "succeeded")
	return id
}

// TestTheThreeStops: by a line on stdin, by a signal and as Docker does it; and
// what hears none of them is killed after its grace.
func TestTheThreeStops(t *testing.T) {
	t.Parallel()
	_, h, owner := setup(t)
	for name, tt := range map[string]struct {
		steps []string
		stop  string
		grace int
		code  int
	}{
		"a command":                {[]string{"say", `probe: ready\n`, "then", "answer"}, "stop", 60, 0}, // any signal would end it with another code
		"a signal":                 {[]string{"idle"}, "^SIGUSR1", 60, 50},
		"the image's own":          {[]string{"idle"}, "", 60, 0},
		"what ignores the command": {[]string{"stubborn"}, "stop", 1, 137},
		"what ignores the signal":  {[]string{"stubborn"}, "^C", 1, 137},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, h := h.on(t)
			id := h.made(owner, tt.steps, map[string]any{
				"stop_command": tt.stop, "stop_grace_seconds": tt.grace, "ready_line": "probe: ready", // it hears signals from then on
			})
			container := p.awaitStatus(id, "running").ContainerID
			p.awaitJob(p.order(id, "stop"), "succeeded")
			p.awaitStatus(id, "stopped")
			if c, there := h.inspect(container); !there || c.State.Running || c.State.ExitCode != tt.code {
				t.Errorf("Docker says %+v, want code %d", c, tt.code)
			}
			p.awaitJob(p.order(id, "start"), "succeeded")
			p.awaitStatus(id, "running")
		})
	}
}

// TestReady: by a text, an expression and a health check, on real consoles and a
// real engine.
func TestReady(t *testing.T) {
	t.Parallel()
	_, h, owner := setup(t)
	slow := func(text string) []string {
		return []string{"say", `loading\n`, "then", "wait", "1500", "then", "say", text, "then", "idle"}
	}
	for name, tt := range map[string]struct {
		steps []string
		image map[string]any
	}{
		"a text":             {slow(`[x] \x1b[32mDo\x1b[0mne (1.5s)!\n`), map[string]any{"ready_line": "Done ("}},
		"an expression":      {slow(`listening on :8080\n`), map[string]any{"ready_lines": []string{"nothing of this", `regex:^listening on :\d+$`}}},
		"without a terminal": {slow(`Done (1.5s)!\n`), map[string]any{"ready_line": "Done (", "no_tty": true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, h := h.on(t)
			id := h.made(owner, tt.steps, tt.image)
			first := p.awaitLife(id, "it is ready", func(l life) bool { return l.Status == "running" })
			if took := first.ReadyAt.Sub(*first.StartedAt); took < 1400*time.Millisecond {
				t.Errorf("ready after %s", took)
			}
			if c, there := h.inspect(first.ContainerID); !there || h.engineCall("POST", "/containers/"+c.ID+"/restart?t=0", nil, nil) != http.StatusNoContent {
				t.Fatal("the container can't be restarted by hand")
			}
			again := p.awaitLife(id, "the next run is ready, by its own line", func(l life) bool {
				return l.Status == "running" && !l.StartedAt.Equal(*first.StartedAt)
			})
			if took := again.ReadyAt.Sub(*again.StartedAt); took < 1400*time.Millisecond {
				t.Errorf("the next run was ready after %s", took)
			}
			if facts := p.facts(id); !slices.Contains(facts, "instance.starting") || !slices.Contains(facts, "instance.running") {
				t.Errorf("events: %v", facts)
			}
		})
	}
	t.Run("never", func(t *testing.T) {
		t.Parallel()
		p, h := h.on(t)
		id := h.made(owner, []string{"say", `up\n`, "then", "idle"}, map[string]any{"ready_line": "nothing of this", "start_timeout_seconds": 1})
		l := p.awaitLife(id, "it is overdue", func(l life) bool { return l.Overdue })
		if c, _ := h.inspect(l.ContainerID); l.Status != "starting" || l.ReadyAt != nil || l.Power != "running" || !c.State.Running {
			t.Errorf("it is %+v", l)
		}
		if facts := p.facts(id); !slices.Contains(facts, "instance.overdue") {
			t.Errorf("events: %v", facts)
		}
		p.awaitJob(p.order(id, "stop"), "succeeded") // a start that isn't ready keeps no order away
		p.awaitStatus(id, "stopped")
	})
	t.Run("a health check", func(t *testing.T) {
		t.Parallel()
		p, h := h.on(t)
		reference := h.checked([]string{"CMD", "/probe", "read", "/app/data/well"})
		p.catalogue(reference, []string{"idle"}, nil)
		id, job := h.begin(h.body(reference, owner, 0))
		p.awaitJob(job, "succeeded")
		p.awaitLife(id, "its check says no", func(l life) bool { return l.Status == "starting" && l.Health == "unhealthy" })
		if err := os.WriteFile(filepath.Join(h.volume(id), "well"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		l := p.awaitLife(id, "its check says yes", func(l life) bool { return l.Status == "running" })
		if l.ReadyAt == nil || l.Health != "healthy" {
			t.Errorf("it is %+v", l)
		}
		if err := os.Remove(filepath.Join(h.volume(id), "well")); err != nil {
			t.Fatal(err)
		}
		p.awaitLife(id, "it is shown to be unwell, and runs", func(l life) bool { return l.Status == "running" && l.Health == "unhealthy" })
	})
}

// checked is the probe's image with a health check.
func (h *host) checked(test []string) (reference string) {
	h.panel.t.Helper()
	return h.recast(h.loadProbeAs(""), map[string]any{
		"Entrypoint": []string{"/probe"}, "Healthcheck": map[string]any{"Test": test, "Interval": 200 * time.Millisecond, "Retries": 1},
	})
}

// recast is an image with the files of another and a configuration of its own, in
// Docker's words; it needs an entrypoint.
func (h *host) recast(image string, config map[string]any) (reference string) {
	t := h.panel.t
	t.Helper()
	repository := "berth-test/recast-" + string(ident.NewInstance())
	var box struct{ ID string }
	if status := h.engineCall("POST", "/containers/create", map[string]any{"Image": image, "Cmd": []string{"is never run"}}, &box); status != http.StatusCreated {
		t.Fatalf("create: %d", status)
	}
	defer h.engineCall("DELETE", "/containers/"+box.ID, nil, nil)
	if status := h.engineCall("POST", "/commit?container="+box.ID+"&repo="+repository+"&tag=1", config, nil); status != http.StatusCreated {
		t.Fatalf("commit: %d", status)
	}
	runtimetest.DropImage(t, h.docker, repository+":1")
	return repository + ":1"
}

// TestOneCrashTooMany: it is given up after so many, of errors or of any ends, is
// told apart from want of memory, and a policy changes no container.
func TestOneCrashTooMany(t *testing.T) {
	t.Parallel()
	_, h, owner := setup(t)
	policy := func(fields map[string]any) map[string]any { return map[string]any{"crash_policy": fields} }
	for name, tt := range map[string]struct {
		steps  []string
		policy map[string]any
		code   int
	}{
		"errors":   {[]string{"exit", "3"}, map[string]any{"limit": 2}, 3},
		"any ends": {[]string{"exit", "0"}, map[string]any{"limit": 2, "restart": "always"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, h := h.on(t)
			id := h.made(owner, tt.steps, policy(tt.policy))
			l := p.awaitLife(id, "it is given up", func(l life) bool { return l.GaveUp })
			if l.Status != "crashed" || l.Crashes != 2 || l.ExitCode == nil || *l.ExitCode != tt.code || l.OOM || l.Power != "running" {
				t.Errorf("it is %+v", l)
			}
			if facts := p.facts(id); !slices.Contains(facts, "instance.gave_up") {
				t.Errorf("events: %v", facts)
			}
		})
	}
	t.Run("clean codes and no restart", func(t *testing.T) {
		t.Parallel()
		p, h := h.on(t)
		id := h.made(owner, []string{"exit", "7"}, policy(map[string]any{"clean_codes": []int{7}}))
		if l := p.awaitLife(id, "it has ended", func(l life) bool { return l.ExitCode != nil }); l.Status != "stopped" || l.Crashes != 0 || l.Power != "stopped" {
			t.Errorf("it is %+v", l)
		}
		other := h.made(owner, []string{"hog", "200"}, policy(map[string]any{"restart": "never", "clean_codes": []int{137}}))
		l := p.awaitLife(other, "it has no memory left", func(l life) bool { return l.ExitCode != nil })
		status, crashes := "crashed", 1
		if !l.OOM && runtimetest.BlindToOOM(t, h.docker) { // then it is a kill like others, whose code is clean here
			status, crashes = "stopped", 0
		}
		if l.Status != status || l.Crashes != crashes || l.GaveUp || *l.ExitCode != 137 {
			t.Errorf("it is %+v", l)
		}
	})
	t.Run("a change of the policy", func(t *testing.T) {
		t.Parallel()
		p, h := h.on(t)
		id := h.made(owner, []string{"idle"}, nil)
		before := p.awaitLife(id, "it runs", func(l life) bool { return l.Status == "running" })
		var made data[struct{ Job struct{ ID string } }]
		p.must(http.StatusAccepted, "PATCH", "/api/v1/instances/"+id, policy(map[string]any{"restart": "never"}), &made)
		p.awaitJob(made.Data.Job.ID, "succeeded")
		if after := p.life(id); after.ContainerID != before.ContainerID || !after.StartedAt.Equal(*before.StartedAt) {
			t.Errorf("it was %+v, is %+v", before, after)
		}
		h.engineCall("POST", "/containers/"+before.ContainerID+"/kill?signal=KILL", nil, nil) // by hand: is put right whatever the policy
		p.awaitLife(id, "it runs again", func(l life) bool { return l.Status == "running" && !l.StartedAt.Equal(*before.StartedAt) })
	})
}

// TestReinstall: with its data thrown away, and over it; the agent dies in the
// middle of one.
func TestReinstall(t *testing.T) {
	t.Parallel()
	p, h, owner := setup(t, loopback)
	came, hold := make(chan struct{}, 100), make(chan struct{})
	var files http.HandlerFunc = func(w http.ResponseWriter, r *http.Request) {
		came <- struct{}{}
		if r.URL.Query().Get("hold") != "" {
			select {
			case <-hold:
			case <-r.Context().Done():
				return
			}
		}
		_, _ = w.Write([]byte("downloaded"))
	}
	server := httptest.NewServer(files)
	t.Cleanup(server.Close)
	reference := h.loadProbeAs("")
	p.catalogue(reference, []string{"idle"}, map[string]any{"install": []map[string]string{{"uri": server.URL + "/?hold={{HOLD}}", "path": "server.jar"}}})
	body := h.body(reference, owner, 0)
	body["variables"] = map[string]string{"HOLD": ""}
	id, job := h.begin(body)
	p.awaitJob(job, "succeeded")
	p.awaitStatus(id, "running")
	put := func(name, text string) {
		if err := os.WriteFile(filepath.Join(h.volume(id), name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	holds := func(name string) string {
		text, _ := os.ReadFile(filepath.Join(h.volume(id), name))
		return string(text)
	}
	reinstall := func(wipe bool) (job string) {
		var made data[struct{ Job struct{ ID string } }]
		p.must(http.StatusAccepted, "POST", "/api/v1/instances/"+id+"/reinstall", map[string]bool{"wipe": wipe}, &made)
		return made.Data.Job.ID
	}
	put("world", "mine")
	put("server.jar", "broken")
	p.awaitJob(reinstall(false), "succeeded")
	if p.awaitStatus(id, "running"); holds("world") != "mine" || holds("server.jar") != "downloaded" {
		t.Fatalf("over its data: world %q, server.jar %q", holds("world"), holds("server.jar"))
	}
	var changed data[struct{ Job struct{ ID string } }]
	p.must(http.StatusAccepted, "PATCH", "/api/v1/instances/"+id, map[string]any{"variables": map[string]string{"HOLD": "yes"}}, &changed)
	p.awaitJob(changed.Data.Job.ID, "succeeded")
	for len(came) > 0 {
		<-came
	}
	job = reinstall(true)
	select {
	case <-came:
	case <-time.After(patience):
		t.Fatal("nobody downloads")
	}
	h.stop()
	close(hold)
	h.run(nil)
	p.awaitJob(job, "succeeded")
	if p.awaitStatus(id, "running"); holds("world") != "" || holds("server.jar") != "downloaded" {
		t.Errorf("from nothing: world %q, server.jar %q", holds("world"), holds("server.jar"))
	}
	if n := len(h.containers()); n != 1 {
		t.Errorf("%d containers", n)
	}
	if status, text := p.raw(adminKey, "POST", "/api/v1/instances/"+id+"/reinstall", `{"wipe":"yes"}`); status != http.StatusUnprocessableEntity && status != http.StatusBadRequest {
		t.Errorf("nonsense: %d %s", status, text)
	}
}

// TestBadReadyLines: what is no expression, or no line, is refused with its field.
func TestBadReadyLines(t *testing.T) {
	t.Parallel()
	p := startPanel(t, "")
	for field, more := range map[string]map[string]any{
		"ready_line":     {"ready_line": "regex:("},
		"ready_lines[0]": {"ready_lines": []string{strings.Repeat("x", 513)}},
	} {
		fields := map[string]any{"name": "bad", "references": []string{"bad:1"}}
		for k, v := range more {
			fields[k] = v
		}
		status, text := p.raw(adminKey, "POST", "/api/v1/images", fields)
		var answer struct {
			Error struct{ Details []struct{ Field string } }
		}
		if err := json.Unmarshal(text, &answer); err != nil || status != http.StatusUnprocessableEntity || len(answer.Error.Details) != 1 || answer.Error.Details[0].Field != field {
			t.Errorf("%s: %d %s", field, status, text)
		}
	}
}
