package login

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"strings"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// recoveryBytes are random, so that a plain hash is enough.
const recoveryBytes = 10

// newRecoveryCode gives one such as abcd-efgh-ijkl-mnop.
func newRecoveryCode() string {
	raw := make([]byte, recoveryBytes)
	_, _ = rand.Read(raw) // never fails: crypto/rand aborts the process instead
	text := strings.ToLower(base32.StdEncoding.EncodeToString(raw))
	return text[:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:]
}

// hashRecovery reads a code however it was typed.
func hashRecovery(code string) []byte {
	plain := strings.NewReplacer("-", "", " ", "").Replace(strings.ToLower(code))
	sum := sha256.Sum256([]byte("recovery code " + plain))
	return sum[:]
}

// makeCodes replaces a user's recovery codes.
func (s *Service) makeCodes(ctx context.Context, tx *store.Tx, user ident.User) ([]string, error) {
	if err := deleteRecoveryCodes(ctx, tx, user); err != nil {
		return nil, err
	}
	codes := make([]string, recoveryCodes)
	for n := range codes {
		codes[n] = newRecoveryCode()
		if err := insertRecoveryCode(ctx, tx, user, hashRecovery(codes[n])); err != nil {
			return nil, err
		}
	}
	return codes, s.append(ctx, tx, RecoveryCodesMade, user, string(user), map[string]any{"codes": len(codes)})
}

// firstCodes makes recovery codes for who has no second factor yet; nil else.
func (s *Service) firstCodes(ctx context.Context, tx *store.Tx, user ident.User) ([]string, error) {
	f, err := factorsOf(ctx, tx, user)
	if err != nil || f.Any() {
		return nil, err
	}
	return s.makeCodes(ctx, tx, user)
}

// RenewRecoveryCodes gives the caller new ones, this once; the old ones are worth
// nothing any more, and his other sessions end. Conflict without a second factor.
func (s *Service) RenewRecoveryCodes(ctx context.Context) (codes []string, err error) {
	err = s.change(ctx, func(tx *store.Tx, c access.Caller) error {
		f, err := factorsOf(ctx, tx, c.User)
		if err != nil {
			return err
		}
		if !f.Any() {
			return problem.New(problem.Conflict, "recovery codes come with a second factor: set up an authenticator app or a passkey first")
		}
		if codes, err = s.makeCodes(ctx, tx, c.User); err != nil {
			return err
		}
		return s.EndAll(ctx, tx, c.User, c.Session, "the second factor changed")
	})
	return codes, err
}

// useRecoveryCode uses a code up.
func (s *Service) useRecoveryCode(ctx context.Context, tx *store.Tx, user ident.User, code string) (bool, error) {
	taken, err := takeRecoveryCode(ctx, tx, user, hashRecovery(code), s.Now())
	if err != nil || !taken {
		return false, err
	}
	f, err := factorsOf(ctx, tx, user)
	if err != nil {
		return false, err
	}
	return true, s.append(ctx, tx, RecoveryCodeConsumed, user, string(user), map[string]any{"left": f.RecoveryCodes})
}

// Reset takes all second factors from a user who has lost his, and ends his
// sessions: his password is enough again. Whoever may not manage him can't.
func (s *Service) Reset(ctx context.Context, id ident.User) error {
	if access.From(ctx).Session != "" {
		if _, err := s.checkFresh(ctx); err != nil {
			return err
		}
	}
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		u, err := identity.Lookup(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := s.Users.CheckReach(ctx, tx, u); err != nil {
			return err
		}
		if err := deleteFactors(ctx, tx, id); err != nil {
			return err
		}
		if err := s.append(ctx, tx, SecondFactorReset, id, string(id), map[string]any{"username": u.Username}); err != nil {
			return err
		}
		return s.EndAll(ctx, tx, id, "", "the second factor was reset")
	})
}
