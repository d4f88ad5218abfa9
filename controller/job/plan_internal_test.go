package job

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/store"
)

// What runs all the time is found through an index of living jobs (or of when
// jobs ended), however many have ended: the plan names it.
func TestNoQueryWalksOverEndedJobs(t *testing.T) {
	t.Parallel()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "berth.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for name, c := range map[string]struct {
		query string
		args  int
		index string
	}{
		"restart":   {queryRestart, 1, "jobs_deadline"},
		"wake":      {queryWake, 2, "jobs_node"},
		"nudge":     {queryNudge, 2, "sqlite_autoindex_jobs_1"},
		"due":       {queryDue, 1, "jobs_due"},
		"late":      {queryLate, 1, "jobs_due"},
		"overdue":   {queryOverdue, 1, "jobs_deadline"},
		"lost":      {queryLost, 1, "jobs_lease"},
		"take back": {queryTakeBack, 3, "sqlite_autoindex_jobs_1"},
		"old":       {queryForgotten, 1, "jobs_finished"},
		"forget":    {queryForget, 1, "jobs_finished"},
		"get":       {queryGet, 1, "sqlite_autoindex_jobs_1"},
		"active":    {queryActive, 1, "jobs_one_per_instance"},
		"beside":    {queryBeside, 1, "jobs_beside"},
		"living":    {queryLiving, 2, "jobs_kind"},
	} {
		plan := explain(t, db, c.query, make([]any, c.args))
		found := false
		for _, step := range plan {
			if strings.HasPrefix(step, "SCAN jobs") || strings.Contains(step, "TEMP B-TREE") {
				t.Errorf("%s walks or sorts: %s", name, step)
			}
			found = found || strings.Contains(step, " "+c.index+" ")
		}
		if !found {
			t.Errorf("%s does not use %s:\n%s", name, c.index, strings.Join(plan, "\n"))
		}
	}
}

func explain(t *testing.T, db *store.DB, query string, args []any) []string {
	t.Helper()
	plan, err := store.Collect(t.Context(), db.Snapshot(), func(row func(...any) error) (string, error) {
		var id, parent, unused int
		var step string
		err := row(&id, &parent, &unused, &step)
		return step, err
	}, "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return plan
}
