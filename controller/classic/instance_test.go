package classic_test

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/fleet/fleettest"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestInstanceIsTheDocumentedObject(t *testing.T) {
	t.Parallel()
	b := setup(t)
	anna := b.user("anna")
	h := b.host("one")
	id := b.deploy(h, anna, 30001)
	got := b.instance(id)
	img := must(b.images.All(t.Context()))(t)[0]
	catalogue := object{}
	raw := must(json.Marshal(img.ToClassic()))(t)
	if err := json.Unmarshal(raw, &catalogue); err != nil {
		t.Fatal(err)
	}
	want := object{
		"Name": "web", "Id": id, "VolumeId": id, "Node": b.get(adminKey, "/api/nodes").list(200)[0], "User": string(anna), "InternalState": "READY",
		"ContainerId": "container-of-" + id, "Memory": 256.0, "Cpu": 0.5, "Disk": 5120.0, "Ports": "8080:30001", "Primary": "8080", "Image": "berth/demo:1",
		"AltImages": []any{}, "StopCommand": "stop", "imageData": catalogue, "Env": []any{"GREETING=hi", "PRIMARY_PORT=8080"}, "suspended": false,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	// The same everywhere it is shown.
	for what, a := range map[string]answer{
		"instances": b.get(adminKey, "/api/instances"), "getUserInstance": b.post(adminKey, "/api/getUserInstance", object{"userId": string(anna)}),
	} {
		if l := a.list(200); len(l) != 1 || !reflect.DeepEqual(l[0], want) {
			t.Errorf("%s: %v", what, l)
		}
	}
	for what, a := range map[string]answer{"suspend": b.post(adminKey, "/api/instances/suspend/"+id, nil), "unsuspend": b.post(adminKey, "/api/instances/unsuspend/"+id, nil)} {
		if o := a.object(200); len(o) != len(want) || o["Id"] != id {
			t.Errorf("%s: %v", what, o)
		}
	}
	list := b.get(adminKey, "/api/instances").body
	for _, secret := range []string{"configureKey", "berth-enrol", "certificate", "argon2"} {
		if strings.Contains(list, secret) {
			t.Errorf("an instance holds %q: %s", secret, list)
		}
	}
}

func TestGetInstanceInBothDialects(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.host("one")
	id := b.deploy(h, b.admin, 30001)
	for key, miss := range map[string]int{adminKey: 400, b.v03: 404} {
		get := func(v any) answer { return b.post(key, "/api/getInstance", v) }
		if o := get(object{"id": id}).object(200); o["Id"] != id {
			t.Errorf("got %v", o)
		}
		for _, odd := range []string{"00000000", "../../etc/passwd", "' OR 1=1 --", id + " ", strings.ToUpper("x" + id), "a\u0000b", "%", strings.Repeat("x", 10000)} {
			get(object{"id": odd}).says(miss, "Instance not found")
		}
		get(nil).says(400, `Parameter "id" is required`)
		get(object{"id": ""}).says(400, `Parameter "id" is required`)
		get(object{"id": 12345678}).says(400, "id: must be text")
		get(object{"id": []string{id}}).says(400, "id: must be text")
	}
}

func TestGetUserInstanceInBothDialects(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.host("one")
	anna, ben := b.user("anna"), b.user("ben")
	first, second := b.deploy(h, anna, 30001), b.deploy(h, anna, 30002)
	b.deploy(h, b.admin, 30003)
	for key, miss := range map[string]int{adminKey: 400, b.v03: 404} {
		get := func(v any) answer { return b.post(key, "/api/getUserInstance", v) }
		if ids := ids(get(object{"userId": string(anna)}).list(200)); !slices.Equal(ids, []string{first, second}) {
			t.Errorf("anna has %v", ids)
		}
		get(object{"userId": string(ben)}).is(200, "[]")
		get(object{"userId": "nobody"}).says(miss, "User not found")
		get(object{"userId": "' OR '1'='1"}).says(miss, "User not found")
		get(nil).says(400, `Parameter "userId" is required`)
		get(object{"userId": 5}).says(400, "userId: must be text")
	}
}

func ids(list []object) []string {
	out := []string{}
	for _, o := range list {
		out = append(out, o["Id"].(string))
	}
	return out
}

