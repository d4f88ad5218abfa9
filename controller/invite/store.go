package invite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

const columns = `id, purpose, user_id, email, expires_at`

func scan(row func(...any) error) (Link, error) {
	var l Link
	var expires int64
	err := row(&l.ID, &l.Purpose, &l.User, &l.Email, &expires)
	l.Expires = time.UnixMilli(expires).UTC()
	if errors.Is(err, store.ErrNoRows) {
		return Link{}, gone()
	}
	return l, wrap("read a link", err)
}

// find gives a link that still works; NotFound for any other.
func find(ctx context.Context, q store.Querier, hash []byte, now time.Time) (Link, error) {
	return scan(q.QueryRowContext(ctx, `SELECT `+columns+` FROM links WHERE hash = ? AND expires_at > ?`, hash, now.UnixMilli()).Scan)
}

// take is find, and the link works no more.
func take(ctx context.Context, tx *store.Tx, hash []byte, now time.Time) (Link, error) {
	return scan(tx.QueryRowContext(ctx, `DELETE FROM links WHERE hash = ? AND expires_at > ? RETURNING `+columns, hash, now.UnixMilli()).Scan)
}

func insert(ctx context.Context, tx *store.Tx, l Link, hash []byte, now time.Time) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO links (`+columns+`, hash, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		l.ID, string(l.Purpose), string(l.User), l.Email, l.Expires.UnixMilli(), hash, now.UnixMilli())
	return wrap("write a link", err)
}

// void ends a user's links for passwords, or those for a new address, and all that
// have expired, whose they may be.
func void(ctx context.Context, tx *store.Tx, user ident.User, passwords bool, now time.Time) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM links WHERE (user_id = ?1 AND (purpose <> 'email') = ?2) OR expires_at <= ?3`, string(user), passwords, now.UnixMilli())
	return wrap("void links", err)
}

func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
