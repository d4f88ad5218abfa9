package job_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/problem"
)

// A node that comes back between a handler's finding it away and the writing
// down of that: the job must not wait for the next look by itself.
func TestWokenBeforeItWaits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.service()
	var calls atomic.Int64
	found, back := make(chan struct{}), make(chan struct{})
	s.Register(kind, policy(func(context.Context, job.Job) (job.Outcome, error) {
		if calls.Add(1) > 1 {
			return job.Done, nil
		}
		close(found)
		<-back
		return job.Done, problem.New(problem.NodeOffline, "node a is offline")
	}))
	b.run(s)
	j := b.enqueue(s, job.New{Kind: kind, Node: "a"})
	<-found
	if err := b.db.Write(t.Context(), func(tx *store.Tx) error { return s.Wake(t.Context(), tx, "a") }); err != nil {
		t.Fatal(err)
	}
	close(back)
	b.await(s, j.ID, job.Succeeded) // gives up after 20 s; the look by itself is a minute away
}
