package identity

import (
	"context"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

func setLocale(ctx context.Context, tx *store.Tx, id ident.User, locale string) error {
	_, err := tx.ExecContext(ctx, `UPDATE users SET locale = ? WHERE id = ?`, locale, string(id))
	return wrap("set a user's language", err)
}
