package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/controller/cli"
)

// realPackages are what TestRealServers runs.
var realPackages = []string{"nginx-light", "redis-server", "postgresql", "minetest-server", "mumble-server", "nodejs"}

// realEgg is an egg of testdata/eggs, and what somebody who deploys it does and sees.
type realEgg struct {
	file      string
	port      uint16 // in the container; neither its package's nor its script's
	variables map[string]string
	installed string                  // is printed by its script
	ready     string                  // is printed when it is ready
	answers   string                  // is in what its client reads
	change    map[string]string       // of the variables, while it is stopped
	then      string                  // is in what its client reads from then on
	makes     string                  // a file that it makes itself
	ended     string                  // is printed when it was told to stop
	ask       func(realClient) string // its client
}

func realEggs() map[string]realEgg {
	const hostile = `two "words", $(id) & {{SITE}}`
	return map[string]realEgg{
		"nginx": {
			file: "nginx.json", port: 8088, ask: realClient.http,
			variables: map[string]string{"GREETING": "Moin $1"}, installed: "laying out the pages of Moin $1", ready: "start worker processes", answers: "<h1>Moin $1</h1>",
			change: map[string]string{"GREETING": "Servus"}, then: "<h1>Servus</h1>", makes: "nginx.pid", ended: "signal 2 (SIGINT) received",
		},
		"redis": {
			file: "redis.yaml", port: 6380, ask: realClient.redis,
			variables: map[string]string{"PASSWORD": "two words"}, installed: "the store has 16 databases", ready: "Ready to accept connections", answers: "-ERR DB index is out of range",
			change: map[string]string{"DATABASES": "32"}, then: "+OK", makes: "appendonlydir", ended: "bye bye",
		},
		"postgresql": {
			file: "postgresql.json", port: 5433, ask: realClient.postgres,
			variables: map[string]string{"PASSWORD": postgresPassword, "CLUSTER": "harbour"}, installed: "the cluster is there", ready: "ready to accept connections", answers: "harbour 4MB",
			change: map[string]string{"WORK_MEM": "7"}, then: "harbour 7MB", makes: "data/postmaster.pid", ended: "database system is shut down",
		},
		"minetest": {
			file: "minetest.json", port: 30001, ask: realClient.minetest,
			variables: map[string]string{"WORLD": "quay"}, installed: "the world quay may begin", ready: "listening on", answers: "a peer",
			change: map[string]string{"WORLD": "pier"}, then: "a peer", makes: "worlds/pier/world.mt", ended: "shutting down",
		},
		"mumble": {
			file: "mumble.json", port: 64739, ask: realClient.mumble,
			variables: map[string]string{"WELCOME": "Ahoy, all"}, installed: "the room for 10 is ready", ready: "Server listening on", answers: "Ahoy, all",
			change: map[string]string{"WELCOME": "Good night"}, then: "Good night", makes: "murmur.sqlite", ended: "Shutting down",
		},
		"node": {
			file: "node.yaml", port: 3001, ask: realClient.http,
			variables: map[string]string{"GREETING": hostile}, installed: "the app of Harbour is written", ready: "the site listens on 3001", answers: "Harbour: " + hostile,
			change: map[string]string{"SITE": "Quay"}, then: "Quay: " + hostile, makes: "visits.log", ended: "the site closes",
		},
	}
}

// playEggs takes the eggs in and lives with an instance of each.
func (h *host) playEggs(t *testing.T, base, root, owner string) {
	reference := h.recast(base, map[string]any{"User": "container", "Entrypoint": []string{"/entrypoint.sh"}, "Env": []string{
		"HOME=/home/container", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/games:" + postgresBin(t, root)}})
	images := h.panel.takeEggs(t, reference)
	for name, egg := range realEggs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, h := h.on(t)
			port := runtimetest.FreePort(t)
			id, job := h.begin(map[string]any{"name": name, "owner_id": owner, "node_id": h.id, "image_id": images[egg.file], "memory": 256, "cpu": 1, "disk": 1024,
				"variables": egg.variables, "ports": []map[string]any{{"container": egg.port, "host": port}}})
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("its console:\n%s", p.console(id))
				}
			})
			egg.live(t, h, id, job, realClient{t, root, port})
		})
	}
}

