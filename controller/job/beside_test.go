package job_test

import (
	"context"
	"testing"

	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/problem"
)

// Kinds that go on beside the one job are counted among themselves, aren't
// superseded with it, and keep out what must be alone, which keeps them out.
func TestJobsBesideTheOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.service()
	const one, beside, alone job.Kind = "test.one", "test.beside", "test.alone"
	handed := func(context.Context, job.Job) (job.Outcome, error) { return job.Handed, nil }
	p := policy(handed)
	s.Register(one, p)
	p.Beside = 2
	s.Register(beside, p)
	p.Beside, p.Alone = 0, true
	s.Register(alone, p)

	busy := func(kind job.Kind, with job.Job) {
		t.Helper()
		_, err := b.tryEnqueue(s, job.New{Kind: kind, Instance: "i"})
		found := problem.From(err)
		if !problem.Is(err, problem.ResourceBusy) || len(found.Fields) != 1 || found.Fields[0].Message != string(with.ID) {
			t.Fatalf("%s: %v", kind, err)
		}
	}
	first := b.enqueue(s, job.New{Kind: beside, Instance: "i"})
	order := b.enqueue(s, job.New{Kind: one, Instance: "i"})
	busy(one, order)
	busy(alone, order)
	second := b.enqueue(s, job.New{Kind: beside, Instance: "i"})
	busy(beside, first)
	b.enqueue(s, job.New{Kind: beside, Instance: "another"})
	b.write(func(ctx context.Context, tx *store.Tx) error { return s.Supersede(ctx, tx, "i", "a kill") })
	busy(alone, first)
	b.write(func(ctx context.Context, tx *store.Tx) error { return s.Finish(ctx, tx, first.ID, nil) })
	b.write(func(ctx context.Context, tx *store.Tx) error { return s.Finish(ctx, tx, second.ID, nil) })
	move := b.enqueue(s, job.New{Kind: alone, Instance: "i"})
	busy(beside, move)
}
