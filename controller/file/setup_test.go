package file_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/file"
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
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"), // ends at its next tick
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),    // one for the process
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp/stackless.NewFunc.func1"),
	)
}

const patience = 60 * time.Second

// bench is a controller's rooms that files need, with a scripted agent at the
// other end of a real connection.
type bench struct {
	t         *testing.T
	db        *store.DB
	events    *event.Log
	jobs      *job.Service
	users     *identity.Service
	instances *instance.Service
	files     *file.Service
	agent     *fleettest.Agent
	fleet     *fleet.Fleet
	volume    *volume
	node      ident.Node
	id        ident.Instance // of the instance; the owner's
	url       string
	owner     ident.User
	key       string // the owner's
	read      string // the owner's, with the scope read
	other     string // of a user who owns nothing
	admin     string
	dir       string
	clock     *clock
}

// clock is the machine's, moved on by a test.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// one is a fleet's directory with a single agent, and a sink that takes all.
type one struct {
	*bench
	agent *fleettest.Agent
}

// Synced wakes the jobs that wait for the node, as the node's room does.
func (o one) Synced(ctx context.Context, node ident.Node, _ wire.Inventory) error {
	return o.db.Write(ctx, func(tx *store.Tx) error { return o.jobs.Wake(ctx, tx, node) })
}

func (o one) Targets(context.Context) ([]fleet.Target, error) {
	return []fleet.Target{o.agent.Target()}, nil
}
func (one) Tunnelled(context.Context, ident.Node) error                      { return nil }
func (one) Renewed(context.Context, ident.Node, fleet.Shown) error           { return nil }
func (one) Connected(context.Context, ident.Node, wire.Hello) (int64, error) { return 0, nil }
func (one) Events(context.Context, ident.Node, string, []wire.Event) error   { return nil }
func (one) Disconnected(context.Context, ident.Node, error)                  {}

type late struct{ *instance.Service }

func setup(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), clock: &clock{}, volume: newVolume()}
	log := slog.New(slog.DiscardHandler)
	b.db = must(store.Open(t.Context(), filepath.Join(b.dir, "berth.db")))(t)
	t.Cleanup(func() { _ = b.db.Close() })
	authority := must(fleet.OpenAuthority(b.dir, time.Now))(t)
	b.fleet = fleet.New(fleet.Options{Authority: authority, Logger: log, Now: time.Now})
	b.events = event.New(time.Now)
	b.jobs = job.NewService(b.db, b.events, log, time.Now)
	b.users = must(identity.New(identity.Config{DB: b.db, Events: b.events, Logger: log, Now: time.Now, Hash: identity.Cost{MemoryKiB: 8, Passes: 1}}))(t)
	links := &late{}
	nodes := node.NewService(node.Deps{DB: b.db, Events: b.events, Fleet: b.fleet, Authority: authority, Secrets: must(secret.Open(b.dir))(t),
		Instances: links, PublicURL: "http://panel.test", Log: log, Now: time.Now})
	ports := allocation.NewService(b.db, b.events, nodes, time.Now)
	images := image.NewService(b.db, b.events, links, time.Now)
	b.instances = instance.NewService(instance.Deps{DB: b.db, Events: b.events, Jobs: b.jobs, Agents: b.fleet, Nodes: nodes, Ports: ports, Log: log, Now: time.Now})
	links.Service = b.instances
	grants := grant.NewService(grant.Deps{DB: b.db, Events: b.events, Instances: b.instances, Callers: b.users, Log: log, Now: time.Now})
	b.files = file.NewService(file.Deps{DB: b.db, Events: b.events, Jobs: b.jobs, Grants: grants, Agents: b.fleet, Instances: b.instances, Log: log, Now: b.clock.now})

	b.people()
	made, _, err := nodes.Create(t.Context(), access.Local(), node.Spec{Name: "a", Address: "127.0.0.1", Port: 8443, MemoryMiB: 4096, DiskMiB: 40960})
	if err != nil {
		t.Fatal(err)
	}
	b.node = made.ID
	b.write(`UPDATE nodes SET enrolled_at = 1, certificate = 'c', hello = '{"engine":{"reachable":true,"cores":4}}' WHERE id = ?`, string(b.node))
	game := must(images.Create(t.Context(), access.Local(), image.Image{Name: "Game", Definition: image.Definition{References: []string{"example/game:1"}, Command: []string{"run"}, StopCommand: "stop"}}))(t)
	b.agent = fleettest.New(t, authority, b.node)
	b.agent.Serve(b.volume)
	b.during(func(ctx context.Context) error { return b.fleet.Run(ctx, one{b, b.agent}, one{b, b.agent}) })
	b.during(b.jobs.Run)
	b.during(func(ctx context.Context) error { grants.Run(ctx); return nil })
	b.serve(log)
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
	eventually(b.t, "the node is online", func() bool { return b.fleet.Online(b.node) })
}

