package demo

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/shared/problem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lines collects what the demo prints.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
	news chan struct{}
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	select {
	case l.news <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// until waits for words on the console.
func (l *lines) until(t *testing.T, words string) string {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for !strings.Contains(l.String(), words) {
		select {
		case <-l.news:
		case <-timeout:
			t.Fatalf("waited in vain for %q, got %q", words, l.String())
		}
	}
	return l.String()
}

// running is a demo that runs.
type running struct {
	t     *testing.T
	out   *lines
	in    *io.PipeWriter
	port  string
	stop  func()
	ended chan error
}

func serve(t *testing.T, o Options) *running {
	t.Helper()
	in, console := io.Pipe()
	r := &running{t: t, out: &lines{news: make(chan struct{}, 1)}, in: console, ended: make(chan error, 1)}
	o.Port, o.In, o.Out, o.Now = "0", in, r.out, time.Now
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	go func() { r.ended <- Serve(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		_ = console.Close()
	})
	text := r.out.until(t, "Type help.")
	if _, err := fmt.Sscanf(text, "Berth demo, ready on port %s", &r.port); err != nil {
		t.Fatalf("it says %q", text)
	}
	return r
}

func (r *running) get(path string) (int, string) {
	r.t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://127.0.0.1:" + r.port + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func (r *running) wait() {
	r.t.Helper()
	select {
	case err := <-r.ended:
		if err != nil {
			r.t.Errorf("it ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		r.t.Fatal("it did not end")
	}
}

// cgroups makes a directory like /sys/fs/cgroup.
func cgroups(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestPageCountsInTheVolume(t *testing.T) {
	t.Parallel()
	o := Options{Greeting: `<b>"mine"</b>`, Volume: t.TempDir(), Cgroups: cgroups(t, map[string]string{"memory.max": "268435456\n", "cpu.max": "150000 100000\n"})}
	r := serve(t, o)
	for range 2 {
		status, page := r.get("/")
		if status != 200 || !strings.Contains(page, "256 MiB") || !strings.Contains(page, ">1.5<") || !strings.Contains(page, "in the volume") {
			t.Errorf("%d %s", status, page)
		}
		if strings.Contains(page, "<b>") || !strings.Contains(page, "&lt;b&gt;") {
			t.Error("the name is not escaped")
		}
	}
	if status, _ := r.get("/../../etc/passwd"); status != 404 {
		t.Errorf("another path: %d", status)
	}
	r.stop() // as SIGTERM does
	r.wait()

	r = serve(t, o)
	if _, text := r.get("/"); !strings.Contains(text, ">3<") {
		t.Error("the count did not survive")
	}
	_, text := r.get("/status")
	var v view
	if err := json.Unmarshal([]byte(text), &v); err != nil || v.Hits != 3 || !v.Kept || v.MemoryMiB != 256 || v.Cores != 1.5 {
		t.Errorf("status %s: %v", text, err)
	}
}

func TestPageWithoutVolumeAndLimits(t *testing.T) {
	t.Parallel()
	r := serve(t, Options{Host: "0123abcd", Volume: filepath.Join(t.TempDir(), "missing"), Cgroups: t.TempDir()})
	_, _ = r.get("/")
	if _, page := r.get("/"); !strings.Contains(page, "0123abcd") || !strings.Contains(page, "no limit") || !strings.Contains(page, ">2<") || !strings.Contains(page, "in memory only") {
		t.Errorf("the page is %s", page)
	}
}

func TestLimitsOfOldCgroups(t *testing.T) {
	t.Parallel()
	dir := cgroups(t, map[string]string{"memory/memory.limit_in_bytes": "67108864", "cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"})
	if m, c := memoryLimit(dir), cpuLimit(dir); m != 64 || c != 0.5 {
		t.Errorf("memory %d, cores %v", m, c)
	}
	dir = cgroups(t, map[string]string{"memory/memory.limit_in_bytes": "9223372036854771712", "cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"})
	if m, c := memoryLimit(dir), cpuLimit(dir); m != 0 || c != 0 {
		t.Errorf("without limits: memory %d, cores %v", m, c)
	}
	dir = cgroups(t, map[string]string{"memory.max": "max", "cpu.max": "max 100000"})
	if m, c := memoryLimit(dir), cpuLimit(dir); m != 0 || c != 0 {
		t.Errorf("without limits, new: memory %d, cores %v", m, c)
	}
}

func TestConsole(t *testing.T) {
	t.Parallel()
	r := serve(t, Options{Greeting: "mine", Volume: t.TempDir(), Cgroups: t.TempDir()})
	for line, answer := range map[string]string{"help": "stop: end the demo", "hello you": "You said: hello you", "  status ": "mine: memory no limit", "\n": ""} {
		if _, err := fmt.Fprintln(r.in, line); err != nil {
			t.Fatal(err)
		}
		r.out.until(t, answer)
	}
	if _, err := fmt.Fprintln(r.in, "stop"); err != nil {
		t.Fatal(err)
	}
	r.wait()
	if !strings.HasSuffix(r.out.String(), "Bye.\n") {
		t.Errorf("it says %q at the end", r.out.String())
	}
}

func TestEchoesDatagramsAndOutlivesItsConsole(t *testing.T) {
	t.Parallel()
	r := serve(t, Options{Volume: t.TempDir(), Cgroups: t.TempDir()})
	_ = r.in.Close()
	conn, err := net.Dial("udp", "127.0.0.1:"+r.port)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 100)
	if n, err := conn.Read(buffer); err != nil || string(buffer[:n]) != "ping" {
		t.Errorf("%q, %v", buffer[:n], err)
	}
}

func TestPortThatCannotBe(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	for _, port := range []string{"http", "99999", "-1", port} {
		if err := Serve(t.Context(), Options{Port: port, Out: io.Discard, Now: time.Now}); err == nil {
			t.Errorf("it listens on %q", port)
		}
	}
}

// static builds a small static program to make the image of.
func static(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() { println(\""+version+"\") }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "program")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOFLAGS=")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return program
}

func maker(engine Engine, program string) *Maker {
	return NewMaker(engine, Reference, program, slog.New(slog.DiscardHandler))
}

func TestMakerLoadsOncePerBuild(t *testing.T) {
	t.Parallel()
	engine := fake.New(fake.Options{})
	first := static(t, "one")
	m := maker(engine, first)
	if mine, err := m.Provide(t.Context(), "redis:7"); mine || err != nil {
		t.Errorf("another image: %v, %v", mine, err)
	}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if mine, err := m.Provide(context.Background(), Reference); !mine || err != nil {
				t.Errorf("%v, %v", mine, err)
			}
		})
	}
	wg.Wait()
	again := maker(engine, first) // the agent started again
	if _, err := again.Provide(t.Context(), Reference); err != nil {
		t.Error(err)
	}
	if n := engine.Calls(fake.Load); n != 1 {
		t.Errorf("it was made %d times", n)
	}
	image, err := engine.Image(t.Context(), Reference)
	if err != nil || image.User != "1000:1000" || image.WorkingDir != dataDir || len(image.Entrypoint) != 3 || image.Entrypoint[0] != "/berth-agent" || image.Entrypoint[1] != "demo" {
		t.Errorf("image %+v, %v", image, err)
	}
	if _, err := maker(engine, static(t, "two")).Provide(t.Context(), Reference); err != nil || engine.Calls(fake.Load) != 2 {
		t.Errorf("another build: %v, made %d times", err, engine.Calls(fake.Load))
	}
}

func TestMakerPassesFailuresOn(t *testing.T) {
	t.Parallel()
	program := static(t, "one")
	engine := fake.New(fake.Options{})
	engine.SetUnreachable(true)
	m := maker(engine, program)
	if mine, err := m.Provide(t.Context(), Reference); !mine || runtime.ReasonOf(err) != runtime.Unreachable {
		t.Errorf("away: %v, %v", mine, err)
	}
	engine.SetUnreachable(false)
	engine.FailNext(fake.Load, runtime.Fail(runtime.NoSpace, nil, "full"))
	if _, err := m.Provide(t.Context(), Reference); runtime.ReasonOf(err) != runtime.NoSpace {
		t.Errorf("full: %v", err)
	}
	release := engine.Hold(fake.Load)
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Provide(ctx, Reference); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}

func TestProgramThatCannotBeAnImage(t *testing.T) {
	t.Parallel()
	engine := fake.New(fake.Options{})
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	programs := []string{script, filepath.Join(t.TempDir(), "missing")}
	if shell, err := elf.Open("/bin/sh"); err == nil { // dynamically linked on all that we build on
		_ = shell.Close()
		programs = append(programs, "/bin/sh")
	}
	for _, program := range programs {
		if mine, err := maker(engine, program).Provide(t.Context(), Reference); !mine || err == nil || !strings.Contains(err.Error(), "can't make the demo image") {
			t.Errorf("%s: %v, %v", program, mine, err)
		}
	}
	// One that was there before, and the image was cleared since.
	program := static(t, "one")
	m, other := maker(engine, program), fake.New(fake.Options{})
	m.engine = other
	if _, err := m.Provide(t.Context(), Reference); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	m.engine = engine
	var public *problem.Problem
	if _, err := m.Provide(t.Context(), Reference); !errors.As(err, &public) || !strings.Contains(public.Message, "can't make the demo image") {
		t.Errorf("removed: %v", err)
	}
	if engine.Calls(fake.Load) != 0 {
		t.Error("an image was made")
	}
	engine.AddImage(Reference, runtime.Image{}, nil) // by another agent
	if mine, err := maker(engine, script).Provide(t.Context(), Reference); !mine || err != nil {
		t.Errorf("one that is there: %v, %v", mine, err)
	}
}

func TestRootIsComplete(t *testing.T) {
	t.Parallel()
	program := static(t, "one")
	file, err := os.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var root bytes.Buffer
	if err := writeRoot(&root, file); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int64{}
	for r := tar.NewReader(&root); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		found[h.Name] = h.Mode
		if text, err := io.ReadAll(r); err != nil || h.Name == binary && !bytes.Equal(text, want) {
			t.Errorf("%s: %v", h.Name, err)
		}
	}
	for name, mode := range map[string]int64{"tmp/": 0o1777, "app/data/": 0o755, "etc/passwd": 0o644, binary: 0o755} {
		if found[name] != mode {
			t.Errorf("%s has the mode %o", name, found[name])
		}
	}
}
