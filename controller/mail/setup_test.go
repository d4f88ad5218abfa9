package mail_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/mail"
	"github.com/berth-panel/berth/controller/mail/mailtest"
	"github.com/berth-panel/berth/controller/roomtest"
	"github.com/berth-panel/berth/controller/secret"
	"github.com/berth-panel/berth/controller/setting"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/problem"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), // idle connections of the tests' client
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"), // ends at its next tick
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),    // one for the process
	)
}

type bundle struct {
	t      testing.TB
	dir    string
	db     *store.DB
	events *event.Log
	set    *setting.Store
	svc    *mail.Service
	api    *httpapi.API
	clock  *roomtest.Clock
	server *mailtest.Server
}

// nobody lets no key in: the tests call by hand.
type nobody struct{}

func (nobody) Authenticate(context.Context, string) (access.Caller, error) {
	return access.Caller{}, problem.New(problem.Unauthorized, "nobody")
}

// setup makes a mail room and a server; it isn't set yet.
func setup(t testing.TB, o mailtest.Options) *bundle {
	t.Helper()
	b := &bundle{t: t, dir: t.TempDir(), clock: roomtest.NewClock(), server: mailtest.New(t, o)}
	b.open()
	return b
}

// open opens the database, again after a restart.
func (b *bundle) open() {
	b.t.Helper()
	b.db = roomtest.StoreIn(b.t, b.dir)
	box, err := secret.Open(b.dir)
	roomtest.Must(b.t, err)
	log := slog.New(slog.DiscardHandler)
	b.events = event.New(b.clock.Now)
	if b.set, err = setting.New(setting.Config{DB: b.db, Events: b.events, Box: box, Now: b.clock.Now}); err != nil {
		b.t.Fatal(err)
	}
	b.svc, err = mail.New(mail.Config{DB: b.db, Events: b.events, Settings: b.set, Log: log, Now: b.clock.Now, Roots: b.server.Roots})
	if err != nil {
		b.t.Fatal(err)
	}
	b.svc.Register("hello", hello)
	if b.api, err = httpapi.New(httpapi.Config{Authenticator: nobody{}, DB: b.db, Logger: log, Now: b.clock.Now}); err != nil {
		b.t.Fatal(err)
	}
	b.svc.Mount(b.api)
	if err := b.api.Err(); err != nil {
		b.t.Fatal(err)
	}
}

// greeting is what the orders of these tests keep.
type greeting struct{ To, Name, Link, Locale string }

func hello(_ context.Context, about json.RawMessage) (*mail.Letter, error) {
	var g greeting
	if err := json.Unmarshal(about, &g); err != nil || g.To == "" {
		return nil, err
	}
	return &mail.Letter{To: g.To, Locale: g.Locale, Text: "reset", Link: g.Link, Fields: map[string]string{"Username": g.Name}}, nil
}

// use sets the server.
func (b *bundle) use(change func(*mail.Server)) {
	b.t.Helper()
	v := mail.Server{Host: b.server.Host, Port: b.server.Port, Security: mail.Plain, From: "berth@example.test"}
	change(&v)
	password := ""
	if v.Username != "" {
		password = "geheim"
	}
	_, err := setting.Of(b.set, "mail", "password", mail.Server{}).Change(b.t.Context(), func(c *setting.Change[mail.Server]) error {
		c.Value, c.Secret = v, &password
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func asIs(*mail.Server) {}

// run sends mails until the test's end, or until stop.
func (b *bundle) run() (stop func()) {
	b.t.Helper()
	return roomtest.Run(b.t, b.svc.Run)
}

func (b *bundle) order(g greeting) {
	b.t.Helper()
	err := b.db.Write(b.t.Context(), func(tx *store.Tx) error {
		return b.svc.Order(b.t.Context(), tx, mail.Order{Kind: "hello", About: g, Until: time.Hour})
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// happened gives the types and data of the facts, the oldest first.
func (b *bundle) happened() string {
	b.t.Helper()
	list, _, err := b.events.List(b.t.Context(), b.db.Snapshot(), event.Filter{Sight: event.Everything(), Limit: 1000})
	if err != nil {
		b.t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		out = append([]string{string(e.Type) + " " + string(e.Data)}, out...)
	}
	return strings.Join(out, "\n")
}

// waiting is how many mails are still to be sent.
func (b *bundle) waiting() int {
	b.t.Helper()
	n, err := store.Count(b.t.Context(), b.db.Snapshot(), `SELECT COUNT(*) FROM mails`)
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}
