package job_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
)

// Parts are told with their step, taken back with it, and gone when the job ends
// or what told them was rolled back.
func TestParts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	errRolledBack := errors.New("rolled back")
	s := b.service()
	s.Register("x", policy(nil))
	j := b.enqueue(s, job.New{Kind: "x", Instance: "aaaaaaaa", Node: "n"})
	layers := []job.Part{{Name: "3f4d", State: "downloading", DoneBytes: 1, TotalBytes: 2}, {Name: "77aa", State: "waiting"}}
	tell := func(step string, parts []job.Part, fails error) {
		t.Helper()
		err := b.db.Write(t.Context(), func(tx *store.Tx) error {
			s.Parts(tx, j.ID, parts)
			if err := s.Progress(t.Context(), tx, j.ID, step, 50, step); err != nil {
				return err
			}
			return fails
		})
		if err != fails { //nolint:errorlint // the very one
			t.Fatal(err)
		}
	}
	expect := func(when string, want []job.Part) {
		t.Helper()
		got, err := s.Get(t.Context(), access.Local(), j.ID)
		if err != nil || !reflect.DeepEqual(got.Parts, want) || len(got.View().Parts) != len(want) {
			t.Errorf("%s: %+v, %v; want %+v", when, got.Parts, err, want)
		}
	}
	expect("at first", nil)
	changes, stop := s.Watch(j.ID)
	defer stop()
	tell("pull", layers, nil)
	<-changes
	expect("while it pulls", layers)
	tell("pull", nil, t.Context().Err())
	tell("pull", layers, nil)
	tell("start", layers[:1], errRolledBack)
	expect("after what was rolled back", layers)
	tell("start", nil, nil)
	expect("in the next step", nil)
	tell("pull", layers, nil)
	if err := b.db.Write(t.Context(), func(tx *store.Tx) error { return s.Finish(t.Context(), tx, j.ID, nil) }); err != nil {
		t.Fatal(err)
	}
	expect("at the end", nil)
}
