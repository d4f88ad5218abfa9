package e2e

import (
	"bufio"
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

const (
	loadConnections = 8
	loadRounds      = 5
	loadRound       = time.Second
	writeEvery      = 50 * time.Millisecond
	anewFor         = 5 * time.Second
)

// load is what a controller bears.
type load struct {
	rate  float64 // requests a second, the rounds' median
	p99   float64 // ms, the rounds' median
	bytes float64 // of one answer
	cost  float64 // ms for one request: of the controller's processor time; anew: of waiting
	write float64 // commits a second meanwhile
}

func (l load) report(b *testing.B) {
	b.ReportMetric(l.rate, "req/s")
	b.ReportMetric(l.p99, "p99-ms")
	b.ReportMetric(l.bytes, "B/answer")
	b.ReportMetric(l.cost, "cpu-ms/req")
	b.ReportMetric(0, "ns/op")
	if l.write > 0 {
		b.ReportMetric(l.write, "commits/s")
	}
}

// load asks for the path over and over on 8 connections that are kept; with
// writes a user is changed every 50 ms meanwhile. One round warms up.
func (s *site) load(b *testing.B, path string, writes bool) load {
	b.Helper()
	stop, commits := func() {}, new(counter)
	if writes {
		stop = s.write(commits)
	}
	defer stop()
	var connections []*connection
	for range loadConnections {
		connections = append(connections, s.connect(b, path))
	}
	drive(b, connections, loadRound)
	var l load
	var rates, tails []float64
	requests, began, cpu, written := 0, time.Now(), cpuTime(b, s.process.pid), commits.get()
	for range loadRounds {
		from := time.Now()
		took := drive(b, connections, loadRound)
		rates = append(rates, float64(len(took))/time.Since(from).Seconds())
		slices.Sort(took)
		tails = append(tails, milliseconds(took[(len(took)*99+99)/100-1]))
		requests += len(took)
	}
	l.rate, l.p99, l.bytes = median(rates), median(tails), float64(connections[0].bytes)
	l.cost = (cpuTime(b, s.process.pid) - cpu) * 1000 / float64(requests)
	l.write = float64(commits.get()-written) / time.Since(began).Seconds()
	return l
}

// drive lets all connections ask until the time is over, and gives how long
// each answer took.
func drive(b *testing.B, connections []*connection, span time.Duration) []time.Duration {
	b.Helper()
	end := time.Now().Add(span)
	took, failed := make([][]time.Duration, len(connections)), make([]error, len(connections))
	var all sync.WaitGroup
	for i, c := range connections {
		all.Go(func() {
			for failed[i] == nil && time.Now().Before(end) {
				began := time.Now()
				failed[i] = c.ask()
				took[i] = append(took[i], time.Since(began))
			}
		})
	}
	all.Wait()
	for _, err := range failed {
		if err != nil {
			b.Fatal(err)
		}
	}
	return slices.Concat(took...)
}

// connection asks one thing again and again. It is poorer than net/http's
// client and so takes less of the machine that it shares with the controller.
type connection struct {
	net.Conn
	reader  *bufio.Reader
	request []byte
	bytes   int64
}

func (s *site) connect(b *testing.B, path string) *connection {
	b.Helper()
	address := strings.TrimPrefix(s.url, "http://")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	c := &connection{Conn: conn, reader: bufio.NewReaderSize(conn, 128<<10)}
	c.aim(path)
	return c
}

// aim has the connection ask for another path from now on.
func (c *connection) aim(path string) {
	c.request = fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nx-api-key: %s\r\n\r\n", path, c.RemoteAddr(), adminKey)
}

func (c *connection) ask() error {
	if _, err := c.Write(c.request); err != nil {
		return err
	}
	res, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if c.bytes, err = io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	return nil
}

// counter counts for several goroutines.
type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
}

func (c *counter) get() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// anew asks each controller in turn, changing something before each request,
// and gives what the answers take that have to be made: the median.
func anew(b *testing.B, path string, sites ...*site) []load {
	b.Helper()
	type asked struct {
		*connection
		change func(int) error
		took   []float64
	}
	all := make([]asked, len(sites))
	for i, s := range sites {
		all[i] = asked{connection: s.connect(b, path), change: s.change()}
	}
	for end, n := time.Now().Add(anewFor), 0; time.Now().Before(end); n++ {
		for i := range all {
			a := &all[i]
			if err := a.change(n); err != nil {
				b.Fatal(err)
			}
			began := time.Now()
			if err := a.ask(); err != nil {
				b.Fatal(err)
			}
			a.took = append(a.took, milliseconds(time.Since(began)))
		}
	}
	out := make([]load, len(all))
	for i, a := range all {
		out[i] = load{cost: median(a.took), bytes: float64(a.bytes)}
	}
	return out
}

// change gives what changes a user, in a transaction of the controller's, by a
// number that is another each time.
func (s *site) change() func(n int) error {
	s.t.Helper()
	var users data[[]struct{ ID string }]
	s.must(http.StatusOK, "GET", "/api/v1/users?limit=1", nil, &users)
	return func(n int) error {
		status, text := s.raw(adminKey, "PATCH", "/api/v1/users/"+users.Data[0].ID, map[string]any{"verified": n%2 == 0})
		if status != http.StatusOK {
			return fmt.Errorf("changing a user: %d %s", status, text)
		}
		return nil
	}
}

// write changes something every 50 ms until stopped.
func (s *site) write(commits *counter) (stop func()) {
	s.t.Helper()
	change := s.change()
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(writeEvery)
		defer ticker.Stop()
		for n := 0; ; n++ {
			if err := change(n); err != nil {
				s.t.Error(err)
				return
			}
			commits.add()
			select {
			case <-ticker.C:
			case <-quit:
				return
			}
		}
	}()
	return func() { close(quit); <-done }
}
