package classic_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/classic"
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
	"github.com/berth-panel/berth/controller/stats"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	adminKey = "the-key-of-the-first-admin"
	patience = 60 * time.Second
)

// bundle is a whole controller behind a loopback listener, made of the real
// rooms; only the agents follow a script.
type bundle struct {
	t         testing.TB
	db        *store.DB
	users     *identity.Service
	nodes     *node.Service
	images    *image.Service
	instances *instance.Service
	jobs      *job.Service
	fleet     *fleet.Fleet
	events    *event.Log
	api       *httpapi.API
	classic   *classic.Service
	grants    *grant.Service
	url       string
	client    *http.Client
	log       *logged
	admin     ident.User
	v03       string // an admin's key of that dialect
}

// links is how earlier rooms reach the instances, which are made after them.
type links struct{ *instance.Service }

// setup starts a controller with an admin, the catalogue of a new one, and no node.
func setup(t testing.TB) *bundle {
	t.Helper()
	dir := t.TempDir()
	b := &bundle{t: t, log: &logged{}}
	log := slog.New(slog.NewTextHandler(b.log, nil))
	b.db = must(store.Open(t.Context(), filepath.Join(dir, "berth.db")))(t)
	authority := must(fleet.OpenAuthority(dir, time.Now))(t)
	box := must(secret.Open(dir))(t)
	b.events = event.New(time.Now)
	b.jobs = job.NewService(b.db, b.events, log, time.Now)
	b.fleet = fleet.New(fleet.Options{Authority: authority, Logger: log, Now: time.Now})
	b.users = must(identity.New(identity.Config{DB: b.db, Events: b.events, Logger: log, Now: time.Now, Hash: identity.Cost{MemoryKiB: 8, Passes: 1}}))(t)
	late := &links{}
	b.nodes = node.NewService(node.Deps{DB: b.db, Events: b.events, Fleet: b.fleet, Authority: authority, Secrets: box, Instances: late,
		PublicURL: "http://controller.test", Log: log, Now: time.Now})
	ports := allocation.NewService(b.db, b.events, b.nodes, time.Now)
	b.images = image.NewService(b.db, b.events, late, time.Now)
	b.instances = instance.NewService(instance.Deps{DB: b.db, Events: b.events, Jobs: b.jobs, Agents: b.fleet, Nodes: b.nodes, Ports: ports,
		Log: log, Now: time.Now})
	late.Service = b.instances
	must(b.users.Bootstrap(t.Context(), adminKey, "correct horse battery"))(t)
	if err := b.images.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.api = must(httpapi.New(httpapi.Config{Authenticator: b.users, DB: b.db, Logger: log, Now: time.Now}))(t)
	b.grants = grant.NewService(grant.Deps{DB: b.db, Events: b.events, Instances: b.instances, Callers: b.users, Log: log, Now: time.Now})
	b.classic = classic.New(classic.Deps{DB: b.db, Users: b.users, Nodes: b.nodes, Images: b.images, Instances: b.instances, Jobs: b.jobs, Fleet: b.fleet,
		Grants: b.grants, Consoles: console.NewService(console.Deps{Agents: b.fleet, Instances: b.instances, Grants: b.grants, Log: log}),
		Stats: stats.NewService(stats.Deps{Agents: b.fleet, Instances: b.instances, Nodes: b.nodes, Grants: b.grants, Log: log, Now: time.Now}), Log: log})
	b.classic.Mount(b.api)
	if err := b.api.Err(); err != nil {
		t.Fatal(err)
	}
	b.run()
	b.admin = must(b.users.UserByUsername(t.Context(), "admin"))(t).ID
	b.v03 = b.key(b.admin, access.V03, access.ScopeAdmin)
	return b
}

// run serves until the test ends.
func (b *bundle) run() {
	ln := must(net.Listen("tcp", "127.0.0.1:0"))(b.t)
	b.url = "http://" + ln.Addr().String()
	b.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 2 * patience}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	start := func(what string, f func() error) {
		running.Go(func() {
			if err := f(); err != nil && ctx.Err() == nil {
				b.t.Errorf("%s: %v", what, err)
			}
		})
	}
	start("serve", func() error { return b.api.Serve(ctx, ln) })
	start("grants", func() error { b.grants.Run(ctx); return nil })
	start("jobs", func() error { return b.jobs.Run(ctx) })
	start("fleet", func() error { return b.fleet.Run(ctx, b.nodes, b.nodes) })
	b.t.Cleanup(func() {
		b.client.CloseIdleConnections()
		stop()
		running.Wait()
		_ = b.db.Close()
		if b.t.Failed() {
			b.t.Log(b.log.String())
		}
	})
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

// logged is a log that a test may read.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// asAdmin is the context of an admin's own doing.
func (b *bundle) asAdmin() context.Context {
	return access.With(b.t.Context(), adminCaller())
}

