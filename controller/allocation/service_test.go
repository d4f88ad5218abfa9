package allocation_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

type bundle struct {
	t     *testing.T
	db    *store.DB
	ports *allocation.Service
}

// nodes finds the test's nodes: their rows are all that allocations need.
type nodes struct{}

func (nodes) Find(ctx context.Context, q store.Querier, id ident.Node) (node.Node, error) {
	n := node.Node{ID: id}
	err := q.QueryRowContext(ctx, `SELECT name, bind_address FROM nodes WHERE id = ?`, string(id)).Scan(&n.Name, &n.BindAddress)
	if err != nil {
		return n, problem.New(problem.NotFound, "there is no such node")
	}
	return n, nil
}

// setup makes a database with the nodes a and b, and the instances 00000000 to
// 0000003f (hex), all on a.
func setup(t *testing.T) *bundle {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "berth.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	b := &bundle{t: t, db: db, ports: allocation.NewService(db, event.New(time.Now), nodes{}, time.Now)}
	b.write(func(tx *store.Tx) error {
		statements := []string{
			`INSERT INTO users (id, username, email, password_hash, created_at, updated_at) VALUES ('u', 'u', 'u@example.test', '', 0, 0)`,
			`INSERT INTO images (id, name, reference, definition, created_seq, created_at, updated_at) VALUES ('i', 'i', 'i', '{}', 1, 0, 0)`,
			`INSERT INTO nodes (id, name, tags, address, port, bind_address, public_host, processor, memory_mib, disk_mib, created_at, updated_at)
				VALUES ('a', 'a', '[]', 'a', 1, '0.0.0.0', '', '', 1, 1, 0, 0), ('b', 'b', '[]', 'b', 1, '10.0.0.1', '', '', 1, 1, 0, 0)`,
		}
		for n := range 64 {
			statements = append(statements, fmt.Sprintf(`INSERT INTO instances (id, name, owner_id, node_id, image_id, reference, memory_mib, nano_cpus, disk_mib,
				variables, spec, generation, power, phase, actual, created_at, updated_at)
				VALUES ('%08x', 'n', 'u', 'a', 'i', 'i', 1, 1, 1, '{}', '{}', 1, 'stopped', 'ready', 'stopped', 0, 0)`, n))
		}
		for _, s := range statements {
			if _, err := tx.ExecContext(t.Context(), s); err != nil {
				return err
			}
		}
		return nil
	})
	return b
}

func (b *bundle) write(f func(tx *store.Tx) error) {
	b.t.Helper()
	if err := b.db.Write(b.t.Context(), f); err != nil {
		b.t.Fatal(err)
	}
}

var admin = access.Caller{Actor: access.Actor{Via: access.ViaKey, User: "admin"}, Admin: true, Scopes: []access.Scope{access.ScopeAdmin}}

func instance(n int) ident.Instance { return ident.Instance(fmt.Sprintf("%08x", n)) }

// mappings are these host ports, each to the same port inside, the first primary.
func mappings(ports ...uint16) []allocation.Mapping {
	var out []allocation.Mapping
	for n, p := range ports {
		out = append(out, allocation.Mapping{Host: p, Container: p, Primary: n == 0})
	}
	return out
}

func (b *bundle) claim(ctx context.Context, who int, ip string, ports ...uint16) (got []allocation.Allocation, err error) {
	err = b.db.Write(ctx, func(tx *store.Tx) error {
		got, err = b.ports.Claim(ctx, tx, allocation.ClaimRequest{Node: "a", Instance: instance(who), IP: ip, Ports: mappings(ports...)})
		return err
	})
	return got, err
}

func (b *bundle) add(ip string, ports ...string) allocation.Added {
	b.t.Helper()
	done, err := b.ports.Add(b.t.Context(), admin, "a", ip, ports)
	if err != nil {
		b.t.Fatal(err)
	}
	return done
}

// table is every allocation of node a, one line each.
func (b *bundle) table() []string {
	b.t.Helper()
	list, _, err := b.ports.List(b.t.Context(), allocation.Filter{Node: "a", Limit: 100})
	if err != nil {
		b.t.Fatal(err)
	}
	var out []string
	for _, a := range list {
		line := fmt.Sprintf("%s:%d", a.IP, a.Port)
		if a.Pooled {
			line += " pooled"
		}
		if a.Instance != "" {
			line += fmt.Sprintf(" %s>%d", strings.TrimLeft(string(a.Instance), "0"), a.ContainerPort)
		}
		if a.Primary {
			line += "*"
		}
		out = append(out, line)
	}
	return out
}

