package stats

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
)

const boxID = "4f1d3c00aa55aa55aa55aa55aa55aa55aa55aa55aa55aa55aa55aa55aa55aa55"

// tree writes files beneath a directory that stands for the machine's root.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		put(t, root, name, content)
	}
	return root
}

func put(t testing.TB, root, name, content string) {
	t.Helper()
	file := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

const netDev = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 999999      10    0    0    0     0          0         0   999999      10    0    0    0     0       0          0
  eth0: 1000        7    0    0    0     0          0         0     500       9    0    0    0     0       0          0
  eth1:20            1    0    0    0     0          0         0       3       1    0    0    0     0       0          0
`

// v1 is a machine with cgroup v1, two of whose controllers share a mount.
func v1() map[string]string {
	dir := "/docker/" + boxID + "/"
	return map[string]string{
		"/proc/self/mountinfo": "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n" +
			"32 31 0:29 / /cg/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n35 31 0:32 / /cg/memory rw shared:9 - cgroup cgroup rw,memory\n" +
			"38 31 0:35 / /cg/blkio rw - cgroup cgroup rw,blkio\n39 31 0:36 / /cg/pids rw - cgroup cgroup rw,pids\n" +
			"41 31 0:38 / /cg/unified rw - cgroup2 cgroup2 rw\n",
		"/proc/77/cgroup": "9:name=systemd:" + dir + "\n8:pids:" + strings.TrimSuffix(dir, "/") + "\n7:blkio:/docker/" + boxID + "\n4:memory:/docker/" + boxID +
			"/init.scope\n2:cpu,cpuacct:/docker/" + boxID + "\n0::/docker/" + boxID + "\n",
		"/proc/77/net/dev":                                              netDev,
		"/cg/cpu" + dir + "cpuacct.usage":                               "2500000000\n",
		"/cg/memory" + dir + "memory.usage_in_bytes":                    "1048576\n",
		"/cg/memory" + dir + "memory.limit_in_bytes":                    "67108864\n",
		"/cg/memory" + dir + "memory.stat":                              "cache 5\ninactive_file 1\ntotal_inactive_file 48576\ntotal_x 9\n",
		"/cg/blkio" + dir + "blkio.throttle.io_service_bytes_recursive": "8:0 Read 100\n8:0 Write 30\n8:0 Sync 1\n8:0 Total 130\n7:1 Read 1\n7:1 Write 2\nTotal 133\n",
		"/cg/pids" + dir + "pids.current":                               "3\n",
	}
}

// v2 is a machine with cgroup v2 alone, as systemd names containers.
func v2() map[string]string {
	dir := "/sys/fs/cgroup/system.slice/docker-" + boxID + ".scope/"
	return map[string]string{
		"/proc/self/mountinfo": "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n",
		"/proc/77/cgroup":      "0::/system.slice/docker-" + boxID + ".scope/inside/deeper\n",
		"/proc/77/net/dev":     netDev,
		dir + "cpu.stat":       "usage_usec 2500000\nuser_usec 1\nsystem_usec 2\n",
		dir + "memory.current": "1048576\n",
		dir + "memory.max":     "67108864\n",
		dir + "memory.stat":    "anon 5\ninactive_file 48576\n",
		dir + "io.stat":        "8:0 rbytes=100 wbytes=30 rios=1 wios=1 dbytes=0 dios=0\n7:1 rbytes=1 wbytes=2\n",
		dir + "pids.current":   "3\n",
	}
}

var clock = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func fixed() time.Time { return clock }

func TestKernel(t *testing.T) {
	t.Parallel()
	want := runtime.Usage{
		At: clock, CPU: 2500 * time.Millisecond, MemoryBytes: 1_000_000, MemoryLimit: 64 << 20,
		NetIn: 1020, NetOut: 503, DiskRead: 101, DiskWrite: 32, Pids: 3,
	}
	for name, files := range map[string]map[string]string{"v1": v1(), "v2": v2()} {
		k := openKernel(tree(t, files), fixed)
		b, err := k.find(77, boxID)
		if err != nil {
			t.Errorf("%s: find: %v", name, err)
			continue
		}
		if u, err := k.usage(b); err != nil || u != want {
			t.Errorf("%s: %+v, %v; want %+v", name, u, err, want)
		}
	}
}

// TestKernelHides: what isn't surely the container's is not measured.
func TestKernelHides(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(map[string]string){
		"another process has the number": func(f map[string]string) {
			f["/proc/77/cgroup"] = "0::/system.slice/ssh.service\n"
		},
		"another container": func(f map[string]string) {
			f["/proc/77/cgroup"] = strings.ReplaceAll(f["/proc/77/cgroup"], boxID[:8], "00000000")
		},
		"no such process":      func(f map[string]string) { delete(f, "/proc/77/cgroup") },
		"a cgroup namespace":   func(f map[string]string) { f["/proc/77/cgroup"] = "0::/../docker-" + boxID + ".scope\n" },
		"a path that climbs":   func(f map[string]string) { f["/proc/77/cgroup"] = "0::/a/../../" + boxID + "\n" },
		"an id within a name":  func(f map[string]string) { f["/proc/77/cgroup"] = "0::/x" + boxID + "y\n" },
		"an empty file":        func(f map[string]string) { f["/proc/77/cgroup"] = "" },
		"rubbish":              func(f map[string]string) { f["/proc/77/cgroup"] = ":::\n\x00\n::\n:" + boxID },
		"no mounts":            func(f map[string]string) { delete(f, "/proc/self/mountinfo") },
		"mounts that are none": func(f map[string]string) { f["/proc/self/mountinfo"] = "a b c - d\n - cgroup2\n\n1 2 3 / /x - cgroup" },
		"part of the tree is shown": func(f map[string]string) {
			f["/proc/self/mountinfo"] = "30 23 0:26 /else /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
		},
		"the counters are not there": func(f map[string]string) {
			maps.DeleteFunc(f, func(n, _ string) bool { return strings.Contains(n, "cpu") })
		},
	} {
		for name, files := range map[string]map[string]string{"v1": v1(), "v2": v2()} {
			change(files)
			k := openKernel(tree(t, files), fixed)
			if b, err := k.find(77, boxID); !errors.Is(err, errHidden) {
				t.Errorf("%s, %s: found %+v, %v", what, name, b, err)
			}
		}
	}
	k := openKernel(tree(t, v2()), fixed)
	for _, pid := range []int{0, -1} {
		if _, err := k.find(pid, boxID); !errors.Is(err, errHidden) {
			t.Errorf("process %d was found", pid)
		}
	}
	if _, err := k.find(77, ""); !errors.Is(err, errHidden) {
		t.Error("a container without an id was found")
	}
}

// TestKernelPart: a mount that shows a part of the hierarchy shows it from there.
func TestKernelPart(t *testing.T) {
	t.Parallel()
	files := v2()
	for name, content := range files {
		if rest, ok := strings.CutPrefix(name, "/sys/fs/cgroup/system.slice/"); ok {
			delete(files, name)
			files["/sys/fs/cgroup/"+rest] = content
		}
	}
	files["/proc/self/mountinfo"] = "30 23 0:26 /system.slice /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
	k := openKernel(tree(t, files), fixed)
	if b, err := k.find(77, boxID); err != nil || b.memory == "" {
		t.Fatalf("%+v, %v", b, err)
	}
}

// TestKernelEnds: a cgroup that is empty, or gone, or whose process is gone.
func TestKernelEnds(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(root string){
		"no processes": func(root string) {
			put(t, root, "/sys/fs/cgroup/system.slice/docker-"+boxID+".scope/pids.current", "0\n")
		},
		"the cgroup":  func(root string) { _ = os.RemoveAll(root + "/sys/fs/cgroup/system.slice") },
		"the process": func(root string) { _ = os.RemoveAll(root + "/proc/77") },
		"the processor": func(root string) {
			_ = os.Remove(root + "/sys/fs/cgroup/system.slice/docker-" + boxID + ".scope/cpu.stat")
		},
		"memory's state": func(root string) {
			_ = os.Remove(root + "/sys/fs/cgroup/system.slice/docker-" + boxID + ".scope/memory.stat")
		},
	} {
		root := tree(t, v2())
		k := openKernel(root, fixed)
		b, err := k.find(77, boxID)
		if err != nil {
			t.Fatal(err)
		}
		change(root)
		if u, err := k.usage(b); !errors.Is(err, errEnded) {
			t.Errorf("%s gone: %+v, %v", what, u, err)
		}
	}
}

// TestKernelHostile: content that no kernel writes is no figure, and no harm.
func TestKernelHostile(t *testing.T) {
	t.Parallel()
	dir := "/sys/fs/cgroup/system.slice/docker-" + boxID + ".scope/"
	for what, c := range map[string]struct {
		file, content string
		refused       bool
		right         func(runtime.Usage) bool
	}{
		"no limit":            {dir + "memory.max", "max\n", false, func(u runtime.Usage) bool { return u.MemoryLimit == 0 }},
		"a limit of v1's":     {dir + "memory.max", "9223372036854771712\n", false, func(u runtime.Usage) bool { return u.MemoryLimit == 0 }},
		"more cache than all": {dir + "memory.stat", "inactive_file 99999999999\n", false, func(u runtime.Usage) bool { return u.MemoryBytes == 1<<20 }},
		"no cache":            {dir + "memory.stat", "", false, func(u runtime.Usage) bool { return u.MemoryBytes == 1<<20 }},
		"a name in a value":   {dir + "memory.stat", "x inactive_file 7\n", false, func(u runtime.Usage) bool { return u.MemoryBytes == 1<<20 }},
		"negative memory":     {dir + "memory.current", "-5\n", true, nil},
		"too much memory":     {dir + "memory.current", "99999999999999999999999999\n", true, nil},
		"no time":             {dir + "cpu.stat", "nothing\n", true, nil},
		"all time":            {dir + "cpu.stat", "usage_usec 9223372036854775807\n", true, nil},
		"binary":              {dir + "pids.current", "\x00\xff\x01", true, nil},
		"io of nothing":       {dir + "io.stat", "8:0 rbytes wbytes= =5 rbytes=x\n\n:\n", false, func(u runtime.Usage) bool { return u.DiskRead == 0 && u.DiskWrite == 0 }},
		"io without end":      {dir + "io.stat", "8:0 rbytes=9223372036854775807\n8:1 rbytes=9223372036854775807\n", false, func(u runtime.Usage) bool { return u.DiskRead == 1<<63-1 }},
		"devices of nothing":  {"/proc/77/net/dev", "eth0: 1 2 3\n:::\neth1\n : 1 2 3 4 5 6 7 8 9\n", false, func(u runtime.Usage) bool { return u.NetIn == 0 && u.NetOut == 0 }},
		"a name with spaces":  {"/proc/77/net/dev", "a b c: 5 0 0 0 0 0 0 0 6 0\n", false, func(u runtime.Usage) bool { return u.NetIn == 5 && u.NetOut == 6 }},
		"more than a buffer":  {"/proc/77/net/dev", strings.Repeat("x: 1 0 0 0 0 0 0 0 1 0\n", 10_000), false, func(u runtime.Usage) bool { return u.NetIn > 0 && u.NetIn < 10_000 }},
		"one line of no end":  {dir + "memory.stat", strings.Repeat("inactive_file", 100_000), false, func(u runtime.Usage) bool { return u.MemoryBytes == 1<<20 }},
	} {
		root := tree(t, v2())
		k := openKernel(root, fixed)
		b, err := k.find(77, boxID)
		if err != nil {
			t.Fatal(err)
		}
		put(t, root, c.file, c.content)
		u, err := k.usage(b)
		if (err != nil) != c.refused || errors.Is(err, errEnded) || !c.refused && !c.right(u) {
			t.Errorf("%s: %+v, %v", what, u, err)
		}
	}
}

func FuzzParsers(f *testing.F) {
	f.Add([]byte(netDev))
	f.Add([]byte("8:0 rbytes=100 wbytes=30\n8:0 Read 5"))
	f.Fuzz(func(t *testing.T, content []byte) {
		in, out := devices(content, func(string) bool { return true })
		r, w := transfers(content, true)
		r1, w1 := transfers(content, false)
		n, _ := keyed(content, "usage_usec")
		for _, v := range []int64{in, out, r, w, r1, w1, n} {
			if v < 0 {
				t.Fatalf("%q gives a negative figure", content)
			}
		}
	})
}
