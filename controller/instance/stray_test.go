package instance_test

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/fleet/fleettest"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const lost = ident.Instance("0badcafe")

// lostSpec is what the node knows of an instance that this database doesn't.
func lostSpec() wire.Spec {
	return wire.Spec{
		Instance: lost, Generation: 5, Image: wire.ImageSpec{Reference: "example/game:2", Command: []string{"run", "its own"}}, Env: []string{"OLD=1"},
		Limits: wire.Limits{MemoryMiB: 256, NanoCPUs: 1e9, DiskMiB: 2048}, Ports: []wire.Port{{IP: "0.0.0.0", Host: 31000, Container: 8080, Primary: true}},
		Volume: "/srv", Drift: wire.DriftReport, Stop: wire.Stop{Command: "stop", GraceSeconds: 10}, Power: wire.Power{Want: wire.WantRunning, Order: 4}, Copied: true,
	}
}

func lostHolding(spec wire.Spec) wire.Holding {
	return wire.Holding{Instance: spec.Instance, Generation: spec.Generation, State: fleettest.Done(spec)}
}

// astray has the node show up with the lost instance.
func (b *bundle) astray() wire.Spec {
	spec := lostSpec()
	b.agents.hold(spec)
	b.reconcile(lostHolding(spec))
	return spec
}

func (b *bundle) strays() []instance.Stray {
	b.t.Helper()
	items, total, err := b.instances.Strays(b.t.Context(), b.node, 50, 0)
	if err != nil || total != len(items) {
		b.t.Fatalf("%d of %d, %v", len(items), total, err)
	}
	return items
}

// strayFacts gives the facts about the lost instance.
func (b *bundle) strayFacts() string {
	b.t.Helper()
	types := must(store.Collect(b.t.Context(), b.db.Snapshot(), func(row func(...any) error) (s string, err error) { return s, row(&s) },
		`SELECT type FROM events WHERE instance_id = ? AND type NOT LIKE 'job.%' ORDER BY id`, string(lost)))(b.t)
	return strings.Join(types, " ")
}

func TestStraysAreSeen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ours := b.ready()
	second := b.addNode("b")
	theirs, _ := b.begin(func(n *instance.New) { n.Node = second })
	spec := b.astray()
	all := []wire.Holding{holding(ours), lostHolding(spec), {Instance: "0badbeef", Generation: 1, Removing: true}}
	b.reconcile(all...)
	list := b.strays()
	if len(list) != 1 || list[0].Instance != lost || list[0].Generation != 5 || list[0].State.Actual != wire.ActualRunning || list[0].FoundAt.IsZero() {
		t.Fatalf("%+v", list)
	}
	found := list[0].FoundAt
	// What the node says of it is taken over; what it says of others' is not.
	state := fleettest.Done(spec)
	state.Actual = wire.ActualCrashed
	b.say(b.node, wire.Event{Type: wire.EventState, Instance: lost, Generation: 6, State: &state})
	b.say(theirs.Node, wire.Event{Type: wire.EventState, Instance: lost, Generation: 9, State: &state})
	b.say(theirs.Node, wire.Event{Type: wire.EventRemoved, Instance: lost})
	if list = b.strays(); len(list) != 1 || list[0].Generation != 6 || list[0].State.Actual != wire.ActualCrashed {
		t.Errorf("%+v", list)
	}
	b.reconcile(all...)
	if list = b.strays(); len(list) != 1 || !list[0].FoundAt.Equal(found) || list[0].State.Actual != wire.ActualRunning {
		t.Errorf("%+v", list)
	}
	b.reconcile(holding(ours)) // removed by hand, or by another controller
	if list = b.strays(); len(list) != 0 {
		t.Errorf("%+v", list)
	}
	if got := b.strayFacts(); got != "node.stray_found" {
		t.Errorf("told %s", got)
	}
	if _, n := b.agents.told(lost); n != 0 || b.agents.removals(lost) != 0 {
		t.Error("it was not left alone")
	}
}

