package job_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/problem"
)

func TestTasksAreDoneInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := b.service()
		var done []string
		s.Register(kind, steps(func(_ context.Context, j job.Job) (job.Outcome, error) {
			done = append(done, fmt.Sprintf("%s/%d", j.Task, j.Attempt))
			return job.Done, nil
		}))
		j := b.enqueue(s, job.New{Kind: kind})
		if got := fmt.Sprint(states(j), states(b.now(s, j.ID))); got != "[pending pending pending] [pending pending pending]" || j.Task != "reserve" {
			t.Fatalf("at first %s", got)
		}
		begun := time.Now()
		b.run(s)
		j = b.now(s, j.ID)
		if got := fmt.Sprint(done); got != "[reserve/1 copy/1 switch/1]" || j.State != job.Succeeded || j.Task != "" {
			t.Fatalf("done %s, job %+v", got, j)
		}
		for _, task := range j.Tasks {
			if task.State != job.TaskDone || task.StartedAt == nil || task.FinishedAt == nil {
				t.Errorf("%+v", task)
			}
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("the next task did not begin at once, but after %s in all", took)
		}
		want := []string{"task reserve begins", "task reserve is done", "task copy begins", "task copy is done", "task switch begins", "task switch is done", "succeeded: done"}
		if got := b.texts(s, j.ID); !slices.Equal(got, want) {
			t.Errorf("its log: %q", got)
		}
	})
}

// The controller dies in the middle of a task: the handler never returns in
// time, and the database is shut under it. The next one goes on at that task, and
// what the job remembered is there.
func TestADeadControllersJobGoesOnAtItsTask(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		first := b.service()
		release := make(chan struct{})
		first.Register(kind, steps(func(ctx context.Context, j job.Job) (job.Outcome, error) {
			if j.Task == "copy" {
				b.write(func(_ context.Context, tx *store.Tx) error {
					return first.Remember(ctx, tx, j.ID, map[string]int{"copied": 5})
				})
				<-release // whatever its context says
			}
			return job.Done, nil
		}))
		ctx, cancel := context.WithCancel(t.Context())
		died := make(chan struct{})
		go func() { defer close(died); _ = first.Run(ctx) }()
		j := b.enqueue(first, job.New{Kind: kind, Instance: "00000001"})
		if got := b.now(first, j.ID); got.Task != "copy" || got.State != job.Running {
			t.Fatalf("%+v", got)
		}
		if err := b.db.Close(); err != nil {
			t.Fatal(err)
		}

		b.open()
		second := b.service()
		var done []string
		second.Register(kind, steps(func(_ context.Context, j job.Job) (job.Outcome, error) {
			done = append(done, fmt.Sprintf("%s/%d %s", j.Task, j.Attempt, j.Memory))
			return job.Done, nil
		}))
		stop := b.run(second)
		if got := b.now(second, j.ID); got.State != job.Succeeded {
			t.Fatalf("%+v", got)
		}
		if got := fmt.Sprintf("%q", done); got != `["copy/1 {\"copied\":5}" "switch/1 {\"copied\":5}"]` {
			t.Fatalf("the second did %s", got)
		}
		stop()
		close(release) // the first one's handler wakes in a dead process' stead: nothing comes of it
		cancel()
		<-died
	})
}

func TestAttemptsAndPausesAreOfEachTask(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := b.service()
		var calls []string
		begun := time.Now()
		s.Register(kind, steps(func(_ context.Context, j job.Job) (job.Outcome, error) {
			calls = append(calls, fmt.Sprintf("%s/%d@%s", j.Task, j.Attempt, time.Since(begun).Round(time.Second)))
			if j.Task != "switch" && j.Attempt < 3 {
				return job.Done, errors.New("not yet")
			}
			return job.Done, nil
		}))
		j := b.enqueue(s, job.New{Kind: kind})
		b.run(s)
		time.Sleep(time.Minute)
		if got := b.now(s, j.ID); got.State != job.Succeeded {
			t.Fatalf("%+v", got)
		}
		// Pauses of 1 s and 2 s, and again of 1 s and 2 s.
		if got := fmt.Sprint(calls); got != "[reserve/1@0s reserve/2@1s reserve/3@3s copy/1@3s copy/2@4s copy/3@6s switch/1@6s]" {
			t.Fatal(got)
		}
	})
}

func TestAFailedJobMarksItsTask(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := b.service()
		var told string
		p := steps(func(_ context.Context, j job.Job) (job.Outcome, error) {
			if j.Task == "copy" {
				return job.Done, problem.New(problem.Conflict, "there is no room")
			}
			return job.Done, nil
		})
		p.Failed = func(_ context.Context, _ *store.Tx, j job.Job) error {
			told = fmt.Sprintf("%s %s: %s", j.Task, j.State, j.Failure.Message)
			return nil
		}
		s.Register(kind, p)
		j := b.enqueue(s, job.New{Kind: kind})
		b.run(s)
		j = b.now(s, j.ID)
		if got := fmt.Sprintf("%s in %s %s", j.State, j.Task, states(j)); got != "failed in copy [done failed skipped]" || told != "copy failed: there is no room" {
			t.Fatalf("%s; told %q", got, told)
		}
	})
}

