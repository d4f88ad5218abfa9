package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// What consoles are measured by. Both programs are processes of their own.
const (
	leastLines    = 0.8 // of what docker logs -f reads of the same program in the same minute
	mostEcho      = 20  // ms, the slowest of a hundred
	mostIdle      = 1   // % of a core, for 20 consoles in which nothing happens
	leastPace     = 0.9 // of 5,000 lines a second, at 99 viewers, while another is stuck
	consoleLines  = 100_000
	consoleRounds = 5
	echoes        = 500
	idleFor       = 20 * time.Second
)

// BenchmarkConsoleLines lets a container print as fast as it can, and measures
// from the first of the lines to the last, not from what the program says before
// that: as one viewer of the console gets them, and, in turns with that and with
// nobody else looking on, through Docker's own API for logs.
func BenchmarkConsoleLines(b *testing.B) {
	p := startPrograms(b)
	h := p.addProgramHost(4096)
	id, job := h.begin(h.body(h.loadProbe("wait", "2000", "then", "pace", fmt.Sprint(consoleLines), "100000000", "then", "idle"), p.user("anna"), 0))
	p.awaitJob(job, "succeeded")
	p.awaitStatus(id, "running")
	var ours, theirs []float64
	missed := 0
	for range consoleRounds {
		v := p.view(adminKey, id, "")
		v.burst(b) // of the run before, of which it sees the end only
		p.awaitJob(p.order(id, "restart"), "succeeded")
		rate, lost := v.burst(b)
		ours, missed = append(ours, rate), missed+lost
		_ = v.conn.Close()
		p.awaitJob(p.order(id, "restart"), "succeeded")
		theirs = append(theirs, h.followLogs(b, p.instance(id).ContainerID))
	}
	b.Logf("lines/s: console %.0f, docker logs -f %.0f; %d lines of %d were passed over", ours, theirs, missed, consoleRounds*consoleLines)
	figure(b, "lines/s of one viewer, of those of docker logs -f", median(ours)/median(theirs), "at least", leastLines)
	figure(b, "lines that were passed over to a viewer who keeps up", float64(missed), "at most", 0)
	b.ReportMetric(median(ours), "lines/s")
	b.ReportMetric(0, "ns/op")
}

// burst reads until the last line of a run, and gives the lines a second since
// its first.
func (v *viewer) burst(b *testing.B) (rate float64, missed int) {
	b.Helper()
	var began time.Time
	first, got := 0, 0 // those of the first message came before the clock ran
	end := []byte(fmt.Sprintf(`"text":"line %d `, consoleLines))
	for {
		_ = v.conn.SetReadDeadline(time.Now().Add(patience))
		_, text, err := v.conn.ReadMessage()
		if err != nil {
			b.Fatal(err)
		}
		n := bytes.Count(text, []byte(`"text":"line `))
		if n == 0 || bytes.HasPrefix(text, []byte(`{"type":"tail"`)) { // the beginning of a line comes whole later
			continue
		}
		if got += n; began.IsZero() {
			began, first = time.Now(), n
		}
		if bytes.Contains(text, end) {
			return float64(got-first) / time.Since(began).Seconds(), consoleLines - got
		}
	}
}

// followLogs is docker logs -f of a container from now on until the last line of
// a run.
func (h *siteHost) followLogs(b *testing.B, container string) (rate float64) {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", strings.TrimPrefix(h.docker, "unix://"))
	}}}
	res, err := client.Get("http://docker/containers/" + container + "/logs?follow=1&stdout=1&stderr=1&tail=0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	in, buffer := bufio.NewReaderSize(res.Body, 64<<10), make([]byte, 32<<10)
	var began time.Time
	got := 0
	end := []byte(fmt.Sprintf("line %d ", consoleLines))
	var before []byte
	for {
		n, err := in.Read(buffer)
		if err != nil && err != io.EOF {
			b.Fatal(err)
		}
		switch lines := bytes.Count(buffer[:n], []byte("line ")); {
		case began.IsZero() && lines > 0:
			began = time.Now()
		case !began.IsZero():
			got += lines
		}
		before = append(before[max(0, len(before)-64):], buffer[:n]...)
		if bytes.Contains(before, end) || err == io.EOF {
			return float64(got) / time.Since(began).Seconds()
		}
	}
}

