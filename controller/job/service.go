package job

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// Service keeps the jobs and works them off. Safe for concurrent use once the
// kinds are registered.
type Service struct {
	db     *store.DB
	events *event.Log
	log    *slog.Logger
	now    func() time.Time

	kinds map[Kind]Policy
	kick  chan struct{} // a job may be due

	mu       sync.Mutex
	running  map[ident.Job]context.CancelCauseFunc
	wakes    map[ident.Node]int // how often each node's jobs were woken
	watchers map[ident.Job]map[chan struct{}]struct{}
}

// NewService makes the service; Register the kinds, then Run it.
func NewService(db *store.DB, events *event.Log, log *slog.Logger, now func() time.Time) *Service {
	return &Service{
		db: db, events: events, log: log, now: now,
		kinds: map[Kind]Policy{}, kick: make(chan struct{}, 1),
		running: map[ident.Job]context.CancelCauseFunc{}, wakes: map[ident.Node]int{}, watchers: map[ident.Job]map[chan struct{}]struct{}{},
	}
}

// Register says how jobs of a kind are done. All kinds come before Run.
func (s *Service) Register(kind Kind, p Policy) { s.kinds[kind] = p }

// Enqueue writes a job in tx; it starts after the commit. A living job of the
// same instance is RESOURCE_BUSY and names it.
func (s *Service) Enqueue(ctx context.Context, tx *store.Tx, n New) (Job, error) {
	policy, known := s.kinds[n.Kind]
	if !known {
		return Job{}, problem.New(problem.Internal, "nothing here does jobs of the kind %s", n.Kind)
	}
	if n.Instance != "" {
		busy, there, err := Active(ctx, tx, n.Instance)
		if err != nil {
			return Job{}, err
		}
		if there {
			return Job{}, problem.New(problem.ResourceBusy, "instance %s is busy: job %s (%s) is %s; wait for it or cancel it", n.Instance, busy.ID, busy.Kind, busy.State)
		}
	}
	input, err := json.Marshal(n.Input)
	if err != nil {
		return Job{}, err
	}
	now := s.now()
	j := Job{
		ID: ident.Job(ident.New()), Kind: n.Kind, Instance: n.Instance, Node: n.Node, Owner: n.Owner, Actor: n.Actor, Input: input,
		State: Queued, Percent: -1, RunAt: now, Deadline: now.Add(policy.Deadline), RetryOf: n.RetryOf, CreatedAt: now,
	}
	if err := insert(ctx, tx, j); err != nil {
		return Job{}, err
	}
	tx.AfterCommit(s.poke)
	return j, s.tell(ctx, tx, "job.queued", j)
}

// Finish ends a living job in tx: it succeeded when failure is nil. One that has
// ended already is left alone.
func (s *Service) Finish(ctx context.Context, tx *store.Tx, id ident.Job, failure *problem.Problem) error {
	j, err := get(ctx, tx, id)
	if err != nil || j.State.Ended() {
		return err
	}
	if failure != nil {
		return s.end(ctx, tx, j, Failed, failure)
	}
	return s.end(ctx, tx, j, Succeeded, nil)
}

// end moves a job to a state from which it does not come back.
func (s *Service) end(ctx context.Context, tx *store.Tx, j Job, state State, failure *problem.Problem) error {
	now := s.now()
	j.State, j.Failure, j.FinishedAt, j.Handed = state, failure, &now, false
	switch state {
	case Succeeded:
		j.Percent, j.Message = 100, "done"
	case Cancelled:
		j.Message = "cancelled"
	default:
		j.Message = failure.Message
	}
	if err := save(ctx, tx, j); err != nil {
		return err
	}
	if err := addLine(ctx, tx, j.ID, now, string(state)+": "+j.Message); err != nil {
		return err
	}
	tx.AfterCommit(func() { s.stop(j.ID) })
	return s.tell(ctx, tx, event.Type("job."+string(state)), j)
}

