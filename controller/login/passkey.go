package login

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

const maxPasskeyName = 100

// Challenge is what a browser is asked to answer with a passkey.
type Challenge struct {
	Ceremony string          // its name, to be sent with the answer
	Options  json.RawMessage // as navigator.credentials has them, in the JSON form of WebAuthn
}

// Answer is what a browser says to a challenge.
type Answer struct {
	Ceremony string
	Response json.RawMessage // the credential in the JSON form of WebAuthn
}

// holder is a user as the WebAuthn library wants him.
type holder struct {
	user identity.User
	keys []kept
}

// handleOf is what authenticators keep of a user: nothing that says who he is.
func handleOf(id ident.User) []byte {
	sum := sha256.Sum256([]byte("passkeys of " + id))
	return sum[:]
}

// WebAuthnID is the library's.
func (h holder) WebAuthnID() []byte { return handleOf(h.user.ID) }

// WebAuthnName is the library's.
func (h holder) WebAuthnName() string { return h.user.Username }

// WebAuthnDisplayName is the library's.
func (h holder) WebAuthnDisplayName() string { return h.user.Username }

// WebAuthnCredentials is the library's.
func (h holder) WebAuthnCredentials() []webauthn.Credential {
	out := make([]webauthn.Credential, len(h.keys))
	for n, k := range h.keys {
		out[n] = k.credential
	}
	return out
}

func (h holder) descriptors() []protocol.CredentialDescriptor {
	out := make([]protocol.CredentialDescriptor, len(h.keys))
	for n, k := range h.keys {
		out[n] = k.credential.Descriptor()
	}
	return out
}

// keep remembers a challenge.
func (s *Service) keep(ctx context.Context, p purpose, options any, data *webauthn.SessionData) (Challenge, error) {
	raw, err := json.Marshal(options)
	if err != nil {
		return Challenge{}, fmt.Errorf("encode a challenge: %w", err)
	}
	c := access.From(ctx)
	name, err := s.ceremonies.put(ceremony{purpose: p, user: c.User, session: c.Session, data: *data, network: httpapi.Network(c.Address)}, s.Now())
	return Challenge{name, raw}, err
}

func (s *Service) taken(ctx context.Context, p purpose, name string) (webauthn.SessionData, error) {
	c := access.From(ctx)
	return s.ceremonies.take(name, p, c.User, c.Session, s.Now())
}

// BeginPasskeyLogin gives a challenge to whoever comes: any passkey of this panel
// may answer it.
func (s *Service) BeginPasskeyLogin(ctx context.Context) (Challenge, error) {
	options, data, err := s.party.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return Challenge{}, fmt.Errorf("make a challenge: %w", err)
	}
	return s.keep(ctx, toLogin, options.Response, data)
}

// PasskeyLogin begins a session by a passkey's answer. Whatever is wrong with it is
// Unauthorized.
func (s *Service) PasskeyLogin(ctx context.Context, in Answer) (begun Begun, err error) {
	address := access.From(ctx).Address
	if wait := s.guesses.Try(address, "", s.Now()); wait > 0 {
		return Begun{}, httpapi.TooMany(wait, tooMany)
	}
	data, err := s.taken(ctx, toLogin, in.Ceremony)
	if err != nil {
		return Begun{}, err
	}
	var u identity.User
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		key, err := s.accept(ctx, tx, data, in.Response)
		if err != nil {
			return err
		}
		if u, err = identity.Lookup(ctx, tx, key.User); err != nil {
			return err
		}
		if u.Disabled {
			return refusedPasskey(nil)
		}
		begun, err = s.start(as(ctx, u), tx, u, ByPasskey)
		return err
	})
	if problem.Is(err, problem.Unauthorized) {
		if s.news.AllowN(s.Now(), 1) {
			s.refusedUser(ctx, u, "passkey")
		}
		return Begun{}, err
	}
	s.guesses.Passed(address, "")
	return begun, err
}