// Nobody sees, by any call, what belongs to another.
func TestOwnersSeeTheirOwnOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.host("one")
	anna, ben := b.user("anna"), b.user("ben")
	hers, his := b.deploy(h, anna, 30001), b.deploy(h, ben, 30002)
	for _, c := range []struct {
		dialect access.Dialect
		miss    int
	}{{access.Documented, 400}, {access.V03, 404}} {
		key := b.key(anna, c.dialect, access.ScopeWrite)
		if got := ids(b.get(key, "/api/instances").list(200)); !slices.Equal(got, []string{hers}) {
			t.Errorf("anna sees %v", got)
		}
		if got := ids(b.post(key, "/api/getUserInstance", object{"userId": string(anna)}).list(200)); !slices.Equal(got, []string{hers}) {
			t.Errorf("anna's are %v", got)
		}
		b.post(key, "/api/getInstance", object{"id": hers}).object(200)
		b.post(key, "/api/getInstance", object{"id": his}).says(c.miss, "Instance not found")
		b.post(key, "/api/getUserInstance", object{"userId": string(ben)}).says(c.miss, "User not found")
		b.post(key, "/api/getUserInstance", object{"userId": string(b.admin)}).says(c.miss, "User not found")
		if len(b.get(key, "/api/images").list(200)) == 0 {
			t.Error("the catalogue is empty for a user")
		}
		no := func(permission string) string {
			return "only an admin, or whose role has the permission " + permission + ", may do this"
		}
		b.get(key, "/api/users").says(403, no("users.read"))
		b.get(key, "/api/nodes").says(403, no("nodes.read"))
		b.post(key, "/api/getUser", object{"type": "username", "value": "anna"}).says(403, no("users.read"))
		b.post(key, "/api/auth/create-user", object{"username": "x", "email": "x@example.org", "password": "pw"}).says(403, no("users.write"))
		b.post(key, "/api/auth/reset-password", object{"email": "x@example.org"}).says(403, no("users.write"))
		b.post(key, "/api/instances/deploy", order(h, anna, 30009, nil)).says(403, no("instances.write"))
		b.delete(key, "/api/instance/delete", object{"id": hers}).says(403, no("instances.write"))
		b.post(key, "/api/instances/suspend/"+hers, nil).says(403, no("instances.write"))
		b.post(key, "/api/instances/unsuspend/"+hers, nil).says(403, no("instances.write"))
		b.post(key, "/api/nodes/create", newNode(nil)).says(403, no("nodes.write"))
		b.delete(key, "/api/nodes/delete", object{"nodeId": h.id}).says(403, no("nodes.write"))
	}
	if n := b.rows("instances"); n != 2 {
		t.Errorf("%d instances are there", n)
	}
}

func TestSuspendInBothDialects(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.host("one")
	id := b.deploy(h, b.admin, 30001)
	suspended := func() bool { b.t.Helper(); return b.instance(id)["suspended"] == true }
	settled := func(want bool) {
		t.Helper()
		h.WaitSpec(t, "the node is told", func(s wire.Spec) bool { return s.Suspended == want && string(s.Instance) == id })
		b.until("the job is done", func() bool { return b.rows(`jobs WHERE state NOT IN ('succeeded', 'failed', 'cancelled')`) == 0 })
	}
	if o := b.post(adminKey, "/api/instances/suspend/"+id, nil).object(200); o["suspended"] != true || o["Id"] != id || !suspended() {
		t.Errorf("got %v", o)
	}
	settled(true)
	if o := b.post(adminKey, "/api/instances/suspend/"+id, nil).object(200); o["suspended"] != true { // twice is the same
		t.Errorf("got %v", o)
	}
	if o := b.post(adminKey, "/api/instances/unsuspend/"+id, nil).object(200); o["suspended"] != false || suspended() {
		t.Errorf("got %v", o)
	}
	settled(false)
	b.post(b.v03, "/api/instances/suspend/"+id, nil).is(201, `{"success":"The instance has been suspended"}`)
	if !suspended() {
		t.Error("it isn't suspended")
	}
	settled(true)
	b.post(b.v03, "/api/instances/unsuspend/"+id, nil).is(201, `{"success":"The instance has been unsuspended"}`)
	if suspended() {
		t.Error("it is still suspended")
	}
	for key, miss := range map[string]int{adminKey: 400, b.v03: 404} {
		for _, verb := range []string{"suspend", "unsuspend"} {
			path := "/api/instances/" + verb
			b.post(key, path+"/00000000", nil).says(miss, "Instance not found")
			b.post(key, path+"/..%2F..%2Fetc", nil).says(miss, "Instance not found")
			b.post(key, path+"/'%20OR%201=1", nil).says(miss, "Instance not found")
			b.post(key, path, nil).says(400, `Parameter "id" is required`)
			b.post(key, path, object{"id": "00000000"}).says(miss, "Instance not found")
			b.post(key, path, object{"id": 5}).says(400, "id: must be text")
			b.post(key, path+"/"+id, object{"id": "00000000"}).says(400, "The id in the path and the id in the body are two different ones")
		}
	}
	if suspended() {
		t.Error("a refused call suspended it")
	}
}

