package e2e

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// envBin names the directory with the two programs as they are shipped.
const envBin = "BERTH_TEST_BIN"

// program is one of ours as a process.
type program struct {
	pid  int
	stop func()
	kill func() // as the machine's failing does
}

// startProgram runs a program until the returned stop or the benchmark's end.
func startProgram(b *testing.B, name string, env []string, args ...string) program {
	b.Helper()
	c := exec.Command(binary(b, name), args...)
	c.Env = append(os.Environ(), env...)
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		_ = c.Process.Signal(syscall.SIGTERM) // it may have ended by itself: Wait says so
		if err := c.Wait(); err != nil {
			b.Errorf("%s: %v\n%s", name, err, said.Bytes())
		}
		if b.Failed() {
			b.Logf("%s said:\n%s", name, said.Bytes())
		}
	}
	kill := func() {
		stopped = true
		_ = c.Process.Kill() // Wait says what came of it
		_ = c.Wait()
	}
	b.Cleanup(stop)
	return program{pid: c.Process.Pid, stop: stop, kill: kill}
}

func binary(b *testing.B, name string) string {
	b.Helper()
	dir := os.Getenv(envBin)
	if dir == "" {
		b.Skipf("%s names no directory with the built programs: run make bench", envBin)
	}
	return filepath.Join(dir, name)
}

// site is a controller as a process; the panel's app is nil.
type site struct {
	*panel
	process program
}

func startPrograms(b *testing.B) *site {
	b.Helper()
	return startController(b, b.TempDir())
}

func startController(b *testing.B, dir string) *site {
	b.Helper()
	return startControllerAt(b, dir, fmt.Sprintf("127.0.0.1:%d", runtimetest.FreePort(b)))
}

func startControllerAt(b *testing.B, dir, listen string) *site {
	b.Helper()
	s := &site{panel: &panel{t: b, data: dir, url: "http://" + listen}}
	env := []string{"BERTH_API_KEY=" + adminKey, "BERTH_ADMIN_PASSWORD=" + adminPassword, "BERTH_RATE_LIMIT=0", "BERTH_LOG_LEVEL=warn", "BERTH_SFTP_LISTEN=off"}
	s.process = startProgram(b, "berth-controller", env, "serve", "--data", dir, "--listen", listen)
	eventually(b, "the controller answers", func() bool {
		res, err := http.Get(s.url + "/api/v1/health")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	return s
}

// siteHost is a node whose agent is a process.
type siteHost struct {
	*host
	process program
	args    []string // of the agent
	network string
}

// addProgramHost makes a node of so many MiB and runs its agent.
func (s *site) addProgramHost(memory int) *siteHost {
	b, ok := s.t.(*testing.B)
	if !ok {
		s.t.Fatal("not in a benchmark")
	}
	engine := runtimetest.DockerHost(b)
	port := runtimetest.FreePort(b)
	var made data[struct {
		Node      struct{ ID ident.Node }
		Enrolment struct{ Key string }
	}]
	s.must(http.StatusCreated, "POST", "/api/v1/nodes", map[string]any{
		"name": "a", "address": "127.0.0.1", "port": port, "memory": memory, "disk": 1 << 20,
	}, &made)
	h := &siteHost{host: &host{panel: s.panel, id: made.Data.Node.ID, dir: b.TempDir(), docker: engine}}
	runtimetest.CleanDocker(b, engine, h.id)
	enrol := exec.Command(binary(b, "berth-agent"), "enrol", "--controller", s.url, "--key", made.Data.Enrolment.Key, "--data", h.dir)
	if said, err := enrol.CombinedOutput(); err != nil {
		b.Fatalf("enrol: %v\n%s", err, said)
	}
	network := runtimetest.DrawNetwork()
	network.Subnet = strings.TrimSuffix(network.Subnet, "/28") + "/24" // room for the instances of a measurement
	h.network = network.Name
	h.listen = net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port)))
	h.args = []string{"serve", "--data", h.dir, "--volumes", "directory", "--listen", h.listen, "--sftp-listen", "127.0.0.1:0",
		"--docker-host", engine, "--network", network.Name, "--network-subnet", network.Subnet, "--log-level", "warn"}
	h.process = startProgram(b, "berth-agent", nil, h.args...)
	h.online(b)
	return h
}

