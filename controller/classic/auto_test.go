package classic_test

import (
	"fmt"
	"maps"
	"net/http"
	"sync"
	"testing"

	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/shared/ident"
)

// auto is a deploy that leaves the node open.
func auto(owner ident.User, port int, change object) object {
	o := order(host{}, owner, port, change)
	o["nodeId"] = "auto"
	return o
}

func TestDeployAnywhere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one, two := b.host("one"), b.host("two")
	on := map[any]int{}
	for n, key := range []string{adminKey, b.v03, adminKey, b.v03} {
		made := b.post(key, "/api/instances/deploy", auto(b.admin, 30000+n, nil)).object(201)
		on[made["nodeId"]]++
		h := one
		if made["nodeId"] == two.id {
			h = two
		}
		if s := b.spec(h, made["volumeId"]); s.Limits.MemoryMiB != 256 {
			t.Errorf("%+v", s)
		}
		if shown := b.instance(made["volumeId"].(string))["Node"].(object); shown["id"] != made["nodeId"] {
			t.Errorf("the answer says %v, the instance is on %v", made["nodeId"], shown["id"])
		}
	}
	if on[one.id] != 2 || on[two.id] != 2 {
		t.Errorf("not spread: %v", on)
	}
	// The port decides: it is taken on both, then on one.
	b.post(adminKey, "/api/instances/deploy", order(one, b.admin, 31000, nil)).object(201)
	if made := b.post(adminKey, "/api/instances/deploy", auto(b.admin, 31000, nil)).object(201); made["nodeId"] != two.id {
		t.Errorf("on %v, where the port is taken", made["nodeId"])
	}
	instances := b.rows("instances")
	for _, key := range []string{adminKey, b.v03} {
		b.post(key, "/api/instances/deploy", auto(b.admin, 31000, nil)).
			says(400, "port 31000 is taken on every node that has room; choose another, or name none to get a free one of the pool")
		b.post(key, "/api/instances/deploy", auto(b.admin, 32000, object{"memory": "20000"})).
			says(400, "no node has 20000 MiB of memory left; the most is 15616 MiB, on one") // 3 of 256 on each
		b.post(key, "/api/instances/deploy", auto(b.admin, 32000, object{"cpu": "9"})).says(400, "no node has 9 cores left; the most is 8, on one")
	}
	if n := b.rows("instances"); n != instances {
		t.Errorf("refused deploys left %d instances", n-instances)
	}
	one.Stop()
	b.online(one, false)
	if made := b.post(adminKey, "/api/instances/deploy", auto(b.admin, 32000, nil)).object(201); made["nodeId"] != two.id {
		t.Errorf("on %v, which is away", made["nodeId"])
	}
	two.Stop()
	b.online(two, false)
	a := b.post(adminKey, "/api/instances/deploy", auto(b.admin, 33000, nil))
	if a.status != 500 || a.object(500)["details"] != "no node with room can be reached: one and two" {
		t.Errorf("%d %s", a.status, a.body)
	}
	b.post(adminKey, "/api/instances/deploy", order(host{id: "Auto"}, b.admin, 33000, nil)).says(400, "Invalid node")
}

// A hundred at once where there is room for sixty.
func TestDeployAnywhereAtTheSameTime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, name := range []string{"one", "two", "three"} {
		h := b.host(name)
		edit := func(s *node.Spec) { s.MemoryMiB = 20 * 256 }
		if _, err := b.nodes.Change(t.Context(), adminCaller(), ident.Node(h.id), edit); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	got := map[int]int{}
	for n := range 100 {
		all.Go(func() {
			key := adminKey
			if n%2 == 1 {
				key = b.v03
			}
			body := fmt.Sprintf(`{"image":"berth/demo:1","memory":256,"cpu":1,"ports":"8080:%d","nodeId":"auto","name":"web","user":%q}`, 30000+n%40, b.admin)
			a, err := b.send(key, http.MethodPost, "/api/instances/deploy", body)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			got[a.status]++
		})
	}
	all.Wait()
	if want := map[int]int{201: 60, 400: 40}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if i, a := b.rows("instances"), b.rows("allocations"); i != 60 || a != 60 {
		t.Errorf("%d instances with %d ports are there", i, a)
	}
	if n := b.rows("node_loads WHERE memory_mib <> memory_room"); n != 0 {
		t.Errorf("%d nodes are not exactly full", n)
	}
}
