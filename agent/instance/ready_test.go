package instance

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// scripted is a console that holds what a test prints.
type scripted struct {
	mu       sync.Mutex
	lines    []printed
	said     []string
	watchers map[int]func(string)
	next     int
	watched  int // how often Watch was called
}

type printed struct {
	at   time.Time
	text string
}

func (s *scripted) print(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, printed{time.Now(), text})
	for _, line := range s.watchers {
		line(text)
	}
}

func (s *scripted) Begin(context.Context, runtime.Container) {}

func (s *scripted) Settle(runtime.Container)              {}
func (s *scripted) Resume(runtime.Container)              {}
func (s *scripted) Install(ident.Instance) io.WriteCloser { return deaf{io.Discard} }
func (s *scripted) Remove(ident.Instance)                 {}
func (s *scripted) Keep([]ident.Instance)                 {}
func (s *scripted) Say(_ ident.Instance, text string) {
	s.mu.Lock()
	s.said = append(s.said, text)
	s.mu.Unlock()
}
func (s *scripted) Watch(_ ident.Instance, since time.Time, line func(string)) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watched++
	for _, l := range s.lines {
		if !l.at.Before(since) {
			line(l.text)
		}
	}
	if s.watchers == nil {
		s.watchers = map[int]func(string){}
	}
	s.next++
	id := s.next
	s.watchers[id] = line
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, id)
	}
}

func (s *scripted) listeners() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.watchers)
}

func (s *scripted) heard(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, said := range s.said {
		if strings.Contains(said, text) {
			return true
		}
	}
	return false
}

// listen is play with a console that a test prints on.
func listen(t *testing.T, test func(w *world, c *scripted)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, c := newWorld(t), &scripted{}
		w.console = c
		w.boot()
		defer func() { w.stop() }()
		test(w, c)
	})
}

func awaiting(generation int64, lines ...string) wire.Spec {
	s := basic(one, generation)
	s.Ready.Lines = lines
	return s
}

func TestReadyByALine(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ line, before, says string }{
		"text":          {"Done (", "Loading", "[12:00:00] Done (3.2s)!"},
		"a pattern":     {`regex:^listening on :\d+$`, "not listening on :80", "listening on :8080"},
		"among escapes": {"server is up", "server", "\x1b[32mserver\x1b[0m is\x1b[K \x1b]0;title\x07up"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listen(t, func(w *world, c *scripted) {
				w.apply(awaiting(1, "never", test.line))
				c.print(test.before)
				w.sleep(time.Minute)
				if s := w.expect(one, wire.PhaseReady, wire.ActualStarting, true); s.ReadyAt != nil || s.StartedAt == nil {
					t.Fatalf("state: %+v", s)
				}
				c.print(test.says)
				w.sleep(0)
				if s := w.expect(one, wire.PhaseReady, wire.ActualRunning, true); s.ReadyAt == nil || s.ReadyAt.Sub(*s.StartedAt) != time.Minute {
					t.Fatalf("state: %+v", s)
				}
				w.lastState(one)
				if n := c.listeners(); n != 0 {
					t.Errorf("%d still listen", n)
				}
			})
		})
	}
}

func TestWithoutALineReadyAtOnce(t *testing.T) {
	t.Parallel()
	listen(t, func(w *world, c *scripted) {
		w.apply(basic(one, 1))
		w.running(one)
		if s := w.state(one); s.ReadyAt == nil || !s.ReadyAt.Equal(*s.StartedAt) || c.watched != 0 {
			t.Errorf("state: %+v, watched %d times", s, c.watched)
		}
	})
}

func TestLinesOfEarlierRunsDoNotCount(t *testing.T) {
	t.Parallel()
	listen(t, func(w *world, c *scripted) {
		w.apply(awaiting(1, "up"))
		c.print("up")
		w.sleep(time.Second)
		w.running(one)
		c.print("up")
		w.sleep(time.Millisecond)
		w.crash(one) // the first is restarted at once
		w.sleep(time.Second)
		w.expect(one, wire.PhaseReady, wire.ActualStarting, true)
		c.print("up")
		w.sleep(0)
		w.running(one)
		s := awaiting(2, "up")
		s.Power = wire.Power{Want: wire.WantRunning, Order: 2, Restart: true}
		w.sleep(time.Millisecond)
		w.apply(s)
		w.expect(one, wire.PhaseReady, wire.ActualStarting, true)
	})
}

// TestReadyOverARestartOfTheAgent: what was ready stays so, and what was printed
// while no agent ran is found.
func TestReadyOverARestartOfTheAgent(t *testing.T) {
	t.Parallel()
	listen(t, func(w *world, c *scripted) {
		w.apply(awaiting(1, "up"))
		w.sleep(time.Second)
		w.stop()
		c.print("up")
		time.Sleep(time.Second)
		w.boot()
		w.sleep(time.Second)
		w.running(one)
		at := *w.state(one).ReadyAt
		c.mu.Lock()
		c.lines = nil
		c.mu.Unlock()
		w.reboot()
		w.running(one)
		if s := w.state(one); !s.ReadyAt.Equal(at) {
			t.Errorf("ready at %v, was %v", s.ReadyAt, at)
		}
		w.engine.BreakWatches()
		w.sleep(time.Minute)
		w.running(one)
		if n := w.engine.Calls(fake.Start); n != 1 {
			t.Errorf("%d starts", n)
		}
	})
}

