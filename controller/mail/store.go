package mail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/berth-panel/berth/controller/store"
)

// ordered is a mail that is still to be sent.
type ordered struct {
	id       string
	kind     Kind
	about    json.RawMessage
	attempts int
	next     time.Time
	until    time.Time
}

func insert(ctx context.Context, tx *store.Tx, o ordered, now time.Time) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO mails (id, kind, about, created_at, next_at, until) VALUES (?, ?, ?, ?, ?, ?)`,
		o.id, string(o.kind), string(o.about), now.UnixMilli(), o.next.UnixMilli(), o.until.UnixMilli())
	return wrap("order a mail", err)
}

// first gives the mail that is due first; ErrNoRows when none waits.
func first(ctx context.Context, q store.Querier) (ordered, error) {
	var o ordered
	var about string
	var next, until int64
	err := q.QueryRowContext(ctx, `SELECT id, kind, about, attempts, next_at, until FROM mails ORDER BY next_at, id LIMIT 1`).
		Scan(&o.id, &o.kind, &about, &o.attempts, &next, &until)
	if errors.Is(err, store.ErrNoRows) {
		return o, err
	}
	o.about, o.next, o.until = json.RawMessage(about), time.UnixMilli(next), time.UnixMilli(until)
	return o, wrap("read the mails that wait", err)
}

func postpone(ctx context.Context, tx *store.Tx, id string, next time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE mails SET attempts = attempts + 1, next_at = ? WHERE id = ?`, next.UnixMilli(), id)
	return wrap("postpone a mail", err)
}

func remove(ctx context.Context, tx *store.Tx, id string) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM mails WHERE id = ?`, id)
	return wrap("take a mail off the queue", err)
}

func count(ctx context.Context, q store.Querier) (int, error) {
	n, err := store.Count(ctx, q, `SELECT COUNT(*) FROM mails`)
	return n, wrap("count the mails that wait", err)
}

func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
