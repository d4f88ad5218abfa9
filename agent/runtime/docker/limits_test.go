package docker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/docker"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
)

// bench is what a test of the real engine works with.
type bench struct {
	host   string
	engine *docker.Engine
	raw    *client.Client // for what the Engine does not show
	image  string
}

func setup(t *testing.T) bench {
	t.Helper()
	host := runtimetest.DockerHost(t)
	b := bench{host: host, engine: newEngine(t, host), raw: rawClient(t, host), image: runtimetest.Spec("x").Name + ":1"}
	runtimetest.LoadProbe(t, b.engine, b.image)
	return b
}

func (b bench) spec(steps ...string) runtime.ContainerSpec {
	return runtimetest.Spec(b.image, steps...)
}

func (b bench) create(t *testing.T, spec runtime.ContainerSpec) runtime.ContainerID {
	t.Helper()
	id, err := b.engine.Create(t.Context(), spec)
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	return id
}

func (b bench) start(t *testing.T, spec runtime.ContainerSpec) runtime.ContainerID {
	t.Helper()
	id := b.create(t, spec)
	if err := b.engine.Start(t.Context(), id); err != nil {
		t.Fatalf("Start: %v", err)
	}
	return id
}

func (b bench) inspect(t *testing.T, id runtime.ContainerID) runtime.Container {
	t.Helper()
	c, err := b.engine.Inspect(t.Context(), id)
	if err != nil {
		t.Fatalf("Inspect: %v", err)
	}
	return c
}

// raws is what Docker itself says of a container.
func (b bench) raws(t *testing.T, id runtime.ContainerID) container.InspectResponse {
	t.Helper()
	c, err := b.raw.ContainerInspect(t.Context(), string(id))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (b bench) ended(t *testing.T, id runtime.ContainerID) runtime.Container {
	t.Helper()
	var c runtime.Container
	runtimetest.Eventually(t, "the container to end", func() bool {
		c = b.inspect(t, id)
		return c.Status == runtime.Exited
	})
	return c
}

// file waits until a program has written a file.
func (b bench) file(t *testing.T, id runtime.ContainerID, path string) string {
	t.Helper()
	var text []byte
	runtimetest.Eventually(t, "the program to write "+path, func() bool {
		var err error
		text, err = b.engine.ReadFile(t.Context(), id, path, 64<<10)
		return err == nil && len(text) > 0
	})
	return string(text)
}

// TestLimitsAsked reads the limits back from Docker.
func TestLimitsAsked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	spec := b.spec("idle")
	spec.MemoryBytes, spec.NanoCPUs, spec.PidsLimit = 123<<20, 1_250_000_000, 77
	c := b.raws(t, b.create(t, spec))
	r := c.HostConfig.Resources
	if r.Memory != spec.MemoryBytes || r.MemorySwap != spec.MemoryBytes || r.NanoCPUs != spec.NanoCPUs || r.PidsLimit == nil || *r.PidsLimit != 77 {
		t.Errorf("Docker has memory %d, with swap %d, CPU %d, pids %v", r.Memory, r.MemorySwap, r.NanoCPUs, r.PidsLimit)
	}
	if r.MemorySwappiness != nil && *r.MemorySwappiness != -1 {
		t.Errorf("swappiness is set to %d, which newer kernels refuse", *r.MemorySwappiness)
	}
	if r.OomKillDisable != nil && *r.OomKillDisable {
		t.Error("a container without memory would hang instead of being killed")
	}
	spec = b.spec("idle")
	spec.PidsLimit = 0
	if c := b.raws(t, b.create(t, spec)); c.HostConfig.PidsLimit == nil || *c.HostConfig.PidsLimit != docker.DefaultPidsLimit {
		t.Errorf("without a limit of its own a container may have %v processes", c.HostConfig.PidsLimit)
	}
}