func TestAnAgentThatKnewNoReadinessIsBelieved(t *testing.T) {
	t.Parallel()
	listen(t, func(w *world, c *scripted) {
		w.apply(basic(one, 1))
		w.running(one)
		w.apply(awaiting(2, "up")) // lines that are named while it runs
		w.running(one)
		if n := w.engine.Calls(fake.Start); n != 1 || c.watched != 0 {
			t.Errorf("%d starts, watched %d times", n, c.watched)
		}
	})
}

func TestLinesThatChangeDuringAStart(t *testing.T) {
	t.Parallel()
	listen(t, func(w *world, c *scripted) {
		w.apply(awaiting(1, "nonsense"))
		c.print("up and well")
		w.sleep(time.Second)
		w.expect(one, wire.PhaseReady, wire.ActualStarting, true)
		w.apply(awaiting(2, "well")) // what was printed before is looked through
		w.sleep(0)
		w.running(one)
		if n := w.engine.Calls(fake.Start); n != 1 {
			t.Errorf("%d starts: the container was made anew", n)
		}
	})
}

func TestReadyByTheHealthCheck(t *testing.T) {
	t.Parallel()
	listen(t, func(w *world, _ *scripted) {
		w.engine.SetProgram(func(runtime.ContainerSpec) fake.Program { return fake.Program{Checked: true} })
		w.apply(basic(one, 1))
		w.sleep(time.Minute)
		if s := w.expect(one, wire.PhaseReady, wire.ActualStarting, true); s.Health != wire.HealthStarting {
			t.Fatalf("state: %+v", s)
		}
		box := w.engine.Find(one)[0].ID
		w.engine.SetHealth(box, runtime.Unhealthy) // by and by, as a slow start does
		w.sleep(time.Second)
		if s := w.expect(one, wire.PhaseReady, wire.ActualStarting, true); s.Health != wire.HealthBad {
			t.Fatalf("state: %+v", s)
		}
		w.engine.SetHealth(box, runtime.Healthy)
		w.sleep(0)
		w.running(one)
		w.engine.SetHealth(box, runtime.Unhealthy) // is shown, and nothing is done
		w.sleep(time.Hour)
		if s := w.expect(one, wire.PhaseReady, wire.ActualRunning, true); s.Health != wire.HealthBad || s.ReadyAt == nil {
			t.Errorf("state: %+v", s)
		}
		w.lastState(one)
	})
}

func TestOverdueIsSaidAndNothingStopped(t *testing.T) {
	t.Parallel()
	listen(t, func(w *world, c *scripted) {
		spec := awaiting(1, "up")
		spec.Ready.WithinSeconds = 30
		w.apply(spec)
		w.sleep(30*time.Second - time.Millisecond)
		if w.state(one).Overdue {
			t.Fatal("overdue too early")
		}
		w.sleep(time.Millisecond)
		if s := w.expect(one, wire.PhaseReady, wire.ActualStarting, true); !s.Overdue {
			t.Fatalf("state: %+v", s)
		}
		w.lastState(one)
		if !c.heard("longer than it should") {
			t.Errorf("the console says %q", c.said)
		}
		w.reboot()
		if !w.state(one).Overdue {
			t.Error("forgotten over a restart")
		}
		w.sleep(time.Hour)
		c.print("up")
		w.sleep(0)
		if w.running(one); w.state(one).Overdue {
			t.Error("overdue though it is ready")
		}
		if n := w.engine.Calls(fake.Start); n != 1 {
			t.Errorf("%d starts", n)
		}
	})
}

func TestOverdueByDefaultAfterFiveMinutes(t *testing.T) {
	t.Parallel()
	listen(t, func(w *world, _ *scripted) {
		w.apply(awaiting(1, "up"))
		w.sleep(5*time.Minute - time.Second)
		early := w.state(one).Overdue
		w.sleep(time.Second)
		if late := w.state(one).Overdue; early || !late {
			t.Errorf("overdue %v, then %v", early, late)
		}
	})
}

// TestLoudStart: a console that never stops does not keep the owner from its work.
func TestLoudStart(t *testing.T) {
	t.Parallel()
	listen(t, func(w *world, c *scripted) {
		w.apply(awaiting(1, "regex:^up$"))
		for range 10_000 {
			c.print("noise, and more of it")
		}
		w.apply(order(2, wire.Power{Want: wire.WantStopped, Order: 2}))
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
		if n := c.listeners(); n != 0 {
			t.Errorf("%d listen to what is down", n)
		}
	})
}

func BenchmarkReadyLine(b *testing.B) {
	lines, err := compileReady([]string{"Done (", `regex:^\[\d+\] listening$`})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if lines.in("[12:00:00] [Server thread/INFO]: Preparing spawn area: 42%") {
			b.Fatal("found what is not there")
		}
	}
}