// Cancel and Finish in each task: the handler is interrupted, what it returns
// changes nothing, and the tasks say what became of them.
func TestAJobEndsInEachTask(t *testing.T) {
	t.Parallel()
	for position, name := range []string{"reserve", "copy", "switch"} {
		for _, how := range []string{"cancel", "supersede", "finish", "fail"} {
			t.Run(how+" in "+name, func(t *testing.T) {
				inBubble(t, func(t *testing.T, b *bench) { endIn(t, b, position, name, how) })
			})
		}
	}
}

func endIn(t *testing.T, b *bench, position int, name, how string) {
	s := b.service()
	var told string
	interrupted := false
	p := steps(func(ctx context.Context, j job.Job) (job.Outcome, error) {
		if j.Task != name {
			return job.Done, nil
		}
		<-ctx.Done()
		interrupted = true
		return job.Done, nil
	})
	tell := func(what string) func(context.Context, *store.Tx, job.Job) error {
		return func(_ context.Context, _ *store.Tx, j job.Job) error { told = what + " in " + j.Task; return nil }
	}
	p.Cancelled, p.Superseded, p.Failed = tell("cancelled"), tell("superseded"), tell("failed")
	s.Register(kind, p)
	j := b.enqueue(s, job.New{Kind: kind, Instance: "00000001"})
	b.run(s)
	if now := b.now(s, j.ID); now.Task != name || now.Tasks[position].State != job.TaskRunning {
		t.Fatalf("it is at %+v", now)
	}
	var state job.State
	var task job.TaskState
	var want string
	switch how {
	case "cancel":
		state, task, want = job.Cancelled, job.TaskCancelled, "cancelled in "+name
		if _, err := s.Cancel(t.Context(), access.Local(), j.ID); err != nil {
			t.Fatal(err)
		}
	case "supersede":
		state, task, want = job.Cancelled, job.TaskCancelled, "superseded in "+name
		b.write(func(ctx context.Context, tx *store.Tx) error {
			return s.Supersede(ctx, tx, "00000001", "it is deleted")
		})
	case "finish":
		state, task = job.Succeeded, job.TaskDone
		b.write(func(ctx context.Context, tx *store.Tx) error { return s.Finish(ctx, tx, j.ID, nil) })
	default: // Finish tells nobody: who calls it knows
		state, task = job.Failed, job.TaskFailed
		b.write(func(ctx context.Context, tx *store.Tx) error {
			return s.Finish(ctx, tx, j.ID, problem.New(problem.Conflict, "no"))
		})
	}
	now := b.now(s, j.ID)
	if now.State != state || now.Tasks[position].State != task || told != want || !interrupted {
		t.Fatalf("interrupted %t, told %q, job %+v", interrupted, told, now)
	}
	for i, other := range now.Tasks {
		if want := map[bool]job.TaskState{true: job.TaskDone, false: job.TaskSkipped}[i < position]; i != position && other.State != want {
			t.Errorf("task %s is %s, want %s", other.Name, other.State, want)
		}
	}
	err := b.db.Write(t.Context(), func(tx *store.Tx) error { return s.Remember(b.t.Context(), tx, j.ID, struct{}{}) })
	if !problem.Is(err, problem.Conflict) {
		t.Errorf("a job that has ended could remember: %v", err)
	}
}

func TestAgainCallsInAboutASecond(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := b.service()
		var calls []string
		begun := time.Now()
		s.Register(kind, policy(func(ctx context.Context, j job.Job) (job.Outcome, error) {
			calls = append(calls, fmt.Sprintf("%d %s@%s", j.Attempt, j.Memory, time.Since(begun).Round(time.Second)))
			err := b.db.Write(ctx, func(tx *store.Tx) error { return s.Remember(ctx, tx, j.ID, map[string]int{"n": len(calls)}) })
			if len(calls) == 3 {
				return job.Again, errors.Join(err, errors.New("a passing failure"))
			}
			if len(calls) == 5 {
				return job.Done, err
			}
			return job.Again, err
		}))
		j := b.enqueue(s, job.New{Kind: kind})
		b.run(s)
		if between := b.now(s, j.ID); between.State != job.Running || between.Handed {
			t.Errorf("between two calls it is %+v", between)
		}
		time.Sleep(time.Minute)
		if got := b.now(s, j.ID); got.State != job.Succeeded {
			t.Fatalf("%+v", got)
		}
		// A call that goes well begins the count anew.
		want := `["1 {}@0s" "1 {\"n\":1}@1s" "1 {\"n\":2}@2s" "2 {\"n\":3}@3s" "1 {\"n\":4}@4s"]`
		if got := fmt.Sprintf("%q", calls); got != want {
			t.Fatalf("calls %s", got)
		}
	})
}

// A job of a version with other tasks is not done half and called whole.
func TestATaskThatIsUnknownFailsItsJob(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		old := b.service()
		old.Register(kind, steps(nil))
		j := b.enqueue(old, job.New{Kind: kind})
		s := b.service()
		s.Register(kind, job.Policy{Tasks: []job.Task{{Name: "copy", Do: func(context.Context, job.Job) (job.Outcome, error) {
			t.Error("a later task was done before the first")
			return job.Done, nil
		}}}, Deadline: time.Hour, Attempts: 3})
		b.run(s)
		if now := b.now(s, j.ID); now.State != job.Failed || now.Failure.Code != problem.Forbidden || fmt.Sprint(states(now)) != "[failed skipped skipped]" {
			t.Fatalf("%+v", now)
		}
		synctest.Wait()
	})
}