// TestMemoryHolds: a process over the limit is killed, one below lives.
func TestMemoryHolds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	hog := b.spec("fill", "100", "then", "write", "/tmp/held", "yes", "then", "idle")
	hog.MemoryBytes = 64 << 20
	if c := b.ended(t, b.start(t, hog)); c.ExitCode != 137 {
		t.Fatalf("100 MiB in a limit of 64 MiB leave %+v", c)
	}
	fits := b.spec("fill", "100", "then", "write", "/tmp/held", "yes", "then", "idle")
	fits.MemoryBytes = 192 << 20
	id := b.start(t, fits)
	if got := b.file(t, id, "/tmp/held"); got != "yes" {
		t.Fatalf("it wrote %q", got)
	}
	if c := b.inspect(t, id); c.Status != runtime.Running {
		t.Fatalf("100 MiB in a limit of 192 MiB leave %+v", c)
	}
}

// TestCPUHolds lets programs compute on two threads and looks at the processor
// time that they got. Only the kernel's promise is asserted: not more than the
// quota. That two threads get more than the smallest quota where they may, which
// a busy machine can deny for a while, is tried several times.
func TestCPUHolds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	share := func(nano int64) float64 {
		spec := b.spec("burn", "2", "1500", "/tmp/share")
		spec.NanoCPUs = nano
		got := b.file(t, b.start(t, spec), "/tmp/share")
		cores, err := strconv.ParseFloat(got, 64)
		if err != nil {
			t.Fatalf("the probe wrote %q", got)
		}
		t.Logf("a quota of %d nano-CPUs gave %.3f cores", nano, cores)
		return cores
	}
	// A quota is given out in periods of a tenth of a second: a window of 1.5 s
	// may hold parts of two more.
	for _, nano := range []int64{200_000_000, 500_000_000} {
		if cores, most := share(nano), float64(nano)/1e9*1.3; cores > most {
			t.Errorf("a quota of %d nano-CPUs gave %.3f cores, want at most %.3f", nano, cores, most)
		}
	}
	runtimetest.Eventually(t, "a quota of two cores to give more than one of a fifth may", func() bool { return share(2_000_000_000) > 0.3 })
}

// TestPidsHold: processes beyond the limit are refused.
func TestPidsHold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const asked = 30
	forks := func(limit int64) int {
		spec := b.spec("fork", strconv.Itoa(asked), "/tmp/forks")
		spec.PidsLimit, spec.MemoryBytes = limit, 512<<20
		id := b.start(t, spec)
		last := ""
		runtimetest.Eventually(t, "the forks to end", func() bool {
			now := b.file(t, id, "/tmp/forks")
			done := strings.HasSuffix(now, ".") || b.inspect(t, id).Status == runtime.Exited
			last = strings.TrimSuffix(now, ".")
			return done
		})
		n, err := strconv.Atoi(last)
		if err != nil {
			t.Fatalf("the probe wrote %q", last)
		}
		return n
	}
	if n := forks(20); n == 0 || n >= 20 {
		t.Errorf("%d processes were started in a limit of 20", n)
	}
	if n := forks(1000); n != asked {
		t.Errorf("%d processes were started in a limit of 1000, want all %d", n, asked)
	}
}

// who is what the probe says of itself.
type who struct {
	UID, GID             int
	Effective, Bounding  string
	NoNewPrivs           string
	Parent               string
	WorkingDir, Hostname string
	IsTerminal           bool
}

func (b bench) who(t *testing.T, change func(*runtime.ContainerSpec)) who {
	t.Helper()
	spec := b.spec("who", "/tmp/who")
	change(&spec)
	id := b.start(t, spec)
	if c := b.ended(t, id); c.ExitCode != 0 {
		t.Fatalf("the probe left %+v", c)
	}
	var w who
	if err := json.Unmarshal([]byte(b.file(t, id, "/tmp/who")), &w); err != nil {
		t.Fatal(err)
	}
	return w
}

