package identity

import (
	"context"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// DeleteUser deletes a user with his keys. What becomes of his instances must be
// said when he has some: else it is a Conflict. to is who gets them with Transfer.
func (s *Service) DeleteUser(ctx context.Context, id ident.User, fate Fate, to ident.User) error {
	switch {
	case fate != Refuse && fate != Delete && fate != Transfer:
		return problem.Invalid("instances", "%q is neither %s nor %s", string(fate), Delete, Transfer)
	case fate == Transfer && to == "":
		return problem.Invalid("to", "name the user who shall get the instances")
	case fate != Transfer && to != "":
		return problem.Invalid("to", "is only for instances=%s", Transfer)
	case fate == Transfer && to == id:
		return problem.Invalid("to", "must be another user")
	}
	if err := s.checkProof(ctx); err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *store.Tx) error {
		u, err := Lookup(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := coversUser(ctx, tx, u); err != nil {
			return err
		}
		if u.isGuard() {
			if err := checkNotLastAdmin(ctx, tx, id); err != nil {
				return err
			}
		}
		if err := s.settle(ctx, tx, id, fate, to); err != nil {
			return err
		}
		if err := deleteUser(ctx, tx, id); err != nil {
			return err
		}
		return s.append(ctx, tx, UserDeleted, "", string(id), map[string]any{"username": u.Username, "instances": string(fate)})
	})
}

// settle sees to the instances of a user who is about to go.
func (s *Service) settle(ctx context.Context, tx *store.Tx, id ident.User, fate Fate, to ident.User) error {
	if fate == Transfer {
		if _, err := Lookup(ctx, tx, to); err != nil {
			return problem.Invalid("to", "there is no such user")
		}
	}
	if s.instances == nil {
		return nil
	}
	n, err := s.instances.CountOf(ctx, tx, id)
	if err != nil || n == 0 {
		return err
	}
	switch fate {
	case Transfer:
		return s.instances.TransferAll(ctx, tx, id, to, by(ctx))
	case Delete:
		heir, err := heirOf(ctx, tx, by(ctx).User, id)
		if err != nil {
			return err
		}
		return s.instances.DeleteAll(ctx, tx, id, heir, by(ctx))
	default:
		return problem.New(problem.Conflict, "the user has %d instances; say what becomes of them: instances=delete, or instances=transfer and to=USER", n)
	}
}
