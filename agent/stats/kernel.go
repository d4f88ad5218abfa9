package stats

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/berth-panel/berth/agent/cgroup"
	"github.com/berth-panel/berth/agent/runtime"
)

// errHidden says that the kernel shows nothing of a container here; the engine
// may know.
var errHidden = errors.New("the container's counters can't be read on this machine")

// errEnded says that a container that was measured is down.
var errEnded = errors.New("the container has ended")

// kernel reads counters out of /proc and the cgroup filesystems. It is used by
// one goroutine: its buffer is.
type kernel struct {
	root   string // "" on a machine; tests have a tree of files
	groups *cgroup.Tree
	buffer []byte
	now    func() time.Time
}

// openKernel learns where the cgroups are mounted. On a machine without any, all
// is hidden.
func openKernel(root string, now func() time.Time) *kernel {
	return &kernel{root: root, groups: cgroup.Open(root), buffer: make([]byte, 64<<10), now: now}
}

// read gives a small file's content, which the next call overwrites. What is
// longer than the buffer is cut.
func (k *kernel) read(name string) ([]byte, error) {
	n, err := readInto(k.root+name, k.buffer)
	return k.buffer[:n], err
}

// box are the files of one life of a container. Those that aren't there are "".
type box struct {
	v2                                        bool
	cpu, memory, reclaimable, limit, io, pids string
	net                                       string
}

// find looks the container's files up by its first process. The same number may
// be another process's by now, or mean one of another machine: only a path that
// holds the container's id is believed.
func (k *kernel) find(pid int, id runtime.ContainerID) (box, error) {
	groups, err := k.groups.Find(pid, string(id))
	if err != nil {
		return box{}, errHidden
	}
	b := box{net: "/proc/" + strconv.Itoa(pid) + "/net/dev"}
	if _, ok := groups.V1["cpuacct"]; ok {
		k.findV1(&b, groups.V1)
	} else if groups.V2 != "" {
		k.findV2(&b, groups.V2)
	}
	if b.cpu == "" {
		return box{}, errHidden
	}
	return b, nil
}

func (k *kernel) findV1(b *box, dirs map[string]string) {
	in := func(controller, file string) string {
		if dirs[controller] == "" {
			return ""
		}
		return k.there(dirs[controller] + "/" + file)
	}
	b.cpu = in("cpuacct", "cpuacct.usage")
	b.memory, b.reclaimable, b.limit = in("memory", "memory.usage_in_bytes"), in("memory", "memory.stat"), in("memory", "memory.limit_in_bytes")
	if b.io = in("blkio", "blkio.throttle.io_service_bytes_recursive"); b.io == "" {
		b.io = in("blkio", "blkio.throttle.io_service_bytes")
	}
	b.pids = in("pids", "pids.current")
}

func (k *kernel) findV2(b *box, dir string) {
	b.v2 = true
	b.cpu = k.there(dir + "/cpu.stat")
	b.memory, b.reclaimable, b.limit = k.there(dir+"/memory.current"), k.there(dir+"/memory.stat"), k.there(dir+"/memory.max")
	b.io, b.pids = k.there(dir+"/io.stat"), k.there(dir+"/pids.current")
}

// there gives the name back when the file can be read.
func (k *kernel) there(name string) string {
	if _, err := k.read(name); err != nil {
		return ""
	}
	return name
}

// usage measures. errEnded says that nothing runs there any more.
func (k *kernel) usage(b box) (runtime.Usage, error) {
	u := runtime.Usage{}
	if b.pids != "" {
		n, err := k.number(b.pids)
		if err != nil {
			return u, err
		}
		if n == 0 {
			return u, errEnded
		}
		u.Pids = n
	}
	if err := k.processor(b, &u); err != nil {
		return u, err
	}
	u.At = k.now()
	if err := k.memory(b, &u); err != nil {
		return u, err
	}
	content, err := k.read(b.net)
	if err != nil {
		return u, gone(err)
	}
	u.NetIn, u.NetOut = devices(content, func(name string) bool { return name != "lo" })
	if b.io == "" {
		return u, nil
	}
	if content, err = k.read(b.io); err != nil {
		return u, gone(err)
	}
	u.DiskRead, u.DiskWrite = transfers(content, b.v2)
	return u, nil
}

func (k *kernel) processor(b box, u *runtime.Usage) error {
	if !b.v2 {
		n, err := k.number(b.cpu)
		u.CPU = time.Duration(n)
		return err
	}
	content, err := k.read(b.cpu)
	if err != nil {
		return gone(err)
	}
	n, ok := keyed(content, "usage_usec")
	if !ok || n > 1<<62/1000 {
		return fmt.Errorf("%s says no time", b.cpu)
	}
	u.CPU = time.Duration(n) * time.Microsecond
	return nil
}

// noLimit is what v1 says, or more, when there is none.
const noLimit = 1 << 62

func (k *kernel) memory(b box, u *runtime.Usage) error {
	if b.memory == "" {
		return nil
	}
	n, err := k.number(b.memory)
	if err != nil {
		return err
	}
	u.MemoryBytes = n
	if b.limit != "" {
		content, err := k.read(b.limit)
		if err != nil {
			return gone(err)
		}
		if n, ok := number(trim(content)); ok && n < noLimit { // v2 says "max"
			u.MemoryLimit = n
		}
	}
	if b.reclaimable == "" {
		return nil
	}
	content, err := k.read(b.reclaimable)
	if err != nil {
		return gone(err)
	}
	name := "total_inactive_file"
	if b.v2 {
		name = "inactive_file"
	}
	if n, ok := keyed(content, name); ok && n < u.MemoryBytes {
		u.MemoryBytes -= n
	}
	return nil
}

// number reads a file that holds one.
func (k *kernel) number(name string) (int64, error) {
	content, err := k.read(name)
	if err != nil {
		return 0, gone(err)
	}
	n, ok := number(trim(content))
	if !ok {
		return 0, fmt.Errorf("%s holds no number", name)
	}
	return n, nil
}

// gone makes errEnded of what a cgroup or a process that went away gives.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || isNoDevice(err) {
		return errEnded
	}
	return err
}
