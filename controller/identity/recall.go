package identity

import (
	"context"
	"errors"
	"fmt"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/problem"
)

// Recall gives a caller as he stands now, for what goes on after his call: with
// the scopes that his key has by now, his role's permissions and what others let
// him do. One who came without a key (a login) keeps
// his scopes. A key that was revoked or has expired, and an account that is
// deleted or disabled, is Unauthorized.
func (s *Service) Recall(ctx context.Context, c access.Caller) (access.Caller, error) {
	switch {
	case !c.Known():
		return access.Caller{}, problem.New(problem.Unauthorized, "nobody is calling")
	case c.Key != "":
		return s.recallKey(ctx, c)
	case c.User == "": // the local socket, or Berth itself
		return c, nil
	}
	u, err := Lookup(ctx, s.db.Snapshot(), c.User)
	switch {
	case problem.Is(err, problem.NotFound):
		return access.Caller{}, problem.New(problem.Unauthorized, "your account was deleted")
	case err != nil:
		return access.Caller{}, err
	case u.Disabled:
		return access.Caller{}, problem.New(problem.Unauthorized, "your account is disabled")
	}
	c.Admin, c.Username, c.Role, c.Permissions = u.Admin, u.Username, u.Role, nil
	if u.Role != "" {
		r, err := LookupRole(ctx, s.db.Snapshot(), u.Role)
		if err != nil && !problem.Is(err, problem.NotFound) { // taken from him in between
			return access.Caller{}, err
		}
		c.Permissions = r.Permissions
	}
	if !u.mayAdminister() {
		c.Scopes = withoutAdmin(c.Scopes)
	}
	return s.withShares(ctx, c)
}

// withShares completes a caller with what others let him do; an admin needs nothing
// of that.
func (s *Service) withShares(ctx context.Context, c access.Caller) (access.Caller, error) {
	c.Shares = nil
	if c.Admin {
		return c, nil
	}
	all, err := s.sharedWith(ctx, s.db.Snapshot(), c.User)
	if err != nil {
		return access.Caller{}, fmt.Errorf("what is shared with a caller: %w", err)
	}
	c.Shares = all[c.User]
	return c, nil
}

func (s *Service) recallKey(ctx context.Context, c access.Caller) (access.Caller, error) {
	f, err := findCaller(ctx, s.db.Snapshot(), c.Key)
	switch {
	case errors.Is(err, store.ErrNoRows):
		return access.Caller{}, problem.New(problem.Unauthorized, "your API key was revoked")
	case err != nil:
		return access.Caller{}, fmt.Errorf("recall a caller: %w", err)
	case f.disabled:
		return access.Caller{}, problem.New(problem.Unauthorized, "your account is disabled")
	case f.expires.Valid && f.expires.Int64 <= s.now().UnixMilli():
		return access.Caller{}, problem.New(problem.Unauthorized, "your API key has expired")
	}
	if err := usable(f.addresses, c.Address); err != nil {
		return access.Caller{}, err
	}
	f.caller.Via, f.caller.Address = c.Via, c.Address
	return s.withShares(ctx, f.caller)
}
