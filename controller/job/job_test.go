package job_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// The two that are ignored are fasthttp's: one sleeps out its last round, the
// other keeps its clock for ever.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

// clock is a hand-set time that never stands still for long enough to matter.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time           { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) forward(by time.Duration) { c.offset.Add(int64(by)) }

type bench struct {
	t      testing.TB
	path   string
	db     *store.DB
	events *event.Log
	clock  *clock
}

func setup(t testing.TB) *bench {
	t.Helper()
	c := &clock{}
	b := &bench{t: t, path: filepath.Join(t.TempDir(), "berth.db"), events: event.New(c.now), clock: c}
	b.open()
	return b
}

// open opens the database, for the first time or again.
func (b *bench) open() {
	b.t.Helper()
	db, err := store.Open(b.t.Context(), b.path)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = db.Close() })
	b.db = db
}

func (b *bench) service() *job.Service {
	return job.NewService(b.db, b.events, slog.New(slog.DiscardHandler), b.clock.now)
}

// run works jobs off until the returned function is called.
func (b *bench) run(s *job.Service) (stop func()) {
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Run(ctx); err != nil {
			b.t.Error(err)
		}
	}()
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); <-done }) }
	b.t.Cleanup(stop)
	return stop
}

func (b *bench) enqueue(s *job.Service, n job.New) job.Job {
	b.t.Helper()
	j, err := b.tryEnqueue(s, n)
	if err != nil {
		b.t.Fatal(err)
	}
	return j
}

func (b *bench) tryEnqueue(s *job.Service, n job.New) (j job.Job, err error) {
	n.Actor = access.System()
	err = b.db.Write(b.t.Context(), func(tx *store.Tx) error {
		j, err = s.Enqueue(b.t.Context(), tx, n)
		return err
	})
	return j, err
}

func (b *bench) await(s *job.Service, id ident.Job, want job.State) job.Job {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 20*time.Second)
	defer cancel()
	j, err := s.AwaitThat(ctx, id, func(j job.Job) bool { return j.State == want })
	if err != nil || j.State != want {
		b.t.Fatalf("job is %s (%s), want %s; %v", j.State, j.Message, want, err)
	}
	return j
}

const kind job.Kind = "test.work"

func policy(h job.Handler) job.Policy {
	return job.Policy{Handler: h, Deadline: time.Hour, Attempts: 3}
}

func TestHandlerRunsAndSucceeds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.service()
	var input atomic.Value
	s.Register(kind, policy(func(_ context.Context, j job.Job) (job.Outcome, error) {
		input.Store(string(j.Input))
		return job.Done, nil
	}))
	b.run(s)
	j := b.enqueue(s, job.New{Kind: kind, Input: map[string]int{"n": 7}})
	j = b.await(s, j.ID, job.Succeeded)
	if input.Load() != `{"n":7}` || j.Percent != 100 || j.FinishedAt == nil || j.Attempt != 1 {
		t.Fatalf("input %v, job %+v", input.Load(), j)
	}
}

func TestPassingFailureIsTriedAgainAndThenFails(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := b.service()
		var calls []string
		var told problem.Code
		begun := time.Now()
		p := policy(func(context.Context, job.Job) (job.Outcome, error) {
			calls = append(calls, time.Since(begun).Round(time.Second).String())
			return job.Done, errors.New("the cat is on the line")
		})
		p.Attempts = 9
		p.Failed = func(_ context.Context, _ *store.Tx, j job.Job) error { told = j.Failure.Code; return nil }
		s.Register(kind, p)
		b.run(s)
		j := b.enqueue(s, job.New{Kind: kind})
		if between := b.now(s, j.ID); between.State != job.Queued || between.Message != "attempt 1 failed, is tried again: something went wrong inside Berth; the log has the request's id" {
			t.Errorf("after the first call it is %+v", between)
		}
		time.Sleep(10 * time.Minute)
		j = b.now(s, j.ID)
		// The pause doubles from a second to a minute.
		if got := fmt.Sprint(calls); got != "[0s 1s 3s 7s 15s 31s 1m3s 2m3s 3m3s]" || told != problem.Internal || j.State != job.Failed || j.Failure == nil {
			t.Fatalf("calls after %s, told %v, job %+v", got, told, j)
		}
	})
}

func TestFinalProblemFailsAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.service()
	var calls atomic.Int32
	s.Register(kind, policy(func(context.Context, job.Job) (job.Outcome, error) {
		calls.Add(1)
		return job.Done, problem.New(problem.Conflict, "port 80 is taken")
	}))
	b.run(s)
	j := b.await(s, b.enqueue(s, job.New{Kind: kind}).ID, job.Failed)
	if calls.Load() != 1 || j.Failure.Message != "port 80 is taken" || j.Message != "port 80 is taken" {
		t.Fatalf("%d calls, %+v", calls.Load(), j)
	}
}

