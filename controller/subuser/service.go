package subuser

import (
	"context"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/invite"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// Instances finds instances for those who may use them.
type Instances interface {
	// Entitled gives a living instance that the caller has the right to: NOT_FOUND
	// when he may not see it, FORBIDDEN when he may.
	Entitled(ctx context.Context, q store.Querier, c access.Caller, id ident.Instance, right access.Right) (instance.Instance, error)
}

// Inviter makes accounts for people who have none (controller/invite).
type Inviter interface {
	Host(ctx context.Context, g invite.Guest) (ident.User, error)
}

// Deps are the rooms that this stands on. Inviter may be nil: then only who has an
// account becomes a subuser.
type Deps struct {
	DB        *store.DB
	Events    *event.Log
	Instances Instances
	Inviter   Inviter
	Now       func() time.Time
}

// Service is the verbs of subusers. Safe for concurrent use.
type Service struct{ Deps }

// NewService makes the service.
func NewService(d Deps) *Service { return &Service{d} }

// List gives an instance's subusers, by name. It takes the right to change them,
// but no key that could.
func (s *Service) List(ctx context.Context, c access.Caller, id ident.Instance) (subusers []Subuser, err error) {
	err = s.DB.Read(ctx, func(q store.Querier) error {
		i, err := s.Instances.Entitled(ctx, q, c, id, access.SeeInstance)
		if err != nil {
			return err
		}
		if !c.Entitled(access.EditSubusers, i.Of()) {
			return problem.New(problem.Forbidden, "you lack the right %s for instance %s: ask its owner for it", access.EditSubusers, id)
		}
		subusers, err = ofInstance(ctx, q, id)
		return err
	})
	return subusers, err
}

// Put gives a user exactly these rights, whether he had any or not; SeeInstance is
// always among them. A problem of the field user_id says that there is no such
// user, or that he is the owner.
func (s *Service) Put(ctx context.Context, c access.Caller, id ident.Instance, user ident.User, rights []access.Right) (after Subuser, err error) {
	rights, err = access.NormalRights(rights)
	if err != nil {
		return after, err
	}
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		i, err := s.Instances.Entitled(ctx, tx, c, id, access.EditSubusers)
		if err != nil {
			return err
		}
		after, err = s.put(ctx, tx, c, i, user, rights)
		return err
	})
	return after, err
}

func (s *Service) put(ctx context.Context, tx *store.Tx, c access.Caller, i instance.Instance, user ident.User, rights []access.Right) (Subuser, error) {
	u, err := identity.Lookup(ctx, tx, user)
	if problem.Is(err, problem.NotFound) {
		return Subuser{}, problem.Invalid("user_id", "there is no such user")
	}
	if err != nil {
		return Subuser{}, err
	}
	if user == i.Owner {
		return Subuser{}, problem.Invalid("user_id", "%s owns the instance, and may do everything with it", u.Username)
	}
	before, there, err := find(ctx, tx, i.ID, user)
	if err != nil {
		return before, err
	}
	if err := mayGive(c, i.Of(), append(append([]access.Right{}, before.Rights...), rights...)); err != nil {
		return Subuser{}, err
	}
	if there && same(before.Rights, rights) {
		return before, nil
	}
	now := s.Now().UTC().Truncate(time.Millisecond)
	after := Subuser{Instance: i.ID, User: user, Username: u.Username, Rights: rights, Created: now, Updated: now}
	fact := Added
	if there {
		after.Created, fact = before.Created, Changed
	} else if err := roomFor(ctx, tx, i.ID, u); err != nil {
		return Subuser{}, err
	}
	if err := save(ctx, tx, after); err != nil {
		return Subuser{}, err
	}
	return after, s.tell(ctx, tx, c.Actor, fact, i, user, map[string]any{"username": u.Username, "before": before.Rights, "rights": rights})
}

func roomFor(ctx context.Context, q store.Querier, id ident.Instance, u identity.User) error {
	ofInstance, ofUser, err := counts(ctx, q, id, u.ID)
	switch {
	case err != nil:
		return err
	case ofInstance >= PerInstance:
		return problem.New(problem.Conflict, "instance %s has %d subusers, which is the most: remove one first", id, PerInstance)
	case ofUser >= PerUser:
		return problem.New(problem.Conflict, "%d instances are shared with %s, which is the most for one user", PerUser, u.Username)
	}
	return nil
}

