package job

import (
	"context"
	"fmt"
	"time"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/problem"
)

const (
	again     = time.Second      // the pause that Again asks for
	waitFirst = 10 * time.Second // a waiting job looks by itself again, beside Wake: a call
	waitMost  = 30 * time.Second // may fail while the connection stands
)

// settle writes an outcome down.
func (s *Service) settle(c *call, outcome Outcome, failure error) {
	s.queue.found(c.lane.node, !problem.Is(failure, problem.NodeOffline))
	err := s.db.WriteBehind(c.ctx, func(tx *store.Tx) error {
		now, err := Find(c.ctx, tx, c.id)
		if err != nil || now.State != Running {
			return err // an event from outside was faster
		}
		now.lease = nil
		return s.decide(c.ctx, tx, now, s.wasNudged(c), outcome, failure)
	})
	if err != nil && c.ctx.Err() == nil {
		s.log.Error("write down a job's outcome", "job", c.id, "kind", c.job.Kind, "error", err)
		s.settleLater(c)
	}
}

func (s *Service) wasNudged(c *call) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return c.nudged
}

// settleLater makes the job due again when its outcome could not be written
// (the disk is full), without waiting for its lease to end.
func (s *Service) settleLater(c *call) {
	for {
		timer := time.NewTimer(time.Second)
		select {
		case <-c.ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		if err := s.takeBack(c.ctx, c.id, s.now().Add(365*24*time.Hour)); err == nil {
			return
		}
	}
}

func (s *Service) decide(ctx context.Context, tx *store.Tx, j Job, nudged bool, outcome Outcome, failure error) error {
	if failure != nil {
		return s.decideFailure(ctx, tx, j, nudged, failure)
	}
	if j.WaitingSince != nil { // nobody woke it, and nothing was said since
		j.WaitingSince, j.Message = nil, nodeBack
	}
	switch {
	case outcome == Done:
		return s.done(ctx, tx, j)
	case outcome == Handed && !nudged:
		j.Handed = true
		tx.AfterCommit(func() { s.changed(j.ID) })
		return save(ctx, tx, j)
	case outcome == Again && !nudged:
		return s.goOn(ctx, tx, j, again)
	default:
		return s.goOn(ctx, tx, j, 0)
	}
}

// done ends the job's task, and the job when no other comes after it.
func (s *Service) done(ctx context.Context, tx *store.Tx, j Job) error {
	at := current(j.Tasks)
	if at >= 0 {
		now := s.now()
		if err := finishTask(ctx, tx, j.ID, at, now); err != nil {
			return err
		}
		if err := addLine(ctx, tx, j.ID, now, "task "+j.Task+" is done"); err != nil {
			return err
		}
	}
	if at < 0 || at == len(j.Tasks)-1 {
		_, err := s.end(ctx, tx, j, Succeeded, nil)
		return err
	}
	return s.goOn(ctx, tx, j, 0)
}

// goOn keeps the job running, with another call after a pause.
func (s *Service) goOn(ctx context.Context, tx *store.Tx, j Job, pause time.Duration) error {
	j.RunAt = s.now().Add(pause)
	s.queueLater(tx, j.hint())
	tx.AfterCommit(func() { s.changed(j.ID) })
	return save(ctx, tx, j)
}

func (s *Service) decideFailure(ctx context.Context, tx *store.Tx, j Job, nudged bool, failure error) error {
	p, now := problem.From(failure), s.now()
	switch {
	case p.Code == problem.NodeOffline:
		if j.WaitingSince == nil {
			j.WaitingSince = &now
		}
		// Waiting is no attempt, and the longer it lasts the more rarely it looks.
		j.State, j.Attempt = Waiting, j.Attempt-1
		j.RunAt = now.Add(min(max(now.Sub(*j.WaitingSince), waitFirst), waitMost))
		if nudged { // it came back meanwhile, and nobody wakes us again
			j.RunAt = now
		}
		return s.pauseJob(ctx, tx, j, p.Message)
	case p.Code == problem.Internal && j.Attempt < s.kinds[j.Kind].Attempts:
		s.log.Warn("a job's step failed and is tried again", "job", j.ID, "kind", j.Kind, "task", j.Task, "attempt", j.Attempt, "error", failure)
		j.State, j.RunAt, j.WaitingSince = Queued, now.Add(backoff(j.Attempt)), nil
		return s.pauseJob(ctx, tx, j, fmt.Sprintf("attempt %d failed, is tried again: %s", j.Attempt, p.Message))
	default:
		s.log.Warn("a job failed", "job", j.ID, "kind", j.Kind, "task", j.Task, "error", failure)
		return s.fail(ctx, tx, j, p)
	}
}

func (s *Service) pauseJob(ctx context.Context, tx *store.Tx, j Job, message string) error {
	newLine := j.Message != message
	j.Message = message
	if err := save(ctx, tx, j); err != nil {
		return err
	}
	s.queueLater(tx, j.hint())
	tx.AfterCommit(func() { s.changed(j.ID) })
	if !newLine {
		return nil
	}
	return addLine(ctx, tx, j.ID, s.now(), message)
}