// Progress says how far a living job is. A new step or message is a line of its
// log too. A job that has ended is left alone.
func (s *Service) Progress(ctx context.Context, tx *store.Tx, id ident.Job, step string, percent int, message string) error {
	j, err := get(ctx, tx, id)
	if err != nil || j.State.Ended() {
		return err
	}
	newLine := step != j.Step
	j.Step, j.Percent, j.Message = step, percent, message
	if err := save(ctx, tx, j); err != nil {
		return err
	}
	if newLine {
		if err := addLine(ctx, tx, id, s.now(), step+": "+message); err != nil {
			return err
		}
	}
	tx.AfterCommit(func() { s.changed(id) })
	return nil
}

// Wake makes the jobs of a node due that wait for it or were handed to it: it is
// back, and may have lost what it was told. One whose handler has just found the
// node away, and which is about to wait, is due at once too.
func (s *Service) Wake(ctx context.Context, tx *store.Tx, node ident.Node) error {
	s.mu.Lock()
	s.wakes[node]++ // not after the commit: a job could be written as waiting in between
	s.mu.Unlock()
	_, err := tx.ExecContext(ctx, `UPDATE jobs SET state = 'queued', handed = 0, run_at = ?
		WHERE node_id = ? AND (state = 'waiting' OR (state = 'running' AND handed = 1))`, s.now().UnixMilli(), string(node))
	tx.AfterCommit(s.poke)
	return err
}

// Get gives a job that the caller may see.
func (s *Service) Get(ctx context.Context, c access.Caller, id ident.Job) (Job, error) {
	j, err := get(ctx, s.db.Snapshot(), id)
	if err == nil && !c.Sees(j.Owner) {
		return Job{}, problem.New(problem.NotFound, "there is no such job")
	}
	return j, err
}

// List gives a page of the jobs that the caller may see and their number in all.
func (s *Service) List(ctx context.Context, c access.Caller, f Filter) (jobs []Job, total int, err error) {
	f.Owner = c.Owner()
	err = s.db.Read(ctx, func(q store.Querier) error {
		jobs, total, err = list(ctx, q, f)
		return err
	})
	return jobs, total, err
}

// Lines gives the log of a job that the caller may see, after a line's number.
func (s *Service) Lines(ctx context.Context, c access.Caller, id ident.Job, after int64, limit int) ([]Line, error) {
	if _, err := s.Get(ctx, c, id); err != nil {
		return nil, err
	}
	return lines(ctx, s.db.Snapshot(), id, after, limit)
}

// Cancel ends a living job; one that has ended is a CONFLICT.
func (s *Service) Cancel(ctx context.Context, c access.Caller, id ident.Job) (Job, error) {
	if _, err := s.Get(ctx, c, id); err != nil {
		return Job{}, err
	}
	err := s.db.Write(ctx, func(tx *store.Tx) error {
		j, err := get(ctx, tx, id)
		if err != nil {
			return err
		}
		if j.State.Ended() {
			return problem.New(problem.Conflict, "this job has %s already", j.State)
		}
		cancelled := s.kinds[j.Kind].Cancelled
		if cancelled == nil {
			return problem.New(problem.Conflict, "a job of the kind %s can't be cancelled; order the opposite when it is done", j.Kind)
		}
		if err := s.end(ctx, tx, j, Cancelled, problem.New(problem.Conflict, "the job was cancelled")); err != nil {
			return err
		}
		return cancelled(ctx, tx, j)
	})
	if err != nil {
		return Job{}, err
	}
	return s.Get(ctx, c, id)
}

// Supersede cancels the living job of an instance, if there is one, so that what
// can't wait (a delete, a kill) may be enqueued in the same transaction.
func (s *Service) Supersede(ctx context.Context, tx *store.Tx, instance ident.Instance, why string) error {
	j, there, err := Active(ctx, tx, instance)
	if err != nil || !there {
		return err
	}
	return s.end(ctx, tx, j, Cancelled, problem.New(problem.Conflict, "%s", why))
}

