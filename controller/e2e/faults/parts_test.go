package faults

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func anyPace() pace {
	return pace{Length: 2 * time.Minute, Deeds: time.Second, Faults: 2 * time.Second, Longest: 20 * time.Second, Slots: 8, Harms: everything}
}

func TestASeedGivesOnePlan(t *testing.T) {
	t.Parallel()
	one, two, other := draw(7, anyPace()), draw(7, anyPace()), draw(8, anyPace())
	if !reflect.DeepEqual(one, two) {
		t.Error("the same seed gave two plans")
	}
	if reflect.DeepEqual(one.Deeds, other.Deeds) || reflect.DeepEqual(one.Faults, other.Faults) {
		t.Error("two seeds gave the same")
	}
	more := anyPace()
	more.Faults *= 2
	if changed := draw(7, more); !reflect.DeepEqual(one.Deeds, changed.Deeds) || reflect.DeepEqual(one.Faults, changed.Faults) {
		t.Error("the deeds depend on the faults, or the faults on nothing")
	}
}

// Whatever is drawn makes sense: in order, within the time, on nodes that there
// are, and nothing is asked of an instance after its deletion or before its
// deployment.
func TestPlansMakeSense(t *testing.T) {
	t.Parallel()
	acts, harms := map[act]int{}, map[harm]int{}
	for seed := range uint64(50) {
		p := anyPace()
		p.CanMove, p.CanPlace, p.CanDrain = true, true, true
		drawn := draw(seed, p)
		last, state := time.Duration(0), map[int]act{}
		for _, d := range drawn.Deeds {
			if d.At < last || d.At > p.Length && d.Act != reopen {
				t.Fatalf("seed %d: %s at %s after %s", seed, d, d.At, last)
			}
			last = d.At
			acts[d.Act]++
			if d.Act == drain || d.Act == reopen {
				if d.Slot != -1-d.Node || d.Node < 0 || d.Node >= nodes {
					t.Fatalf("seed %d: %+v", seed, d)
				}
				continue
			}
			if first := state[d.Slot] == ""; first != (d.Act == deploy) || state[d.Slot] == remove {
				t.Fatalf("seed %d: %s after %q", seed, d, state[d.Slot])
			}
			state[d.Slot] = d.Act
		}
		last = 0
		for _, f := range drawn.Faults {
			if f.At < last || f.At > p.Length || f.Node < 0 || f.Node >= nodes || f.For <= 0 || f.For > p.Longest {
				t.Fatalf("seed %d: %s at %s after %s", seed, f, f.At, last)
			}
			last = f.At
			harms[f.Harm]++
		}
	}
	for h := range everything {
		if harms[h] == 0 {
			t.Errorf("%s never comes", h)
		}
	}
	for _, a := range []act{deploy, remove, suspend, unsuspend, start, stop, restart, kill, change, move, count, drain, reopen} {
		if acts[a] == 0 {
			t.Errorf("%s never comes", a)
		}
	}
}

// The short run has each kind of death, and the deeds that matter.
func TestTheShortPlan(t *testing.T) {
	t.Parallel()
	p := shortPace()
	p.CanMove, p.CanPlace, p.CanDrain = true, true, true
	drawn := draw(shortSeed, p)
	for _, h := range []harm{killController, killAgent, killEngine, resetNode, handRemove, crash} {
		if !slices.ContainsFunc(drawn.Faults, func(f fault) bool { return f.Harm == h }) {
			t.Errorf("it lacks %s", h)
		}
	}
	for _, a := range []act{deploy, remove, suspend, unsuspend, stop, restart, change, move, count} {
		if !slices.ContainsFunc(drawn.Deeds, func(d deed) bool { return d.Act == a }) {
			t.Errorf("it lacks %s", a)
		}
	}
}

func TestTheLedgerKeepsWhatWasAnswered(t *testing.T) {
	t.Parallel()
	l := newLedger()
	e := l.get(3)
	if e.Life != never || e.Name == "" || e.Mark == "" {
		t.Fatalf("%+v", e)
	}
	refused := l.settle(e, deed{Act: deploy, Memory: 32}, answer{status: 507}, true)
	if refused.Life != never {
		t.Errorf("a refusal made %+v", refused)
	}
	e = l.settle(e, deed{Act: deploy, Memory: 32, CPU: 0.5, Port: 20003}, answer{status: 202}, true)
	for _, d := range []deed{{Act: suspend}, {Act: stop}, {Act: change, Greeting: "x"}, {Act: change, Memory: 64}, {Act: change, Port: 21000}} {
		e = l.settle(e, d, answer{status: 202}, true)
	}
	e = l.settle(e, deed{Act: start}, answer{status: 409}, true)
	want := entry{Slot: 3, Name: e.Name, Mark: e.Mark, Life: living, Power: "stopped", Suspended: true, Memory: 64, CPU: 0.5, Port: 21000, Greeting: "x"}
	if e != want {
		t.Errorf("%+v, want %+v", e, want)
	}
	if late := l.settle(e, deed{Act: remove}, answer{status: 404}, false); late.Life != gone || len(l.contradictions()) != 0 {
		t.Errorf("a deletion whose first answer was lost: %+v, %v", late, l.contradictions())
	}
	l.settle(e, deed{Act: stop}, answer{status: 404}, true)
	if found := l.contradictions(); len(found) != 1 || found[0].Kind != "lost" {
		t.Errorf("a 404 of what was answered 2xx: %v", found)
	}
}

