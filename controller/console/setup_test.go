package console_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/console"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/fleet/fleettest"
	"github.com/berth-panel/berth/controller/grant"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/secret"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), // idle connections of the tests' client
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"),
		goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"),                    // sleeps half a second
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"), // ends at its next tick
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),    // one for the process
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp/stackless.NewFunc.func1"),
	)
}

const patience = 60 * time.Second

// bench is a controller's rooms that consoles need, with a scripted agent at the
// other end of a real connection.
type bench struct {
	t         testing.TB
	db        *store.DB
	users     *identity.Service
	events    *event.Log
	instances *instance.Service
	consoles  *console.Service
	agent     *fleettest.Agent
	fleet     *fleet.Fleet
	printer   *printer
	id        ident.Instance
	node      ident.Node
	url       string
	owner     ident.User
	keyID     ident.Key // of key
	key       string    // the owner's
	read      string    // the owner's, with the scope read
	other     string    // of a user who owns nothing
	admin     string
	stop      func() // of the door
}

// one is a fleet's directory with a single agent, and a sink that takes all.
type one struct{ agent *fleettest.Agent }

func (o one) Targets(context.Context) ([]fleet.Target, error) {
	return []fleet.Target{o.agent.Target()}, nil
}
func (one) Tunnelled(context.Context, ident.Node) error                      { return nil }
func (one) Renewed(context.Context, ident.Node, fleet.Shown) error           { return nil }
func (one) Connected(context.Context, ident.Node, wire.Hello) (int64, error) { return 0, nil }
func (one) Synced(context.Context, ident.Node, wire.Inventory) error         { return nil }
func (one) Events(context.Context, ident.Node, string, []wire.Event) error   { return nil }
func (one) Disconnected(context.Context, ident.Node, error)                  {}

type late struct{ *instance.Service }

func setup(t testing.TB, options ...func(*console.Service)) *bench {
	t.Helper()
	dir := t.TempDir()
	b := &bench{t: t, printer: newPrinter()}
	log := slog.New(slog.DiscardHandler)
	b.db = must(store.Open(t.Context(), filepath.Join(dir, "berth.db")))(t)
	t.Cleanup(func() { _ = b.db.Close() })
	authority := must(fleet.OpenAuthority(dir, time.Now))(t)
	b.fleet = fleet.New(fleet.Options{Authority: authority, Logger: log, Now: time.Now})
	b.events = event.New(time.Now)
	jobs := job.NewService(b.db, b.events, log, time.Now)
	b.users = must(identity.New(identity.Config{DB: b.db, Events: b.events, Logger: log, Now: time.Now, Hash: identity.Cost{MemoryKiB: 8, Passes: 1}}))(t)
	links := &late{}
	nodes := node.NewService(node.Deps{DB: b.db, Events: b.events, Fleet: b.fleet, Authority: authority, Secrets: must(secret.Open(dir))(t),
		Instances: links, PublicURL: "http://panel.test", Log: log, Now: time.Now})
	ports := allocation.NewService(b.db, b.events, nodes, time.Now)
	images := image.NewService(b.db, b.events, links, time.Now)
	b.instances = instance.NewService(instance.Deps{DB: b.db, Events: b.events, Jobs: jobs, Agents: b.fleet, Nodes: nodes, Ports: ports, Log: log, Now: time.Now})
	links.Service = b.instances
	grants := grant.NewService(grant.Deps{DB: b.db, Events: b.events, Instances: b.instances, Callers: b.users, Log: log, Now: time.Now})
	b.consoles = console.NewService(console.Deps{Agents: b.fleet, Instances: b.instances, Grants: grants, Log: log})
	for _, option := range options {
		option(b.consoles)
	}
	b.people()
	made, _, err := nodes.Create(t.Context(), access.Local(), node.Spec{Name: "a", Address: "127.0.0.1", Port: 8443, MemoryMiB: 4096, DiskMiB: 40960})
	if err != nil {
		t.Fatal(err)
	}
	b.node = made.ID
	b.write(`UPDATE nodes SET enrolled_at = 1, certificate = 'c', hello = '{"engine":{"reachable":true,"cores":4}}' WHERE id = ?`, string(b.node))
	game := must(images.Create(t.Context(), access.Local(), image.Image{Name: "Game", Definition: image.Definition{References: []string{"example/game:1"}, Command: []string{"run"}, StopCommand: "stop"}}))(t)
	b.agent = fleettest.New(t, authority, b.node)
	b.agent.Serve(b.printer)
	b.during(func(ctx context.Context) error { return b.fleet.Run(ctx, one{b.agent}, one{b.agent}) })
	b.during(jobs.Run)
	b.during(func(ctx context.Context) error { grants.Run(ctx); return nil })
	api := must(httpapi.New(httpapi.Config{Authenticator: b.users, DB: b.db, Logger: log, Now: time.Now, Title: "Berth", Version: "test"}))(t)
	b.consoles.Mount(api)
	ln := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	b.url = ln.Addr().String()
	b.stop = b.during(func(ctx context.Context) error { return api.Serve(ctx, ln) })
	i, _, err := b.instances.Create(t.Context(), access.Local(), instance.New{Name: "game", Owner: b.owner, Node: b.node, Image: game.ID, MemoryMiB: 128, NanoCPUs: 5e8, DiskMiB: 512})
	if err != nil {
		t.Fatal(err)
	}
	b.id = i.ID
	b.online()
	return b
}

func (b *bench) online() {
	b.t.Helper()
	b.until("the node is online", func() bool { return b.fleet.Online(b.node) })
}

