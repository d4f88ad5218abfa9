package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	agentapp "github.com/berth-panel/berth/agent/app"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
)

// TestNoRoomForAnImage: a real engine whose disk is full says so in the job, with
// what to do; once there is room the same order works.
func TestNoRoomForAnImage(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it starts an engine of its own")
	}
	runtimetest.DockerHost(t) // skips where tests use no engine
	disk := smallDisk(t)
	engine := engineOn(t, disk)
	p := startPanel(t, "")
	var h *host
	t.Cleanup(func() { // once the agent has ended
		if h != nil {
			runtimetest.CleanDocker(t, engine, h.id)
		}
	})
	h = p.addHost("small", func(c *agentapp.Config) { c.DockerHost = engine })
	owner := p.user("owner")
	reference := runtimetest.NewRegistry(t).OfferProbe(t, engine, "team/large")
	p.catalogue(reference, []string{"idle"}, nil)
	ballast := filepath.Join(disk, "ballast")
	fillUp(t, ballast)

	id, job := h.begin(h.body(reference, owner, 0))
	failed := p.awaitJob(job, "failed")
	if why := failed.Failure; why == nil || why.Code != "INSUFFICIENT_RESOURCES" || why.Message != "the node's disk is full: image "+reference+" does not fit until an admin makes room there" {
		t.Fatalf("it failed with %+v", why)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	p.awaitJob(p.order(id, "start"), "succeeded")
	p.awaitStatus(id, "running")
}

// smallDisk mounts a filesystem of 200 MiB of its own.
func smallDisk(t *testing.T) (dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a filesystem takes root")
	}
	dir = t.TempDir()
	image := filepath.Join(t.TempDir(), "disk.img")
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 200<<20)); err != nil {
		t.Fatal(err)
	}
	for _, argv := range [][]string{{"mkfs.ext4", "-q", "-F", "-m", "0", image}, {"mount", "-o", "loop", image, dir}} {
		if said, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Skipf("this machine can't make a small filesystem: %s: %v: %s", argv[0], err, said)
		}
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// engineOn runs a Docker Engine on that disk until the test ends, and gives its
// address. It has a bridge and addresses of its own: one that is told to have no
// bridge takes the machine's docker0 away.
func engineOn(t *testing.T, disk string) (host string) {
	t.Helper()
	run, err := os.MkdirTemp("", "berth") // short: a socket's name has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(run) })
	config, socket := filepath.Join(run, "daemon.json"), filepath.Join(run, "docker.sock")
	if err := os.WriteFile(config, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	bridge := ownBridge(t)
	log, err := os.Create(filepath.Join(run, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	command := exec.Command("dockerd", "--config-file", config, "--data-root", filepath.Join(disk, "docker"), "--exec-root", filepath.Join(run, "exec"),
		"--pidfile", filepath.Join(run, "docker.pid"), "--host", "unix://"+socket, "--bridge", bridge, "--default-address-pool", "base=10.213.0.0/16,size=24", "--iptables=false", "--ip6tables=false", "--log-level", "warn")
	command.Env = append(os.Environ(), "DOCKER_HOST=")
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Skipf("there is no dockerd to start here: %v", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = command.Wait() // it is told to end
	}()
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		<-ended
	})
	eventually(t, "the small engine listens", func() bool {
		select {
		case <-ended:
			said, _ := os.ReadFile(log.Name())
			t.Skipf("this machine runs no second engine: %s", said)
		default:
		}
		conn, err := net.Dial("unix", socket)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return "unix://" + socket
}

// ownBridge makes a bridge for an engine's default network.
func ownBridge(t *testing.T) (name string) {
	t.Helper()
	name = fmt.Sprintf("berth-t%d", os.Getpid())
	if said, err := exec.Command("ip", "link", "add", "name", name, "type", "bridge").CombinedOutput(); err != nil {
		t.Skipf("this machine can't make a bridge: %v: %s", err, said)
	}
	t.Cleanup(func() {
		if said, err := exec.Command("ip", "link", "delete", name).CombinedOutput(); err != nil {
			t.Errorf("the bridge stays: %v: %s", err, said)
		}
	})
	return name
}

// fillUp leaves a disk 1 MiB.
func fillUp(t *testing.T, ballast string) {
	t.Helper()
	file, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if _, err = io.Copy(file, endless{}); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk isn't full: %v", err)
	}
	end, err := file.Seek(0, io.SeekEnd)
	if err := errors.Join(err, file.Truncate(end-1<<20)); err != nil {
		t.Fatal(err)
	}
}

// endless is what a disk is filled with.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
