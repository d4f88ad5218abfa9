package login

import (
	"context"
	"fmt"
	"strings"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

const (
	totpStep   = 30 // seconds
	totpIssuer = "Berth"
)

// authenticator is a user's app as it is kept.
type authenticator struct {
	sealed    []byte
	lastStep  int64
	confirmed bool
}

func totpPurpose(user ident.User) string { return "authenticator of " + string(user) }

// BeginTOTP gives the caller a secret for his app; the one before that was never
// confirmed is gone. Conflict when there is one that is in use.
func (s *Service) BeginTOTP(ctx context.Context) (setup Setup, err error) {
	err = s.change(ctx, func(tx *store.Tx, c access.Caller) error {
		old, found, err := findAuthenticator(ctx, tx, c.User)
		if err != nil {
			return err
		}
		if found && old.confirmed {
			return problem.New(problem.Conflict, "an authenticator app is set up already: remove it first")
		}
		key, err := totp.Generate(totp.GenerateOpts{Issuer: totpIssuer, AccountName: c.Username, Period: totpStep, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err != nil {
			return fmt.Errorf("make a TOTP secret: %w", err)
		}
		setup = Setup{Secret: key.Secret(), URI: key.URL()}
		return putAuthenticator(ctx, tx, c.User, s.Secrets.Seal(totpPurpose(c.User), []byte(key.Secret())), s.Now())
	})
	if err != nil {
		return Setup{}, err
	}
	return setup, nil
}

// ConfirmTOTP takes the app into use, after a right code of it. With the caller's
// first second factor come recovery codes, which are given this once. His other
// sessions end.
func (s *Service) ConfirmTOTP(ctx context.Context, code string) (codes []string, err error) {
	c, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	if wait := s.codes.Try(string(c.User), s.Now()); wait > 0 {
		return nil, httpapi.TooMany(wait, "too many codes")
	}
	err = s.change(ctx, func(tx *store.Tx, c access.Caller) error {
		a, found, err := findAuthenticator(ctx, tx, c.User)
		switch {
		case err != nil:
			return err
		case !found:
			return problem.New(problem.Conflict, "no authenticator app is being set up: begin with POST /api/v1/me/totp/begin")
		case a.confirmed:
			return problem.New(problem.Conflict, "the authenticator app is in use already")
		}
		step, right, err := s.matches(a, c.User, code)
		if err != nil {
			return err
		}
		if !right {
			return problem.Invalid("code", "is wrong: is the time of your device right?")
		}
		if codes, err = s.firstCodes(ctx, tx, c.User); err != nil {
			return err
		}
		if err := confirmAuthenticator(ctx, tx, c.User, step, s.Now()); err != nil {
			return err
		}
		if err := s.append(ctx, tx, SecondFactorSet, c.User, string(c.User), map[string]any{"kind": "totp"}); err != nil {
			return err
		}
		return s.EndAll(ctx, tx, c.User, c.Session, "the second factor changed")
	})
	if err != nil {
		return nil, err
	}
	s.codes.Passed(string(c.User))
	return codes, nil
}

// RemoveTOTP takes the caller's app out of use; his other sessions end.
func (s *Service) RemoveTOTP(ctx context.Context) error {
	return s.change(ctx, func(tx *store.Tx, c access.Caller) error {
		_, found, err := findAuthenticator(ctx, tx, c.User)
		if err != nil {
			return err
		}
		if !found {
			return problem.New(problem.NotFound, "no authenticator app is set up")
		}
		if err := deleteAuthenticator(ctx, tx, c.User); err != nil {
			return err
		}
		return s.lessFactors(ctx, tx, c, "totp")
	})
}

// lessFactors is what follows when a factor is gone.
func (s *Service) lessFactors(ctx context.Context, tx *store.Tx, c access.Caller, kind string) error {
	f, err := factorsOf(ctx, tx, c.User)
	if err != nil {
		return err
	}
	if !f.Any() {
		if err := deleteRecoveryCodes(ctx, tx, c.User); err != nil {
			return err
		}
	}
	if err := s.append(ctx, tx, SecondFactorRemoved, c.User, string(c.User), map[string]any{"kind": kind}); err != nil {
		return err
	}
	return s.EndAll(ctx, tx, c.User, c.Session, "the second factor changed")
}

// matches finds the time step that a code is of: the present one, or a neighbour.
func (s *Service) matches(a authenticator, user ident.User, code string) (step int64, right bool, err error) {
	code = strings.ReplaceAll(strings.TrimSpace(code), " ", "")
	secret, err := s.Secrets.Open(totpPurpose(user), a.sealed)
	if err != nil {
		return 0, false, fmt.Errorf("open a TOTP secret: %w", err)
	}
	now := s.Now().Unix() / totpStep
	for _, at := range []int64{now, now - 1, now + 1} {
		ok, err := hotp.ValidateCustom(code, uint64(at), string(secret), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err != nil { // it hasn't six characters
			return 0, false, nil //nolint:nilerr // a wrong code is no failure
		}
		if ok {
			step, right = at, true
		}
	}
	return step, right, nil
}

// useCode uses a code up: neither it nor an older one is right any more.
func (s *Service) useCode(ctx context.Context, tx *store.Tx, user ident.User, code string) (bool, error) {
	a, found, err := findAuthenticator(ctx, tx, user)
	if err != nil || !found || !a.confirmed {
		return false, err
	}
	step, right, err := s.matches(a, user, code)
	if err != nil || !right {
		return false, err
	}
	return takeStep(ctx, tx, user, step)
}
