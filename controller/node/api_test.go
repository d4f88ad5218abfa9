package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// keys are the API keys of the test: admin, reader (an admin's that only reads)
// and user.
type keys struct{}

func (keys) Authenticate(_ context.Context, key string) (access.Caller, error) {
	switch key {
	case "admin":
		c := admin
		c.Key = "admin"
		return c, nil
	case "reader":
		return access.Caller{Actor: access.Actor{Via: access.ViaKey, Key: "reader"}, Admin: true, Scopes: []access.Scope{access.ScopeRead}}, nil
	case "user":
		return access.Caller{Actor: access.Actor{Via: access.ViaKey, Key: "user", User: "u"}, Scopes: []access.Scope{access.ScopeAdmin}}, nil
	default:
		return access.Caller{}, problem.New(problem.Unauthorized, "the API key is wrong")
	}
}

// panel is a bundle behind the front door.
type panel struct {
	*bundle
	url string
}

func setupPanel(t *testing.T, more ...func(b *bundle, a *httpapi.API)) *panel {
	t.Helper()
	b := setup(t)
	api, err := httpapi.New(httpapi.Config{Authenticator: keys{}, DB: b.db, Logger: slog.New(slog.NewTextHandler(b.log, nil)), Now: b.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	b.nodes.Mount(api)
	for _, register := range more {
		register(b, api)
	}
	if err := api.Err(); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- api.Serve(ctx, ln) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return &panel{bundle: b, url: "http://" + ln.Addr().String()}
}

// answer is an answer of the API that was read.
type answer struct {
	status int
	text   string
	Data   json.RawMessage
	Error  struct {
		Code    problem.Code
		Message string
		Details []problem.Field
	}
	Pagination struct{ Total int }
}

func (p *panel) do(key, method, path, body string, headers ...string) answer {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		r.Header.Set("X-Api-Key", key)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, "=")
		r.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	a := answer{status: res.StatusCode, text: string(text)}
	if err := json.Unmarshal(text, &a); err != nil {
		p.t.Fatalf("%s %s answered %d with %q", method, path, res.StatusCode, text)
	}
	return a
}

// ok makes a call that must succeed and reads its data.
func (p *panel) ok(status int, method, path, body string, data any, headers ...string) answer {
	p.t.Helper()
	a := p.do("admin", method, path, body, headers...)
	if a.status != status {
		p.t.Fatalf("%s %s answered %d with %s", method, path, a.status, a.text)
	}
	if data != nil {
		if err := json.Unmarshal(a.Data, data); err != nil {
			p.t.Fatal(err)
		}
	}
	return a
}

type nodeView struct {
	ID           ident.Node
	Name, State  string
	Reason       string
	Tags         []string
	BindAddress  string `json:"bind_address"`
	PublicHost   string `json:"public_host"`
	Port         int
	Memory       int64
	MemoryUsed   int64 `json:"memory_used"`
	DiskUsed     int64 `json:"disk_used"`
	Instances    int
	Release      string
	Engine       wire.Engine
	LastSeenAt   *string `json:"last_seen_at"`
	MemoryFactor float64 `json:"memory_factor"`
}

// madeView is the answer to a new node.
type madeView struct {
	Node      nodeView
	Enrolment struct{ Key, Command string }
}

const fineNode = `{"name": "a", "address": "10.0.0.5", "memory": 4096, "disk": 40960, "tags": ["eu"]}`

func TestNodeOverHTTP(t *testing.T) {
	t.Parallel()
	p := setupPanel(t)
	var first madeView
	p.ok(201, "POST", "/api/v1/nodes", fineNode, &first)
	made := first.Node
	if made.Port != 8443 || made.State != "unconfigured" || made.BindAddress != "0.0.0.0" || made.PublicHost != "10.0.0.5" || made.MemoryFactor != 1 {
		t.Fatalf("%+v", made)
	}
	if !strings.Contains(first.Enrolment.Command, "--key "+first.Enrolment.Key+" ") {
		t.Fatalf("%+v", first.Enrolment)
	}
	key, err := wire.ParseEnrolmentKey(first.Enrolment.Key)
	if err != nil {
		t.Fatal(err)
	}
	request, err := json.Marshal(p.request(key))
	if err != nil {
		t.Fatal(err)
	}
	enrolled := p.do("", "POST", wire.PathEnrol, string(request))
	var bare wire.EnrolAnswer
	if err := json.Unmarshal([]byte(enrolled.text), &bare); err != nil || enrolled.status != 201 || bare.Node != made.ID {
		t.Fatalf("%d %s, %v", enrolled.status, enrolled.text, err)
	}
	p.fleet.set(made.ID, fleet.Presence{Reason: "no answer within 5 s", Since: p.clock.Now()})
	p.settle(made.ID, 3)
	path := "/api/v1/nodes/" + string(made.ID)
	var shown nodeView
	p.ok(200, "GET", path, "", &shown)
	if shown.State != "offline" || shown.Reason != "no answer within 5 s" || shown.Instances != 3 || shown.MemoryUsed != 1536 || shown.DiskUsed != 15360 ||
		!slices.Equal(shown.Tags, []string{"eu"}) {
		t.Fatalf("%+v", shown)
	}
	p.connect(p.get(made.ID), "one", 0)
	p.fleet.set(made.ID, fleet.Presence{Online: true, Since: p.clock.Now(), Heard: p.clock.Now()})
	shown = nodeView{}
	p.ok(200, "GET", path, "", &shown)
	if shown.State != "online" || shown.Reason != "" || shown.Release != "0.1.0" || shown.Engine.Version != "20.10" || shown.LastSeenAt == nil {
		t.Fatalf("%+v", shown)
	}
	p.take(p.get(made.ID), "one", wire.Event{Seq: 1, Type: wire.EventEngine, Engine: &wire.Engine{Message: "docker does not answer"}})
	shown = nodeView{}
	p.ok(200, "GET", path, "", &shown)
	if shown.State != "online" || shown.Reason != "docker does not answer" {
		t.Fatalf("%+v", shown)
	}
	p.ok(200, "PATCH", path, `{"name": "b", "tags": [], "memory_factor": 2}`, &shown)
	if shown.Name != "b" || len(shown.Tags) != 0 || shown.MemoryFactor != 2 || shown.Memory != 4096 {
		t.Fatalf("%+v", shown)
	}
	if a := p.do("admin", "DELETE", path, ""); a.status != 409 || a.Error.Message != "node b still has 3 instances: drain the node, or delete them (with forget=true when it will never come back)" {
		t.Fatalf("%d %s", a.status, a.text)
	}
	p.ok(200, "POST", path+"/revoke", "", &shown)
	if shown.State != "revoked" {
		t.Fatalf("%+v", shown)
	}
	var again struct{ Key, Command string }
	p.ok(201, "POST", path+"/enrolment-key", "", &again)
	if again.Key == "" || again.Key == first.Enrolment.Key || !strings.Contains(again.Command, again.Key) {
		t.Fatalf("%+v", again)
	}
	p.settle(made.ID, 0)
	p.ok(200, "DELETE", path, "", nil)
	if a := p.do("admin", "DELETE", path, ""); a.status != 404 {
		t.Fatalf("the second time: %d %s", a.status, a.text)
	}
	want := "node.created node.enrolled node.engine_lost node.updated node.revoked node.key_made node.deleted"
	if got := p.facts(); got != want {
		t.Fatalf("facts: %s", got)
	}
}

func TestSecretsAreNotReplayedNorShownLater(t *testing.T) {
	t.Parallel()
	p := setupPanel(t)
	var made, replayed madeView
	p.ok(201, "POST", "/api/v1/nodes", fineNode, &made, "Idempotency-Key=once")
	a := p.ok(201, "POST", "/api/v1/nodes", fineNode, &replayed, "Idempotency-Key=once")
	secret := strings.Split(made.Enrolment.Key, ".")[2]
	if replayed.Node.ID != made.Node.ID || replayed.Enrolment.Key != "" || strings.Contains(a.text, secret) || len(p.all()) != 1 {
		t.Fatalf("the replay: %s", a.text)
	}
	for _, path := range []string{"/api/v1/nodes", "/api/v1/nodes/" + string(made.Node.ID), "/api/v1/join-keys"} {
		if a := p.ok(200, "GET", path, "", nil); strings.Contains(a.text, secret) {
			t.Errorf("%s shows the secret", path)
		}
	}
	if strings.Contains(p.dump(), secret) || strings.Contains(p.log.String(), secret) {
		t.Error("the secret is in the database or the log")
	}
}

func TestJoinKeysOverHTTP(t *testing.T) {
	t.Parallel()
	p := setupPanel(t)
	var made struct {
		KeyID        string `json:"key_id"`
		Key, Command string
	}
	p.ok(201, "POST", "/api/v1/join-keys", `{"name": "rack 4", "uses": 2, "hours": 5, "tags": ["eu"]}`, &made)
	key, err := wire.ParseEnrolmentKey(made.Key)
	if err != nil || !strings.Contains(made.Command, made.Key) {
		t.Fatalf("%+v, %v", made, err)
	}
	request, err := json.Marshal(p.request(key))
	if err != nil {
		t.Fatal(err)
	}
	if a := p.do("", "POST", wire.PathEnrol, string(request)); a.status != 201 {
		t.Fatalf("%d %s", a.status, a.text)
	}
	if n := p.all()[0]; n.Address != "127.0.0.1" || n.Name != "joiner" {
		t.Fatalf("the node is at the address that the request came from: %+v", n)
	}
	var list []struct {
		ID, Name string
		UsesLeft int `json:"uses_left"`
		Tags     []string
	}
	if a := p.ok(200, "GET", "/api/v1/join-keys?limit=1", "", &list); a.Pagination.Total != 1 || list[0].UsesLeft != 1 || list[0].Name != "rack 4" || list[0].ID != made.KeyID {
		t.Fatalf("%+v of %d", list, a.Pagination.Total)
	}
	p.ok(200, "DELETE", "/api/v1/join-keys/"+made.KeyID, "", nil)
	if a := p.do("admin", "DELETE", "/api/v1/join-keys/"+made.KeyID, ""); a.status != 404 {
		t.Fatalf("the second time: %d", a.status)
	}
	if got := p.facts(); got != "join_key.created node.created node.enrolled join_key.deleted" {
		t.Fatalf("facts: %s", got)
	}
}

func TestEnrolRefusalsOverHTTP(t *testing.T) {
	t.Parallel()
	p := setupPanel(t)
	_, key := p.make("a")
	wrong := p.request(key)
	wrong.MAC = strings.Repeat("0", 64)
	text, err := json.Marshal(wrong)
	if err != nil {
		t.Fatal(err)
	}
	before := p.dump()
	for name, c := range map[string]struct {
		body   string
		status int
		code   problem.Code
	}{
		"wrong proof":  {string(text), 401, problem.Unauthorized},
		"nothing":      {"", 400, problem.BadRequest},
		"not JSON":     {"key=1", 400, problem.BadRequest},
		"a list":       {"[]", 400, problem.BadRequest},
		"wrong types":  {`{"key_id": 1}`, 422, problem.Validation},
		"empty":        {"{}", 422, problem.Validation},
		"far too long": {`{"key_id": "` + strings.Repeat("x", 40_000) + `"}`, 413, problem.TooLarge},
	} {
		if a := p.do("", "POST", wire.PathEnrol, c.body); a.status != c.status || a.Error.Code != c.code {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
	if p.dump() != before {
		t.Error("something was changed")
	}
}

func TestWhoMayCall(t *testing.T) {
	t.Parallel()
	p := setupPanel(t)
	n, _ := p.make("a")
	before := p.dump()
	id := string(n.ID)
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/api/v1/nodes", ""}, {"POST", "/api/v1/nodes", fineNode}, {"GET", "/api/v1/nodes/" + id, ""}, {"PATCH", "/api/v1/nodes/" + id, `{"name": "x"}`},
		{"DELETE", "/api/v1/nodes/" + id, ""}, {"POST", "/api/v1/nodes/" + id + "/enrolment-key", ""}, {"POST", "/api/v1/nodes/" + id + "/revoke", ""},
		{"GET", "/api/v1/join-keys", ""}, {"POST", "/api/v1/join-keys", `{}`}, {"DELETE", "/api/v1/join-keys/x", ""},
	} {
		for key, want := range map[string]int{"": 401, "nobody": 401, "user": 403, "reader": 403} {
			if key == "reader" && c.method == "GET" {
				want = 200
			}
			if a := p.do(key, c.method, c.path, c.body); a.status != want {
				t.Errorf("%s %s with key %q: %d %s", c.method, c.path, key, a.status, a.text)
			}
		}
	}
	if p.dump() != before {
		t.Error("something was changed")
	}
}

func TestBadInputOverHTTP(t *testing.T) {
	t.Parallel()
	p := setupPanel(t)
	n, _ := p.make("a")
	p.make("b")
	before := p.dump()
	one := "/api/v1/nodes/" + string(n.ID)
	body := func(field, value string) string {
		return fmt.Sprintf(`{"name": "x", "address": "10.0.0.5", "memory": 4096, "disk": 40960, %q: %s}`, field, value)
	}
	for name, c := range map[string]struct {
		method, path, body string
		status             int
	}{
		"name taken":       {"POST", "/api/v1/nodes", body("name", `"A"`), 409},
		"no name":          {"POST", "/api/v1/nodes", `{"address": "a", "memory": 1, "disk": 1}`, 422},
		"control in name":  {"POST", "/api/v1/nodes", body("name", `"a\u0007"`), 422},
		"10,000 letters":   {"POST", "/api/v1/nodes", body("name", `"`+strings.Repeat("x", 10_000)+`"`), 422},
		"memory as text":   {"POST", "/api/v1/nodes", body("memory", `"12abc"`), 422},
		"memory 10^18":     {"POST", "/api/v1/nodes", body("memory", "1000000000000000000"), 422},
		"memory 1.5":       {"POST", "/api/v1/nodes", body("memory", "1.5"), 422},
		"disk 0":           {"POST", "/api/v1/nodes", body("disk", "0"), 422},
		"port 0":           {"POST", "/api/v1/nodes", body("port", "0"), 422},
		"factor 0.5":       {"POST", "/api/v1/nodes", body("memory_factor", "0.5"), 422},
		"unknown field":    {"POST", "/api/v1/nodes", body("certificate", `"x"`), 422},
		"not JSON":         {"POST", "/api/v1/nodes", "{", 400},
		"rename to taken":  {"PATCH", one, `{"name": "B"}`, 409},
		"bind to a name":   {"PATCH", one, `{"bind_address": "localhost"}`, 422},
		"id is a path":     {"GET", "/api/v1/nodes/..%2f..%2fetc", "", 404},
		"id is SQL":        {"GET", "/api/v1/nodes/'%20OR%201=1", "", 404},
		"unknown change":   {"PATCH", "/api/v1/nodes/nobody", `{"name": "x"}`, 404},
		"unknown key":      {"POST", "/api/v1/nodes/nobody/enrolment-key", "", 404},
		"unknown revoke":   {"POST", "/api/v1/nodes/nobody/revoke", "", 404},
		"revoke too early": {"POST", one + "/revoke", "", 409},
		"page 0":           {"GET", "/api/v1/nodes?page=0", "", 422},
		"limit 501":        {"GET", "/api/v1/nodes?limit=501", "", 422},
		"sort by secret":   {"GET", "/api/v1/nodes?sort=certificate", "", 422},
		"unknown state":    {"GET", "/api/v1/nodes?state=here", "", 422},
		"unknown filter":   {"GET", "/api/v1/nodes?what=1", "", 422},
		"uses 0":           {"POST", "/api/v1/join-keys", `{"uses": -1}`, 422},
		"hours 721":        {"POST", "/api/v1/join-keys", `{"hours": 721}`, 422},
	} {
		if a := p.do("admin", c.method, c.path, c.body); a.status != c.status {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
	if p.dump() != before {
		t.Error("something was changed")
	}
	var list []nodeView
	if a := p.ok(200, "GET", "/api/v1/nodes?state=unconfigured&sort=-name&limit=1", "", &list); a.Pagination.Total != 2 || len(list) != 1 || list[0].Name != "b" {
		t.Errorf("%s", a.text)
	}
}

func TestMaintenanceOverHTTP(t *testing.T) {
	t.Parallel()
	p := setupPanel(t)
	id := p.place("a")
	path := "/api/v1/nodes/" + string(id)
	var shown struct {
		Maintenance bool
		State       string
	}
	for _, on := range []bool{true, true, false, false} {
		p.ok(200, "POST", path+"/maintenance", fmt.Sprintf(`{"on": %v}`, on), &shown)
		if shown.Maintenance != on || shown.State != "online" {
			t.Fatalf("%+v", shown)
		}
	}
	if got := p.facts(); got != "node.created node.maintenance_on node.maintenance_off" {
		t.Errorf("facts: %s", got)
	}
	before := p.dump()
	for _, bad := range []struct {
		key, path, body string
		status          int
	}{
		{"admin", path, `{}`, 422},
		{"admin", path, `{"on": "yes"}`, 422},
		{"admin", "/api/v1/nodes/nobody", `{"on": true}`, 404},
		{"reader", path, `{"on": true}`, 403},
		{"user", path, `{"on": true}`, 403},
		{"", path, `{"on": true}`, 401},
	} {
		if a := p.do(bad.key, "POST", bad.path+"/maintenance", bad.body); a.status != bad.status {
			t.Errorf("%+v: %d %s", bad, a.status, a.text)
		}
	}
	if p.dump() != before {
		t.Error("a refused call left something behind")
	}
}

func TestRoomOverHTTP(t *testing.T) {
	t.Parallel()
	p := setupPanel(t)
	type roomView struct {
		Memory, Disk  int64
		MemoryUsed    int64    `json:"memory_used"`
		MemoryFree    int64    `json:"memory_free"`
		MemoryReserve int64    `json:"memory_reserve"`
		DiskUsed      int64    `json:"disk_used"`
		DiskFree      int64    `json:"disk_free"`
		DiskReserve   int64    `json:"disk_reserve"`
		CPUUsed       float64  `json:"cpu_used"`
		CPUFree       *float64 `json:"cpu_free"`
		CPUFactor     float64  `json:"cpu_factor"`
		Instances     int
	}
	var made struct{ Node struct{ ID ident.Node } }
	p.ok(201, "POST", "/api/v1/nodes", `{"name": "a", "address": "10.0.0.5", "memory": 4096, "disk": 40960, "memory_factor": 2, "memory_reserve": 192, "disk_reserve": 960}`, &made)
	id := made.Node.ID
	path := "/api/v1/nodes/" + string(id)
	p.settle(id, 2)
	p.exec(`UPDATE nodes SET hello = '{"engine": {"cores": 4}}' WHERE id = ?`, string(id))
	var shown roomView
	p.ok(200, "GET", path, "", &shown)
	want := roomView{Memory: 4096, MemoryUsed: 1024, MemoryFree: 8192 - 192 - 1024, MemoryReserve: 192, Disk: 40960, DiskUsed: 10240, DiskFree: 40000 - 10240,
		DiskReserve: 960, CPUUsed: 1, Instances: 2}
	if shown != want {
		t.Errorf("%+v, want %+v", shown, want)
	}
	shown = roomView{}
	p.ok(200, "PATCH", path, `{"cpu_factor": 0.5, "memory_reserve": 0, "memory_factor": 1, "memory": 512}`, &shown)
	if shown.CPUFree == nil || *shown.CPUFree != 1 || shown.CPUFactor != 0.5 || shown.MemoryFree != 0 || shown.MemoryReserve != 0 {
		t.Errorf("%+v", shown)
	}
	for body, field := range map[string]string{
		`{"memory_reserve": 512}`:                   "memory_reserve",
		`{"memory": 100, "memory_reserve": 100}`:    "memory_reserve",
		`{"disk_reserve": 40960}`:                   "disk_reserve",
		`{"disk_reserve": -1}`:                      "disk_reserve",
		`{"cpu_factor": 0.01}`:                      "cpu_factor",
		`{"cpu_factor": 101}`:                       "cpu_factor",
		`{"memory": 900, "memory_reserve": 999999}`: "memory_reserve",
	} {
		before := p.dump()
		a := p.do("admin", "PATCH", path, body)
		if a.status != 422 || len(a.Error.Details) != 1 || !strings.HasSuffix(a.Error.Details[0].Field, field) || p.dump() != before {
			t.Errorf("%s: %d %s", body, a.status, a.text)
		}
	}
}

func TestDeleteNamesWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	p := setupPanel(t)
	id, other := p.place("a"), p.place("b")
	path := "/api/v1/nodes/" + string(id)
	refused := func(want string) {
		t.Helper()
		before := p.dump()
		if a := p.do("admin", "DELETE", path, ""); a.status != 409 || a.Error.Message != want || p.dump() != before {
			t.Errorf("%d %s, want %q", a.status, a.text, want)
		}
	}
	p.settle(id, 1)
	refused("node a still has 1 instance: drain the node, or delete them (with forget=true when it will never come back)")
	p.exec(`INSERT INTO moves (job_id, instance_id, from_node, to_node, stage, counts_on, memory_mib, disk_mib, nano_cpus, generation, created_at)
		VALUES ('j', '0a1b2c3d', ?1, ?2, 'copying', ?2, 0, 0, 0, 1, 0)`, string(other), string(id))
	refused("node a still has 1 instance and takes part in 1 move; move or delete the instances, and let the moves end or cancel them")
	p.settle(id, 0)
	refused("node a still takes part in 1 move of instances; let them end or cancel them first")
	p.exec(`DELETE FROM moves`)
	p.exec(`INSERT INTO strays (node_id, instance_id, generation, state, found_at) VALUES (?, '0a1b2c3d', 1, '{}', 0)`, string(id))
	p.ok(200, "DELETE", path, "", nil) // what only the node knows goes with it
}
