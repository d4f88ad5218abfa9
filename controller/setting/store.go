package setting

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/berth-panel/berth/controller/store"
)

type row struct {
	value   string
	secret  []byte
	updated time.Time
}

// find gives ErrNoRows for a document that nobody has set.
func find(ctx context.Context, q store.Querier, name string) (row, error) {
	var r row
	var updated int64
	err := q.QueryRowContext(ctx, `SELECT value, secret, updated_at FROM settings WHERE name = ?`, name).Scan(&r.value, &r.secret, &updated)
	r.updated = time.UnixMilli(updated).UTC()
	if err != nil && !errors.Is(err, store.ErrNoRows) {
		return row{}, fmt.Errorf("read the settings %s: %w", name, err)
	}
	return r, err
}

func put(ctx context.Context, tx *store.Tx, name, value string, secret []byte, now time.Time) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO settings (name, value, secret, updated_at) VALUES (?1, ?2, ?3, ?4)
		ON CONFLICT (name) DO UPDATE SET value = ?2, secret = ?3, updated_at = ?4`, name, value, secret, now.UnixMilli())
	if err != nil {
		return fmt.Errorf("write the settings %s: %w", name, err)
	}
	return nil
}
