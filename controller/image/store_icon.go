package image

import (
	"context"
	"errors"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

// iconByID is nil when there is none.
func iconByID(ctx context.Context, q store.Querier, id ident.Image) (*Icon, error) {
	var i Icon
	err := q.QueryRowContext(ctx, `SELECT type, data FROM image_icons WHERE image_id = ?`, string(id)).Scan(&i.Type, &i.Data)
	if errors.Is(err, store.ErrNoRows) {
		return nil, nil
	}
	return &i, err
}

func putIcon(ctx context.Context, tx *store.Tx, id ident.Image, icon *Icon) error {
	if icon == nil {
		_, err := tx.ExecContext(ctx, `DELETE FROM image_icons WHERE image_id = ?`, string(id))
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO image_icons (image_id, type, data) VALUES (?, ?, ?)
		ON CONFLICT (image_id) DO UPDATE SET type = excluded.type, data = excluded.data`, string(id), icon.Type, icon.Data)
	return err
}
