package live_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/live"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/roomtest"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"), // ends at its next tick
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),    // one for the process
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp/stackless.NewFunc.func1"),
	)
}

const patience = 60 * time.Second

// people are the callers by their keys, whom a test changes.
type people struct {
	mu sync.Mutex
	of map[string]access.Caller
}

func (p *people) Authenticate(_ context.Context, key string) (access.Caller, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.of[key]
	if !ok {
		return access.Caller{}, problem.New(problem.Unauthorized, "the API key is wrong")
	}
	return c, nil
}

// Recall gives him as he stands now: his key is named as his user.
func (p *people) Recall(ctx context.Context, c access.Caller) (access.Caller, error) {
	now, err := p.Authenticate(ctx, string(c.User))
	if err != nil {
		return access.Caller{}, problem.New(problem.Unauthorized, "your API key was revoked")
	}
	return now, nil
}

func (p *people) put(c access.Caller) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of[string(c.User)] = c
}

func (p *people) revoke(user ident.User) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.of, string(user))
}

// farm is the instances and nodes, and what they use.
type farm struct {
	mu      sync.Mutex
	owner   map[ident.Instance]ident.User
	node    map[ident.Instance]ident.Node
	away    map[ident.Node]error
	running map[ident.Instance]float64 // its cores in use
	asked   map[ident.Node]int
}

func (f *farm) Allow(_ context.Context, c access.Caller, id ident.Instance, right access.Right) (instance.Instance, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	owner, ok := f.owner[id]
	if !ok || !c.May(right, access.Of{Instance: id, Owner: owner}) {
		return instance.Instance{}, problem.New(problem.NotFound, "there is no such instance")
	}
	return instance.Instance{ID: id, Owner: owner, Node: f.node[id]}, nil
}

func (f *farm) Get(_ context.Context, id ident.Node) (node.Node, error) {
	if !strings.HasPrefix(string(id), "n") {
		return node.Node{}, problem.New(problem.NotFound, "there is no such node")
	}
	return node.Node{ID: id}, nil
}

func (f *farm) Ask(_ context.Context, id ident.Node) (wire.NodeStats, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[id]++
	out := wire.NodeStats{Node: wire.NodeSample{CPU: 2, Cores: 4}, Instances: map[ident.Instance]wire.Sample{}}
	for i, at := range f.node {
		if cores, runs := f.running[i]; runs && at == id {
			out.Instances[i] = wire.Sample{Running: true, CPU: cores}
		}
	}
	return out, f.away[id]
}

func (f *farm) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

type bench struct {
	t      testing.TB
	db     *store.DB
	events *event.Log
	people *people
	farm   *farm
	live   *live.Service
	url    string
	stop   func()
}

func caller(user ident.User, admin bool) access.Caller {
	none := 0
	return access.Caller{Actor: access.Actor{Via: access.ViaKey, User: user, Key: ident.Key(user)}, Admin: admin, Scopes: []access.Scope{access.ScopeRead}, RateLimit: &none}
}

