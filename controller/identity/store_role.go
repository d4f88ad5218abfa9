package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

const roleColumns = `id, name, description, permissions, created_at, updated_at, (SELECT COUNT(*) FROM users u WHERE u.role_id = roles.id)`

func scanRole(row func(...any) error) (Role, error) {
	var r Role
	var permissions string
	var created, updated int64
	if err := row(&r.ID, &r.Name, &r.Description, &permissions, &created, &updated, &r.Users); err != nil {
		return r, err
	}
	r.Created, r.Updated = time.UnixMilli(created).UTC(), time.UnixMilli(updated).UTC()
	list, err := readPermissions(permissions)
	r.Permissions = list
	return r, err
}

// readPermissions reads what the database keeps. What this version doesn't know
// stays in it, and lets nobody do anything.
func readPermissions(text string) ([]access.Permission, error) {
	if text == "" {
		return nil, nil
	}
	list := []access.Permission{}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("permissions of a role: %w", err)
	}
	return list, nil
}

// LookupRole gives a role within a transaction or view; NotFound when there is none.
func LookupRole(ctx context.Context, q store.Querier, id ident.Role) (Role, error) {
	r, err := scanRole(q.QueryRowContext(ctx, `SELECT `+roleColumns+` FROM roles WHERE id = ?`, string(id)).Scan)
	if errors.Is(err, store.ErrNoRows) {
		return Role{}, problem.New(problem.NotFound, "there is no such role")
	}
	return r, wrap("read a role", err)
}

func listRoles(ctx context.Context, q store.Querier) ([]Role, error) {
	list, err := store.Collect(ctx, q, scanRole, `SELECT `+roleColumns+` FROM roles ORDER BY name, id`)
	return list, wrap("list roles", err)
}

func countRoles(ctx context.Context, q store.Querier) (int, error) {
	n, err := store.Count(ctx, q, `SELECT COUNT(*) FROM roles`)
	return n, wrap("count roles", err)
}

func insertRole(ctx context.Context, tx *store.Tx, r Role) error {
	permissions, err := json.Marshal(r.Permissions)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO roles (id, name, description, permissions, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)`,
		string(r.ID), r.Name, r.Description, string(permissions), r.Created.UnixMilli(), r.Updated.UnixMilli())
	return roleTaken(err)
}

func updateRole(ctx context.Context, tx *store.Tx, r Role) error {
	permissions, err := json.Marshal(r.Permissions)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE roles SET name = ?, description = ?, permissions = ?, updated_at = ? WHERE id = ?`,
		r.Name, r.Description, string(permissions), r.Updated.UnixMilli(), string(r.ID))
	return roleTaken(err)
}

func roleTaken(err error) error {
	if store.IsUnique(err) {
		return problem.New(problem.Conflict, "a role of this name exists already").Because(err)
	}
	return wrap("write a role", err)
}

// deleteRole takes it from all who have it (ON DELETE SET NULL).
func deleteRole(ctx context.Context, tx *store.Tx, id ident.Role) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM roles WHERE id = ?`, string(id))
	return wrap("delete a role", err)
}

func roleHolders(ctx context.Context, q store.Querier, id ident.Role) ([]User, error) {
	list, err := store.Collect(ctx, q, scanUser, `SELECT `+userColumns+` FROM users WHERE role_id = ?`, string(id))
	return list, wrap("list who has a role", err)
}
