package app_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/store"
)

// table is what the calls of bad input are made against, and their golden answers.
type table struct {
	*bundle
	names   *strings.Replacer // ids of this run → names
	ids     *strings.Replacer // and back
	answers strings.Builder
}

// badInput has a node with 4 cores, an image, a user, and an instance on port
// 25565 whose job waits for the node.
func badInput(t *testing.T) *table {
	t.Helper()
	b := setup(t)
	id := func(o object, path ...string) string {
		for _, p := range path[:len(path)-1] {
			o, _ = o[p].(object)
		}
		s, _ := o[path[len(path)-1]].(string)
		return s
	}
	node := id(b.call(adminKey, "POST", "/api/v1/nodes", object{"name": "a", "address": "192.0.2.1", "port": 8443, "memory": 1024, "disk": 20480}).object(201), "node", "id")
	image := id(b.call(adminKey, "POST", "/api/v1/images", object{"name": "Game", "references": []string{"example/game:1"},
		"variables": []object{{"name": "MUST", "required": true}}}).object(201), "id")
	err := b.app.DB.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.ExecContext(t.Context(), `UPDATE nodes SET enrolled_at = 1, hello = '{"engine":{"cores":4}}' WHERE id = ?`, node)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	owner := string(b.user("owner"))
	made := b.call(adminKey, "POST", "/api/v1/instances", object{"name": "one", "owner_id": owner, "node_id": node, "image_id": image, "memory": 64, "cpu": 1,
		"ports": []object{{"container": 25565, "host": 25565}}, "variables": object{"MUST": "x"}}).object(202)
	instance, job := id(made, "instance", "id"), id(made, "job", "id")
	deadline := time.Now().Add(patience)
	for id(b.get("/api/v1/jobs/"+job).object(200), "state") != "waiting" {
		if time.Now().After(deadline) {
			t.Fatal("the job does not wait for its node")
		}
		time.Sleep(5 * time.Millisecond)
	}
	pairs := []string{node, "{node}", image, "{image}", owner, "{owner}", instance, "{instance}", job, "{job}"}
	back := []string{}
	for n := 0; n < len(pairs); n += 2 {
		back = append(back, pairs[n+1], pairs[n])
	}
	return &table{bundle: b, names: strings.NewReplacer(pairs...), ids: strings.NewReplacer(back...)}
}

// bad makes a call that must be refused without any effect, and notes the answer.
func (b *table) bad(method, path, body string) {
	b.t.Helper()
	before := b.rows()
	var send any
	if body != "" {
		send = b.ids.Replace(body)
	}
	a := b.call(adminKey, method, b.ids.Replace(path), send)
	var e struct {
		Success   bool
		RequestID string `json:"request_id"`
		Error     struct {
			Code, Message string
			Details       []struct{ Field, Message string }
		}
	}
	if err := json.Unmarshal([]byte(a.body), &e); err != nil || e.Success || e.RequestID == "" || e.Error.Code == "" {
		b.t.Errorf("%s %s %.200s: no error of this API: %d %.300s", method, path, body, a.status, a.body)
	}
	if a.status < 400 || a.status >= 500 && a.status != http.StatusInsufficientStorage && a.status != http.StatusServiceUnavailable {
		b.t.Errorf("%s %s %.200s: %d %.300s", method, path, body, a.status, a.body)
	}
	if after := b.rows(); !maps.Equal(before, after) {
		b.t.Errorf("%s %s %.200s left something behind: %v, before %v", method, path, body, after, before)
	}
	if len(body) > 200 {
		body = fmt.Sprintf("%s… (%d bytes)", body[:100], len(body))
	}
	fmt.Fprintf(&b.answers, "%s %s %s\n  %d %s: %s\n", method, path, body, a.status, e.Error.Code, b.names.Replace(e.Error.Message))
	for _, d := range e.Error.Details {
		fmt.Fprintf(&b.answers, "  %s: %s\n", d.Field, b.names.Replace(d.Message))
	}
}

