package stats_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/agent/instance"
	"github.com/berth-panel/berth/agent/server"
	"github.com/berth-panel/berth/agent/stats"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// serve puts the bench's service behind an agent's door.
func (b *bench) serve() string {
	b.t.Helper()
	rooms := map[string]server.Live{}
	door := server.New(server.Options{Rooms: rooms, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	s, err := stats.New(stats.Options{
		Dir: b.dir, Volumes: b.root, Instances: b, Engine: b, Disks: b, Log: slog.New(slog.DiscardHandler), Now: time.Now, Root: b.root, Upgrade: door.Upgrade,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	rooms["stats"] = s
	b.Service = s
	web := httptest.NewServer(door)
	b.t.Cleanup(func() { web.Close(); _ = s.Close() })
	return web.URL
}

func get(t testing.TB, url string) (int, []byte) {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, content
}

func TestDoor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	url := b.serve()
	b.now = time.Now()
	b.used(boxed(1), 77, 0, 0)
	b.up(one, boxed(1), 77)
	for range 3 {
		b.Round(t.Context())
	}
	for path, into := range map[string]any{
		"/v1/stats":                                          new(wire.NodeStats),
		"/v1/stats/history?resolution=1m":                    new(wire.StatsHistory),
		"/v1/instances/0123abcd/stats":                       new(wire.Sample),
		"/v1/instances/0123abcd/stats/history?resolution=1s": new(wire.StatsHistory),
		"/v1/instances/0123abcd/stats/history?resolution=10s&since=1700000000": new(wire.StatsHistory),
	} {
		status, content := get(t, url+path)
		if status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, content)
			continue
		}
		decoder := json.NewDecoder(strings.NewReader(string(content)))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(into); err != nil {
			t.Errorf("%s: %v in %s", path, err, content)
		}
	}
	for path, want := range map[string]problem.Code{
		"/v1/stats/x":       problem.NotFound,
		"/v1/stats/history": problem.Validation,
		"/v1/instances/0123abcd/stats/history?resolution=2s":           problem.Validation,
		"/v1/instances/0123abcd/stats/history?resolution=1s&since=-1":  problem.Validation,
		"/v1/instances/0123abcd/stats/history?resolution=1s&since=now": problem.Validation,
		"/v1/instances/0123abcd/stats/live/x":                          problem.NotFound,
		"/v1/instances/0123abcd/stats/live":                            problem.BadRequest,
		"/v1/instances/deadbeef/stats":                                 problem.NotFound,
		"/v1/instances/deadbeef/stats/live":                            problem.NotFound,
		"/v1/instances/deadbeef/stats/history?resolution=1s":           problem.NotFound,
	} {
		status, content := get(t, url+path)
		var p problem.Problem
		if err := json.Unmarshal(content, &p); err != nil || p.Code != want || status != want.Status() {
			t.Errorf("%s: %d %s", path, status, content)
		}
	}
	answer, err := http.Post(url+"/v1/stats", "application/json", strings.NewReader("{}"))
	if err != nil || answer.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %v, %v", answer, err)
	}
	_ = answer.Body.Close()
}

func dial(t testing.TB, url, path string) *websocket.Conn {
	t.Helper()
	conn, answer, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(url, "http")+path, nil)
	if err != nil {
		t.Fatalf("%s: %v, %v", path, err, answer)
	}
	_ = answer.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	return conn
}

