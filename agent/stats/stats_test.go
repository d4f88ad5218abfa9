package stats_test

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/instance"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/stats"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	one = ident.Instance("0123abcd")
	two = ident.Instance("deadbeef")
)

// bench is a Service on a tree of files, beside what it asks.
type bench struct {
	*stats.Service
	t    testing.TB
	root string
	dir  string

	mu      sync.Mutex
	now     time.Time
	ups     []instance.Up
	held    map[ident.Instance]bool
	pids    map[runtime.ContainerID]int
	usage   map[runtime.ContainerID]runtime.Usage
	asked   int
	hang    chan struct{} // calls to the engine wait for it
	disk    int64
	diskErr error
}

func setup(t testing.TB) *bench {
	t.Helper()
	b := &bench{
		t: t, root: t.TempDir(), dir: filepath.Join(t.TempDir(), "stats"), now: time.Date(2026, 11, 22, 12, 0, 0, 500_000_000, time.UTC),
		held: map[ident.Instance]bool{}, pids: map[runtime.ContainerID]int{}, usage: map[runtime.ContainerID]runtime.Usage{},
	}
	b.file("/proc/self/mountinfo", "30 23 0:26 / /cg rw - cgroup2 cgroup2 rw\n")
	b.machine(0, 0)
	b.open()
	return b
}

// open makes the service, as an agent's start does.
func (b *bench) open() {
	b.t.Helper()
	s, err := stats.New(stats.Options{
		Dir: b.dir, Volumes: b.root, Instances: b, Engine: b, Disks: b, Log: slog.New(slog.DiscardHandler), Now: b.clock, Root: b.root,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = s.Close() })
	b.Service = s
}

func (b *bench) file(name, content string) {
	b.t.Helper()
	file := filepath.Join(b.root, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// machine says what the node has done so far: ticks, and bytes in.
func (b *bench) machine(busy, in int64) {
	b.t.Helper()
	b.file("/proc/stat", fmt.Sprintf("cpu  %d 0 0 99999 99999 0 0 0 0 0\ncpu0 1\n", busy))
	b.file("/proc/net/dev", fmt.Sprintf("a | b\nc | d\n  lo: 9 9 0 0 0 0 0 0 9 0\n eth0: %d 0 0 0 0 0 0 0 7 0\n br0: 9 0 0 0 0 0 0 0 9 0\nveth1: 9 0 0 0 0 0 0 0 9 0\n", in))
	b.file("/sys/class/net/br0/bridge/x", "")
	b.file("/sys/class/net/veth1/master", "")
	b.file("/proc/meminfo", "MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    400 kB\n")
	b.file("/proc/loadavg", "0.50 0.40 0.30 1/100 999\n")
	b.file("/proc/uptime", "12.50 20.00\n")
}

// up starts a container whose process is pid; 0 lets the engine not say it.
func (b *bench) up(id ident.Instance, container runtime.ContainerID, pid int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held[id] = true
	b.pids[container] = pid
	b.ups = append(b.ups, instance.Up{Instance: id, Container: container, Started: b.now})
}

func (b *bench) down(id ident.Instance) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var left []instance.Up
	for _, up := range b.ups {
		if up.Instance != id {
			left = append(left, up)
		}
	}
	b.ups = left
}

// used says what a container's cgroup counts.
func (b *bench) used(container runtime.ContainerID, pid int, cpu time.Duration, bytes int64) {
	b.t.Helper()
	b.file(fmt.Sprintf("/proc/%d/cgroup", pid), "0::/docker/"+string(container)+"\n")
	b.file(fmt.Sprintf("/proc/%d/net/dev", pid), fmt.Sprintf("eth0: %d 0 0 0 0 0 0 0 %d 0\n", bytes, 2*bytes))
	dir := "/cg/docker/" + string(container)
	b.file(dir+"/cpu.stat", fmt.Sprintf("usage_usec %d\n", cpu.Microseconds()))
	b.file(dir+"/memory.current", "4096\n")
	b.file(dir+"/memory.max", "8192\n")
	b.file(dir+"/memory.stat", "inactive_file 0\n")
	b.file(dir+"/io.stat", fmt.Sprintf("8:0 rbytes=%d wbytes=%d\n", 3*bytes, 4*bytes))
	b.file(dir+"/pids.current", "2\n")
}

func (b *bench) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

// rounds lets so many seconds pass, with a round in each.
func (b *bench) rounds(n int) {
	for range n {
		b.pass(time.Second)
		b.Round(b.t.Context())
	}
}

func (b *bench) Running(list []instance.Up) []instance.Up {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append(list, b.ups...)
}

func (b *bench) Holds(id ident.Instance) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held[id]
}

