package app_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/app"
	"github.com/berth-panel/berth/controller/httpapi"
)

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	doc, err := opened(t).API.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "../../docs/openapi.json", doc)
}

// Every route is in the table with its rule: a new one is a decision that is
// looked at.
func TestRouteTable(t *testing.T) {
	t.Parallel()
	var table strings.Builder
	for _, r := range opened(t).API.Routes() {
		rule := r.Access.String()
		if rule == "nobody" {
			t.Errorf("%s %s has no rule", r.Method, r.Path)
		}
		fmt.Fprintf(&table, "%-7s %-55s %s\n", r.Method, r.Path, rule)
	}
	golden(t, "testdata/routes.txt", []byte(table.String()))
}

// What Fiber answers to, what is registered and what the document says are the
// same.
func TestParity(t *testing.T) {
	t.Parallel()
	a := opened(t)
	described := operations(t, a)
	var known []string
	for _, r := range a.API.Routes() {
		known = append(known, r.Method+" "+r.Path)
		if strings.HasPrefix(r.Path, "/api") && r.Hidden {
			t.Errorf("%s %s is hidden from the document", r.Method, r.Path)
		}
	}
	served := a.API.Served()
	for _, route := range served {
		method, path, _ := strings.Cut(route, " ")
		if method == http.MethodHead && slices.Contains(served, "GET "+path) {
			continue // every GET answers HEAD
		}
		if !slices.Contains(known, route) {
			t.Errorf("%s is served and not registered", route)
		}
		if strings.HasPrefix(path, "/api") && !slices.Contains(described, route) {
			t.Errorf("%s is served and not in the document", route)
		}
	}
	for _, route := range described {
		if !slices.Contains(served, route) {
			t.Errorf("%s is in the document and not served", route)
		}
	}
	if len(described) < 50 {
		t.Errorf("only %d operations in the document", len(described))
	}
}

// operations reads "METHOD path" out of the OpenAPI document.
func operations(t *testing.T, a *app.App) []string {
	t.Helper()
	raw, err := a.API.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	var out []string
	for path, methods := range doc.Paths {
		for method := range methods {
			if method != "parameters" {
				out = append(out, strings.ToUpper(method)+" "+path)
			}
		}
	}
	return out
}

var pathPart = regexp.MustCompile(`\{[a-zA-Z_]+\}`)

// Nobody passes a rule: each route is called without a key, with every key that is
// too weak for it, and by somebody who has any one other permission.
func TestEveryRouteHoldsItsRule(t *testing.T) {
	t.Parallel()
	b := setup(t)
	callers := map[string]access.Caller{} // by key: what it may, told apart from how the database says so
	add := func(key string, c access.Caller, scope access.Scope) {
		c.Via, c.Scopes = access.ViaKey, []access.Scope{scope}
		callers[key] = c
	}
	customer := b.user("owner")
	for _, s := range []access.Scope{access.ScopeRead, access.ScopeWrite, access.ScopeAdmin} {
		add(b.key("", s), access.Caller{Admin: true}, s)
		if s != access.ScopeAdmin { // no customer's key has it
			add(b.key(customer, s), access.Caller{}, s)
		}
	}
	for _, p := range access.Permissions() {
		add(b.key(b.holder(string(p), p), access.ScopeAdmin), access.Caller{Permissions: []access.Permission{p}}, access.ScopeAdmin)
	}
	before := b.rows()
	for _, r := range b.app.API.Routes() {
		if r.Access.IsPublic() {
			continue
		}
		path := pathPart.ReplaceAllString(r.Path, "x")
		b.call("", r.Method, path, nil).refused(r.Style, http.StatusUnauthorized)
		for key, c := range callers {
			switch {
			case r.Access.Check(c) != nil:
				b.call(key, r.Method, path, object{}).refused(r.Style, http.StatusForbidden)
			case r.Access.Permission() != "" && r.Method == http.MethodGet:
				if a := b.call(key, r.Method, path, nil); a.status == http.StatusForbidden || a.status == http.StatusUnauthorized {
					t.Errorf("%s: %+v is refused: %s", a.call, c, a.body)
				}
			}
		}
	}
	if after := b.rows(); !maps.Equal(before, after) {
		t.Errorf("refused calls left something behind: %v, before %v", after, before)
	}
}

// refused checks that it is a refusal in the style of its API.
func (a answer) refused(style httpapi.Style, status int) {
	a.t.Helper()
	if strings.HasPrefix(a.call, http.MethodHead+" ") && a.status == status && a.body == "" {
		return
	}
	if a.status != status || !json.Valid([]byte(a.body)) {
		a.t.Errorf("%s: got %d %s, want %d", a.call, a.status, a.body, status)
		return
	}
	var e struct {
		Error any
	}
	_ = json.Unmarshal([]byte(a.body), &e)
	if _, isText := e.Error.(string); isText != (style == httpapi.Classic) {
		a.t.Errorf("%s: the wrong style: %s", a.call, a.body)
	}
}
