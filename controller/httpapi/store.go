package httpapi

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"

	"github.com/berth-panel/berth/controller/store"
)

// findAnswer gives nil when there is none.
func findAnswer(ctx context.Context, q store.Querier, key, text string) (*answer, error) {
	var a answer
	var request []byte
	var status sql.NullInt64
	err := q.QueryRowContext(ctx, `SELECT request, status, body, created_at FROM idempotent_answers WHERE key_id = ? AND idem_key = ?`, key, text).
		Scan(&request, &status, &a.body, &a.created)
	if errors.Is(err, store.ErrNoRows) {
		return nil, nil // there is none
	}
	if err != nil {
		return nil, fmt.Errorf("read an idempotent answer: %w", err)
	}
	copy(a.request[:], request)
	a.status = int(status.Int64)
	return &a, nil
}

// putAnswer notes a call under way, over an older one.
func putAnswer(ctx context.Context, tx *store.Tx, key, text string, request [sha256.Size]byte, mark int64) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO idempotent_answers (key_id, idem_key, request, created_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (key_id, idem_key) DO UPDATE SET request = excluded.request, status = NULL, body = NULL, created_at = excluded.created_at`,
		key, text, request[:], mark)
	return wrap("note an idempotent call", err)
}

// completeAnswer does nothing when another call took the row over.
func completeAnswer(ctx context.Context, tx *store.Tx, key, text string, mark int64, status int, body []byte) error {
	_, err := tx.ExecContext(ctx, `UPDATE idempotent_answers SET status = ?, body = ?
		WHERE key_id = ? AND idem_key = ? AND created_at = ? AND status IS NULL`, status, body, key, text, mark)
	return wrap("keep an idempotent answer", err)
}

func dropAnswer(ctx context.Context, tx *store.Tx, key, text string, mark int64) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM idempotent_answers
		WHERE key_id = ? AND idem_key = ? AND created_at = ? AND status IS NULL`, key, text, mark)
	return wrap("forget an idempotent call", err)
}

func purgeAnswers(ctx context.Context, tx *store.Tx, before int64) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM idempotent_answers WHERE created_at <= ?`, before)
	return wrap("purge idempotent answers", err)
}

func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