func (b *bundle) want(lines ...string) {
	b.t.Helper()
	if got := b.table(); !slices.Equal(got, lines) {
		b.t.Fatalf("the node has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
}

func wantProblem(t *testing.T, err error, code problem.Code, text string) {
	t.Helper()
	if p := problem.From(err); err == nil || p.Code != code || !strings.Contains(p.Message, text) {
		t.Fatalf("want %s with %q, have %v", code, text, err)
	}
}

func TestClaimMakesAndReleaseRemoves(t *testing.T) {
	t.Parallel()
	b := setup(t)
	got, err := b.claim(t.Context(), 1, "0.0.0.0", 25565, 8080)
	if err != nil || len(got) != 2 || got[0].Port != 25565 || got[0].IP != "0.0.0.0" || !got[0].Primary || got[1].Primary || got[1].ContainerPort != 8080 {
		t.Fatalf("%+v, %v", got, err)
	}
	b.want("0.0.0.0:8080 1>8080", "0.0.0.0:25565 1>25565*")
	held, err := allocation.Of(t.Context(), b.db.Snapshot(), instance(1))
	if err != nil || len(held) != 2 || held[0].Port != 25565 {
		t.Fatalf("in the order asked: %+v, %v", held, err)
	}
	b.write(func(tx *store.Tx) error { return b.ports.ReleaseAll(t.Context(), tx, instance(1)) })
	b.want()
	b.write(func(tx *store.Tx) error { return b.ports.ReleaseAll(t.Context(), tx, instance(1)) })
}

func TestClaimTakesThePoolFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add("10.0.0.2", "1000-1001")
	b.add("10.0.0.1", "1000")
	if got, err := b.claim(t.Context(), 1, "10.0.0.2", 1000); err != nil || got[0].IP != "10.0.0.2" {
		t.Fatalf("%+v, %v: want the one on its own address", got, err)
	}
	if got, err := b.claim(t.Context(), 2, "0.0.0.0", 1000); err != nil || got[0].IP != "10.0.0.1" {
		t.Fatalf("%+v, %v: want the other address of the pool", got, err)
	}
	_, err := b.claim(t.Context(), 3, "0.0.0.0", 1000)
	wantProblem(t, err, problem.Conflict, "port 1000 of the node is taken by instance 0000000")
	if got, err := b.claim(t.Context(), 3, "10.0.0.3", 1000); err != nil || got[0].IP != "10.0.0.3" || got[0].Pooled {
		t.Fatalf("%+v, %v: a third address is free", got, err)
	}
	b.want("10.0.0.1:1000 pooled 2>1000*", "10.0.0.2:1000 pooled 1>1000*", "10.0.0.3:1000 3>1000*", "10.0.0.2:1001 pooled")
	for n := range 4 {
		b.write(func(tx *store.Tx) error { return b.ports.ReleaseAll(t.Context(), tx, instance(n)) })
	}
	b.want("10.0.0.1:1000 pooled", "10.0.0.2:1000 pooled", "10.0.0.2:1001 pooled")
}

func TestOverlappingAddressesKeepEachOtherOut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		first, second string
		taken         bool
	}{
		{"0.0.0.0", "0.0.0.0", true}, {"0.0.0.0", "10.0.0.1", true}, {"10.0.0.1", "0.0.0.0", true}, {"::", "10.0.0.1", true},
		{"10.0.0.1", "10.0.0.1", true}, {"10.0.0.1", "10.0.0.2", false}, {"10.0.0.1", "2001:db8::1", false},
	} {
		b := setup(t)
		if _, err := b.claim(t.Context(), 1, c.first, 80); err != nil {
			t.Fatal(err)
		}
		_, err := b.claim(t.Context(), 2, c.second, 80)
		if problem.Is(err, problem.Conflict) != c.taken || (err == nil) == c.taken {
			t.Errorf("%s, then %s: %v", c.first, c.second, err)
		}
	}
}

// Add and Claim don't let it come to this; an older row or a hand may.
func TestFreePortBesideAHeldWildcardIsNotGiven(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add("10.0.0.1", "80")
	b.write(func(tx *store.Tx) error {
		_, err := tx.ExecContext(t.Context(), `INSERT INTO allocations (id, node_id, ip, port, pooled, instance_id, container_port, created_at)
			VALUES ('x', 'a', '0.0.0.0', 80, 0, '00000001', 80, 0)`)
		return err
	})
	_, err := b.claim(t.Context(), 2, "10.0.0.1", 80)
	wantProblem(t, err, problem.Conflict, "taken by instance 00000001")
}

func TestRefusedClaimTakesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add("", "1001")
	if _, err := b.claim(t.Context(), 1, "0.0.0.0", 1003); err != nil {
		t.Fatal(err)
	}
	_, err := b.claim(t.Context(), 2, "0.0.0.0", 1001, 1002, 1003)
	wantProblem(t, err, problem.Conflict, "port 1003 of the node is taken by instance 00000001; choose another")
	if p := problem.From(err); len(p.Fields) != 1 || p.Fields[0].Field != "ports" {
		t.Fatalf("%+v", p)
	}
	b.want("0.0.0.0:1001 pooled", "0.0.0.0:1003 1>1003*")
}

