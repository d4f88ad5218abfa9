package registry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-panel/berth/agent/journal"
	"github.com/berth-panel/berth/agent/registry"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	host = "registry.example.com:5000"
	hush = "hush-hush-4711"
)

// bench is a service on a real journal and a scripted engine.
type bench struct {
	t       *testing.T
	path    string
	journal *journal.Journal
	engine  *fake.Engine
	log     bytes.Buffer
	s       *registry.Service
}

func setup(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, path: filepath.Join(t.TempDir(), "journal.db"), engine: fake.New(fake.Options{})}
	b.open()
	t.Cleanup(func() { _ = b.journal.Close() })
	return b
}

func (b *bench) open() {
	b.t.Helper()
	var err error
	if b.journal, err = journal.Open(b.path); err != nil {
		b.t.Fatal(err)
	}
	b.s, err = registry.Open(registry.Options{Journal: b.journal, Engine: b.engine, Log: slog.New(slog.NewTextHandler(&b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) reopen() {
	b.t.Helper()
	if err := b.journal.Close(); err != nil {
		b.t.Fatal(err)
	}
	b.open()
}

// call makes a call of the door.
func (b *bench) call(method, rest string, in, out any) (status int, text string) {
	b.t.Helper()
	body, isText := in.(string)
	if !isText {
		encoded, err := json.Marshal(in)
		if err != nil {
			b.t.Fatal(err)
		}
		body = string(encoded)
	}
	w := httptest.NewRecorder()
	b.s.Room().ServeNode(w, httptest.NewRequestWithContext(b.t.Context(), method, "/v1/registries", strings.NewReader(body)), rest)
	if out != nil {
		if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
			b.t.Fatalf("%s: %v", w.Body, err)
		}
	}
	return w.Code, w.Body.String()
}

func logins(revision int64, list ...wire.Registry) wire.Registries {
	return wire.Registries{Revision: revision, Logins: list}
}

func login(host, word string) wire.Registry {
	return wire.Registry{Host: host, Username: "anna", Password: word}
}

func TestLoginsAreKept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if l := b.s.Login(host); !l.None() {
		t.Errorf("before any push there is %v", l)
	}
	var held wire.RegistriesHeld
	if status, text := b.call(http.MethodPut, "", logins(5, login(host, hush), login("docker.io", "other")), &held); status != http.StatusOK || held.Revision != 5 {
		t.Fatalf("%d %s", status, text)
	}
	want := runtime.Login{Username: "anna", Password: hush}
	for range 2 {
		for asked, want := range map[string]runtime.Login{
			host: want, strings.ToUpper(host): want, "registry.example.com": {}, "registry.example.com:50000": {}, "x" + host: {}, "evil.example": {}, "": {},
			"docker.io": {Username: "anna", Password: "other"},
		} {
			if got := b.s.Login(asked); got != want {
				t.Errorf("%s is shown %q of %s", asked, got.Password, got.Username)
			}
		}
		b.reopen() // the same after a restart
	}
	if _, _ = b.call(http.MethodPut, "", logins(4), &held); held.Revision != 5 || b.s.Login(host) != want {
		t.Errorf("an older push counts: %d", held.Revision)
	}
	if _, _ = b.call(http.MethodPut, "", logins(6, login("docker.io", "other")), &held); held.Revision != 6 || !b.s.Login(host).None() {
		t.Error("a login that is gone is still shown")
	}
	b.reopen()
	if !b.s.Login(host).None() {
		t.Error("a login that is gone comes back with a restart")
	}
}

// TestPasswordIsNowhereElse: not in an answer, not in the log, and in no file that
// others may read.
func TestPasswordIsNowhereElse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.engine.SetLogin(host, runtime.Login{Username: "anna", Password: "another"})
	var said []string
	for _, c := range []struct{ method, rest string }{{http.MethodPut, ""}, {http.MethodGet, ""}, {http.MethodPost, "check"}, {http.MethodGet, "check"}, {http.MethodPut, "x"}} {
		var in any = logins(1, login(host, hush))
		if c.rest == "check" {
			in = login(host, hush)
		}
		status, text := b.call(c.method, c.rest, in, nil)
		said = append(said, text)
		if ok := c.method == http.MethodPut && c.rest == "" || c.method == http.MethodPost; ok != (status == http.StatusOK) {
			t.Errorf("%s %q: %d %s", c.method, c.rest, status, text)
		}
	}
	b.engine.SetUnreachable(true)
	_, text := b.call(http.MethodPost, "check", login(host, hush), nil)
	said = append(said, text, b.log.String())
	for _, text := range said {
		if strings.Contains(text, hush) {
			t.Errorf("the password is in %s", text)
		}
	}
	info, err := os.Stat(b.path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the journal is %v, %v", info.Mode(), err)
	}
	if records, err := b.journal.Records(); err != nil || len(records) != 0 {
		t.Errorf("%+v, %v", records, err)
	}
	if events, err := b.journal.Events(0, 100); err != nil || len(events) != 0 {
		t.Errorf("%+v, %v", events, err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.engine.SetLogin(host, runtime.Login{Username: "anna", Password: hush})
	for what, c := range map[string]struct {
		word  string
		fails error
		want  wire.RegistryStatus
		says  string
	}{
		"right":       {hush, nil, wire.RegistryOK, "takes the login"},
		"wrong":       {"other", nil, wire.RegistryRefused, "wrong user name or password"},
		"away":        {hush, runtime.Fail(runtime.RegistryDown, errors.New("dial"), "registry x can't be reached"), wire.RegistryUnreachable, "registry x can't be reached"},
		"limited":     {hush, runtime.Fail(runtime.RegistryLimited, errors.New("429"), "too many"), wire.RegistryLimited, "too many"},
		"engine away": {hush, runtime.Fail(runtime.Unreachable, errors.New("eof"), "the container engine does not answer"), wire.RegistryFailed, "the container engine does not answer"},
		"odd":         {hush, errors.New("something with " + hush), wire.RegistryFailed, "the container engine doesn't answer"},
	} {
		if c.fails != nil {
			b.engine.FailNext(fake.TryLogin, c.fails)
		}
		var got wire.RegistryChecked
		if status, text := b.call(http.MethodPost, "check", login(host, c.word), &got); status != http.StatusOK || got.Status != c.want || !strings.Contains(got.Message, c.says) || strings.Contains(text, hush) {
			t.Errorf("%s: %d %s", what, status, text)
		}
	}
	if l := b.s.Login(host); !l.None() {
		t.Error("a try was kept")
	}
}

func TestBadPushes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	many := make([]wire.Registry, 1001)
	for what, in := range map[string]any{
		"no JSON": "{", "unknown fields": `{"revision":1,"logins":[],"more":1}`, "too many": logins(1, many...), "a host with a path": logins(1, login("a.example/b", "x")),
		"an address": logins(1, login("https://a.example", "x")), "no host": logins(1, login("", "x")), "a bare word": logins(1, login("registry", "x")),
		"a long password": logins(1, login("a.example", strings.Repeat("x", 17<<10))),
	} {
		var p problem.Problem
		if status, text := b.call(http.MethodPut, "", in, &p); status < 400 || status >= 500 {
			t.Errorf("%s: %d %s", what, status, text)
		}
	}
	if kept, err := b.journal.Registries(); err != nil || kept.Revision != 0 {
		t.Errorf("kept %+v, %v", kept, err)
	}
}

// full is a journal on a full disk.
type full struct{ registry.Journal }

func (full) KeepRegistries(wire.Registries) error { return errors.New("no space left on device") }

func TestAPushThatIsNotOnTheDiskIsNotTaken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var err error
	b.s, err = registry.Open(registry.Options{Journal: full{b.journal}, Engine: b.engine, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if status, text := b.call(http.MethodPut, "", logins(1, login(host, hush)), nil); status != http.StatusInternalServerError || !b.s.Login(host).None() {
		t.Errorf("%d %s", status, text)
	}
}

// slow is an engine whose registry gives no answer.
type slow struct{ began chan struct{} }

func (s slow) TryLogin(ctx context.Context, _ string, _ runtime.Login) error {
	close(s.began)
	<-ctx.Done()
	return ctx.Err()
}

func TestCheckEndsWithItsCall(t *testing.T) {
	t.Parallel()
	b := setup(t)
	engine := slow{make(chan struct{})}
	s, err := registry.Open(registry.Options{Journal: b.journal, Engine: engine, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-engine.began
		cancel()
	}()
	w := httptest.NewRecorder()
	s.Room().ServeNode(w, httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/registries/check", strings.NewReader(`{"host":"a.example","username":"a","password":"b"}`)), "check")
	if w.Code < 500 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