// A call is repeated until nothing that was tried before can contradict it.
func TestInsistWaitsForADefiniteAnswer(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Idempotency-Key") != "k" {
			t.Error("a try without the key")
		}
		refuse := func(status int, code string) {
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"code": code}})
		}
		switch calls.Add(1) {
		case 1:
			conn, _, _ := w.(http.Hijacker).Hijack()
			_ = conn.Close()
		case 2:
			refuse(500, "INTERNAL_ERROR")
		case 3:
			refuse(409, "CONFLICT") // an earlier try is under way
		default:
			w.Header().Set("Idempotency-Replayed", "true")
			refuse(409, "CONFLICT")
		}
	}))
	defer server.Close()
	c := newClient(server.URL, nil)
	a, first, err := c.insist("POST", "/x", "k", nil, nil)
	if err != nil || a.status != 409 || first || calls.Load() != 4 {
		t.Fatalf("%+v, first %t, %v after %d calls", a, first, err, calls.Load())
	}
	giveUp := make(chan struct{})
	close(giveUp)
	server.Close()
	if _, _, err := c.insist("POST", "/x", "k", nil, giveUp); err == nil {
		t.Error("an answer from nobody")
	}
}

// echo answers every connection with what it hears, and tells when one ends.
func echo(t *testing.T) (addr string, ended <-chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	ends := make(chan error, 10)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, err := io.Copy(conn, conn)
				_ = conn.Close()
				ends <- err
			}()
		}
	}()
	return l.Addr().String(), ends
}

func dial(t *testing.T, p *proxy) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// says sends a text and waits for it to come back.
func says(conn net.Conn, text string, patience time.Duration) error {
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write([]byte(text)); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, len(text)))
	return err
}

func TestProxyHandsOnAndBreaks(t *testing.T) {
	t.Parallel()
	target, ended := echo(t)
	p, err := newProxy("127.0.0.1:0", target)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	conn := dial(t, p)
	if err := says(conn, "hello", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	p.set(weather{stall: true})
	if err := says(conn, "stalled", 100*time.Millisecond); err == nil {
		t.Fatal("it came back through a stall")
	}
	p.set(weather{delay: 50 * time.Millisecond})
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(conn, make([]byte, len("stalled"))); err != nil {
		t.Fatalf("after the stall: %v", err)
	}
	began := time.Now()
	if err := says(conn, "slowly", 10*time.Second); err != nil || time.Since(began) < 100*time.Millisecond {
		t.Fatalf("%v after %s, with 50 ms each way", err, time.Since(began))
	}
	p.set(weather{})
	p.reset()
	if err := says(conn, "gone", 10*time.Second); err == nil {
		t.Fatal("a reset connection answers")
	}
	<-ended
	p.set(weather{refuse: true})
	// The reset may come as early as within the dialling.
	refused, err := net.Dial("tcp", p.addr())
	if err == nil {
		defer func() { _ = refused.Close() }()
		err = says(refused, "refused", 10*time.Second)
	}
	if err == nil {
		t.Fatal("a refused connection answers")
	}
}

// Of a connection that is half open, the end that is left hears nothing: no
// data and no end.
func TestProxyHalves(t *testing.T) {
	t.Parallel()
	target, ended := echo(t)
	p, err := newProxy("127.0.0.1:0", target)
	if err != nil {
		t.Fatal(err)
	}
	conn := dial(t, p)
	if err := says(conn, "hello", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	p.halve(false)
	<-ended
	_ = conn.SetDeadline(time.Now().Add(200 * time.Millisecond))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the near end was told: %v", err)
	}
	second := dial(t, p)
	if err := says(second, "hello", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	p.halve(true)
	if err := says(second, "gone", 10*time.Second); err == nil {
		t.Fatal("the near end is there")
	}
	select {
	case err := <-ended:
		t.Fatalf("the far end was told: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	p.close() // ends what is left, and waits for it
}

// A program is kept running until it is told otherwise, and its log is read for
// what no fault excuses.
func TestProcessIsKeptRunning(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := newStory(filepath.Join(dir, "story.log"))
	if err != nil {
		t.Fatal(err)
	}
	p := &process{name: "sleeper", story: s, log: filepath.Join(dir, "log"), argv: []string{"sh", "-c", "echo 'panic: planted'; exec sleep 1000"}}
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	p.mu.Lock()
	pid := p.cmd.Process
	p.mu.Unlock()
	_ = pid.Kill()
	planted := func() bool {
		said := p.confessions()
		return len(said) > 0 && strings.Contains(said[0], "panic: planted")
	}
	// Each of the two may be killed before it has said anything; the second is waited for.
	err = until(20*time.Second, "it is started again", func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.starts < 2 || !planted() {
			return io.EOF
		}
		return nil
	})
	if err != nil || !strings.Contains(s.text(10), "ENDED BY ITSELF") {
		t.Fatalf("%v: %s", err, s.text(10))
	}
	p.kill()
	if text := s.text(10); strings.Count(text, "ENDED") != 1 {
		t.Errorf("a kill was taken for an end of its own: %s", text)
	}
}
