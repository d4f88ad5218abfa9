package registry

import (
	"context"
	"errors"
	"time"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

const columns = `id, host, username, password, created_at, updated_at`

func scan(row func(...any) error) (Registry, error) {
	var r Registry
	var created, updated int64
	err := row(&r.ID, &r.Host, &r.Username, &r.sealed, &created, &updated)
	r.CreatedAt, r.UpdatedAt = time.UnixMilli(created).UTC(), time.UnixMilli(updated).UTC()
	return r, err
}

func byID(ctx context.Context, q store.Querier, id ident.Registry) (Registry, error) {
	r, err := scan(q.QueryRowContext(ctx, `SELECT `+columns+` FROM registries WHERE id = ?`, string(id)).Scan)
	if errors.Is(err, store.ErrNoRows) {
		return r, problem.New(problem.NotFound, "there is no such registry login")
	}
	return r, err
}

func all(ctx context.Context, q store.Querier) ([]Registry, error) {
	return store.Collect(ctx, q, scan, `SELECT `+columns+` FROM registries ORDER BY host`)
}

func count(ctx context.Context, q store.Querier) (int, error) {
	return store.Count(ctx, q, `SELECT COUNT(*) FROM registries`)
}

func add(ctx context.Context, tx *store.Tx, r Registry) error {
	n, err := count(ctx, tx)
	if err != nil {
		return err
	}
	if n >= maxLogins {
		return problem.New(problem.Conflict, "there are %d registry logins already: remove one that isn't needed", n)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO registries (`+columns+`) VALUES (?, ?, ?, ?, ?, ?)`,
		string(r.ID), r.Host, r.Username, r.sealed, r.CreatedAt.UnixMilli(), r.UpdatedAt.UnixMilli())
	if store.IsUnique(err) {
		return problem.New(problem.Conflict, "there is a login for %s already: change that one", r.Host)
	}
	return err
}

func save(ctx context.Context, tx *store.Tx, r Registry) error {
	_, err := tx.ExecContext(ctx, `UPDATE registries SET username = ?, password = ?, updated_at = ? WHERE id = ?`,
		r.Username, r.sealed, r.UpdatedAt.UnixMilli(), string(r.ID))
	return err
}

func remove(ctx context.Context, tx *store.Tx, id ident.Registry) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM registries WHERE id = ?`, string(id))
	return err
}
