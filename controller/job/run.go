package job

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

const (
	workers       = 16               // jobs at a time: they mostly wait for agents
	sweepEvery    = 5 * time.Second  // deadlines are looked at
	waitForNode   = 10 * time.Second // a waiting job looks by itself again, beside Wake
	handlerLimit  = 30 * time.Second // one call of a handler
	rememberedFor = 30 * 24 * time.Hour
)

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
func (s *Service) resume(ctx context.Context) error {
	return s.db.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE jobs SET state = 'queued', handed = 0, run_at = ? WHERE `+living, s.now().UnixMilli())
		return err
	})
}

func (s *Service) dispatch(ctx context.Context) error {
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	defer func() { _ = group.Wait() }()
	for {
		j, there, err := s.claim(ctx)
		if err != nil && ctx.Err() == nil {
			s.log.Error("claim a job", "error", err)
		}
		if there {
			group.Go(func() error { s.work(inner, j); return nil })
			continue
		}
		timer := time.NewTimer(s.pause(ctx, err))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-s.kick:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// pause is how long nothing is due.
func (s *Service) pause(ctx context.Context, failed error) time.Duration {
	if failed != nil {
		return time.Second
	}
	at, err := nextDue(ctx, s.db.Snapshot())
	if err != nil || at.IsZero() {
		return sweepEvery
	}
	return min(max(at.Sub(s.now()), 0)+time.Millisecond, sweepEvery)
}

// claim takes the next due job and marks it running.
func (s *Service) claim(ctx context.Context) (j Job, there bool, err error) {
	if _, there, err = due(ctx, s.db.Snapshot(), s.now()); err != nil || !there {
		return j, false, err // a look without the writer's lock, for the idle case
	}
	err = s.db.Write(ctx, func(tx *store.Tx) error {
		now := s.now()
		if j, there, err = due(ctx, tx, now); err != nil || !there {
			return err
		}
		j.State, j.Handed = Running, false
		j.Attempt++
		if j.StartedAt == nil {
			j.StartedAt = &now
		}
		tx.AfterCommit(func() { s.changed(j.ID) })
		return save(ctx, tx, j)
	})
	return j, there && err == nil, err
}

// work calls the handler and writes down how it went.
func (s *Service) work(ctx context.Context, j Job) {
	policy := s.kinds[j.Kind]
	if policy.Handler == nil {
		s.settle(ctx, j, 0, Done, problem.New(problem.Forbidden, "this version of Berth does not know jobs of the kind %s", j.Kind))
		return
	}
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.mu.Lock()
	s.running[j.ID] = cancel
	s.mu.Unlock()
	woken := s.woken(j.Node)
	limited, release := context.WithTimeout(inner, handlerLimit)
	outcome, err := policy.Handler(limited, j)
	release()
	s.mu.Lock()
	delete(s.running, j.ID)
	s.mu.Unlock()
	if errors.Is(context.Cause(inner), errEnded) || ctx.Err() != nil {
		return // it ended meanwhile, or the controller does: resume makes it due again
	}
	s.settle(ctx, j, woken, outcome, err)
}

// settle writes an outcome down; woken is how often the node had been woken when
// the handler began.
func (s *Service) settle(ctx context.Context, j Job, woken int, outcome Outcome, failure error) {
	err := s.db.Write(ctx, func(tx *store.Tx) error {
		now, err := get(ctx, tx, j.ID)
		if err != nil || now.State != Running {
			return err // an event from outside was faster
		}
		return s.decide(ctx, tx, now, woken, outcome, failure)
	})
	if err != nil && ctx.Err() == nil {
		s.log.Error("write down a job's outcome", "job", j.ID, "kind", j.Kind, "error", err)
		s.settleLater(ctx, j)
	}
}

// settleLater makes the job due again when its outcome could not be written
// (the disk is full): nothing may be running for ever that nobody runs.
func (s *Service) settleLater(ctx context.Context, j Job) {
	for ctx.Err() == nil {
		timer := time.NewTimer(time.Second)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		err := s.db.Write(ctx, func(tx *store.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE jobs SET state = 'queued', run_at = ? WHERE id = ? AND state = 'running' AND handed = 0`,
				s.now().UnixMilli(), string(j.ID))
			tx.AfterCommit(s.poke)
			return err
		})
		if err == nil {
			return
		}
	}
}

