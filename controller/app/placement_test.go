package app_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/fleet/fleettest"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// scripted makes a node over HTTP whose agent follows a script, and waits until
// it is online. The agent does as it is told.
func (b *bundle) scripted(name string, memory int, more object) (*fleettest.Agent, ident.Node) {
	b.t.Helper()
	agent := fleettest.Listen(b.t)
	agent.Obey()
	body := object{"name": name, "address": agent.Host(), "port": agent.Port(), "memory": memory, "disk": 1 << 20}
	maps.Copy(body, more)
	var made struct {
		Node      struct{ ID ident.Node }
		Enrolment struct{ Key string }
	}
	b.call(adminKey, "POST", "/api/v1/nodes", body).data(http.StatusCreated, &made)
	key, err := wire.ParseEnrolmentKey(made.Enrolment.Key)
	if err != nil {
		b.t.Fatal(err)
	}
	request := wire.EnrolRequest{KeyID: key.ID, Nonce: "MDEyMzQ1Njc4OWFiY2RlZg", CSR: agent.CSR(), Agent: wire.EnrolAgent{Wire: wire.Version, Release: "scripted"}}
	request.MAC = key.SignRequest(request)
	let, err := b.app.Nodes.Enrol(b.t.Context(), request, netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		b.t.Fatal(err)
	}
	agent.Certify(b.t, let.Node, let.CA, let.Certificate)
	b.until("node "+name+" is online", func() bool { return b.app.Fleet.Online(made.Node.ID) })
	return agent, made.Node.ID
}

