package node_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// place is one that is ready for instances: enrolled and online, with 8 cores,
// 4096 MiB of memory and 40960 MiB of disk unless changed.
func (b *bundle) place(name string, edits ...func(*node.Spec)) ident.Node {
	b.t.Helper()
	s := spec(name)
	for _, edit := range edits {
		edit(&s)
	}
	n, _, err := b.nodes.Create(b.t.Context(), admin, s)
	if err != nil {
		b.t.Fatal(err)
	}
	b.exec(`UPDATE nodes SET enrolled_at = 1, certificate = 'c', hello = '{"engine": {"reachable": true, "cores": 8}}' WHERE id = ?`, string(n.ID))
	b.fleet.set(n.ID, fleet.Presence{Online: true})
	return n.ID
}

func (b *bundle) away(id ident.Node) { b.fleet.set(id, fleet.Presence{Reason: "refused"}) }

// load sets what a node's instances have.
func (b *bundle) load(id ident.Node, l node.Load) {
	b.t.Helper()
	b.exec(`UPDATE node_loads SET instances = ?, memory_mib = ?, disk_mib = ?, nano_cpus = ? WHERE node_id = ?`, l.Instances, l.MemoryMiB, l.DiskMiB, l.NanoCPUs, string(id))
}

// chosen places and gives the node's name.
func (b *bundle) chosen(w node.Want) (string, error) {
	b.t.Helper()
	var n node.Node
	err := b.db.Write(b.t.Context(), func(tx *store.Tx) (err error) {
		n, err = b.nodes.Place(b.t.Context(), tx, w)
		return err
	})
	return n.Name, err
}

func (b *bundle) want(name string, w node.Want) {
	b.t.Helper()
	if got, err := b.chosen(w); err != nil || got != name {
		b.t.Errorf("%+v goes to %q (%v), want %q", w, got, err, name)
	}
}

// refused places, which must fail, and gives the sentence.
func (b *bundle) refused(w node.Want, code problem.Code, parts ...string) {
	b.t.Helper()
	before := b.dump()
	name, err := b.chosen(w)
	if !problem.Is(err, code) {
		b.t.Errorf("%+v goes to %q (%v), want %s", w, name, err, code)
		return
	}
	for _, part := range parts {
		if message := problem.From(err).Message; !strings.Contains(message, part) {
			b.t.Errorf("%+v: %q, want %q in it", w, message, part)
		}
	}
	if b.dump() != before {
		b.t.Error("a refused placement left something behind")
	}
}

func small() node.Want { return node.Want{MemoryMiB: 256, DiskMiB: 1024, NanoCPUs: 5e8} }

func TestSpreadAndPack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	full, half, empty := b.place("full"), b.place("half"), b.place("empty")
	b.load(full, node.Load{Instances: 10, MemoryMiB: 3900, DiskMiB: 10240, NanoCPUs: 1e9})
	b.load(half, node.Load{Instances: 4, MemoryMiB: 2048, DiskMiB: 10240, NanoCPUs: 1e9})
	b.want("empty", small())
	b.want("half", node.Want{MemoryMiB: 256, DiskMiB: 1024, NanoCPUs: 5e8, Exclude: []ident.Node{empty}})
	b.nodes.Placement = node.Pack
	b.want("half", small()) // full has no room for it
	b.want("full", node.Want{MemoryMiB: 128, DiskMiB: 1024, NanoCPUs: 5e8})
	// What a node has least of counts: disk, then CPU.
	b.nodes.Placement = node.Spread
	b.load(empty, node.Load{Instances: 1, MemoryMiB: 0, DiskMiB: 30000})
	b.want("half", small())
	b.load(half, node.Load{Instances: 4, MemoryMiB: 2048, DiskMiB: 10240, NanoCPUs: 7e9})
	b.want("empty", small())
	// The cores don't limit, also when more than all of them are given away.
	b.load(half, node.Load{Instances: 4, NanoCPUs: 99e9})
	b.want("half", node.Want{MemoryMiB: 256, DiskMiB: 1024, NanoCPUs: 5e8, Exclude: []ident.Node{empty, full}})
}