func (b *bench) forget(id ident.Instance) {
	b.down(id)
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.held, id)
}

func (b *bench) Inspect(ctx context.Context, id runtime.ContainerID) (runtime.Container, error) {
	b.mu.Lock()
	pid, ok := b.pids[id]
	hang := b.hang
	b.asked++
	b.mu.Unlock()
	if hang != nil {
		select {
		case <-hang:
		case <-ctx.Done():
			return runtime.Container{}, ctx.Err()
		}
	}
	if !ok {
		return runtime.Container{}, runtime.Fail(runtime.Missing, nil, "the container is gone")
	}
	return runtime.Container{ID: id, Status: runtime.Running, Pid: pid}, nil
}

func (b *bench) Stats(_ context.Context, id runtime.ContainerID) (runtime.Usage, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	u, ok := b.usage[id]
	if !ok {
		return runtime.Usage{}, runtime.Fail(runtime.Unreachable, nil, "the engine is away")
	}
	u.At = b.now
	return u, nil
}

func (b *bench) Usage(ident.Instance) (used, limit int64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.disk, 1 << 30, b.diskErr
}

func (b *bench) newest(id ident.Instance) wire.Sample {
	b.t.Helper()
	s, err := b.Newest(id)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *bench) past(id ident.Instance, r wire.Resolution) wire.StatsHistory {
	b.t.Helper()
	h, err := b.History(id, r, time.Time{})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, column := range []int{len(h.CPU), len(h.Memory), len(h.NetIn), len(h.NetOut), len(h.DiskUsed), len(h.Read), len(h.Write), len(h.Pids)} {
		if column != len(h.At) {
			b.t.Fatalf("columns of different lengths: %+v", h)
		}
	}
	return h
}

// boxed is a container's id.
func boxed(n int) runtime.ContainerID { return runtime.ContainerID(fmt.Sprintf("%064x", n)) }

func near(a, b float64) bool { return math.Abs(a-b) < 1e-6*(1+math.Abs(b)) }

func TestSamples(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.disk = 5 << 20
	b.used(boxed(1), 77, 0, 0)
	b.up(one, boxed(1), 77)
	b.rounds(1) // asks for the process
	b.used(boxed(1), 77, time.Second, 1000)
	b.rounds(1)
	b.MeasureDisks(t.Context())
	b.used(boxed(1), 77, 2500*time.Millisecond, 1500)
	b.rounds(1)
	s := b.newest(one)
	want := wire.Sample{
		At: b.clock(), Running: true, CPU: 1.5, MemoryBytes: 4096, MemoryLimit: 8192, NetIn: 1500, NetOut: 3000, DiskRead: 4500, DiskWrite: 6000,
		NetInRate: 500, NetOutRate: 1000, ReadRate: 1500, WriteRate: 2000, Pids: 2, DiskUsed: 5 << 20, DiskLimit: 1 << 30, UptimeMS: 3000,
	}
	if s != want {
		t.Errorf("%+v\nwant %+v", s, want)
	}
	if h := b.past(one, wire.Second); len(h.At) != 2 || h.CPU[0] != 0.5 || h.CPU[1] != 1.5 || h.NetIn[1] != 500 || h.Read[1] != 1500 || h.Pids[1] != 2 || h.DiskUsed[0] != -1 || h.DiskUsed[1] != 5<<20 {
		t.Errorf("%+v", h)
	}
	if all := b.Node(); len(all.Instances) != 1 || all.Instances[one] != s {
		t.Errorf("%+v", all)
	}
	if b.asked != 1 {
		t.Errorf("the engine was asked %d times", b.asked)
	}
}

