package app

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/docker"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// node is an agent's machine with a real engine, and a second client of that
// engine for what is done by hand.
type node struct {
	*controller
	config Config
	hand   *docker.Engine
	probe  string // reference of the probe's image
}

func setup(t *testing.T) *node {
	t.Helper()
	host := runtimetest.DockerHost(t)
	id := runtimetest.NewNode()
	runtimetest.CleanDocker(t, host, id)
	hand, err := docker.New(docker.Options{Host: host, Node: id})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hand.Close() })
	c := newController(t)
	network := runtimetest.Network(t, hand)
	n := &node{controller: c, hand: hand, probe: "berth-test/probe:" + string(ident.NewInstance())}
	n.config = Config{Data: c.enrolled(id), DockerHost: host, NetworkName: network.Name, NetworkSubnet: network.Subnet, NoDemo: true}
	runtimetest.LoadProbe(t, hand, n.probe)
	return n
}

// get fetches the probe's page; "" when nobody answers.
func get(port uint16) string {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
	if err != nil {
		return ""
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return ""
	}
	return string(text)
}

// echoed says whether a datagram comes back.
func echoed(port uint16) bool {
	conn, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte("ping")); err != nil {
		return false
	}
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	buffer := make([]byte, 16)
	n, err := conn.Read(buffer)
	return err == nil && strings.Contains(string(buffer[:n]), "ping")
}

func (n *node) containers() []runtime.Container {
	n.t.Helper()
	list, err := n.hand.List(n.t.Context())
	if err != nil {
		n.t.Fatal(err)
	}
	return list
}

func (n *node) volume(id ident.Instance) string {
	return filepath.Join(n.config.Data, "volumes", string(id))
}

func (n *node) nothingLeft(id ident.Instance) {
	n.t.Helper()
	if list := n.containers(); len(list) != 0 {
		n.t.Errorf("containers are left: %+v", list)
	}
	if _, err := os.Lstat(n.volume(id)); err == nil {
		n.t.Error("the volume is left")
	}
}

func TestMainPathOnDocker(t *testing.T) {
	t.Parallel()
	n := setup(t)
	a := n.run(n.config, nil)
	id, port := ident.NewInstance(), runtimetest.FreePort(t)
	s := spec(id, 1, n.probe, port)
	s.Image.Command = []string{"write", "/app/data/world", "hello", "then", "serve", "8080"}
	a.apply(s)
	if st := a.settled(id, 1); st.Phase != wire.PhaseReady || st.Actual != wire.ActualRunning || st.StartedAt == nil {
		t.Fatalf("deployed: %+v", st)
	}
	runtimetest.Eventually(t, "the service to be reachable over tcp and udp", func() bool { return get(port) != "" && echoed(port) })
	if text, err := os.ReadFile(filepath.Join(n.volume(id), "data", "world")); err != nil || !strings.Contains(string(text), "hello") {
		t.Errorf("the volume holds %q, %v", text, err)
	}

	s.Generation, s.Suspended = 2, true
	a.apply(s)
	if st := a.settled(id, 2); st.Actual != wire.ActualStopped {
		t.Fatalf("suspended: %+v", st)
	}
	if list := n.containers(); len(list) != 1 || list[0].Status != runtime.Exited || get(port) != "" {
		t.Errorf("suspended, and the engine says %+v", list)
	}
	s.Generation, s.Suspended = 3, false
	a.apply(s)
	if st := a.settled(id, 3); st.Actual != wire.ActualRunning {
		t.Fatalf("unsuspended: %+v", st)
	}
	runtimetest.Eventually(t, "the service to be back", func() bool { return get(port) != "" })
	a.remove(id, 4)
	n.nothingLeft(id)
	if get(port) != "" {
		t.Error("the port is still served")
	}
	runtimetest.Eventually(t, "the tombstone is forgotten", func() bool { return len(a.inventory()) == 0 })
}

func TestAgentRestartsBesideItsContainers(t *testing.T) {
	t.Parallel()
	n := setup(t)
	a := n.run(n.config, nil)
	id, port := ident.NewInstance(), runtimetest.FreePort(t)
	s := spec(id, 1, n.probe, port)
	s.Image.Command = []string{"serve", "8080"}
	a.apply(s)
	a.settled(id, 1)
	runtimetest.Eventually(t, "the service", func() bool { return get(port) != "" })
	before := n.containers()[0]
	a.stop()
	if get(port) == "" {
		t.Error("the service ended with the agent")
	}
	a = n.run(n.config, nil)
	s.Generation = 2 // with the same order
	s.Power.Order = 1
	a.apply(s)
	a.settled(id, 2)
	if after := n.containers(); len(after) != 1 || after[0].ID != before.ID || !after[0].StartedAt.Equal(before.StartedAt) {
		t.Errorf("before %+v, after %+v", before, after)
	}
	// Ended while nobody looked: started again. Removed: made again.
	a.stop()
	if err := n.hand.Kill(t.Context(), before.ID); err != nil {
		t.Fatal(err)
	}
	a = n.run(n.config, nil)
	runtimetest.Eventually(t, "the killed one to be back", func() bool { return get(port) != "" })
	if err := n.hand.Remove(t.Context(), before.ID); err != nil {
		t.Fatal(err)
	}
	runtimetest.Eventually(t, "the removed one to be back", func() bool { return get(port) != "" })
	// A lost journal: the container is found by its labels and kept.
	kept := n.containers()[0]
	a.stop()
	if err := os.Remove(filepath.Join(n.config.Data, "journal.db")); err != nil {
		t.Fatal(err)
	}
	a = n.run(n.config, nil)
	runtimetest.Eventually(t, "the container's instance to be in the inventory", func() bool {
		h := a.inventory()
		return len(h) == 1 && h[0].Instance == id && h[0].State.Actual == wire.ActualRunning
	})
	s.Generation = 3
	a.apply(s)
	a.settled(id, 3)
	if after := n.containers(); len(after) != 1 || after[0].ID != kept.ID || !after[0].StartedAt.Equal(kept.StartedAt) {
		t.Errorf("kept %+v, after %+v", kept, after)
	}
	a.remove(id, 4)
	n.nothingLeft(id)
}

