package allocation_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

func TestPoolIsFilledOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := b.claim(t.Context(), 1, "0.0.0.0", 1001); err != nil {
		t.Fatal(err)
	}
	if done := b.add("", "1000-1002"); done != (allocation.Added{Made: 2, Present: 1}) {
		t.Fatalf("%+v", done)
	}
	if done := b.add("0.0.0.0", "1002", "1000-1003", "1003"); done != (allocation.Added{Made: 1, Present: 3}) {
		t.Fatalf("%+v", done)
	}
	b.write(func(tx *store.Tx) error { return b.ports.ReleaseAll(t.Context(), tx, instance(1)) })
	b.want("0.0.0.0:1000 pooled", "0.0.0.0:1001 pooled", "0.0.0.0:1002 pooled", "0.0.0.0:1003 pooled") // 1001 stays, it is the pool's now
	_, err := b.ports.Add(t.Context(), admin, "a", "10.0.0.1", []string{"999-1000"})
	wantProblem(t, err, problem.Conflict, "port 1000 is there on 0.0.0.0 already, which overlaps with 10.0.0.1")
	if len(b.table()) != 4 {
		t.Fatalf("a refused call left something behind: %v", b.table())
	}
}

func TestPoolOfTenThousand(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if done := b.add("", "1000-10999"); done.Made != 10_000 {
		t.Fatalf("%+v", done)
	}
	if done := b.add("", "1000-10999"); done.Present != 10_000 || done.Made != 0 {
		t.Fatalf("%+v", done)
	}
	_, err := b.ports.Add(t.Context(), admin, "a", "", []string{"20000-30000"})
	wantProblem(t, err, problem.Validation, "at most 10000 ports")
}

func TestPoolsThatCannotBe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, c := range []struct {
		node  ident.Node
		ip    string
		ports []string
		code  problem.Code
		text  string
	}{
		{"nobody", "", []string{"80"}, problem.NotFound, "no such node"},
		{"a", "localhost", []string{"80"}, problem.Validation, "ip"},
		{"a", "fe80::1%eth0", []string{"80"}, problem.Validation, "ip"},
		{"a", "", []string{"80", "0"}, problem.Validation, "ports[1]"},
		{"a", "", []string{"9-1"}, problem.Validation, "ends before it begins"},
		{"a", "", []string{"1-70000"}, problem.Validation, "ports[0]"},
	} {
		_, err := b.ports.Add(t.Context(), admin, c.node, c.ip, c.ports)
		wantProblem(t, err, c.code, c.text)
	}
	if done, err := b.ports.Add(t.Context(), admin, "b", "", []string{"80"}); err != nil || done.Made != 1 {
		t.Fatal(done, err)
	}
	list, total, err := b.ports.List(t.Context(), allocation.Filter{Node: "b", Limit: 9})
	if err != nil || total != 1 || list[0].IP != "10.0.0.1" {
		t.Fatalf("the node's bind address is the default: %+v, %v", list, err)
	}
	b.want()
}

func TestDeleteTakesFreeOnesOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add("", "80-81")
	if _, err := b.claim(t.Context(), 1, "0.0.0.0", 80); err != nil {
		t.Fatal(err)
	}
	list, _, err := b.ports.List(t.Context(), allocation.Filter{Node: "a", Limit: 9})
	if err != nil {
		t.Fatal(err)
	}
	held, free := list[0].ID, list[1].ID
	wantProblem(t, b.ports.Delete(t.Context(), admin, "a", held), problem.Conflict, "instance 00000001 uses port 80")
	wantProblem(t, b.ports.Delete(t.Context(), admin, "b", free), problem.NotFound, "no such allocation") // through its own node only
	wantProblem(t, b.ports.Delete(t.Context(), admin, "a", "nobody"), problem.NotFound, "no such allocation")
	if err := b.ports.Delete(t.Context(), admin, "a", free); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, b.ports.Delete(t.Context(), admin, "a", free), problem.NotFound, "no such allocation")
	b.want("0.0.0.0:80 pooled 1>80*")
}

func TestListNarrows(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add("", "80-85")
	if _, err := b.claim(t.Context(), 1, "0.0.0.0", 81, 83); err != nil {
		t.Fatal(err)
	}
	for use, want := range map[string]string{"": "80 81 82 83 84 85", "free": "80 82 84 85", "used": "81 83"} {
		list, total, err := b.ports.List(t.Context(), allocation.Filter{Node: "a", Use: use, Limit: 9})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range list {
			got = append(got, fmt.Sprint(a.Port))
		}
		if strings.Join(got, " ") != want || total != len(got) {
			t.Errorf("%q: %v of %d", use, got, total)
		}
	}
	if list, total, err := b.ports.List(t.Context(), allocation.Filter{Node: "a", Limit: 2, Offset: 4}); err != nil || total != 6 || len(list) != 2 || list[0].Port != 84 {
		t.Errorf("%+v of %d, %v", list, total, err)
	}
	_, _, err := b.ports.List(t.Context(), allocation.Filter{Node: "nobody", Limit: 9})
	wantProblem(t, err, problem.NotFound, "no such node")
}
