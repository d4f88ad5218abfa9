package job

import (
	"context"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// Finish ends a living job in tx, whatever tasks are left of it: it succeeded
// when failure is nil. One that has ended already is left alone.
func (s *Service) Finish(ctx context.Context, tx *store.Tx, id ident.Job, failure *problem.Problem) error {
	j, err := Find(ctx, tx, id)
	if err != nil || j.State.Ended() {
		return err
	}
	if failure != nil {
		_, err = s.end(ctx, tx, j, Failed, failure)
		return err
	}
	_, err = s.end(ctx, tx, j, Succeeded, nil)
	return err
}

// end moves a job to a state from which it does not come back, and gives it as
// it then is; Task stays the one at which it ended. Its handler is interrupted
// after the commit.
func (s *Service) end(ctx context.Context, tx *store.Tx, j Job, state State, failure *problem.Problem) (Job, error) {
	now := s.now()
	j.State, j.Failure, j.FinishedAt, j.Handed, j.WaitingSince, j.lease = state, failure, &now, false, nil, nil
	switch state {
	case Succeeded:
		j.Percent, j.Message = 100, "done"
	case Cancelled:
		j.Message = "cancelled"
	default:
		j.Message = failure.Message
	}
	if err := save(ctx, tx, j); err != nil {
		return j, err
	}
	if len(j.Tasks) > 0 {
		if err := endTasks(ctx, tx, j.ID, taskEnd(state), now); err != nil {
			return j, err
		}
	}
	if err := addLine(ctx, tx, j.ID, now, lastLine(state, j.Message, failure)); err != nil {
		return j, err
	}
	s.Parts(tx, j.ID, nil)
	tx.AfterCommit(func() { s.stop(j.ID) })
	return j, s.tell(ctx, tx, event.Type("job."+string(state)), j)
}

// asked is why a job ends that somebody cancelled; others are cancelled for
// something that was ordered in their place.
const asked = "the job was cancelled"

// lastLine is what a job's log ends with.
func lastLine(state State, message string, failure *problem.Problem) string {
	switch {
	case state != Cancelled:
		return string(state) + ": " + message
	case failure.Message == asked:
		return string(state)
	default:
		return string(state) + ": " + failure.Message
	}
}

// stop interrupts the handler of a job that has ended, if it is under way.
func (s *Service) stop(id ident.Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.running {
		if c.id == id {
			c.cancel(errEnded)
		}
	}
}

// Cancel ends a living job; one that has ended is a CONFLICT.
func (s *Service) Cancel(ctx context.Context, c access.Caller, id ident.Job) (Job, error) {
	seen, err := s.Get(ctx, c, id)
	if err == nil {
		err = s.commands(c, seen)
	}
	if err != nil {
		return Job{}, err
	}
	err = s.db.Write(ctx, func(tx *store.Tx) error {
		j, err := Find(ctx, tx, id)
		if err != nil {
			return err
		}
		if j.State.Ended() {
			return problem.New(problem.Conflict, "this job has ended already: it is %s", j.State)
		}
		cancelled := s.kinds[j.Kind].Cancelled
		if cancelled == nil {
			return problem.New(problem.Conflict, "a job of the kind %s can't be cancelled; order the opposite when it is done", j.Kind)
		}
		if j, err = s.end(ctx, tx, j, Cancelled, problem.New(problem.Conflict, "%s", asked)); err != nil {
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
// can't wait (a delete, a kill) may be enqueued in the same transaction. Its
// kind's Superseded runs in it too.
func (s *Service) Supersede(ctx context.Context, tx *store.Tx, instance ident.Instance, why string) error {
	j, there, err := Active(ctx, tx, instance)
	if err != nil || !there {
		return err
	}
	if j, err = s.end(ctx, tx, j, Cancelled, problem.New(problem.Conflict, "%s", why)); err != nil {
		return err
	}
	if superseded := s.kinds[j.Kind].Superseded; superseded != nil {
		return superseded(ctx, tx, j)
	}
	return nil
}

// fail ends a job that its handler or its deadline gave up and lets its feature know.
func (s *Service) fail(ctx context.Context, tx *store.Tx, j Job, failure *problem.Problem) error {
	j, err := s.end(ctx, tx, j, Failed, failure)
	if err != nil {
		return err
	}
	if failed := s.kinds[j.Kind].Failed; failed != nil {
		return failed(ctx, tx, j)
	}
	return nil
}

// Retry enqueues a failed or cancelled job again, as a new job.
func (s *Service) Retry(ctx context.Context, c access.Caller, id ident.Job) (again Job, err error) {
	old, err := s.Get(ctx, c, id)
	if err == nil {
		err = s.commands(c, old)
	}
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
