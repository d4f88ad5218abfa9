package identity

import (
	"context"
	"regexp"
	"slices"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// Logins is what accounts need of the room of the panel's logins.
type Logins interface {
	// EndAll ends a user's logins, all but the one named ("" none), in the
	// transaction that takes their ground away. why is for people.
	EndAll(ctx context.Context, tx *store.Tx, user ident.User, but ident.Session, why string) error
	// SecondFactors gives who needs more than his password to log in; user "" is
	// all.
	SecondFactors(ctx context.Context, q store.Querier, user ident.User) (map[ident.User]bool, error)
	// CheckProof is nil when who is logged in proved who he is a short while ago.
	CheckProof(ctx context.Context) (access.Caller, error)
}

// Links are what opens an account without its password (controller/invite).
type Links interface {
	// Void ends a user's links for another password.
	Void(ctx context.Context, tx *store.Tx, user ident.User) error
}

// AttachLinks gives the service the room of links, before it serves anybody.
func (s *Service) AttachLinks(l Links) { s.links = l }

// CheckProof is nil for who comes by a key, and for who is logged in and proved who
// he is a short while ago: a key, an account or a link outlives the login that it is
// made by, and who has somebody's cookie shall not keep more than that.
func (s *Service) CheckProof(ctx context.Context) error { return s.checkProof(ctx) }

func (s *Service) checkProof(ctx context.Context) error {
	if s.logins == nil || access.From(ctx).Session == "" {
		return nil
	}
	_, err := s.logins.CheckProof(ctx)
	return err
}

// AttachLogins gives the service the room of the logins, before it serves anybody.
func (s *Service) AttachLogins(l Logins) { s.logins = l }

// endLogins ends what a changed account was logged in by: with another password
// all links for one and all other logins, for it may have been changed because a stranger knew it; of
// one that is disabled now, all.
func (s *Service) endLogins(ctx context.Context, tx *store.Tx, after User, changed []string) error {
	if s.links != nil && slices.Contains(changed, "password") {
		if err := s.links.Void(ctx, tx, after.ID); err != nil {
			return err
		}
	}
	if s.logins == nil {
		return nil
	}
	if after.Disabled && slices.Contains(changed, "disabled") {
		return s.logins.EndAll(ctx, tx, after.ID, "", "the account was disabled")
	}
	if !slices.Contains(changed, "password") {
		return nil
	}
	var own ident.Session
	if c := access.From(ctx); c.User == after.ID {
		own = c.Session
	}
	return s.logins.EndAll(ctx, tx, after.ID, own, "the password was changed")
}

// secondFactors is Logins.SecondFactors; nobody has one where there are no logins.
func (s *Service) secondFactors(ctx context.Context, q store.Querier, user ident.User) (map[ident.User]bool, error) {
	if s.logins == nil {
		return nil, nil
	}
	return s.logins.SecondFactors(ctx, q, user)
}

// MayUsePassword says whether a user's password is enough by itself: whoever has a
// second factor needs a key for SFTP, where nobody could ask for it.
func (s *Service) MayUsePassword(ctx context.Context, id ident.User) (bool, error) {
	with, err := s.secondFactors(ctx, s.db.Snapshot(), id)
	return err == nil && !with[id], err
}

// Proof is a password that was right: Stamp is another after each change of it.
type Proof struct {
	User
	Stamp string
}

// Prove is Login, for what follows in a transaction of its own: Stamped says there
// whether the password is still the one that was shown.
func (s *Service) Prove(ctx context.Context, name, password string) (Proof, error) {
	u, hash, err := s.login(ctx, name, password)
	return Proof{User: u, Stamp: stamp(hash)}, err
}

// ProveUser is Prove for a user who is known already.
func (s *Service) ProveUser(ctx context.Context, id ident.User, password string) (Proof, error) {
	u, err := s.User(ctx, id)
	if err != nil {
		return Proof{}, err
	}
	return s.Prove(ctx, u.Username, password)
}

// Stamped gives the user whose password was proved, as he stands in the
// transaction; Unauthorized when it was changed since, or he is disabled.
func Stamped(ctx context.Context, q store.Querier, p Proof) (User, error) {
	list, err := listPeople(ctx, q, p.ID)
	if err != nil {
		return User{}, err
	}
	if len(list) != 1 || list[0].Password != p.Stamp {
		return User{}, problem.New(problem.Unauthorized, "the name or the password is wrong")
	}
	return Lookup(ctx, q, p.ID)
}

// SetLocale sets the language of a user's mails and pages; "" is the browser's.
func (s *Service) SetLocale(ctx context.Context, id ident.User, locale string) error {
	if !localeForm.MatchString(locale) {
		return problem.Invalid("locale", "%.20q is none: en, de or such as pt-BR, or nothing for the browser's", locale)
	}
	return s.db.Write(ctx, func(tx *store.Tx) error {
		before, err := LocaleOf(ctx, tx, id)
		if err != nil || before == locale {
			return err
		}
		if err := setLocale(ctx, tx, id, locale); err != nil {
			return err
		}
		return s.append(ctx, tx, UserUpdated, id, string(id), map[string]any{"changed": []string{"locale"}})
	})
}

var localeForm = regexp.MustCompile(`^([a-z]{2,3}(-[A-Za-z0-9]{2,8})*)?$`)
