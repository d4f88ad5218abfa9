package faults

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	apiKey    = "a-key-for-the-tests-only"
	reference = "berth-test/witness:1"
	nodes     = 3
)

// lab is a controller, its clients' way to it, and three nodes.
type lab struct {
	story      *story
	dir        string // of this run's logs
	run        string // what goes away in the end
	bin        string
	port       int // of the controller, on loopback
	controller *process
	disk       *disk
	front      *proxy // between the clients and the controller
	nodes      []*node
	owner      string // of the instances
	image      []byte // root filesystem of the witness
	api        *client
	trap       atomic.Int64   // nanoseconds into the next call after which the controller is killed; 0 not at all
	springing  sync.WaitGroup // of what traps do
}

// newLab builds everything and starts it; it is taken down when the test ends.
func newLab(t testing.TB, name string) *lab {
	t.Helper()
	able(t)
	lockMachine(t)
	if err := sweep(); err != nil {
		t.Fatalf("what an earlier run left could not be removed: %v", err)
	}
	l := &lab{dir: filepath.Join(workDir(), name), run: filepath.Join(workDir(), "run")}
	if err := errors.Join(os.RemoveAll(l.dir), os.MkdirAll(l.dir, 0o755), os.MkdirAll(l.run, 0o755)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.takeDown(t) })
	var err error
	if l.story, err = newStory(filepath.Join(l.dir, "story.log")); err != nil {
		t.Fatal(err)
	}
	for _, step := range []func() error{l.build, l.startController, l.startNodes, l.furnish} {
		if err := step(); err != nil {
			t.Fatalf("%v\nlogs: %s\n%s", err, l.dir, l.story.text(50))
		}
	}
	return l
}

// takeDown removes everything but the logs; of a run that went well, those too.
func (l *lab) takeDown(t testing.TB) {
	l.healProcesses()
	all := []*process{l.controller}
	for _, n := range l.nodes {
		all = append(all, n.agent)
	}
	for _, p := range all {
		if p != nil {
			p.end(syscall.SIGTERM, 20*time.Second)
		}
	}
	var ends sync.WaitGroup
	for _, n := range l.nodes {
		ends.Go(n.close)
	}
	ends.Wait()
	if l.front != nil {
		l.front.close()
	}
	if err := sweep(); err != nil {
		t.Errorf("cleaning up: %v", err)
	}
	if !t.Failed() && os.Getenv("BERTH_FAULTS_KEEP") == "" {
		_ = os.RemoveAll(l.dir)
	}
}

// build makes the programs with the race detector in them, and the witness.
func (l *lab) build() error {
	l.bin = filepath.Join(l.run, "bin")
	if given := os.Getenv("BERTH_TEST_BIN"); given != "" {
		l.bin = given
	} else {
		for name, pkg := range map[string]string{"berth-controller": "controller", "berth-agent": "agent"} {
			if _, err := goBuild(filepath.Join(l.bin, name), "github.com/berth-panel/berth/"+pkg, "CGO_ENABLED=1", "-race"); err != nil {
				return err
			}
		}
	}
	witness, err := goBuild(filepath.Join(l.run, "witness"), "./testdata/witness", "CGO_ENABLED=0", "-ldflags=-s -w")
	if err != nil {
		return err
	}
	l.image, err = rootfs(witness)
	return err
}

// goBuild builds a program and gives its bytes.
func goBuild(out, pkg, env string, flags ...string) ([]byte, error) {
	build := exec.Command("go", append(append([]string{"build", "-o", out}, flags...), pkg)...)
	build.Env = append(os.Environ(), env)
	if said, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build %s: %w: %s", pkg, err, said)
	}
	return os.ReadFile(out)
}

func rootfs(program []byte) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	err := errors.Join(
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "app/", Mode: 0o755}),
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "witness", Mode: 0o755, Size: int64(len(program))}),
	)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(program); err != nil {
		return nil, err
	}
	return out.Bytes(), w.Close()
}

// freePort gives a port of loopback that is free now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return 0, err
	}
	var n int
	_, err = fmt.Sscan(port, &n)
	return n, err
}