// The id may be in the body, also when the path is the document's ":id".
func TestSuspendByTheBody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.host("one")
	id := b.deploy(h, b.admin, 30001)
	for _, c := range []struct {
		path string
		body any
		want bool
	}{
		{"/api/instances/suspend", object{"id": id}, true}, {"/api/instances/unsuspend", object{"id": id}, false},
		{"/api/instances/suspend/:id", object{"id": id}, true}, {"/api/instances/unsuspend/:id", object{"id": id}, false},
		{"/api/instances/suspend/" + id, object{"id": id}, true}, {"/api/instances/unsuspend/" + id, `{}`, false},
		{"/api/instances/suspend/" + id, `{"id":null,"reason":"unpaid"}`, true},
	} {
		if o := b.post(adminKey, c.path, c.body).object(200); o["suspended"] != c.want || o["Id"] != id {
			t.Errorf("%s %v: %v", c.path, c.body, o)
		}
	}
}

func TestInternalStates(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.host("one")
	id := b.deploy(h, b.admin, 30001)
	spec := h.Specs()[0]
	say := func(s wire.State) { h.Emit(fleettest.StateEvent(spec, s)) }
	is := func(want string) {
		t.Helper()
		b.until(want, func() bool { return b.instance(id)["InternalState"] == want })
		if got := b.get(adminKey, "/api/instances").list(200)[0]["InternalState"]; got != want {
			t.Errorf("the list says %v, not %s", got, want)
		}
	}
	is("READY")
	say(wire.State{Phase: wire.PhaseReady, Actual: wire.ActualUnknown})
	is("UNKNOWN")
	say(wire.State{Phase: wire.PhaseReady, Actual: wire.ActualStopped, Converged: true})
	is("READY")
	say(wire.State{Phase: wire.PhaseInstalling, Actual: wire.ActualStopped})
	is("INSTALLING")
	say(wire.State{Phase: wire.PhaseFailed, Actual: wire.ActualStopped, Converged: true, Failure: problem.New(problem.NotFound, "image x not found")})
	is("FAILED")
}

// Lists show the newest state in the answer after the change.
func TestListsAreNeverStale(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.host("one")
	var all sync.WaitGroup
	stop := make(chan struct{})
	for range 4 { // others who ask all the time
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if a, err := b.send(adminKey, http.MethodGet, "/api/instances", ""); err != nil || a.status != 200 {
					t.Errorf("%d %s %v", a.status, a.body, err)
				}
			}
		})
	}
	for n := range 20 {
		id := b.post(adminKey, "/api/instances/deploy", order(h, b.admin, 30001, nil)).object(201)["Id"].(string)
		if got := ids(b.get(adminKey, "/api/instances").list(200)); !slices.Equal(got, []string{id}) {
			t.Errorf("round %d: %v after deploying %s", n, got, id)
		}
		b.delete(adminKey, "/api/instance/delete", object{"id": id}).object(201)
		if got := ids(b.get(adminKey, "/api/instances").list(200)); len(got) != 0 {
			t.Errorf("round %d: %v after deleting %s", n, got, id)
		}
	}
	close(stop)
	all.Wait()
}

func TestImages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	list := b.get(adminKey, "/api/images").list(200)
	all := must(b.images.All(t.Context()))(t)
	if len(list) != len(all) {
		t.Fatalf("%d images are listed, %d are there", len(list), len(all))
	}
	for n, i := range all {
		if list[n]["Id"] != string(i.ID) || list[n]["Name"] != i.Name || list[n]["Image"] != i.References[0] {
			t.Errorf("%s: %v", i.Name, list[n])
		}
		for _, field := range []string{"Id", "Name", "Description", "Author", "AuthorName", "Image", "AltImages", "Cmd", "Env", "StopCommand", "features", "Scripts", "Variables", "Meta"} {
			if _, there := list[n][field]; !there {
				t.Errorf("%s has no %s", i.Name, field)
			}
		}
	}
	if err := b.images.Delete(b.asAdmin(), adminCaller(), all[0].ID); err != nil {
		t.Fatal(err)
	}
	if list := b.get(adminKey, "/api/images").list(200); len(list) != len(all)-1 || list[0]["Id"] == string(all[0].ID) {
		t.Errorf("after a deletion: %v", list)
	}
}
