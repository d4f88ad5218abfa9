package stats_test

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
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/allocation"
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
	"github.com/berth-panel/berth/controller/stats"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
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

// bench is a controller's rooms that figures need, with a scripted agent at the
// other end of a real connection.
type bench struct {
	t         *testing.T
	db        *store.DB
	users     *identity.Service
	instances *instance.Service
	metrics   *stats.Metrics
	agent     *fleettest.Agent
	fleet     *fleet.Fleet
	room      *room
	passed    atomic.Int64 // seconds, by the clock that a node's samples grow old by
	node      ident.Node
	id        ident.Instance // the owner's
	url       string
	owner     ident.User
	key       string // the owner's, with the scope read
	keyID     ident.Key
	other     string // of a user who owns nothing
	admin     string
}

// room is an agent's room of figures.
type room struct {
	mu      sync.Mutex
	asked   map[string]int
	held    ident.Instance
	refuse  *problem.Problem
	streams map[chan wire.Sample]struct{} // live ones; one that is closed ends its stream
	opened  int                           // so many were
}

func (r *room) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	r.asked[q.URL.Path+"?"+q.URL.RawQuery]++
	refuse, base := r.refuse, wire.PathInstances+"/"+string(r.held)+"/stats"
	r.mu.Unlock()
	answer := func(status int, v any) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	switch {
	case refuse != nil:
		answer(refuse.Code.Status(), refuse)
	case q.URL.Path == "/v1/stats":
		answer(200, wire.NodeStats{Node: wire.NodeSample{CPU: 1.5, Cores: 4}, Instances: map[ident.Instance]wire.Sample{r.held: {Running: true, CPU: 0.5, NetInRate: 7.9}}})
	case q.URL.Path == "/v1/stats/history":
		answer(200, wire.StatsHistory{Resolution: wire.Minute, At: []int64{60}, CPU: []float64{2}, Memory: []int64{1}, NetIn: []int64{1}, NetOut: []int64{1}, DiskUsed: []int64{1}, Load: []float64{1}, Running: []int64{3}})
	case q.URL.Path == base:
		answer(200, wire.Sample{Running: true, CPU: 0.25, MemoryBytes: 5, DiskUsed: -1})
	case q.URL.Path == base+"/history":
		answer(200, wire.StatsHistory{Resolution: wire.Ten})
	case q.URL.Path == base+"/live":
		r.live(w, q)
	default:
		answer(404, problem.New(problem.NotFound, "no such call"))
	}
}

func (r *room) live(w http.ResponseWriter, q *http.Request) {
	conn, err := (&websocket.Upgrader{}).Upgrade(w, q, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _, _ = conn.ReadMessage()
	}()
	defer func() { _ = conn.Close(); <-gone }()
	mine := make(chan wire.Sample, 64)
	r.mu.Lock()
	r.streams[mine] = struct{}{}
	r.opened++
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.streams, mine)
	}()
	for {
		select {
		case s, ok := <-mine:
			if !ok || conn.WriteJSON(s) != nil {
				return
			}
		case <-gone:
			return
		}
	}
}

// send sends a sample on all live streams.
func (r *room) send(s wire.Sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for stream := range r.streams {
		select {
		case stream <- s:
		default:
		}
	}
}

// cut ends all live streams.
func (r *room) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for stream := range r.streams {
		delete(r.streams, stream)
		close(stream)
	}
}

func (r *room) times(call string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked[call]
}

// one is a fleet's directory with a single agent, and a sink that takes all.
type one struct{ agent *fleettest.Agent }

func (o one) Targets(context.Context) ([]fleet.Target, error) {
	return []fleet.Target{o.agent.Target()}, nil
}
func (one) Synced(context.Context, ident.Node, wire.Inventory) error         { return nil }
func (one) Tunnelled(context.Context, ident.Node) error                      { return nil }
func (one) Renewed(context.Context, ident.Node, fleet.Shown) error           { return nil }
func (one) Connected(context.Context, ident.Node, wire.Hello) (int64, error) { return 0, nil }
func (one) Events(context.Context, ident.Node, string, []wire.Event) error   { return nil }
func (one) Disconnected(context.Context, ident.Node, error)                  {}

type late struct{ *instance.Service }

