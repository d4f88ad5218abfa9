package instance_test

import (
	"context"
	"log/slog"
	"maps"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/fleet/fleettest"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/secret"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 60 * time.Second

// agents stands in for the fleet: it writes down what the nodes are told.
type agents struct {
	mu      sync.Mutex
	away    error // of every call
	specs   []wire.Spec
	removed []ident.Instance
	orders  []wire.Removal // of removed
	held    map[ident.Instance]wire.Spec
}

func (a *agents) Apply(_ context.Context, _ ident.Node, spec wire.Spec) (wire.Accepted, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.away != nil {
		return wire.Accepted{}, a.away
	}
	a.specs = append(a.specs, spec)
	return wire.Accepted{Generation: spec.Generation}, nil
}

func (a *agents) Remove(_ context.Context, _ ident.Node, id ident.Instance, r wire.Removal) (wire.Accepted, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.away != nil {
		return wire.Accepted{}, a.away
	}
	a.removed = append(a.removed, id)
	a.orders = append(a.orders, r)
	return wire.Accepted{Generation: r.Generation}, nil
}

func (a *agents) Spec(_ context.Context, on ident.Node, id ident.Instance) (wire.Spec, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.away != nil {
		return wire.Spec{}, a.away
	}
	if spec, there := a.held[id]; there {
		return spec, nil
	}
	return wire.Spec{}, problem.New(problem.NotFound, "this node has no settings of instance %s", id)
}

// hold has the nodes know a spec that nobody here told them.
func (a *agents) hold(spec wire.Spec) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.held == nil {
		a.held = map[ident.Instance]wire.Spec{}
	}
	a.held[spec.Instance] = spec
}

func (a *agents) answer(with error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.away = with
}

// told gives the last spec of an instance and how many there were.
func (a *agents) told(id ident.Instance) (last wire.Spec, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.specs {
		if s.Instance == id {
			last, n = s, n+1
		}
	}
	return last, n
}

func (a *agents) removals(id ident.Instance) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.removed {
		if r == id {
			n++
		}
	}
	return n
}

// removal gives the last order to remove an instance.
func (a *agents) removal(id ident.Instance) (last wire.Removal) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for n, r := range a.removed {
		if r == id {
			last = a.orders[n]
		}
	}
	return last
}

// connections stands in for the fleet where nodes are asked for: all of them are
// online but those that are named.
type connections struct {
	mu   sync.Mutex
	away map[ident.Node]bool
}

func (c *connections) Presence(id ident.Node) fleet.Presence {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fleet.Presence{Online: !c.away[id]}
}

func (c *connections) OnlineNodes() []ident.Node { return nil }

func (c *connections) Refresh() {}

func (c *connections) cut(id ident.Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away[id] = true
}

// offline is what the fleet says of a node that is away.
func offline() error { return problem.New(problem.NodeOffline, "node a is offline: refused") }

type bundle struct {
	t         *testing.T
	db        *store.DB
	agents    *agents
	links     *connections
	jobs      *job.Service
	users     *identity.Service
	nodes     *node.Service
	ports     *allocation.Service
	images    *image.Service
	instances *instance.Service
	admin     access.Caller
	owner     access.Caller // who is no admin
	node      ident.Node
	image     ident.Image
}

type links struct{ *instance.Service }

// setup has an admin, an owner, an image and a node that is online, with 1024 MiB
// of memory, 10240 MiB of disk and 4 cores. Jobs run; the agents do nothing by themselves.
func setup(t *testing.T) *bundle {
	t.Helper()
	dir := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	b := &bundle{t: t, agents: &agents{}, links: &connections{away: map[ident.Node]bool{}}, admin: access.Local()}
	b.db = must(store.Open(t.Context(), filepath.Join(dir, "berth.db")))(t)
	t.Cleanup(func() { _ = b.db.Close() })
	authority := must(fleet.OpenAuthority(dir, time.Now))(t)
	events := event.New(time.Now)
	b.jobs = job.NewService(b.db, events, log, time.Now)
	b.users = must(identity.New(identity.Config{DB: b.db, Events: events, Logger: log, Now: time.Now, Hash: identity.Cost{MemoryKiB: 8, Passes: 1}}))(t)
	late := &links{}
	b.nodes = node.NewService(node.Deps{DB: b.db, Events: events, Fleet: b.links,
		Authority: authority, Secrets: must(secret.Open(dir))(t), Instances: late, PublicURL: "http://panel.test", Log: log, Now: time.Now})
	b.ports = allocation.NewService(b.db, events, b.nodes, time.Now)
	images := image.NewService(b.db, events, late, time.Now)
	b.instances = instance.NewService(instance.Deps{DB: b.db, Events: events, Jobs: b.jobs, Agents: b.agents, Nodes: b.nodes, Ports: b.ports, Log: log, Now: time.Now})
	late.Service, b.images = b.instances, images
	b.owner = b.user("owner")
	b.node = b.addNode("a")
	made := must(images.Create(t.Context(), b.admin, image.Image{Name: "Game", Definition: image.Definition{
		References: []string{"example/game:1", "example/game:2"}, Command: []string{"run", "{{MAP}}"}, Env: []string{"FROM=image"}, StopCommand: "stop",
		Variables: []image.Variable{{Name: "MAP", Default: "hills"}},
	}}))(t)
	b.image = made.ID
	b.run()
	return b
}

func (b *bundle) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := b.jobs.Run(ctx); err != nil {
			b.t.Error(err)
		}
	}()
	b.t.Cleanup(func() { cancel(); <-done })
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

