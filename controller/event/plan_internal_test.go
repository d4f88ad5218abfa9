package event

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/store"
)

// However long the log is: what deletes from it and what follows it goes by an
// index, and neither sorts.
func TestNoQueryWalksOverTheLog(t *testing.T) {
	t.Parallel()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "berth.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	queries := map[string][]any{queryPurge: {1, 1}}
	for _, f := range []Filter{{After: 1}, {After: 1, Owner: "u"}, {After: 1, Instance: "i"}, {After: 1, Type: "t"}} {
		where, args := f.where()
		queries[`SELECT `+columns+` FROM events`+where+` AND id <= ? ORDER BY id LIMIT ?`] = append(args, 9, 9)
	}
	for query, args := range queries {
		plan, err := store.Collect(t.Context(), db.Snapshot(), func(row func(...any) error) (string, error) {
			var id, parent, unused int
			var step string
			err := row(&id, &parent, &unused, &step)
			return step, err
		}, "EXPLAIN QUERY PLAN "+query, args...)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range plan {
			if strings.HasPrefix(step, "SCAN events") || strings.Contains(step, "TEMP B-TREE") {
				t.Errorf("%s\nwalks or sorts: %s", query, step)
			}
		}
	}
}
