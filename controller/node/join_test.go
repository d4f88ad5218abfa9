package node_test

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/shared/problem"
)

func TestJoinKeyMakesNodes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.make("joiner")
	e, err := b.nodes.NewJoinKey(t.Context(), admin, node.Join{Name: "rack 4", Uses: 4, Tags: []string{"eu", "ssd"}})
	if err != nil {
		t.Fatal(err)
	}
	key := b.parse(e)
	long := strings.Repeat("é", 64)
	for _, name := range []string{"joiner", "JOINER", "", long} {
		r := b.request(key)
		r.Agent.Name = name
		r.MAC = key.SignRequest(r)
		if _, err := b.nodes.Enrol(t.Context(), r, netip.MustParseAddr("::ffff:192.0.2.77")); err != nil {
			t.Fatal(err)
		}
	}
	r := b.request(key)
	_, err = b.nodes.Enrol(t.Context(), r, home)
	wantProblem(t, err, problem.Forbidden, "used already")
	nodes := b.all()
	var names []string
	for _, n := range nodes {
		names = append(names, n.Name)
	}
	slices.Sort(names)
	if want := []string{"JOINER-3", "joiner", "joiner-2", "node", long}; !slices.Equal(names, want) {
		t.Fatalf("the nodes are called %q", names)
	}
	for _, n := range nodes {
		if n.Name == "joiner" {
			continue
		}
		if n.Address != "192.0.2.77" || n.Port != 8443 || n.MemoryMiB != 2048 || n.DiskMiB != 20480 || n.BindAddress != "0.0.0.0" ||
			!slices.Equal(n.Tags, []string{"eu", "ssd"}) || n.Certificate == "" {
			t.Errorf("a node that joined is %+v", n)
		}
	}
}

func TestLongNamesThatAreTakenAreCut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	e, err := b.nodes.NewJoinKey(t.Context(), admin, node.Join{Uses: 2})
	if err != nil {
		t.Fatal(err)
	}
	key := b.parse(e)
	for range 2 {
		r := b.request(key)
		r.Agent.Name = strings.Repeat("é", 64)
		r.MAC = key.SignRequest(r)
		if _, err := b.nodes.Enrol(t.Context(), r, home); err != nil {
			t.Fatal(err)
		}
	}
	names := []string{b.all()[0].Name, b.all()[1].Name}
	if !slices.Contains(names, strings.Repeat("é", 62)+"-2") {
		t.Fatalf("the nodes are called %q", names)
	}
}

func TestParallelJoinsStayWithinTheCount(t *testing.T) {
	t.Parallel()
	b := setup(t)
	e, err := b.nodes.NewJoinKey(t.Context(), admin, node.Join{Uses: 10})
	if err != nil {
		t.Fatal(err)
	}
	key := b.parse(e)
	var wg sync.WaitGroup
	var mu sync.Mutex
	let := 0
	for range 50 {
		r := b.request(key)
		wg.Go(func() {
			_, err := b.nodes.Enrol(t.Context(), r, home)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				let++
			case !problem.Is(err, problem.Forbidden):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if let != 10 || len(b.all()) != 10 {
		t.Fatalf("%d were let in, %d nodes are there", let, len(b.all()))
	}
}

func TestJoinKeysEnd(t *testing.T) {
	t.Parallel()
	b := setup(t)
	e, err := b.nodes.NewJoinKey(t.Context(), admin, node.Join{Name: "short", Uses: 1000, Life: 2 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	gone, err := b.nodes.NewJoinKey(t.Context(), admin, node.Join{Name: "gone"})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.nodes.DeleteJoinKey(t.Context(), admin, gone.KeyID); err != nil {
		t.Fatal(err)
	}
	_, err = b.nodes.Enrol(t.Context(), b.request(b.parse(gone)), home)
	wantProblem(t, err, problem.Unauthorized, "not known here")
	wantProblem(t, b.nodes.DeleteJoinKey(t.Context(), admin, gone.KeyID), problem.NotFound, "no such join key")
	b.clock.Add(2 * time.Hour)
	_, err = b.nodes.Enrol(t.Context(), b.request(b.parse(e)), home)
	wantProblem(t, err, problem.Forbidden, "ran out at 2026-11-22T14:00:00Z")
	if keys, total, err := b.nodes.JoinKeys(t.Context(), 50, 0); err != nil || total != 1 || keys[0].Name != "short" || keys[0].UsesLeft != 1000 {
		t.Fatalf("join keys %+v of %d, %v", keys, total, err)
	}
	b.clock.Add(8 * 24 * time.Hour)
	b.make("another") // making a key forgets the ones that ran out long ago
	if _, total, err := b.nodes.JoinKeys(t.Context(), 50, 0); err != nil || total != 0 {
		t.Fatalf("%d join keys are kept, %v", total, err)
	}
	if len(b.all()) != 1 {
		t.Fatalf("nodes: %+v", b.all())
	}
}

func TestNodesOwnKeyCannotBeDeletedAsAJoinKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, key := b.make("a")
	wantProblem(t, b.nodes.DeleteJoinKey(t.Context(), admin, key.ID), problem.NotFound, "no such join key")
	if _, err := b.nodes.Enrol(t.Context(), b.request(key), home); err != nil {
		t.Fatal(err)
	}
}

func TestJoinKeysThatCannotBe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	before := b.dump()
	for _, j := range []node.Join{
		{Uses: -1}, {Uses: 1001}, {Life: time.Minute}, {Life: 721 * time.Hour}, {Name: strings.Repeat("x", 65)}, {Name: "a\x00"}, {Tags: []string{"a,b"}},
	} {
		if _, err := b.nodes.NewJoinKey(t.Context(), admin, j); !problem.Is(err, problem.Validation) {
			t.Errorf("%+v: %v", j, err)
		}
	}
	if b.dump() != before {
		t.Error("something was made")
	}
}