func (l *lab) startController() (err error) {
	if l.disk, err = newDisk(filepath.Join(l.run, "controller.img"), filepath.Join(l.run, "controller"), 128); err != nil {
		return err
	}
	if l.port, err = freePort(); err != nil {
		return err
	}
	here := fmt.Sprintf("127.0.0.1:%d", l.port)
	l.controller = &process{
		name: "controller", story: l.story, log: filepath.Join(l.dir, "controller.log"),
		argv: []string{filepath.Join(l.bin, "berth-controller"), "serve", "--data", filepath.Join(l.disk.dir, "data"), "--listen", here, "--log-level", "debug"},
		env:  []string{"BERTH_API_KEY=" + apiKey, "BERTH_ADMIN_PASSWORD=a password for the tests", "BERTH_RATE_LIMIT=0"},
	}
	if l.front, err = newProxy("127.0.0.1:0", here); err != nil {
		return err
	}
	l.api = newClient("http://"+l.front.addr(), l.story)
	if err := l.controller.start(); err != nil {
		return err
	}
	return l.awaitController(time.Minute)
}

func (l *lab) awaitController(patience time.Duration) error {
	return until(patience, "the controller answers", func() error {
		return l.api.get("/api/v1/health", nil)
	})
}

// until calls f until it gives nil.
func until(patience time.Duration, what string, f func() error) error {
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if err = f(); err == nil {
			return nil
		}
	}
	return fmt.Errorf("not within %s: %s: %w", patience, what, err)
}

func (l *lab) startNodes() error {
	if _, err := command("ip", "route", "add", "blackhole", netRange+"/16"); err != nil {
		return err // what is meant for a node whose link is gone must go nowhere else
	}
	errs := make([]error, nodes)
	l.nodes = make([]*node, nodes)
	var starts sync.WaitGroup
	for i := range l.nodes {
		l.nodes[i] = &node{
			lab: l, name: fmt.Sprintf("n%d", i), namespace: fmt.Sprintf("%s%d", netPrefix, i),
			address: fmt.Sprintf("10.213.%d.2", i), gateway: fmt.Sprintf("10.213.%d.1", i),
		}
		if errs[i] = l.nodes[i].wire(); errs[i] != nil {
			return errs[i]
		}
	}
	for i, n := range l.nodes {
		starts.Go(func() { errs[i] = n.startEngine() })
	}
	starts.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	tunnels := l.knowsTunnels()
	for i, n := range l.nodes {
		n.tunnel = tunnels && i == nodes-1
		starts.Go(func() { errs[i] = n.startAgent() })
	}
	starts.Wait()
	return errors.Join(errs...)
}

// knowsTunnels says whether both programs of this build have them.
func (l *lab) knowsTunnels() bool {
	said, _ := command(filepath.Join(l.bin, "berth-agent"), "serve", "--help")
	a, err := l.api.try("GET", "/api/v1/tunnel", "", nil, 10*time.Second)
	return strings.Contains(said, "--tunnel") && err == nil && !strings.Contains(a.message, "there is nothing at")
}

// furnish makes the owner of the instances and their image.
func (l *lab) furnish() error {
	var users []struct{ ID string }
	if err := l.api.get("/api/v1/users", &users); err != nil || len(users) == 0 {
		return fmt.Errorf("no user: %w", err)
	}
	l.owner = users[0].ID
	return l.api.once("POST", "/api/v1/images/import", map[string]any{
		"Name": "Witness", "Image": reference, "StopCommand": "stop",
		"Variables": map[string]any{
			"MARK":     map[string]any{"type": "text", "required": true},
			"GREETING": map[string]any{"type": "text", "default": "hello"},
		},
	}, nil)
}

// healProcesses lifts all faults and runs all programs.
func (l *lab) healProcesses() {
	heal := func(p *process) {
		if p != nil {
			p.thaw()
		}
	}
	heal(l.controller)
	for _, n := range l.nodes {
		if n != nil {
			heal(n.agent)
			heal(n.dockerd)
		}
	}
}