func TestHolderIsNamedOnlyToAdmins(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := b.claim(t.Context(), 1, "0.0.0.0", 80); err != nil {
		t.Fatal(err)
	}
	user := access.Caller{Actor: access.Actor{Via: access.ViaKey, User: "u"}, Scopes: []access.Scope{access.ScopeWrite}}
	_, err := b.claim(access.With(t.Context(), user), 2, "0.0.0.0", 80)
	wantProblem(t, err, problem.Conflict, "taken by another instance")
	_, err = b.claim(access.With(t.Context(), admin), 2, "0.0.0.0", 80)
	wantProblem(t, err, problem.Conflict, "taken by instance 00000001")
}

func TestParallelClaimsOfOnePortGiveItOnce(t *testing.T) {
	t.Parallel()
	for _, pooled := range []bool{true, false} {
		t.Run(fmt.Sprint("pooled ", pooled), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			if pooled {
				b.add("", "25565")
			}
			var wg sync.WaitGroup
			var mu sync.Mutex
			won := 0
			for n := range 50 {
				wg.Go(func() {
					_, err := b.claim(t.Context(), n, "0.0.0.0", 25565)
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						won++
					} else if !problem.Is(err, problem.Conflict) {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if won != 1 || len(b.table()) != 1 {
				t.Fatalf("%d claims won: %v", won, b.table())
			}
		})
	}
}

func TestOtherNodesPortsAreNotInTheWay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := b.claim(t.Context(), 1, "0.0.0.0", 80); err != nil {
		t.Fatal(err)
	}
	b.write(func(tx *store.Tx) error {
		_, err := b.ports.Claim(t.Context(), tx, allocation.ClaimRequest{Node: "b", Instance: instance(2), IP: "0.0.0.0", Ports: mappings(80)})
		return err
	})
}

func TestReplaceKeepsWhatStays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add("10.0.0.1", "1000")
	if _, err := b.claim(t.Context(), 2, "10.0.0.1", 1000); err != nil {
		t.Fatal(err)
	}
	b.add("10.0.0.2", "1000-1001")
	if got, err := b.claim(t.Context(), 1, "0.0.0.0", 1000, 1001, 2000); err != nil || got[0].IP != "10.0.0.2" {
		t.Fatalf("%+v, %v", got, err)
	}
	b.write(func(tx *store.Tx) error { return b.ports.ReleaseAll(t.Context(), tx, instance(2)) })
	replace := func(ports []allocation.Mapping) error {
		return b.db.Write(t.Context(), func(tx *store.Tx) error {
			_, err := b.ports.Replace(t.Context(), tx, allocation.ClaimRequest{Node: "a", Instance: instance(1), IP: "0.0.0.0", Ports: ports})
			return err
		})
	}
	if err := replace([]allocation.Mapping{{Host: 3000, Container: 30, Primary: true}, {Host: 1000, Container: 99}}); err != nil {
		t.Fatal(err)
	}
	after := []string{"10.0.0.1:1000 pooled", "10.0.0.2:1000 pooled 1>99", "10.0.0.2:1001 pooled", "0.0.0.0:3000 1>30*"}
	b.want(after...)
	if _, err := b.claim(t.Context(), 2, "0.0.0.0", 4000); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, replace(mappings(5000, 4000)), problem.Conflict, "port 4000")
	wantProblem(t, replace(mappings(5000, 5000)), problem.Validation, "twice")
	b.want(append(after, "0.0.0.0:4000 2>4000*")...)
	if err := replace(nil); err != nil {
		t.Fatal(err)
	}
	b.want("10.0.0.1:1000 pooled", "10.0.0.2:1000 pooled", "10.0.0.2:1001 pooled", "0.0.0.0:4000 2>4000*")
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ports []allocation.Mapping
		text  string
	}{
		"none":              {nil, ""},
		"one":               {mappings(80), ""},
		"no primary":        {[]allocation.Mapping{{Host: 80, Container: 80}}, "primary"},
		"two primaries":     {[]allocation.Mapping{{Host: 80, Container: 80, Primary: true}, {Host: 81, Container: 81, Primary: true}}, "primary"},
		"open host ports":   {[]allocation.Mapping{{Container: 80, Primary: true}, {Container: 80}}, ""},
		"container port 0":  {[]allocation.Mapping{{Host: 80, Primary: true}}, "1 to 65535"},
		"one host twice":    {mappings(80, 80), "port 80 of the node is there twice"},
		"a hundred and one": {make([]allocation.Mapping, 101), "at most 100 of them, not 101"},
	} {
		err := allocation.Check(c.ports)
		if (err == nil) != (c.text == "") || (err != nil && !strings.Contains(err.Error(), c.text)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