func TestOfflineNodeMakesItWaitUntilWoken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.service()
	var online atomic.Bool
	s.Register(kind, policy(func(context.Context, job.Job) (job.Outcome, error) {
		if !online.Load() {
			return job.Done, problem.New(problem.NodeOffline, "node a is offline")
		}
		return job.Done, nil
	}))
	b.run(s)
	j := b.enqueue(s, job.New{Kind: kind, Node: "a"})
	if w := b.await(s, j.ID, job.Waiting); w.Message != "node a is offline" || w.Attempt != 0 {
		t.Fatalf("waiting as %+v", w)
	}
	online.Store(true)
	if err := b.db.Write(t.Context(), func(tx *store.Tx) error { return s.Wake(t.Context(), tx, "a") }); err != nil {
		t.Fatal(err)
	}
	b.await(s, j.ID, job.Succeeded)
}

func TestHandedJobEndsByFinish(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.service()
	s.Register(kind, policy(func(context.Context, job.Job) (job.Outcome, error) { return job.Handed, nil }))
	b.run(s)
	j := b.enqueue(s, job.New{Kind: kind, Instance: "00000001"})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if h, err := s.AwaitThat(ctx, j.ID, func(j job.Job) bool { return j.Handed }); err != nil || h.State != job.Running {
		t.Fatalf("%+v, %v", h, err)
	}
	if err := b.db.Write(t.Context(), func(tx *store.Tx) error {
		return s.Finish(t.Context(), tx, j.ID, problem.New(problem.Conflict, "no room"))
	}); err != nil {
		t.Fatal(err)
	}
	if f := b.await(s, j.ID, job.Failed); f.Failure.Message != "no room" {
		t.Fatalf("%+v", f)
	}
	// A second event about the same thing changes nothing.
	if err := b.db.Write(t.Context(), func(tx *store.Tx) error { return s.Finish(t.Context(), tx, j.ID, nil) }); err != nil {
		t.Fatal(err)
	}
	b.await(s, j.ID, job.Failed)
}

func TestOneLivingJobOfAnInstance(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.service() // not run: the jobs stay queued
	s.Register(kind, policy(nil))
	first := b.enqueue(s, job.New{Kind: kind, Instance: "00000001"})
	_, err := b.tryEnqueue(s, job.New{Kind: kind, Instance: "00000001"})
	p := problem.From(err)
	if p == nil || p.Code != problem.ResourceBusy || !strings.Contains(p.Message, string(first.ID)) ||
		len(p.Fields) != 1 || p.Fields[0].Field != "job" || p.Fields[0].Message != string(first.ID) {
		t.Fatalf("the second got %v", err)
	}
	b.enqueue(s, job.New{Kind: kind, Instance: "00000002"})
	if err := b.db.Write(t.Context(), func(tx *store.Tx) error {
		return s.Supersede(t.Context(), tx, "00000001", "a delete was ordered")
	}); err != nil {
		t.Fatal(err)
	}
	b.await(s, first.ID, job.Cancelled)
	b.lastLine(s, first.ID, "cancelled: a delete was ordered")
	b.enqueue(s, job.New{Kind: kind, Instance: "00000001"})
}

func (b *bench) lastLine(s *job.Service, id ident.Job, want string) {
	b.t.Helper()
	lines, err := s.Lines(b.t.Context(), access.Local(), id, 0, 100)
	if err != nil || len(lines) == 0 || lines[len(lines)-1].Text != want {
		b.t.Errorf("the log ends otherwise than with %q: %+v, %v", want, lines, err)
	}
}

func TestParallelEnqueuesOfOneInstanceGiveOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.service()
	s.Register(kind, policy(nil))
	var made, busy atomic.Int32
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			switch _, err := b.tryEnqueue(s, job.New{Kind: kind, Instance: "00000001"}); {
			case err == nil:
				made.Add(1)
			case problem.Is(err, problem.ResourceBusy):
				busy.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 || busy.Load() != 19 {
		t.Fatalf("%d made, %d busy", made.Load(), busy.Load())
	}
}

func TestCancelInterruptsAndTakesBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.service()
	started, ended := make(chan struct{}), make(chan struct{})
	var takenBack atomic.Bool
	p := policy(func(ctx context.Context, _ job.Job) (job.Outcome, error) {
		close(started)
		<-ctx.Done()
		close(ended)
		return job.Done, ctx.Err()
	})
	p.Cancelled = func(context.Context, *store.Tx, job.Job) error { takenBack.Store(true); return nil }
	s.Register(kind, p)
	b.run(s)
	j := b.enqueue(s, job.New{Kind: kind})
	<-started
	if _, err := s.Cancel(t.Context(), access.Local(), j.ID); err != nil {
		t.Fatal(err)
	}
	<-ended
	b.await(s, j.ID, job.Cancelled)
	if !takenBack.Load() {
		t.Fatal("the feature was not told")
	}
	if _, err := s.Cancel(t.Context(), access.Local(), j.ID); !problem.Is(err, problem.Conflict) {
		t.Fatalf("a second cancel gave %v", err)
	}
	b.lastLine(s, j.ID, "cancelled")
}