// serve opens the door on the loopback.
func (b *bench) serve(log *slog.Logger) {
	api := must(httpapi.New(httpapi.Config{Authenticator: b.users, DB: b.db, Logger: log, Now: time.Now, Title: "Berth", Version: "test"}))(b.t)
	b.files.Mount(api)
	b.instances.Mount(api)
	b.jobs.Mount(api)
	ln := must(net.Listen("tcp", "127.0.0.1:0"))(b.t)
	b.url = "http://" + ln.Addr().String()
	b.during(func(ctx context.Context) error { return api.Serve(ctx, ln) })
}

// go_ runs something until the test ends.
func (b *bench) during(run func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := run(ctx); err != nil && ctx.Err() == nil {
			b.t.Error(err)
		}
	}()
	b.t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		<-done
	})
}

func (b *bench) people() {
	b.t.Helper()
	user := func(name string, admin bool) ident.User {
		u := must(b.users.CreateUser(access.With(b.t.Context(), access.Local()), identity.NewUser{Username: name, Email: name + "@example.org", Password: "long enough", Admin: admin}))(b.t)
		return u.ID
	}
	b.owner = user("owner", false)
	b.key, b.read = b.newKey(b.owner, access.ScopeWrite), b.newKey(b.owner, access.ScopeRead)
	b.other, b.admin = b.newKey(user("other", false), access.ScopeWrite), b.newKey(user("root", true), access.ScopeAdmin)
}

func (b *bench) newKey(user ident.User, scope access.Scope) string {
	b.t.Helper()
	none := 0
	issued := must(b.users.CreateKey(access.With(b.t.Context(), access.Local()), identity.NewKey{User: user, Name: "test", Scopes: []access.Scope{scope}, Dialect: access.Documented, RateLimit: &none}))(b.t)
	return issued.Text
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

// eventually waits for what has no signal of its own.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("waited for nothing: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// answer is what came back.
type answer struct {
	t      *testing.T
	call   string
	status int
	header http.Header
	body   []byte
}

// call makes one call beneath the instance's files; h are headers in pairs.
func (b *bench) call(key, method, path string, body any, h ...string) answer {
	b.t.Helper()
	return b.at(key, method, "/api/v1/instances/"+string(b.id)+"/files"+path, body, h...)
}

func (b *bench) at(key, method, path string, body any, h ...string) answer {
	b.t.Helper()
	res := b.open(key, method, path, body, h...)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{b.t, method + " " + path, res.StatusCode, res.Header, text}
}

// open makes a call and leaves its answer to be read.
func (b *bench) open(key, method, path string, body any, h ...string) *http.Response {
	b.t.Helper()
	var reader io.Reader = http.NoBody
	switch v := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(v)
	case []byte:
		reader = bytes.NewReader(v)
	case io.Reader:
		reader = v
	default:
		reader = bytes.NewReader(must(json.Marshal(v))(b.t))
	}
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, reader)
	if err != nil {
		b.t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("x-api-key", key)
	}
	for n := 0; n+1 < len(h); n += 2 {
		req.Header.Set(h[n], h[n+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	return res
}

// is checks the status and, when it isn't nil, reads the envelope's data.
func (a answer) is(status int, data any) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: %d %s, want %d", a.call, a.status, a.body, status)
	}
	if data != nil {
		envelope := struct{ Data any }{data}
		if err := json.Unmarshal(a.body, &envelope); err != nil {
			a.t.Fatalf("%s: %s: %v", a.call, a.body, err)
		}
	}
	return a
}

// refused checks status and code, and gives message and fields.
func (a answer) refused(status int, code string) (message string, fields []string) {
	a.t.Helper()
	var e struct {
		Success bool
		Error   struct {
			Code, Message string
			Details       []struct{ Field string }
		}
	}
	if a.status != status || json.Unmarshal(a.body, &e) != nil || e.Success || e.Error.Code != code || e.Error.Message == "" {
		a.t.Fatalf("%s: %d %s, want %d %s", a.call, a.status, a.body, status, code)
	}
	for _, d := range e.Error.Details {
		fields = append(fields, d.Field)
	}
	return e.Error.Message, fields
}

// facts are the events about files, in order, without what changes each time.
func (b *bench) facts() []string {
	b.t.Helper()
	list := must(store.Collect(b.t.Context(), b.db.Snapshot(), func(row func(...any) error) (string, error) {
		var kind, data, actor string
		err := row(&kind, &data, &actor)
		var who access.Actor
		_ = json.Unmarshal([]byte(actor), &who)
		return kind + " " + data + " by " + who.Username, err
	}, `SELECT type, data, actor FROM events WHERE type LIKE 'file.%' ORDER BY id`))(b.t)
	return list
}

// rows counts what a call might leave behind.
func (b *bench) rows() [3]int {
	b.t.Helper()
	var out [3]int
	for n, table := range []string{"uploads", "jobs", "events"} {
		out[n] = must(store.Count(b.t.Context(), b.db.Snapshot(), `SELECT COUNT(*) FROM `+table))(b.t)
	}
	return out
}

func escaped(text string) string {
	return url.QueryEscape(text)
}