func (b *bundle) until(what string, holds func() bool) {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			b.t.Fatalf("waited for nothing: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// demo is an instance to deploy, with some fields changed.
func (b *bundle) demo(more object) object {
	b.t.Helper()
	admin, err := b.app.Users.UserByUsername(b.t.Context(), "admin")
	if err != nil {
		b.t.Fatal(err)
	}
	o := object{"name": "web", "owner_id": string(admin.ID), "reference": "berth/demo:1", "memory": 256, "cpu": 0.5, "disk": 1024}
	maps.Copy(o, more)
	return o
}

// deployed is the answer to a deploy.
type deployed struct {
	Instance struct {
		ID     string
		NodeID ident.Node `json:"node_id"`
		Ports  []struct{ Host, Container int }
	}
	Job struct{ ID string }
}

// hundred deploys a hundred times at once and counts the answers by status and
// code.
func (b *bundle) hundred(body func(n int) object) map[string]int {
	b.t.Helper()
	got := map[string]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for n := range 100 {
		o := body(n)
		all.Go(func() {
			a := b.call(adminKey, "POST", "/api/v1/instances", o)
			var refused struct {
				Error struct{ Code, Message string }
			}
			_ = json.Unmarshal([]byte(a.body), &refused)
			mu.Lock()
			defer mu.Unlock()
			got[strings.TrimSpace(fmt.Sprint(a.status, " ", refused.Error.Code))]++
			if a.status != http.StatusAccepted && refused.Error.Message == "" {
				b.t.Errorf("%s", a.body)
			}
		})
	}
	all.Wait()
	return got
}

// number reads one number from the database.
func (b *bundle) number(query string) int {
	b.t.Helper()
	n, err := store.Count(b.t.Context(), b.app.DB.Snapshot(), query)
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

// A hundred deploys at once on nodes with room for sixty: sixty instances, forty
// refusals, no node over its limit, no port twice; and every instance comes up.
func TestAHundredDeploysWithRoomForSixty(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		nodes int
		body  func(b *bundle, nodes []ident.Node, n int) object
	}{
		"ports that are named": {3, func(b *bundle, _ []ident.Node, n int) object {
			return b.demo(object{"ports": []object{{"container": 8080, "host": 30000 + n}}})
		}},
		"ports of the pool": {3, func(b *bundle, _ []ident.Node, _ int) object {
			return b.demo(object{"ports": []object{{"container": 8080}, {"container": 9090, "host": 0}}})
		}},
		"one node, named": {1, func(b *bundle, nodes []ident.Node, _ int) object {
			return b.demo(object{"node_id": nodes[0], "ports": []object{{"container": 8080}}})
		}},
		"tags": {4, func(b *bundle, _ []ident.Node, n int) object {
			return b.demo(object{"tags": []string{"eu"}, "ports": []object{{"container": 8080, "host": 30000 + n}}})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			var nodes []ident.Node
			for n := range c.nodes {
				more := object{"tags": []string{"eu"}}
				if n == 3 {
					more = object{"tags": []string{"us"}}
				}
				memory := 20 * 256
				if c.nodes == 1 {
					memory = 60 * 256
				}
				_, id := b.scripted(fmt.Sprint("node", n), memory, more)
				b.call(adminKey, "POST", "/api/v1/nodes/"+string(id)+"/allocations", object{"ports": []string{"40000-40199"}}).object(201)
				nodes = append(nodes, id)
			}
			got := b.hundred(func(n int) object { return c.body(b, nodes, n) })
			if want := map[string]int{"202": 60, "507 INSUFFICIENT_RESOURCES": 40}; !maps.Equal(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
			if n := b.number(`SELECT COUNT(*) FROM node_loads WHERE memory_mib > memory_room`); n != 0 {
				t.Errorf("%d nodes are over their limits", n)
			}
			if n := b.number(`SELECT COUNT(*) FROM instances`); n != 60 {
				t.Errorf("%d instances", n)
			}
			if n := b.number(`SELECT COUNT(*) FROM (SELECT 1 FROM allocations WHERE instance_id IS NOT NULL GROUP BY node_id, port HAVING COUNT(*) > 1)`); n != 0 {
				t.Errorf("%d ports are held twice", n)
			}
			if n := b.number(`SELECT COUNT(*) FROM instances i JOIN nodes n ON n.id = i.node_id WHERE n.tags LIKE '%us%'`); n != 0 {
				t.Errorf("%d instances are on the node without the tag", n)
			}
			b.until("all sixty run", func() bool {
				return b.number(`SELECT COUNT(*) FROM instances WHERE actual = 'running' AND phase = 'ready'`) == 60
			})
		})
	}
}

// The lowest free port of the pool is given, and a change keeps it.
func TestPortOfThePoolOverHTTP(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, id := b.scripted("a", 4096, nil)
	b.call(adminKey, "POST", "/api/v1/nodes/"+string(id)+"/allocations", object{"ports": []string{"40001", "40005"}}).object(201)
	var made deployed
	b.call(adminKey, "POST", "/api/v1/instances", b.demo(object{"ports": []object{{"container": 8080}}})).data(202, &made)
	if i := made.Instance; i.NodeID != id || len(i.Ports) != 1 || i.Ports[0].Host != 40001 || i.Ports[0].Container != 8080 {
		t.Fatalf("%+v", i)
	}
	b.until("it runs", func() bool { return b.number(`SELECT COUNT(*) FROM instances WHERE actual = 'running'`) == 1 })
	b.until("its job has ended", func() bool { return b.get("/api/v1/jobs/" + made.Job.ID).object(200)["state"] == "succeeded" })
	var changed deployed
	b.call(adminKey, "PATCH", "/api/v1/instances/"+made.Instance.ID, object{"ports": []object{{"container": 9090}, {"container": 8080}}}).data(202, &changed)
	if p := changed.Instance.Ports; len(p) != 2 || p[0].Host != 40005 || p[1].Host != 40001 {
		t.Errorf("%+v", p)
	}
	b.until("the change has ended", func() bool { return b.get("/api/v1/jobs/" + changed.Job.ID).object(200)["state"] == "succeeded" })
	before := b.rows()
	refused := b.call(adminKey, "POST", "/api/v1/instances", b.demo(object{"ports": []object{{"container": 8080}}}))
	if refused.status != 507 || !strings.Contains(refused.body, "enough free ports in its pool") || !maps.Equal(before, b.rows()) {
		t.Errorf("%d %s", refused.status, refused.body)
	}
}

// The database is put back to a copy from before a deploy: what the node then
// holds is a stray, which runs on; one is adopted, one is removed.
func TestStraysOverHTTP(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent, id := b.scripted("a", 4096, nil)
	spec := func(instance ident.Instance, port uint16) wire.Spec {
		return wire.Spec{
			Instance: instance, Generation: 3, Image: wire.ImageSpec{Reference: "berth/demo:1"}, Env: []string{},
			Limits: wire.Limits{MemoryMiB: 256, NanoCPUs: 5e8, DiskMiB: 1024}, Ports: []wire.Port{{IP: "0.0.0.0", Host: port, Container: 8080, Primary: true}},
			Volume: "/app/data", Power: wire.Power{Want: wire.WantRunning, Order: 1},
		}
	}
	for n, stray := range []ident.Instance{"0badcafe", "0badbeef"} {
		s := spec(stray, 30000+uint16(n))
		agent.Hold(s, fleettest.Done(s))
	}
	// The controller may know that the stream stands before the agent does.
	agent.Wait(t, "the stream", func() bool { return len(agent.Streams()) == 1 })
	agent.Drop()
	agent.Wait(t, "it is back", func() bool { return len(agent.Streams()) == 2 })
	b.until("it can be called again", func() bool { return b.app.Fleet.Online(id) })
	base := "/api/v1/nodes/" + string(id) + "/strays"
	type strayView struct {
		InstanceID string `json:"instance_id"`
		Actual     string
		Generation int
	}
	var list []strayView
	b.until("both are seen", func() bool { b.get(base).data(200, &list); return len(list) == 2 })
	if list[0].Actual != "running" || list[0].Generation != 3 {
		t.Errorf("%+v", list)
	}
	admin, err := b.app.Users.UserByUsername(t.Context(), "admin")
	if err != nil {
		t.Fatal(err)
	}
	owner := object{"owner_id": admin.ID}
	before := b.rows()
	for _, bad := range []struct {
		path   string
		body   any
		status int
	}{
		{"/0badcafe/remove", nil, 400},
		{"/0badcafe/remove", object{}, 422},
		{"/0badcafe/remove", object{"confirm": "0badbeef"}, 422},
		{"/0badcafe/remove", object{"confirm": "yes"}, 422},
		{"/0badf00d/remove", object{"confirm": "0badf00d"}, 404},
		{"/..%2f0badcafe/remove", object{"confirm": "0badcafe"}, 422},
		{"/0badcafe/adopt", object{}, 422},
		{"/0badcafe/adopt", object{"owner_id": "nobody"}, 422},
		{"/0badcafe/adopt", object{"owner_id": admin.ID, "image_id": "none"}, 422},
		{"/0badf00d/adopt", owner, 404},
	} {
		if a := b.call(adminKey, "POST", base+bad.path, bad.body); a.status != bad.status {
			t.Errorf("%s %v: %d %s, want %d", bad.path, bad.body, a.status, a.body, bad.status)
		}
	}
	if a := b.get("/api/v1/nodes/nobody/strays"); a.status != 404 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if !maps.Equal(before, b.rows()) || len(agent.Removals()) != 0 {
		t.Errorf("refused calls left something: %v, before %v", b.rows(), before)
	}

	var adopted deployed
	b.call(adminKey, "POST", base+"/0badcafe/adopt", owner).data(202, &adopted)
	b.until("the job has ended", func() bool { return b.get("/api/v1/jobs/" + adopted.Job.ID).object(200)["state"] == "succeeded" })
	if i := b.get("/api/v1/instances/0badcafe").object(200); i["status"] != "running" || i["name"] != "0badcafe" || i["generation"] != 4.0 {
		t.Errorf("%v", i)
	}
	if a := b.call(adminKey, "POST", base+"/0badcafe/adopt", owner); a.status != 404 {
		t.Errorf("a second time: %d %s", a.status, a.body)
	}
	job := b.call(adminKey, "POST", base+"/0badbeef/remove", object{"confirm": "0badbeef"}).object(202)
	b.until("it is removed", func() bool { return b.get("/api/v1/jobs/" + job["id"].(string)).object(200)["state"] == "succeeded" })
	b.get(base).data(200, &list)
	if removed := agent.Removals(); len(list) != 0 || len(removed) != 1 || removed[0].Instance != "0badbeef" || removed[0].Removal.Generation != 4 {
		t.Errorf("%+v, the node was told %+v", list, removed)
	}
}
