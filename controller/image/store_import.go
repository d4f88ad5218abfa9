package image

import (
	"context"
	"errors"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

// known is what says of an image of the catalogue which file it came from.
type known struct {
	id         ident.Image
	name       string
	uuid       string
	author     string
	sourceName string
	imported   bool // it came from a file
	claimed    bool // a file of this import is it
}

// knownImages gives them all, the oldest first.
func knownImages(ctx context.Context, q store.Querier) ([]known, error) {
	return store.Collect(ctx, q, func(row func(...any) error) (k known, err error) {
		err = row(&k.id, &k.name, &k.uuid, &k.author, &k.sourceName, &k.imported)
		return k, err
	}, `SELECT id, name, COALESCE(uuid, ''), author, COALESCE(json_extract(definition, '$.source.name'), ''),
		json_extract(definition, '$.source.format') IS NOT NULL FROM images ORDER BY created_seq`)
}

// piece runs f so that an error takes back what f did, and no more.
func piece(ctx context.Context, tx *store.Tx, f func() error) error {
	if _, err := tx.ExecContext(ctx, `SAVEPOINT piece`); err != nil {
		return err
	}
	err := f()
	if err != nil {
		_, back := tx.ExecContext(ctx, `ROLLBACK TO piece`)
		err = errors.Join(err, back)
	}
	_, done := tx.ExecContext(ctx, `RELEASE piece`)
	if done != nil {
		return errors.Join(err, done)
	}
	return err
}