func TestEqualNodesGoByInstancesThenName(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c, _, _ := b.place("c"), b.place("B"), b.place("a")
	b.want("a", small())
	b.nodes.Placement = node.Pack
	b.want("a", small())
	b.exec(`UPDATE node_loads SET instances = 1 WHERE node_id <> ?`, string(c))
	b.want("c", small())
}

func TestOvercommitmentAndReserve(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.place("a", func(s *node.Spec) {
		s.MemoryFactor, s.MemoryReserveMiB, s.DiskFactor, s.DiskReserveMiB = 1.5, 1000, 2, 960
	})
	// 4096 × 1.5 − 1000 = 5144; 40960 × 2 − 960 = 80960.
	b.load(id, node.Load{Instances: 1, MemoryMiB: 5000, DiskMiB: 80000})
	for _, on := range []ident.Node{"", id} {
		b.want("a", node.Want{MemoryMiB: 144, DiskMiB: 960, NanoCPUs: 8e9, On: on})
		b.refused(node.Want{MemoryMiB: 145, DiskMiB: 960, NanoCPUs: 1e9, On: on}, problem.InsufficientResources, "145", "144 MiB", "memory")
		b.refused(node.Want{MemoryMiB: 144, DiskMiB: 961, NanoCPUs: 1e9, On: on}, problem.InsufficientResources, "961", "960 MiB", "disk")
	}
	b.refused(node.Want{MemoryMiB: 144, DiskMiB: 960, NanoCPUs: 8e9 + 1}, problem.InsufficientResources, "8 cores left", "the most is 8, on a")
	b.refused(node.Want{MemoryMiB: 144, DiskMiB: 960, NanoCPUs: 9e9, On: id}, problem.Validation, "node a has 8 cores")
	if _, err := b.nodes.Change(t.Context(), admin, id, func(s *node.Spec) { s.CPUFactor = 2 }); err != nil {
		t.Fatal(err)
	}
	b.load(id, node.Load{Instances: 1, NanoCPUs: 145e8})
	for _, on := range []ident.Node{"", id} {
		b.want("a", node.Want{MemoryMiB: 1, DiskMiB: 1, NanoCPUs: 15e8, On: on})
		b.refused(node.Want{MemoryMiB: 1, DiskMiB: 1, NanoCPUs: 2e9, On: on}, problem.InsufficientResources, "2", "1.5", "cores")
	}
}

// A named node may be away; nothing else is forgiven.
func TestNamedNode(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.place("a", func(s *node.Spec) { s.Tags = []string{"eu"} })
	on := small()
	on.On = id
	b.away(id)
	b.want("a", on)
	b.refused(small(), problem.NodeOffline, "no node with room can be reached: a")

	tagged := on
	tagged.Tags = []string{"eu"}
	b.want("a", tagged)
	tagged.Tags = []string{"eu", "ssd"}
	b.refused(tagged, problem.Validation, `node a does not have the tag "ssd"`)
	b.refused(node.Want{On: "nowhere", MemoryMiB: 1, DiskMiB: 1}, problem.Validation, "node_id", "no such node")
	excluded := on
	excluded.Exclude = []ident.Node{id}
	b.refused(excluded, problem.Conflict, "node a is where it is already")

	b.maintain(id, true)
	b.refused(on, problem.Conflict, "node a is in maintenance and takes no new instances")
	b.maintain(id, false)
	b.want("a", on)
	if _, err := b.nodes.Revoke(t.Context(), admin, id); err != nil {
		t.Fatal(err)
	}
	b.refused(on, problem.Conflict, "its agent was shut out")
	fresh, _ := b.make("b")
	on.On = fresh.ID
	b.refused(on, problem.Conflict, "enrol its agent first")
}

func (b *bundle) maintain(id ident.Node, on bool) {
	b.t.Helper()
	err := b.db.Write(b.t.Context(), func(tx *store.Tx) error { return b.nodes.SetMaintenance(b.t.Context(), tx, admin.Actor, id, on) })
	if err != nil {
		b.t.Fatal(err)
	}
}

