package instance_test

import (
	"context"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// anywhere leaves the node open.
func anywhere(n *instance.New) { n.Node = "" }

// inside are ports whose host port is left open.
func inside(containers ...uint16) func(*instance.New) {
	return func(n *instance.New) {
		n.Ports = nil
		for k, c := range containers {
			n.Ports = append(n.Ports, allocation.Mapping{Container: c, Primary: k == 0})
		}
	}
}

func (b *bundle) pool(on ident.Node, ports ...string) {
	b.t.Helper()
	must(b.ports.Add(b.t.Context(), b.admin, on, "", ports))(b.t)
}

// deny creates an instance, which must fail with that code and leave nothing.
func (b *bundle) deny(code problem.Code, message string, edits ...func(*instance.New)) {
	b.t.Helper()
	p := b.nothing(message, code, func() error {
		_, _, err := b.instances.Create(context.Background(), b.admin, b.order(edits...))
		return err
	})
	if !strings.Contains(p.Message, message) {
		b.t.Errorf("%q, want %q in it", p.Message, message)
	}
}

func TestNodeIsChosen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	second := b.addNode("b")
	i, j := b.begin(anywhere)
	if i.Node != b.node || j.Node != b.node { // equal ones go by name
		t.Errorf("on %s, its job on %s", i.Node, j.Node)
	}
	if i, _ := b.begin(anywhere); i.Node != second {
		t.Errorf("on %s: that isn't spread", i.Node)
	}
	b.setNode(func(s *node.Spec) { s.Tags = []string{"ssd"} })
	if i, _ := b.begin(anywhere, func(n *instance.New) { n.Tags = []string{"ssd"} }); i.Node != b.node {
		t.Errorf("on %s, without the tag", i.Node)
	}
	b.deny(problem.Validation, `no node has the tag "us"`, anywhere, func(n *instance.New) { n.Tags = []string{"us"} })
	b.deny(problem.Validation, `node b does not have the tag "ssd"`, func(n *instance.New) { n.Node, n.Tags = second, []string{"ssd"} })
	b.deny(problem.InsufficientResources, "no node has 1000 MiB of memory left; the most is 896 MiB, on b", anywhere, func(n *instance.New) { n.MemoryMiB = 1000 })
	b.links.cut(second)
	b.deny(problem.NodeOffline, "no node with room can be reached: b", anywhere, func(n *instance.New) { n.MemoryMiB = 800 })
}

// A named node may be away: the job waits for it. The automatic choice goes past it.
func TestNamedNodeMayBeAway(t *testing.T) {
	t.Parallel()
	b := setup(t)
	second := b.addNode("b")
	b.links.cut(b.node)
	if i, _ := b.begin(anywhere); i.Node != second {
		t.Errorf("on %s, which is away", i.Node)
	}
	b.agents.answer(offline())
	_, j := b.begin()
	b.waiting(j)
	b.agents.answer(nil)
	b.reconcile()
	b.until("the node is told", func() bool { return b.job(j.ID).Handed })
}

func TestMaintenanceTakesNoNewOnes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ready()
	b.write(func(tx *store.Tx) error { return b.nodes.SetMaintenance(t.Context(), tx, b.admin.Actor, b.node, true) })
	b.deny(problem.Conflict, "node a is in maintenance and takes no new instances")
	b.deny(problem.InsufficientResources, "1 node in maintenance", anywhere)
	j := b.power(i.ID, instance.Restart) // what is there goes on as ever
	b.carryOut(i.ID)
	b.ended(j, job.Succeeded)
	_, j, err := b.instances.Change(t.Context(), b.admin, i.ID, instance.Patch{MemoryMiB: pointer(int64(256))})
	if err != nil {
		t.Fatal(err)
	}
	b.carryOut(i.ID)
	b.ended(j, job.Succeeded)
	b.write(func(tx *store.Tx) error { return b.nodes.SetMaintenance(t.Context(), tx, b.admin.Actor, b.node, false) })
	b.begin()
}