// online waits until the controller has its agent.
func (h *siteHost) online(b *testing.B) {
	b.Helper()
	eventually(b, "the node is online", func() bool {
		var n data[struct{ State string }]
		h.panel.must(http.StatusOK, "GET", "/api/v1/nodes/"+string(h.id), nil, &n)
		return n.Data.State == "online"
	})
}

// resident gives the MB (of 1024 KiB) that a process holds in memory.
func resident(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				b.Fatal(err)
			}
			return kib / 1024
		}
	}
	b.Fatalf("process %d has no VmRSS", pid)
	return 0
}

// cpuTime gives the seconds of processor time that a process has used, finer
// than the ticks of /proc: its clock is named as clock_getcpuclockid(3) does.
func cpuTime(b *testing.B, pid int) float64 {
	b.Helper()
	const wholeProcess = 2
	var t unix.Timespec
	if err := unix.ClockGettime(^int32(pid)<<3|wholeProcess, &t); err != nil {
		b.Fatal(err)
	}
	return float64(t.Nano()) / 1e9
}

const (
	populationNodes = 20
	populationUsers = 20
)

// startPopulated runs a controller with n instances that an agent said are
// running, all made and told of through the rooms' own verbs.
func startPopulated(b *testing.B, n int) *site {
	b.Helper()
	binary(b, "berth-controller") // skips before the work is done
	dir := b.TempDir()
	p := startPanel(b, dir)
	var nodes []ident.Node
	for i := range populationNodes {
		made, _, err := p.app.Nodes.Create(b.Context(), access.Local(), node.Spec{
			Name: fmt.Sprintf("node-%02d", i), Tags: []string{"eu", "ssd"}, Address: "192.0.2.1", Port: 8443, BindAddress: "0.0.0.0",
			Processor: "AMD Ryzen 9 5950X", MemoryMiB: 1 << 20, DiskMiB: 1 << 24, MemoryFactor: 1, DiskFactor: 1,
		})
		if err != nil {
			b.Fatal(err)
		}
		p.letIn(made.ID)
		nodes = append(nodes, made.ID)
	}
	var users []ident.User
	for i := range populationUsers {
		users = append(users, ident.User(p.user(fmt.Sprintf("user%02d", i))))
	}
	images, err := p.app.Images.All(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for i := range n {
		p.populate(nodes[i%len(nodes)], users[i%len(users)], images[i%len(images)], i)
	}
	p.stop()
	return startController(b, dir)
}

// populate makes one instance and lets its node say that it runs.
func (p *panel) populate(on ident.Node, owner ident.User, img image.Image, n int) {
	p.t.Helper()
	port := uint16(20000 + n/populationNodes*2)
	variables := map[string]string{}
	for _, v := range img.Variables {
		if v.Required {
			variables[v.Name] = fmt.Sprintf("value-%d", n)
		}
	}
	i, _, err := p.app.Instances.Create(p.t.Context(), access.Local(), instance.New{
		Name: fmt.Sprintf("server number %d", n), Owner: owner, Node: on, Image: img.ID, MemoryMiB: 1024, NanoCPUs: 1_500_000_000,
		Ports:     []allocation.Mapping{{Host: port, Container: 25565, Primary: true}, {Host: port + 1, Container: 8080}},
		Variables: variables,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	started := time.Now().UTC()
	running := wire.State{
		Phase: wire.PhaseReady, Actual: wire.ActualRunning, Converged: true, StartedAt: &started,
		Container: strings.Repeat(string(i.ID), 8),
	}
	err = p.app.DB.Write(p.t.Context(), func(tx *store.Tx) error {
		return p.app.Instances.ApplyEvent(p.t.Context(), tx, on, wire.Event{
			At: started, Type: wire.EventState, Instance: i.ID, Generation: i.Generation, State: &running,
		})
	})
	if err != nil {
		p.t.Fatal(err)
	}
}