// TestLives: another life of the container begins at 0, and has no rates of the
// one before.
func TestLives(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.used(boxed(1), 77, time.Hour, 1<<40)
	b.up(one, boxed(1), 77)
	b.rounds(3)
	b.down(one)
	b.rounds(1)
	if s := b.newest(one); s.Running || s.CPU != 0 || s.MemoryBytes != 0 || s.Pids != 0 || s.DiskLimit != 1<<30 {
		t.Errorf("stopped, it uses %+v", s)
	}
	if all := b.Node(); len(all.Instances) != 0 {
		t.Errorf("stopped, it is told of: %+v", all.Instances)
	}
	for life, container := range []runtime.ContainerID{boxed(1), boxed(2)} { // the same container again, and another
		b.down(one)
		b.used(container, 80+life, 0, 0)
		b.up(one, container, 80+life)
		b.rounds(1)
		b.used(container, 80+life, 100*time.Millisecond, 10)
		b.rounds(1)
		if s := b.newest(one); !near(s.CPU, 0.05) || s.NetIn != 10 || s.NetInRate != 5 || s.UptimeMS != 2000 {
			t.Errorf("life %d begins with %+v", life, s)
		}
	}
	for _, cpu := range b.past(one, wire.Second).CPU {
		if cpu > 2000 { // the first one's hour, over its first two seconds
			t.Errorf("%v cores were in use", cpu)
		}
	}
}

// TestCounterReset: a counter that goes back is no negative rate, and none as
// high as the counter.
// TestNextLifeInTheSameRun is about a program that began again in its container: the
// counters go on, and are no work of the new life's.
func TestNextLifeInTheSameRun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.used(boxed(1), 77, 0, 0)
	b.up(one, boxed(1), 77)
	b.rounds(1)
	b.used(boxed(1), 77, time.Hour, 1<<30)
	b.rounds(1)
	b.down(one)
	b.up(one, boxed(1), 77)
	b.rounds(2)
	if s := b.newest(one); s.CPU != 0 || s.NetInRate != 0 || s.NetIn != 1<<30 || !s.Running {
		t.Errorf("%+v", s)
	}
	b.used(boxed(1), 77, time.Hour+time.Second/2, 1<<30+100)
	b.rounds(1)
	if s := b.newest(one); !near(s.CPU, 0.5) || s.NetInRate != 100 || s.UptimeMS != 3000 {
		t.Errorf("%+v", s)
	}
}

func TestCounterReset(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.used(boxed(1), 77, time.Hour, 1<<40)
	b.up(one, boxed(1), 77)
	b.rounds(3)
	b.used(boxed(1), 77, time.Second, 5)
	b.rounds(1)
	if s := b.newest(one); s.CPU != 0 || s.NetInRate != 0 || s.ReadRate != 0 || s.NetIn != 5 {
		t.Errorf("%+v", s)
	}
}

// TestEndedUnseen: the kernel knows of an end before the engine tells; the next
// container is not looked for each second.
func TestEndedUnseen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.used(boxed(1), 77, 0, 0)
	b.up(one, boxed(1), 77)
	b.rounds(3)
	if err := os.RemoveAll(b.root + "/proc/77"); err != nil {
		t.Fatal(err)
	}
	b.mu.Lock()
	delete(b.pids, boxed(1))
	b.mu.Unlock()
	b.rounds(60)
	if b.asked < 2 || b.asked > 10 {
		t.Errorf("the engine was asked %d times in a minute", b.asked)
	}
}

