package oidc

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

const columns = `issuer, subject, user_id, email, created_at, last_used_at`

func scan(row func(...any) error) (Identity, error) {
	var i Identity
	var created int64
	var used sql.NullInt64
	err := row(&i.Issuer, &i.Subject, &i.User, &i.Email, &created, &used)
	i.Created, i.LastUsed = time.UnixMilli(created).UTC(), store.Moment(used)
	return i, err
}

// find says whose login it is, if it is anybody's.
func find(ctx context.Context, q store.Querier, issuer, subject string) (Identity, bool, error) {
	i, err := scan(q.QueryRowContext(ctx, `SELECT `+columns+` FROM oidc_identities WHERE issuer = ? AND subject = ?`, issuer, subject).Scan)
	if errors.Is(err, store.ErrNoRows) {
		return Identity{}, false, nil
	}
	return i, err == nil, wrap("look for another login", err)
}

func insert(ctx context.Context, tx *store.Tx, i Identity) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO oidc_identities (`+columns+`) VALUES (?, ?, ?, ?, ?, NULL)`,
		i.Issuer, i.Subject, string(i.User), i.Email, i.Created.UnixMilli())
	return wrap("link another login", err)
}

// touch notes that somebody came by it, and what his address is there by now.
func touch(ctx context.Context, tx *store.Tx, issuer, subject, email string, now time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE oidc_identities SET last_used_at = ?, email = ? WHERE issuer = ? AND subject = ?`, now.UnixMilli(), email, issuer, subject)
	return wrap("note that another login was used", err)
}

func list(ctx context.Context, q store.Querier, user ident.User) ([]Identity, error) {
	all, err := store.Collect(ctx, q, scan, `SELECT `+columns+` FROM oidc_identities WHERE user_id = ? ORDER BY created_at, issuer, subject`, string(user))
	return all, wrap("list other logins", err)
}

func remove(ctx context.Context, tx *store.Tx, i Identity) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM oidc_identities WHERE issuer = ? AND subject = ? AND user_id = ?`, i.Issuer, i.Subject, string(i.User))
	return wrap("unlink another login", err)
}

func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