func TestWhyNoNodeIsChosen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.refused(small(), problem.InsufficientResources, "there is no node yet")
	b.make("new")
	b.refused(small(), problem.InsufficientResources, "none has an agent that is let in")
	a, other := b.place("a", func(s *node.Spec) { s.Tags = []string{"eu"} }), b.place("b", func(s *node.Spec) { s.Tags = []string{"ssd"} })
	tagged := small()
	tagged.Tags = []string{"ssd"}
	b.want("b", tagged)
	tagged.Tags = []string{"us"}
	b.refused(tagged, problem.Validation, `no node has the tag "us"`)
	tagged.Tags = []string{"eu", "ssd"}
	b.refused(tagged, problem.Validation, "no node has all of these tags: eu, ssd")

	b.load(a, node.Load{Instances: 3, MemoryMiB: 4000, DiskMiB: 0})
	b.load(other, node.Load{Instances: 3, MemoryMiB: 3900, DiskMiB: 40000})
	b.refused(node.Want{MemoryMiB: 256, DiskMiB: 100, NanoCPUs: 1e9}, problem.InsufficientResources, "no node has 256 MiB of memory left; the most is 196 MiB, on b")
	b.refused(node.Want{MemoryMiB: 128, DiskMiB: 2000, NanoCPUs: 1e9}, problem.InsufficientResources, "left together", "a, has 96 MiB", "40960 MiB")
	b.refused(node.Want{MemoryMiB: 64, DiskMiB: 1 << 20, NanoCPUs: 1e9}, problem.InsufficientResources, "of disk left; the most is 40960 MiB, on a")

	b.load(a, node.Load{})
	b.exec(`UPDATE nodes SET hello = '{"engine": {"reachable": false, "cores": 8}}' WHERE id = ?`, string(a))
	b.refused(small(), problem.NodeOffline, "the container engine of node a, the only one with room, does not answer")
	b.load(other, node.Load{})
	b.away(other)
	b.refused(small(), problem.NodeOffline, "no node with room can be reached: a and b")
	b.maintain(a, true)
	b.maintain(other, true)
	b.refused(small(), problem.InsufficientResources, "2 nodes in maintenance")
	b.maintain(other, false)
	alone := small()
	alone.Exclude = []ident.Node{other}
	b.maintain(a, false)
	alone.Tags = []string{"ssd"}
	b.refused(alone, problem.InsufficientResources, "no other node with the tags ssd")
}

// Fits is asked of nodes that have room, the best first, and only until it agrees.
func TestFitsIsAskedInOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for n := range 5 {
		id := b.place(fmt.Sprint("n", n))
		b.load(id, node.Load{Instances: n, MemoryMiB: int64(n) * 1000, DiskMiB: 1})
	}
	var asked []string
	agree := ""
	w := small()
	w.Fits = func(_ context.Context, _ *store.Tx, n node.Node) (bool, error) {
		asked = append(asked, n.Name)
		return n.Name == agree, nil
	}
	agree = "n2"
	b.want("n2", w)
	if !slices.Equal(asked, []string{"n0", "n1", "n2"}) {
		t.Errorf("asked %v", asked)
	}
	asked, agree = nil, ""
	_, err := b.chosen(w)
	if !errors.Is(err, node.ErrNoneFits) || !slices.Equal(asked, []string{"n0", "n1", "n2", "n3"}) { // n4 has no room
		t.Errorf("asked %v: %v", asked, err)
	}
	broken := errors.New("broken")
	w.Fits = func(context.Context, *store.Tx, node.Node) (bool, error) { return false, broken }
	if _, err := b.chosen(w); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

// Of many nodes of which the best are away, the first that is there is found.
func TestAllNodesAreLookedAtWhenTheBestAreAway(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for n := range 70 {
		id := b.place(fmt.Sprintf("n%02d", n))
		b.load(id, node.Load{Instances: n, MemoryMiB: int64(n), DiskMiB: 1})
		if n != 66 {
			b.away(id)
		}
	}
	b.want("n66", small())
	w := small()
	w.Fits = func(context.Context, *store.Tx, node.Node) (bool, error) { return false, nil }
	if _, err := b.chosen(w); !errors.Is(err, node.ErrNoneFits) {
		t.Errorf("%v", err)
	}
}

