package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/controller/app"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/release"
	"github.com/berth-panel/berth/shared/ident"
)

// builds are programs of the agent that tests share, by what they are called.
var builds = struct {
	sync.Mutex
	done map[string][]byte
}{done: map[string][]byte{}}

// built compiles the agent as a release; a mode makes it a bad one.
func built(t *testing.T, version, mode string) []byte {
	t.Helper()
	builds.Lock()
	defer builds.Unlock()
	name := version + mode
	if program, ok := builds.done[name]; ok {
		return program
	}
	flags, pkg := "-s -w -X github.com/berth-panel/berth/shared/build.Version="+version, "../../agent"
	if mode != "" {
		flags, pkg = flags+" -X main.mode="+mode, "./testdata/agent"
	}
	out := filepath.Join(t.TempDir(), "agent")
	c := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", flags, "-o", out, pkg)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := c.CombinedOutput(); err != nil {
		t.Fatalf("build the agent: %v\n%s", err, said)
	}
	program, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	builds.done[name] = program
	return program
}

// programs are what a controller hands out; both kinds of machine get the same.
func programs(t *testing.T, version string, program []byte) *release.Programs {
	t.Helper()
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(program); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file := &fstest.MapFile{Data: packed.Bytes()}
	return release.Read(fstest.MapFS{"release": {Data: []byte(version)}, "berth-agent-linux-amd64.gz": file, "berth-agent-linux-arm64.gz": file})
}

// startRelease runs a controller that hands these programs out; a data directory
// and an address of "" are new ones.
func startRelease(t *testing.T, dir, listen string, agents *release.Programs) *panel {
	t.Helper()
	if dir == "" {
		dir, listen = t.TempDir(), "127.0.0.1:0"
	}
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		t.Fatal(err)
	}
	p := &panel{t: t, data: dir, url: "http://" + ln.Addr().String()}
	p.app, err = app.New(t.Context(), app.Config{Data: dir, PublicURL: p.url, APIKey: adminKey, AdminPassword: adminPassword, Agents: agents,
		Log: logger(t, "controller"), Now: time.Now, Hash: identity.Cost{MemoryKiB: 8, Passes: 1}})
	if err != nil {
		t.Fatal(err)
	}
	p.stop = running(t, func(ctx context.Context) error { return p.app.Run(ctx, ln) })
	return p
}

// next is the same controller of a later release.
func (p *panel) next(t *testing.T, agents *release.Programs) *panel {
	t.Helper()
	p.stop()
	return startRelease(t, p.data, strings.TrimPrefix(p.url, "http://"), agents)
}

// installed is an agent as a process that is started again whenever it ends, as
// a service is.
type installed struct {
	*host
	releases string // its directory of releases

	mu     sync.Mutex
	pid    int
	starts int
}

