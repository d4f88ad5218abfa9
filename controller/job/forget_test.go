package job_test

import (
	"context"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/problem"
)

// What ended long ago is deleted with its tasks and lines, also more than a
// batch of it; what lives or has ended lately stays.
func TestOldJobsAreForgotten(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := b.service()
		s.Register(kind, steps(func(_ context.Context, j job.Job) (job.Outcome, error) { return job.Done, nil }))
		s.Register("test.long", job.Policy{Handler: func(context.Context, job.Job) (job.Outcome, error) { return job.Handed, nil }, Deadline: 90 * 24 * time.Hour, Attempts: 1})
		b.run(s)
		living, old := b.enqueue(s, job.New{Kind: "test.long"}), b.enqueue(s, job.New{Kind: kind})
		if now := b.now(s, old.ID); now.State != job.Succeeded {
			t.Fatalf("%+v", now)
		}
		b.write(func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.ExecContext(ctx, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)
				INSERT INTO jobs (id, kind, actor, input, state, run_at, deadline, created_at, finished_at)
				SELECT 'old' || i, kind, actor, input, state, run_at, deadline, created_at, finished_at FROM jobs, n WHERE id = ?`, string(old.ID))
			return err
		})
		b.clock.forward(31 * 24 * time.Hour)
		young := b.enqueue(s, job.New{Kind: kind})
		time.Sleep(10 * time.Second)
		if now := b.now(s, living.ID); now.State != job.Running {
			t.Errorf("%+v", now)
		}
		if now := b.now(s, young.ID); now.State != job.Succeeded {
			t.Errorf("%+v", now)
		}
		if _, err := s.Get(t.Context(), access.Local(), old.ID); !problem.Is(err, problem.NotFound) {
			t.Errorf("the old one is there, or else: %v", err)
		}
		for table, want := range map[string]int{"jobs": 2, "job_tasks": 3, "job_lines": 7} {
			if n, err := store.Count(t.Context(), b.db.Snapshot(), "SELECT COUNT(*) FROM "+table); err != nil || n != want {
				t.Errorf("%s has %d rows, want %d; %v", table, n, want, err)
			}
		}
	})
}

// An agent that goes to and fro between two steps does not fill the disk, and the
// end of its job is still in the log.
func TestAnEndlessLog(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := b.service()
		s.Register(kind, job.Policy{Handler: func(context.Context, job.Job) (job.Outcome, error) { return job.Handed, nil }, Deadline: time.Hour, Attempts: 1})
		b.run(s)
		j := b.enqueue(s, job.New{Kind: kind})
		b.write(func(ctx context.Context, tx *store.Tx) error {
			for n := range 6000 {
				if err := s.Progress(ctx, tx, j.ID, []string{"to", "fro"}[n%2], n%100, "at it"); err != nil {
					return err
				}
			}
			return s.Finish(ctx, tx, j.ID, nil)
		})
		n, err := store.Count(t.Context(), b.db.Snapshot(), `SELECT COUNT(*) FROM job_lines WHERE job_id = ?`, string(j.ID))
		if err != nil || n != 5001 {
			t.Errorf("%d lines, %v", n, err)
		}
		if n, err = store.Count(t.Context(), b.db.Snapshot(), `SELECT COUNT(*) FROM job_lines WHERE job_id = ? AND line = 'succeeded: done'`, string(j.ID)); err != nil || n != 1 {
			t.Errorf("its end is there %d times, %v", n, err)
		}
	})
}