// BenchmarkConsoleEcho measures from a command to its answer on the screen.
func BenchmarkConsoleEcho(b *testing.B) {
	p := startPrograms(b)
	h := p.addProgramHost(4096)
	id, job := h.begin(h.body(h.loadProbe("answer"), p.user("anna"), 0))
	p.awaitJob(job, "succeeded")
	p.awaitStatus(id, "running")
	v := p.view(adminKey, id, "")
	var took []float64
	for n := range echoes {
		began := time.Now()
		v.say(fmt.Sprintf(`{"type":"command","command":"%d"}`, n))
		v.sees(fmt.Sprintf("out: you said %d\n", n))
		took = append(took, milliseconds(time.Since(began)))
		v.text.Reset()
		time.Sleep(40 * time.Millisecond) // 30 messages a second are allowed
	}
	slices.Sort(took)
	b.Logf("ms: median %.1f, 99th of a hundred %.1f, most %.1f", median(took), took[len(took)*99/100], took[len(took)-1])
	figure(b, "echo of a command, ms, p99", took[len(took)*99/100], "at most", mostEcho)
	b.ReportMetric(0, "ns/op")
}

// BenchmarkConsoleCrowd measures 20 idle consoles, and then a hundred viewers of
// 5,000 lines a second of whom one takes nothing in.
func BenchmarkConsoleCrowd(b *testing.B) {
	p := startPrograms(b)
	h := p.addProgramHost(4096)
	id, job := h.begin(h.body(h.loadProbe("wait", "2000", "then", "pace", "50000", "5000", "then", "idle"), p.user("anna"), 0))
	p.awaitJob(job, "succeeded")
	p.awaitStatus(id, "running")
	used := func() float64 { return cpuTime(b, h.process.pid) + cpuTime(b, p.process.pid) }
	p.must(http.StatusAccepted, "POST", "/api/v1/instances/"+id+"/stop", nil, nil)
	p.awaitStatus(id, "stopped")
	before, began := used(), time.Now()
	time.Sleep(idleFor)
	alone := (used() - before) / time.Since(began).Seconds() * 100
	var idle []*viewer
	for range 20 {
		idle = append(idle, p.view(adminKey, id, ""))
	}
	time.Sleep(settleFor)
	before, began = used(), time.Now()
	time.Sleep(idleFor)
	with := (used() - before) / time.Since(began).Seconds() * 100
	b.Logf("CPU of controller and agent: %.2f %% without, %.2f %% with 20 consoles", alone, with)
	figure(b, "20 idle consoles, % of a core", with-alone, "at most", mostIdle)
	for _, v := range idle {
		_ = v.conn.Close()
	}
	h.crowd(b, p, id, used)
	b.ReportMetric(0, "ns/op")
}

func (h *siteHost) crowd(b *testing.B, p *site, id string, used func() float64) {
	b.Helper()
	var keys []string
	for _, name := range []string{"berta", "carla"} {
		user := p.user(name)
		p.must(http.StatusOK, "PATCH", "/api/v1/users/"+user, map[string]bool{"admin": true}, nil)
		_, key := p.newKey(user, "read")
		keys = append(keys, key)
	}
	_ = p.view(keys[0], id, "?after=100000000") // reads nothing
	var reading sync.WaitGroup
	rates := make([]float64, 99)
	for n := range rates {
		v := p.view(keys[n%2], id, "?after=100000000")
		reading.Go(func() { rates[n] = v.count(b, 50_000) })
	}
	before := used()
	p.must(http.StatusAccepted, "POST", "/api/v1/instances/"+id+"/start", nil, nil)
	reading.Wait()
	slices.Sort(rates)
	b.Logf("99 viewers: %.0f to %.0f lines/s; %.1f s of CPU for both programs, resident %.1f and %.1f MB", rates[0], rates[98], used()-before,
		resident(b, p.process.pid), resident(b, h.process.pid))
	figure(b, "lines/s of the slowest of 99 viewers beside a stuck one, of 5,000", rates[0]/5000, "at least", leastPace)
}

// count reads a run's lines, from its first to its last, and gives how many came
// in a second. What the run before left is passed over: between the two there is
// the container's start.
func (v *viewer) count(b *testing.B, lines int) float64 {
	var began time.Time
	first, last := []byte(`"text":"line 1 `), fmt.Appendf(nil, `"text":"line %d `, lines)
	for got := 0; ; {
		_ = v.conn.SetReadDeadline(time.Now().Add(patience))
		_, text, err := v.conn.ReadMessage()
		if err != nil {
			b.Errorf("after %d lines: %v", got, err)
			return 0
		}
		if began.IsZero() && bytes.Contains(text, first) {
			began = time.Now()
		}
		if began.IsZero() {
			continue
		}
		if bytes.HasPrefix(text, []byte(`{"type":"missed"`)) {
			b.Errorf("after %d lines: %s", got, text)
			return 0
		}
		if got += bytes.Count(text, []byte(`"text":"line `)); !bytes.Contains(text, last) {
			continue
		}
		if got != lines {
			b.Errorf("%d lines came of %d", got, lines)
		}
		return float64(lines) / time.Since(began).Seconds()
	}
}