// deploy is an instance's body with one field replaced by its JSON text.
func deploy(field, value string) string {
	fields := []string{"name", `"two"`, "owner_id", `"{owner}"`, "node_id", `"{node}"`, "image_id", `"{image}"`, "memory", "64", "cpu", "1", "disk", "64",
		"ports", `[{"container":80,"host":8080}]`, "variables", `{"MUST":"x"}`}
	parts, found := []string{}, false
	for n := 0; n < len(fields); n += 2 {
		v := fields[n+1]
		if fields[n] == field {
			v, found = value, true
		}
		if v != "" {
			parts = append(parts, fmt.Sprintf("%q:%s", fields[n], v))
		}
	}
	if !found {
		parts = append(parts, fmt.Sprintf("%q:%s", field, value))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// Every bad input of an instance, with the exact answer in the golden file.
func TestBadInstances(t *testing.T) {
	t.Parallel()
	b := badInput(t)
	long := strings.Repeat("x", 10_000)
	for _, c := range []struct{ field, value string }{
		{"memory", "0"}, {"memory", "-1"}, {"memory", "5"}, {"memory", "1000000000000000000"}, {"memory", "1e18"}, {"memory", `"12abc"`}, {"memory", "6.5"},
		{"memory", "961"}, {"memory", "NaN"}, {"memory", "null"}, {"memory", ""},
		{"cpu", "0"}, {"cpu", "-1"}, {"cpu", "NaN"}, {"cpu", `"NaN"`}, {"cpu", "4.01"}, {"cpu", "1e300"}, {"cpu", "0.001"},
		{"disk", "-1"}, {"disk", "15361"}, {"disk", "1e18"},
		{"ports", `["80"]`}, {"ports", `"80:"`}, {"ports", `[{"container":0}]`}, {"ports", `[{"container":99999,"host":1}]`}, {"ports", `[{"host":80}]`},
		{"ports", `[{"container":1,"host":80},{"container":2,"host":80}]`}, {"ports", `[{"container":25565,"host":25565}]`}, {"ports", `[{"container":25565}]`},
		{"ports", `[{"container":1,"primary":true},{"container":2,"primary":true}]`},
		{"ports", "[" + strings.TrimSuffix(strings.Repeat(`{"container":1},`, 101), ",") + "]"},
		{"node_id", `"nowhere"`}, {"node_id", `""`}, {"node_id", "5"}, {"node_id", `"' OR 1=1 --"`}, {"node_id", ""},
		{"owner_id", `"nobody"`}, {"owner_id", `"../../etc/passwd"`}, {"owner_id", ""},
		{"image_id", `"none"`}, {"image_id", ""}, {"reference", `"example/other:1"`},
		{"name", `"a\u0000b"`}, {"name", `"a\nb"`}, {"name", `"\u009b31m"`}, {"name", `"` + long + `"`}, {"name", `""`}, {"name", `" x"`}, {"name", "5"}, {"name", ""},
		{"variables", `{"MUST":{"nested":"x"}}`}, {"variables", `{"MUST":"a\u0000b"}`}, {"variables", `{"MUST":"x","":"y"}`}, {"variables", `{"MUST":"x","A=B":"y"}`},
		{"variables", `{"MUST":"x","A\nB":"y"}`}, {"variables", `{"MUST":"x","{{A}}":"y"}`}, {"variables", `{"MUST":"` + strings.Repeat("x", 32<<10) + `"}`},
		{"variables", `{}`}, {"variables", `{"MUST":5}`}, {"variables", `["MUST=x"]`},
		{"start", `"yes"`}, {"colour", "1"},
	} {
		b.bad("POST", "/api/v1/instances", deploy(c.field, c.value))
	}
	for _, body := range []string{"", "{", "not JSON", "[]", "null", strings.Repeat("[", 200), `{"name":"` + strings.Repeat("x", 1<<20) + `"}`} {
		b.bad("POST", "/api/v1/instances", body)
	}
	for _, body := range []string{`{"memory":5}`, `{"memory":1025}`, `{"cpu":5}`, `{"disk":0}`, `{"name":""}`, `{"owner_id":"nobody"}`, `{"reference":"example/other:1"}`,
		`{"ports":[{"container":0}]}`, `{"variables":{"A":1}}`, `{"node_id":"{node}"}`, `{"memory":128}`} {
		b.bad("PATCH", "/api/v1/instances/{instance}", body)
	}
	for _, verb := range []string{"start", "stop", "restart"} {
		b.bad("POST", "/api/v1/instances/{instance}/"+verb, "")
	}
	b.bad("POST", "/api/v1/instances/{instance}/suspend", `{"reason":"`+strings.Repeat("x", 1001)+`"}`)
	b.bad("POST", "/api/v1/instances/{instance}/suspend", `{"reason":5}`)
	golden(t, "testdata/bad_instances.txt", []byte(b.answers.String()))
}

// Whatever an id holds, it is an id that nothing has.
func TestBadIDs(t *testing.T) {
	t.Parallel()
	b := badInput(t)
	for _, id := range []string{"none", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "1%27%20OR%20%271%27=%271", "%00", "%FF", strings.Repeat("x", 5000), "{node}%20", "%3Cscript%3E"} {
		for _, call := range []string{
			"GET /api/v1/instances/ID", "DELETE /api/v1/instances/ID", "DELETE /api/v1/instances/ID?forget=true", "POST /api/v1/instances/ID/start",
			"POST /api/v1/instances/ID/kill", "POST /api/v1/instances/ID/suspend", "POST /api/v1/instances/ID/unsuspend", "GET /api/v1/images/ID", "DELETE /api/v1/images/ID",
			"GET /api/v1/nodes/ID", "DELETE /api/v1/nodes/ID", "POST /api/v1/nodes/ID/enrolment-key", "POST /api/v1/nodes/ID/revoke",
			"GET /api/v1/nodes/ID/allocations", "DELETE /api/v1/nodes/{node}/allocations/ID", "GET /api/v1/jobs/ID", "GET /api/v1/jobs/ID/logs", "GET /api/v1/jobs/ID/stream",
			"POST /api/v1/jobs/ID/cancel", "POST /api/v1/jobs/ID/retry",
		} {
			method, path, _ := strings.Cut(call, " ")
			before := b.rows()
			a := b.call(adminKey, method, b.ids.Replace(strings.Replace(path, "ID", id, 1)), nil)
			if a.status != http.StatusNotFound && a.status != http.StatusBadRequest || !strings.Contains(a.body, `"success":false`) {
				t.Errorf("%.100s: %d %.300s", a.call, a.status, a.body)
			}
			if after := b.rows(); !maps.Equal(before, after) {
				t.Errorf("%.100s left something behind: %v, before %v", a.call, after, before)
			}
		}
	}
}

// Images, nodes, allocations, jobs, events; pages, routes and methods.
func TestBadRest(t *testing.T) {
	t.Parallel()
	b := badInput(t)
	for _, body := range []string{
		`{"name":"","references":["a:1"]}`, `{"name":"x"}`, `{"name":"x","references":[]}`, `{"name":"x","references":["not a reference"]}`, `{"name":"Game","references":["a:1"]}`,
		`{"name":"a\nb","references":["a:1"]}`, `{"name":"x","references":["a:1"],"env":["NOVALUE"]}`, `{"name":"x","references":["a:1"],"volume":"relative"}`,
		`{"name":"x","references":["a:1"],"volume":"/a/../.."}`, `{"name":"x","references":["a:1"],"command":["a"],"command_line":"a"}`,
		`{"name":"x","references":["a:1"],"command_line":"a 'b"}`, `{"name":"x","references":["a:1"],"stop_command":"a\nb"}`,
		`{"name":"x","references":["a:1"],"variables":[{"name":"A"},{"name":"A"}]}`, `{"name":"x","references":["a:1"],"variables":[{"name":"A=B"}]}`,
		`{"name":"x","references":["a:1"],"stop_grace_seconds":-1}`, `{"name":"x","references":["a:1"],"install":[{"uri":"http://a","path":""}]}`,
	} {
		b.bad("POST", "/api/v1/images", body)
	}
	for _, body := range []string{"", "<html>", "[]", "5", `{}`, `{"Name":"x"}`, `{"Name":"x","Image":5}`, `{"Name":"x","Image":"a b"}`, `{"meta":{"version":"PTDL_v2"},"name":"x"}`, `{"files":[]}`, `{"url":"http://127.0.0.1:1/egg.json"}`, `{"url":"file:///etc/passwd"}`, `{"Name":"x","Image":"a:1","Cmd":5}`} {
		b.bad("POST", "/api/v1/images/import", body)
	}
	b.bad("DELETE", "/api/v1/images/{image}", "")
	for _, body := range []string{
		`{"name":"b","address":"not a host","port":1,"memory":1,"disk":1}`, `{"name":"b","address":"192.0.2.1","port":0,"memory":1,"disk":1}`,
		`{"name":"b","address":"192.0.2.1","port":70000,"memory":1,"disk":1}`, `{"name":"b","address":"192.0.2.1","port":1,"memory":0,"disk":1}`,
		`{"name":"b","address":"192.0.2.1","port":1,"memory":1,"disk":-1}`, `{"name":"a","address":"192.0.2.1","port":1,"memory":1,"disk":1}`,
		`{"name":"a\tb","address":"192.0.2.1","port":1,"memory":1,"disk":1}`, `{"name":"b","address":"192.0.2.1","port":1,"memory":1,"disk":1,"tags":["a b"]}`,
		`{"name":"b","address":"192.0.2.1","port":1,"memory":1,"disk":1,"bind_address":"everywhere"}`, `{"name":"b","address":"192.0.2.1","port":1,"memory":1,"disk":1,"memory_factor":0.5}`, `{}`,
	} {
		b.bad("POST", "/api/v1/nodes", body)
	}
	b.bad("DELETE", "/api/v1/nodes/{node}", "")
	b.bad("POST", "/api/v1/nodes/{node}/revoke", "")
	for _, body := range []string{`{}`, `{"ports":[]}`, `{"ports":["0"]}`, `{"ports":["80-"]}`, `{"ports":["90-80"]}`, `{"ports":["1-65535"]}`, `{"ports":["99999"]}`, `{"ports":[80]}`,
		`{"ports":["80"],"ip":"here"}`, `{"ports":["25565"],"ip":"192.0.2.1"}`} {
		b.bad("POST", "/api/v1/nodes/{node}/allocations", body)
	}
	b.bad("POST", "/api/v1/jobs/{job}/retry", "")
	for _, list := range []string{"instances", "images", "nodes", "jobs", "events", "users", "keys", "nodes/{node}/allocations"} {
		for _, query := range []string{"page=0", "page=-1", "page=x", "page=1.5", "page=1000001", "limit=0", "limit=501", "limit=-1", "limit=many", "colour=1"} {
			b.bad("GET", "/api/v1/"+list+"?"+query, "")
		}
	}
	for _, query := range []string{"instances?sort=password", "instances?sort=name;DROP", "instances?status=happy", "images?sort=-", "jobs?sort=id", "jobs?state=asleep", "events?after=-1",
		"events?after=x", "jobs/{job}/logs?limit=0", "jobs/{job}/logs?limit=1001", "jobs/{job}/logs?after=-1", "nodes/{node}/allocations?use=both", "instances/{instance}?x=1"} {
		b.bad("GET", "/api/v1/"+query, "")
	}
	b.bad("GET", "/api/v1", "")
	b.bad("GET", "/api/v1/", "")
	b.bad("GET", "/api/v1/nothing", "")
	b.bad("POST", "/api/v1/nothing/at/all", "{}")
	b.bad("GET", "/api/v1/Instances", "")
	b.bad("GET", "/api/v1/../../etc/passwd", "")
	b.bad("PUT", "/api/v1/instances", "{}")
	b.bad("PATCH", "/api/v1/instances", "{}")
	b.bad("POST", "/api/v1/instances/{instance}", "{}")
	b.bad("GET", "/api/v1/instances/{instance}/start", "")
	b.bad("DELETE", "/api/v1/jobs/{job}", "")
	b.bad("POST", "/api/v1/events", "{}")
	golden(t, "testdata/bad_rest.txt", []byte(b.answers.String()))
}
