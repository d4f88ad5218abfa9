package app

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// scripted is a spec whose script are these steps of the probe, and then that it
// prints the script's own text.
func (n *node) scripted(id ident.Instance, generation int64, steps string) wire.Spec {
	s := spec(id, generation, n.probe, runtimetest.FreePort(n.t))
	s.Install.Script = &wire.Script{Image: n.probe, Entrypoint: "/probe " + steps + " then read", Text: "the script says hunter2\n", Env: []string{"SERVER_MEMORY=64"}}
	s.Install.Secrets = []string{"hunter2"}
	return s
}

// installing waits for the container that installs, once it runs.
func (n *node) installing() (found runtime.Container) {
	n.t.Helper()
	runtimetest.Eventually(n.t, "the installation to run", func() bool {
		for _, c := range n.containers() {
			if c.Role == runtime.RoleInstall && c.Status == runtime.Running {
				found = c
				return true
			}
		}
		return false
	})
	return found
}

// file reads a file of an instance's volume.
func (n *node) file(id ident.Instance, name string) string {
	text, err := os.ReadFile(filepath.Join(n.volume(id), "data", name))
	if err != nil {
		return ""
	}
	return string(text)
}

// TestScriptOnDocker: it runs as root in the instances' sandbox, and what it makes
// belongs to the image's user.
func TestScriptOnDocker(t *testing.T) {
	t.Parallel()
	n := setup(t)
	config := runtimetest.ProbeConfig()
	config.User = "1000:1000"
	user := n.probe + "-user"
	if err := n.hand.Load(t.Context(), user, runtimetest.Rootfs(t), config); err != nil {
		t.Fatal(err)
	}
	a := n.run(n.config, nil)
	id := ident.NewInstance()
	s := n.scripted(id, 1, `say begun\r\n then who /mnt/server/who then env /mnt/server/env then write /mnt/server/made yes`)
	s.Image.Reference = user
	a.apply(s)
	if st := a.settled(id, 1); st.Phase != wire.PhaseReady || st.Actual != wire.ActualRunning {
		t.Fatalf("deployed: %+v, %v", st, st.Failure)
	}
	var who struct {
		UID, GID              int
		Effective, NoNewPrivs string
		IsTerminal            bool
	}
	if err := json.Unmarshal([]byte(n.file(id, "who")), &who); err != nil {
		t.Fatal(err)
	}
	// CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID, SETUID, NET_BIND_SERVICE: what instances have.
	if who.UID != 0 || who.GID != 0 || who.NoNewPrivs != "1" || who.Effective != "00000000000004eb" || !who.IsTerminal {
		t.Errorf("it ran as %+v", who)
	}
	if !strings.Contains(n.file(id, "env"), "SERVER_MEMORY=64") {
		t.Errorf("its variables are %q", n.file(id, "env"))
	}
	for _, name := range []string{".", "who", "env", "made"} {
		var st syscall.Stat_t
		if err := syscall.Lstat(filepath.Join(n.volume(id), "data", name), &st); err != nil || st.Uid != 1000 || st.Gid != 1000 {
			t.Errorf("%s belongs to %d:%d, %v", name, st.Uid, st.Gid, err)
		}
	}
	a.until("the output", func() bool {
		return slices.Equal(a.output[id], []string{"begun", "the script says ******"})
	})
	if list := n.containers(); len(list) != 1 || list[0].Role != runtime.RoleMain {
		t.Errorf("containers are left: %+v", list)
	}
	if left, err := os.ReadDir(filepath.Join(n.config.Data, "install")); err != nil || len(left) != 0 {
		t.Errorf("scripts are left: %v, %v", left, err)
	}
	a.remove(id, 2)
	n.nothingLeft(id)
}

func TestScriptsThatFailOnDocker(t *testing.T) {
	t.Parallel()
	n := setup(t)
	a := n.run(n.config, nil)
	id := ident.NewInstance()
	failed := func(s wire.Spec, code problem.Code, words string) {
		t.Helper()
		a.apply(s)
		if st := a.settled(id, s.Generation); st.Phase != wire.PhaseFailed || st.Failure == nil || st.Failure.Code != code || !strings.Contains(st.Failure.Message, words) {
			t.Errorf("it is %+v, %v; want %s with %q", st, st.Failure, code, words)
		}
		if list := n.containers(); len(list) != 1 || list[0].Role != runtime.RoleMain {
			t.Errorf("containers are left: %+v", list)
		}
	}
	s := n.scripted(id, 1, `cry no-such-version-hunter2\r\n then exit 7`)
	failed(s, problem.Conflict, "the install script ended with exit code 7; it printed last: no-such-version-******")
	s.Generation, s.Install.Script.Entrypoint = 2, "/does/not/exist"
	failed(s, problem.Validation, "/does/not/exist")
	s.Generation, s.Install.Script.Entrypoint = 3, "/probe write /mnt/install/install.sh mine"
	failed(s, problem.Conflict, "exit code 70")
	s.Generation, s.Install.Script.Entrypoint, s.Install.Script.WithinSeconds = 4, "/probe idle then read", 1
	failed(s, problem.Conflict, "did not end within 1s")
	good := n.scripted(id, 5, "write /mnt/server/made yes")
	a.apply(good)
	if st := a.settled(id, 5); st.Phase != wire.PhaseReady || n.file(id, "made") != "yes" {
		t.Errorf("the next try: %+v, %v", st, st.Failure)
	}
	a.remove(id, 6)
	n.nothingLeft(id)
}

