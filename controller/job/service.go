package job

import (
	"context"
	"encoding/json"
	"fmt"
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
	queue *queue
	kick  chan struct{} // a job may be due

	mu       sync.Mutex
	running  map[*call]struct{} // from before the claim is committed until the outcome is; a job may have two for a moment
	watchers map[ident.Job]map[chan struct{}]struct{}
	parts    map[ident.Job][]Part // of living jobs; see Parts
}

// NewService makes the service; Register the kinds, then Run it.
func NewService(db *store.DB, events *event.Log, log *slog.Logger, now func() time.Time) *Service {
	return &Service{
		db: db, events: events, log: log, now: now,
		kinds: map[Kind]Policy{}, queue: newQueue(), kick: make(chan struct{}, 1),
		running: map[*call]struct{}{}, watchers: map[ident.Job]map[chan struct{}]struct{}{}, parts: map[ident.Job][]Part{},
	}
}

// Register says how jobs of a kind are done. All kinds come before Run.
func (s *Service) Register(kind Kind, p Policy) { s.kinds[kind] = p }

// Enqueue writes a job in tx, with its kind's tasks; it starts after the commit.
// A living job of the same instance is RESOURCE_BUSY: the message names it, and
// the problem's field "job" is its id.
func (s *Service) Enqueue(ctx context.Context, tx *store.Tx, n New) (Job, error) {
	policy, known := s.kinds[n.Kind]
	if !known {
		return Job{}, problem.New(problem.Internal, "nothing here does jobs of the kind %s", n.Kind)
	}
	if n.Instance != "" {
		if err := s.room(ctx, tx, n.Instance, policy); err != nil {
			return Job{}, err
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
	j.beside = policy.Beside > 0
	for _, t := range policy.Tasks {
		j.Tasks = append(j.Tasks, TaskRecord{Name: t.Name, State: TaskPending})
	}
	if len(j.Tasks) > 0 {
		j.Task = j.Tasks[0].Name
	}
	if err := insert(ctx, tx, j); err != nil {
		return Job{}, err
	}
	s.queueLater(tx, hint{id: j.ID, kind: j.Kind, node: j.Node, at: j.RunAt})
	return j, s.tell(ctx, tx, "job.queued", j)
}

// room says whether the instance can have another job of a kind with that policy.
func (s *Service) room(ctx context.Context, tx *store.Tx, instance ident.Instance, policy Policy) error {
	one, there, err := Active(ctx, tx, instance)
	if err != nil {
		return err
	}
	if there && (policy.Beside == 0 || s.kinds[one.Kind].Alone) {
		return busyWith(one)
	}
	if policy.Beside == 0 && !policy.Alone {
		return nil
	}
	beside, err := store.Collect(ctx, tx, scan, queryBeside, string(instance))
	if err != nil || len(beside) == 0 || (!policy.Alone && len(beside) < policy.Beside) {
		return err
	}
	return busyWith(beside[0])
}

func busyWith(j Job) *problem.Problem {
	p := problem.New(problem.ResourceBusy, "instance %s is busy: job %s (%s) is %s; wait for it or cancel it", j.Instance, j.ID, j.Kind, j.State)
	p.Fields = []problem.Field{{Field: "job", Message: string(j.ID)}}
	return p
}

// Remember writes v, marshalled to a JSON object, as the job's memory: its
// handlers find it in Job.Memory from the next call on, also after a restart. A
// job that has ended is a CONFLICT, so that what its handler writes in the same
// transaction isn't written any more.
func (s *Service) Remember(ctx context.Context, tx *store.Tx, id ident.Job, v any) error {
	memory, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("remember for job %s: %w", id, err)
	}
	j, err := Find(ctx, tx, id)
	if err != nil {
		return err
	}
	if j.State.Ended() {
		return problem.New(problem.Conflict, "job %s has ended already: it is %s", id, j.State)
	}
	return saveMemory(ctx, tx, id, memory)
}

// Progress says how far a living job is. A new step or message is a line of its
// log too. A job that has ended is left alone.
func (s *Service) Progress(ctx context.Context, tx *store.Tx, id ident.Job, step string, percent int, message string) error {
	j, err := Find(ctx, tx, id)
	if err != nil || j.State.Ended() {
		return err
	}
	newLine := step != j.Step
	if j.State == Running {
		j.WaitingSince = nil
	}
	j.Step, j.Percent, j.Message = step, percent, message
	if err := save(ctx, tx, j); err != nil {
		return err
	}
	if newLine {
		if err := addStep(ctx, tx, id, s.now(), step+": "+message); err != nil {
			return err
		}
	}
	tx.AfterCommit(func() { s.changed(id) })
	return nil
}

// Get gives a job that the caller may see.
func (s *Service) Get(ctx context.Context, c access.Caller, id ident.Job) (Job, error) {
	j, err := Find(ctx, s.db.Snapshot(), id)
	if err == nil && !visible(c, j) {
		return Job{}, problem.New(problem.NotFound, "there is no such job")
	}
	j.Parts = s.partsOf(j)
	return j, err
}

func visible(c access.Caller, j Job) bool {
	return c.Reach(access.WriteJobs).Includes(j.of(), j.Node)
}

// commands is nil when the caller, who sees the job, may cancel and retry it: who
// may do so with all jobs, or with all nodes when it is a node's, and whoever may
// order it of its instance.
func (s *Service) commands(c access.Caller, j Job) error {
	right := s.kinds[j.Kind].Right
	if right == "" {
		right = access.EditInstance
	}
	switch {
	case c.Can(access.WriteJobs), j.Instance != "" && c.May(right, j.of()):
		return nil
	case j.Instance == "" && (c.Can(access.WriteNodes) && j.Node != "" || c.User != "" && c.User == j.Owner):
		return nil
	}
	return problem.New(problem.Forbidden, "you may see this job, and neither cancel nor retry it: that takes what it took to order it")
}

// List gives a page of the jobs that the caller may see and their number in all.
func (s *Service) List(ctx context.Context, c access.Caller, f Filter) (jobs []Job, total int, err error) {
	reach := c.Reach(access.WriteJobs)
	err = s.db.Read(ctx, func(q store.Querier) error {
		jobs, total, err = list(ctx, q, reach, f)
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

// Bequeath gives an instance's jobs, also those that have ended, to its new
// owner: who may see, cancel and retry them is who may see the instance.
func (s *Service) Bequeath(ctx context.Context, tx *store.Tx, instance ident.Instance, owner ident.User) error {
	_, err := tx.ExecContext(ctx, `UPDATE jobs SET owner_id = NULLIF(?, '') WHERE instance_id = ?`, string(owner), string(instance))
	return err
}

func (s *Service) tell(ctx context.Context, tx *store.Tx, t event.Type, j Job) error {
	tx.AfterCommit(func() { s.changed(j.ID) })
	data := map[string]any{"kind": j.Kind}
	if j.Failure != nil {
		data["failure"] = j.Failure.Message
	}
	return s.events.Append(ctx, tx, event.Event{Type: t, Owner: j.Owner, Instance: j.Instance, Node: j.Node, Job: j.ID, Actor: j.Actor}, data)
}

func (s *Service) poke() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}
