package classic_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/fleet/fleettest"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

func newNode(change object) object {
	o := object{"name": "one", "tags": "eu,ssd", "ram": "16", "disk": "100", "processor": "EPYC", "address": "node.example.org", "port": "8443"}
	for name, value := range change {
		if value == nil {
			delete(o, name)
		} else {
			o[name] = value
		}
	}
	return o
}

func TestCreateNode(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := b.post(adminKey, "/api/nodes/create", newNode(nil)).object(201)
	n, _ := made["Message"].(object)
	if len(made) != 1 || n == nil {
		t.Fatalf("got %v", made)
	}
	id, key, command := n["id"].(string), n["configureKey"].(string), n["configureCommand"].(string)
	if id == "" || !strings.HasPrefix(key, "berth-enrol.") || !strings.Contains(command, key) || !strings.Contains(command, "http://controller.test") {
		t.Errorf("got %v", n)
	}
	delete(n, "configureKey")
	delete(n, "configureCommand")
	want := object{"id": id, "name": "one", "tags": "eu,ssd", "ram": "16", "disk": "100", "processor": "EPYC", "address": "node.example.org",
		"port": "8443", "status": "Unconfigured", "versionFamily": "", "versionRelease": ""}
	if !maps.Equal(n, want) {
		t.Errorf("got  %v\nwant %v", n, want)
	}
	listed := b.get(adminKey, "/api/nodes")
	if l := listed.list(200); len(l) != 1 || !maps.Equal(l[0], want) {
		t.Errorf("listed %v", l)
	}
	if strings.Contains(listed.body, "berth-enrol") || strings.Contains(listed.body, "configureKey") {
		t.Errorf("the list holds the key: %s", listed.body)
	}
	kept := must(b.nodes.Get(t.Context(), ident.Node(id)))(t)
	if kept.MemoryMiB != 16*1024 || kept.DiskMiB != 100*1024 {
		t.Errorf("it has %d and %d MiB", kept.MemoryMiB, kept.DiskMiB)
	}
}

func TestCreateNodeTakesWhatClientsSend(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for n, c := range []struct{ send, show object }{
		{object{"ram": 16, "disk": 100, "port": 8443}, object{"ram": "16", "disk": "100", "port": "8443"}},
		{object{"ram": "0.5", "disk": "1.5"}, object{"ram": "0.5", "disk": "1.5"}},
		{object{"ram": "16GB", "disk": " 100 gb "}, object{"ram": "16", "disk": "100"}},
		{object{"tags": " eu , ssd, "}, object{"tags": "eu,ssd"}},
		{object{"tags": []string{"eu", "ssd"}}, object{"tags": "eu,ssd"}},
		{object{"address": "192.0.2.7", "extra": "ignored"}, object{"address": "192.0.2.7"}},
	} {
		body := newNode(c.send)
		body["name"] = fmt.Sprint("node", n)
		made := b.post(adminKey, "/api/nodes/create", body).object(201)["Message"].(object)
		for name, want := range c.show {
			if made[name] != want {
				t.Errorf("%v: %s is %v, want %v", c.send, name, made[name], want)
			}
		}
	}
}

func TestCreateNodeRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.post(adminKey, "/api/nodes/create", newNode(nil)).object(201)
	for _, c := range []struct {
		body any
		text string
	}{
		{nil, "name, tags, ram, disk, processor, address and port are required"},
		{newNode(object{"ram": nil}), "ram is required"},
		{newNode(object{"tags": "", "port": nil}), "tags and port are required"},
		{newNode(object{"name": "x", "ram": "64 potatoes"}), `ram: "64 potatoes" is not a size in GB`},
		{newNode(object{"name": "x", "disk": "-1"}), `disk: "-1" is not a size in GB`},
		{newNode(object{"name": "x", "disk": true}), "disk: must be a number, or text that is one"},
		{newNode(object{"name": "x", "port": "80x"}), `port: "80x" is not a whole number`},
		{newNode(object{"name": "x", "port": 0}), "port: a number from 1 to 65535"},
		{newNode(object{"name": "x", "port": 65536}), "port: a number from 1 to 65535"},
		{newNode(object{"name": 5}), "name: must be text"},
		{newNode(object{"name": "x", "tags": 5}), "tags: must be text"},
		{newNode(nil), `there is a node named "one" already`},
	} {
		a := b.post(adminKey, "/api/nodes/create", c.body)
		if c.text == `there is a node named "one" already` {
			if a.status != 400 || !strings.Contains(a.body, "already") {
				t.Errorf("a name that is taken: %d %s", a.status, a.body)
			}
			continue
		}
		a.says(400, c.text)
	}
	for _, odd := range []object{{"name": "a\u0000b"}, {"name": strings.Repeat("x", 10000)}, {"address": "not a host"}, {"ram": "0"}, {"ram": "999999999"}, {"tags": strings.Repeat("x", 5000)}} {
		if a := b.post(adminKey, "/api/nodes/create", newNode(odd)); a.status != 400 {
			t.Errorf("%.80v: %d %s", odd, a.status, a.body)
		}
	}
	if a := b.post(adminKey, "/api/nodes/create", newNode(object{"name": "x", "ram": "0"})); !strings.HasPrefix(a.body, `{"error":"ram: `) {
		t.Errorf("no ram at all: %s", a.body)
	}
	if n := b.rows("nodes"); n != 1 {
		t.Errorf("%d nodes are there", n)
	}
}

