package event

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
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
	walks := map[string]bool{} // from the end, and stops when it has enough
	now := time.UnixMilli(1)
	customer := Sight{Me: "u", Told: []ident.Instance{"i", "j"}, Shown: []ident.Instance{"k"}}
	for _, f := range []Filter{
		{}, {After: 1, upTo: 9}, {After: 1, Instance: "i"}, {After: 1, Type: "t.u"}, {Instance: "i"}, {Node: "n"}, {Job: "j"}, {Actor: "u"}, {Via: access.ViaSFTP},
		{Type: "file"}, {Type: "file.written"}, {Since: now}, {Until: now}, {Since: now, Until: now, Instance: "i"}, {Search: "x", Since: now},
	} {
		for _, sight := range []Sight{Everything(), customer, {Me: "u"}, {Me: "u", Nodes: true}, {Me: "u", Things: []string{"role", "user"}}} {
			f.Sight = sight
			query, args := f.query(columns, 9, 9)
			queries[query] = args
			walks[query] = sight.Nodes || sight.All && (f.Search != "" || len(args) == 2)
		}
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
		for i, step := range plan {
			sorted := strings.Contains(step, "ORDER BY") && i > 0 && strings.Contains(plan[i-1], " events") // not: what was cut already
			if step == "SCAN events" && !walks[query] || sorted {
				t.Errorf("%s\nwalks or sorts:\n%s", query, strings.Join(plan, "\n"))
				break
			}
		}
	}
}
