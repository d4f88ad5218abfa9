package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

const (
	keyPrefix = "berth_"
	keyBytes  = 32
	hintMade  = len(keyPrefix) + 4 // characters that are shown of a key that was made here
	hintGiven = 4                  // and of one that somebody thought of
)

// newKeyText makes the text of a key.
func newKeyText() string {
	b := make([]byte, keyBytes)
	_, _ = rand.Read(b) // never fails: crypto/rand aborts the process instead
	return keyPrefix + base64.RawURLEncoding.EncodeToString(b)
}

func hashKey(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// checkKeyText is for keys that somebody thought of.
func checkKeyText(s string) error {
	if len(s) < minGivenKey || len(s) > maxGivenKey {
		return problem.Invalid("key", "a given API key has %d to %d characters", minGivenKey, maxGivenKey)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return problem.Invalid("key", "a given API key is of printable ASCII without spaces, since it travels in a header")
	}
	return nil
}

// CreateKey makes a key for the caller, or, when he may manage others' keys, for
// any user. It gives its text this once. The caller must be in the context.
func (s *Service) CreateKey(ctx context.Context, n NewKey) (Issued, error) {
	caller := access.From(ctx)
	if n.User == "" {
		n.User = caller.User
	}
	if n.User == "" {
		return Issued{}, problem.Invalid("user_id", "name the user whose key it shall be: the caller is none")
	}
	if err := s.checkProof(ctx); err != nil {
		return Issued{}, err
	}
	if n.Dialect == "" {
		n.Dialect = access.Documented
	}
	scopes, err := checkScopes(n.Scopes)
	if err != nil {
		return Issued{}, err
	}
	for _, err := range []error{checkKeyName(n.Name), checkDialect(n.Dialect), checkRateLimit(n.RateLimit), checkExpiry(n.Expires, s.now())} {
		if err != nil {
			return Issued{}, err
		}
	}
	k := Key{
		ID: ident.Key(ident.New()), User: n.User, Name: n.Name, Scopes: scopes, Dialect: n.Dialect,
		RateLimit: n.RateLimit, Expires: n.Expires, Addresses: n.Addresses, Created: s.now().UTC().Truncate(time.Millisecond),
	}
	text := newKeyText()
	k.Hint = text[:hintMade]
	err = s.db.Write(ctx, func(tx *store.Tx) error {
		p, err := s.powerOf(ctx, tx, caller)
		if err != nil {
			return err
		}
		if k, err = p.shape(ctx, tx, k); err != nil {
			return err
		}
		if err := s.insertKey(ctx, tx, k, text); err != nil {
			return err
		}
		return httpapi.Keep(ctx, tx, KeyIssuedView{viewKey(k), text})
	})
	return Issued{k, text}, err
}

// insertKey checks against the owner and writes.
func (s *Service) insertKey(ctx context.Context, tx *store.Tx, k Key, text string) error {
	owner, err := Lookup(ctx, tx, k.User)
	if problem.Is(err, problem.NotFound) {
		return problem.Invalid("user_id", "there is no such user")
	}
	if err != nil {
		return err
	}
	if err := checkOwner(k, owner); err != nil {
		return err
	}
	if err := insertKey(ctx, tx, k, hashKey(text)); err != nil {
		return err
	}
	return s.append(ctx, tx, KeyCreated, k.User, string(k.ID), map[string]any{"name": k.Name, "scopes": k.Scopes})
}

func checkOwner(k Key, owner User) error {
	if !owner.mayAdminister() && slices.Contains(k.Scopes, access.ScopeAdmin) {
		return problem.Invalid("scopes", "only the keys of admins, and of those who have a role, may have the scope admin")
	}
	return nil
}

// power is how far a caller's keys may go.
type power struct {
	caller access.Caller
	own    Key // the key he calls with, for callers of limited power
}

// full says whether the caller may do anything with any key.
func (p power) full() bool { return p.caller.Admin && p.caller.Has(access.ScopeAdmin) }

// manages is nil when the caller may manage another user's keys: whoever changes
// users may, of those who may do no more than he.
func (p power) manages(ctx context.Context, q store.Querier, id ident.User) error {
	if !p.caller.Can(access.WriteUsers) {
		return problem.New(problem.Forbidden, "only who has the permission %s, with a key of the scope admin, may make and manage other users' keys", access.WriteUsers)
	}
	u, err := Lookup(ctx, q, id)
	if problem.Is(err, problem.NotFound) {
		return problem.Invalid("user_id", "there is no such user")
	}
	if err != nil {
		return err
	}
	return coversUser(ctx, q, u)
}

// powerOf reads what limits the caller, in the transaction that it is for.
func (s *Service) powerOf(ctx context.Context, q store.Querier, caller access.Caller) (power, error) {
	if !caller.Known() {
		return power{}, problem.New(problem.Unauthorized, "nobody is calling")
	}
	p := power{caller: caller}
	if p.full() {
		return p, nil
	}
	if caller.Key == "" { // logged in to the panel: limited by his scopes alone
		return p, nil
	}
	var err error
	p.own, err = findKey(ctx, q, caller.Key)
	if problem.Is(err, problem.NotFound) {
		err = problem.New(problem.Unauthorized, "the API key of this call is gone")
	}
	return p, err
}

// shape checks a new or changed key against the caller's power and limits it.
func (p power) shape(ctx context.Context, q store.Querier, k Key) (Key, error) {
	if p.full() {
		return k, nil
	}
	if !sameNumber(k.RateLimit, p.own.RateLimit) {
		if k.RateLimit != nil {
			return k, problem.New(problem.Forbidden, "only an admin with the scope admin may set a rate limit")
		}
		k.RateLimit = p.own.RateLimit
	}
	if k.User != p.caller.User {
		return k, p.manages(ctx, q, k.User)
	}
	for _, scope := range k.Scopes {
		if !p.caller.Has(scope) {
			return k, problem.New(problem.Forbidden, "this API key lacks the scope %s, so it can't give it", scope)
		}
	}
	if p.own.Expires != nil && (k.Expires == nil || k.Expires.After(*p.own.Expires)) {
		if k.Expires != nil {
			return k, problem.Invalid("expires_at", "a key can't live longer than the one that it is made with: %s", p.own.Expires.Format(time.RFC3339))
		}
		k.Expires = p.own.Expires
	}
	return p.narrow(k)
}

// covers is nil when the caller may change or revoke the key. What he may not
// even see doesn't exist for him.
func (p power) covers(ctx context.Context, q store.Querier, k Key) error {
	if p.full() {
		return nil
	}
	if !p.caller.SeesUser(k.User) {
		return problem.New(problem.NotFound, "there is no such API key")
	}
	if k.User != p.caller.User {
		return p.manages(ctx, q, k.User)
	}
	for _, scope := range k.Scopes {
		if !p.caller.Has(scope) {
			return problem.New(problem.Forbidden, "the key may do more than the one of this call")
		}
	}
	return nil
}

func sameNumber(a, b *int) bool {
	return (a == nil) == (b == nil) && (a == nil || *a == *b)
}

// UpdateKey changes a key, within what the caller's own key may do.
func (s *Service) UpdateKey(ctx context.Context, id ident.Key, c KeyChange) (Key, error) {
	if err := s.checkProof(ctx); err != nil {
		return Key{}, err
	}
	var after Key
	err := s.db.Write(ctx, func(tx *store.Tx) error {
		p, err := s.powerOf(ctx, tx, access.From(ctx))
		if err != nil {
			return err
		}
		before, err := findKey(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := p.covers(ctx, tx, before); err != nil {
			return err
		}
		var changed []string
		after, changed, err = s.change(before, c)
		if err != nil || len(changed) == 0 {
			return err
		}
		if after, err = p.reshape(ctx, tx, before, after); err != nil {
			return err
		}
		owner, err := Lookup(ctx, tx, after.User)
		if err != nil {
			return err
		}
		if err := checkOwner(after, owner); err != nil {
			return err
		}
		if err := updateKey(ctx, tx, after); err != nil {
			return err
		}
		return s.append(ctx, tx, KeyUpdated, after.User, string(id), map[string]any{"name": after.Name, "changed": changed})
	})
	return after, err
}

// reshape is shape for a change: a rate limit that stays as an admin set it is
// none of the caller's.
func (p power) reshape(ctx context.Context, q store.Querier, before, after Key) (Key, error) {
	if p.full() || !sameNumber(before.RateLimit, after.RateLimit) {
		return p.shape(ctx, q, after)
	}
	kept := after.RateLimit
	after.RateLimit = p.own.RateLimit
	after, err := p.shape(ctx, q, after)
	after.RateLimit = kept
	return after, err
}

// change gives the changed key and the names of what was asked to change.
func (s *Service) change(k Key, c KeyChange) (Key, []string, error) {
	var changed []string
	var errs []error
	if c.Name != nil {
		k.Name = *c.Name
		changed, errs = append(changed, "name"), append(errs, checkKeyName(k.Name))
	}
	if c.Scopes != nil {
		scopes, err := checkScopes(c.Scopes)
		k.Scopes = scopes
		changed, errs = append(changed, "scopes"), append(errs, err)
	}
	if c.Dialect != nil {
		k.Dialect = *c.Dialect
		changed, errs = append(changed, "dialect"), append(errs, checkDialect(k.Dialect))
	}
	if c.RateLimit != nil {
		k.RateLimit = *c.RateLimit
		changed, errs = append(changed, "rate_limit"), append(errs, checkRateLimit(k.RateLimit))
	}
	if c.Addresses != nil {
		k.Addresses = *c.Addresses
		changed = append(changed, "addresses")
	}
	if c.Expires != nil {
		k.Expires = *c.Expires
		changed, errs = append(changed, "expires_at"), append(errs, checkExpiry(k.Expires, s.now()))
	}
	for _, err := range errs {
		if err != nil {
			return k, nil, err
		}
	}
	return k, changed, nil
}

// RevokeKey deletes a key: it opens nothing from the next request on.
func (s *Service) RevokeKey(ctx context.Context, id ident.Key) error {
	return s.db.Write(ctx, func(tx *store.Tx) error {
		p, err := s.powerOf(ctx, tx, access.From(ctx))
		if err != nil {
			return err
		}
		k, err := findKey(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := p.covers(ctx, tx, k); err != nil {
			return err
		}
		if err := deleteKey(ctx, tx, id); err != nil {
			return err
		}
		return s.append(ctx, tx, KeyRevoked, k.User, string(id), map[string]any{"name": k.Name})
	})
}

// Key gives a key that the caller may see; else NotFound.
func (s *Service) Key(ctx context.Context, id ident.Key) (Key, error) {
	k, err := findKey(ctx, s.db.Snapshot(), id)
	if err == nil && !access.From(ctx).SeesUser(k.User) {
		return Key{}, problem.New(problem.NotFound, "there is no such API key")
	}
	return k, err
}

// Keys gives keys that the caller may see, the oldest first, and how many there
// are.
func (s *Service) Keys(ctx context.Context, f KeyFilter) ([]Key, int, error) {
	caller := access.From(ctx)
	if !caller.Known() {
		return nil, 0, problem.New(problem.Unauthorized, "nobody is calling")
	}
	owner := caller.User
	switch {
	case caller.Holds(access.ReadUsers):
		owner = f.User
	case f.User != "" && f.User != owner:
		return []Key{}, 0, nil
	}
	var list []Key
	var total int
	err := s.db.Read(ctx, func(q store.Querier) (err error) {
		list, total, err = listKeys(ctx, q, owner, f.Limit, f.Offset)
		return err
	})
	return list, total, err
}

// Authenticate gives who calls with a key's text, from the address that the
// context's caller has (access.With), who need be nobody. A key that is wrong,
// expired or revoked, or not for that address, or whose user is disabled, is
// Unauthorized. Any number of them may
// run at a time.
func (s *Service) Authenticate(ctx context.Context, text string) (access.Caller, error) {
	f, err := findByHash(ctx, s.db.Snapshot(), hashKey(text))
	if errors.Is(err, store.ErrNoRows) {
		return access.Caller{}, problem.New(problem.Unauthorized, "the API key is wrong")
	}
	if err != nil {
		return access.Caller{}, fmt.Errorf("authenticate: %w", err)
	}
	now := s.now().UnixMilli()
	switch {
	case f.disabled:
		return access.Caller{}, problem.New(problem.Unauthorized, "the user of this API key is disabled")
	case f.expires.Valid && f.expires.Int64 <= now:
		return access.Caller{}, problem.New(problem.Unauthorized, "the API key has expired")
	}
	if err := usable(f.addresses, access.From(ctx).Address); err != nil {
		return access.Caller{}, err
	}
	s.uses.note(f.caller.Key, now)
	return s.withShares(ctx, f.caller)
}
