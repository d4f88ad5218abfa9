package job

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/problem"
)

// leaseSlack is what a claim is good for beyond the limit of the call: that is
// when its context ends, and its outcome has to be written yet.
const leaseSlack = 30 * time.Second

var errEnded = errors.New("the job has ended")

// Run works jobs off until ctx ends, then waits for the handlers under way.
func (s *Service) Run(ctx context.Context) error {
	if err := s.resume(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // it was to end before it had begun
		}
		return fmt.Errorf("resume jobs: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.sweep(ctx) })
	group.Go(func() error { return s.dispatch(ctx) })
	if err := group.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// resume makes everything that was alive when the last process ended due again.
// A call that was cut off by that is no failed attempt.
func (s *Service) resume(ctx context.Context) error {
	return s.db.WriteBehind(ctx, func(tx *store.Tx) error {
		alive, err := store.Collect(ctx, tx, scanHint, queryRestart, s.now().UnixMilli())
		if err != nil {
			return err
		}
		s.dueLater(tx, alive)
		return nil
	})
}

func (s *Service) dispatch(ctx context.Context) error {
	var workers sync.WaitGroup
	defer workers.Wait()
	for ctx.Err() == nil {
		picks := s.queue.take(s.now())
		for _, c := range s.claim(ctx, picks) {
			workers.Go(func() { s.work(c) }) //nolint:contextcheck // a call has had its own since its claim
		}
		if len(picks) > 0 {
			continue
		}
		timer := time.NewTimer(s.pause())
		select {
		case <-ctx.Done():
		case <-s.kick:
		case <-timer.C:
		}
		timer.Stop()
	}
	return ctx.Err()
}

// pause is how long nothing is due.
func (s *Service) pause() time.Duration {
	at := s.queue.next()
	if at.IsZero() {
		return sweepEvery
	}
	return min(max(at.Sub(s.now()), 0)+time.Millisecond, sweepEvery)
}

// call is one call of a handler.
type call struct {
	pick
	job    Job
	ctx    context.Context //nolint:containedctx // it is the call's, from the claim on: a cancelling must find it
	cancel context.CancelCauseFunc
	nudged bool // with s.mu: somebody wants another one after it
}

// claim marks the picked jobs as running, in one transaction, and gives those of
// them that are still to be run.
func (s *Service) claim(ctx context.Context, picks []pick) []*call {
	if len(picks) == 0 {
		return nil
	}
	calls := make([]*call, 0, len(picks))
	for _, p := range picks {
		calls = append(calls, s.begin(ctx, p))
	}
	var claimed []*call
	err := s.db.WriteBehind(ctx, func(tx *store.Tx) error {
		for _, c := range calls {
			there, err := s.claimOne(ctx, tx, c)
			switch {
			case store.IsUnavailable(err):
				return err
			case err != nil: // of this job alone; the sweep tries it again
				s.log.Error("claim a job", "job", c.id, "error", err)
			case there:
				claimed = append(claimed, c)
			}
		}
		return nil
	})
	if err != nil {
		claimed = nil
		if ctx.Err() == nil {
			s.log.Error("claim jobs", "error", err)
		}
	}
	taken := map[*call]bool{}
	for _, c := range claimed {
		taken[c] = true
	}
	for _, c := range calls {
		if taken[c] {
			continue
		}
		s.over(c)
		if err != nil {
			s.queue.push(c.pick, s.now().Add(time.Second))
		}
	}
	return claimed
}

// begin enters a call before its claim is committed: whoever ends or wakes the
// job from that moment on finds it.
func (s *Service) begin(ctx context.Context, p pick) *call {
	c := &call{pick: p}
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running[c] = struct{}{}
	return c
}

// over takes a call out and frees its worker.
func (s *Service) over(c *call) {
	s.mu.Lock()
	delete(s.running, c)
	s.mu.Unlock()
	c.cancel(nil)
	s.queue.release(c.pick)
	s.poke()
}

// claimOne marks a job as running. One that has ended, runs or was put off since
// it was picked is not there.
func (s *Service) claimOne(ctx context.Context, tx *store.Tx, c *call) (there bool, err error) {
	j, err := Find(ctx, tx, c.id)
	if problem.Is(err, problem.NotFound) {
		return false, nil
	}
	now := s.now()
	switch {
	case err != nil || j.State.Ended() || j.Handed || j.lease != nil:
		return false, err
	case j.RunAt.After(now):
		s.queueLater(tx, j.hint())
		return false, nil
	}
	if j.State == Running { // the last call went well
		j.Attempt = 0
	}
	lease := now.Add(s.kinds[j.Kind].limit() + leaseSlack)
	j.State, j.Attempt, j.lease = Running, j.Attempt+1, &lease
	if j.StartedAt == nil {
		j.StartedAt = &now
	}
	if at := current(j.Tasks); at >= 0 {
		begun, err := beginTask(ctx, tx, j.ID, at, now)
		if err == nil && begun {
			err = addLine(ctx, tx, j.ID, now, "task "+j.Task+" begins")
		}
		if err != nil {
			return false, err
		}
	}
	c.job = j
	tx.AfterCommit(func() { s.changed(j.ID) })
	return true, save(ctx, tx, j)
}

func (j Job) hint() hint { return hint{id: j.ID, kind: j.Kind, node: j.Node, at: j.RunAt} }

// work calls the handler and writes down how it went.
func (s *Service) work(c *call) {
	defer s.over(c)
	defer func() {
		if r := recover(); r != nil { // the handler's own panic does not come here
			s.log.Error("writing down a job's outcome panicked; its lease will run out", "job", c.id, "panic", r, "stack", string(debug.Stack()))
		}
	}()
	handler := s.kinds[c.job.Kind].handler(c.job)
	if handler == nil {
		s.settle(c, Done, problem.New(problem.Forbidden, "this version of Berth does not know jobs of the kind %s with the task %q", c.job.Kind, c.job.Task))
		return
	}
	outcome, err := s.call(c, handler)
	if c.ctx.Err() != nil {
		return // it ended meanwhile, or the controller does: resume makes it due again
	}
	s.settle(c, outcome, err)
}

// call calls the handler, which may panic.
func (s *Service) call(c *call, handler Handler) (outcome Outcome, err error) {
	limit := s.kinds[c.job.Kind].limit()
	ctx, cancel := context.WithTimeout(c.ctx, limit)
	defer cancel()
	defer func() {
		if r := recover(); r != nil {
			s.log.Error("a job's handler panicked", "job", c.id, "kind", c.job.Kind, "task", c.job.Task, "panic", r, "stack", string(debug.Stack()))
			err = problem.New(problem.Internal, "the job's handler broke down; the controller's log says where").Because(fmt.Errorf("panic: %v", r))
		}
	}()
	outcome, err = handler(ctx, c.job)
	var p *problem.Problem
	if err != nil && ctx.Err() != nil && !errors.As(err, &p) {
		err = problem.New(problem.Internal, "it took longer than the %s that one go may take", limit).Because(err)
	}
	return outcome, err
}
