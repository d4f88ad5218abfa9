package job

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

const columns = `id, kind, COALESCE(instance_id, ''), COALESCE(node_id, ''), COALESCE(owner_id, ''), actor, input, state, handed,
	step, percent, message, failure, attempt, run_at, deadline, COALESCE(retry_of, ''), created_at, started_at, finished_at`

const living = `state IN ('queued', 'waiting', 'running')`

func scan(row func(...any) error) (Job, error) {
	var j Job
	var actor, input string
	var failure sql.NullString
	var runAt, deadline, created int64
	var started, finished sql.NullInt64
	err := row(&j.ID, &j.Kind, &j.Instance, &j.Node, &j.Owner, &actor, &input, &j.State, &j.Handed, &j.Step, &j.Percent, &j.Message,
		&failure, &j.Attempt, &runAt, &deadline, &j.RetryOf, &created, &started, &finished)
	if err != nil {
		return j, err
	}
	j.Input = json.RawMessage(input)
	j.RunAt, j.Deadline, j.CreatedAt = time.UnixMilli(runAt).UTC(), time.UnixMilli(deadline).UTC(), time.UnixMilli(created).UTC()
	j.StartedAt, j.FinishedAt = store.Moment(started), store.Moment(finished)
	if err := json.Unmarshal([]byte(actor), &j.Actor); err != nil {
		return j, fmt.Errorf("job %s: actor: %w", j.ID, err)
	}
	if failure.Valid {
		j.Failure = new(problem.Problem)
		if err := json.Unmarshal([]byte(failure.String), j.Failure); err != nil {
			return j, fmt.Errorf("job %s: failure: %w", j.ID, err)
		}
	}
	return j, nil
}

func insert(ctx context.Context, tx *store.Tx, j Job) error {
	actor, err := json.Marshal(j.Actor)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO jobs (id, kind, instance_id, node_id, owner_id, actor, input, state, run_at, deadline, retry_of, created_at)
		VALUES (?, ?, NULLIF(?, ''), NULLIF(?, ''), NULLIF(?, ''), ?, ?, ?, ?, ?, NULLIF(?, ''), ?)`,
		string(j.ID), string(j.Kind), string(j.Instance), string(j.Node), string(j.Owner), string(actor), string(j.Input), string(j.State),
		j.RunAt.UnixMilli(), j.Deadline.UnixMilli(), string(j.RetryOf), j.CreatedAt.UnixMilli())
	return err
}

// save writes what changes in a job's life.
func save(ctx context.Context, tx *store.Tx, j Job) error {
	var failure any
	if j.Failure != nil {
		b, err := json.Marshal(j.Failure)
		if err != nil {
			return err
		}
		failure = string(b)
	}
	_, err := tx.ExecContext(ctx, `UPDATE jobs SET state = ?, handed = ?, step = ?, percent = ?, message = ?, failure = ?, attempt = ?,
		run_at = ?, started_at = ?, finished_at = ? WHERE id = ?`,
		string(j.State), j.Handed, j.Step, j.Percent, j.Message, failure, j.Attempt, j.RunAt.UnixMilli(), store.Millis(j.StartedAt), store.Millis(j.FinishedAt), string(j.ID))
	return err
}

func get(ctx context.Context, q store.Querier, id ident.Job) (Job, error) {
	j, err := scan(q.QueryRowContext(ctx, `SELECT `+columns+` FROM jobs WHERE id = ?`, string(id)).Scan)
	if errors.Is(err, store.ErrNoRows) {
		return j, problem.New(problem.NotFound, "there is no such job")
	}
	return j, err
}

// Active gives the living job of an instance, if there is one.
func Active(ctx context.Context, q store.Querier, instance ident.Instance) (Job, bool, error) {
	j, err := scan(q.QueryRowContext(ctx, `SELECT `+columns+` FROM jobs WHERE instance_id = ? AND `+living, string(instance)).Scan)
	if errors.Is(err, store.ErrNoRows) {
		return j, false, nil
	}
	return j, err == nil, err
}

// due gives the job to run next, if one's time has come.
func due(ctx context.Context, q store.Querier, now time.Time) (Job, bool, error) {
	j, err := scan(q.QueryRowContext(ctx, `SELECT `+columns+` FROM jobs WHERE state IN ('queued', 'waiting') AND run_at <= ?
		ORDER BY run_at, created_at LIMIT 1`, now.UnixMilli()).Scan)
	if errors.Is(err, store.ErrNoRows) {
		return j, false, nil
	}
	return j, err == nil, err
}

// nextDue gives when the next job's time comes; zero when none waits.
func nextDue(ctx context.Context, q store.Querier) (time.Time, error) {
	var at sql.NullInt64
	err := q.QueryRowContext(ctx, `SELECT MIN(run_at) FROM jobs WHERE state IN ('queued', 'waiting')`).Scan(&at)
	if err != nil || !at.Valid {
		return time.Time{}, err
	}
	return time.UnixMilli(at.Int64), nil
}

func overdue(ctx context.Context, q store.Querier, now time.Time) ([]Job, error) {
	return store.Collect(ctx, q, scan, `SELECT `+columns+` FROM jobs WHERE `+living+` AND deadline <= ? LIMIT 100`, now.UnixMilli())
}

func addLine(ctx context.Context, tx *store.Tx, id ident.Job, at time.Time, text string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO job_lines (job_id, seq, at, line)
		SELECT ?1, COALESCE(MAX(seq), 0) + 1, ?2, ?3 FROM job_lines WHERE job_id = ?1`, string(id), at.UnixMilli(), text)
	return err
}

func lines(ctx context.Context, q store.Querier, id ident.Job, after int64, limit int) ([]Line, error) {
	return store.Collect(ctx, q, func(row func(...any) error) (Line, error) {
		var l Line
		var at int64
		err := row(&l.Seq, &at, &l.Text)
		l.At = time.UnixMilli(at).UTC()
		return l, err
	}, `SELECT seq, at, line FROM job_lines WHERE job_id = ? AND seq > ? ORDER BY seq LIMIT ?`, string(id), after, limit)
}

// Filter narrows a list of jobs. Zero fields don't narrow.
type Filter struct {
	Owner    ident.User
	Instance ident.Instance
	Node     ident.Node
	State    State
	Kind     Kind
	Oldest   bool // the oldest first; else the newest
	Limit    int
	Offset   int
}

func list(ctx context.Context, q store.Querier, f Filter) ([]Job, int, error) {
	var parts []string
	var args []any
	for _, c := range []struct{ column, value string }{
		{"owner_id", string(f.Owner)}, {"instance_id", string(f.Instance)}, {"node_id", string(f.Node)},
		{"state", string(f.State)}, {"kind", string(f.Kind)},
	} {
		if c.value != "" {
			parts = append(parts, c.column+" = ?")
			args = append(args, c.value)
		}
	}
	where := ""
	if len(parts) > 0 {
		where = " WHERE " + strings.Join(parts, " AND ")
	}
	total, err := store.Count(ctx, q, `SELECT COUNT(*) FROM jobs`+where, args...)
	if err != nil {
		return nil, 0, err
	}
	direction := "DESC"
	if f.Oldest {
		direction = "ASC"
	}
	jobs, err := store.Collect(ctx, q, scan, `SELECT `+columns+` FROM jobs`+where+` ORDER BY created_at `+direction+`, id LIMIT ? OFFSET ?`,
		append(args, f.Limit, f.Offset)...)
	return jobs, total, err
}
