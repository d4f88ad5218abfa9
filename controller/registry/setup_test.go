package registry

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/roomtest"
	"github.com/berth-panel/berth/controller/secret"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("database/sql.(*DB).connectionOpener"))
}

const (
	hush    = "hush-hush-4711"
	private = "registry.example.com:5000"
)

// world is the rooms around, scripted.
type world struct {
	t      *testing.T
	dir    string
	db     *store.DB
	events *event.Log
	log    roomtest.Log
	svc    *Service

	mu        sync.Mutex
	instances []instance.Listed
	images    []image.Image
	nodes     []ident.Node
	offline   map[ident.Node]bool
	since     map[ident.Node]time.Time
	failing   int                  // calls that fail from now on
	old       bool                 // agents that don't know the call
	ahead     map[ident.Node]int64 // revisions that nodes hold already
	pushed    map[ident.Node][]wire.Registries
	tried     []wire.Registry
}

func setup(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), nodes: []ident.Node{"n1", "n2"}, offline: map[ident.Node]bool{}, since: map[ident.Node]time.Time{},
		ahead: map[ident.Node]int64{}, pushed: map[ident.Node][]wire.Registries{}}
	w.instances = []instance.Listed{
		{ID: "00000001", Node: "n1", Image: "i1", Reference: private + "/team/game:1"}, {ID: "00000002", Node: "n1", Image: "i2", Reference: "redis:7"},
		{ID: "00000003", Node: "n2", Image: "i3", Reference: "other.example/x"},
	}
	w.images = []image.Image{{ID: "i1"}, {ID: "i2"}, {ID: "i3", Definition: image.Definition{Script: &image.Script{Image: "scripts.example/installer"}}}}
	w.db, w.events = roomtest.StoreIn(t, w.dir), event.New(time.Now)
	w.svc = w.service(w.dir)
	return w
}

// service makes one with the key of that directory.
func (w *world) service(dir string) *Service {
	w.t.Helper()
	box, err := secret.Open(dir)
	roomtest.Must(w.t, err)
	return NewService(Deps{DB: w.db, Events: w.events, Secrets: box, Instances: w, Images: catalogue{w}, Nodes: machines{w}, Fleet: w,
		Log: w.log.Logger(), Now: time.Now})
}

// run runs the service until the test ends.
func (w *world) run() { roomtest.Run(w.t, w.svc.Run) }

func (w *world) edit(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *world) tell(t event.Type, n ident.Node) {
	w.t.Helper()
	roomtest.Tell(w.t, w.db, w.events, event.Event{Type: t, Node: n})
}

func (w *world) add(host string) Registry {
	w.t.Helper()
	r, err := w.svc.Add(w.t.Context(), access.Local(), host, "anna", hush)
	roomtest.Must(w.t, err)
	return r
}

func (w *world) count(n ident.Node) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.pushed[n])
}

// hosts are those that a node was told last.
func (w *world) hosts(n ident.Node) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.pushed[n]
	if len(list) == 0 {
		return nil
	}
	hosts := []string{}
	for _, l := range list[len(list)-1].Logins {
		hosts = append(hosts, l.Host)
	}
	return hosts
}

func (w *world) knows(n ident.Node, hosts ...string) {
	w.t.Helper()
	if hosts == nil {
		hosts = []string{}
	}
	roomtest.Until(w.t, string(n)+" is told "+joined(hosts), func() bool { return slices.Equal(w.hosts(n), hosts) })
}

func joined(hosts []string) string {
	text, _ := json.Marshal(hosts) // texts
	return string(text)
}

func (w *world) List(_ context.Context, _ access.Caller, f instance.Filter) (out []instance.Listed, total int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, i := range w.instances {
		if f.Node == "" || f.Node == i.Node {
			out = append(out, i)
		}
	}
	return out, len(out), nil
}

type catalogue struct{ w *world }

func (c catalogue) All(context.Context) ([]image.Image, error) {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	return slices.Clone(c.w.images), nil
}

type machines struct{ w *world }

func (m machines) All(context.Context) (out []node.Node, err error) {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	for _, id := range m.w.nodes {
		out = append(out, node.Node{ID: id, Name: "node " + string(id)})
	}
	return out, nil
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
		return problem.New(problem.NodeOffline, "node %s is offline", n)
	case w.old:
		return problem.New(problem.NotFound, "no such call")
	case w.failing > 0:
		w.failing--
		return problem.New(problem.Internal, "a call failed")
	}
	switch in := in.(type) {
	case wire.Registries:
		held := max(in.Revision, w.ahead[n])
		if held == in.Revision {
			w.ahead[n] = held
			w.pushed[n] = append(w.pushed[n], in)
		}
		*(out.(*wire.RegistriesHeld)) = wire.RegistriesHeld{Revision: held}
	case wire.Registry:
		w.tried = append(w.tried, in)
		*(out.(*wire.RegistryChecked)) = wire.RegistryChecked{Status: wire.RegistryOK, Message: "taken, " + path}
	}
	return nil
}