func TestGrow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.place("a", func(s *node.Spec) { s.CPUFactor = 1 })
	b.load(id, node.Load{Instances: 2, MemoryMiB: 4000, DiskMiB: 50000, NanoCPUs: 8e9}) // the disk is over its limit
	held := node.Amount{MemoryMiB: 1000, DiskMiB: 10000, NanoCPUs: 2e9}
	b.maintain(id, true)
	for _, c := range []struct {
		wanted node.Amount
		code   problem.Code
	}{
		{held, ""},
		{node.Amount{MemoryMiB: 1096, DiskMiB: 10000, NanoCPUs: 2e9}, ""},
		{node.Amount{MemoryMiB: 1097, DiskMiB: 10000, NanoCPUs: 2e9}, problem.InsufficientResources},
		{node.Amount{MemoryMiB: 500, DiskMiB: 5000, NanoCPUs: 1e9}, ""},
		{node.Amount{MemoryMiB: 1000, DiskMiB: 10001, NanoCPUs: 2e9}, problem.InsufficientResources},
		{node.Amount{MemoryMiB: 1000, DiskMiB: 10000, NanoCPUs: 21e8}, problem.InsufficientResources},
		{node.Amount{MemoryMiB: 1000, DiskMiB: 10000, NanoCPUs: 9e9}, problem.Validation},
	} {
		err := b.nodes.Grow(t.Context(), b.db.Snapshot(), id, held, c.wanted)
		if (c.code == "" && err != nil) || (c.code != "" && !problem.Is(err, c.code)) {
			t.Errorf("%+v: %v, want %q", c.wanted, err, c.code)
		}
	}
}

// hosted prepares what rows of instances refer to.
func (b *bundle) hosted() {
	b.t.Helper()
	b.exec(`INSERT INTO users (id, username, email, password_hash, created_at, updated_at) VALUES ('u', 'u', 'u@example.org', '', 0, 0)`)
	b.exec(`INSERT INTO images (id, name, reference, definition, created_seq, created_at, updated_at) VALUES ('i', 'i', 'i', '{}', 1, 0, 0)`)
}

const instanceColumns = `(id, name, owner_id, node_id, image_id, reference, memory_mib, nano_cpus, disk_mib, variables, spec, generation, power, phase, actual, created_at, updated_at)`

// The loads are the sums over instances and moves, and the room is what Capacity
// says, whatever was done.
func TestLoadsAreTheSums(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.hosted()
	var nodes []ident.Node
	for n := range 4 {
		nodes = append(nodes, b.place(fmt.Sprint("n", n)))
	}
	rng := rand.New(rand.NewPCG(3, 11))
	pick := func() string { return string(nodes[rng.IntN(len(nodes))]) }
	amount := func() int { return rng.IntN(1000) }
	some := func() string { return fmt.Sprintf("%08x", rng.IntN(40)) }
	for range 600 {
		switch rng.IntN(9) {
		case 0, 1, 2:
			b.exec(`INSERT INTO instances `+instanceColumns+` VALUES (?, 'x', 'u', ?, 'i', 'i', ?, ?, ?, '{}', '{}', 1, 'running', 'ready', 'running', 0, 0) ON CONFLICT DO NOTHING`,
				some(), pick(), amount(), amount()*1_000_000, amount())
		case 3:
			b.exec(`UPDATE instances SET memory_mib = ?, nano_cpus = ?, disk_mib = ? WHERE id = ?`, amount(), amount(), amount(), some())
		case 4:
			b.exec(`UPDATE instances SET node_id = ? WHERE id = ?`, pick(), some())
		case 5:
			b.exec(`DELETE FROM instances WHERE id = ?`, some())
		case 6:
			b.exec(`INSERT INTO moves (job_id, instance_id, from_node, to_node, stage, counts_on, memory_mib, disk_mib, nano_cpus, generation, created_at)
				VALUES (?1, ?1, ?2, ?3, 'copying', ?3, ?4, ?5, ?6, 1, 0) ON CONFLICT DO NOTHING`, some(), pick(), pick(), amount(), amount(), amount())
		case 7:
			b.exec(`UPDATE moves SET stage = 'leaving', counts_on = from_node, memory_mib = ? WHERE job_id = ?`, amount(), some())
		case 8:
			b.exec(`DELETE FROM moves WHERE job_id = ?`, some())
		}
		if _, err := b.nodes.Change(t.Context(), admin, nodes[rng.IntN(4)], func(s *node.Spec) {
			s.MemoryMiB, s.MemoryFactor, s.MemoryReserveMiB = 4096+int64(amount()), 1+rng.Float64(), int64(amount())
			s.DiskMiB, s.DiskFactor, s.DiskReserveMiB, s.CPUFactor = 40960+int64(amount()), 1+rng.Float64(), int64(amount()), float64(rng.IntN(3))
		}); err != nil {
			t.Fatal(err)
		}
	}
	wrong, err := store.Collect(t.Context(), b.db.Snapshot(), func(row func(...any) error) (s string, err error) { return s, row(&s) }, `
		SELECT l.node_id FROM node_loads l WHERE
			l.instances <> (SELECT COUNT(*) FROM instances i WHERE i.node_id = l.node_id)
			OR l.memory_mib <> (SELECT TOTAL(memory_mib) FROM instances i WHERE i.node_id = l.node_id) + (SELECT TOTAL(memory_mib) FROM moves m WHERE m.counts_on = l.node_id)
			OR l.disk_mib <> (SELECT TOTAL(disk_mib) FROM instances i WHERE i.node_id = l.node_id) + (SELECT TOTAL(disk_mib) FROM moves m WHERE m.counts_on = l.node_id)
			OR l.nano_cpus <> (SELECT TOTAL(nano_cpus) FROM instances i WHERE i.node_id = l.node_id) + (SELECT TOTAL(nano_cpus) FROM moves m WHERE m.counts_on = l.node_id)`)
	if err != nil || len(wrong) != 0 {
		t.Errorf("%v, %v", wrong, err)
	}
	if n, err := store.Count(t.Context(), b.db.Snapshot(), `SELECT COUNT(*) FROM node_loads WHERE instances > 0 AND memory_mib > 0`); err != nil || n != 4 {
		t.Errorf("%d nodes have a load: nothing was compared (%v)", n, err)
	}
	for _, n := range b.all() {
		var c node.Capacity
		row := b.db.Snapshot().QueryRowContext(t.Context(), `SELECT memory_room, disk_room, cpu_room, cores FROM node_loads WHERE node_id = ?`, string(n.ID))
		if err := row.Scan(&c.MemoryMiB, &c.DiskMiB, &c.NanoCPUs, &c.Cores); err != nil || c != n.Capacity() {
			t.Errorf("%+v, Capacity says %+v (%v)", c, n.Capacity(), err)
		}
	}
}