func setup(t testing.TB, options ...func(*live.Service)) *bench {
	t.Helper()
	db := roomtest.Store(t)
	b := &bench{t: t, db: db, events: event.New(time.Now), people: &people{of: map[string]access.Caller{}}, farm: &farm{
		owner: map[ident.Instance]ident.User{"i1": "anna", "i2": "anna", "i3": "bob"},
		node:  map[ident.Instance]ident.Node{"i1": "n1", "i2": "n1", "i3": "n2"},
		away:  map[ident.Node]error{}, running: map[ident.Instance]float64{"i1": 0.5, "i3": 3}, asked: map[ident.Node]int{},
	}}
	for _, c := range []access.Caller{caller("root", true), caller("anna", false), caller("bob", false), caller("carl", false)} {
		b.people.put(c)
	}
	log := slog.New(slog.DiscardHandler)
	b.live = live.NewService(live.Deps{DB: db, Events: b.events, Callers: b.people, Grants: b.farm, Figures: b.farm, Nodes: b.farm, Log: log})
	live.Hurry(b.live)
	for _, o := range options {
		o(b.live)
	}
	api, err := httpapi.New(httpapi.Config{Authenticator: b.people, DB: db, Logger: log, Now: time.Now, Title: "Berth", Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	b.live.Mount(api)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.url = "ws://" + ln.Addr().String() + "/api/v1/live"
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { b.live.Run(ctx) })
	running.Go(func() {
		if err := api.Serve(ctx, ln); err != nil {
			t.Error(err)
		}
	})
	b.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(b.stop)
	return b
}

// happens writes facts, each in a transaction of its own, and gives the number of
// the last.
func (b *bench) happens(facts ...event.Event) int64 {
	b.t.Helper()
	for _, e := range facts {
		if e.Actor.Via == "" {
			e.Actor = access.System()
		}
		if err := b.db.Write(b.t.Context(), func(tx *store.Tx) error { return b.events.Append(b.t.Context(), tx, e, nil) }); err != nil {
			b.t.Error(err)
		}
	}
	_, last, err := b.events.Bounds(b.t.Context(), b.db.Snapshot())
	if err != nil {
		b.t.Error(err)
	}
	return last
}

// told is any message of the socket.
type told struct {
	Type       string          `json:"type"`
	After      int64           `json:"after"`
	Event      event.EventView `json:"event"`
	InstanceID string          `json:"instance_id"`
	NodeID     string          `json:"node_id"`
	Running    json.RawMessage `json:"running"`
	CPU        float64         `json:"cpu"`
	Instances  []string        `json:"instances"`
	Nodes      []string        `json:"nodes"`
	Code       problem.Code    `json:"code"`
	Message    string          `json:"message"`
}

type client struct {
	t    testing.TB
	conn *websocket.Conn
}

// dial opens a page's socket.
func (b *bench) dial(key, query string) *client {
	b.t.Helper()
	conn, answer, err := websocket.DefaultDialer.DialContext(b.t.Context(), b.url+query, http.Header{"X-Api-Key": {key}})
	if err != nil {
		b.t.Fatalf("%v, %+v", err, answer)
	}
	_ = answer.Body.Close()
	b.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	return &client{b.t, conn}
}

// open dials and reads the greeting.
func (b *bench) open(key, query string) (*client, int64) {
	b.t.Helper()
	c := b.dial(key, query)
	m := c.next()
	if m.Type != "hello" {
		b.t.Fatalf("it begins with %+v", m)
	}
	return c, m.After
}

// next gives the next message that is no beat.
func (c *client) next() told {
	c.t.Helper()
	for {
		var m told
		if err := c.conn.ReadJSON(&m); err != nil {
			c.t.Fatalf("read: %v", err)
		}
		if m.Type != "beat" {
			return m
		}
	}
}

// until reads on to a message, past all others.
func (c *client) until(what string, holds func(told) bool) told {
	c.t.Helper()
	for {
		m := c.next()
		if holds(m) {
			return m
		}
		if m.Type == "closing" {
			c.t.Fatalf("waited for %s, and it ends: %+v", what, m)
		}
	}
}

func (c *client) say(message any) {
	c.t.Helper()
	if err := c.conn.WriteJSON(message); err != nil {
		c.t.Fatal(err)
	}
}

// ends reads on to the end and checks its reason.
func (c *client) ends(code problem.Code, closed int) {
	c.t.Helper()
	m := c.next()
	for m.Type != "closing" {
		m = c.next()
	}
	if m.Code != code || m.Message == "" {
		c.t.Errorf("it ends with %+v, want %s", m, code)
	}
	_, _, err := c.conn.ReadMessage()
	var end *websocket.CloseError
	if !errors.As(err, &end) || end.Code != closed {
		c.t.Errorf("the end is %v, want %d", err, closed)
	}
}