func TestAdopt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	spec := b.astray()
	i, j, err := b.instances.Adopt(t.Context(), b.admin, b.node, lost, instance.Adoption{Owner: b.owner.User, Name: "back again"})
	if err != nil {
		t.Fatal(err)
	}
	if i.ID != lost || i.Name != "back again" || i.Owner != b.owner.User || i.Image != b.image || i.Reference != "example/game:2" || i.MemoryMiB != 256 ||
		i.NanoCPUs != 1e9 || i.DiskMiB != 2048 || i.Generation != 6 || i.Drift != wire.DriftReport || i.Power != wire.WantRunning || i.Phase != instance.Ready || i.Status() != "running" {
		t.Errorf("%+v", i)
	}
	want := spec
	want.Generation, want.Copied = 6, false
	told := b.handed(lost)
	if told.Power != spec.Power || told.Volume != "/srv" || !slices.Equal(told.Env, want.Env) || !slices.Equal(told.Image.Command, want.Image.Command) || told.Generation != 6 || told.Copied {
		t.Errorf("the node is told\n%+v\nwant\n%+v", told, want)
	}
	b.carryOut(lost)
	b.ended(j, job.Succeeded)
	if len(b.strays()) != 0 {
		t.Error("it is a stray still")
	}
	if got := b.strayFacts(); got != "node.stray_found instance.adopted" {
		t.Errorf("told %s", got)
	}
	// From now on it is as any other: seen by its owner, its port its own, its room counted.
	if _, err := b.instances.Get(t.Context(), b.owner, lost); err != nil {
		t.Error(err)
	}
	b.deny(problem.Conflict, "port 31000 of the node is taken by instance 0badcafe", ports(31000))
	b.deny(problem.InsufficientResources, "node a has 768 MiB", func(n *instance.New) { n.MemoryMiB = 769 })
	b.reconcile(holding(b.get(lost)))
	_, j, err = b.instances.Change(t.Context(), b.owner, lost, instance.Patch{Variables: &map[string]string{"MAP": "sea"}})
	if err != nil {
		t.Fatal(err)
	}
	if told := b.handed(lost); !slices.Equal(told.Image.Command, []string{"run", "sea"}) || told.Ports[0].Host != 31000 {
		t.Errorf("after a change: %+v", told)
	}
	b.carryOut(lost)
	b.ended(j, job.Succeeded)
	b.remove(lost)
}

func TestAdoptRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ours := b.ready(ports(31000))
	_, told := b.agents.told(ours.ID)
	spec := b.astray()
	b.until("what isn't held is told anew", func() bool { _, n := b.agents.told(ours.ID); return n > told })
	mine := instance.Adoption{Owner: b.owner.User}
	deny := func(what string, code problem.Code, message string, on ident.Node, id ident.Instance, a instance.Adoption) {
		t.Helper()
		p := b.nothing(what, code, func() error {
			_, _, err := b.instances.Adopt(t.Context(), b.admin, on, id, a)
			return err
		})
		if !strings.Contains(p.Message, message) {
			t.Errorf("%s: %q, want %q in it", what, p.Message, message)
		}
		if len(b.strays()) != 1 {
			t.Errorf("%s: the stray is gone", what)
		}
	}
	deny("a port that is taken", problem.Conflict, "port 31000 of the node is taken", b.node, lost, mine)
	deny("no such node", problem.NotFound, "no such node", "nowhere", lost, mine)
	deny("another node's", problem.NotFound, "node b holds no such stray", b.addNode("b"), lost, mine)
	deny("no stray", problem.NotFound, "holds no such stray", b.node, "0badbeef", mine)
	deny("a bad name", problem.Validation, "name", b.node, lost, instance.Adoption{Owner: b.owner.User, Name: "a\x00"})
	deny("no owner", problem.Validation, "no such user", b.node, lost, instance.Adoption{Owner: "nobody"})
	deny("no image", problem.Validation, "no such image", b.node, lost, instance.Adoption{Owner: b.owner.User, Image: "none"})
	b.agents.answer(offline())
	deny("away", problem.NodeOffline, "node a is offline", b.node, lost, mine)
	b.agents.answer(nil)

	for what, edit := range map[string]func(*wire.Spec){
		"another instance's": func(s *wire.Spec) { s.Instance = "0badbeef" },
		"no limits":          func(s *wire.Spec) { s.Limits = wire.Limits{} },
		"no power":           func(s *wire.Spec) { s.Power.Want = "" },
		"no policy":          func(s *wire.Spec) { s.Drift = "x" },
		"no address":         func(s *wire.Spec) { s.Ports = []wire.Port{{IP: "x", Host: 1, Container: 1, Primary: true}} },
		"no port":            func(s *wire.Spec) { s.Ports = []wire.Port{{IP: "0.0.0.0", Container: 1, Primary: true}} },
	} {
		bad := spec
		edit(&bad)
		b.agents.mu.Lock()
		b.agents.held[lost] = bad
		b.agents.mu.Unlock()
		deny(what, problem.Conflict, "can't be taken over", b.node, lost, mine)
	}
	spec.Image.Reference, spec.Ports = "example/unknown:1", nil
	b.agents.hold(spec)
	deny("an unknown reference", problem.Validation, "no image of the catalogue has the reference example/unknown:1", b.node, lost, mine)
	b.agents.mu.Lock()
	delete(b.agents.held, lost)
	b.agents.mu.Unlock()
	deny("only labels", problem.Conflict, "has the container of 0badcafe but not its settings", b.node, lost, mine)

	b.agents.hold(spec)
	if i, _, err := b.instances.Adopt(t.Context(), b.admin, b.node, lost, instance.Adoption{Owner: b.owner.User, Image: b.image}); err != nil || i.Name != string(lost) {
		t.Errorf("with the image named: %+v, %v", i, err)
	}
}

