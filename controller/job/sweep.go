package job

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

const (
	sweepEvery    = 5 * time.Second
	rememberedFor = 30 * 24 * time.Hour
	forgetBatches = 20 // of 500 jobs, in one sweep
)

// sweep looks after what nobody else does. When one of it fails, the rest is
// done all the same.
func (s *Service) sweep(ctx context.Context) error {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		for _, do := range []func(context.Context) error{s.failLate, s.freeLost, s.findDue, s.forget} {
			if err := do(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("look after jobs", "error", err)
			}
		}
	}
}

// failLate fails what is over its deadline, each in a transaction of its own:
// what a kind does about it may fail.
func (s *Service) failLate(ctx context.Context) error {
	late, err := store.Collect(ctx, s.db.Snapshot(), scanID, queryOverdue, s.now().UnixMilli())
	if err != nil {
		return err
	}
	for _, id := range late {
		if err := s.failOneLate(ctx, id); err != nil {
			if ctx.Err() != nil {
				return err
			}
			s.log.Error("fail a job that is late", "job", id, "error", err)
		}
	}
	return nil
}

func (s *Service) failOneLate(ctx context.Context, id ident.Job) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return s.db.WriteBehind(ctx, func(tx *store.Tx) error {
		j, err := Find(ctx, tx, id)
		if err != nil || j.State.Ended() {
			return err
		}
		why := problem.New(problem.Conflict, "the job did not end within its %s (last: %s); try it again", j.Deadline.Sub(j.CreatedAt).Round(time.Second), j.Message)
		return s.fail(ctx, tx, j, why)
	})
}

// freeLost makes jobs due again whose lease has run out and which nobody here
// runs: their goroutine was lost.
func (s *Service) freeLost(ctx context.Context) error {
	now := s.now()
	lost, err := store.Collect(ctx, s.db.Snapshot(), scanID, queryLost, now.UnixMilli())
	if err != nil {
		return err
	}
	for _, id := range lost {
		if s.runs(id) {
			continue // it doesn't heed its context; the deadline holds for it too
		}
		s.log.Error("a job that nobody ran any more is begun again", "job", id)
		if err := s.takeBack(ctx, id, now); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) runs(id ident.Job) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.running {
		if c.id == id {
			return true
		}
	}
	return false
}

// takeBack makes a claimed job due, if its lease ends before then.
func (s *Service) takeBack(ctx context.Context, id ident.Job, before time.Time) error {
	return s.db.WriteBehind(ctx, func(tx *store.Tx) error {
		now := s.now()
		freed, err := store.Collect(ctx, tx, scanHint, queryTakeBack, now.UnixMilli(), string(id), before.UnixMilli())
		if err != nil {
			return err
		}
		s.dueLater(tx, freed)
		for range freed {
			err = addLine(ctx, tx, id, now, "its call was lost; it is begun again")
		}
		return err
	})
}

// findDue puts jobs into the queue that should long have been taken from it.
func (s *Service) findDue(ctx context.Context) error {
	due, err := store.Collect(ctx, s.db.Snapshot(), scanHint, queryDue, s.now().Add(-sweepEvery).UnixMilli())
	for _, h := range due {
		s.push(h)
	}
	if len(due) > 0 {
		s.poke()
	}
	return err
}

// forget deletes jobs that ended long ago, with their tasks and lines.
func (s *Service) forget(ctx context.Context) error {
	before := s.now().Add(-rememberedFor).UnixMilli()
	for range forgetBatches {
		found, err := store.Count(ctx, s.db.Snapshot(), queryForgotten, before)
		if err != nil || found == 0 {
			return err
		}
		if err := s.db.WriteBehind(ctx, func(tx *store.Tx) error {
			_, err := tx.ExecContext(ctx, queryForget, before)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}