func refusedPasskey(cause error) error {
	return problem.New(problem.Unauthorized, "this passkey was not accepted: is it one of this panel, and not removed?").Because(cause)
}

// accept checks an answer and notes the passkey's use. A counter that runs
// backwards is a copy's.
func (s *Service) accept(ctx context.Context, tx *store.Tx, data webauthn.SessionData, response []byte) (kept, error) {
	parsed, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return kept{}, refusedPasskey(err)
	}
	var key kept
	var broken error
	find := func(rawID, handle []byte) (webauthn.User, error) {
		if key, broken = findCredential(ctx, tx, rawID); broken != nil {
			return nil, broken
		}
		if subtle.ConstantTimeCompare(handle, handleOf(key.User)) != 1 {
			return nil, noPasskey()
		}
		return holder{user: identity.User{ID: key.User}, keys: []kept{key}}, nil
	}
	_, credential, err := s.party.ValidatePasskeyLogin(find, data, parsed)
	if broken != nil && !problem.Is(broken, problem.NotFound) {
		return kept{}, broken
	}
	if err != nil {
		return kept{}, refusedPasskey(err)
	}
	if credential.Authenticator.CloneWarning {
		return kept{}, problem.New(problem.Unauthorized, "this passkey seems to have been copied: remove it and add another")
	}
	return key, usePasskey(ctx, tx, key.ID, *credential, s.Now())
}

// BeginProof gives the caller a challenge for one of his own passkeys.
func (s *Service) BeginProof(ctx context.Context) (Challenge, error) {
	h, err := s.holder(ctx, s.DB.Snapshot())
	if err != nil {
		return Challenge{}, err
	}
	if len(h.keys) == 0 {
		return Challenge{}, problem.New(problem.Conflict, "you have no passkey: prove it with your password")
	}
	options, data, err := s.party.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired), webauthn.WithAllowedCredentials(h.descriptors()))
	if err != nil {
		return Challenge{}, fmt.Errorf("make a challenge: %w", err)
	}
	return s.keep(ctx, toProve, options.Response, data)
}

// ProveByPasskey notes that the caller used one of his passkeys just now.
func (s *Service) ProveByPasskey(ctx context.Context, in Answer) error {
	c, err := caller(ctx)
	if err != nil {
		return err
	}
	data, err := s.taken(ctx, toProve, in.Ceremony)
	if err != nil {
		return err
	}
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		key, err := s.accept(ctx, tx, data, in.Response)
		if problem.Is(err, problem.Unauthorized) || err == nil && key.User != c.User {
			return problem.Invalid("response", "this passkey was not accepted") // the login itself is none the worse for it
		}
		if err != nil {
			return err
		}
		return s.proved(ctx, tx, c)
	})
}

// holder is the caller with his passkeys.
func (s *Service) holder(ctx context.Context, q store.Querier) (holder, error) {
	c, err := caller(ctx)
	if err != nil {
		return holder{}, err
	}
	u, err := identity.Lookup(ctx, q, c.User)
	if err != nil {
		return holder{}, err
	}
	keys, err := listPasskeys(ctx, q, c.User)
	return holder{u, keys}, err
}

// BeginPasskey gives the caller a challenge for a new passkey.
func (s *Service) BeginPasskey(ctx context.Context) (Challenge, error) {
	if _, err := s.checkFresh(ctx); err != nil {
		return Challenge{}, err
	}
	h, err := s.holder(ctx, s.DB.Snapshot())
	if err != nil {
		return Challenge{}, err
	}
	if len(h.keys) >= passkeysEach {
		return Challenge{}, tooManyPasskeys()
	}
	options, data, err := s.party.BeginRegistration(h, webauthn.WithExclusions(h.descriptors()))
	if err != nil {
		return Challenge{}, fmt.Errorf("make a challenge: %w", err)
	}
	return s.keep(ctx, toAdd, options.Response, data)
}

