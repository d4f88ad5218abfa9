package job_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
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

// A waiting job says why and since when, takes no worker, counts no attempt, and
// looks by itself again, ever more rarely.
func TestWaitingForANodeSaysWhyAndSinceWhen(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := b.service()
		var calls []string
		begun := time.Now()
		s.Register(kind, policy(func(_ context.Context, j job.Job) (job.Outcome, error) {
			calls = append(calls, fmt.Sprintf("%d@%s", j.Attempt, time.Since(begun).Round(time.Second)))
			return job.Done, problem.New(problem.NodeOffline, "node a is offline: nothing answers at 192.0.2.1")
		}))
		b.run(s)
		j := b.enqueue(s, job.New{Kind: kind, Node: "a"})
		time.Sleep(2 * time.Minute)
		now := b.now(s, j.ID)
		if now.State != job.Waiting || now.Message != "node a is offline: nothing answers at 192.0.2.1" || now.Attempt != 0 ||
			now.WaitingSince == nil || now.WaitingSince.Sub(now.CreatedAt) > time.Second {
			t.Fatalf("%+v", now)
		}
		if got := fmt.Sprint(calls); got != "[1@0s 1@10s 1@20s 1@40s 1@1m10s 1@1m40s]" {
			t.Fatalf("called at %s", got)
		}
		if texts := b.texts(s, j.ID); len(texts) != 1 { // not once for each look
			t.Fatalf("its log: %q", texts)
		}
	})
}

// A job whose node is back doesn't say that it is away, whoever found that out.
func TestBackFromWaitingSaysSo(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := b.service()
		var away atomic.Bool
		away.Store(true)
		s.Register(kind, policy(func(_ context.Context, j job.Job) (job.Outcome, error) {
			if away.Load() {
				return job.Done, problem.New(problem.NodeOffline, "node a is offline")
			}
			time.Sleep(time.Second)
			return job.Handed, nil
		}))
		b.run(s)
		j := b.enqueue(s, job.New{Kind: kind, Node: "a"})
		time.Sleep(5 * time.Second)
		away.Store(false)
		b.write(func(ctx context.Context, tx *store.Tx) error { return s.Wake(ctx, tx, "a") })
		time.Sleep(500 * time.Millisecond)
		if now := b.now(s, j.ID); now.State != job.Running || now.Message != "the node is back" {
			t.Errorf("woken, it is %s: %q", now.State, now.Message)
		}
		away.Store(true)
		other := b.enqueue(s, job.New{Kind: kind, Node: "a"})
		time.Sleep(5 * time.Second)
		away.Store(false)
		time.Sleep(10 * time.Second) // it has looked by itself
		if now := b.now(s, other.ID); !now.Handed || now.Message != "the node is back" || now.WaitingSince != nil {
			t.Errorf("having looked by itself, it is %+v", now)
		}
	})
}

// A node that was away and is back may have lost what it was handed: Wake has
// the handler called again. The one that was about to hand over too.
func TestWakeCallsHandedJobsAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := b.service()
		calls := map[ident.Node]*atomic.Int32{"a": {}, "b": {}}
		s.Register(kind, policy(func(_ context.Context, j job.Job) (job.Outcome, error) {
			if calls[j.Node].Add(1) == 1 {
				time.Sleep(10 * time.Second)
			}
			return job.Handed, nil
		}))
		b.run(s)
		jobs := []job.Job{b.enqueue(s, job.New{Kind: kind, Node: "a"}), b.enqueue(s, job.New{Kind: kind, Node: "b"})}
		wake := func(ctx context.Context, tx *store.Tx) error { return s.Wake(ctx, tx, "a") }
		time.Sleep(5 * time.Second)
		b.write(wake) // in the middle of the call
		time.Sleep(10 * time.Second)
		if now := b.now(s, jobs[0].ID); calls["a"].Load() != 2 || !now.Handed || now.Attempt != 1 {
			t.Fatalf("%d calls, %+v", calls["a"].Load(), now)
		}
		b.write(wake) // while it is handed
		if now := b.now(s, jobs[0].ID); calls["a"].Load() != 3 || !now.Handed || now.State != job.Running || now.Attempt != 1 {
			t.Fatalf("%d calls, %+v", calls["a"].Load(), now)
		}
		if b.now(s, jobs[1].ID); calls["b"].Load() != 1 {
			t.Fatalf("another node's job was called %d times", calls["b"].Load())
		}
	})
}

