package oidc_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/login"
	"github.com/berth-panel/berth/controller/oidc"
	"github.com/berth-panel/berth/controller/roomtest"
	"github.com/berth-panel/berth/controller/secret"
	"github.com/berth-panel/berth/controller/setting"
	"github.com/berth-panel/berth/controller/store"
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "berth-oidc-")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	provider = startProvider(context.Background(), dir)
	code := m.Run()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	provider.stop()
	_ = os.RemoveAll(dir)
	if code == 0 {
		err = goleak.Find(
			goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), // idle connections of the tests' client
			goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"),
			goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"), // ends at its next tick
			goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),    // one for the process
		)
		if err != nil {
			fmt.Println(err)
			code = 1
		}
	}
	os.Exit(code)
}

const (
	adminKey     = "the-key-of-the-first-admin"
	clientSecret = "client-secret-of-the-tests"
)

type bundle struct {
	t       testing.TB
	db      *store.DB
	events  *event.Log
	users   *identity.Service
	set     *setting.Store
	clock   *roomtest.Clock
	url     string
	address string
	client  string                  // its id at the provider
	there   map[string]*http.Client // people's browsers at the provider
}

// setup makes a panel whose other login is the real provider, with settings that
// change made.
func setup(t testing.TB, change func(*oidc.Settings)) *bundle {
	t.Helper()
	if provider.admin == nil {
		if os.Getenv("BERTH_TEST_DOCKER") == "required" {
			t.Fatalf("no provider (deploy/need.sh glewlwyd): %v", provider.err)
		}
		t.Skipf("no provider: %v", provider.err)
	}
	b := panel(t)
	b.registerClient()
	b.configure(func(s *oidc.Settings) {
		s.Issuer, s.ClientID, s.Button, s.GroupClaim = provider.base+"/oidc", b.client, "Example", "groups"
		change(s)
	})
	return b
}

// panel makes one without another login.
func panel(t testing.TB) *bundle {
	t.Helper()
	b := &bundle{t: t, clock: roomtest.RealClock(), there: map[string]*http.Client{}}
	dir, log := t.TempDir(), slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	must := func(err error) {
		t.Helper()
		roomtest.Must(t, err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	b.address = ln.Addr().String()
	b.url = "http://" + b.address
	b.db = roomtest.StoreIn(t, dir)
	box, err := secret.Open(dir)
	must(err)
	b.events = event.New(b.clock.Now)
	b.users, err = identity.New(identity.Config{DB: b.db, Events: b.events, Logger: log, Now: b.clock.Now, Hash: identity.Cost{MemoryKiB: 8, Passes: 1}})
	must(err)
	_, err = b.users.Bootstrap(t.Context(), adminKey, "correct horse battery")
	must(err)
	logins, err := login.New(login.Deps{DB: b.db, Events: b.events, Users: b.users, Secrets: box, PublicURL: b.url, Log: log, Now: b.clock.Now})
	must(err)
	b.users.AttachLogins(logins)
	b.set, err = setting.New(setting.Config{DB: b.db, Events: b.events, Box: box, Now: b.clock.Now})
	must(err)
	svc, err := oidc.New(oidc.Deps{DB: b.db, Events: b.events, Users: b.users, Logins: logins, Settings: b.set, Box: box, PublicURL: b.url, Timeout: patience, Log: log, Now: b.clock.Now})
	must(err)
	api, err := httpapi.New(httpapi.Config{Authenticator: b.users, Sessions: logins, PublicURL: b.url, DB: b.db, Logger: log, Now: b.clock.Now})
	must(err)
	b.users.Mount(api)
	logins.Mount(api)
	svc.Mount(api)
	must(api.Err())
	roomtest.ServeOn(t, api, ln)
	return b
}

func (b *bundle) configure(change func(*oidc.Settings)) {
	b.t.Helper()
	plain := clientSecret
	_, err := setting.Of(b.set, "oidc", "client_secret", oidc.Settings{}).Change(b.t.Context(), func(c *setting.Change[oidc.Settings]) error {
		change(&c.Value)
		c.Secret = &plain
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bundle) local() context.Context { return access.With(b.t.Context(), access.Local()) }

func (b *bundle) user(n identity.NewUser) identity.User {
	b.t.Helper()
	n.Password = "a long password"
	u, err := b.users.CreateUser(b.local(), n)
	if err != nil {
		b.t.Fatal(err)
	}
	return u
}

// browser is somebody's, with its cookies; it follows no redirect by itself.
type browser struct {
	b      *bundle
	client *http.Client
	csrf   string
}

func (b *bundle) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return &browser{b: b, client: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

type answer struct {
	status   int
	text     string
	location string
	header   http.Header
}

func (w *browser) call(method, path, body string, headers ...string) answer {
	w.b.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = w.b.url + "/api/v1" + path
	}
	req, err := http.NewRequestWithContext(w.b.t.Context(), method, path, strings.NewReader(body))
	if err != nil {
		w.b.t.Fatal(err)
	}
	if w.csrf != "" {
		req.Header.Set("X-Csrf-Token", w.csrf)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := w.client.Do(req)
	if err != nil {
		w.b.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		w.b.t.Fatal(err)
	}
	return answer{res.StatusCode, string(text), res.Header.Get("Location"), res.Header}
}

// start begins a flow and gives where the provider is asked.
func (w *browser) start(query string) string {
	w.b.t.Helper()
	a := w.call("GET", "/auth/oidc/start"+query, "")
	if a.status != 303 || !strings.HasPrefix(a.location, provider.base+"/oidc/auth?") {
		w.b.t.Fatal(a.status, a.location, a.text)
	}
	return a.location
}

// enter goes the whole way and gives where it ends.
func (w *browser) enter(name, query string) answer {
	w.b.t.Helper()
	a := w.call("GET", w.b.consent(name, w.start(query)), "")
	if a.status != 303 {
		w.b.t.Fatal(a.status, a.text)
	}
	return a
}

// whoami gives who is logged in; "" nobody.
func (w *browser) whoami() string {
	w.b.t.Helper()
	a := w.call("GET", "/session", "")
	if a.status != 200 {
		return ""
	}
	var e struct {
		Data struct {
			CSRF string                    `json:"csrf"`
			User struct{ Username string } `json:"user"`
		} `json:"data"`
	}
	if err := json.Unmarshal([]byte(a.text), &e); err != nil {
		w.b.t.Fatal(err)
	}
	w.csrf = e.Data.CSRF
	return e.Data.User.Username
}

func (w *browser) login(name string) {
	w.b.t.Helper()
	if a := w.call("POST", "/login", `{"name":"`+name+`","password":"a long password"}`); a.status != 200 || w.whoami() != name {
		w.b.t.Fatal(a.text)
	}
}

func (b *bundle) count(query string, args ...any) int {
	b.t.Helper()
	n, err := store.Count(b.t.Context(), b.db.Snapshot(), query, args...)
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

func (b *bundle) happened() string {
	b.t.Helper()
	list, _, err := b.events.List(b.t.Context(), b.db.Snapshot(), event.Filter{Sight: event.Everything(), Limit: 1000})
	if err != nil {
		b.t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		out = append([]string{string(e.Type) + " " + e.Actor.Username + " " + string(e.Data)}, out...)
	}
	return strings.Join(out, "\n")
}
