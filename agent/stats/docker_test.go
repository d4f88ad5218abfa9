package stats_test

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/instance"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/docker"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/agent/stats"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// real are containers of a real engine, and a service that measures them.
type real struct {
	*stats.Service
	engine *docker.Engine
	image  string
	ups    []instance.Up
}

func (r *real) Running(list []instance.Up) []instance.Up { return append(list, r.ups...) }
func (r *real) Holds(ident.Instance) bool                { return true }

// blind is an engine that doesn't say where its containers' processes are.
type blind struct{ stats.Engine }

func (b blind) Inspect(ctx context.Context, id runtime.ContainerID) (runtime.Container, error) {
	c, err := b.Engine.Inspect(ctx, id)
	c.Pid = 0
	return c, err
}

func setupReal(t testing.TB, hidden bool) *real {
	t.Helper()
	host := runtimetest.DockerHost(t)
	node := runtimetest.NewNode()
	runtimetest.CleanDocker(t, host, node)
	engine, err := docker.New(docker.Options{Host: host, Node: node})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	r := &real{engine: engine, image: "bt/probe-" + string(ident.NewInstance()) + ":1"}
	runtimetest.LoadProbe(t, engine, r.image)
	runtimetest.DropImage(t, host, r.image)
	var asked stats.Engine = engine
	if hidden {
		asked = blind{engine}
	}
	r.Service, err = stats.New(stats.Options{
		Dir: t.TempDir(), Volumes: t.TempDir(), Instances: r, Engine: asked, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func (r *real) start(t testing.TB, spec runtime.ContainerSpec) runtime.ContainerID {
	t.Helper()
	id, err := r.engine.Create(t.Context(), spec)
	if err == nil {
		err = r.engine.Start(t.Context(), id)
	}
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.engine.Inspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	r.ups = append(r.ups, instance.Up{Instance: spec.Instance, Container: id, Started: c.StartedAt})
	return id
}

// shown says whether this machine shows a container's cgroup; an engine on
// another one, or in a namespace, does not.
func (r *real) shown(t testing.TB, id runtime.ContainerID) bool {
	t.Helper()
	c, err := r.engine.Inspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("/proc/" + strconv.Itoa(c.Pid) + "/cgroup")
	return err == nil && strings.Contains(string(text), string(id)) && !strings.Contains(string(text), "/..")
}

// TestReal: a container that computes, takes memory, writes and sends. What the
// engine counts lies between two samples of ours.
func TestReal(t *testing.T) {
	t.Parallel()
	for name, hidden := range map[string]bool{"by the kernel": false, "by the engine": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := setupReal(t, hidden)
			port := runtimetest.FreePort(t)
			spec := runtimetest.Spec(r.image, "fill", "20", "then", "burn", "1", "500", "/tmp/burnt", "then", "serve", "8080")
			spec.Network = runtimetest.Network(t, r.engine).Name
			spec.Ports = []runtime.Port{{HostIP: "127.0.0.1", Host: port, Container: 8080, Protocol: runtime.TCP}}
			id := r.start(t, spec)
			echo(t, port)
			sample := func() wire.Sample {
				r.Round(t.Context())
				s, err := r.Newest(spec.Instance)
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			var before, after wire.Sample
			var between runtime.Usage
			runtimetest.Eventually(t, "figures of all that it does", func() bool {
				before = sample()
				var err error
				if between, err = r.engine.Stats(t.Context(), id); err != nil {
					t.Fatal(err)
				}
				runtimetest.Eventually(t, "a newer sample", func() bool { after = sample(); return after.At.After(before.At) })
				return before.MemoryBytes >= 20<<20 && before.NetIn >= 1<<20 && before.NetOut >= 1<<20 && before.UptimeMS > 0
			})
			if got := r.FromKernel(spec.Instance); got != (!hidden && r.shown(t, id)) {
				t.Errorf("measured by the kernel: %v", got)
			}
			const some = 4 << 20 // of memory comes and goes
			if m := between.MemoryBytes; m < min(before.MemoryBytes, after.MemoryBytes)-some || m > max(before.MemoryBytes, after.MemoryBytes)+some {
				t.Errorf("%d and %d bytes of memory, and %d by the engine", before.MemoryBytes, after.MemoryBytes, m)
			}
			if before.MemoryLimit != between.MemoryLimit || before.MemoryLimit != spec.MemoryBytes {
				t.Errorf("the limit is %d, and %d by the engine", before.MemoryLimit, between.MemoryLimit)
			}
			for what, f := range map[string][3]int64{
				"bytes in": {before.NetIn, between.NetIn, after.NetIn}, "bytes out": {before.NetOut, between.NetOut, after.NetOut},
				"bytes read": {before.DiskRead, between.DiskRead, after.DiskRead}, "bytes written": {before.DiskWrite, between.DiskWrite, after.DiskWrite},
			} {
				if f[0] > f[1] || f[1] > f[2] {
					t.Errorf("%s: the engine's %d is not from %d to %d", what, f[1], f[0], f[2])
				}
			}
			if before.Pids < 1 || before.Pids > 64 || before.UptimeMS > after.UptimeMS {
				t.Errorf("%+v", before)
			}
			checkProcessor(t, r, spec.Instance, id)
		})
	}
}

// checkProcessor adds up what the history says was computed: it is what the
// engine has counted, nearly.
func checkProcessor(t *testing.T, r *real, instance ident.Instance, id runtime.ContainerID) {
	t.Helper()
	before := r.CPU(instance)
	u, err := r.engine.Stats(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	runtimetest.Eventually(t, "another sample", func() bool {
		r.Round(t.Context())
		_, _ = r.Newest(instance) // looks, so that the engine is asked again soon
		return r.CPU(instance) > before || r.CPU(instance) >= u.CPU
	})
	if after := r.CPU(instance); before > u.CPU || u.CPU > after+50*time.Millisecond || before <= 0 {
		t.Errorf("the processor's time is %s, then %s by the engine, then %s", before, u.CPU, after)
	}
}

func echo(t testing.TB, port uint16) {
	t.Helper()
	content := make([]byte, 1<<20)
	_, _ = rand.Read(content)
	runtimetest.Eventually(t, "an echo", func() bool {
		conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
		if err != nil {
			return false
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
		go func() { _, _ = conn.Write(content) }()
		n, err := io.ReadFull(conn, make([]byte, len(content)))
		return err == nil && n == len(content)
	})
}

// TestRealEnd: an end and a new life are seen by the kernel alone.
func TestRealEnd(t *testing.T) {
	t.Parallel()
	r := setupReal(t, false)
	spec := runtimetest.Spec(r.image, "idle")
	id := r.start(t, spec)
	measured := func() bool {
		r.Round(t.Context())
		s, err := r.Newest(spec.Instance)
		return err == nil && s.Pids > 0
	}
	runtimetest.Eventually(t, "a sample", measured)
	if err := r.engine.Kill(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	r.Round(t.Context())
	if r.shown(t, id) && r.FromKernel(spec.Instance) {
		t.Error("what has ended is measured")
	}
	if err := r.engine.Start(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	c, err := r.engine.Inspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	r.ups = []instance.Up{{Instance: spec.Instance, Container: id, Started: c.StartedAt}}
	runtimetest.Eventually(t, "a sample of the second life", func() bool {
		s, err := r.Newest(spec.Instance)
		return measured() && err == nil && s.UptimeMS >= 0 && s.UptimeMS < 60_000
	})
}

// BenchmarkReal20 is a round of 20 real containers that do nothing.
func BenchmarkReal20(b *testing.B) {
	r := setupReal(b, false)
	for range 20 {
		r.start(b, runtimetest.Spec(r.image, "idle"))
	}
	runtimetest.Eventually(b, "all to be measured", func() bool {
		r.Round(b.Context())
		return len(r.Node().Instances) == 20
	})
	b.ReportAllocs()
	from := worked()
	for b.Loop() {
		r.Round(b.Context())
	}
	b.ReportMetric((worked()-from).Seconds()/float64(b.N)*100, "%core") // of a round each second
}
