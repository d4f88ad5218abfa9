package file

import (
	"context"
	"errors"
	"time"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

const columns = `id, instance_id, COALESCE(user_id, ''), path, size, overwrite, state, created_at, touched_at`

func scan(row func(...any) error) (Upload, error) {
	var u Upload
	var path string
	var created, touched int64
	if err := row(&u.ID, &u.Instance, &u.User, &path, &u.Size, &u.Overwrite, &u.State, &created, &touched); err != nil {
		return u, err
	}
	u.Created, u.Touched = time.UnixMilli(created).UTC(), time.UnixMilli(touched).UTC()
	return u, u.Path.UnmarshalText([]byte(path))
}

func insertUpload(ctx context.Context, tx *store.Tx, u Upload) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO uploads (id, instance_id, user_id, path, size, overwrite, state, created_at, touched_at)
		VALUES (?, ?, NULLIF(?, ''), ?, ?, ?, ?, ?, ?)`,
		u.ID, string(u.Instance), string(u.User), text(u.Path), u.Size, u.Overwrite, string(u.State), u.Created.UnixMilli(), u.Touched.UnixMilli())
	return err
}

// saveUpload writes what changes in an upload's life; one that is gone stays gone.
func saveUpload(ctx context.Context, tx *store.Tx, u Upload) error {
	_, err := tx.ExecContext(ctx, `UPDATE uploads SET state = ?, touched_at = ? WHERE id = ?`, string(u.State), u.Touched.UnixMilli(), u.ID)
	return err
}

func deleteUpload(ctx context.Context, tx *store.Tx, id string) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM uploads WHERE id = ?`, id)
	return err
}

func deleteOldUploads(ctx context.Context, tx *store.Tx, before time.Time) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM uploads WHERE id IN (SELECT id FROM uploads WHERE touched_at < ? ORDER BY touched_at LIMIT ?)`,
		before.UnixMilli(), uploadsForgotten)
	return err
}

// uploadByID finds an upload of an instance.
func uploadByID(ctx context.Context, q store.Querier, instance ident.Instance, id string) (Upload, error) {
	u, err := scan(q.QueryRowContext(ctx, `SELECT `+columns+` FROM uploads WHERE id = ? AND instance_id = ?`, id, string(instance)).Scan)
	if errors.Is(err, store.ErrNoRows) {
		return u, noUpload()
	}
	return u, err
}

// openUploads are those of an instance that aren't finished; a user that isn't ""
// narrows them to his.
func openUploads(ctx context.Context, q store.Querier, instance ident.Instance, user ident.User) ([]Upload, error) {
	return store.Collect(ctx, q, scan, `SELECT `+columns+` FROM uploads WHERE instance_id = ?1 AND state <> 'finished' AND (?2 = '' OR user_id = ?2)
		ORDER BY created_at, id LIMIT 1000`, string(instance), string(user))
}

func countOpen(ctx context.Context, q store.Querier, user ident.User, instance ident.Instance) (ofUser, ofInstance int, err error) {
	if ofUser, err = store.Count(ctx, q, `SELECT COUNT(*) FROM uploads WHERE user_id = ? AND state <> 'finished'`, string(user)); err != nil {
		return 0, 0, err
	}
	ofInstance, err = store.Count(ctx, q, `SELECT COUNT(*) FROM uploads WHERE instance_id = ? AND state <> 'finished'`, string(instance))
	return ofUser, ofInstance, err
}