func tooManyPasskeys() error {
	return problem.New(problem.Conflict, "a user has at most %d passkeys: remove one first", passkeysEach)
}

// AddPasskey keeps the passkey that answers the challenge. With the caller's first
// second factor come recovery codes, which are given this once. His other sessions
// end.
func (s *Service) AddPasskey(ctx context.Context, in Answer, name string) (added Passkey, codes []string, err error) {
	if name, err = passkeyName(name); err != nil {
		return Passkey{}, nil, err
	}
	data, err := s.taken(ctx, toAdd, in.Ceremony)
	if err != nil {
		return Passkey{}, nil, err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(in.Response)
	if err != nil {
		return Passkey{}, nil, refusedAnswer(err)
	}
	err = s.change(ctx, func(tx *store.Tx, c access.Caller) error {
		h, err := s.holder(ctx, tx)
		if err != nil {
			return err
		}
		if len(h.keys) >= passkeysEach {
			return tooManyPasskeys()
		}
		credential, err := s.party.CreateCredential(h, data, parsed)
		if err != nil {
			return refusedAnswer(err)
		}
		if codes, err = s.firstCodes(ctx, tx, c.User); err != nil {
			return err
		}
		added = Passkey{ID: ident.New(), User: c.User, Name: name, Created: s.Now().UTC().Truncate(time.Millisecond)}
		if err := insertPasskey(ctx, tx, kept{added, *credential}); err != nil {
			return err
		}
		if err := s.append(ctx, tx, PasskeyAdded, c.User, added.ID, map[string]any{"name": name}); err != nil {
			return err
		}
		return s.EndAll(ctx, tx, c.User, c.Session, "the second factor changed")
	})
	if err != nil {
		return Passkey{}, nil, err
	}
	return added, codes, nil
}

func refusedAnswer(cause error) error {
	return problem.Invalid("response", "this passkey was not accepted: begin again").Because(cause)
}

func passkeyName(name string) (string, error) {
	name = strings.TrimSpace(name)
	n := utf8.RuneCountInString(name)
	if n == 0 || n > maxPasskeyName || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "", problem.Invalid("name", "1 to %d printable characters", maxPasskeyName)
	}
	return name, nil
}

// Passkeys gives the caller's, the oldest first.
func (s *Service) Passkeys(ctx context.Context) ([]Passkey, error) {
	h, err := s.holder(ctx, s.DB.Snapshot())
	list := make([]Passkey, len(h.keys))
	for n, k := range h.keys {
		list[n] = k.Passkey
	}
	return list, err
}

// RenamePasskey calls one of the caller's something else.
func (s *Service) RenamePasskey(ctx context.Context, id, name string) (Passkey, error) {
	c, err := caller(ctx)
	if err != nil {
		return Passkey{}, err
	}
	if name, err = passkeyName(name); err != nil {
		return Passkey{}, err
	}
	var k kept
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		if k, err = findPasskey(ctx, tx, c.User, id); err != nil || k.Name == name {
			return err
		}
		k.Name = name
		if err := renamePasskey(ctx, tx, id, name); err != nil {
			return err
		}
		return s.append(ctx, tx, PasskeyRenamed, c.User, id, map[string]any{"name": name})
	})
	return k.Passkey, err
}

// RemovePasskey takes one of the caller's out of use; his other sessions end.
func (s *Service) RemovePasskey(ctx context.Context, id string) error {
	return s.change(ctx, func(tx *store.Tx, c access.Caller) error {
		k, err := findPasskey(ctx, tx, c.User, id)
		if err != nil {
			return err
		}
		if err := deletePasskey(ctx, tx, id); err != nil {
			return err
		}
		if err := s.append(ctx, tx, PasskeyRemoved, c.User, id, map[string]any{"name": k.Name}); err != nil {
			return err
		}
		return s.lessFactors(ctx, tx, c, "passkey")
	})
}