// key makes an API key.
func (b *bundle) key(user ident.User, dialect access.Dialect, scopes ...access.Scope) string {
	b.t.Helper()
	issued, err := b.users.CreateKey(b.asAdmin(), identity.NewKey{User: user, Name: "test", Scopes: scopes, Dialect: dialect})
	if err != nil {
		b.t.Fatal(err)
	}
	return issued.Text
}

// user makes a user who isn't an admin.
func (b *bundle) user(name string) ident.User {
	b.t.Helper()
	u, err := b.users.CreateUser(b.asAdmin(), identity.NewUser{Username: name, Email: name + "@example.org", Password: "long enough"})
	if err != nil {
		b.t.Fatal(err)
	}
	return u.ID
}

// host is a node with its scripted agent.
type host struct {
	*fleettest.Agent
	id string
}

// host makes a node over the classic API, enrols a scripted agent with the key
// from the answer, and waits until it is online. The agent does as it is told.
func (b *bundle) host(name string) host {
	b.t.Helper()
	h := b.idle(name)
	h.Obey()
	return h
}

// idle is host with an agent that takes orders and does nothing.
func (b *bundle) idle(name string) host {
	b.t.Helper()
	agent := fleettest.Listen(b.t)
	made := b.post(adminKey, "/api/nodes/create", object{
		"name": name, "tags": "eu,ssd", "ram": "16", "disk": "500", "processor": "scripted", "address": agent.Host(), "port": fmt.Sprint(agent.Port()),
	}).object(201)["Message"].(object)
	b.enrol(agent, made["configureKey"].(string))
	h := host{Agent: agent, id: made["id"].(string)}
	b.online(h, true)
	// Told, too: a node that goes before it was told to be there is never told to be gone.
	b.until("it is told that node "+name+" is online", func() bool {
		return b.rows("events WHERE type = 'node.online' AND node_id = '"+h.id+"'") == 1
	})
	return h
}

// enrol lets the agent in as the real one is let in.
func (b *bundle) enrol(agent *fleettest.Agent, text string) {
	b.t.Helper()
	let := b.enrolOnly(agent, text)
	agent.Certify(b.t, let.Node, let.CA, let.Certificate)
}

// enrolOnly lets the agent in, who never comes.
func (b *bundle) enrolOnly(agent *fleettest.Agent, text string) wire.EnrolAnswer {
	b.t.Helper()
	key := must(wire.ParseEnrolmentKey(text))(b.t)
	request := wire.EnrolRequest{KeyID: key.ID, Nonce: "MDEyMzQ1Njc4OWFiY2RlZg", CSR: agent.CSR(), Agent: wire.EnrolAgent{Wire: wire.Version, Release: "scripted"}}
	request.MAC = key.SignRequest(request)
	return must(b.nodes.Enrol(b.t.Context(), request, netip.MustParseAddr("127.0.0.1")))(b.t)
}

func adminCaller() access.Caller { return access.Local() }

// online waits until the node is, or is not.
func (b *bundle) online(h host, want bool) {
	b.t.Helper()
	b.until(fmt.Sprintf("node %s online: %v", h.id, want), func() bool { return b.fleet.Online(ident.Node(h.id)) == want })
}

// until waits for what other goroutines do; each look is cheap.
func (b *bundle) until(what string, cond func() bool) {
	b.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for !cond() {
		select {
		case <-look.C:
		case <-deadline.C:
			b.t.Fatalf("waited for nothing: %s", what)
		}
	}
}

// rows counts a table's rows, seen or unseen by the API.
func (b *bundle) rows(table string) int {
	b.t.Helper()
	return must(store.Count(b.t.Context(), b.db.Snapshot(), `SELECT COUNT(*) FROM `+table))(b.t)
}

// order is a deploy that is fine, with some fields changed; nil takes one out.
func order(h host, owner ident.User, port int, change object) object {
	o := object{
		"image": "berth/demo:1", "memory": "256", "cpu": "0.5", "ports": fmt.Sprintf("8080:%d", port), "primary": "8080",
		"nodeId": h.id, "name": "web", "user": string(owner), "variables": object{"GREETING": "hi"},
	}
	for name, value := range change {
		if value == nil {
			delete(o, name)
		} else {
			o[name] = value
		}
	}
	return o
}

// deploy deploys and waits until the instance is ready; it gives the id.
func (b *bundle) deploy(h host, owner ident.User, port int) string {
	b.t.Helper()
	id := b.post(adminKey, "/api/instances/deploy", order(h, owner, port, nil)).object(201)["volumeId"].(string)
	b.until("instance "+id+" is ready", func() bool { return b.instance(id)["InternalState"] == "READY" })
	return id
}

func (b *bundle) instance(id string) object {
	b.t.Helper()
	return b.post(adminKey, "/api/getInstance", object{"id": id}).object(200)
}