func TestNudgeCallsWhatPauses(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := b.service()
		calls := 0
		var outcome job.Outcome
		var failure error
		s.Register(kind, policy(func(context.Context, job.Job) (job.Outcome, error) {
			if calls++; calls == 2 {
				return job.Done, nil
			}
			time.Sleep(5 * time.Second)
			return outcome, failure
		}))
		b.run(s)
		for _, c := range []struct {
			name    string
			outcome job.Outcome
			failure error
			after   time.Duration // from the beginning of the first call
		}{
			{"handed", job.Handed, nil, 6 * time.Second},
			{"about to be handed", job.Handed, nil, 2 * time.Second},
			{"pausing", job.Again, nil, 5 * time.Second},
			{"waiting", job.Done, problem.New(problem.NodeOffline, "away"), 6 * time.Second},
			{"about to wait", job.Done, problem.New(problem.NodeOffline, "away"), 2 * time.Second},
			{"in the pause after a failure", job.Done, errors.New("no"), 5 * time.Second},
		} {
			calls, outcome, failure = 0, c.outcome, c.failure
			begun := time.Now()
			j := b.enqueue(s, job.New{Kind: kind})
			time.Sleep(c.after)
			b.now(s, j.ID)
			b.write(func(ctx context.Context, tx *store.Tx) error { return s.Nudge(ctx, tx, j.ID) })
			// It is called at once, or right after the call under way.
			time.Sleep(max(time.Until(begun.Add(5*time.Second)), 0))
			if now := b.now(s, j.ID); now.State != job.Succeeded || calls != 2 {
				t.Errorf("%s: %d calls, %+v", c.name, calls, now)
			}
			b.write(func(ctx context.Context, tx *store.Tx) error { return s.Nudge(ctx, tx, j.ID) })
			if now := b.now(s, j.ID); now.State != job.Succeeded || calls != 2 {
				t.Errorf("%s: nudged after its end: %d calls, %+v", c.name, calls, now)
			}
		}
	})
}

// Calls to one node hang: its jobs take a few workers, and one when it has shown
// itself; those of other nodes are done at once all the while.
func TestAStuckNodeHoldsUpNobodyElse(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := b.service()
		var mu sync.Mutex
		hanging, most, later := 0, 0, 0
		begun := time.Now()
		s.Register(kind, policy(func(_ context.Context, j job.Job) (job.Outcome, error) {
			if j.Node != "stuck" {
				return job.Done, nil
			}
			mu.Lock()
			hanging++
			if most = max(most, hanging); time.Since(begun) > 20*time.Second {
				later = max(later, hanging)
			}
			mu.Unlock()
			time.Sleep(10 * time.Second)
			mu.Lock()
			hanging--
			mu.Unlock()
			return job.Done, problem.New(problem.NodeOffline, "the call to node stuck failed: it did not answer in time")
		}))
		b.run(s)
		for range 200 {
			b.enqueue(s, job.New{Kind: kind, Node: "stuck"})
		}
		for range 60 {
			time.Sleep(time.Second)
			j := b.enqueue(s, job.New{Kind: kind, Node: "well"})
			asked := time.Now()
			if now := b.now(s, j.ID); now.State != job.Succeeded || time.Since(asked) != 0 {
				t.Fatalf("%s after its start: %+v", time.Since(begun), now)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if most != 4 || later != 1 {
			t.Fatalf("at most %d calls to it at a time, and %d later", most, later)
		}
	})
}

// A job that was enqueued, and of which the queue does not know (the process was
// interrupted between the commit and its hooks), is found all the same.
func TestAJobOfWhichTheQueueDoesNotKnow(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := b.service()
		s.Register(kind, policy(func(context.Context, job.Job) (job.Outcome, error) { return job.Done, nil }))
		b.run(s)
		synctest.Wait()      // it has looked at what was there at its start
		other := b.service() // its hooks reach its own queue, which nobody works off
		other.Register(kind, policy(nil))
		j := b.enqueue(other, job.New{Kind: kind})
		time.Sleep(15 * time.Second)
		if now := b.now(s, j.ID); now.State != job.Succeeded {
			t.Fatalf("%+v", now)
		}
	})
}
