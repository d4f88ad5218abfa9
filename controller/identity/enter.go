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
	Verified bool        // the link reached him at his address
	Role     *ident.Role // to "": none; as another login's groups say, never for an admin
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
	if !before.Admin {
		c.Role = e.Role
	}
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
	if before.mayAdminister() && !after.mayAdminister() {
		if err := demoteKeys(ctx, tx, id); err != nil {
			return User{}, err
		}
	}
	if err := s.endLogins(ctx, tx, after, changed); err != nil {
		return User{}, err
	}
	return after, s.append(ctx, tx, UserUpdated, id, string(id), map[string]any{"changed": changed})
}

// Admit makes an account without a password in the caller's transaction: for who is
// invited, or comes by another login. suffixes are put behind the name until one is
// free; an address that somebody has is a Conflict.
func (s *Service) Admit(ctx context.Context, tx *store.Tx, n NewUser, suffixes ...string) (User, error) {
	n.Invited = true
	name := n.Username
	for _, suffix := range append([]string{""}, suffixes...) {
		n.Username = name + suffix
		taken, err := whoHas(ctx, tx, "", n.Username, "")
		if err != nil {
			return User{}, err
		}
		if taken == "" {
			break
		}
	}
	n, err := n.clean()
	if err != nil {
		return User{}, err
	}
	return s.insert(ctx, tx, n, "")
}

// HasPassword says whether there is a password that opens the account: not for who
// was invited and hasn't chosen one yet.
func HasPassword(ctx context.Context, q store.Querier, id ident.User) (bool, error) {
	n, err := store.Count(ctx, q, `SELECT COUNT(*) FROM users WHERE id = ? AND password_hash <> ''`, string(id))
	return n > 0, wrap("look for a password", err)
}

// CheckReach is nil when the caller may do all that the user may, and so may be
// handed a way into the account.
func (s *Service) CheckReach(ctx context.Context, q store.Querier, u User) error {
	return coversUser(ctx, q, u)
}

// LocaleOf is the language of a user's mails; "" is the panel's.
func LocaleOf(ctx context.Context, q store.Querier, id ident.User) (string, error) {
	var locale string
	err := q.QueryRowContext(ctx, `SELECT locale FROM users WHERE id = ?`, string(id)).Scan(&locale)
	return locale, wrap("read a user's language", err)
}