// install lays an agent out as the installer does, enrols it and starts it.
func (p *panel) install(t *testing.T, program []byte) *installed {
	t.Helper()
	port := runtimetest.FreePort(t)
	var made data[struct {
		Node      struct{ ID ident.Node }
		Enrolment struct{ Key string }
	}]
	p.must(http.StatusCreated, "POST", "/api/v1/nodes", map[string]any{"name": "a", "address": "127.0.0.1", "port": port, "memory": 4096, "disk": 40960}, &made)
	h := &installed{host: &host{panel: p, id: made.Data.Node.ID, dir: t.TempDir(), docker: runtimetest.DockerHost(t)}, releases: t.TempDir()}
	t.Cleanup(func() { runtimetest.CleanDocker(t, h.docker, h.id) })
	sum := sha256.Sum256(program)
	name := filepath.Join("releases", hex.EncodeToString(sum[:]))
	if err := os.MkdirAll(filepath.Join(h.releases, name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.releases, name, "berth-agent"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(name, filepath.Join(h.releases, "current")); err != nil {
		t.Fatal(err)
	}
	enrol := exec.CommandContext(t.Context(), h.current(), "enrol", "--controller", p.url, "--key", made.Data.Enrolment.Key, "--data", h.dir)
	if said, err := enrol.CombinedOutput(); err != nil {
		t.Fatalf("enrol: %v\n%s", err, said)
	}
	network := runtimetest.DrawNetwork()
	h.supervise(t, "serve", "--data", h.dir, "--listen", fmt.Sprintf("127.0.0.1:%d", port), "--docker-host", h.docker, "--no-demo", "--volumes", "directory",
		"--network", network.Name, "--network-subnet", network.Subnet)
	h.awaitOnline()
	return h
}

func (h *installed) current() string { return filepath.Join(h.releases, "current", "berth-agent") }

// supervise starts the agent again and again until the test ends.
func (h *installed) supervise(t *testing.T, args ...string) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			c := exec.Command(h.current(), args...)
			c.Env = append(os.Environ(), "BERTH_AGENT_RELEASES="+h.releases)
			c.Stdout, c.Stderr = testWriter{t}, testWriter{t}
			if err := c.Start(); err != nil {
				t.Error(err)
				return
			}
			h.mu.Lock()
			h.pid = c.Process.Pid
			h.starts++
			h.mu.Unlock()
			ended := make(chan struct{})
			go func() {
				_ = c.Wait() // however it ends, it is started again
				close(ended)
			}()
			select {
			case <-ended:
			case <-quit:
				_ = c.Process.Kill()
				<-ended
				return
			}
			select {
			case <-quit:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() { close(quit); <-done })
}

// process gives the agent's process and how often it was started.
func (h *installed) process() (pid, starts int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.pid, h.starts
}

// update orders an update and waits for the job's end.
func (h *installed) update(want string) (message string) {
	h.panel.t.Helper()
	var made data[struct{ ID string }]
	h.panel.must(http.StatusAccepted, "POST", "/api/v1/nodes/"+string(h.id)+"/update", nil, &made)
	j := h.panel.awaitJob(made.Data.ID, want)
	return j.Message
}

// runs waits until the node is online with a release.
func (h *installed) runs(version string) {
	h.panel.t.Helper()
	eventually(h.panel.t, "release "+version+" is online", func() bool {
		var n data[struct{ State, Release string }]
		h.panel.must(http.StatusOK, "GET", "/api/v1/nodes/"+string(h.id), nil, &n)
		return n.Data.State == "online" && n.Data.Release == version
	})
}

// An update changes the program under a running container, in the same process,
// and a bad release of any kind is taken back by itself.
func TestUpdateOfAnAgent(t *testing.T) {
	t.Parallel()
	runtimetest.DockerHost(t)
	v1, v2 := built(t, "v1", ""), built(t, "v2", "")
	p := startRelease(t, "", "", programs(t, "v2", v2))
	h := p.install(t, v1)
	h.runs("v1")
	id, container := h.running(h.loadProbe("serve", "8080"), p.user("owner"), runtimetest.FreePort(t))
	before, there := h.inspect(container)
	if !there {
		t.Fatal("the container is not there")
	}
	pid, starts := h.process()
	h.update("succeeded")
	h.runs("v2")
	if nowPid, nowStarts := h.process(); nowPid != pid || nowStarts != starts {
		t.Errorf("the process %d (start %d) became %d (start %d)", pid, starts, nowPid, nowStarts)
	}
	for _, bad := range []struct{ mode, words string }{
		{"crash", "it ended 3 times"},
		{"hang", "no controller listened"},
		{"fail", "its journal is of another kind"},
		{"", "does not run on this machine"},
	} {
		version, program := "v3-"+bad.mode, []byte("\x7fELF\x02\x01\x01\x00 of another machine")
		if bad.mode != "" {
			program = built(t, version, bad.mode)
		}
		h.panel = h.panel.next(t, programs(t, version, program))
		if message := h.update("failed"); !strings.Contains(message, bad.words) {
			t.Errorf("%s: %q", version, message)
		}
		h.runs("v2")
	}
	h.panel.awaitStatus(id, "running")
	after, there := h.inspect(container)
	if !there || !after.State.Running || after.ID != before.ID || after.State.Pid != before.State.Pid {
		t.Errorf("the container was touched: %+v, before %+v", after, before)
	}
	h.panel = h.panel.next(t, programs(t, "v1", v1))
	h.update("succeeded")
	h.runs("v1")
}

// kill -9 at moments drawn at random: whatever is left runs, and the update goes
// through in the end.
func TestAgentKilledDuringAnUpdate(t *testing.T) {
	t.Parallel()
	runtimetest.DockerHost(t)
	v1, v2 := built(t, "v1", ""), built(t, "v2", "")
	p := startRelease(t, "", "", programs(t, "v2", v2))
	h := p.install(t, v1)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	draw := rand.New(rand.NewPCG(seed, 0))
	versions, all := []string{"v1", "v2"}, [][]byte{v1, v2}
	for round := range 2 {
		to := 1 - round // there and back
		h.panel = h.panel.next(t, programs(t, versions[to], all[to]))
		h.awaitOnline()
		var made data[struct{ ID string }]
		h.panel.must(http.StatusAccepted, "POST", "/api/v1/nodes/"+string(h.id)+"/update", nil, &made)
		for range 3 { // one start less than a trial has
			time.Sleep(time.Duration(draw.IntN(150)) * time.Millisecond)
			pid, _ := h.process()
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Log(err) // it had just ended
			}
		}
		eventually(t, "the job ends", func() bool {
			s := h.panel.job(made.Data.ID).State
			return s == "succeeded" || s == "failed" // it may have been killed too often on trial
		})
		h.awaitOnline()
		if h.panel.job(made.Data.ID).State == "failed" {
			t.Logf("round %d: %s", round, h.panel.job(made.Data.ID).Message)
			h.update("succeeded")
		}
		h.runs(versions[to])
		left, err := os.ReadDir(filepath.Join(h.releases, "releases"))
		if err != nil || len(left) > 2 {
			t.Errorf("%v, %v", left, err)
		}
		if text, err := os.ReadFile(filepath.Join(h.releases, "state.json")); err == nil {
			var state map[string]json.RawMessage
			if err := json.Unmarshal(text, &state); err != nil || state["trial"] != nil {
				t.Errorf("the trial goes on: %s, %v", text, err)
			}
		}
	}
}