// Of many who adopt at once, one does.
func TestAdoptAtTheSameTime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.astray()
	var wait sync.WaitGroup
	results := make(chan error, 20)
	for range 20 {
		wait.Go(func() {
			_, _, err := b.instances.Adopt(t.Context(), b.admin, b.node, lost, instance.Adoption{Owner: b.owner.User})
			results <- err
		})
	}
	wait.Wait()
	close(results)
	fine := 0
	for err := range results {
		if err == nil {
			fine++
		} else if !problem.Is(err, problem.NotFound) {
			t.Error(err)
		}
	}
	if rows := b.rows(); fine != 1 || rows["instances"] != 1 || rows["allocations"] != 1 {
		t.Errorf("%d adopted it: %v", fine, rows)
	}
}

func TestRemoveStray(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.astray()
	b.agents.answer(offline())
	j, err := b.instances.RemoveStray(t.Context(), b.admin, b.node, lost)
	if err != nil {
		t.Fatal(err)
	}
	b.waiting(j)
	before := b.rows()
	if _, err := b.instances.RemoveStray(t.Context(), b.admin, b.node, lost); !problem.Is(err, problem.ResourceBusy) {
		t.Errorf("a second time: %v", err)
	}
	b.agents.answer(nil)
	if _, _, err := b.instances.Adopt(t.Context(), b.admin, b.node, lost, instance.Adoption{Owner: b.owner.User}); !problem.Is(err, problem.ResourceBusy) {
		t.Errorf("adopted while it is being removed: %v", err)
	}
	if after := b.rows(); after["instances"] != before["instances"] {
		t.Errorf("%v, before %v", after, before)
	}
	b.reconcile(lostHolding(lostSpec())) // the node is back
	b.until("the node is told", func() bool { return b.agents.removals(lost) > 0 && b.job(j.ID).Handed })
	b.agents.mu.Lock()
	order := b.agents.orders[0]
	b.agents.mu.Unlock()
	if order.Generation != 6 {
		t.Errorf("told %+v", order)
	}
	h := lostHolding(lostSpec())
	h.Removing = true
	b.reconcile(h) // it has begun, and the connection broke
	b.until("the node is told again", func() bool { return b.agents.removals(lost) > 1 && b.job(j.ID).Handed })
	if len(b.strays()) != 1 {
		t.Error("it is forgotten before it is gone")
	}
	b.say(b.node, wire.Event{Type: wire.EventRemoved, Instance: lost})
	b.ended(j, job.Succeeded)
	if len(b.strays()) != 0 || b.strayFacts() != "node.stray_found node.stray_removed" {
		t.Errorf("%+v, told %s", b.strays(), b.strayFacts())
	}
	if _, err := b.instances.RemoveStray(t.Context(), b.admin, b.node, lost); !problem.Is(err, problem.NotFound) {
		t.Errorf("%v", err)
	}
	rows := b.rows()
	b.say(b.node, wire.Event{Type: wire.EventRemoved, Instance: lost}) // sent twice
	if !maps.Equal(rows, b.rows()) {
		t.Errorf("%v, before %v", b.rows(), rows)
	}
}

// A pool's port that the stray has is the pool's again when it goes.
func TestAdoptedPortOfAPool(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.pool(b.node, "31000")
	b.astray()
	if _, _, err := b.instances.Adopt(t.Context(), b.admin, b.node, lost, instance.Adoption{Owner: b.owner.User}); err != nil {
		t.Fatal(err)
	}
	held := must(allocation.Of(t.Context(), b.db.Snapshot(), lost))(t)
	if len(held) != 1 || !held[0].Pooled || held[0].Port != 31000 || held[0].ContainerPort != 8080 {
		t.Errorf("%+v", held)
	}
}
