package login

import (
	"context"
	"strings"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/problem"
)

const tooMany = "too many tries to log in"

// Login begins a session by name and password, and by a code where one is needed.
// A wrong name, a wrong password and a disabled account are Unauthorized in the
// same words. With the right password and without a code that is needed it is
// Unauthorized too, and its fields named second_factor say what helps: totp,
// recovery, passkey.
func (s *Service) Login(ctx context.Context, in Attempt) (Begun, error) {
	if len(in.Name) > maxAttempt {
		return Begun{}, wrong()
	}
	address, name := access.From(ctx).Address, foldName(in.Name)
	if wait := s.guesses.Try(address, name, s.Now()); wait > 0 {
		return Begun{}, httpapi.TooMany(wait, tooMany)
	}
	proof, err := s.Users.Prove(ctx, strings.TrimSpace(in.Name), in.Password)
	if problem.Is(err, problem.Unauthorized) {
		s.refused(ctx, strings.TrimSpace(in.Name), "password")
		return Begun{}, err
	}
	s.guesses.Passed(address, name) // it came in, or could not be judged
	if err != nil {
		return Begun{}, err
	}
	return s.enter(ctx, proof, in)
}

// foldName is the form in which names are compared.
func foldName(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

// enter is Login after the password.
func (s *Service) enter(ctx context.Context, proof identity.Proof, in Attempt) (begun Begun, err error) {
	coded := in.Code != "" || in.RecoveryCode != ""
	if coded {
		if wait := s.codes.Try(string(proof.ID), s.Now()); wait > 0 {
			return Begun{}, httpapi.TooMany(wait, tooMany)
		}
	}
	ctx = as(ctx, proof.User)
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		u, err := identity.Stamped(ctx, tx, proof)
		if err != nil {
			return err
		}
		if err := s.passSecond(ctx, tx, u, in); err != nil {
			return err
		}
		begun, err = s.start(ctx, tx, u, ByPassword)
		return err
	})
	switch {
	case err == nil && coded:
		s.codes.Passed(string(proof.ID))
	case coded && problem.Is(err, problem.Unauthorized) && s.news.AllowN(s.Now(), 1):
		s.refusedUser(ctx, proof.User, "code")
	}
	return begun, err
}

// passSecond uses up what was shown besides the password, if that is needed.
func (s *Service) passSecond(ctx context.Context, tx *store.Tx, u identity.User, in Attempt) error {
	f, err := factorsOf(ctx, tx, u.ID)
	if err != nil || !f.Any() {
		return err
	}
	var passed bool
	why := "the code is wrong, or was used already: wait for the next one"
	switch {
	case in.Code != "":
		passed, err = s.useCode(ctx, tx, u.ID, in.Code)
	case in.RecoveryCode != "":
		why = "the recovery code is wrong, or was used already: each works once, so take another"
		passed, err = s.useRecoveryCode(ctx, tx, u.ID, in.RecoveryCode)
	default:
		return refusedFactor(f, "a second factor is needed")
	}
	if err == nil && !passed {
		return refusedFactor(f, why)
	}
	return err
}

// Prove notes that the caller showed just now who he is: his password, and a code
// where he has a second factor. Name is not looked at.
func (s *Service) Prove(ctx context.Context, in Attempt) error {
	c, proof, err := s.showPassword(ctx, in.Password)
	if err != nil {
		return err
	}
	return s.prove(ctx, c, proof, in)
}

// prove is Prove after the password.
func (s *Service) prove(ctx context.Context, c access.Caller, proof identity.Proof, in Attempt) error {
	coded := in.Code != "" || in.RecoveryCode != ""
	if coded {
		if wait := s.codes.Try(string(c.User), s.Now()); wait > 0 {
			return httpapi.TooMany(wait, "too many codes")
		}
	}
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		u, err := identity.Stamped(ctx, tx, proof)
		if err != nil {
			return err
		}
		if err := s.passSecond(ctx, tx, u, in); err != nil {
			return err
		}
		return s.proved(ctx, tx, c)
	})
	switch {
	case err == nil && coded:
		s.codes.Passed(string(c.User))
	case problem.Is(err, problem.Unauthorized):
		if coded && s.news.AllowN(s.Now(), 1) {
			s.refusedUser(ctx, proof.User, "code")
		}
		return unaccepted(in, err)
	}
	return err
}