// Invite makes somebody a subuser by his name or address. Who has no account at
// that address is invited.
func (s *Service) Invite(ctx context.Context, c access.Caller, id ident.Instance, in Invitation) (Subuser, error) {
	if err := in.check(); err != nil {
		return Subuser{}, err
	}
	rights, err := access.NormalRights(in.Rights)
	if err != nil {
		return Subuser{}, err
	}
	var user ident.User
	var i instance.Instance
	err = s.DB.Read(ctx, func(q store.Querier) error { // may he, before anybody is told anything
		if i, err = s.Instances.Entitled(ctx, q, c, id, access.EditSubusers); err != nil {
			return err
		}
		if err := mayGive(c, i.Of(), rights); err != nil {
			return err
		}
		user, err = identity.Named(ctx, q, in.Username, in.Email)
		if problem.Is(err, problem.NotFound) {
			user, err = "", nil
		}
		return err
	})
	if err == nil && user == "" {
		user, err = s.host(ctx, c, i, in)
	}
	if err != nil {
		return Subuser{}, err
	}
	return s.Put(ctx, c, id, user, rights)
}

// host has somebody without an account invited.
func (s *Service) host(ctx context.Context, c access.Caller, i instance.Instance, in Invitation) (ident.User, error) {
	if in.Email == "" {
		return "", problem.New(problem.NotFound, "there is no user of this name: give his address instead, and he is invited")
	}
	if s.Inviter == nil {
		return "", problem.New(problem.NotFound, "nobody has an account with this address, and nobody can be invited here: ask an admin to make the account first")
	}
	return s.Inviter.Host(ctx, invite.Guest{Email: in.Email, By: c.Username, To: i.Name})
}

// Remove takes all rights from a subuser. Everybody may take his own.
func (s *Service) Remove(ctx context.Context, c access.Caller, id ident.Instance, user ident.User) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		right := access.EditSubusers
		if user == c.User {
			right = access.SeeInstance // he leaves
		}
		i, err := s.Instances.Entitled(ctx, tx, c, id, right)
		if err != nil {
			return err
		}
		gone, there, err := find(ctx, tx, id, user)
		if err != nil {
			return err
		}
		if !there {
			return noSubuser()
		}
		if err := mayGive(c, i.Of(), gone.Rights); err != nil {
			return err
		}
		return s.remove(ctx, tx, c.Actor, i, gone)
	})
}

func (s *Service) remove(ctx context.Context, tx *store.Tx, by access.Actor, i instance.Instance, gone Subuser) error {
	if err := drop(ctx, tx, i.ID, gone.User); err != nil {
		return err
	}
	return s.tell(ctx, tx, by, Removed, i, gone.User, map[string]any{"username": gone.Username, "before": gone.Rights})
}

// OwnerChanged takes all subusers from an instance, in the transaction that gives
// it to another owner.
func (s *Service) OwnerChanged(ctx context.Context, tx *store.Tx, by access.Actor, i instance.Instance) error {
	all, err := ofInstance(ctx, tx, i.ID)
	if err != nil {
		return err
	}
	for _, gone := range all {
		if err := s.remove(ctx, tx, by, i, gone); err != nil {
			return err
		}
	}
	return nil
}

// SharedWith gives what a user may do with others' instances; user "" is everybody
// to whom something is shared.
func (s *Service) SharedWith(ctx context.Context, q store.Querier, user ident.User) (map[ident.User]map[ident.Instance][]access.Right, error) {
	return sharedWith(ctx, q, user)
}

func (s *Service) tell(ctx context.Context, tx *store.Tx, by access.Actor, t event.Type, i instance.Instance, user ident.User, data any) error {
	return s.Events.Append(ctx, tx, event.Event{Type: t, Owner: i.Owner, Instance: i.ID, Node: i.Node, Subject: string(user), Actor: by}, data)
}
