package app_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
)

// deeds reads testdata/deeds.txt: for each route that may change something the
// events that tell of it, or "-" and why there is none.
func deeds(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("testdata/deeds.txt")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] != "#" {
			out[fields[0]+" "+fields[1]] = strings.Join(fields[2:], " ")
		}
	}
	return out
}

// Who did what is known for every change: a route that isn't only read is in the
// table, with the events that it leaves or why it leaves none.
func TestEveryChangeIsToldOf(t *testing.T) {
	t.Parallel()
	told, there := deeds(t), map[string]bool{}
	for _, r := range opened(t).API.Routes() {
		if r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions {
			continue
		}
		name := r.Method + " " + r.Path
		there[name] = true
		switch says := told[name]; {
		case says == "":
			t.Errorf("%s is not in testdata/deeds.txt: which event tells of it, or why does none?", name)
		case says[0] == '-' && len(strings.Fields(says)) < 4:
			t.Errorf("%s: %q is no reason", name, says)
		}
	}
	for name := range told {
		if !there[name] {
			t.Errorf("%s is in testdata/deeds.txt, and no route", name)
		}
	}
}

// What the table says is so, for what can be called without a node: the fact is in
// the log, with who did it, through which door, and from where.
func TestChangesAreToldOf(t *testing.T) {
	t.Parallel()
	b := setup(t)
	told := deeds(t)
	user := b.user("someone")
	id := map[string]string{"user": string(user)}
	for _, tc := range []struct {
		route, path string
		body        any
		keep        string // the id that comes back is known by this name from now on
	}{
		{"POST /api/v1/users", "", object{"username": "anna", "email": "anna@example.org", "password": "a long password"}, "anna"},
		{"PATCH /api/v1/users/{id}", "/api/v1/users/{anna}", object{"email": "a@example.org"}, ""},
		{"POST /api/v1/users/{id}/invite", "/api/v1/users/{anna}/invite", object{}, ""},
		{"POST /api/v1/users/{id}/ssh-keys", "/api/v1/users/{anna}/ssh-keys", object{"name": "laptop", "public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHCk1a5ZcTX2cG7jvnqDb3rVTG4kUoFP5hUtlFWvIdRw"}, "ssh"},
		{"DELETE /api/v1/users/{id}/ssh-keys/{key}", "/api/v1/users/{anna}/ssh-keys/{ssh}", nil, ""},
		{"POST /api/v1/keys", "", object{"name": "ci", "scopes": []string{"read"}}, "key"},
		{"PATCH /api/v1/keys/{id}", "/api/v1/keys/{key}", object{"name": "cd"}, ""},
		{"DELETE /api/v1/keys/{id}", "/api/v1/keys/{key}", nil, ""},
		{"DELETE /api/v1/users/{id}", "/api/v1/users/{anna}", nil, ""},
		{"POST /api/v1/roles", "", object{"name": "support", "permissions": []string{"instances.read"}}, "role"},
		{"PATCH /api/v1/roles/{id}", "/api/v1/roles/{role}", object{"description": "first line"}, ""},
		{"DELETE /api/v1/roles/{id}", "/api/v1/roles/{role}", nil, ""},
		{"POST /api/v1/nodes", "", object{"name": "n", "address": "192.0.2.1", "port": 8443, "memory": 1024, "disk": 10240}, "node"},
		{"PATCH /api/v1/nodes/{id}", "/api/v1/nodes/{node}", object{"name": "m"}, ""},
		{"POST /api/v1/nodes/{id}/enrolment-key", "/api/v1/nodes/{node}/enrolment-key", nil, ""},
		{"POST /api/v1/nodes/{id}/maintenance", "/api/v1/nodes/{node}/maintenance", object{"on": true}, ""},
		{"POST /api/v1/nodes/{id}/allocations", "/api/v1/nodes/{node}/allocations", object{"ip": "192.0.2.1", "ports": []string{"25565"}}, ""},
		{"DELETE /api/v1/nodes/{id}", "/api/v1/nodes/{node}", nil, ""},
		{"POST /api/v1/join-keys", "", object{"name": "rack"}, "join"},
		{"DELETE /api/v1/join-keys/{id}", "/api/v1/join-keys/{join}", nil, ""},
		{"POST /api/v1/images", "", object{"name": "Game", "references": []string{"example/game:1"}}, "image"},
		{"POST /api/v1/images/import", "", object{"Name": "Echo", "Image": "example/echo:1"}, ""},
		{"PATCH /api/v1/images/{id}", "/api/v1/images/{image}", object{"name": "Other"}, ""},
		{"DELETE /api/v1/images/{id}", "/api/v1/images/{image}", nil, ""},
		{"POST /api/v1/registries", "", object{"host": "registry.example.org:5000", "username": "anna", "password": "hush"}, "registry"},
		{"PATCH /api/v1/registries/{id}", "/api/v1/registries/{registry}", object{"password": "another"}, ""},
		{"DELETE /api/v1/registries/{id}", "/api/v1/registries/{registry}", nil, ""},
		{"PATCH /api/v1/settings/panel", "", object{"name": "Hoster"}, ""},
		{"POST /api/auth/create-user", "", object{"username": "old", "email": "old@example.org", "password": "a long password"}, ""},
	} {
		method, path, _ := strings.Cut(tc.route, " ")
		if tc.path != "" {
			path = tc.path
		}
		for name, value := range id {
			path = strings.ReplaceAll(path, "{"+name+"}", value)
		}
		_, before, err := b.app.Events.Bounds(t.Context(), b.app.DB.Snapshot())
		if err != nil {
			t.Fatal(err)
		}
		answer := b.call(adminKey, method, path, tc.body)
		if answer.status >= 300 {
			t.Errorf("%s: %d %s", tc.route, answer.status, answer.body)
			continue
		}
		if tc.keep != "" {
			id[tc.keep] = answer.id()
		}
		b.tells(tc.route, strings.Fields(told[tc.route]), before)
	}
}

// tells checks the facts since: the first of them that the table names is by the
// admin's key, from here.
func (b *bundle) tells(route string, want []string, since int64) {
	b.t.Helper()
	list, _, err := b.app.Events.List(b.t.Context(), b.app.DB.Snapshot(), event.Filter{Sight: event.Everything(), After: max(since, 1), Limit: 50})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, e := range list {
		if e.ID > since && slices.Contains(want, string(e.Type)) {
			if e.Actor.Via != access.ViaKey || e.Actor.User == "" || e.Actor.Key == "" || e.Actor.Address != "127.0.0.1" {
				b.t.Errorf("%s: %s is by %+v", route, e.Type, e.Actor)
			}
			return
		}
	}
	b.t.Errorf("%s left none of %v, but %s", route, want, types(list))
}

func types(list []event.Event) string {
	var out []string
	for _, e := range list {
		out = append(out, string(e.Type))
	}
	return fmt.Sprint(out)
}

// id is data.id of the answer, however deep its view has it.
func (a answer) id() string {
	a.t.Helper()
	_, rest, ok := strings.Cut(a.body, `"id":"`)
	if !ok {
		_, rest, ok = strings.Cut(a.body, `"key_id":"`)
	}
	if !ok {
		a.t.Fatalf("%s gave no id: %s", a.call, a.body)
	}
	id, _, _ := strings.Cut(rest, `"`)
	return id
}
