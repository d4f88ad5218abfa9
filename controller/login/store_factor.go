package login

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

func factorsOf(ctx context.Context, q store.Querier, user ident.User) (Factors, error) {
	var f Factors
	err := q.QueryRowContext(ctx, `SELECT
		EXISTS (SELECT 1 FROM authenticators WHERE user_id = ?1 AND confirmed_at IS NOT NULL),
		(SELECT COUNT(*) FROM passkeys WHERE user_id = ?1),
		(SELECT COUNT(*) FROM recovery_codes WHERE user_id = ?1 AND used_at IS NULL)`, string(user)).Scan(&f.TOTP, &f.Passkeys, &f.RecoveryCodes)
	return f, wrap("read second factors", err)
}

// listWithFactor gives the users who have one; user "" is all.
func listWithFactor(ctx context.Context, q store.Querier, user ident.User) ([]ident.User, error) {
	scan := func(row func(...any) error) (id ident.User, err error) { return id, row(&id) }
	return store.Collect(ctx, q, scan, `SELECT user_id FROM authenticators WHERE confirmed_at IS NOT NULL AND (?1 = '' OR user_id = ?1)
		UNION SELECT user_id FROM passkeys WHERE ?1 = '' OR user_id = ?1`, string(user))
}

func findAuthenticator(ctx context.Context, q store.Querier, user ident.User) (a authenticator, found bool, err error) {
	var confirmed sql.NullInt64
	err = q.QueryRowContext(ctx, `SELECT secret, last_step, confirmed_at FROM authenticators WHERE user_id = ?`, string(user)).Scan(&a.sealed, &a.lastStep, &confirmed)
	if errors.Is(err, store.ErrNoRows) {
		return authenticator{}, false, nil
	}
	a.confirmed = confirmed.Valid
	return a, err == nil, wrap("read an authenticator", err)
}

func putAuthenticator(ctx context.Context, tx *store.Tx, user ident.User, sealed []byte, now time.Time) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO authenticators (user_id, secret, created_at) VALUES (?, ?, ?)
		ON CONFLICT (user_id) DO UPDATE SET secret = excluded.secret, last_step = 0, confirmed_at = NULL, created_at = excluded.created_at`,
		string(user), sealed, now.UnixMilli())
	return wrap("write an authenticator", err)
}

func confirmAuthenticator(ctx context.Context, tx *store.Tx, user ident.User, step int64, now time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE authenticators SET confirmed_at = ?, last_step = ? WHERE user_id = ?`, now.UnixMilli(), step, string(user))
	return wrap("confirm an authenticator", err)
}

// takeStep uses a time step up: false when it, or a later one, was used already.
func takeStep(ctx context.Context, tx *store.Tx, user ident.User, step int64) (bool, error) {
	res, err := tx.ExecContext(ctx, `UPDATE authenticators SET last_step = ?1 WHERE user_id = ?2 AND confirmed_at IS NOT NULL AND last_step < ?1`, step, string(user))
	return changedOne(res, wrap("use a code", err))
}

func changedOne(res sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

func deleteAuthenticator(ctx context.Context, tx *store.Tx, user ident.User) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM authenticators WHERE user_id = ?`, string(user))
	return wrap("remove an authenticator", err)
}

func insertRecoveryCode(ctx context.Context, tx *store.Tx, user ident.User, hash []byte) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO recovery_codes (user_id, hash) VALUES (?, ?)`, string(user), hash)
	return wrap("write a recovery code", err)
}

// takeRecoveryCode uses one up: false when there is none such, or it was used.
func takeRecoveryCode(ctx context.Context, tx *store.Tx, user ident.User, hash []byte, now time.Time) (bool, error) {
	res, err := tx.ExecContext(ctx, `UPDATE recovery_codes SET used_at = ? WHERE user_id = ? AND hash = ? AND used_at IS NULL`, now.UnixMilli(), string(user), hash)
	return changedOne(res, wrap("use a recovery code", err))
}

func deleteRecoveryCodes(ctx context.Context, tx *store.Tx, user ident.User) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM recovery_codes WHERE user_id = ?`, string(user))
	return wrap("remove recovery codes", err)
}

// deleteFactors takes all of them.
func deleteFactors(ctx context.Context, tx *store.Tx, user ident.User) error {
	if err := deleteAuthenticator(ctx, tx, user); err != nil {
		return err
	}
	if err := deleteRecoveryCodes(ctx, tx, user); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM passkeys WHERE user_id = ?`, string(user))
	return wrap("remove passkeys", err)
}
