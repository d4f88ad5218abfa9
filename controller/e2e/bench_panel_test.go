package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// What the pages are measured on. What is measured, and against what, is in
// web/journeys/bench.mjs, beside the journeys that go the same ways.
const (
	panelInstances = 10_000
	panelBursts    = 3
	panelBurst     = 50_000 // lines
)

// BenchmarkPanel measures the panel in a browser: how soon its first page can be
// used, how a list of 10,000 instances scrolls, and what a burst of 50,000 lines
// does to the page that shows it. Controllers and agent are processes, the
// container is Docker's, the browser is Chromium without a window.
func BenchmarkPanel(b *testing.B) {
	large := startPopulated(b, panelInstances)
	p := startPrograms(b)
	h := p.addProgramHost(4096)
	id, job := h.begin(h.body(h.loadProbe("burst", fmt.Sprint(panelBurst)), p.user("anna"), 0))
	p.awaitJob(job, "succeeded")
	p.awaitStatus(id, "running")
	list := map[string]any{"url": large.url, "username": "admin", "password": adminPassword, "instances": panelInstances}
	console := map[string]any{"url": p.url, "username": "admin", "password": adminPassword, "instance": id, "bursts": panelBursts, "lines": panelBurst}
	for _, part := range []struct {
		name string
		on   map[string]any
	}{{"pages", list}, {"list", list}, {"console", console}} { // each by itself: go test shows ten lines of one
		b.Run(part.name, func(b *testing.B) {
			browse(b, part.name, part.on)
			b.ReportMetric(0, "ns/op")
		})
	}
	p.must(http.StatusCreated, "DELETE", "/api/instance/delete", map[string]string{"id": id}, nil)
}

// browse has the browser measure, and prints each figure that it says as ours are.
func browse(b *testing.B, part string, on map[string]any) {
	b.Helper()
	task, err := json.Marshal(map[string]any{"part": part, "on": on})
	if err != nil {
		b.Fatal(err)
	}
	c := exec.CommandContext(b.Context(), "../../deploy/web.sh", "bench")
	c.Env = append(os.Environ(), "BERTH_BENCH="+string(task))
	var wrong strings.Builder
	c.Stderr = &wrong
	out, err := c.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	figures := 0
	for in := bufio.NewScanner(out); in.Scan(); {
		var said struct {
			Note   string
			What   string
			Found  float64
			Bound  string
			Target float64
		}
		if err := json.Unmarshal(in.Bytes(), &said); err != nil {
			b.Errorf("the browser's side said %q: %v", in.Text(), err)
			continue
		}
		if said.What == "" {
			b.Log(said.Note)
			continue
		}
		figures++
		figure(b, said.What, said.Found, said.Bound, said.Target)
	}
	if err := c.Wait(); err != nil || figures == 0 {
		b.Fatalf("%d figures, %v\n%s", figures, err, wrong.String())
	}
}
