package job_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

// inBubble runs f on a clock that only moves when everything waits: time.Sleep
// goes on to that moment, and synctest.Wait until nothing moves by itself.
func inBubble(t *testing.T, f func(t *testing.T, b *bench)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { f(t, setup(t)) })
}

// now gives a job as it is once nothing moves any more.
func (b *bench) now(s *job.Service, id ident.Job) job.Job {
	b.t.Helper()
	synctest.Wait()
	j, err := s.Get(b.t.Context(), access.Local(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return j
}

func (b *bench) write(f func(ctx context.Context, tx *store.Tx) error) {
	b.t.Helper()
	if err := b.db.Write(b.t.Context(), func(tx *store.Tx) error { return f(b.t.Context(), tx) }); err != nil {
		b.t.Fatal(err)
	}
}

// texts gives a job's log.
func (b *bench) texts(s *job.Service, id ident.Job) (out []string) {
	b.t.Helper()
	lines, err := s.Lines(b.t.Context(), access.Local(), id, 0, 1000)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, l := range lines {
		out = append(out, l.Text)
	}
	return out
}

// states gives the states of a job's tasks.
func states(j job.Job) (out []job.TaskState) {
	for _, t := range j.Tasks {
		out = append(out, t.State)
	}
	return out
}

// steps is a policy of three tasks; f does them all.
func steps(f job.Handler) job.Policy {
	return job.Policy{Tasks: []job.Task{{Name: "reserve", Do: f}, {Name: "copy", Do: f}, {Name: "switch", Do: f}}, Deadline: time.Hour, Attempts: 3}
}