// BenchmarkPlace is a placement among 1,000 nodes with 100 instances each.
func BenchmarkPlace(bench *testing.B) {
	for _, by := range []node.Strategy{node.Spread, node.Pack} {
		bench.Run(string(by), func(bench *testing.B) {
			b := crowd(bench)
			b.nodes.Placement = by
			err := b.db.Write(bench.Context(), func(tx *store.Tx) error {
				for bench.Loop() {
					if _, err := b.nodes.Place(bench.Context(), tx, small()); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				bench.Fatal(err)
			}
		})
	}
}

// crowd is a bundle with 1,000 nodes that are online, with 100 instances each.
func crowd(bench *testing.B) *bundle {
	b := setup(bench)
	b.hosted()
	b.exec(`WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1000)
		INSERT INTO nodes (id, name, tags, address, port, bind_address, public_host, processor, memory_mib, disk_mib, certificate, enrolled_at, hello, created_at, updated_at)
		SELECT printf('6f9619ff-8b86-4d01-b42d-%012d', n), 'node-' || n, '["eu"]', '10.0.0.1', 8443, '0.0.0.0', '', '', 65536, 1048576, 'c', 1,
			'{"node":"6f9619ff-8b86-4d01-b42d-00cf4fc964ff","wire":2,"release":"0.1.0","engine":{"reachable":true,"name":"docker","version":"28.5","os":"Debian","cores":16}}', 0, 0 FROM n`)
	b.exec(`WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < 99999)
		INSERT INTO instances ` + instanceColumns + ` SELECT printf('%08x', n), 'x', 'u', printf('6f9619ff-8b86-4d01-b42d-%012d', 1 + n % 1000), 'i', 'i',
			abs(random()) % 600, 1000000000, abs(random()) % 9000, '{}', '{}', 1, 'running', 'ready', 'running', 0, 0 FROM n`)
	for _, n := range b.all() {
		b.fleet.set(n.ID, fleet.Presence{Online: true})
	}
	return b
}
