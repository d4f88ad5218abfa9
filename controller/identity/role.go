package identity

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// The facts of roles. Their subject is the role's id.
const (
	RoleCreated event.Type = "role.created"
	RoleUpdated event.Type = "role.updated"
	RoleDeleted event.Type = "role.deleted"
)

const (
	maxRoleText = 500
	rolesMost   = 200
)

// Role is a named set of permissions, for people who are no admins and see to
// more than their own.
type Role struct {
	ID          ident.Role
	Name        string // 1 to 64 printable characters; no two alike but for ASCII case
	Description string
	Permissions []access.Permission
	Users       int // who have it
	Created     time.Time
	Updated     time.Time
}

// RoleChange is what to change of a role; nil fields stay.
type RoleChange struct {
	Name, Description *string
	Permissions       *[]string
}

// clean checks what a role is made of.
func (r Role) clean() (Role, error) {
	r.Name, r.Description = strings.TrimSpace(r.Name), strings.TrimSpace(r.Description)
	if err := text("name", r.Name, maxName); err != nil {
		return r, err
	}
	if r.Description != "" {
		return r, text("description", r.Description, maxRoleText)
	}
	return r, nil
}

// covers is nil when the caller may do all that an account like that may. Berth
// itself, which calls without a caller, may.
func covers(ctx context.Context, admin bool, permissions []access.Permission) error {
	c := access.From(ctx)
	if !c.Known() {
		return nil
	}
	return c.Covers(admin, permissions)
}

// coversUser is covers for a user as he stands.
func coversUser(ctx context.Context, q store.Querier, u User) error {
	if u.Role == "" {
		return covers(ctx, u.Admin, nil)
	}
	r, err := LookupRole(ctx, q, u.Role)
	if err != nil {
		return err
	}
	return covers(ctx, u.Admin, r.Permissions)
}

// CreateRole makes a role. A name that is taken is a Conflict, a permission that
// the caller lacks Forbidden.
func (s *Service) CreateRole(ctx context.Context, r Role) (Role, error) {
	r, err := r.clean()
	if err != nil {
		return r, err
	}
	if err := s.checkProof(ctx); err != nil {
		return r, err
	}
	now := s.now().UTC().Truncate(time.Millisecond)
	r.ID, r.Created, r.Updated, r.Users = ident.Role(ident.New()), now, now, 0
	err = s.db.Write(ctx, func(tx *store.Tx) error {
		if err := covers(ctx, false, r.Permissions); err != nil {
			return err
		}
		n, err := countRoles(ctx, tx)
		if err != nil {
			return err
		}
		if n >= rolesMost {
			return problem.New(problem.Conflict, "there are %d roles, which is the most: delete one first", rolesMost)
		}
		if err := insertRole(ctx, tx, r); err != nil {
			return err
		}
		if err := s.append(ctx, tx, RoleCreated, "", string(r.ID), map[string]any{"name": r.Name, "permissions": r.Permissions}); err != nil {
			return err
		}
		return httpapi.Keep(ctx, tx, viewRole(r))
	})
	return r, err
}

// UpdateRole changes a role, and so what all who have it may do, at once. It takes
// the permissions that the role had and those that it gets.
func (s *Service) UpdateRole(ctx context.Context, id ident.Role, c RoleChange) (after Role, err error) {
	if err := s.checkProof(ctx); err != nil {
		return after, err
	}
	err = s.db.Write(ctx, func(tx *store.Tx) error {
		before, err := LookupRole(ctx, tx, id)
		if err != nil {
			return err
		}
		after = before
		if c.Name != nil {
			after.Name = *c.Name
		}
		if c.Description != nil {
			after.Description = *c.Description
		}
		if c.Permissions != nil {
			if after.Permissions, err = access.ParsePermissions(*c.Permissions); err != nil {
				return err
			}
		}
		if after, err = after.clean(); err != nil {
			return err
		}
		if err := covers(ctx, false, append(slices.Clone(before.Permissions), after.Permissions...)); err != nil {
			return err
		}
		if after.Name == before.Name && after.Description == before.Description && slices.Equal(after.Permissions, before.Permissions) {
			return nil
		}
		after.Updated = s.now().UTC().Truncate(time.Millisecond)
		if err := updateRole(ctx, tx, after); err != nil {
			return err
		}
		return s.append(ctx, tx, RoleUpdated, "", string(id), map[string]any{"name": after.Name, "before": before.Permissions, "permissions": after.Permissions})
	})
	return after, err
}

// DeleteRole deletes a role. Who had it is a customer from then on, and his keys
// lose the scope admin.
func (s *Service) DeleteRole(ctx context.Context, id ident.Role) error {
	if err := s.checkProof(ctx); err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *store.Tx) error {
		r, err := LookupRole(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := covers(ctx, false, r.Permissions); err != nil {
			return err
		}
		holders, err := roleHolders(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := deleteRole(ctx, tx, id); err != nil {
			return err
		}
		for _, u := range holders {
			if u.Admin {
				continue
			}
			if err := demoteKeys(ctx, tx, u.ID); err != nil {
				return err
			}
		}
		return s.append(ctx, tx, RoleDeleted, "", string(id), map[string]any{"name": r.Name, "users": len(holders)})
	})
}

// Role gives a role; NotFound when there is none.
func (s *Service) Role(ctx context.Context, id ident.Role) (Role, error) {
	return LookupRole(ctx, s.db.Snapshot(), id)
}

// Roles gives all roles, by name.
func (s *Service) Roles(ctx context.Context) ([]Role, error) {
	return listRoles(ctx, s.db.Snapshot())
}
