package identity

import (
	"context"
	"slices"
	"time"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// Hashed is a password on its way into the database. The zero value is none.
type Hashed struct{ phc string }

// Hash checks a new password and hashes it, before the transaction that Enter
// belongs to: it is dear.
func (s *Service) Hash(ctx context.Context, password string) (Hashed, error) {
	if err := checkPassword(password, false); err != nil {
		return Hashed{}, err
	}
	phc, err := s.hasher.hash(ctx, password)
	return Hashed{phc}, err
}

// Entry is what somebody changes of his account who came by a link and not by his
// password. Zero fields stay.
type Entry struct {
	Password Hashed
	Email    string
	Verified bool // the link reached him at his address
}

// Enter changes the account in the caller's transaction, with its event, and ends
// its logins when the password is another. A disabled one is a Conflict.
func (s *Service) Enter(ctx context.Context, tx *store.Tx, id ident.User, e Entry) (User, error) {
	before, err := Lookup(ctx, tx, id)
	if err != nil {
		return User{}, err
	}
	if before.Disabled {
		return User{}, problem.New(problem.Conflict, "this account is disabled")
	}
	c := UserChange{}
	if e.Email != "" {
		c.Email = &e.Email
	}
	if e.Verified {
		c.Verified = &e.Verified
	}
	if c, err = c.clean(); err != nil {
		return User{}, err
	}
	after, changed := c.apply(before)
	if e.Password.phc != "" {
		changed = append(changed, "password")
	}
	if len(changed) == 0 {
		return before, nil
	}
	slices.Sort(changed)
	after.Updated = s.now().UTC().Truncate(time.Millisecond)
	if err := s.checkChange(ctx, tx, before, after); err != nil {
		return User{}, err
	}
	if err := updateUser(ctx, tx, after, e.Password.phc); err != nil {
		return User{}, err
	}
	if err := s.endLogins(ctx, tx, after, changed); err != nil {
		return User{}, err
	}
	return after, s.append(ctx, tx, UserUpdated, id, string(id), map[string]any{"changed": changed})
}

// HasPassword says whether there is a password that opens the account: not for who
// was invited and hasn't chosen one yet.
func HasPassword(ctx context.Context, q store.Querier, id ident.User) (bool, error) {
	n, err := store.Count(ctx, q, `SELECT COUNT(*) FROM users WHERE id = ? AND password_hash <> ''`, string(id))
	return n > 0, wrap("look for a password", err)
}