// TestScriptOverTheAgentsRestart: the one that runs goes on; one that ended while
// nobody looked is run again; an order ends it.
func TestScriptOverTheAgentsRestart(t *testing.T) {
	t.Parallel()
	n := setup(t)
	a := n.run(n.config, nil)
	id := ident.NewInstance()
	s := n.scripted(id, 1, `say begun\r\n then write /mnt/server/begun yes then idle`)
	a.apply(s)
	first := n.installing()
	runtimetest.Eventually(t, "the script to begin", func() bool { return n.file(id, "begun") != "" })
	a.until("its first lines", func() bool { return slices.Equal(a.output[id], []string{"begun", "probe: ready"}) })
	a.stop()
	a = n.run(n.config, nil)
	a.apply(s)
	if again := n.installing(); again.ID != first.ID || again.StartedAt != first.StartedAt {
		t.Errorf("it is %+v, was %+v", again, first)
	}
	typed, err := n.hand.Attach(t.Context(), first.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = typed.Close() }()
	if _, err := typed.Write([]byte("on\n")); err != nil {
		t.Fatal(err)
	}
	a.until("what it prints from now on", func() bool { return len(a.output[id]) == 2 })
	a.mu.Lock()
	if lines := a.output[id]; !slices.Equal(lines, []string{"on", `probe: heard "on"`}) { // its terminal's echo, and its own word
		t.Errorf("it is said that %q", lines)
	}
	a.mu.Unlock()
	a.stop() // and now it ends, with nobody to see how
	hand := runtimetest.DockerHand(n.config.DockerHost)
	hand.Stop(t, first.ID)
	a = n.run(n.config, nil)
	second := n.installing()
	if second.ID == first.ID {
		t.Errorf("it is %+v again", second)
	}
	s.Generation, s.Suspended = 2, true
	a.apply(s)
	if st := a.settled(id, 2); st.Phase != wire.PhaseFailed || st.Failure != nil {
		t.Errorf("suspended: %+v, %v", st, st.Failure)
	}
	if list := n.containers(); len(list) != 1 || list[0].Role != runtime.RoleMain {
		t.Errorf("containers are left: %+v", list)
	}
	s.Generation, s.Suspended = 3, false
	a.apply(s)
	third := n.installing()
	runtimetest.Eventually(t, "the script to listen", func() bool {
		ready := false
		_ = n.hand.Log(t.Context(), third.ID, runtime.LogRange{}, func(p runtime.LogPart) error {
			ready = ready || strings.Contains(string(p.Text), "probe: ready")
			return nil
		})
		return ready
	})
	hand.Signal(t, third.ID, int(syscall.SIGTERM)) // it ends in good order
	if st := a.settled(id, 3); st.Phase != wire.PhaseReady || st.Actual != wire.ActualRunning {
		t.Errorf("in the end: %+v, %v", st, st.Failure)
	}
	s.Generation, s.Reinstall = 4, 4
	a.apply(s)
	n.installing()
	a.remove(id, 5)
	n.nothingLeft(id)
}

// TestLimitsOnDocker change while it runs, and keep what it uses.
func TestLimitsOnDocker(t *testing.T) {
	t.Parallel()
	n := setup(t)
	a := n.run(n.config, nil)
	id := ident.NewInstance()
	s := spec(id, 1, n.probe, runtimetest.FreePort(t))
	s.Limits.MemoryMiB = 256
	s.Image.Command = []string{"hog", "96"}
	a.apply(s)
	a.settled(id, 1)
	box := n.containers()[0]
	runtimetest.Eventually(t, "the memory to be in use", func() bool {
		u, err := n.hand.Stats(t.Context(), box.ID)
		return err == nil && u.MemoryBytes > 96<<20
	})
	limits := func(generation int64, l wire.Limits) wire.State {
		t.Helper()
		s.Generation, s.Limits = generation, l
		a.apply(s)
		st := a.settled(id, generation)
		if st.Failure != nil || st.Actual != wire.ActualRunning {
			t.Errorf("%+v: %+v, %v", l, st, st.Failure)
		}
		return st
	}
	holds := func(memory, nanoCPUs, pids int64) runtime.Container {
		t.Helper()
		c := n.containers()[0]
		if c.MemoryBytes != memory<<20 || c.NanoCPUs != nanoCPUs || c.PidsLimit != pids {
			t.Errorf("it has %d MiB, %d and %d processes; want %d, %d and %d", c.MemoryBytes>>20, c.NanoCPUs, c.PidsLimit, memory, nanoCPUs, pids)
		}
		return c
	}
	limits(2, wire.Limits{MemoryMiB: 160, NanoCPUs: 1e9, DiskMiB: 64, Pids: 77})
	holds(160, 1e9, 77)
	if st := limits(3, wire.Limits{MemoryMiB: 64, NanoCPUs: 5e8, DiskMiB: 64, Pids: 50}); len(st.Unheld) == 0 || !strings.Contains(strings.Join(st.Unheld, ";"), "64 MiB holds from its next start on") {
		t.Errorf("less memory than it uses: %+v", st)
	}
	if c := holds(160, 5e8, 50); c.ID != box.ID || !c.StartedAt.Equal(box.StartedAt) {
		t.Errorf("it is %+v, was %+v", c, box)
	}
	s.Generation, s.Power = 4, wire.Power{Want: wire.WantStopped, Order: 4}
	a.apply(s)
	a.settled(id, 4)
	runtimetest.Eventually(t, "it to have less memory", func() bool { return n.containers()[0].MemoryBytes == 64<<20 })
	if c := holds(64, 5e8, 50); c.ID != box.ID {
		t.Errorf("it is %+v, was %+v", c, box)
	}
	a.remove(id, 5)
	n.nothingLeft(id)
}