func setup(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, room: &room{asked: map[string]int{}, streams: map[chan wire.Sample]struct{}{}}}
	log, dir := slog.New(slog.DiscardHandler), t.TempDir()
	b.db = must(store.Open(t.Context(), filepath.Join(dir, "berth.db")))(t)
	t.Cleanup(func() { _ = b.db.Close() })
	authority := must(fleet.OpenAuthority(dir, time.Now))(t)
	b.fleet = fleet.New(fleet.Options{Authority: authority, Logger: log, Now: time.Now})
	events := event.New(time.Now)
	jobs := job.NewService(b.db, events, log, time.Now)
	b.users = must(identity.New(identity.Config{DB: b.db, Events: events, Logger: log, Now: time.Now, Hash: identity.Cost{MemoryKiB: 8, Passes: 1}}))(t)
	links := &late{}
	nodes := node.NewService(node.Deps{DB: b.db, Events: events, Fleet: b.fleet, Authority: authority, Secrets: must(secret.Open(dir))(t),
		Instances: links, PublicURL: "http://panel.test", Log: log, Now: time.Now})
	ports := allocation.NewService(b.db, events, nodes, time.Now)
	images := image.NewService(b.db, events, links, time.Now)
	b.instances = instance.NewService(instance.Deps{DB: b.db, Events: events, Jobs: jobs, Agents: b.fleet, Nodes: nodes, Ports: ports, Log: log, Now: time.Now})
	links.Service = b.instances
	grants := grant.NewService(grant.Deps{DB: b.db, Events: events, Instances: b.instances, Callers: b.users, Log: log, Now: time.Now})
	figures := stats.NewService(stats.Deps{Agents: b.fleet, Instances: b.instances, Nodes: nodes, Grants: grants, Log: log,
		Now: func() time.Time { return time.Unix(1_700_000_000+b.passed.Load(), 0) }})
	b.metrics = stats.NewMetrics(func(context.Context) (stats.Counts, error) {
		return stats.Counts{Nodes: map[string]int{"online": 1, "offline": 0}, Instances: map[string]int{"running": 2}, Jobs: map[string]int{"done": 3}}, nil
	})

	b.people()
	made, _, err := nodes.Create(t.Context(), access.Local(), node.Spec{Name: "a", Address: "127.0.0.1", Port: 8443, MemoryMiB: 4096, DiskMiB: 40960})
	if err != nil {
		t.Fatal(err)
	}
	b.node = made.ID
	b.write(`UPDATE nodes SET enrolled_at = 1, certificate = 'c', hello = '{"engine":{"reachable":true,"cores":4}}' WHERE id = ?`, string(b.node))
	game := must(images.Create(t.Context(), access.Local(), image.Image{Name: "Game", Definition: image.Definition{References: []string{"example/game:1"}, Command: []string{"run"}, StopCommand: "stop"}}))(t)
	i, _, err := b.instances.Create(t.Context(), access.Local(), instance.New{Name: "game", Owner: b.owner, Node: b.node, Image: game.ID, MemoryMiB: 128, NanoCPUs: 5e8, DiskMiB: 512})
	if err != nil {
		t.Fatal(err)
	}
	b.id, b.room.held = i.ID, i.ID
	b.agent = fleettest.New(t, authority, b.node)
	b.agent.Serve(b.room)
	b.during(func(ctx context.Context) error { return b.fleet.Run(ctx, one{b.agent}, one{b.agent}) })
	b.during(func(ctx context.Context) error { grants.Run(ctx); return nil })
	api := must(httpapi.New(httpapi.Config{Authenticator: b.users, DB: b.db, Logger: log, Now: time.Now, Title: "Berth", Version: "test", Observe: b.metrics.Observe}))(t)
	figures.Mount(api)
	b.metrics.Mount(api)
	ln := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	b.url = "http://" + ln.Addr().String()
	b.during(func(ctx context.Context) error { return api.Serve(ctx, ln) })
	b.online()
	return b
}

func (b *bench) online() {
	b.t.Helper()
	eventually(b.t, "the node is online", func() bool { return b.fleet.Online(b.node) })
}

