package job_test

import (
	"context"
	"errors"
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

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a hand-set time that never stands still for long enough to matter.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time           { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) forward(by time.Duration) { c.offset.Add(int64(by)) }

type bench struct {
	t      *testing.T
	db     *store.DB
	events *event.Log
	clock  *clock
}

func setup(t *testing.T) *bench {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "berth.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	c := &clock{}
	return &bench{t: t, db: db, events: event.New(c.now), clock: c}
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
	t.Parallel()
	b := setup(t)
	s := b.service()
	var calls atomic.Int32
	var told atomic.Value
	p := policy(func(context.Context, job.Job) (job.Outcome, error) {
		calls.Add(1)
		b.clock.forward(time.Minute) // over the pause
		return job.Done, errors.New("the cat is on the line")
	})
	p.Failed = func(_ context.Context, _ *store.Tx, j job.Job) error { told.Store(j.Failure.Code); return nil }
	s.Register(kind, p)
	b.run(s)
	j := b.await(s, b.enqueue(s, job.New{Kind: kind}).ID, job.Failed)
	if calls.Load() != 3 || told.Load() != problem.Internal || j.Failure == nil {
		t.Fatalf("%d calls, told %v, failure %v", calls.Load(), told.Load(), j.Failure)
	}
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
	if p := problem.From(err); p.Code != problem.ResourceBusy || !strings.Contains(p.Message, string(first.ID)) {
		t.Fatalf("the second got %v", err)
	}
	b.enqueue(s, job.New{Kind: kind, Instance: "00000002"})
	if err := b.db.Write(t.Context(), func(tx *store.Tx) error {
		return s.Supersede(t.Context(), tx, "00000001", "a delete was ordered")
	}); err != nil {
		t.Fatal(err)
	}
	b.await(s, first.ID, job.Cancelled)
	b.enqueue(s, job.New{Kind: kind, Instance: "00000001"})
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

func TestDeadlineFailsWhatIsStuck(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.service()
	var told atomic.Bool
	p := policy(func(context.Context, job.Job) (job.Outcome, error) { return job.Handed, nil })
	p.Failed = func(context.Context, *store.Tx, job.Job) error { told.Store(true); return nil }
	s.Register(kind, p)
	b.run(s)
	j := b.enqueue(s, job.New{Kind: kind})
	b.await(s, j.ID, job.Running)
	b.clock.forward(2 * time.Hour)
	if f := b.await(s, j.ID, job.Failed); !told.Load() || !strings.Contains(f.Message, "did not end within its 1h0m0s") {
		t.Fatalf("told %v, %q", told.Load(), f.Message)
	}
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
