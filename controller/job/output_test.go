package job_test

import (
	"context"
	"slices"
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

func TestOutputIsLogged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.service()
	s.Register(kind, policy(func(context.Context, job.Job) (job.Outcome, error) { return job.Handed, nil }))
	b.run(s)
	j := b.enqueue(s, job.New{Kind: kind})
	b.await(s, j.ID, job.Running)
	print := func(lines ...string) {
		t.Helper()
		if err := b.db.Write(t.Context(), func(tx *store.Tx) error { return s.Output(t.Context(), tx, j.ID, lines) }); err != nil {
			t.Fatal(err)
		}
	}
	logged := func() (texts []string) {
		t.Helper()
		lines, err := s.Lines(t.Context(), access.Local(), j.ID, 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			texts = append(texts, l.Text)
		}
		return texts
	}
	print("Unpacking", "Unpacking")
	print()
	print("done")
	want := []string{"Unpacking", "Unpacking", "done"}
	if got := logged(); !slices.Equal(got, want) {
		t.Errorf("the log has %q, want %q", got, want)
	}
	if err := b.db.Write(t.Context(), func(tx *store.Tx) error { return s.Finish(t.Context(), tx, j.ID, nil) }); err != nil {
		t.Fatal(err)
	}
	before := logged()
	print("too late")
	if got := logged(); !slices.Equal(got, before) {
		t.Errorf("after its end, the log has %q, had %q", got, before)
	}
	if err := b.db.Write(t.Context(), func(tx *store.Tx) error { return s.Output(t.Context(), tx, ident.Job("none"), nil) }); err == nil {
		t.Error("a job that isn't there takes it")
	}
}