// TestEngineFallback: where the kernel shows nothing, the engine is asked, each
// ten seconds, and each second for a minute after somebody looked.
func TestEngineFallback(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.usage[boxed(1)] = runtime.Usage{CPU: time.Second, MemoryBytes: 7, Pids: 1}
	b.up(one, boxed(1), 4711) // a number of another machine
	b.rounds(2)
	b.asked = 0
	b.rounds(60)
	if b.asked < 5 || b.asked > 7 {
		t.Errorf("asked %d times in a minute that nobody looked in", b.asked)
	}
	if s := b.newest(one); !s.Running || s.MemoryBytes != 7 {
		t.Errorf("%+v", s)
	}
	b.asked = 0
	b.rounds(60)
	if b.asked < 48 || b.asked > 60 {
		t.Errorf("asked %d times in the minute after somebody looked", b.asked)
	}
	b.mu.Lock()
	delete(b.usage, boxed(1))
	b.mu.Unlock()
	b.asked = 0
	b.rounds(120)
	if b.asked > 12 {
		t.Errorf("an engine that is away was asked %d times in two minutes", b.asked)
	}
}

// TestNode: the machine's own figures, and their history.
func TestNode(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.machine(1000, 5000)
	b.rounds(1)
	b.machine(1150, 5300)
	b.rounds(1)
	n := b.Node().Node
	if !near(n.CPU, 1.5) || n.NetInRate != 300 || n.NetOutRate != 0 || n.MemoryTotal != 1000<<10 || n.MemoryUsed != 600<<10 || n.Load1 != 0.5 || n.UptimeMS != 12500 || n.Cores < 1 || n.DiskTotal <= 0 {
		t.Errorf("%+v", n)
	}
	b.rounds(20)
	h, err := b.NodeHistory(wire.Ten, time.Time{})
	if err != nil || len(h.At) < 2 || len(h.Load) != len(h.At) || len(h.Running) != len(h.At) || h.Load[0] != 0.5 || h.Read != nil {
		t.Errorf("%+v, %v", h, err)
	}
	for _, bad := range []string{"", "cpu", "cpu -5 x\n", "\x00"} {
		b.file("/proc/stat", bad)
		b.file("/proc/meminfo", bad)
		b.file("/proc/loadavg", bad)
		b.file("/proc/uptime", bad)
		b.file("/proc/net/dev", bad+"../x: 5 0 0 0 0 0 0 0 5 0\n")
		b.rounds(1)
		if n := b.Node().Node; n.CPU != 0 || n.MemoryUsed != 0 || n.Load1 != 0 || n.NetInRate != 0 {
			t.Errorf("%q gives %+v", bad, n)
		}
	}
}

// TestRestart: another agent goes on with the history; a gap is a gap.
func TestRestart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.used(boxed(1), 77, 0, 0)
	b.up(one, boxed(1), 77)
	b.rounds(125)
	before := b.past(one, wire.Ten)
	b.Write()
	if after := b.past(one, wire.Ten); len(after.At) < 12 || len(after.At) != len(before.At) {
		t.Fatalf("%d points were written of %d", len(after.At), len(before.At))
	}
	b.pass(5 * time.Minute)
	b.open()
	b.rounds(3)
	if h := b.past(one, wire.Second); len(h.At) != 1 { // the first sample has nothing to have rates since
		t.Errorf("%d seconds, want 1", len(h.At))
	}
	b.rounds(20)
	h := b.past(one, wire.Ten)
	if len(h.At) < len(before.At)+1 {
		t.Fatalf("%d points, and %d before", len(h.At), len(before.At))
	}
	gap := false
	for i := range h.At[1:] {
		gap = gap || h.At[i+1]-h.At[i] > 250
	}
	if !gap {
		t.Errorf("no gap in %v", h.At)
	}
	since, err := b.History(one, wire.Ten, time.Unix(h.At[3], 0))
	if err != nil || len(since.At) != len(h.At)-3 {
		t.Errorf("%d points since the fourth of %d, %v", len(since.At), len(h.At), err)
	}
}