func TestCrashesAndFailedStartsOnDocker(t *testing.T) {
	t.Parallel()
	n := setup(t)
	a := n.run(n.config, nil)
	id, port := ident.NewInstance(), runtimetest.FreePort(t)
	taken, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	s := spec(id, 1, n.probe, port)
	s.Image.Command = []string{"serve", "8080"}
	a.apply(s)
	want := fmt.Sprintf("port %d is in use on this node by another program", port)
	if st := a.settled(id, 1); st.Phase != wire.PhaseFailed || st.Actual != wire.ActualStopped || st.Failure == nil || st.Failure.Code != problem.Conflict || st.Failure.Message != want {
		t.Errorf("with its port taken: %+v, %v", st, st.Failure)
	}
	_ = taken.Close()
	s.Generation, s.Power.Order = 2, 2
	s.Image.Command = []string{"exit", "3"}
	a.apply(s)
	a.until("the crash", func() bool {
		st := a.states[id].State
		return st != nil && st.Actual == wire.ActualCrashed && st.ExitCode != nil && *st.ExitCode == 3 && st.RetryAt != nil
	})
	s.Generation, s.Power.Order = 3, 3
	s.Image.Command = []string{"exit", "0"}
	a.apply(s)
	a.until("the end without an error", func() bool {
		e := a.states[id]
		return e.Generation == 3 && e.State.Actual == wire.ActualStopped && e.State.Converged && e.State.ExitCode != nil && *e.State.ExitCode == 0
	})
	s.Generation, s.Power.Order = 4, 4
	s.Image.Command = []string{"hog", "200"} // of 64
	a.apply(s)
	a.until("the end for want of memory", func() bool {
		e := a.states[id]
		// Not every engine can tell that memory ran out; the end is the kernel's kill anyway.
		return e.Generation == 4 && e.State.Actual == wire.ActualCrashed && e.State.ExitCode != nil && *e.State.ExitCode == 137
	})
	a.remove(id, 5)
	n.nothingLeft(id)
}

func TestRemoveOnDockerWhenHalfIsGone(t *testing.T) {
	t.Parallel()
	for name, ruin := range map[string]func(n *node, c runtime.Container) error{
		"container": func(n *node, c runtime.Container) error { return n.hand.Remove(n.t.Context(), c.ID) },
		"volume": func(n *node, c runtime.Container) (err error) {
			for range 1000 { // the agent may be putting something there
				if err = os.RemoveAll(n.volume(c.Instance)); err == nil {
					break
				}
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := setup(t)
			a := n.run(n.config, nil)
			id := ident.NewInstance()
			s := spec(id, 1, n.probe, runtimetest.FreePort(t))
			s.Image.Command = []string{"stubborn"}
			a.apply(s)
			a.settled(id, 1)
			if err := ruin(n, n.containers()[0]); err != nil {
				t.Fatal(err)
			}
			a.remove(id, 2)
			n.nothingLeft(id)
			a.remove(id, 3)
		})
	}
}

func TestDemoImageOnDocker(t *testing.T) {
	t.Parallel()
	n := setup(t)
	program := filepath.Join(t.TempDir(), "berth-agent")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "github.com/berth-panel/berth/agent")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	n.config.NoDemo, n.config.DemoExecutable = false, program
	n.config.DemoReference = "berth-test/demo:" + string(ident.NewInstance())
	a := n.run(n.config, nil)
	id, port := ident.NewInstance(), runtimetest.FreePort(t)
	s := spec(id, 1, n.config.DemoReference, port)
	s.Env, s.TTY, s.Stop.Command = []string{"PRIMARY_PORT=8080", "GREETING=my demo"}, true, "stop"
	a.apply(s)
	if st := a.settled(id, 1); st.Actual != wire.ActualRunning {
		t.Fatalf("deployed: %+v, %v", st, st.Failure)
	}
	runtimetest.Eventually(t, "the page", func() bool {
		page := get(port)
		return strings.Contains(page, "my demo") && strings.Contains(page, "64 MiB") && strings.Contains(page, ">0.5<") && strings.Contains(page, "in the volume")
	})
	if !echoed(port) {
		t.Error("no echo over udp")
	}
	s.Generation, s.Power = 2, wire.Power{Want: wire.WantStopped, Order: 2}
	a.apply(s)
	a.settled(id, 2)
	if c := n.containers()[0]; c.ExitCode != 0 || c.Status != runtime.Exited {
		t.Errorf("stopped by its console: %+v", c)
	}
	a.remove(id, 3)
	n.nothingLeft(id)
}