func TestDeleteNode(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.host("one")
	id := b.deploy(h, b.admin, 30001)
	for _, key := range []string{adminKey, b.v03} {
		b.delete(key, "/api/nodes/delete", nil).says(400, "nodeId is required")
		b.delete(key, "/api/nodes/delete", object{"nodeId": "none"}).says(400, "Node not found")
		b.delete(key, "/api/nodes/delete", object{"nodeId": 5}).says(400, "nodeId: must be text")
		if a := b.delete(key, "/api/nodes/delete", object{"nodeId": h.id}); a.status != 400 || !strings.Contains(a.body, "instance") {
			t.Errorf("with an instance on it: %d %s", a.status, a.body)
		}
	}
	b.delete(adminKey, "/api/instance/delete", object{"id": id}).object(201)
	b.delete(adminKey, "/api/nodes/delete", object{"nodeId": h.id}).is(201, `{"Message":"The node has been deleted"}`)
	b.delete(adminKey, "/api/nodes/delete", object{"nodeId": h.id}).says(400, "Node not found")
	if l := b.get(adminKey, "/api/nodes").list(200); len(l) != 0 {
		t.Errorf("still listed: %v", l)
	}
}

// A node's way: made, let in, connected, gone, back, shut out. Instances show
// each step at once, though no commit says that a node has gone.
func TestNodeStatus(t *testing.T) {
	t.Parallel()
	b := setup(t)
	status := func() any { b.t.Helper(); return b.get(adminKey, "/api/nodes").list(200)[0]["status"] }
	agent := fleettest.Listen(t)
	made := b.post(adminKey, "/api/nodes/create", newNode(object{"address": agent.Host(), "port": agent.Port()})).object(201)["Message"].(object)
	h := host{Agent: agent, id: made["id"].(string)}
	if got := status(); got != "Unconfigured" {
		t.Errorf("before the enrolment: %v", got)
	}
	agent.Obey()
	b.enrol(agent, made["configureKey"].(string))
	b.online(h, true)
	if got := status(); got != "Online" {
		t.Errorf("connected: %v", got)
	}
	node := b.get(adminKey, "/api/nodes").list(200)[0]
	if node["versionFamily"] != fmt.Sprint(wire.Version) || node["versionRelease"] != "scripted" {
		t.Errorf("versions: %v", node)
	}
	b.deploy(h, b.admin, 30001)
	seen := func() any {
		return b.get(adminKey, "/api/instances").list(200)[0]["Node"].(object)["status"]
	}
	if got := seen(); got != "Online" {
		t.Errorf("an instance's node: %v", got)
	}
	agent.Stop()
	b.online(h, false)
	if got, inside := status(), seen(); got != "Offline" || inside != "Offline" {
		t.Errorf("gone: %v, in an instance %v", got, inside)
	}
	agent.Start(t)
	b.online(h, true)
	if got, inside := status(), seen(); got != "Online" || inside != "Online" {
		t.Errorf("back: %v, in an instance %v", got, inside)
	}
	if _, err := b.nodes.Revoke(b.asAdmin(), adminCaller(), ident.Node(h.id)); err != nil {
		t.Fatal(err)
	}
	if got, inside := status(), seen(); got != "Unknown" || inside != "Unknown" {
		t.Errorf("shut out: %v, in an instance %v", got, inside)
	}
}

// Let in, but never seen yet.
func TestNodeConfigured(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := fleettest.Listen(t)
	agent.Stop() // nobody answers at its port
	made := b.post(adminKey, "/api/nodes/create", newNode(object{"address": agent.Host(), "port": agent.Port()})).object(201)["Message"].(object)
	b.enrolOnly(agent, made["configureKey"].(string))
	n := b.get(adminKey, "/api/nodes").list(200)[0]
	if n["status"] != "Configured" {
		t.Errorf("got %v", n)
	}
	b.until("the fleet has tried it", func() bool { return b.fleet.Presence(ident.Node(made["id"].(string))).Reason != "" })
	keys := slices.Sorted(maps.Keys(n))
	if !slices.Equal(keys, []string{"address", "disk", "id", "name", "port", "processor", "ram", "status", "tags", "versionFamily", "versionRelease"}) {
		t.Errorf("a node has the fields %v", keys)
	}
}
