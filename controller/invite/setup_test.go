package invite_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/invite"
	"github.com/berth-panel/berth/controller/login"
	"github.com/berth-panel/berth/controller/mail"
	"github.com/berth-panel/berth/controller/mail/mailtest"
	"github.com/berth-panel/berth/controller/roomtest"
	"github.com/berth-panel/berth/controller/secret"
	"github.com/berth-panel/berth/controller/setting"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), // idle connections of the tests' client
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"), // ends at its next tick
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),    // one for the process
	)
}

const (
	adminKey  = "the-key-of-the-first-admin"
	publicURL = "http://panel.example.test"
	patience  = time.Minute
)

type bundle struct {
	t      testing.TB
	db     *store.DB
	events *event.Log
	users  *identity.Service
	logins *login.Service
	svc    *invite.Service
	clock  *roomtest.Clock
	url    string
	server *mailtest.Server // nil without mail
}

// setup makes a panel with its first admin, and a mail server when mails is said.
func setup(t testing.TB, mails bool) *bundle {
	t.Helper()
	b := &bundle{t: t, clock: roomtest.NewClock()}
	dir, log := t.TempDir(), slog.New(slog.DiscardHandler)
	must := func(err error) {
		t.Helper()
		roomtest.Must(t, err)
	}
	b.db = roomtest.StoreIn(t, dir)
	box, err := secret.Open(dir)
	must(err)
	b.events = event.New(b.clock.Now)
	b.users, err = identity.New(identity.Config{DB: b.db, Events: b.events, Logger: log, Now: b.clock.Now, Hash: identity.Cost{MemoryKiB: 8, Passes: 1}})
	must(err)
	_, err = b.users.Bootstrap(t.Context(), adminKey, "correct horse battery")
	must(err)
	b.logins, err = login.New(login.Deps{DB: b.db, Events: b.events, Users: b.users, Secrets: box, PublicURL: publicURL, Log: log, Now: b.clock.Now})
	must(err)
	b.users.AttachLogins(b.logins)
	set, err := setting.New(setting.Config{DB: b.db, Events: b.events, Box: box, Now: b.clock.Now})
	must(err)
	post, err := mail.New(mail.Config{DB: b.db, Events: b.events, Settings: set, Log: log, Now: b.clock.Now})
	must(err)
	b.svc, err = invite.New(invite.Deps{DB: b.db, Events: b.events, Users: b.users, Mail: post, Sessions: b.logins, PublicURL: publicURL + "/", Log: log, Now: b.clock.Now})
	must(err)
	b.logins.AttachEmails(b.svc)
	b.users.AttachLinks(b.svc)
	if mails {
		b.server = mailtest.New(t, mailtest.Options{})
		_, err = setting.Of(set, "mail", "password", mail.Server{}).Change(t.Context(), func(c *setting.Change[mail.Server]) error {
			c.Value = mail.Server{Host: b.server.Host, Port: b.server.Port, Security: mail.Plain, From: "berth@example.test"}
			return nil
		})
		must(err)
		roomtest.Run(t, post.Run)
	}
	api, err := httpapi.New(httpapi.Config{Authenticator: b.users, Sessions: b.logins, PublicURL: publicURL, DB: b.db, Logger: log, Now: b.clock.Now})
	must(err)
	b.users.Mount(api)
	b.logins.Mount(api)
	b.svc.Mount(api)
	must(api.Err())
	b.url = roomtest.Serve(t, api)
	return b
}

// as is a context in which the local admin calls.
func (b *bundle) local() context.Context { return access.With(b.t.Context(), access.Local()) }

// user makes a user; without a password he is one who was made to be invited.
func (b *bundle) user(name, password string) identity.User {
	b.t.Helper()
	u, err := b.users.CreateUser(b.local(), identity.NewUser{Username: name, Email: name + "@example.test", Password: password, Invited: password == ""})
	if err != nil {
		b.t.Fatal(err)
	}
	return u
}

// browser is somebody's, with its cookies.
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
	return &browser{b: b, client: &http.Client{Jar: jar}}
}

type answer struct {
	status int
	text   string
	header http.Header
}

// data unmarshals the data of a success.
func (a answer) data(t testing.TB) map[string]any {
	t.Helper()
	var e struct {
		Data map[string]any `json:"data"`
	}
	if err := json.Unmarshal([]byte(a.text), &e); err != nil || a.status >= 300 {
		t.Fatalf("%d %s", a.status, a.text)
	}
	return e.Data
}

func (w *browser) call(method, path, body string, headers ...string) answer {
	w.b.t.Helper()
	req, err := http.NewRequestWithContext(w.b.t.Context(), method, w.b.url+"/api/v1"+path, strings.NewReader(body))
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
	return answer{res.StatusCode, string(text), res.Header}
}

// admin calls with the admin's key.
func (b *bundle) admin(method, path, body string) answer {
	b.t.Helper()
	return b.browser().call(method, path, body, "X-Api-Key", adminKey)
}

// login logs a browser in and gives the status.
func (w *browser) login(name, password string) int {
	w.b.t.Helper()
	a := w.call("POST", "/login", `{"name":"`+name+`","password":"`+password+`"}`)
	if a.status == 200 {
		w.csrf, _ = a.data(w.b.t)["csrf"].(string)
	}
	return a.status
}

// use uses a link.
func (w *browser) use(token, password string) answer {
	w.b.t.Helper()
	body, err := json.Marshal(map[string]string{"token": token, "password": password})
	if password == "" {
		body, err = json.Marshal(map[string]string{"token": token})
	}
	if err != nil {
		w.b.t.Fatal(err)
	}
	a := w.call("POST", "/links/use", string(body))
	if a.status == 200 {
		w.csrf, _ = a.data(w.b.t)["csrf"].(string)
	}
	return a
}

// byHand has the admin make a link and gives its token.
func (b *bundle) byHand(u ident.User) string {
	b.t.Helper()
	a := b.admin("POST", "/users/"+string(u)+"/invite", `{"by_hand":true}`)
	link, _ := a.data(b.t)["link"].(string)
	token, ok := strings.CutPrefix(link, publicURL+"/link#")
	if !ok {
		b.t.Fatal(a.text)
	}
	return token
}

func (b *bundle) happened() string {
	b.t.Helper()
	list, _, err := b.events.List(b.t.Context(), b.db.Snapshot(), event.Filter{Sight: event.Everything(), Limit: 1000})
	if err != nil {
		b.t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		out = append([]string{string(e.Type) + " " + string(e.Actor.Via) + ":" + e.Actor.Username + " " + string(e.Data)}, out...)
	}
	return strings.Join(out, "\n")
}

func (b *bundle) count(query string, args ...any) int {
	b.t.Helper()
	n, err := store.Count(b.t.Context(), b.db.Snapshot(), query, args...)
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

// until waits for a condition.
func (b *bundle) until(what string, ok func() bool) {
	b.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			b.t.Fatalf("never: %s", what)
		}
	}
}

// quiet waits until no mail is on its way any more.
func (b *bundle) quiet() {
	b.t.Helper()
	b.until("all mails are out", func() bool { return b.count(`SELECT COUNT(*) FROM mails`) == 0 })
}
