package faults

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Where a run keeps its things. The path of a socket may have 108 characters
// only, so those have a short folder of their own.
const (
	runDir    = "/run/berth-faults"
	netPrefix = "bflt"       // of namespaces and links
	netRange  = "10.213.0.0" // /16, never routed anywhere
)

// workDir holds disks, images and logs; a killed run's remains are found by it.
func workDir() string { return filepath.Join(os.TempDir(), "berth-faults") }

// command runs a program and gives what it printed.
func command(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// able skips the test, or fails it where Docker is required, on a machine where
// this can't be done.
func able(t testing.TB) {
	t.Helper()
	if err := needs(); err != nil {
		if os.Getenv("BERTH_TEST_DOCKER") == "required" {
			t.Fatalf("engines in networks of their own are not possible here, and BERTH_TEST_DOCKER says that they are required: %v", err)
		}
		t.Skipf("engines in networks of their own are not possible here, so this test is skipped: %v", err)
	}
}

func needs() error {
	if os.Geteuid() != 0 {
		return errors.New("it takes root")
	}
	for _, name := range []string{"ip", "nsenter", "iptables", "dockerd", "mkfs.ext4", "mount"} {
		if _, err := exec.LookPath(name); err != nil {
			return err
		}
	}
	return nil
}

// lockMachine waits until no other run of this machine is under way.
func lockMachine(t testing.TB) {
	t.Helper()
	if err := os.MkdirAll(runDir, 0o711); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(filepath.Join(runDir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	for n := 0; ; n++ {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			t.Fatal(err)
		}
		if n == 0 {
			t.Log("another run of the fault program is under way on this machine; waiting for it")
		}
		time.Sleep(time.Second)
	}
}

// sweep removes all that a run makes, of this or of an earlier one: processes,
// namespaces, mounts, files. It must hold the lock.
func sweep() error {
	errs := []error{endProcesses(), endContainers()}
	namespaces, err := command("ip", "netns", "list")
	errs = append(errs, err)
	for line := range strings.Lines(namespaces) {
		if name, _, _ := strings.Cut(strings.TrimSpace(line), " "); strings.HasPrefix(name, netPrefix) {
			errs = append(errs, unmountAll("/run/netns/"+name, false))
			_, err := command("ip", "netns", "delete", name)
			errs = append(errs, err)
		}
	}
	links, err := filepath.Glob("/sys/class/net/" + netPrefix + "*")
	errs = append(errs, err)
	for _, link := range links {
		_, _ = command("ip", "link", "delete", filepath.Base(link)) // it goes with its namespace, in a moment
	}
	_, _ = command("ip", "route", "delete", "blackhole", netRange+"/16") // it may not be there
	errs = append(errs, unmountAll(runDir, true), unmountAll(workDir()+"/run", true))
	for _, dir := range []string{"n0", "n1", "n2"} {
		errs = append(errs, os.RemoveAll(filepath.Join(runDir, dir)))
	}
	errs = append(errs, os.RemoveAll(filepath.Join(workDir(), "run")))
	return errors.Join(errs...)
}

// endProcesses kills what was started with one of our folders among its words:
// controllers, agents, engines, and what holds the engines' containers.
func endProcesses() error {
	ours := func(pid int) bool {
		words, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		return pid != os.Getpid() && (strings.Contains(string(words), runDir+"/n") || strings.Contains(string(words), workDir()+"/run/"))
	}
	return endAll(ours)
}

// endContainers kills what is left of containers: they are known by the control
// group of an id that one of our engines keeps.
func endContainers() error {
	dirs, err := filepath.Glob(workDir() + "/run/n*/docker/containers/*")
	if err != nil || len(dirs) == 0 {
		return err
	}
	ids := map[string]bool{}
	for _, dir := range dirs {
		ids[filepath.Base(dir)] = true
	}
	return endAll(func(pid int) bool {
		groups, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
		for line := range strings.Lines(string(groups)) {
			name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(strings.TrimSpace(line)), "docker-"), ".scope")
			if ids[name] {
				return true
			}
		}
		return false
	})
}

// endAll kills the processes that match, and waits until they are gone.
func endAll(match func(pid int) bool) error {
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		entries, err := os.ReadDir("/proc")
		if err != nil {
			return err
		}
		var left []int
		for _, e := range entries {
			pid, err := strconv.Atoi(e.Name())
			if err != nil || !match(pid) || zombie(pid) {
				continue
			}
			left = append(left, pid)
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended meanwhile
		}
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v do not end", left)
		}
	}
}

func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "Z")
}

// unmountAll undoes the mounts at a place, and below it, the last one first.
func unmountAll(place string, below bool) error {
	file, err := os.Open("/proc/self/mounts")
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	var points []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		point := strings.Fields(lines.Text())[1]
		if point == place || (below && strings.HasPrefix(point, place+"/")) {
			points = append(points, point)
		}
	}
	slices.Reverse(points)
	var errs []error
	for _, p := range points {
		if err := syscall.Unmount(p, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
			errs = append(errs, fmt.Errorf("unmount %s: %w", p, err))
		}
	}
	return errors.Join(errs...)
}

// firewallPath is a folder to put before the PATH on kernels that know only the
// older of Debian's two iptables.
func firewallPath(namespace string) (string, error) {
	if _, err := command("nsenter", "--net=/run/netns/"+namespace, "iptables", "-w", "-t", "nat", "-S"); err == nil {
		return "", nil
	}
	if _, err := command("nsenter", "--net=/run/netns/"+namespace, "iptables-legacy", "-w", "-t", "nat", "-S"); err != nil {
		return "", fmt.Errorf("this kernel has no firewall for engines: %w", err)
	}
	dir := filepath.Join(workDir(), "run", "bin")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for _, name := range []string{"iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"} {
		real, err := exec.LookPath(strings.Replace(name, "tables", "tables-legacy", 1))
		if err != nil {
			continue
		}
		if err := os.Symlink(real, filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrExist) {
			return "", err
		}
	}
	return dir + ":", nil
}
