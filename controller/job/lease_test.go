package job_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

// A call whose goroutine is gone: the job is claimed, and nobody works on it.
// When its lease has run out it is begun again.
func TestALostCallIsBegunAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := b.service()
		var calls []string
		begun := time.Now()
		p := policy(func(_ context.Context, j job.Job) (job.Outcome, error) {
			calls = append(calls, fmt.Sprintf("%d@%s", j.Attempt, time.Since(begun).Truncate(10*time.Second)))
			if len(calls) == 1 {
				runtime.Goexit()
			}
			return job.Done, nil
		})
		p.Limit = time.Minute
		s.Register(kind, p)
		b.run(s)
		j := b.enqueue(s, job.New{Kind: kind})
		time.Sleep(time.Minute)
		if now := b.now(s, j.ID); now.State != job.Running {
			t.Fatalf("before its lease has run out it is %+v", now)
		}
		time.Sleep(time.Minute)
		if now := b.now(s, j.ID); now.State != job.Succeeded || fmt.Sprint(calls) != "[1@0s 2@1m30s]" {
			t.Fatalf("calls %v, %+v", calls, now)
		}
		if texts := strings.Join(b.texts(s, j.ID), "\n"); !strings.Contains(texts, "its call was lost") {
			t.Errorf("its log says nothing of it: %s", texts)
		}
	})
}

// A handler that heeds neither its limit nor its context holds its job: nobody
// else is called for it beside.
func TestAStuckHandlerIsNotDoubled(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := b.service()
		calls := 0
		s.Register(kind, policy(func(context.Context, job.Job) (job.Outcome, error) {
			calls++
			time.Sleep(30 * time.Minute)
			return job.Done, nil
		}))
		b.run(s)
		j := b.enqueue(s, job.New{Kind: kind})
		time.Sleep(31 * time.Minute)
		if now := b.now(s, j.ID); now.State != job.Succeeded || calls != 1 {
			t.Fatalf("%d calls, %+v", calls, now)
		}
	})
}

// A hint about a job that runs, is handed or has ended is only a hint: nothing
// comes of it, and the call under way is still found by who cancels.
func TestAWrongHintDoesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := b.service()
		var calls atomic.Int32
		interrupted := false
		p := policy(func(ctx context.Context, _ job.Job) (job.Outcome, error) {
			calls.Add(1)
			<-ctx.Done()
			interrupted = true
			return job.Done, nil
		})
		p.Cancelled = func(context.Context, *store.Tx, job.Job) error { return nil }
		s.Register(kind, p)
		s.Register("test.handed", policy(func(context.Context, job.Job) (job.Outcome, error) { calls.Add(1); return job.Handed, nil }))
		b.run(s)
		running, handed := b.enqueue(s, job.New{Kind: kind}), b.enqueue(s, job.New{Kind: "test.handed"})
		synctest.Wait()
		for _, id := range []ident.Job{running.ID, handed.ID, "no-such-job"} {
			s.Hint(id)
			synctest.Wait()
		}
		if _, err := s.Cancel(t.Context(), access.Local(), running.ID); err != nil {
			t.Fatal(err)
		}
		s.Hint(running.ID)
		if now := b.now(s, running.ID); now.State != job.Cancelled || !interrupted || calls.Load() != 2 {
			t.Fatalf("interrupted %t, %d calls, %+v", interrupted, calls.Load(), now)
		}
		if now := b.now(s, handed.ID); !now.Handed || now.State != job.Running {
			t.Fatalf("%+v", now)
		}
	})
}

func TestACallHasItsLimit(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := b.service()
		took := map[job.Kind]time.Duration{}
		for k, limit := range map[job.Kind]time.Duration{kind: 0, "test.long": 5 * time.Minute} {
			p := policy(func(ctx context.Context, j job.Job) (job.Outcome, error) {
				begun := time.Now()
				<-ctx.Done()
				took[j.Kind] = time.Since(begun)
				return job.Done, ctx.Err()
			})
			p.Limit, p.Attempts = limit, 1
			s.Register(k, p)
		}
		b.run(s)
		short, long := b.enqueue(s, job.New{Kind: kind}), b.enqueue(s, job.New{Kind: "test.long"})
		time.Sleep(10 * time.Minute)
		if now := b.now(s, short.ID); now.State != job.Failed || now.Message != "it took longer than the 30s that one go may take" || took[kind] != 30*time.Second {
			t.Errorf("after %s: %+v", took[kind], now)
		}
		if now := b.now(s, long.ID); now.State != job.Failed || took["test.long"] != 5*time.Minute {
			t.Errorf("after %s: %+v", took["test.long"], now)
		}
	})
}

// A panic is a passing failure: it counts as an attempt, is logged with where it
// was, and takes nothing else down.
func TestAPanicIsAFailedAttempt(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		var log bytes.Buffer
		s := job.NewService(b.db, b.events, slog.New(slog.NewTextHandler(&log, nil)), b.clock.now)
		calls := 0
		s.Register(kind, policy(func(context.Context, job.Job) (job.Outcome, error) {
			if calls++; calls < 3 {
				panic("the cat is on the line")
			}
			return job.Done, nil
		}))
		s.Register("test.broken", policy(func(context.Context, job.Job) (job.Outcome, error) { panic("always") }))
		stop := b.run(s)
		mended, broken := b.enqueue(s, job.New{Kind: kind}), b.enqueue(s, job.New{Kind: "test.broken"})
		time.Sleep(time.Minute)
		if now := b.now(s, mended.ID); now.State != job.Succeeded || now.Attempt != 3 {
			t.Errorf("%+v", now)
		}
		if now := b.now(s, broken.ID); now.State != job.Failed || now.Attempt != 3 || strings.Contains(now.Message, "always") {
			t.Errorf("%+v", now)
		}
		stop()
		if text := log.String(); !strings.Contains(text, "the cat is on the line") || !strings.Contains(text, "TestAPanicIsAFailedAttempt") {
			t.Errorf("the log does not say what and where: %s", text)
		}
	})
}

// When what a kind does about its failed jobs panics, the job is not lost: its
// lease runs out, and the deadline holds.
func TestAPanicInWhatFollowsIsSurvived(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := b.service()
		var mended atomic.Bool
		p := policy(func(context.Context, job.Job) (job.Outcome, error) { panic("always") })
		p.Attempts = 1
		p.Failed = func(context.Context, *store.Tx, job.Job) error {
			if !mended.Load() {
				panic("here too")
			}
			return nil
		}
		s.Register(kind, p)
		b.run(s)
		j := b.enqueue(s, job.New{Kind: kind})
		if now := b.now(s, j.ID); now.State != job.Running {
			t.Fatalf("%+v", now)
		}
		mended.Store(true)
		time.Sleep(2 * time.Minute)
		if now := b.now(s, j.ID); now.State != job.Failed {
			t.Fatalf("%+v", now)
		}
		synctest.Wait()
	})
}
