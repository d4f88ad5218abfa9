package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/login"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

var (
	errUnverified = errors.New("the provider gave no verified address")
	errNobody     = errors.New("nobody here has this login or this address, and accounts aren't made")
	errProtected  = errors.New("there is an account with this address that isn't linked by it")
	errDisabled   = errors.New("the account is disabled")
	errTaken      = errors.New("this login belongs to another account")
)

// enter logs in who has shown these claims.
func (s *Service) enter(ctx context.Context, c claims, set Settings) (begun login.Begun, err error) {
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		u, err := s.owner(ctx, tx, c, set)
		if err != nil {
			return err
		}
		if u.Disabled {
			return refused(disabled, errDisabled)
		}
		if len(set.GroupRoles) > 0 {
			role, err := roleOf(ctx, tx, c, set)
			if err != nil {
				return err
			}
			if _, err := s.Users.Enter(ctx, tx, u.ID, identity.Entry{Role: &role}); err != nil {
				return err
			}
		}
		if err := touch(ctx, tx, c.Issuer, c.Subject, c.Email, s.Now()); err != nil {
			return err
		}
		begun, err = s.Logins.Begin(ctx, tx, u.ID, login.ByOIDC)
		return err
	})
	return begun, err
}

// owner gives whose the claims are, and makes or links the account where that is
// allowed.
func (s *Service) owner(ctx context.Context, tx *store.Tx, c claims, set Settings) (identity.User, error) {
	i, found, err := find(ctx, tx, c.Issuer, c.Subject)
	if err != nil {
		return identity.User{}, err
	}
	if found {
		return identity.Lookup(ctx, tx, i.User)
	}
	if c.Email == "" || !c.Verified {
		return identity.User{}, refused(unverified, errUnverified)
	}
	u, err := identity.LookupEmail(ctx, tx, c.Email)
	switch {
	case problem.Is(err, problem.NotFound) && set.CreateUsers:
		role := ident.Role("")
		if len(set.GroupRoles) == 0 {
			if role, err = living(ctx, tx, set.DefaultRole); err != nil {
				return u, err
			}
		}
		u, err = s.Users.Admit(ctx, tx, identity.NewUser{Username: nameOf(c), Email: c.Email, Verified: true, Role: role},
			"-"+ident.New()[:4], "-"+ident.New()[:8])
		if err != nil {
			return u, refused(failed, err)
		}
	case problem.Is(err, problem.NotFound):
		return u, refused(unknown, errNobody)
	case err != nil:
		return u, err
	default:
		if err := s.linkable(ctx, tx, u, set); err != nil {
			return u, err
		}
	}
	return u, s.link(ctx, tx, u, c, access.System())
}

// linkable is nil when an account may be linked because of its address.
func (s *Service) linkable(ctx context.Context, tx *store.Tx, u identity.User, set Settings) error {
	if u.Disabled {
		return refused(disabled, errDisabled)
	}
	with, err := s.Logins.SecondFactors(ctx, tx, u.ID)
	if err != nil {
		return err
	}
	if !set.LinkByEmail || !u.Verified || u.Admin || u.Role != "" || with[u.ID] {
		return refused(linkFirst, errProtected)
	}
	return nil
}

func (s *Service) link(ctx context.Context, tx *store.Tx, u identity.User, c claims, by access.Actor) error {
	i := Identity{Issuer: c.Issuer, Subject: c.Subject, User: u.ID, Email: c.Email, Created: s.Now().UTC().Truncate(time.Millisecond)}
	if err := insert(ctx, tx, i); err != nil {
		return err
	}
	return s.Events.Append(ctx, tx, event.Event{Type: Linked, Owner: u.ID, Subject: string(u.ID), Actor: by}, map[string]any{"issuer": c.Issuer, "email": c.Email})
}

// attach links claims to the account of who asked for it, logged in.
func (s *Service) attach(ctx context.Context, c claims, caller access.Caller) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		i, found, err := find(ctx, tx, c.Issuer, c.Subject)
		switch {
		case err != nil:
			return err
		case found && i.User != caller.User:
			return refused(taken, errTaken)
		case found:
			return nil
		}
		u, err := identity.Lookup(ctx, tx, caller.User)
		if err != nil {
			return err
		}
		return s.link(ctx, tx, u, c, caller.Actor)
	})
}

// Identities gives the caller's other logins.
func (s *Service) Identities(ctx context.Context) ([]Identity, error) {
	return list(ctx, s.DB.Snapshot(), access.From(ctx).User)
}

// ID names an identity to its owner.
func (i Identity) ID() string {
	sum := sha256.Sum256([]byte(i.Issuer + "\n" + i.Subject))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// Unlink takes one of the caller's other logins away; NotFound for any other's.
// Who has no password would be shut out by it: a Conflict.
func (s *Service) Unlink(ctx context.Context, id string) error {
	c, err := s.Logins.CheckProof(ctx)
	if err != nil {
		return err
	}
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		all, err := list(ctx, tx, c.User)
		if err != nil {
			return err
		}
		n := slices.IndexFunc(all, func(i Identity) bool { return i.ID() == id })
		if n < 0 {
			return problem.New(problem.NotFound, "you have no such login")
		}
		has, err := identity.HasPassword(ctx, tx, c.User)
		if err != nil {
			return err
		}
		if !has && len(all) == 1 {
			return problem.New(problem.Conflict, "this is the only way into your account: set a password first")
		}
		if err := remove(ctx, tx, all[n]); err != nil {
			return err
		}
		return s.Events.Append(ctx, tx, event.Event{Type: Unlinked, Owner: c.User, Subject: string(c.User), Actor: c.Actor}, map[string]any{"issuer": all[n].Issuer})
	})
}

// roleOf gives the role that the groups map to; "" none.
func roleOf(ctx context.Context, q store.Querier, c claims, set Settings) (ident.Role, error) {
	for _, g := range set.GroupRoles {
		if slices.Contains(c.Groups, g.Group) {
			return living(ctx, q, g.Role)
		}
	}
	return living(ctx, q, set.DefaultRole)
}

// living is the role, or none when it was deleted since.
func living(ctx context.Context, q store.Querier, id ident.Role) (ident.Role, error) {
	if id == "" {
		return "", nil
	}
	_, err := identity.LookupRole(ctx, q, id)
	if problem.Is(err, problem.NotFound) {
		return "", nil
	}
	return id, err
}

const longestName = 50

// nameOf makes a username of what a provider says.
func nameOf(c claims) string {
	name := c.Name
	if name == "" {
		name = c.Email
	}
	name, _, _ = strings.Cut(name, "@") // never somebody's address
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, name)
	if name = strings.TrimSpace(name); name == "" {
		name = "user"
	}
	short := []rune(name)
	return string(short[:min(len(short), longestName)])
}