// during runs something until the test ends.
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
	local := access.With(b.t.Context(), access.Local())
	key := func(name string, admin bool) (ident.User, identity.Issued) {
		u := must(b.users.CreateUser(local, identity.NewUser{Username: name, Email: name + "@example.org", Password: "long enough", Admin: admin}))(b.t)
		none := 0
		return u.ID, must(b.users.CreateKey(local, identity.NewKey{User: u.ID, Name: "test", Scopes: []access.Scope{access.ScopeRead}, Dialect: access.Documented, RateLimit: &none}))(b.t)
	}
	owner, issued := key("owner", false)
	b.owner, b.key, b.keyID = owner, issued.Text, issued.ID
	_, other := key("other", false)
	_, admin := key("root", true)
	b.other, b.admin = other.Text, admin.Text
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

// call makes one call; path may begin with {instance} or {node}.
func (b *bench) call(key, method, path string) (int, []byte) {
	b.t.Helper()
	req := must(http.NewRequestWithContext(b.t.Context(), method, b.url+b.path(path), http.NoBody))(b.t)
	if key != "" {
		req.Header.Set("x-api-key", key)
	}
	res := must(http.DefaultClient.Do(req))(b.t)
	defer res.Body.Close()
	return res.StatusCode, must(io.ReadAll(res.Body))(b.t)
}

func (b *bench) path(path string) string {
	return strings.NewReplacer("{instance}", "/api/v1/instances/"+string(b.id), "{node}", "/api/v1/nodes/"+string(b.node)).Replace(path)
}

// get makes a call that must succeed, and reads the envelope's data.
func (b *bench) get(key, path string, data any) {
	b.t.Helper()
	status, text := b.call(key, http.MethodGet, path)
	envelope := struct {
		Success bool
		Data    any
	}{Data: data}
	if err := json.Unmarshal(text, &envelope); err != nil || status != http.StatusOK || !envelope.Success {
		b.t.Fatalf("%s: %d %s, %v", path, status, text, err)
	}
}

// refused makes a call that must be refused.
func (b *bench) refused(key, method, path string, code problem.Code) {
	b.t.Helper()
	status, text := b.call(key, method, path)
	var e struct{ Error struct{ Code problem.Code } }
	if err := json.Unmarshal(text, &e); err != nil || status != code.Status() || e.Error.Code != code {
		b.t.Errorf("%s: %d %s, want %s", path, status, text, code)
	}
}

// told is a message of the live stream.
type told struct {
	Type    string       `json:"type"`
	CPU     float64      `json:"cpu"`
	Code    problem.Code `json:"code"`
	Message string       `json:"message"`
}

// dial opens the live stream.
func (b *bench) dial(query string, header http.Header) *websocket.Conn {
	b.t.Helper()
	conn, answer, err := websocket.DefaultDialer.DialContext(b.t.Context(), "ws"+strings.TrimPrefix(b.url, "http")+b.path("{instance}/stats/live")+query, header)
	if err != nil {
		b.t.Fatalf("%v, %v", err, answer)
	}
	_ = answer.Body.Close()
	b.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	return conn
}

func (b *bench) next(conn *websocket.Conn) told {
	b.t.Helper()
	var m told
	if err := conn.ReadJSON(&m); err != nil {
		b.t.Fatal(err)
	}
	return m
}

// opens waits until so many live streams were opened at the agent, in all.
func (b *bench) opens(n int) {
	b.t.Helper()
	eventually(b.t, "a live stream", func() bool {
		b.room.mu.Lock()
		defer b.room.mu.Unlock()
		return b.room.opened >= n
	})
}

// sees waits for a sample to come through.
func (b *bench) sees(conn *websocket.Conn, cpu float64) {
	b.t.Helper()
	b.room.send(wire.Sample{Running: true, CPU: cpu})
	for m := b.next(conn); m.Type != "sample" || m.CPU != cpu; m = b.next(conn) {
		if m.Type == "closing" {
			b.t.Fatalf("%+v", m)
		}
	}
}

// ends waits for the end of a stream, and its reason.
func (b *bench) ends(conn *websocket.Conn, code problem.Code, closed int) {
	b.t.Helper()
	m := b.next(conn)
	for m.Type == "sample" || m.Type == "offline" {
		m = b.next(conn)
	}
	if m.Type != "closing" || m.Code != code || m.Message == "" {
		b.t.Errorf("the last message is %+v, want %s", m, code)
	}
	if _, _, err := conn.ReadMessage(); !websocket.IsCloseError(err, closed) {
		b.t.Errorf("the end is %v, want %d", err, closed)
	}
}
