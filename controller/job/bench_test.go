package job_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

// One job from its enqueuing to its end, on 1,000 nodes, beside 100,000 that
// have ended and 10,000 that wait for an offline node.
func BenchmarkAJobBesideMany(b *testing.B) {
	for _, size := range []struct{ ended, waiting int }{{0, 0}, {100_000, 10_000}} {
		b.Run(fmt.Sprintf("ended=%d/waiting=%d", size.ended, size.waiting), func(b *testing.B) {
			measure(b, size.ended, size.waiting)
		})
	}
}

func measure(b *testing.B, ended, waiting int) {
	room := setup(b)
	s := room.service()
	done := make(chan struct{}, b.N+1)
	s.Register(kind, policy(func(context.Context, job.Job) (job.Outcome, error) { done <- struct{}{}; return job.Done, nil }))
	first := room.enqueue(s, job.New{Kind: kind})
	if err := room.db.Write(b.Context(), func(tx *store.Tx) error {
		_, err := tx.ExecContext(b.Context(), `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1 + ?2)
			INSERT INTO jobs (id, kind, node_id, actor, input, state, run_at, deadline, created_at, finished_at)
			SELECT 'j' || i, kind, 'node' || i % 1000, actor, input, CASE WHEN i <= ?1 THEN 'succeeded' ELSE 'waiting' END,
				run_at + CASE WHEN i <= ?1 THEN 0 ELSE 86400000 END, deadline + 999999999, created_at, CASE WHEN i <= ?1 THEN created_at END
			FROM jobs, n WHERE id = ?3 AND ?1 + ?2 > 0`, ended, waiting, string(first.ID))
		return err
	}); err != nil {
		b.Fatal(err)
	}
	// Not Run's resume, which would have them all looked at once.
	ctx, cancel := context.WithCancel(b.Context())
	stopped := make(chan struct{})
	go func() { defer close(stopped); _ = s.Work(ctx) }()
	<-done
	b.ResetTimer()
	for i := range b.N {
		room.enqueue(s, job.New{Kind: kind, Node: ident.Node(fmt.Sprintf("node%d", i%1000))})
	}
	for range b.N {
		<-done
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
	cancel()
	<-stopped
}