// showPassword gives the caller when the password is his.
func (s *Service) showPassword(ctx context.Context, password string) (access.Caller, identity.Proof, error) {
	c, err := caller(ctx)
	if err != nil {
		return c, identity.Proof{}, err
	}
	name := foldName(c.Username)
	if wait := s.guesses.Try(c.Address, name, s.Now()); wait > 0 {
		return c, identity.Proof{}, httpapi.TooMany(wait, "too many tries")
	}
	proof, err := s.Users.ProveUser(ctx, c.User, password)
	if problem.Is(err, problem.Unauthorized) {
		if s.news.AllowN(s.Now(), 1) {
			s.refusedUser(ctx, identity.User{ID: c.User, Username: c.Username}, "password")
		}
		return c, proof, problem.Invalid("password", "is wrong") // the login itself is none the worse for it
	}
	s.guesses.Passed(c.Address, name)
	return c, proof, err
}

// unaccepted is a refused second factor as what is wrong with a field: the login
// itself is none the worse for it.
func unaccepted(in Attempt, why error) error {
	field := "code"
	if in.Code == "" && in.RecoveryCode != "" {
		field = "recovery_code"
	}
	return problem.Invalid(field, "%s", problem.From(why).Message)
}

// proved notes it, in the transaction of the proof.
func (s *Service) proved(ctx context.Context, tx *store.Tx, c access.Caller) error {
	return proveSession(ctx, tx, c.User, c.Session, s.Now())
}

// fresh is nil when the caller proved who he is a short while ago.
func (s *Service) fresh(ctx context.Context, q store.Querier, c access.Caller) error {
	session, err := findSession(ctx, q, c.User, c.Session)
	if problem.Is(err, problem.NotFound) {
		return loggedOut()
	}
	if err != nil {
		return err
	}
	if s.Now().Sub(session.Proved) < ProofLife {
		return nil
	}
	f, err := factorsOf(ctx, q, c.User)
	if err != nil {
		return err
	}
	return unproved(f)
}

// change runs do, which changes how the caller logs in, in a transaction: after a
// fresh proof.
func (s *Service) change(ctx context.Context, do func(tx *store.Tx, c access.Caller) error) error {
	c, err := caller(ctx)
	if err != nil {
		return err
	}
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		if err := s.fresh(ctx, tx, c); err != nil {
			return err
		}
		return do(tx, c)
	})
}

// checkFresh is fresh before work that has its own transaction.
func (s *Service) checkFresh(ctx context.Context) (access.Caller, error) {
	c, err := caller(ctx)
	if err != nil {
		return c, err
	}
	return c, s.fresh(ctx, s.DB.Snapshot(), c)
}

// SetPassword gives the caller another password; his other sessions end. present is
// the one he has, which must be right, and is a proof where it is enough to log in
// by; "" when he leaves it out.
func (s *Service) SetPassword(ctx context.Context, present, password string) error {
	if present != "" {
		c, proof, err := s.showPassword(ctx, present)
		if err != nil {
			return err
		}
		f, err := factorsOf(ctx, s.DB.Snapshot(), c.User)
		if err != nil {
			return err
		}
		if !f.Any() {
			if err := s.prove(ctx, c, proof, Attempt{}); err != nil {
				return err
			}
		}
	}
	c, err := s.checkFresh(ctx)
	if err != nil {
		return err
	}
	_, err = s.Users.UpdateUser(ctx, c.User, identity.UserChange{Password: &password})
	return err
}

// UpdateMe changes the caller's own account. Another address needs a fresh proof,
// for a forgotten password's link goes there; where mails can be sent, it becomes
// his by a link that is mailed to it, else it isn't known to be his.
func (s *Service) UpdateMe(ctx context.Context, in MeUpdateBody) error {
	c, err := caller(ctx)
	if err != nil {
		return err
	}
	change := identity.UserChange{Username: in.Username}
	if in.Email != nil {
		if _, err := s.checkFresh(ctx); err != nil {
			return err
		}
		u, err := s.Users.User(ctx, c.User)
		if err != nil {
			return err
		}
		switch {
		case *in.Email == u.Email:
		case s.emails != nil:
			if _, err := s.emails.ChangeEmail(ctx, c.User, *in.Email); err != nil {
				return err
			}
		default:
			unknown := false
			change.Email, change.Verified = in.Email, &unknown
		}
	}
	if _, err := s.Users.UpdateUser(ctx, c.User, change); err != nil || in.Locale == nil {
		return err
	}
	return s.Users.SetLocale(ctx, c.User, *in.Locale)
}
