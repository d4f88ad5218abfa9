package job_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/problem"
)

// Whatever a job waits for, its deadline ends it.
func TestDeadlineFailsWhatIsStuck(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]job.Handler{
		"handed":         func(context.Context, job.Job) (job.Outcome, error) { return job.Handed, nil },
		"again for ever": func(context.Context, job.Job) (job.Outcome, error) { return job.Again, nil },
		"waiting": func(context.Context, job.Job) (job.Outcome, error) {
			return job.Done, problem.New(problem.NodeOffline, "node a is offline: its machine is gone")
		},
		"failing": func(context.Context, job.Job) (job.Outcome, error) { return job.Done, errors.New("no") },
		"a handler that hangs": func(ctx context.Context, _ job.Job) (job.Outcome, error) {
			<-ctx.Done()
			return job.Done, ctx.Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				s := b.service()
				told := 0
				p := policy(handler)
				p.Attempts = 1 << 30
				p.Failed = func(context.Context, *store.Tx, job.Job) error { told++; return nil }
				s.Register(kind, p)
				b.run(s)
				j := b.enqueue(s, job.New{Kind: kind, Node: "a"})
				time.Sleep(time.Hour - time.Second)
				if now := b.now(s, j.ID); now.State.Ended() {
					t.Fatalf("too early: %+v", now)
				}
				time.Sleep(10 * time.Second)
				if f := b.now(s, j.ID); told != 1 || f.State != job.Failed || !strings.Contains(f.Message, "did not end within its 1h0m0s") {
					t.Fatalf("told %d times, %s: %q", told, f.State, f.Message)
				}
			})
		})
	}
}

// One job whose feature can't take the failure in keeps no other from its end.
func TestDeadlineHoldsBesideOneThatCannotFail(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := b.service()
		for k, f := range map[job.Kind]func() error{
			"test.bad": func() error { return errors.New("the feature is broken") }, "test.worse": func() error { panic("very broken") }, kind: func() error { return nil },
		} {
			p := policy(func(context.Context, job.Job) (job.Outcome, error) { return job.Handed, nil })
			p.Failed = func(context.Context, *store.Tx, job.Job) error { return f() }
			s.Register(k, p)
		}
		b.run(s)
		b.enqueue(s, job.New{Kind: "test.bad"})
		b.enqueue(s, job.New{Kind: "test.worse"})
		time.Sleep(time.Second)
		j := b.enqueue(s, job.New{Kind: kind})
		time.Sleep(time.Hour + 10*time.Second)
		if now := b.now(s, j.ID); now.State != job.Failed {
			t.Fatalf("%+v", now)
		}
	})
}
