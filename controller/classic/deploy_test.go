package classic_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// spec waits for what the node was told of an instance.
func (b *bundle) spec(h host, id any) wire.Spec {
	b.t.Helper()
	return h.WaitSpec(b.t, fmt.Sprint("the spec of ", id), func(s wire.Spec) bool { return string(s.Instance) == id })
}

func TestDeploy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	anna := b.user("anna")
	h := b.host("one")
	for key := range map[string]bool{adminKey: true, b.v03: true} {
		made := b.post(key, "/api/instances/deploy", order(h, anna, 30001, object{"ports": "8080:30001, 9000:30002", "primary": "9000"})).object(201)
		id, _ := made["volumeId"].(string)
		if !ident.Instance(id).Valid() {
			t.Fatalf("got %v", made)
		}
		want := object{
			"message": "The instance is being installed", "volumeId": id, "state": "INSTALLING", "Id": id, "name": "web", "nodeId": h.id,
			"user": string(anna), "image": "berth/demo:1", "memory": 256.0, "cpu": 0.5, "ports": "8080:30001,9000:30002", "primary": "9000",
		}
		if !maps.Equal(made, want) {
			t.Errorf("got  %v\nwant %v", made, want)
		}
		s := b.spec(h, id)
		if s.Limits != (wire.Limits{MemoryMiB: 256, NanoCPUs: 500_000_000, DiskMiB: 5120}) || s.Image.Reference != "berth/demo:1" || s.Power.Want != wire.WantRunning {
			t.Errorf("the node was told %+v", s)
		}
		if ports := []wire.Port{{IP: "0.0.0.0", Host: 30001, Container: 8080}, {IP: "0.0.0.0", Host: 30002, Container: 9000, Primary: true}}; !slices.Equal(s.Ports, ports) {
			t.Errorf("the node was told the ports %+v", s.Ports)
		}
		if !slices.Contains(s.Env, "GREETING=hi") || !slices.Contains(s.Env, "PRIMARY_PORT=9000") {
			t.Errorf("the node was told the environment %v", s.Env)
		}
		b.delete(adminKey, "/api/instance/delete", object{"id": id}).object(201)
	}
}

// Numbers and text, both spellings of primary, both forms of variables, and
// fields that nobody knows.
func TestDeployTakesWhatClientsSend(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.host("one")
	for n, c := range []struct {
		change  object
		memory  int64
		nano    int64
		primary uint16
		env     string
	}{
		{object{"memory": 512, "cpu": 1}, 512, 1e9, 8080, "GREETING=hi"},
		{object{"memory": " 512 ", "cpu": " 1.25 "}, 512, 1_250_000_000, 8080, "GREETING=hi"},
		{object{"memory": 512.0, "cpu": 0.01}, 512, 1e7, 8080, "GREETING=hi"},
		{object{"primary": 8080}, 256, 5e8, 8080, ""},
		{object{"primary": nil}, 256, 5e8, 8080, ""},
		{object{"primary": ""}, 256, 5e8, 8080, ""},
		{object{"ports": " 8080 : 30100 ,9000:30101", "primary": "9000:30101"}, 256, 5e8, 9000, ""},
		{object{"ports": "8080:30100,9000:30101", "primary": "30101"}, 256, 5e8, 9000, ""},
		{object{"variables": `{"GREETING":"as text","N":1e5,"T":true}`}, 256, 5e8, 8080, "GREETING=as text"},
		{object{"variables": object{"GREETING": 12}}, 256, 5e8, 8080, "GREETING=12"},
		{object{"variables": object{"GREETING": "{{PRIMARY_PORT}}\n$(id)"}}, 256, 5e8, 8080, "GREETING={{PRIMARY_PORT}}\n$(id)"},
		{object{"variables": nil}, 256, 5e8, 8080, "GREETING=Hello from Berth"},
		{object{"variables": ""}, 256, 5e8, 8080, "GREETING=Hello from Berth"},
		{object{"variables": "{}"}, 256, 5e8, 8080, "GREETING=Hello from Berth"},
		{object{"disk": "potatoes", "unknown": []int{1}, "imageData": object{}}, 256, 5e8, 8080, ""},
		{object{"image": nil, "imagename": "Demo"}, 256, 5e8, 8080, ""},
		{object{"image": "", "imagename": "demo"}, 256, 5e8, 8080, ""},
		{object{"imagename": ""}, 256, 5e8, 8080, ""},
		{object{"imagename": nil}, 256, 5e8, 8080, ""},
	} {
		o := order(h, b.admin, 30100, nil)
		maps.Copy(o, c.change) // nil stays in: null
		id := b.post(adminKey, "/api/instances/deploy", o).object(201)["Id"]
		s := b.spec(h, id)
		if s.Limits.MemoryMiB != c.memory || s.Limits.NanoCPUs != c.nano {
			t.Errorf("%d: %v: limits %+v", n, c.change, s.Limits)
		}
		for _, p := range s.Ports {
			if p.Primary != (p.Container == c.primary) {
				t.Errorf("%d: %v: ports %+v", n, c.change, s.Ports)
			}
		}
		if c.env != "" && !slices.Contains(s.Env, c.env) {
			t.Errorf("%d: %v: environment %q", n, c.change, s.Env)
		}
		b.delete(adminKey, "/api/instance/delete", object{"id": id}).object(201)
	}
}

