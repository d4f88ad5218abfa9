package console

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// BenchmarkLines is how many lines a second reach readers: one, against one who
// follows the engine's own log, both of a program that prints as fast as it can;
// and a hundred, one of whom takes nothing, of 5,000 lines a second.
func BenchmarkLines(b *testing.B) {
	y := newYard(b)
	y.states.set(one, wire.ActualStopped)
	const n = 80_000 // as many as a record holds: none may be missed
	b.Run("1", func(b *testing.B) {
		var ours, docker float64
		for range b.N {
			docker += y.followLog(b, n)
			ours += y.readLines(b, n)
		}
		b.ReportMetric(ours/float64(b.N), "lines/s")
		b.ReportMetric(docker/float64(b.N), "docker-logs-lines/s")
		b.ReportMetric(ours/docker, "ratio")
		b.ReportMetric(0, "ns/op")
	})
	b.Run("100", func(b *testing.B) {
		var slowest time.Duration
		missed := 0
		for range b.N {
			late, m := y.crowd(b, 20_000, 5000)
			slowest, missed = max(slowest, late), missed+m
		}
		b.ReportMetric(float64(slowest.Milliseconds()), "last-reader-late-ms")
		b.ReportMetric(float64(missed), "readers-that-missed")
		b.ReportMetric(0, "ns/op")
	})
}

// readLines is the rate at which one reader gets n lines.
func (y *yard) readLines(b *testing.B, n int) float64 {
	b.Helper()
	_, _, last, err := y.room.of(one).last()
	if err != nil {
		b.Fatal(err)
	}
	c := y.dialQuietly(fmt.Sprint("?after=", last))
	began := time.Now()
	id := y.run(false, "lines", fmt.Sprint(n))
	for got := 0; got < n; {
		_, text, err := c.conn.ReadMessage()
		if err != nil || bytes.Contains(text, []byte(`"missed":`)) {
			b.Fatalf("after %d lines: %v, %.100s", got, err, text)
		}
		got += bytes.Count(text, []byte(`"source":"out"`))
	}
	took := time.Since(began)
	y.remove(id)
	return float64(n) / took.Seconds()
}

// followLog is that of docker logs -f: the call that the command makes, without
// the command.
func (y *yard) followLog(b *testing.B, n int) float64 {
	b.Helper()
	spec := runtimetest.Spec(y.image, "lines", fmt.Sprint(n))
	id, err := y.docker.Create(b.Context(), spec)
	if err != nil {
		b.Fatal(err)
	}
	defer y.remove(id)
	network, address, _ := strings.Cut(runtimetest.DockerHost(b), "://")
	conn, err := net.Dial(network, address)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	began := time.Now()
	if err := y.docker.Start(b.Context(), id); err != nil {
		b.Fatal(err)
	}
	request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "http://engine/containers/"+string(id)+"/logs?stdout=1&stderr=1&follow=1", http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	if err := request.Write(conn); err != nil {
		b.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReaderSize(conn, 64<<10), request)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	buf := make([]byte, 64<<10)
	for got := 0; got < n; {
		size, err := response.Body.Read(buf)
		got += bytes.Count(buf[:size], []byte("\nline"))
		if err != nil {
			break
		}
		if got >= n-1 {
			break // the last has no line behind it
		}
	}
	_, _ = io.Copy(io.Discard, response.Body)
	return float64(n) / time.Since(began).Seconds()
}

// crowd lets 99 read n lines, and one more who doesn't. It gives how long after the
// program's end the last of them had them all, and how many did not.
func (y *yard) crowd(b *testing.B, n, rate int) (late time.Duration, missed int) {
	b.Helper()
	_, _, last, err := y.room.of(one).last()
	if err != nil {
		b.Fatal(err)
	}
	stuck := y.dialQuietly(fmt.Sprint("?after=", last))
	defer func() { _ = stuck.conn.Close() }()
	results := make(chan bool, 99)
	for range cap(results) {
		c := y.dialQuietly(fmt.Sprint("?after=", last))
		go func() {
			defer func() { _ = c.conn.Close() }()
			for got := 0; got < n; {
				_, text, err := c.conn.ReadMessage()
				if err != nil || bytes.Contains(text, []byte(`"missed":`)) {
					results <- false
					return
				}
				got += bytes.Count(text, []byte(`"source":"out"`))
			}
			results <- true
		}()
	}
	began := time.Now()
	id := y.run(false, "pace", fmt.Sprint(n), fmt.Sprint(rate))
	for range cap(results) {
		if !<-results {
			missed++
		}
	}
	late = time.Since(began) - time.Duration(float64(n)/float64(rate)*float64(time.Second))
	y.remove(id)
	return late, missed
}

// BenchmarkEcho is how long a command takes to the program and its answer back, at
// a pace that people type with.
func BenchmarkEcho(b *testing.B) {
	y := newYard(b)
	y.run(false, "answer")
	c := y.dial("")
	var took []time.Duration
	for range b.N {
		for i := range 200 {
			time.Sleep(10 * time.Millisecond)
			began := time.Now()
			c.send(command("", fmt.Sprint(i)))
			c.line(fmt.Sprint("you said ", i))
			took = append(took, time.Since(began))
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkIdle is what 20 consoles with a reader each cost while nothing happens.
func BenchmarkIdle(b *testing.B) {
	y := newYard(b)
	for range 20 {
		instance := ident.NewInstance()
		spec := runtimetest.Spec(y.image, "idle")
		spec.Instance = instance
		id, err := y.docker.Create(b.Context(), spec)
		if err != nil {
			b.Fatal(err)
		}
		y.room.Begin(b.Context(), runtime.Container{ID: id, Instance: instance, Status: runtime.Created})
		if err := y.docker.Start(b.Context(), id); err != nil {
			b.Fatal(err)
		}
	}
	const rest = 5 * time.Second
	var spent time.Duration
	for range b.N {
		before := processorTime()
		time.Sleep(rest)
		spent += processorTime() - before
	}
	b.ReportMetric(100*spent.Seconds()/(rest.Seconds()*float64(b.N)), "cpu-%")
	b.ReportMetric(0, "ns/op")
}

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