func next(t testing.TB, conn *websocket.Conn) wire.Sample {
	t.Helper()
	var s wire.Sample
	if err := conn.ReadJSON(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestLive: a sample at once and one with each round, through a stop, until the
// instance is gone.
func TestLive(t *testing.T) {
	t.Parallel()
	b := setup(t)
	url := b.serve()
	b.now = time.Now()
	b.used(boxed(1), 77, 0, 0)
	b.up(one, boxed(1), 77)
	b.Round(t.Context())
	conn := dial(t, url, "/v1/instances/0123abcd/stats/live")
	if s := next(t, conn); !s.Running || s.Pids != 0 {
		t.Errorf("before it was measured: %+v", s)
	}
	b.Round(t.Context())
	if s := next(t, conn); s.Pids != 2 {
		t.Errorf("measured: %+v", s)
	}
	b.down(one)
	b.Round(t.Context())
	if s := next(t, conn); s.Running || s.DiskLimit != 1<<30 {
		t.Errorf("stopped: %+v", s)
	}
	if err := conn.WriteMessage(websocket.BinaryMessage, []byte("\x00 what is it to you")); err != nil {
		t.Fatal(err)
	}
	b.forget(one)
	b.Round(t.Context())
	_, _, err := conn.ReadMessage()
	if !websocket.IsCloseError(err, websocket.CloseGoingAway) || !strings.Contains(err.Error(), "gone") {
		t.Errorf("the end is %v", err)
	}
}

// TestLiveMost: there is an end to how many look, and who goes makes room.
func TestLiveMost(t *testing.T) {
	t.Parallel()
	b := setup(t)
	url := b.serve()
	b.held[one] = true
	conns := make([]*websocket.Conn, 0, 1024)
	for range 1024 {
		conns = append(conns, dial(t, url, "/v1/instances/0123abcd/stats/live"))
	}
	if status, content := get(t, url+"/v1/instances/0123abcd/stats/live"); status != http.StatusTooManyRequests {
		t.Fatalf("%d %s", status, content)
	}
	_ = conns[0].Close()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if status, _ := get(t, url+"/v1/instances/0123abcd/stats/live"); status == http.StatusBadRequest { // no handshake: it was let in
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("who goes makes no room")
		}
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.used(boxed(1), 77, 0, 0)
	b.up(one, boxed(1), 77)
	b.rounds(1)
	b.used(boxed(1), 77, 1500*time.Millisecond, 10)
	b.rounds(1)
	b.up(two, boxed(2), 78) // not measured yet
	page := httptest.NewServer(stats.Metrics{
		Stats: b.Service, Node: "n1", Engine: func() wire.Engine { return wire.Engine{Reachable: true} },
		Lines: func() map[ident.Instance]int64 { return map[ident.Instance]int64{one: 12} },
	}.Handler())
	defer page.Close()
	status, content := get(t, page.URL+"/metrics")
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, content)
	}
	for _, line := range []string{
		`berth_instance_cpu_seconds_total{instance="0123abcd",node="n1"} 1.5`,
		`berth_instance_memory_bytes{instance="0123abcd",node="n1"} 4096`,
		`berth_instance_network_receive_bytes_total{instance="0123abcd",node="n1"} 10`,
		`berth_instance_disk_written_bytes_total{instance="0123abcd",node="n1"} 40`,
		`berth_instance_console_lines_total{instance="0123abcd",node="n1"} 12`,
		`berth_node_engine_up{node="n1"} 1`,
		`berth_node_load1{node="n1"} 0.5`,
		`# TYPE berth_instance_cpu_seconds_total counter`,
		`# TYPE go_goroutines gauge`,
	} {
		if !strings.Contains(string(content), line+"\n") && !strings.Contains(string(content), line+" ") {
			t.Errorf("%s is missing", line)
		}
	}
	if strings.Contains(string(content), string(two)) {
		t.Error("what wasn't measured is told of")
	}
	for _, path := range []string{"/", "/metrics/x", "/debug/pprof/"} {
		if status, _ := get(t, page.URL+path); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
}

// benchRound measures a round of so many idle instances, on the kernel's own
// files where this process' cgroups stand for the containers'.
func benchRound(b *testing.B, running, stopped int) {
	before := heap()
	s := setup(b)
	for i := range running {
		s.used(boxed(i), 1000+i, time.Second, 1000)
		id := ident.Instance(fmt.Sprintf("%08x", i))
		s.held[id], s.pids[boxed(i)] = true, 1000+i
		s.ups = append(s.ups, instance.Up{Instance: id, Container: boxed(i), Started: s.now})
	}
	for i := range stopped {
		s.held[ident.Instance(fmt.Sprintf("%08x", 1<<20+i))] = true
	}
	for range running + 2 { // each has its process found
		s.rounds(1)
	}
	b.ReportAllocs()
	from := worked()
	for b.Loop() {
		s.rounds(1)
	}
	b.ReportMetric((worked()-from).Seconds()/float64(b.N)*100, "%core") // of a round each second
	if running > 0 {
		b.ReportMetric(float64(heap()-before)/float64(running), "B/instance")
	}
	_ = s.clock()
}

// heap is what is in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// worked is the processor time of this process: other programs don't count.
func worked() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkRound20(b *testing.B)   { benchRound(b, 20, 0) }
func BenchmarkRound500(b *testing.B)  { benchRound(b, 500, 0) }
func BenchmarkRoundNone(b *testing.B) { benchRound(b, 0, 500) }