// live follows an instance from its installation on: it is reached, stopped,
// changed, started, installed again over its data and from nothing, and stopped.
func (e realEgg) live(t *testing.T, h *host, id, job string, client realClient) {
	p := h.panel
	console := p.view(adminKey, id, "?after=0")
	console.sees(e.installed)
	console.sees(e.ready)
	p.awaitJob(job, "succeeded")
	if text := p.jobLog(job); !strings.Contains(text, e.installed) {
		t.Errorf("the installation's log lacks %q:\n%s", e.installed, text)
	}
	p.readied(id)
	client.reads(e.ask, e.answers)
	job = p.order(id, "stop")
	console.sees(e.ended)
	p.awaitJob(job, "succeeded")
	h.endedWell(id)

	p.ordered("PATCH", "/api/v1/instances/"+id, map[string]any{"variables": e.change})
	p.awaitJob(p.order(id, "start"), "succeeded")
	p.readied(id)
	client.reads(e.ask, e.then)
	h.has(id, e.makes, true)

	const own = "mine"
	if err := os.WriteFile(filepath.Join(h.volume(id), own), []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, wipe := range []bool{false, true} {
		p.ordered("POST", "/api/v1/instances/"+id+"/reinstall", map[string]bool{"wipe": wipe})
		p.readied(id)
		client.reads(e.ask, e.then)
		h.has(id, e.makes, true)
		h.has(id, own, !wipe)
	}
	p.awaitJob(p.order(id, "stop"), "succeeded")
	h.endedWell(id)
}

// takeEggs imports the eggs from the command line, as they are but for the image
// that they name, and gives their images' ids.
func (p *panel) takeEggs(t *testing.T, reference string) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/eggs/*")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err == nil {
			text = bytes.ReplaceAll(text, []byte("berth.example/programs:1"), []byte(reference))
			err = os.WriteFile(filepath.Join(dir, filepath.Base(f)), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var out, errs bytes.Buffer
	code := cli.Run(t.Context(), []string{"image", "import", dir, "--json", "--data", p.data}, &out, &errs)
	var report []struct {
		File, Status string
		ImageID      string `json:"image_id"`
	}
	if err := json.Unmarshal(out.Bytes(), &report); code != 0 || err != nil {
		t.Fatalf("image import: code %d, %v: %s%s", code, err, &out, &errs)
	}
	images := map[string]string{}
	for _, r := range report {
		images[filepath.Base(r.File)] = r.ImageID
	}
	if len(images) != len(realEggs()) {
		t.Fatalf("imported: %s", &out)
	}
	return images
}

// readied waits until the instance's ready line was seen.
func (p *panel) readied(id string) {
	p.t.Helper()
	l := p.awaitLife(id, "it is ready", func(l life) bool {
		if l.GaveUp {
			p.t.Fatalf("it is given up: %+v", l)
		}
		return l.Status == "running"
	})
	if l.ReadyAt == nil || l.Overdue {
		p.t.Errorf("it runs without being ready: %+v", l)
	}
}

// endedWell wants an instance that ended by itself when it was told to.
func (h *host) endedWell(id string) {
	h.panel.t.Helper()
	h.panel.awaitStatus(id, "stopped")
	l := h.panel.life(id)
	if c, there := h.inspect(l.ContainerID); !there || c.State.Running || c.State.ExitCode != 0 || l.Crashes != 0 {
		h.panel.t.Errorf("stopped, it is %+v, Docker says %+v", l, c)
	}
}

// has wants a file in the instance's volume, or wants it not there.
func (h *host) has(id, name string, want bool) {
	h.panel.t.Helper()
	_, err := os.Stat(filepath.Join(h.volume(id), name))
	if there := err == nil; there != want || err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.panel.t.Errorf("%s in its volume: %v", name, err)
	}
}

// ordered asks for something and waits until its job is done.
func (p *panel) ordered(method, path string, body any) {
	p.t.Helper()
	var made data[struct{ Job struct{ ID string } }]
	p.must(http.StatusAccepted, method, path, body, &made)
	p.awaitJob(made.Data.Job.ID, "succeeded")
}

// jobLog is what a job wrote down.
func (p *panel) jobLog(job string) string {
	p.t.Helper()
	var lines data[[]struct{ Text string }]
	p.must(http.StatusOK, "GET", "/api/v1/jobs/"+job+"/logs?limit=500", nil, &lines)
	var b strings.Builder
	for _, l := range lines.Data {
		b.WriteString(l.Text + "\n")
	}
	return b.String()
}

// console is what an instance printed.
func (p *panel) console(id string) string {
	_, text := p.raw(adminKey, "GET", "/api/v1/instances/"+id+"/console/lines", nil)
	return string(text)
}