// until waits for what has no signal of its own.
func (b *bench) until(what string, holds func() bool) {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			b.t.Fatalf("waited for nothing: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// during runs something until the test ends, or stop.
func (b *bench) during(run func(ctx context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := run(ctx); err != nil && ctx.Err() == nil {
			b.t.Error(err)
		}
	}()
	stop = func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		<-done
	}
	b.t.Cleanup(stop)
	return stop
}

func (b *bench) local() context.Context { return access.With(b.t.Context(), access.Local()) }

func (b *bench) user(name string, admin bool) ident.User {
	b.t.Helper()
	return must(b.users.CreateUser(b.local(), identity.NewUser{Username: name, Email: name + "@example.org", Password: "long enough", Admin: admin}))(b.t).ID
}

func (b *bench) people() {
	b.t.Helper()
	b.owner = b.user("owner", false)
	issued := b.newKey(b.owner, access.ScopeWrite)
	b.keyID, b.key, b.read = issued.ID, issued.Text, b.newKey(b.owner, access.ScopeRead).Text
	b.other, b.admin = b.newKey(b.user("other", false), access.ScopeWrite).Text, b.newKey(b.user("root", true), access.ScopeAdmin).Text
}

func (b *bench) newKey(user ident.User, scope access.Scope) identity.Issued {
	b.t.Helper()
	none := 0
	return must(b.users.CreateKey(b.local(), identity.NewKey{User: user, Name: "test", Scopes: []access.Scope{scope}, Dialect: access.Documented, RateLimit: &none}))(b.t)
}

func (b *bench) write(query string, args ...any) {
	b.t.Helper()
	err := b.db.Write(b.t.Context(), func(tx *store.Tx) error {
		_, err := tx.ExecContext(b.t.Context(), query, args...)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// message is one of the server's.
type message struct {
	Type    string                  `json:"type"`
	Ref     string                  `json:"ref"`
	Record  string                  `json:"record"`
	From    int64                   `json:"from"`
	To      int64                   `json:"to"`
	Text    string                  `json:"text"`
	Job     string                  `json:"job"`
	Code    string                  `json:"code"`
	Message string                  `json:"message"`
	Status  string                  `json:"status"`
	Node    string                  `json:"node"`
	Lines   []wire.ConsoleLineFrame `json:"lines"`
}

// viewer is a client's socket.
type viewer struct {
	t    testing.TB
	conn *websocket.Conn
}

func (b *bench) dial(key, query string) (*viewer, *http.Response, error) {
	h := http.Header{}
	if key != "" {
		h.Set("X-Api-Key", key)
	}
	conn, res, err := websocket.DefaultDialer.DialContext(b.t.Context(), "ws://"+b.url+"/api/v1/instances/"+string(b.id)+"/console"+query, h)
	if err != nil {
		return nil, res, err
	}
	b.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	return &viewer{b.t, conn}, res, nil
}

// look opens a console that must open.
func (b *bench) look(key, query string) *viewer {
	b.t.Helper()
	v, res, err := b.dial(key, query)
	if err != nil {
		b.t.Fatalf("%v, %v", res, err)
	}
	return v
}

func (v *viewer) say(text string) {
	v.t.Helper()
	if err := v.conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		v.t.Fatal(err)
	}
}

// next waits for a message that holds.
func (v *viewer) next(what string, holds func(message) bool) message {
	v.t.Helper()
	for {
		_ = v.conn.SetReadDeadline(time.Now().Add(patience))
		_, text, err := v.conn.ReadMessage()
		if err != nil {
			v.t.Fatalf("waiting for %s: %v", what, err)
		}
		var m message
		if err := json.Unmarshal(text, &m); err != nil {
			v.t.Fatalf("%s: %v", text, err)
		}
		if holds(m) {
			return m
		}
	}
}

func (v *viewer) kind(kind string) message {
	v.t.Helper()
	return v.next(kind, func(m message) bool { return m.Type == kind })
}

// answer waits for what answers an input.
func (v *viewer) answer(ref string) message {
	v.t.Helper()
	return v.next("the answer to "+ref, func(m message) bool { return m.Ref == ref })
}

// upTo reads lines until the one of that number, and gives them and what is missed.
func (v *viewer) upTo(seq int64) (lines []wire.ConsoleLineFrame, missed []message) {
	v.t.Helper()
	for {
		m := v.next("lines", func(m message) bool { return m.Type == "lines" || m.Type == "missed" })
		if m.Type == "missed" {
			missed = append(missed, m)
			continue
		}
		lines = append(lines, m.Lines...)
		if last := lines[len(lines)-1].Seq; last >= seq {
			return lines, missed
		}
	}
}

// ends reads to the end and gives the last message and the close code.
func (v *viewer) ends() (last message, code int) {
	v.t.Helper()
	for {
		_, text, err := v.conn.ReadMessage()
		if err != nil {
			var closed *websocket.CloseError
			if !asClose(err, &closed) {
				v.t.Fatalf("it ended without a close frame: %v (last %+v)", err, last)
			}
			return last, closed.Code
		}
		last = message{}
		_ = json.Unmarshal(text, &last)
	}
}

// call makes a plain call and gives status and body.
func (b *bench) call(key, method, path, body string) (int, map[string]any) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, "http://"+b.url+"/api/v1/instances/"+string(b.id)+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("X-Api-Key", key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var out map[string]any
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		b.t.Fatal(err)
	}
	return res.StatusCode, out
}
