package identity_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

const (
	adminKey      = "the-key-of-the-first-admin"
	adminPassword = "correct horse battery"
)

type bundle struct {
	t      testing.TB
	svc    *identity.Service
	api    *httpapi.API
	db     *store.DB
	events *event.Log
	clock  *clock
	path   string
	url    string // of the API once serve was called
	admin  ident.User
}

// setup makes a service with its first admin, whose key is adminKey.
func setup(t testing.TB) *bundle {
	t.Helper()
	return filled(empty(t))
}

// costly is setup with the usual cost of passwords.
func costly(t testing.TB) *bundle {
	t.Helper()
	return filled(emptyAt(t, identity.Cost{}))
}

func filled(b *bundle) *bundle {
	t := b.t
	t.Helper()
	if _, err := b.svc.Bootstrap(b.ctx(), adminKey, adminPassword); err != nil {
		t.Fatal(err)
	}
	u, err := b.svc.UserByUsername(b.ctx(), "admin")
	if err != nil {
		t.Fatal(err)
	}
	b.admin = u.ID
	return b
}

// empty makes a service without users.
func empty(t testing.TB) *bundle {
	t.Helper()
	return emptyAt(t, identity.Cost{MemoryKiB: 8, Passes: 1})
}

func emptyAt(t testing.TB, cost identity.Cost) *bundle {
	t.Helper()
	b := &bundle{t: t, clock: &clock{at: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}, path: filepath.Join(t.TempDir(), "berth.db")}
	var err error
	if b.db, err = store.Open(t.Context(), b.path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.db.Close() })
	b.events = event.New(b.clock.now)
	logger := slog.New(slog.DiscardHandler)
	b.svc, err = identity.New(identity.Config{DB: b.db, Events: b.events, Logger: logger, Now: b.clock.now, Hash: cost})
	if err != nil {
		t.Fatal(err)
	}
	b.api, err = httpapi.New(httpapi.Config{Authenticator: b.svc, DB: b.db, Logger: logger, Now: b.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	b.svc.Mount(b.api)
	if err := b.api.Err(); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bundle) ctx() context.Context { return b.t.Context() }

// as is a context in which the local admin, or the caller of a key, calls.
func (b *bundle) local() context.Context { return access.With(b.ctx(), access.Local()) }

func (b *bundle) as(key string) context.Context {
	b.t.Helper()
	c, err := b.svc.Authenticate(b.ctx(), key)
	if err != nil {
		b.t.Fatal(err)
	}
	return access.With(b.ctx(), c)
}

// serve starts a server on a loopback port until the test's end.
func (b *bundle) serve() *bundle {
	b.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	b.url = "http://" + ln.Addr().String()
	ctx, cancel := context.WithCancel(b.ctx())
	done := make(chan error, 1)
	go func() { done <- b.api.Serve(ctx, ln) }()
	b.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Error(err)
		}
	})
	return b
}

// user makes a user with a key of the scopes and gives his id and the key's text.
func (b *bundle) user(name string, admin bool, scopes ...access.Scope) (ident.User, string) {
	b.t.Helper()
	u, err := b.svc.CreateUser(b.local(), identity.NewUser{Username: name, Email: name + "@example.test", Password: "long enough", Admin: admin})
	if err != nil {
		b.t.Fatal(err)
	}
	k, err := b.svc.CreateKey(b.local(), identity.NewKey{User: u.ID, Name: name, Scopes: scopes})
	if err != nil {
		b.t.Fatal(err)
	}
	return u.ID, k.Text
}

type answer struct {
	status int
	header http.Header
	body   string
}

// do calls the API with a key.
func (b *bundle) do(key, method, path, body string, headers ...string) answer {
	b.t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(b.ctx(), method, b.url+path, r)
	if err != nil {
		b.t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("X-Api-Key", key)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(text)}
}

// read unmarshals the data of a success.
func (a answer) read(t testing.TB, v any) {
	t.Helper()
	e := struct {
		Success bool `json:"success"`
		Data    any  `json:"data"`
	}{Data: v}
	if err := json.Unmarshal([]byte(a.body), &e); err != nil || !e.Success {
		t.Fatalf("status %d, error %v: %s", a.status, err, a.body)
	}
}

// code is the error's code, and field the first field of its details.
func (a answer) code(t testing.TB) (code, field string) {
	t.Helper()
	var e struct {
		Error struct {
			Code    string `json:"code"`
			Details []struct {
				Field string `json:"field"`
			} `json:"details"`
		} `json:"error"`
	}
	if err := json.Unmarshal([]byte(a.body), &e); err != nil {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	if len(e.Error.Details) > 0 {
		field = e.Error.Details[0].Field
	}
	return e.Error.Code, field
}

// seen is all there is, to show that nothing else happened: rows and events.
func (b *bundle) seen() [3]int {
	b.t.Helper()
	var n [3]int
	err := b.db.Read(b.ctx(), func(q store.Querier) error {
		for i, table := range []string{"users", "api_keys", "events"} {
			var err error
			if n[i], err = store.Count(b.ctx(), q, `SELECT COUNT(*) FROM `+table); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

// happened gives the types of the facts, the oldest first.
func (b *bundle) happened() string {
	b.t.Helper()
	var names []string
	err := b.db.Read(b.ctx(), func(q store.Querier) error {
		list, _, err := b.events.List(b.ctx(), q, event.Filter{Sight: event.Everything(), Limit: 1000})
		for _, e := range list {
			names = append([]string{string(e.Type)}, names...)
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return strings.Join(names, " ")
}