func (s *Service) decide(ctx context.Context, tx *store.Tx, j Job, woken int, outcome Outcome, failure error) error {
	if failure == nil {
		if outcome == Done {
			return s.end(ctx, tx, j, Succeeded, nil)
		}
		j.Handed = true
		tx.AfterCommit(func() { s.changed(j.ID) })
		return save(ctx, tx, j)
	}
	p := problem.From(failure)
	policy := s.kinds[j.Kind]
	switch {
	case p.Code == problem.NodeOffline:
		j.State, j.RunAt, j.Attempt = Waiting, s.now().Add(waitForNode), j.Attempt-1
		if s.woken(j.Node) != woken { // it came back meanwhile, and nobody wakes us again
			j.RunAt = s.now()
		}
		return s.pauseJob(ctx, tx, j, p.Message)
	case p.Code == problem.Internal && j.Attempt < policy.Attempts:
		s.log.Warn("a job's step failed and is tried again", "job", j.ID, "kind", j.Kind, "attempt", j.Attempt, "error", failure)
		j.State, j.RunAt = Queued, s.now().Add(backoff(j.Attempt))
		return s.pauseJob(ctx, tx, j, fmt.Sprintf("attempt %d failed, is tried again: %s", j.Attempt, p.Message))
	default:
		s.log.Warn("a job failed", "job", j.ID, "kind", j.Kind, "error", failure)
		return s.fail(ctx, tx, j, p)
	}
}

func (s *Service) pauseJob(ctx context.Context, tx *store.Tx, j Job, message string) error {
	newLine := j.Message != message
	j.Message = message
	if err := save(ctx, tx, j); err != nil {
		return err
	}
	tx.AfterCommit(func() { s.changed(j.ID); s.poke() })
	if !newLine {
		return nil
	}
	return addLine(ctx, tx, j.ID, s.now(), message)
}

// sweep fails what is over its deadline and forgets what ended long ago.
func (s *Service) sweep(ctx context.Context) error {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		late, err := overdue(ctx, s.db.Snapshot(), s.now())
		if err == nil && len(late) > 0 {
			err = s.failLate(ctx, late)
		}
		if err == nil {
			err = s.forget(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Error("look after jobs", "error", err)
		}
	}
}

func (s *Service) failLate(ctx context.Context, late []Job) error {
	return s.db.Write(ctx, func(tx *store.Tx) error {
		for _, j := range late {
			now, err := get(ctx, tx, j.ID)
			if err != nil {
				return err
			}
			if now.State.Ended() {
				continue
			}
			why := problem.New(problem.Conflict, "the job did not end within its %s (last: %s); try it again", now.Deadline.Sub(now.CreatedAt).Round(time.Second), now.Message)
			if err := s.fail(ctx, tx, now, why); err != nil {
				return err
			}
		}
		return nil
	})
}

// forget deletes a bounded batch of jobs that ended long ago, with their lines.
func (s *Service) forget(ctx context.Context) error {
	before := s.now().Add(-rememberedFor).UnixMilli()
	// What has ended before then was made before then too, and that has an index.
	const old = `created_at < ?1 AND finished_at < ?1`
	found, err := store.Count(ctx, s.db.Snapshot(), `SELECT COUNT(*) FROM (SELECT 1 FROM jobs WHERE `+old+` LIMIT 1)`, before)
	if err != nil || found == 0 {
		return err
	}
	return s.db.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE `+old+` LIMIT 500)`, before)
		return err
	})
}

// stop interrupts the handler of a job that has ended, if it is under way.
func (s *Service) stop(id ident.Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cancel, there := s.running[id]; there {
		cancel(errEnded)
	}
}