// TestPrivileges asks the kernel what a container's process may.
func TestPrivileges(t *testing.T) {
	t.Parallel()
	b := setup(t)
	// CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, KILL 5, SETGID 6, SETUID 7, NET_BIND_SERVICE 10
	given := fmt.Sprintf("%016x", 1<<0|1<<1|1<<3|1<<5|1<<6|1<<7|1<<10)
	const none = "0000000000000000"

	root := b.who(t, func(s *runtime.ContainerSpec) { s.Hostname = "harbour" })
	if root.UID != 0 || root.Bounding != given || root.Effective != given {
		t.Errorf("root has %+v, want the capabilities %s", root, given)
	}
	if root.NoNewPrivs != "1" {
		t.Errorf("a program may gain privileges: %+v", root)
	}
	if root.Parent != "docker-init" && root.Parent != "tini" {
		t.Errorf("process 1 is %q, want an init", root.Parent)
	}
	if root.Hostname != "harbour" || root.WorkingDir != "/tmp" || root.IsTerminal {
		t.Errorf("it is %+v", root)
	}

	user := b.who(t, func(s *runtime.ContainerSpec) { s.User, s.WorkingDir, s.TTY = "web", "/app", true })
	if user.UID != 33 || user.GID != 34 || user.Effective != none || user.Bounding != given {
		t.Errorf("a user has %+v", user)
	}
	if user.WorkingDir != "/app" || !user.IsTerminal {
		t.Errorf("it is %+v", user)
	}
}

// TestSettings reads back what every container has.
func TestSettings(t *testing.T) {
	t.Parallel()
	b := setup(t)
	spec := b.spec("env", "/tmp/env")
	spec.Generation, spec.SpecHash = 12, "h1"
	spec.Env = []string{"PLAIN=a", "QUOTED=\"x\" 'y' $HOME", "LINES=one\ntwo", "EMPTY="}
	id := b.start(t, spec)
	c := b.raws(t, id)
	for label, want := range map[string]string{"berth.instance": string(spec.Instance), "berth.generation": "12", "berth.spec": "h1"} {
		if got := c.Config.Labels[label]; got != want {
			t.Errorf("label %s is %q, want %q", label, got, want)
		}
	}
	if !c.Config.OpenStdin || c.Config.StdinOnce || c.Config.Tty {
		t.Errorf("stdin is %+v", c.Config)
	}
	h := c.HostConfig
	if !h.RestartPolicy.IsNone() || h.Privileged || h.AutoRemove || h.NetworkMode != "none" || h.Init == nil || !*h.Init {
		t.Errorf("the host's settings are %+v", h)
	}
	if h.LogConfig.Type != "local" || h.LogConfig.Config["max-size"] != "10m" || h.LogConfig.Config["max-file"] != "3" {
		t.Errorf("logs are %+v", h.LogConfig)
	}
	if len(h.CapDrop) != 1 || h.CapDrop[0] != "ALL" || len(h.CapAdd) != 7 {
		t.Errorf("capabilities: dropped %v, added %v", h.CapDrop, h.CapAdd)
	}
	b.ended(t, id)
	env := b.file(t, id, "/tmp/env")
	for _, want := range append(spec.Env, "PROBE=1") {
		if !strings.Contains(env+"\n", want+"\n") {
			t.Errorf("the environment lacks %q: %q", want, env)
		}
	}
}

// TestStrayRunByHand: a container that somebody starts from an image of ours
// inherits the image's labels, and is not ours.
func TestStrayRunByHand(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made, err := b.raw.ContainerCreate(t.Context(), &container.Config{Image: b.image}, nil, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.raw.ContainerRemove(context.Background(), made.ID, container.RemoveOptions{Force: true}); err != nil {
			t.Error(err)
		}
	})
	list, err := b.engine.List(t.Context())
	if err != nil || len(list) != 0 {
		t.Fatalf("List gives %+v, %v", list, err)
	}
	if err := b.engine.Remove(t.Context(), runtime.ContainerID(made.ID)); runtime.ReasonOf(err) != runtime.Missing {
		t.Fatalf("Remove of a stranger's container: %v", err)
	}
	b.raws(t, runtime.ContainerID(made.ID))
}
