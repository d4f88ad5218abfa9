package identity

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

// The first admin.
const (
	firstUsername = "admin"
	firstEmail    = "admin@localhost.localdomain"
	firstKeyName  = "first key"
)

// FirstRun is what the first start made, to be shown once.
type FirstRun struct {
	Created  bool // else there were users already and the rest is empty
	Username string
	Password string
	Key      string // the text of an API key of scope admin
}

// Bootstrap makes the first admin and his API key when there is no user at all.
// What isn't given is generated; what is given must be good enough: a password of
// 8 bytes and a key of 16 characters at least, else it is a Validation problem
// and nothing is made. Of several at a time one makes him.
func (s *Service) Bootstrap(ctx context.Context, apiKey, adminPassword string) (FirstRun, error) {
	var users int
	err := s.db.Read(ctx, func(q store.Querier) (err error) {
		users, err = countUsers(ctx, q)
		return err
	})
	if err != nil || users > 0 {
		return FirstRun{}, wrap("count users", err)
	}
	first, key, n, err := s.firstAdmin(apiKey, adminPassword)
	if err != nil {
		return FirstRun{}, err
	}
	hash, err := s.hasher.hash(ctx, n.Password)
	if err != nil {
		return FirstRun{}, err
	}
	err = s.db.Write(ctx, func(tx *store.Tx) error {
		if users, err = countUsers(ctx, tx); err != nil || users > 0 {
			first = FirstRun{}
			return wrap("count users", err)
		}
		if _, err := s.insert(ctx, tx, n, hash); err != nil {
			return err
		}
		return s.insertKey(ctx, tx, key, first.Key)
	})
	if err != nil {
		return FirstRun{}, err
	}
	return first, nil
}

// firstAdmin checks what is given and makes the rest.
func (s *Service) firstAdmin(apiKey, password string) (FirstRun, Key, NewUser, error) {
	text, hint := apiKey, hintGiven
	if strings.HasPrefix(apiKey, keyPrefix) {
		hint = hintMade
	}
	if text == "" {
		text, hint = newKeyText(), hintMade
	} else if err := checkKeyText(text); err != nil {
		return FirstRun{}, Key{}, NewUser{}, fmt.Errorf("BERTH_API_KEY: %w", err)
	}
	if password == "" {
		b := make([]byte, 15)
		_, _ = rand.Read(b) // never fails: crypto/rand aborts the process instead
		password = base64.RawURLEncoding.EncodeToString(b)
	}
	n, err := NewUser{Username: firstUsername, Email: firstEmail, Password: password, Admin: true, Verified: true}.clean()
	if err != nil {
		return FirstRun{}, Key{}, NewUser{}, fmt.Errorf("BERTH_ADMIN_PASSWORD: %w", err)
	}
	key := Key{
		ID: ident.Key(ident.New()), User: n.ID, Name: firstKeyName, Hint: text[:hint], Scopes: []access.Scope{access.ScopeAdmin},
		Dialect: access.Documented, Created: s.now().UTC().Truncate(time.Millisecond),
	}
	return FirstRun{Created: true, Username: n.Username, Password: password, Key: text}, key, n, nil
}
