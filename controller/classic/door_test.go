package classic_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/identity"
)

// paths are all calls with a path that can be called.
func (b *bundle) paths() map[httpapi.Route]string {
	out := map[httpapi.Route]string{}
	for _, r := range b.api.Routes() {
		if r.Style == httpapi.Classic {
			out[r] = strings.ReplaceAll(r.Path, "{id}", "00000000")
		}
	}
	return out
}

// The table of calls and who may make them. A new one must be added here.
func TestRoutesAndTheirRules(t *testing.T) {
	t.Parallel()
	b := setup(t)
	want := map[string]string{
		"GET /api/name":                      "user with read",
		"GET /api/users":                     "permission users.read",
		"POST /api/getUser":                  "permission users.read",
		"POST /api/auth/create-user":         "permission users.write",
		"POST /api/auth/reset-password":      "permission users.write",
		"GET /api/instances":                 "user with read",
		"POST /api/instances/deploy":         "permission instances.write",
		"DELETE /api/instance/delete":        "permission instances.write",
		"POST /api/getUserInstance":          "user with read",
		"POST /api/getInstance":              "right instance.see",
		"POST /api/instances/suspend":        "permission instances.write",
		"POST /api/instances/suspend/{id}":   "permission instances.write",
		"POST /api/instances/unsuspend":      "permission instances.write",
		"POST /api/instances/unsuspend/{id}": "permission instances.write",
		"GET /api/images":                    "user with read",
		"GET /api/nodes":                     "permission nodes.read",
		"POST /api/nodes/create":             "permission nodes.write",
		"DELETE /api/nodes/delete":           "permission nodes.write",
	}
	for r := range b.paths() {
		name := r.Method + " " + r.Path
		if want[name] != r.Access.String() {
			t.Errorf("%s: the rule is %s, want %q", name, r.Access, want[name])
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("%s is missing", name)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	b := setup(t)
	soon := time.Now().Add(50 * time.Millisecond)
	expiring := must(b.users.CreateKey(b.asAdmin(), identity.NewKey{User: b.admin, Name: "short", Scopes: []access.Scope{access.ScopeAdmin}, Expires: &soon}))(t)
	read := b.key(b.admin, access.Documented, access.ScopeRead)
	write := b.key(b.admin, access.Documented, access.ScopeWrite)
	revoked := must(b.users.CreateKey(b.asAdmin(), identity.NewKey{User: b.admin, Name: "revoked", Scopes: []access.Scope{access.ScopeAdmin}}))(t)
	if err := b.users.RevokeKey(b.asAdmin(), revoked.ID); err != nil {
		t.Fatal(err)
	}
	b.until("the key has expired", func() bool { return time.Now().After(soon) })
	wrong := []string{"a-wrong-key", expiring.Text, revoked.Text}
	for r, path := range b.paths() {
		wrong = append(wrong[1:], wrong[0]) // one each: the door slows more than 20 a minute
		b.call(wrong[0], r.Method, path, nil).says(401, "API Key Invalid")
		b.call("", r.Method, path, nil).says(401, "API key is required")
		rule := r.Access.String()
		if strings.HasSuffix(rule, ":write") || strings.HasSuffix(rule, ":admin") {
			b.call(read, r.Method, path, nil).says(403, "this API key lacks the scope "+strings.Split(rule, ":")[1])
		}
		if strings.HasSuffix(rule, ":admin") {
			b.call(write, r.Method, path, nil).says(403, "this API key lacks the scope admin")
		}
	}
}

// Whatever comes as a body: a 4xx with a sentence, and nothing is changed.
func TestBodiesThatAreNone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	users, nodes, events := b.rows("users"), b.rows("nodes"), b.rows("events")
	deep := strings.Repeat(`{"a":`, 2000) + "1" + strings.Repeat("}", 2000)
	for r, path := range b.paths() {
		if r.Method == http.MethodGet {
			continue
		}
		send := func(body string) answer { return b.call(adminKey, r.Method, path, body) }
		for _, body := range []string{
			`{`, `{"id":"x"`, `not json`, `<xml/>`, `a=b&c=d`, `{"id":"x"} trailing`, `{'id':'x'}`, "\x00", "\xff\xfe{}", `"text"`, `12`, `true`, `null`, `[]`,
			`[{"id":"x"}]`, deep, strings.Repeat("[", 100000), `{"a":` + strings.Repeat(" ", 1000),
		} {
			a := send(body)
			if a.status != 400 || !strings.HasPrefix(a.body, `{"error":"`) || strings.Contains(a.body, "goroutine") {
				t.Errorf("%s: %.60q: %d %s", path, body, a.status, a.body)
			}
		}
		send(`{"id":"`+strings.Repeat("x", 1<<20)+`"}`).says(413, "the body is too large; 1048576 bytes are the most here")
		for _, body := range []string{`{"id":{"a":[]}}`, `{"type":[],"value":{}}`, `{"username":{},"email":[],"password":1}`, `{"nodeId":{}}`, `{"email":{}}`, `{"userId":[]}`, `{}`, ` {} `} {
			if a := send(body); a.status != 400 || !strings.HasPrefix(a.body, `{"error":"`) {
				if path == "/api/instances/suspend/00000000" || path == "/api/instances/unsuspend/00000000" {
					continue
				}
				t.Errorf("%s: %q: %d %s", path, body, a.status, a.body)
			}
		}
	}
	if u, n, e := b.rows("users"), b.rows("nodes"), b.rows("events"); u != users || n != nodes || e != events {
		t.Errorf("refused bodies left %d users, %d nodes, %d events", u-users, n-nodes, e-events)
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, path := range []string{"/api", "/api/", "/api/nothing", "/api/users/1", "/api/instances/deploy/now", "/api/Users", "/api/instances/suspend/a/b"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			a := b.call(adminKey, method, path, nil)
			if a.status != 404 && a.status != 405 || !strings.HasPrefix(a.body, `{"error":"`) {
				t.Errorf("%s %s: %d %s", method, path, a.status, a.body)
			}
		}
	}
	for _, path := range b.paths() {
		a := b.call(adminKey, http.MethodPatch, path, nil)
		if a.status != 405 || !strings.HasPrefix(a.body, `{"error":"`) {
			t.Errorf("PATCH %s: %d %s", path, a.status, a.body)
		}
	}
}

func TestTooManyCalls(t *testing.T) {
	t.Parallel()
	b := setup(t)
	two := 2
	key := must(b.users.CreateKey(b.asAdmin(), identity.NewKey{User: b.admin, Name: "slow", Scopes: []access.Scope{access.ScopeRead}, RateLimit: &two}))(t)
	for range two {
		b.get(key.Text, "/api/name").object(200)
	}
	a := b.get(key.Text, "/api/name")
	a.says(429, "Too many requests, please try again later")
	if a.header.Get("Retry-After") == "" || a.header.Get("X-RateLimit-Remaining") != "0" {
		t.Errorf("headers: %v", a.header)
	}
}

// The OpenAPI document describes every call.
func TestIsInTheDocument(t *testing.T) {
	t.Parallel()
	b := setup(t)
	doc := b.get("", "/openapi.json").object(200)
	paths := doc["paths"].(object)
	for r := range b.paths() {
		if entry, _ := paths[r.Path].(object); entry[strings.ToLower(r.Method)] == nil {
			t.Errorf("%s %s isn't in the document", r.Method, r.Path)
		}
	}
}
