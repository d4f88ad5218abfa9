package sftp

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/roomtest"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("database/sql.(*DB).connectionOpener"))
}

// world is the rooms around, scripted.
type world struct {
	t      testing.TB
	db     *store.DB
	events *event.Log
	svc    *Service

	mu        sync.Mutex
	people    []identity.Person
	passwords map[string]string // by name
	factors   map[string]bool   // who has a second one
	instances []instance.Instance
	nodes     []ident.Node
	offline   map[ident.Node]bool
	since     map[ident.Node]time.Time // of the connection
	failing   int                      // calls that fail from now on
	ahead     map[ident.Node]int64     // revisions that nodes hold already
	pushed    map[ident.Node][]wire.Logins
}

func setup(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, passwords: map[string]string{"anna": "right", "bob": "right", "root": "right"}, nodes: []ident.Node{"n1", "n2"},
		offline: map[ident.Node]bool{}, since: map[ident.Node]time.Time{}, ahead: map[ident.Node]int64{}, pushed: map[ident.Node][]wire.Logins{}}
	w.people = []identity.Person{
		{ID: "u-anna", Username: "anna", Password: "s1", Keys: []string{"ssh-ed25519 A"}}, {ID: "u-bob", Username: "bob", Password: "s2"},
		{ID: "u-root", Username: "root", Admin: true, Password: "s3"}, {ID: "u-none", Username: "none", Password: "s4"},
	}
	w.instances = []instance.Instance{
		{ID: "00000001", Owner: "u-anna", Node: "n1", Phase: instance.Ready}, {ID: "00000002", Owner: "u-bob", Node: "n1", Phase: instance.Ready, Suspended: true, SuspendReason: "unpaid"},
		{ID: "00000003", Owner: "u-anna", Node: "n2", Phase: instance.Ready}, {ID: "00000004", Owner: "u-bob", Node: "n2", Phase: instance.Deleting},
		{ID: "00000005", Owner: "u-gone", Node: "n2", Phase: instance.Ready},
	}
	w.db, w.events = roomtest.Store(t), event.New(time.Now)
	var err error
	w.svc, err = New(Deps{DB: w.db, Events: w.events, Users: w, Instances: w, Nodes: w, Agents: w, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	roomtest.Must(t, err)
	return w
}

// run runs the service until the test ends.
func (w *world) run() { roomtest.Run(w.t, w.svc.Run) }

func (w *world) edit(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// tell appends a fact.
func (w *world) tell(t event.Type, n ident.Node) {
	w.t.Helper()
	roomtest.Tell(w.t, w.db, w.events, event.Event{Type: t, Node: n})
}

// count is how often a node was told.
func (w *world) count(n ident.Node) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.pushed[n])
}

func (w *world) last(n ident.Node) (all wire.Logins) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if list := w.pushed[n]; len(list) > 0 {
		all = list[len(list)-1]
	}
	return all
}

func (w *world) People(context.Context) ([]identity.Person, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.people), nil
}

func (w *world) LoginPerson(_ context.Context, name, password string) (identity.Person, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.people {
		switch {
		case p.Username != name || w.passwords[name] != password:
		case w.factors[name]:
			return identity.Person{}, problem.New(problem.Forbidden, "a second factor needs a key")
		default:
			return p, nil
		}
	}
	return identity.Person{}, problem.New(problem.Unauthorized, "wrong")
}

func (w *world) KeyHolder(context.Context, string, string) (identity.Person, error) {
	return identity.Person{}, problem.New(problem.NotFound, "nobody")
}

func (w *world) User(context.Context, ident.User) (identity.User, error) {
	return identity.User{Username: "anna"}, nil
}

func (w *world) OnNode(_ context.Context, node ident.Node) (tenures []instance.Tenure, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, i := range w.instances {
		if i.Node == node && i.Phase != instance.Deleting {
			tenures = append(tenures, instance.Tenure{ID: i.ID, Owner: i.Owner, Suspended: i.Suspended, SuspendReason: i.SuspendReason})
		}
	}
	return tenures, nil
}

func (w *world) Get(_ context.Context, _ access.Caller, id ident.Instance) (instance.Instance, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, i := range w.instances {
		if i.ID == id {
			return i, nil
		}
	}
	return instance.Instance{}, problem.New(problem.NotFound, "there is no such instance")
}

func (w *world) All(context.Context) (nodes []node.Node, err error) {
	for _, id := range w.nodes {
		nodes = append(nodes, node.Node{ID: id})
	}
	return nodes, nil
}

func (w *world) Find(_ context.Context, _ store.Querier, id ident.Node) (node.Node, error) {
	return node.Node{ID: id, Connection: node.Dial, PublicHost: "n.example"}, nil
}

func (w *world) Presence(n ident.Node) fleet.Presence {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fleet.Presence{Online: !w.offline[n], Since: w.since[n]}
}

func (w *world) Call(_ context.Context, n ident.Node, _, path string, in, out any) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.offline[n]:
		return problem.New(problem.NodeOffline, "offline")
	case w.failing > 0:
		w.failing--
		return errors.New("broken off")
	case path != "/v1/logins":
		return errors.New("another call")
	}
	all, ok := in.(wire.Logins)
	held, fits := out.(*wire.LoginsHeld)
	if !ok || !fits {
		return errors.New("another type")
	}
	if all.Revision < w.ahead[n] {
		held.Revision = w.ahead[n]
		return nil
	}
	w.ahead[n], held.Revision = all.Revision, all.Revision
	w.pushed[n] = append(w.pushed[n], all)
	return nil
}

func (w *world) Socket(context.Context, ident.Node, string) (*fleet.Socket, error) {
	return nil, problem.New(problem.NodeOffline, "this one has no sockets")
}
