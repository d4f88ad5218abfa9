package job

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

const columns = `id, kind, COALESCE(instance_id, ''), COALESCE(node_id, ''), COALESCE(owner_id, ''), actor, input, memory, state, handed,
	step, percent, message, failure, attempt, run_at, waiting_since, deadline, COALESCE(retry_of, ''), created_at, started_at, finished_at, lease_until,
	(SELECT json_group_array(json_object('position', t.position, 'name', t.name, 'state', t.state, 'started_at', t.started_at,
		'finished_at', t.finished_at)) FROM job_tasks t WHERE t.job_id = jobs.id)`

// These are the terms of the partial indexes, word by word.
const (
	living = `finished_at IS NULL`
	// dueable is what only has to wait for its time.
	dueable = `finished_at IS NULL AND handed = 0 AND lease_until IS NULL`
)

func scan(row func(...any) error) (Job, error) {
	var j Job
	var actor, input, memory, tasks string
	var failure sql.NullString
	var runAt, deadline, created int64
	var waiting, started, finished, lease sql.NullInt64
	err := row(&j.ID, &j.Kind, &j.Instance, &j.Node, &j.Owner, &actor, &input, &memory, &j.State, &j.Handed, &j.Step, &j.Percent, &j.Message,
		&failure, &j.Attempt, &runAt, &waiting, &deadline, &j.RetryOf, &created, &started, &finished, &lease, &tasks)
	if err != nil {
		return j, err
	}
	j.Memory = json.RawMessage(memory)
	j.WaitingSince, j.lease = store.Moment(waiting), store.Moment(lease)
	if j.Tasks, err = readTasks(tasks); err != nil {
		return j, fmt.Errorf("job %s: tasks: %w", j.ID, err)
	}
	if at := current(j.Tasks); at >= 0 {
		j.Task = j.Tasks[at].Name
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
	_, err = tx.ExecContext(ctx, `INSERT INTO jobs (id, kind, instance_id, node_id, owner_id, actor, input, state, run_at, deadline, retry_of, created_at, beside)
		VALUES (?, ?, NULLIF(?, ''), NULLIF(?, ''), NULLIF(?, ''), ?, ?, ?, ?, ?, NULLIF(?, ''), ?, ?)`,
		string(j.ID), string(j.Kind), string(j.Instance), string(j.Node), string(j.Owner), string(actor), string(j.Input), string(j.State),
		j.RunAt.UnixMilli(), j.Deadline.UnixMilli(), string(j.RetryOf), j.CreatedAt.UnixMilli(), j.beside)
	if err != nil {
		return err
	}
	for position, t := range j.Tasks {
		if _, err := tx.ExecContext(ctx, `INSERT INTO job_tasks (job_id, position, name, state) VALUES (?, ?, ?, ?)`,
			string(j.ID), position, t.Name, string(t.State)); err != nil {
			return err
		}
	}
	return nil
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
		run_at = ?, waiting_since = ?, started_at = ?, finished_at = ?, lease_until = ? WHERE id = ?`,
		string(j.State), j.Handed, j.Step, j.Percent, j.Message, failure, j.Attempt, j.RunAt.UnixMilli(), store.Millis(j.WaitingSince),
		store.Millis(j.StartedAt), store.Millis(j.FinishedAt), store.Millis(j.lease), string(j.ID))
	return err
}

func saveMemory(ctx context.Context, tx *store.Tx, id ident.Job, memory []byte) error {
	_, err := tx.ExecContext(ctx, `UPDATE jobs SET memory = ? WHERE id = ?`, string(memory), string(id))
	return err
}

// Find gives a job, whoever's it is; NotFound when there is none.
func Find(ctx context.Context, q store.Querier, id ident.Job) (Job, error) {
	j, err := scan(q.QueryRowContext(ctx, queryGet, string(id)).Scan)
	if errors.Is(err, store.ErrNoRows) {
		return j, problem.New(problem.NotFound, "there is no such job")
	}
	return j, err
}

// Active gives the living job of an instance, if there is one.
func Active(ctx context.Context, q store.Querier, instance ident.Instance) (Job, bool, error) {
	j, err := scan(q.QueryRowContext(ctx, queryActive, string(instance)).Scan)
	if errors.Is(err, store.ErrNoRows) {
		return j, false, nil
	}
	return j, err == nil, err
}

// The queries that run all the time, or over all jobs: a test holds that each
// uses an index of what it looks for and never walks over jobs that have ended.
const (
	queryGet     = `SELECT ` + columns + ` FROM jobs WHERE id = ?`
	queryActive  = `SELECT ` + columns + ` FROM jobs WHERE instance_id = ? AND state IN ('queued', 'waiting', 'running') AND beside = 0`
	queryBeside  = `SELECT ` + columns + ` FROM jobs WHERE instance_id = ? AND ` + living + ` AND beside = 1`
	queryLiving  = `SELECT ` + columns + ` FROM jobs WHERE kind = ?1 AND (?2 = '' OR node_id = ?2) AND ` + living + ` ORDER BY created_at LIMIT 1`
	queryRestart = `UPDATE jobs SET run_at = ?, handed = 0, lease_until = NULL,
		attempt = CASE WHEN state <> 'running' THEN attempt WHEN lease_until IS NULL THEN 0 ELSE MAX(attempt - 1, 0) END,
		state = CASE state WHEN 'running' THEN 'queued' ELSE state END
		WHERE ` + living + ` AND deadline > 0 RETURNING id, kind, COALESCE(node_id, ''), run_at`
	queryWake = `UPDATE jobs SET run_at = ?, handed = 0, waiting_since = NULL,
			message = CASE state WHEN 'waiting' THEN '` + nodeBack + `' ELSE message END,
			state = CASE state WHEN 'waiting' THEN 'queued' ELSE state END
		WHERE ` + living + ` AND node_id = ? AND (state = 'waiting' OR handed = 1) RETURNING id, kind, node_id, run_at`
	queryNudge = `UPDATE jobs SET run_at = ?, handed = 0, waiting_since = NULL, state = CASE state WHEN 'waiting' THEN 'queued' ELSE state END
		WHERE ` + living + ` AND lease_until IS NULL AND id = ? RETURNING id, kind, COALESCE(node_id, ''), run_at`
	queryDue      = `SELECT id, kind, COALESCE(node_id, ''), run_at FROM jobs WHERE ` + dueable + ` AND run_at <= ?`
	queryLate     = `SELECT COUNT(*) FROM jobs WHERE ` + dueable + ` AND run_at <= ?`
	queryOverdue  = `SELECT id FROM jobs WHERE ` + living + ` AND deadline <= ? ORDER BY deadline LIMIT 100`
	queryLost     = `SELECT id FROM jobs WHERE lease_until <= ?`
	queryTakeBack = `UPDATE jobs SET lease_until = NULL, state = 'queued', run_at = ?1
		WHERE id = ?2 AND lease_until <= ?3 RETURNING id, kind, COALESCE(node_id, ''), run_at`
	queryForgotten = `SELECT COUNT(*) FROM (SELECT 1 FROM jobs WHERE finished_at < ? LIMIT 1)`
	queryForget    = `DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE finished_at < ? ORDER BY finished_at LIMIT 500)`
)

// hint is what the queue wants to know of a job that waits for its time.
type hint struct {
	id   ident.Job
	kind Kind
	node ident.Node
	at   time.Time
}

func scanHint(row func(...any) error) (hint, error) {
	var h hint
	var at int64
	err := row(&h.id, &h.kind, &h.node, &at)
	h.at = time.UnixMilli(at).UTC()
	return h, err
}

func scanID(row func(...any) error) (id ident.Job, err error) {
	err = row(&id)
	return id, err
}

// Late counts the jobs that should have begun before a moment: none, as long as
// this process keeps up.
func Late(ctx context.Context, q store.Querier, before time.Time) (int, error) {
	return store.Count(ctx, q, queryLate, before.UnixMilli())
}

func addLine(ctx context.Context, tx *store.Tx, id ident.Job, at time.Time, text string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO job_lines (job_id, seq, at, line)
		SELECT ?1, COALESCE(MAX(seq), 0) + 1, ?2, ?3 FROM job_lines WHERE job_id = ?1`, string(id), at.UnixMilli(), text)
	return err
}

