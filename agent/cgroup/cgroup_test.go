package cgroup_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-panel/berth/agent/cgroup"
	"github.com/berth-panel/berth/shared/wire"
)

const container = "0123456789abcdef0123456789abcdef"

// tree is a machine made of files.
type tree struct {
	t    *testing.T
	root string
}

func (m tree) write(name, text string) {
	m.t.Helper()
	name = filepath.Join(m.root, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

func (m tree) read(name string) string {
	m.t.Helper()
	text, err := os.ReadFile(filepath.Join(m.root, name))
	if err != nil {
		m.t.Fatal(err)
	}
	return string(text)
}

// disk makes the device of the test's own folder one that the machine has.
func (m tree) disk() string {
	m.t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(m.root, &st); err != nil {
		m.t.Fatal(err)
	}
	device := fmt.Sprintf("%d:%d", unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev))) //nolint:unconvert // its type differs between machines
	m.write("sys/dev/block/"+device+"/dev", device+"\n")
	return device
}

var limits = wire.Limits{ReadBytes: 1 << 20, WriteBytes: 2 << 20, WriteOps: 100}

func TestThrottleVersion1(t *testing.T) {
	t.Parallel()
	m := tree{t, t.TempDir()}
	device := m.disk()
	m.write("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n")
	m.write("proc/77/cgroup", "5:blkio:/docker/"+container+"/inner\n3:cpu,cpuacct:/docker/"+container+"\n")
	at := "sys/fs/cgroup/blkio/docker/" + container + "/blkio.throttle."
	for _, file := range []string{"read_bps", "write_bps", "read_iops", "write_iops"} {
		m.write(at+file+"_device", "")
	}
	if err := cgroup.Open(m.root).Throttle(77, container, m.root, limits); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"read_bps": "1048576", "write_bps": "2097152", "read_iops": "0", "write_iops": "100"} {
		if got := m.read(at + file + "_device"); got != device+" "+want {
			t.Errorf("%s: %q", file, got)
		}
	}
}

func TestThrottleVersion2(t *testing.T) {
	t.Parallel()
	m := tree{t, t.TempDir()}
	device := m.disk()
	m.write("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
	m.write("proc/77/cgroup", "0::/system.slice/docker-"+container+".scope\n")
	dir := "sys/fs/cgroup/system.slice/docker-" + container + ".scope/"
	if err := cgroup.Open(m.root).Throttle(77, container, m.root, limits); err == nil {
		t.Error("it was limited without a controller")
	}
	m.write(dir+"io.max", "")
	if err := cgroup.Open(m.root).Throttle(77, container, m.root, limits); err != nil {
		t.Fatal(err)
	}
	if got := m.read(dir + "io.max"); got != device+" rbps=1048576 wbps=2097152 riops=max wiops=100" {
		t.Errorf("%q", got)
	}
}

// A process that isn't the container's is never believed.
func TestFindBelievesTheIDOnly(t *testing.T) {
	t.Parallel()
	m := tree{t, t.TempDir()}
	m.write("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\nnonsense\n")
	for pid, text := range map[int]string{
		1: "0::/init.scope\n", 2: "0::/docker/ffffffffffffffff\n", 3: "0::/../" + container + "\n", 4: "0::" + container + "\n", 5: "x\n::\n:::\n", 6: "",
	} {
		m.write(fmt.Sprintf("proc/%d/cgroup", pid), text)
		if g, err := cgroup.Open(m.root).Find(pid, container); !errors.Is(err, cgroup.ErrHidden) {
			t.Errorf("%q: %+v, %v", text, g, err)
		}
	}
	for _, pid := range []int{0, -1, 99} {
		if _, err := cgroup.Open(m.root).Find(pid, container); !errors.Is(err, cgroup.ErrHidden) {
			t.Errorf("%d: %v", pid, err)
		}
	}
}
