package job

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"time"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

// readTasks reads what the column of tasks gives: one JSON array, so that a page
// of jobs is one query.
func readTasks(text string) ([]TaskRecord, error) {
	if text == "[]" {
		return nil, nil
	}
	type record struct {
		Position   int       `json:"position"`
		Name       string    `json:"name"`
		State      TaskState `json:"state"`
		StartedAt  *int64    `json:"started_at"`
		FinishedAt *int64    `json:"finished_at"`
	}
	var rows []record
	if err := json.Unmarshal([]byte(text), &rows); err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b record) int { return a.Position - b.Position })
	tasks := make([]TaskRecord, 0, len(rows))
	for _, r := range rows {
		tasks = append(tasks, TaskRecord{Name: r.Name, State: r.State, StartedAt: moment(r.StartedAt), FinishedAt: moment(r.FinishedAt)})
	}
	return tasks, nil
}

func moment(ms *int64) *time.Time {
	if ms == nil {
		return nil
	}
	return store.Moment(sql.NullInt64{Int64: *ms, Valid: true})
}

// beginTask marks a job's task as under way, if it isn't yet, and says whether
// it was not.
func beginTask(ctx context.Context, tx *store.Tx, id ident.Job, position int, at time.Time) (bool, error) {
	res, err := tx.ExecContext(ctx, `UPDATE job_tasks SET state = 'running', started_at = ? WHERE job_id = ? AND position = ? AND state = 'pending'`,
		at.UnixMilli(), string(id), position)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

func finishTask(ctx context.Context, tx *store.Tx, id ident.Job, position int, at time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE job_tasks SET state = 'done', finished_at = ? WHERE job_id = ? AND position = ? AND state = 'running'`,
		at.UnixMilli(), string(id), position)
	return err
}

// endTasks gives the tasks of a job that has ended their last state.
func endTasks(ctx context.Context, tx *store.Tx, id ident.Job, running TaskState, at time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE job_tasks SET finished_at = CASE state WHEN 'running' THEN ?1 END,
		state = CASE state WHEN 'running' THEN ?2 ELSE 'skipped' END WHERE job_id = ?3 AND state IN ('pending', 'running')`,
		at.UnixMilli(), string(running), string(id))
	return err
}