// mostSteps is how long a job's log becomes by its progress: an agent that goes to
// and fro between two steps must not fill the disk.
const mostSteps = 5000

// addStep writes a line about progress, unless the log is that long.
func addStep(ctx context.Context, tx *store.Tx, id ident.Job, at time.Time, text string) error {
	n, err := store.Count(ctx, tx, `SELECT COALESCE(MAX(seq), 0) FROM job_lines WHERE job_id = ?`, string(id))
	if err != nil || n >= mostSteps {
		return err
	}
	return addLine(ctx, tx, id, at, text)
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
	Instance ident.Instance
	Node     ident.Node
	State    State
	Kind     Kind
	Oldest   bool // the oldest first; else the newest
	Limit    int
	Offset   int
}

func list(ctx context.Context, q store.Querier, reach access.Reach, f Filter) ([]Job, int, error) {
	var parts []string
	var args []any
	if clause, values := reach.Clause("owner_id", "instance_id", "node_id"); clause != "" {
		parts, args = append(parts, clause), append(args, values...)
	}
	for _, c := range []struct{ column, value string }{
		{"instance_id", string(f.Instance)}, {"node_id", string(f.Node)},
		{"state", string(f.State)}, {"kind", string(f.Kind)},
	} {
		if c.value != "" {
			parts = append(parts, c.column+" = ?")
			args = append(args, c.value)
		}
	}
	if f.State != "" && !f.State.Ended() {
		parts = append(parts, living) // there is an index of those
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
