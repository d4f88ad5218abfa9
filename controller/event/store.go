package event

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/berth-panel/berth/controller/access"
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

// Filter narrows a list. Zero fields don't narrow, but for Sight, which then sees
// nothing.
type Filter struct {
	Sight    Sight // only what may be seen
	Instance ident.Instance
	Node     ident.Node
	Job      ident.Job
	Actor    ident.User // who did it
	Via      access.Via // through which door
	// Type is one type of fact, or the thing that all of them begin with: "file"
	// is all that was done to files.
	Type   Type
	Since  time.Time // then or later
	Until  time.Time // before then
	Search string    // in its type, its data, and who did it from where
	After  int64     // only numbers above this one; the list then rises, else it falls
	Limit  int
	Offset int

	upTo int64 // only numbers up to this one
}

// where is the filter in SQL but for its sight, with its values. Numbers rise with
// time: a time is looked up as the number of the first fact since.
//
// Of what somebody may see, doors and types leave much: unless all is seen, they
// are not what it is looked up by.
func (f Filter) where() ([]string, []any) {
	by := "+"
	if f.Sight.All {
		by = ""
	}
	var parts []string
	var args []any
	add := func(clause string, values ...any) {
		parts, args = append(parts, clause), append(args, values...)
	}
	for _, c := range []struct{ clause, value string }{
		{"instance_id = ?", string(f.Instance)}, {"node_id = ?", string(f.Node)}, {"job_id = ?", string(f.Job)},
		{"actor_id = ?", string(f.Actor)}, {by + "via = ?", string(f.Via)},
	} {
		if c.value != "" {
			add(c.clause, c.value)
		}
	}
	switch thing, _, whole := strings.Cut(string(f.Type), "."); {
	case whole:
		add(by+"type = ?", string(f.Type))
	case thing != "":
		add(by+"thing = ?", thing)
	}
	if !f.Since.IsZero() {
		add("id >= "+firstSince+" AND +at >= ?", f.Since.UnixMilli(), f.Since.UnixMilli())
	}
	if !f.Until.IsZero() {
		add("id < "+firstSince+" AND +at < ?", f.Until.UnixMilli(), f.Until.UnixMilli())
	}
	if f.Search != "" {
		like := "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(f.Search) + "%"
		add(`(type LIKE ? ESCAPE '\' OR data LIKE ? ESCAPE '\' OR json_extract(actor, '$.username') LIKE ? ESCAPE '\' OR json_extract(actor, '$.address') LIKE ? ESCAPE '\')`, like, like, like, like)
	}
	if f.After > 0 {
		add("id > ?", f.After)
	}
	if f.upTo > 0 {
		add("id <= ?", f.upTo)
	}
	return parts, args
}

// firstSince is the number of the first fact since a moment; beyond all of them
// when there is none.
const firstSince = "COALESCE((SELECT id FROM events WHERE at >= ? ORDER BY at, id LIMIT 1), 9223372036854775807)"

// query makes the SELECT of some columns of what matches, in order and cut. What
// is seen in several ways is read way by way, each no further than needed and in
// the order of its index, then put together.
func (f Filter) query(what string, limit, offset int) (string, []any) {
	order := " ORDER BY id DESC"
	if f.After > 0 || f.upTo > 0 {
		order = " ORDER BY id"
	}
	parts, values := f.where()
	branches := f.Sight.branches()
	if len(branches) == 1 {
		if w := branches[0].where; w != "" {
			parts = append([]string{w}, parts...)
		}
		return "SELECT " + what + " FROM events" + whereOf(parts) + order + " LIMIT ? OFFSET ?", append(append(branches[0].args, values...), limit, offset)
	}
	var args []any
	ways := make([]string, len(branches))
	for i, b := range branches {
		ways[i] = "SELECT id FROM (SELECT id FROM events" + whereOf(append([]string{b.where}, parts...)) + order + " LIMIT ?)"
		args = append(append(append(args, b.args...), values...), limit+offset)
	}
	return "SELECT " + what + " FROM events WHERE id IN (" + strings.Join(ways, " UNION ") + ")" + order + " LIMIT ? OFFSET ?", append(args, limit, offset)
}

func whereOf(parts []string) string {
	if len(parts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(parts, " AND ")
}

const columns = `id, at, type, COALESCE(owner_id, ''), COALESCE(instance_id, ''), COALESCE(node_id, ''), COALESCE(job_id, ''),
	COALESCE(subject_id, ''), actor, data`

// head gives the highest number there is; 0 in an empty log.
func head(ctx context.Context, q store.Querier) (id int64, err error) {
	err = q.QueryRowContext(ctx, `SELECT COALESCE(MAX(id), 0) FROM events`).Scan(&id)
	return id, err
}

// Bounds gives the lowest and the highest number that there is; 0 in an empty log.
func (l *Log) Bounds(ctx context.Context, q store.Querier) (first, last int64, err error) {
	err = q.QueryRowContext(ctx, `SELECT COALESCE((SELECT MIN(id) FROM events), 0), COALESCE((SELECT MAX(id) FROM events), 0)`).Scan(&first, &last)
	return first, last, err
}

// between gives the facts that match with a number above f.After and up to last,
// in order.
func between(ctx context.Context, q store.Querier, f Filter, last int64) ([]Event, error) {
	f.upTo = last
	query, args := f.query(columns, f.Limit, 0)
	return store.Collect(ctx, q, scan, query, args...)
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

// CountMost is how far facts are counted: nobody pages further, and a count of
// millions would cost more than the page.
const CountMost = 10_000

// List gives the facts that match, the newest first (with After: the oldest
// first), and how many match in all, but no more than CountMost.
func (l *Log) List(ctx context.Context, q store.Querier, f Filter) ([]Event, int, error) {
	counted, args := f.query("id", CountMost, 0)
	total, err := store.Count(ctx, q, `SELECT COUNT(*) FROM (`+counted+`)`, args...)
	if err != nil {
		return nil, 0, err
	}
	query, args := f.query(columns, f.Limit, f.Offset)
	list, err := store.Collect(ctx, q, scan, query, args...)
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