func (b *bundle) user(name string) access.Caller {
	b.t.Helper()
	u := must(b.users.CreateUser(access.With(b.t.Context(), access.Local()), identity.NewUser{Username: name, Email: name + "@example.org", Password: "long enough"}))(b.t)
	return access.Caller{Actor: access.Actor{Via: access.ViaKey, User: u.ID, Username: name}, Scopes: []access.Scope{access.ScopeWrite}}
}

func (b *bundle) addNode(name string) ident.Node {
	b.t.Helper()
	n, _, err := b.nodes.Create(b.t.Context(), b.admin, node.Spec{Name: name, Address: "192.0.2.1", Port: 8443, MemoryMiB: 1024, DiskMiB: 10240})
	if err != nil {
		b.t.Fatal(err)
	}
	b.write(func(tx *store.Tx) error {
		_, err := tx.ExecContext(b.t.Context(), `UPDATE nodes SET enrolled_at = 1, certificate = 'c', hello = '{"engine":{"reachable":true,"cores":4}}' WHERE id = ?`, string(n.ID))
		return err
	})
	return n.ID
}

func (b *bundle) write(f func(tx *store.Tx) error) {
	b.t.Helper()
	if err := b.db.Write(b.t.Context(), f); err != nil {
		b.t.Fatal(err)
	}
}

// order is an instance that can be deployed, with some fields changed.
func (b *bundle) order(edits ...func(*instance.New)) instance.New {
	n := instance.New{Name: "game", Owner: b.owner.User, Node: b.node, Image: b.image, MemoryMiB: 128, NanoCPUs: 5e8, DiskMiB: 512}
	for _, edit := range edits {
		edit(&n)
	}
	return n
}

// begin creates an instance; its job is under way.
func (b *bundle) begin(edits ...func(*instance.New)) (instance.Instance, job.Job) {
	b.t.Helper()
	i, j, err := b.instances.Create(b.t.Context(), b.admin, b.order(edits...))
	if err != nil {
		b.t.Fatal(err)
	}
	return i, j
}

// ready creates an instance and lets its node carry it out.
func (b *bundle) ready(edits ...func(*instance.New)) instance.Instance {
	b.t.Helper()
	i, j := b.begin(edits...)
	b.carryOut(i.ID)
	b.ended(j, job.Succeeded)
	return b.get(i.ID)
}

func (b *bundle) get(id ident.Instance) instance.Instance {
	b.t.Helper()
	return must(b.instances.Get(b.t.Context(), b.admin, id))(b.t)
}

func (b *bundle) job(id ident.Job) job.Job {
	b.t.Helper()
	return must(b.jobs.Get(b.t.Context(), b.admin, id))(b.t)
}

func (b *bundle) until(what string, holds func() bool) {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			b.t.Fatalf("waited for nothing: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// handed waits until the node was told the newest generation and gives it.
func (b *bundle) handed(id ident.Instance) wire.Spec {
	b.t.Helper()
	var spec wire.Spec
	b.until("the node is told the newest generation", func() bool {
		spec, _ = b.agents.told(id)
		return spec.Generation == b.get(id).Generation
	})
	return spec
}

// follows says whether a spec is the wanted one, with a revision of its own.
func follows(got, want wire.Spec) bool {
	drawn := got.Revision != "" && got.Revision != want.Revision
	want.Revision = got.Revision
	return drawn && reflect.DeepEqual(got, want)
}

// carryOut lets the node say that the newest generation is done.
func (b *bundle) carryOut(id ident.Instance) {
	b.t.Helper()
	spec := b.handed(id)
	b.say(b.node, fleettest.StateEvent(spec, fleettest.Done(spec)))
}

// say lets a node's event take effect.
func (b *bundle) say(from ident.Node, e wire.Event) {
	b.t.Helper()
	b.write(func(tx *store.Tx) error { return b.instances.ApplyEvent(b.t.Context(), tx, from, e) })
}

func (b *bundle) ended(j job.Job, state job.State) job.Job {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	got, err := b.jobs.Await(ctx, j.ID)
	if err != nil || got.State != state {
		b.t.Fatalf("job %s is %s (%v), want %s; %v", got.Kind, got.State, got.Failure, state, err)
	}
	return got
}

func (b *bundle) waiting(j job.Job) {
	b.t.Helper()
	b.until("the job waits for the node", func() bool { return b.job(j.ID).State == job.Waiting })
}

// rows counts what could be left half-made.
func (b *bundle) rows() map[string]int {
	b.t.Helper()
	out := map[string]int{}
	for _, table := range []string{"instances", "allocations", "jobs", "job_lines", "events"} {
		out[table] = must(store.Count(b.t.Context(), b.db.Snapshot(), `SELECT COUNT(*) FROM `+table))(b.t)
	}
	return out
}

// refusal is what a caller reads of a problem.
type refusal struct {
	Message string
	Fields  []problem.Field
}

// nothing checks that f leaves nothing behind and ends with that code.
func (b *bundle) nothing(what string, code problem.Code, f func() error) refusal {
	b.t.Helper()
	before := b.rows()
	err := f()
	if !problem.Is(err, code) {
		b.t.Errorf("%s: %v, want %s", what, err, code)
		return refusal{}
	}
	if after := b.rows(); !maps.Equal(before, after) {
		b.t.Errorf("%s left something behind: %v, before %v", what, after, before)
	}
	p := problem.From(err)
	return refusal{p.Message, p.Fields}
}

// facts gives the types of the events about an instance, the oldest first.
func (b *bundle) facts(id ident.Instance) []string {
	b.t.Helper()
	return must(store.Collect(b.t.Context(), b.db.Snapshot(), func(row func(...any) error) (s string, err error) { return s, row(&s) },
		`SELECT type FROM events WHERE instance_id = ? AND type LIKE 'instance.%' ORDER BY id`, string(id)))(b.t)
}

func pointer[T any](v T) *T { return &v }
