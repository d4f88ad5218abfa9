package event

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

// Append writes a fact in tx; its number and time are set here. Listeners hear
// of it after the commit. data is marshalled into an object; nil is {}.
func (l *Log) Append(ctx context.Context, tx *store.Tx, e Event, data any) error {
	e.At = l.now().UTC().Truncate(time.Millisecond)
	e.Data = json.RawMessage(`{}`)
	if data != nil {
		b, err := json.Marshal(data)
		if err != nil {
			return fmt.Errorf("event %s: %w", e.Type, err)
		}
		e.Data = b
	}
	actor, err := json.Marshal(e.Actor)
	if err != nil {
		return fmt.Errorf("event %s: %w", e.Type, err)
	}
	res, err := tx.ExecContext(ctx, `INSERT INTO events (at, type, owner_id, instance_id, node_id, job_id, subject_id, actor, data)
		VALUES (?, ?, NULLIF(?, ''), NULLIF(?, ''), NULLIF(?, ''), NULLIF(?, ''), NULLIF(?, ''), ?, ?)`,
		e.At.UnixMilli(), string(e.Type), string(e.Owner), string(e.Instance), string(e.Node), string(e.Job), e.Subject, string(actor), string(e.Data))
	if err != nil {
		return fmt.Errorf("write event %s: %w", e.Type, err)
	}
	if e.ID, err = res.LastInsertId(); err != nil {
		return err
	}
	tx.AfterCommit(func() { l.announce(e) })
	return nil
}

// Filter narrows a list. Zero fields don't narrow.
type Filter struct {
	Owner    ident.User // only what this user may see
	Instance ident.Instance
	Node     ident.Node
	Job      ident.Job
	Type     Type
	After    int64 // only numbers above this one; the list then rises, else it falls
	Limit    int
	Offset   int
}

func (f Filter) where() (string, []any) {
	var parts []string
	var args []any
	add := func(clause string, arg any) {
		parts = append(parts, clause)
		args = append(args, arg)
	}
	if f.Owner != "" {
		add("owner_id = ?", string(f.Owner))
	}
	if f.Instance != "" {
		add("instance_id = ?", string(f.Instance))
	}
	if f.Node != "" {
		add("node_id = ?", string(f.Node))
	}
	if f.Job != "" {
		add("job_id = ?", string(f.Job))
	}
	if f.Type != "" {
		add("type = ?", string(f.Type))
	}
	if f.After > 0 {
		add("id > ?", f.After)
	}
	if len(parts) == 0 {
		return "", nil
	}
	return " WHERE " + strings.Join(parts, " AND "), args
}

const columns = `id, at, type, COALESCE(owner_id, ''), COALESCE(instance_id, ''), COALESCE(node_id, ''), COALESCE(job_id, ''),
	COALESCE(subject_id, ''), actor, data`

// head gives the highest number there is; 0 in an empty log.
func head(ctx context.Context, q store.Querier) (id int64, err error) {
	err = q.QueryRowContext(ctx, `SELECT COALESCE(MAX(id), 0) FROM events`).Scan(&id)
	return id, err
}

// between gives the facts that match with a number above f.After and up to last,
// in order.
func between(ctx context.Context, q store.Querier, f Filter, last int64) ([]Event, error) {
	where, args := f.where()
	if where == "" {
		where = " WHERE id <= ?"
	} else {
		where += " AND id <= ?"
	}
	return store.Collect(ctx, q, scan, `SELECT `+columns+` FROM events`+where+` ORDER BY id LIMIT ?`, append(args, last, f.Limit)...)
}

// purge deletes a batch of the facts from before a moment, and says how many.
const queryPurge = `DELETE FROM events WHERE id IN (SELECT id FROM events WHERE at < ? ORDER BY at LIMIT ?)`

func purge(ctx context.Context, tx *store.Tx, before time.Time, most int) (int64, error) {
	res, err := tx.ExecContext(ctx, queryPurge, before.UnixMilli(), most)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// List gives the facts that match, the newest first (with After: the oldest
// first), and how many match in all.
func (l *Log) List(ctx context.Context, q store.Querier, f Filter) ([]Event, int, error) {
	where, args := f.where()
	total, err := store.Count(ctx, q, `SELECT COUNT(*) FROM events`+where, args...)
	if err != nil {
		return nil, 0, err
	}
	order := " ORDER BY id DESC"
	if f.After > 0 {
		order = " ORDER BY id"
	}
	list, err := store.Collect(ctx, q, scan, `SELECT `+columns+` FROM events`+where+order+` LIMIT ? OFFSET ?`, append(args, f.Limit, f.Offset)...)
	return list, total, err
}

func scan(row func(...any) error) (Event, error) {
	var e Event
	var at int64
	var actor, data string
	if err := row(&e.ID, &at, &e.Type, &e.Owner, &e.Instance, &e.Node, &e.Job, &e.Subject, &actor, &data); err != nil {
		return e, err
	}
	e.At, e.Data = time.UnixMilli(at).UTC(), json.RawMessage(data)
	if err := json.Unmarshal([]byte(actor), &e.Actor); err != nil {
		return e, fmt.Errorf("event %d: actor: %w", e.ID, err)
	}
	return e, nil
}