func TestNodeIsChosenByItsPorts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	second := b.addNode("b")
	first, _ := b.begin(ports(25565)) // on a
	if i, _ := b.begin(anywhere, ports(25565)); i.Node != second {
		t.Errorf("on %s, where the port is taken", i.Node)
	}
	b.deny(problem.Conflict, "port 25565 is taken on every node that has room", anywhere, ports(25565))
	b.begin(ports(30000))
	b.begin(ports(30001), func(n *instance.New) { n.Node = second })
	b.deny(problem.Conflict, "every node that has room lacks one of these ports", anywhere, ports(30000, 30001))
	b.deny(problem.Conflict, "port 25565 of the node is taken by instance "+string(first.ID), ports(25565)) // named: by whom

	b.deny(problem.InsufficientResources, "enough free ports in its pool", anywhere, inside(8080))
	b.deny(problem.InsufficientResources, "the node's pool has no free port left", inside(8080))
	b.pool(second, "40000-40001")
	i, _ := b.begin(anywhere, inside(8080, 8081))
	if i.Node != second || len(i.Spec.Ports) != 2 || i.Spec.Ports[0].Host != 40000 || i.Spec.Ports[1].Host != 40001 || !i.Spec.Ports[0].Primary {
		t.Errorf("%+v", i.Spec.Ports)
	}
	b.deny(problem.InsufficientResources, "enough free ports", anywhere, inside(8080))
	b.pool(b.node, "40000")
	if i, _ := b.begin(anywhere, inside(8080)); i.Node != b.node || i.Spec.Ports[0].Host != 40000 {
		t.Errorf("%+v", i)
	}
}

// Whatever the way of choosing, 100 at once never go over what there is.
func TestChosenAtTheSameTime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	nodes := []ident.Node{b.node, b.addNode("b"), b.addNode("c")}
	for _, id := range nodes {
		b.pool(id, "40000-40099")
	}
	results := make(chan error, 100)
	for range 100 {
		go func() {
			_, _, err := b.instances.Create(context.Background(), b.admin, b.order(anywhere, inside(8080), func(n *instance.New) { n.MemoryMiB = 50 }))
			results <- err
		}()
	}
	fine := 0
	for range 100 {
		switch err := <-results; {
		case err == nil:
			fine++
		case !problem.Is(err, problem.InsufficientResources):
			t.Error(err)
		}
	}
	if fine != 60 {
		t.Errorf("%d instances of 50 MiB on three nodes of 1024", fine)
	}
	over := must(store.Count(t.Context(), b.db.Snapshot(), `SELECT COUNT(*) FROM (SELECT node_id FROM instances GROUP BY node_id HAVING SUM(memory_mib) <> 1000)`))(t)
	twice := must(store.Count(t.Context(), b.db.Snapshot(), `SELECT COUNT(*) FROM (SELECT 1 FROM allocations WHERE instance_id IS NOT NULL GROUP BY node_id, port HAVING COUNT(*) > 1)`))(t)
	if over != 0 || twice != 0 {
		t.Errorf("%d nodes with another load than 1000 MiB, %d ports held twice", over, twice)
	}
}

// A change of limits asks only for what is more, and a full node gives none.
func TestGrowthNeedsRoom(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ready(func(n *instance.New) { n.MemoryMiB = 512 })
	b.ready(func(n *instance.New) { n.MemoryMiB = 412 })
	change := func(memory int64) error {
		_, j, err := b.instances.Change(t.Context(), b.admin, i.ID, instance.Patch{MemoryMiB: &memory})
		if err == nil {
			b.carryOut(i.ID)
			b.ended(j, job.Succeeded)
		}
		return err
	}
	b.nothing("too much", problem.InsufficientResources, func() error { return change(613) })
	if err := change(612); err != nil {
		t.Error(err)
	}
	b.setNode(func(s *node.Spec) { s.MemoryMiB = 700 })
	b.nothing("more on a node that is over its limit", problem.InsufficientResources, func() error { return change(613) })
	if err := change(500); err != nil { // less is always allowed
		t.Error(err)
	}
}