// Which image answers: by name if there is one, else by reference; the first
// that was made where several share it.
func TestDeployFindsTheImage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.host("one")
	add := func(name string, references ...string) ident.Image {
		return must(b.images.Create(b.asAdmin(), adminCaller(), image.Image{Name: name, Definition: image.Definition{References: references}}))(t).ID
	}
	first := add("Game", "game:2", "game:1", "shared:1")
	second := add("Other", "other:1", "shared:1", "game:1")
	for _, c := range []struct {
		change    object
		image     ident.Image
		reference string
	}{
		{object{"image": "game:2"}, first, "game:2"},
		{object{"image": "game:1"}, first, "game:1"},
		{object{"image": "shared:1"}, first, "shared:1"},
		{object{"image": "other:1"}, second, "other:1"},
		{object{"image": "shared:1", "imagename": "Other"}, second, "shared:1"},
		{object{"image": "berth/demo:1", "imagename": "Other"}, second, "other:1"}, // the name wins
		{object{"image": nil, "imagename": "game"}, first, "game:2"},
	} {
		id := b.post(adminKey, "/api/instances/deploy", order(h, b.admin, 30100, c.change)).object(201)["Id"].(string)
		i := must(b.instances.Get(b.asAdmin(), adminCaller(), ident.Instance(id)))(t)
		if i.Image != c.image || i.Reference != c.reference {
			t.Errorf("%v: image %s, reference %s; want %s, %s", c.change, i.Image, i.Reference, c.image, c.reference)
		}
		b.delete(adminKey, "/api/instance/delete", object{"id": id}).object(201)
	}
}

func manyPorts(n int) string {
	list := make([]string, n)
	for k := range list {
		list[k] = fmt.Sprintf("%d:%d", 1000+k, 31000+k)
	}
	return strings.Join(list, ",")
}

func TestDeployRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.host("one")
	taken := b.deploy(h, b.admin, 30001)
	disabled := b.user("disabled")
	off := true
	must(b.users.UpdateUser(b.asAdmin(), disabled, identity.UserChange{Disabled: &off}))(t)
	events, jobs := b.rows("events"), b.rows("jobs")
	for _, c := range []struct {
		change object
		text   string
	}{
		{object{"memory": nil}, "memory is required"},
		{object{"memory": nil, "cpu": "", "user": nil}, "memory, cpu and user are required"},
		{object{"ports": nil, "nodeId": nil, "name": nil}, "ports, nodeId and name are required"},
		{object{"image": nil}, "image or imagename is required"},
		{object{"memory": 0}, "memory: 6 to 1073741824 MiB"},
		{object{"memory": "5"}, "memory: 6 to 1073741824 MiB"},
		{object{"memory": -1}, `memory: "-1" is not a whole number of MiB`},
		{object{"memory": "1000000000000000000"}, `memory: "1000000000000000000" is not a whole number of MiB`},
		{object{"memory": "100000000000000000"}, "memory: 6 to 1073741824 MiB"},
		{object{"memory": "12abc"}, `memory: "12abc" is not a whole number of MiB`},
		{object{"memory": "1e3"}, `memory: "1e3" is not a whole number of MiB`},
		{object{"memory": "NaN"}, `memory: "NaN" is not a whole number of MiB`},
		{object{"memory": true}, "memory: must be a number, or text that is one"},
		{object{"memory": []int{256}}, "memory: must be a number, or text that is one"},
		{object{"cpu": 0}, "cpu: 0.01 to 1024 cores"},
		{object{"cpu": "NaN"}, `cpu: "NaN" is not a number of cores`},
		{object{"cpu": "-1"}, `cpu: "-1" is not a number of cores`},
		{object{"cpu": "Infinity"}, `cpu: "Infinity" is not a number of cores`},
		{object{"cpu": 1025}, "cpu: 0.01 to 1024 cores"},
		{object{"cpu": 9}, "cpu: node one has 8 cores"},
		{object{"ports": "80"}, `ports: "80" is not of the form container:host, such as 25565:25565`},
		{object{"ports": "80:"}, `ports: "80:" is not of the form container:host, such as 25565:25565`},
		{object{"ports": "99999:1"}, `ports: "99999" is not a port: a number from 1 to 65535`},
		{object{"ports": "80:30002,81:30002", "primary": "80"}, "ports: port 30002 of the node is there twice"},
		{object{"ports": manyPorts(101), "primary": nil}, "ports: at most 100 of them"},
		{object{"ports": 8080}, "ports: must be text"},
		{object{"ports": []string{"80:80"}}, "ports: must be text"},
		{object{"primary": "81"}, "primary: port 81 is not among the ports"},
		{object{"primary": "8080:1"}, `primary: "8080:1" is not among the ports`},
		{object{"primary": "http"}, `primary: "http" is not a port: a number from 1 to 65535`},
		{object{"primary": true}, "primary: must be a number, or text that is one"},
		{object{"ports": "8080:30001"}, "port 30001 of the node is taken by instance " + taken + "; choose another"},
		{object{"user": "nobody"}, "User not found"},
		{object{"user": 1}, "user: must be text"},
		{object{"user": string(disabled)}, "user: "},
		{object{"image": "no/such:1"}, `image: no image of the catalogue has the reference "no/such:1"`},
		{object{"image": 5}, "image: must be text"},
		{object{"imagename": "No such"}, `imagename: the catalogue has no image named "No such"`},
		{object{"name": strings.Repeat("x", 10000)}, "name: "},
		{object{"name": "a\u0000b"}, "name: "}, {object{"name": "a\x1bb"}, "name: "}, {object{"name": 7}, "name: must be text"},
		{object{"variables": object{"A": object{"B": 1}}}, `variables: the value of "A" must be text, a number, true or false`},
		{object{"variables": object{"A": nil}}, `variables: the value of "A" must be text, a number, true or false`},
		{object{"variables": `{"A":[1]}`}, `variables: the value of "A" must be text, a number, true or false`},
		{object{"variables": "A=1"}, "variables: must be a JSON object, or text that is one"},
		{object{"variables": []string{"A=1"}}, "variables: must be a JSON object, or text that is one"},
		{object{"variables": object{"A=B": "x"}}, "variables: "}, {object{"variables": object{"": "x"}}, "variables: "},
		{object{"variables": object{"A\u0000": "x"}}, "variables: "}, {object{"variables": object{"A": "x\u0000y"}}, "variables.A: "},
		{object{"variables": object{"A": strings.Repeat("x", 33<<10)}}, "variables: names and values together may have at most 32 KiB"},
		{object{"memory": 17 << 10}, "node one has 16128 MiB of memory left, 17408 were asked for"},
	} {
		a := b.post(adminKey, "/api/instances/deploy", order(h, b.admin, 30002, c.change))
		if strings.HasSuffix(c.text, ": ") { // the sentence is another room's
			if a.status != 400 || !strings.HasPrefix(a.body, `{"error":"`+c.text) {
				t.Errorf("%.80v: %d %s", c.change, a.status, a.body)
			}
			continue
		}
		a.says(400, c.text)
	}
	if n := b.rows("instances"); n != 1 {
		t.Errorf("%d instances are there", n)
	}
	if n := b.rows("allocations"); n != 1 {
		t.Errorf("%d ports are held", n)
	}
	if e, j := b.rows("events"), b.rows("jobs"); e != events || j != jobs {
		t.Errorf("refused calls left %d events and %d jobs", e-events, j-jobs)
	}
	if n := len(h.Specs()); n != 1 {
		t.Errorf("the node was told %d specs", n)
	}
}

func TestDeployOnAnInvalidNode(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.host("one")
	for _, odd := range []string{"none", "../../x", "' OR 1=1 --"} {
		b.post(adminKey, "/api/instances/deploy", order(h, b.admin, 30001, object{"nodeId": odd})).says(400, "Invalid node")
		b.post(b.v03, "/api/instances/deploy", order(h, b.admin, 30001, object{"nodeId": odd})).says(404, "Invalid node")
	}
	// Only the node's miss is a 404 there.
	b.post(b.v03, "/api/instances/deploy", order(h, b.admin, 30001, object{"user": "nobody"})).says(400, "User not found")
	b.post(b.v03, "/api/instances/deploy", order(h, b.admin, 30001, object{"image": "no/such:1"})).says(400, `image: no image of the catalogue has the reference "no/such:1"`)
	b.post(b.v03, "/api/instances/deploy", nil).says(400, "memory, cpu, ports, nodeId, name and user are required")
}

// Fifty deploys on one port at once: one instance, and nothing of the others.
func TestDeployAtTheSameTimeOnOnePort(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.host("one")
	body := fmt.Sprintf(`{"image":"berth/demo:1","memory":64,"cpu":1,"ports":"8080:30001","nodeId":%q,"name":"web","user":%q}`, h.id, b.admin)
	got := map[int]int{}
	var id string
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			a, err := b.send(adminKey, http.MethodPost, "/api/instances/deploy", body)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			got[a.status]++
			if a.status == 201 {
				id = a.object(201)["Id"].(string)
			}
		})
	}
	all.Wait()
	if want := map[int]int{201: 1, 400: 49}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if listed := ids(b.get(adminKey, "/api/instances").list(200)); !slices.Equal(listed, []string{id}) {
		t.Errorf("listed are %v, deployed was %s", listed, id)
	}
	if i, a, j := b.rows("instances"), b.rows("allocations"), b.rows("jobs"); i != 1 || a != 1 || j != 1 {
		t.Errorf("%d instances, %d ports, %d jobs are there", i, a, j)
	}
}