func TestKindWithoutAWayBackCannotBeCancelled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.service()
	s.Register(kind, policy(nil))
	j := b.enqueue(s, job.New{Kind: kind})
	if _, err := s.Cancel(t.Context(), access.Local(), j.ID); !problem.Is(err, problem.Conflict) {
		t.Fatalf("got %v", err)
	}
	b.await(s, j.ID, job.Queued)
}

func TestRestartResumesEverythingAlive(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.service()
	hang := make(chan struct{})
	first.Register(kind, policy(func(ctx context.Context, j job.Job) (job.Outcome, error) {
		if j.Instance == "00000001" {
			return job.Handed, nil
		}
		close(hang)
		<-ctx.Done()
		return job.Done, ctx.Err()
	}))
	stop := b.run(first)
	handed := b.enqueue(first, job.New{Kind: kind, Instance: "00000001"})
	hanging := b.enqueue(first, job.New{Kind: kind, Instance: "00000002"})
	<-hang
	b.await(first, handed.ID, job.Running)
	stop()

	second := b.service()
	second.Register(kind, policy(func(context.Context, job.Job) (job.Outcome, error) { return job.Done, nil }))
	b.run(second)
	b.await(second, handed.ID, job.Succeeded)
	b.await(second, hanging.ID, job.Succeeded)
}

func TestRetryMakesANewJob(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.service()
	var calls atomic.Int32
	p := policy(func(context.Context, job.Job) (job.Outcome, error) {
		if calls.Add(1) == 1 {
			return job.Done, problem.New(problem.Conflict, "not today")
		}
		return job.Done, nil
	})
	p.Retry = func(_ context.Context, _ *store.Tx, j job.Job) (job.New, error) {
		return job.New{Kind: j.Kind, Owner: j.Owner}, nil
	}
	s.Register(kind, p)
	b.run(s)
	failed := b.await(s, b.enqueue(s, job.New{Kind: kind}).ID, job.Failed)
	again, err := s.Retry(t.Context(), access.Local(), failed.ID)
	if err != nil {
		t.Fatal(err)
	}
	if done := b.await(s, again.ID, job.Succeeded); done.RetryOf != failed.ID {
		t.Fatalf("%+v", done)
	}
	if _, err := s.Retry(t.Context(), access.Local(), again.ID); !problem.Is(err, problem.Conflict) {
		t.Fatalf("a succeeded job was tried again: %v", err)
	}
}

func TestOthersJobsDoNotExist(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.service()
	s.Register(kind, policy(nil))
	j := b.enqueue(s, job.New{Kind: kind, Owner: "anna"})
	anna := access.Caller{Actor: access.Actor{Via: access.ViaKey, User: "anna"}, Scopes: []access.Scope{access.ScopeWrite}}
	bob := anna
	bob.User = "bob"
	if _, err := s.Get(t.Context(), anna, j.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), bob, j.ID); !problem.Is(err, problem.NotFound) {
		t.Fatalf("bob got %v", err)
	}
	if _, err := s.Lines(t.Context(), bob, j.ID, 0, 10); !problem.Is(err, problem.NotFound) {
		t.Fatalf("bob got %v", err)
	}
	if _, err := s.Cancel(t.Context(), bob, j.ID); !problem.Is(err, problem.NotFound) {
		t.Fatalf("bob got %v", err)
	}
	if list, total, err := s.List(t.Context(), bob, job.Filter{Limit: 10}); err != nil || total != 0 || len(list) != 0 {
		t.Fatalf("bob sees %d of %d, %v", len(list), total, err)
	}
}

func TestProgressIsShownAndLogged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.service()
	s.Register(kind, policy(func(context.Context, job.Job) (job.Outcome, error) { return job.Handed, nil }))
	b.run(s)
	j := b.enqueue(s, job.New{Kind: kind})
	b.await(s, j.ID, job.Running)
	for percent, step := range []string{"pull", "pull", "create"} {
		if err := b.db.Write(t.Context(), func(tx *store.Tx) error {
			return s.Progress(t.Context(), tx, j.ID, step, percent, "at it")
		}); err != nil {
			t.Fatal(err)
		}
	}
	now, err := s.Get(t.Context(), access.Local(), j.ID)
	if err != nil || now.Step != "create" || now.Percent != 2 || now.Message != "at it" {
		t.Fatalf("%+v, %v", now, err)
	}
	lines, err := s.Lines(t.Context(), access.Local(), j.ID, 0, 10)
	if err != nil || len(lines) != 2 || lines[0].Text != "pull: at it" || lines[1].Text != "create: at it" {
		t.Fatalf("%+v, %v", lines, err)
	}
}
