package app_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/access"
)

// told is an instance with the answer of a change.
type told struct {
	Instance struct {
		ID         string
		Generation int64
		Memory     int64
		ImageID    string `json:"image_id"`
	}
	Job     *struct{ ID string }
	Restart string
}

// shown is an instance in full.
type shown struct {
	Variables map[string]string
	Secrets   []string
	Env       []string
	Startup   string
	Outdated  bool
}

// TestAnInstanceFollowsItsImageOverHTTP plays a hoster and a customer: presets, a
// form with its rules, secrets, a newer definition, a clone.
func TestAnInstanceFollowsItsImageOverHTTP(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, node := b.scripted("a", 4096, nil)
	b.call(adminKey, "POST", "/api/v1/nodes/"+string(node)+"/allocations", object{"ports": []string{"40001-40009"}}).object(201)
	definition := object{"references": []string{"berth/demo:1"}, "launch": "entrypoint", "volume": "/home/container",
		"commands": []object{{"name": "One", "line": "run {{MOTD}}"}, {"name": "Two", "line": "walk {{MOTD}}"}},
		"variables": []object{{"name": "MOTD", "rules": []string{"required", "max:10"}, "default": "hi"}, {"name": "TOKEN", "secret": true, "default": "default-secret"},
			{"name": "FIXED", "locked": true, "default": "1"}, {"name": "INNER", "hidden": true, "default": "inner-value"}}}
	body := maps.Clone(definition)
	body["name"] = "Game"
	img, _ := b.call(adminKey, "POST", "/api/v1/images", body).object(201)["id"].(string)
	images := "/api/v1/images/" + img
	owner := b.user("owner")
	customer := b.key(owner, access.ScopeWrite)

	preset, _ := b.call(adminKey, "POST", images+"/presets", object{"name": "Small", "memory": 128, "cpu": 0.5, "ports": []object{{"container": 8080}},
		"variables": object{"MOTD": "preset"}, "startup": "Two"}).object(201)["id"].(string)
	if a := b.call(customer, "POST", images+"/presets", object{"name": "Mine"}); a.status != http.StatusForbidden {
		t.Errorf("a customer makes a preset: %d", a.status)
	}
	var made told
	order := object{"name": "one", "owner_id": owner, "image_id": img, "preset": preset, "variables": object{"TOKEN": "my-own-secret"}}
	b.call(adminKey, "POST", "/api/v1/instances", order).data(202, &made)
	if made.Instance.Memory != 128 {
		t.Errorf("the preset's memory is not taken: %+v", made)
	}
	path := "/api/v1/instances/" + made.Instance.ID
	settled := func(job string) {
		t.Helper()
		b.until("the job has ended", func() bool { return b.get("/api/v1/jobs/" + job).object(200)["state"] == "succeeded" })
	}
	settled(made.Job.ID)

	for name, key := range map[string]string{"an admin": adminKey, "the owner": customer} {
		for _, where := range []string{path, images, images + "/schema", "/api/v1/images", "/api/instances", "/api/images", "/api/v1/events", images + "/presets"} {
			a := b.call(key, "GET", where, nil)
			if a.status != 200 || strings.Contains(a.body, "my-own-secret") || strings.Contains(a.body, "default-secret") {
				t.Errorf("%s reads %s: %d %s", name, where, a.status, a.body)
			}
			if key == customer && strings.Contains(a.body, "inner-value") {
				t.Errorf("%s reads what is hidden at %s: %s", name, where, a.body)
			}
		}
	}
	var view shown
	b.call(customer, "GET", path, nil).data(200, &view)
	if !maps.Equal(view.Variables, map[string]string{"MOTD": "preset"}) || !slices.Equal(view.Secrets, []string{"TOKEN"}) || view.Startup != "Two" || !slices.Contains(view.Env, "STARTUP=walk ${MOTD}") {
		t.Errorf("the owner is shown %+v", view)
	}

	refused := b.call(customer, "PATCH", path, object{"variables": object{"MOTD": "much too long", "FIXED": "2"}})
	if refused.status != 422 || !strings.Contains(refused.body, `"field":"variables.FIXED"`) {
		t.Errorf("what is locked: %d %s", refused.status, refused.body)
	}
	refused = b.call(customer, "PATCH", path, object{"variables": object{"MOTD": "much too long"}})
	const want = `{"field":"variables.MOTD","message":"at most 10 characters","rule":"max_text","params":{"than":"10"}}`
	if refused.status != 422 || !strings.Contains(refused.body, want) {
		t.Errorf("what is too long: %d %s", refused.status, refused.body)
	}
	var changed told
	b.call(customer, "PATCH", path, object{"variables": object{"MOTD": "{{TOKEN}}"}, "startup": "One"}).data(202, &changed)
	if changed.Restart != "needed" {
		t.Errorf("the change takes %q", changed.Restart)
	}
	settled(changed.Job.ID)

	definition["commands"] = []object{{"name": "One", "line": "run faster {{MOTD}}"}}
	b.call(adminKey, "PATCH", images, object{"definition": definition}).object(200)
	b.call(customer, "GET", path, nil).data(200, &view)
	if !view.Outdated || !slices.Contains(view.Env, "MOTD={{TOKEN}}") {
		t.Errorf("before the refresh: %+v", view)
	}
	b.call(customer, "POST", path+"/refresh", nil).data(202, &changed)
	settled(changed.Job.ID)
	view = shown{}
	b.call(customer, "GET", path, nil).data(200, &view)
	if view.Outdated || !slices.Contains(view.Env, "STARTUP=run faster ${MOTD}") {
		t.Errorf("after the refresh: %+v", view)
	}

	if a := b.call(customer, "POST", path+"/clone", object{"name": "two"}); a.status != http.StatusForbidden {
		t.Errorf("a customer clones: %d", a.status)
	}
	var twin told
	b.call(adminKey, "POST", path+"/clone", object{"name": "two"}).data(202, &twin)
	settled(twin.Job.ID)
	view = shown{}
	b.call(adminKey, "GET", "/api/v1/instances/"+twin.Instance.ID, nil).data(200, &view)
	if twin.Instance.ID == made.Instance.ID || twin.Instance.ImageID != img || view.Variables["MOTD"] != "{{TOKEN}}" || !slices.Equal(view.Secrets, []string{"TOKEN"}) {
		t.Errorf("the clone is %+v, %+v", twin, view)
	}
}
