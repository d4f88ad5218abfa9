package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/controller/app"
)

// mortal is a controller as a process, for killing.
type mortal struct {
	*panel
	process *exec.Cmd
	input   *os.File // its end ends the process
}

func startMortal(t *testing.T, dir string) *mortal {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self)
	c.Env, c.Stdin, c.Stderr = append(os.Environ(), envPanel+"="+dir), read, testWriter{t}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	_ = read.Close()
	m := &mortal{panel: &panel{t: t, data: dir}, process: c, input: write}
	t.Cleanup(m.kill)
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the controller did not start: %v", err)
	}
	m.url = strings.TrimSpace(url)
	return m
}

// kill is kill -9.
func (m *mortal) kill() {
	_ = m.process.Process.Kill()
	_ = m.process.Wait()
	_ = m.input.Close()
}

// answered are the names whose making was answered with a 2xx.
type answered struct {
	mu    sync.Mutex
	names []string
}

func (a *answered) add(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.names = append(a.names, name)
}

func (a *answered) all() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.names)
}

// write makes join keys from several sides until calls fail.
func (m *mortal) write(round int, done *answered) (wait func()) {
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			client := http.Client{Timeout: patience, Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for n := 0; ; n++ {
				name := fmt.Sprintf("key %d-%d-%d", round, w, n)
				req, err := http.NewRequest(http.MethodPost, m.url+"/api/v1/join-keys", strings.NewReader(fmt.Sprintf(`{"name":%q}`, name)))
				if err != nil {
					m.t.Error(err)
					return
				}
				req.Header.Set("x-api-key", adminKey)
				req.Header.Set("Content-Type", "application/json")
				res, err := client.Do(req)
				if err != nil {
					return // it was killed
				}
				_ = res.Body.Close()
				if res.StatusCode != http.StatusCreated {
					m.t.Errorf("%s: %d", name, res.StatusCode)
					return
				}
				done.add(name)
			}
		})
	}
	return writers.Wait
}

func (m *mortal) keys() map[string]bool {
	m.t.Helper()
	out := map[string]bool{}
	for page := 1; ; page++ {
		var keys data[[]struct{ Name string }]
		m.must(http.StatusOK, "GET", fmt.Sprintf("/api/v1/join-keys?limit=500&page=%d", page), nil, &keys)
		for _, k := range keys.Data {
			out[k.Name] = true
		}
		if len(keys.Data) < 500 {
			return out
		}
	}
}

// missing checks that every name is there.
func (m *mortal) missing(names []string) {
	m.t.Helper()
	there := m.keys()
	for _, name := range names {
		if !there[name] {
			m.t.Errorf("%s was answered with a 201 and is gone", name)
		}
	}
}

// A controller that is killed with -9 while it is written to, again and again,
// has everything that it answered; and a backup that was made by another process
// in the middle of that has everything that was answered before it.
func TestNothingAnsweredIsLost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var done answered
	for round := range 3 {
		m := startMortal(t, dir)
		m.missing(done.all())
		before := len(done.all())
		wait := m.write(round, &done)
		eventually(t, "keys are made", func() bool { return len(done.all()) > before+100 })
		names := done.all()
		file := filepath.Join(t.TempDir(), "backup.tar.gz")
		if _, err := app.Backup(t.Context(), dir, file, time.Now); err != nil {
			t.Fatal(err)
		}
		eventually(t, "more keys are made", func() bool { return len(done.all()) > len(names) })
		m.kill()
		wait()
		restored := t.TempDir()
		if _, err := app.Restore(t.Context(), file, restored, time.Now); err != nil {
			t.Fatal(err)
		}
		r := startMortal(t, restored)
		r.missing(names)
		r.kill()
	}
	m := startMortal(t, dir)
	m.missing(done.all())
	t.Logf("%d answers", len(done.all()))
}

// A controller that was put back to a backup and agents that have lived on agree
// again: what the backup knows is as it says, what it doesn't know is left alone.
func TestRestoredControllerAndLivingAgents(t *testing.T) {
	t.Parallel()
	p, h, owner := setup(t)
	image := h.loadProbe("serve", "8080")
	port := runtimetest.FreePort(t)
	id, container := h.running(image, owner, port)
	file := filepath.Join(t.TempDir(), "backup.tar.gz")
	if _, err := app.Backup(t.Context(), p.data, file, time.Now); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"stop", "start", "stop"} { // the agent's generation is now ahead of the backup's
		p.order(id, verb)
		p.awaitStatus(id, map[string]string{"stop": "stopped", "start": "running"}[verb])
	}
	later, laterContainer := h.running(image, owner, runtimetest.FreePort(t))
	p = h.restartPanel(func() {
		if _, err := app.Restore(t.Context(), file, p.data, time.Now); err != nil {
			t.Fatal(err)
		}
	})
	h.awaitOnline()
	p.awaitIdle()                // the backup says running too: what counts is what the node was told
	p.awaitStatus(id, "running") // as it was wanted at the time of the backup
	eventually(t, "the container runs", func() bool { c, there := h.inspect(container); return there && c.State.Running })
	runtimetest.Echoes(t, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if c, there := h.inspect(laterContainer); !there || !c.State.Running {
		t.Error("an instance that the backup doesn't know was touched")
	}
	if status := p.status("GET", "/api/v1/instances/"+later, nil); status != http.StatusNotFound {
		t.Errorf("the backup knows what came after it: %d", status)
	}
	// And orders are obeyed, once the node has been brought to what the backup says.
	eventually(t, "an order is taken", func() bool { return p.status("POST", "/api/v1/instances/"+id+"/restart", nil) == http.StatusAccepted })
	p.awaitIdle()
	p.awaitStatus(id, "running")
	another, _ := h.running(image, owner, runtimetest.FreePort(t))
	p.remove(another)
}