// TestRemoved: with an instance goes its history, and what nobody holds goes at
// the next start.
func TestRemoved(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i, id := range []ident.Instance{one, two} {
		b.used(boxed(i), 70+i, 0, 0)
		b.up(id, boxed(i), 70+i)
	}
	b.rounds(65)
	b.Write()
	if names := b.histories(); len(names) != 3 {
		t.Fatalf("%v", names)
	}
	b.forget(one)
	if _, err := b.History(one, wire.Ten, time.Time{}); !problem.Is(err, problem.NotFound) {
		t.Errorf("the history of one that is gone: %v", err)
	}
	b.rounds(65)
	b.Write()
	if names := b.histories(); len(names) != 2 || strings.Contains(strings.Join(names, " "), string(one)) {
		t.Errorf("%v are left", names)
	}
	b.forget(two)
	b.open()
	b.Write()
	if names := b.histories(); len(names) != 1 {
		t.Errorf("%v are left after the start", names)
	}
	if _, err := b.Newest(two); !problem.Is(err, problem.NotFound) {
		t.Errorf("a sample of one that is gone: %v", err)
	}
}

func (b *bench) histories() []string {
	b.t.Helper()
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestUnwritable: a disk that takes nothing costs the history and nothing else;
// what waited is written when it does again.
func TestUnwritable(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.used(boxed(1), 77, 0, 0)
	b.up(one, boxed(1), 77)
	name := filepath.Join(b.dir, string(one)+".ring")
	if err := os.Mkdir(name, 0o700); err != nil { // no file can be made of that name
		t.Fatal(err)
	}
	b.rounds(65)
	b.Write()
	if s := b.newest(one); !s.Running {
		t.Errorf("%+v", s)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	b.Write()
	b.open()
	if h := b.past(one, wire.Ten); len(h.At) < 5 {
		t.Errorf("%d points were kept", len(h.At))
	}
}

// TestRun: the real second, the real clock; the end writes what there is.
func TestRun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.now = time.Time{}
	s, err := stats.New(stats.Options{Dir: b.dir, Volumes: b.root, Instances: b, Engine: b, Log: slog.New(slog.DiscardHandler), Now: time.Now, Root: b.root})
	if err != nil {
		t.Fatal(err)
	}
	b.used(boxed(1), 77, 0, 0)
	b.held[one], b.pids[boxed(1)] = true, 77
	b.ups = []instance.Up{{Instance: one, Container: boxed(1), Started: time.Now()}}
	hang := make(chan struct{})
	b.held[two], b.pids[boxed(2)], b.hang = true, 78, hang
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	close(hang)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if h, err := s.History(one, wire.Second, time.Time{}); err == nil && len(h.At) >= 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no samples came")
		}
	}
	cancel()
	<-done
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if names := b.histories(); len(names) != 2 {
		t.Errorf("the end wrote %v", names)
	}
}

// TestHungEngine: an engine that answers nothing holds up no round, and not the
// end.
func TestHungEngine(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s, err := stats.New(stats.Options{Dir: b.dir, Volumes: b.root, Instances: b, Engine: b, Log: slog.New(slog.DiscardHandler), Now: time.Now, Root: b.root})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	b.hang = make(chan struct{})
	for i := range 20 {
		id := ident.Instance(fmt.Sprintf("%08x", i))
		b.held[id] = true
		b.ups = append(b.ups, instance.Up{Instance: id, Container: boxed(i), Started: time.Now()})
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	first := time.Time{}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		at := s.Node().Node.At
		if first.IsZero() {
			first = at
		}
		if !first.IsZero() && at.After(first) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the rounds wait for the engine")
		}
	}
	cancel()
	<-done
}
