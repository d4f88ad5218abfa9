package login_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/login"
	"github.com/berth-panel/berth/controller/roomtest"
	"github.com/berth-panel/berth/controller/secret"
	"github.com/berth-panel/berth/controller/store"
)

const (
	patience = 60 * time.Second
	password = "correct horse battery"
)

type bundle struct {
	t      testing.TB
	db     *store.DB
	events *event.Log
	users  *identity.Service
	svc    *login.Service
	clock  *roomtest.Clock
	url    string // of the listener
	public string
	anna   identity.User // a customer with the password
}

// setup serves logins on a loopback port, for a panel at public ("" there).
func setup(t testing.TB, public string) *bundle {
	t.Helper()
	b := &bundle{t: t, clock: roomtest.NewClock(), public: public}
	dir := t.TempDir()
	b.db = roomtest.StoreIn(t, dir)
	box, err := secret.Open(dir)
	roomtest.Must(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	roomtest.Must(t, err)
	b.url = "http://" + ln.Addr().String()
	if public == "" {
		b.public = b.url
	}
	logger := slog.New(slog.DiscardHandler)
	b.events = event.New(b.clock.Now)
	b.users, err = identity.New(identity.Config{DB: b.db, Events: b.events, Logger: logger, Now: b.clock.Now, Hash: identity.Cost{MemoryKiB: 8, Passes: 1}})
	roomtest.Must(t, err)
	b.svc, err = login.New(login.Deps{DB: b.db, Events: b.events, Users: b.users, Secrets: box, PublicURL: b.public, Log: logger, Now: b.clock.Now})
	roomtest.Must(t, err)
	b.users.AttachLogins(b.svc)
	b.serve(ln, logger)
	b.anna = b.user("anna", false)
	return b
}

// serve puts the rooms on an API, with a stream and a socket that only wait.
func (b *bundle) serve(ln net.Listener, logger *slog.Logger) {
	api, err := httpapi.New(httpapi.Config{Authenticator: b.users, Sessions: b.svc, PublicURL: b.public, DB: b.db, Logger: logger, Now: b.clock.Now})
	if err != nil {
		b.t.Fatal(err)
	}
	b.users.Mount(api)
	b.svc.Mount(api)
	op := httpapi.Operation{ID: "wait", Method: http.MethodGet, Path: "/api/v1/wait", Access: access.Needs(access.ScopeRead)}
	httpapi.HandleStream(api, op, func(ctx context.Context, _ *struct{}, s *httpapi.Stream) error {
		s.Open()
		<-ctx.Done()
		return nil
	})
	op.ID, op.Path = "socket", "/api/v1/socket"
	httpapi.HandleSocket(api, op, func(context.Context, *httpapi.Request) (httpapi.Socket, error) {
		return func(_ context.Context, conn *websocket.Conn) { _, _, _ = conn.ReadMessage() }, nil
	})
	roomtest.Must(b.t, api.Err())
	roomtest.ServeOn(b.t, api, ln)
}

// ctx is one in which the local admin calls.
func (b *bundle) ctx() context.Context { return access.With(b.t.Context(), access.Local()) }

func (b *bundle) user(name string, admin bool) identity.User {
	b.t.Helper()
	u, err := b.users.CreateUser(b.ctx(), identity.NewUser{Username: name, Email: name + "@example.test", Password: password, Admin: admin})
	if err != nil {
		b.t.Fatal(err)
	}
	return u
}

// browser is a client that keeps its cookie.
type browser struct {
	b      *bundle
	cookie *http.Cookie
	csrf   string
	header map[string]string // of each call
}

func (b *bundle) browser() *browser { return &browser{b: b, header: map[string]string{}} }

type answer struct {
	t      testing.TB
	status int
	header http.Header
	body   string
}

type object = map[string]any

// call makes a call as the panel would, with what the browser has.
func (w *browser) call(method, path string, body any) answer {
	w.b.t.Helper()
	headers := map[string]string{}
	if w.csrf != "" {
		headers["X-Csrf-Token"] = w.csrf
	}
	for name, value := range w.header {
		headers[name] = value
	}
	return w.raw(method, path, body, headers)
}

func (w *browser) raw(method, path string, body any, headers map[string]string) answer {
	w.b.t.Helper()
	var r io.Reader
	if body != nil {
		text, ok := body.(string)
		if !ok {
			raw, err := json.Marshal(body)
			if err != nil {
				w.b.t.Fatal(err)
			}
			text = string(raw)
		}
		r = strings.NewReader(text)
	}
	req, err := http.NewRequestWithContext(w.b.t.Context(), method, w.b.url+"/api/v1"+path, r)
	if err != nil {
		w.b.t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if w.cookie != nil {
		req.Header.Set("Cookie", w.cookie.Name+"="+w.cookie.Value)
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.b.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		w.b.t.Fatal(err)
	}
	for _, c := range res.Cookies() {
		if strings.HasSuffix(c.Name, "berth_logged_in") {
			continue
		}
		w.cookie = c
		if c.MaxAge < 0 {
			w.cookie = nil
		}
	}
	return answer{w.b.t, res.StatusCode, res.Header, string(text)}
}

// data checks the status and reads the data of a success.
func (a answer) data(status int, v any) {
	a.t.Helper()
	envelope := struct{ Data any }{v}
	if a.status != status {
		a.t.Fatalf("got %d, want %d: %s", a.status, status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &envelope); err != nil {
		a.t.Fatalf("%v: %s", err, a.body)
	}
}

func (a answer) is(status int) {
	a.t.Helper()
	if a.status != status {
		a.t.Errorf("got %d, want %d: %s", a.status, status, a.body)
	}
}

// details are the field and message of each, as "field=message".
func (a answer) details() string {
	a.t.Helper()
	var e struct {
		Error struct {
			Details []struct{ Field, Message string }
		}
	}
	if err := json.Unmarshal([]byte(a.body), &e); err != nil {
		a.t.Fatal(err)
	}
	var out []string
	for _, d := range e.Error.Details {
		out = append(out, d.Field+"="+d.Message)
	}
	return strings.Join(out, " ")
}

// view is what of a login's answer tests look at.
type view struct {
	CSRF         string `json:"csrf"`
	Via          string `json:"via"`
	LastEvent    int64  `json:"last_event"`
	User         struct{ Username string }
	Session      struct{ ID, Means, Address, Browser string }
	SecondFactor struct {
		TOTP          bool `json:"totp"`
		Passkeys      int  `json:"passkeys"`
		RecoveryCodes int  `json:"recovery_codes"`
	} `json:"second_factor"`
}

// login logs in and gives what the answer says.
func (w *browser) login(name string, more object) view {
	w.b.t.Helper()
	body := object{"name": name, "password": password}
	for k, v := range more {
		body[k] = v
	}
	var v view
	w.call(http.MethodPost, "/login", body).data(http.StatusOK, &v)
	w.csrf = v.CSRF
	return v
}

// session is who is logged in.
func (w *browser) session() view {
	w.b.t.Helper()
	var v view
	w.call(http.MethodGet, "/session", nil).data(http.StatusOK, &v)
	return v
}

// in is a new browser that is logged in.
func (b *bundle) in(name string) *browser {
	b.t.Helper()
	w := b.browser()
	w.login(name, nil)
	return w
}

// happened are the facts since the last call, the oldest first.
func (b *bundle) happened(after *int64) string {
	b.t.Helper()
	var names []string
	err := b.db.Read(b.t.Context(), func(q store.Querier) error {
		list, _, err := b.events.List(b.t.Context(), q, event.Filter{Sight: event.Everything(), Limit: 1000, After: *after})
		slices.SortFunc(list, func(x, y event.Event) int { return cmp.Compare(x.ID, y.ID) })
		for _, e := range list {
			names = append(names, string(e.Type))
			*after = max(*after, e.ID)
			if bytes.Contains(e.Data, []byte(password)) {
				b.t.Errorf("a fact holds a password: %s", e.Data)
			}
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return strings.Join(names, " ")
}

func (b *bundle) rows(table string) int {
	b.t.Helper()
	n, err := store.Count(b.t.Context(), b.db.Snapshot(), `SELECT COUNT(*) FROM `+table)
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}