// Bequeath gives an instance's jobs, also those that have ended, to its new
// owner: who may see, cancel and retry them is who may see the instance.
func (s *Service) Bequeath(ctx context.Context, tx *store.Tx, instance ident.Instance, owner ident.User) error {
	_, err := tx.ExecContext(ctx, `UPDATE jobs SET owner_id = NULLIF(?, '') WHERE instance_id = ?`, string(owner), string(instance))
	return err
}

// fail ends a job that its handler or its deadline gave up and lets its feature know.
func (s *Service) fail(ctx context.Context, tx *store.Tx, j Job, failure *problem.Problem) error {
	if err := s.end(ctx, tx, j, Failed, failure); err != nil {
		return err
	}
	j.State, j.Failure = Failed, failure
	if p := s.kinds[j.Kind]; p.Failed != nil {
		return p.Failed(ctx, tx, j)
	}
	return nil
}

// Retry enqueues a failed or cancelled job again, as a new job.
func (s *Service) Retry(ctx context.Context, c access.Caller, id ident.Job) (again Job, err error) {
	old, err := s.Get(ctx, c, id)
	if err != nil {
		return Job{}, err
	}
	if old.State != Failed && old.State != Cancelled {
		return Job{}, problem.New(problem.Conflict, "only a job that failed or was cancelled can be tried again; this one is %s", old.State)
	}
	p := s.kinds[old.Kind]
	if p.Retry == nil {
		return Job{}, problem.New(problem.Conflict, "jobs of the kind %s can't be tried again", old.Kind)
	}
	err = s.db.Write(ctx, func(tx *store.Tx) error {
		n, err := p.Retry(ctx, tx, old)
		if err != nil {
			return err
		}
		n.RetryOf, n.Actor = old.ID, c.Actor
		again, err = s.Enqueue(ctx, tx, n)
		return err
	})
	return again, err
}

// Watch gives a channel that gets a value when the job changes (several changes
// may become one), and a function that ends the watching.
func (s *Service) Watch(id ident.Job) (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watchers[id] == nil {
		s.watchers[id] = map[chan struct{}]struct{}{}
	}
	s.watchers[id][ch] = struct{}{}
	return ch, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers[id], ch)
		if len(s.watchers[id]) == 0 {
			delete(s.watchers, id)
		}
	}
}

// Await waits until the job has ended or ctx has, and gives it as it then is.
func (s *Service) Await(ctx context.Context, id ident.Job) (Job, error) {
	return s.AwaitThat(ctx, id, func(j Job) bool { return j.State.Ended() })
}

// AwaitThat waits until the job is as asked for, has ended, or ctx has.
func (s *Service) AwaitThat(ctx context.Context, id ident.Job, that func(Job) bool) (Job, error) {
	changes, stop := s.Watch(id)
	defer stop()
	for {
		j, err := get(ctx, s.db.Snapshot(), id)
		if err != nil || j.State.Ended() || that(j) {
			return j, err
		}
		select {
		case <-changes:
		case <-ctx.Done():
			return j, ctx.Err()
		}
	}
}

func (s *Service) tell(ctx context.Context, tx *store.Tx, t event.Type, j Job) error {
	tx.AfterCommit(func() { s.changed(j.ID) })
	data := map[string]any{"kind": j.Kind}
	if j.Failure != nil {
		data["failure"] = j.Failure.Message
	}
	return s.events.Append(ctx, tx, event.Event{Type: t, Owner: j.Owner, Instance: j.Instance, Node: j.Node, Job: j.ID, Actor: j.Actor}, data)
}

// woken gives how often the node's jobs were woken.
func (s *Service) woken(node ident.Node) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wakes[node]
}

func (s *Service) changed(id ident.Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ch := range s.watchers[id] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

func (s *Service) poke() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}
