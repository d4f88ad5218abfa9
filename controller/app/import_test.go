package app_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/image"
)

const smallEgg = `meta: {version: PLCN_v3, update_url: null}
name: Echo
author: eggs@berth.example
uuid: 0f2bb2b5-1f0e-4e0f-9b39-6a7d10a0c8b1
docker_images:
  One: berth.example/echo:1
startup_commands:
  Default: ./echo
config: {files: {}, startup: {done: up}, logs: {}, stop: ^^C}
scripts: {}
variables: []
`

// Images come in as a file that is the body, as files and by the API alone by who
// may; customers get neither in nor out.
func TestImportOverHTTP(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const path = "/api/v1/images/import"
	customer, reader := b.key(b.user("anna"), access.ScopeWrite), b.key("", access.ScopeRead)
	before := b.rows()
	for key, want := range map[string]int{"": 401, customer: 403, reader: 403} {
		if a := b.callWith(map[string]string{"Content-Type": "application/yaml"}, key, "POST", path, smallEgg); a.status != want {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	for name, body := range map[string]string{"no file": "", "no image": "a: b", "broken": strings.Replace(smallEgg, "One:", "One", 1), "too many": `{"files":[` + strings.Repeat(`{},`, 2000) + `{}]}`} {
		if a := b.call(adminKey, "POST", path, body); a.status != http.StatusBadRequest && a.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if a := b.call(adminKey, "POST", path, strings.Repeat("#\n", 3<<20)); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %s", a.status, a.body)
	}
	if after := b.rows(); !same(before, after) {
		t.Errorf("something has come of it: %v, before %v", after, before)
	}
	var report image.ImportReport
	b.callWith(map[string]string{"Content-Type": "application/yaml"}, adminKey, "POST", path+"?name=echo.yaml", smallEgg).data(http.StatusCreated, &report)
	if f := report.Files[0]; len(report.Files) != 1 || f.File != "echo.yaml" || f.Status != image.Imported || f.Format != "PLCN_v3" || len(f.Changes) != 1 {
		t.Fatalf("%+v", report)
	}
	id := report.Files[0].ImageID
	b.call(adminKey, "POST", path, object{"files": []object{{"name": "LICENSE", "text": "Do what you want."}, {"name": "a.yaml", "text": smallEgg}, {"name": "b.json", "text": `{"Name":"B","Image":5}`}}}).
		data(http.StatusCreated, &report)
	if s := report.Files; len(s) != 3 || s[0].Status != image.Skipped || s[1].Status != image.Updated || s[1].ImageID != id || s[2].Status != image.Refused || s[2].Error == "" {
		t.Errorf("%+v", report)
	}
	old := strings.NewReplacer("Echo", "B\xf6je", "0f2bb2b5", "0f2bb2b6").Replace(smallEgg)
	b.call(adminKey, "POST", path, object{"files": []object{{"name": "old.yaml", "bytes": []byte(old)}}}).data(http.StatusCreated, &report)
	if f := report.Files[0]; f.Name != "Böje" || f.Status != image.Imported || !strings.Contains(strings.Join(f.Changes, "\n"), "Windows-1252") {
		t.Errorf("%+v", report)
	}
	for key, want := range map[string]int{"": 401, customer: 403, reader: 403, adminKey: 200} {
		if a := b.call(key, "GET", "/api/v1/images/"+id+"/export?as=yaml", nil); a.status != want || (want == 200) != strings.Contains(a.body, "version: PLCN_v3") {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	for key, want := range map[string]int{"": 401, customer: 403, reader: 403, adminKey: 409} {
		if a := b.call(key, "POST", "/api/v1/images/"+id+"/update", nil); a.status != want || (want == 409) != strings.Contains(a.body, "names no address for updates") {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if a := b.call(adminKey, "POST", "/api/v1/images/nobody/update", nil); a.status != http.StatusNotFound {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := b.get("/api/v1/images/" + id + "/export?format=PTDL_v2"); a.status != http.StatusUnprocessableEntity {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func same(a, b map[string]int) bool {
	for name, n := range a {
		if b[name] != n {
			return false
		}
	}
	return len(a) == len(b)
}

// A picture goes in by who may, and out so that a hostile one can do nothing.
func TestIconOverHTTP(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := b.call(adminKey, "POST", "/api/v1/images", object{"name": "Echo", "references": []string{"berth.example/echo:1"}}).object(http.StatusCreated)
	path := "/api/v1/images/" + made["id"].(string) + "/icon" //nolint:forcetypeassert // a test may fail so
	customer := b.key(b.user("anna"), access.ScopeWrite)
	svg := `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`
	put := func(key, kind, data string) answer {
		return b.callWith(map[string]string{"Content-Type": kind}, key, "PUT", path, data)
	}
	for _, tc := range []struct {
		key, kind, data string
		want            int
	}{
		{"", "image/svg+xml", svg, 401}, {customer, "image/svg+xml", svg, 403}, {adminKey, "text/html", svg, 422}, {adminKey, "image/png", svg, 422},
		{adminKey, "image/svg+xml", "", 422}, {adminKey, "image/svg+xml", svg + strings.Repeat(" ", 512<<10), 413}, {adminKey, "image/svg+xml", svg, 204},
	} {
		if a := put(tc.key, tc.kind, tc.data); a.status != tc.want {
			t.Errorf("%s %.20s: %d %s", tc.kind, tc.data, a.status, a.body)
		}
	}
	a := b.call(customer, "GET", path, nil)
	if h := a.header; a.status != 200 || a.body != svg || h.Get("Content-Type") != "image/svg+xml" || h.Get("X-Content-Type-Options") != "nosniff" ||
		!strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'; ") || !strings.Contains(h.Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("%d %v %s", a.status, a.header, a.body)
	}
	if again := b.callWith(map[string]string{"If-None-Match": a.header.Get("ETag")}, customer, "GET", path, nil); again.status != http.StatusNotModified || again.body != "" {
		t.Errorf("%d %s", again.status, again.body)
	}
	if gone := b.call(customer, "DELETE", path, nil); gone.status != 403 {
		t.Errorf("%d %s", gone.status, gone.body)
	}
	if gone := b.call(adminKey, "DELETE", path, nil); gone.status != 200 {
		t.Errorf("%d %s", gone.status, gone.body)
	}
	for _, p := range []string{path, "/api/v1/images/nobody/icon"} {
		if a := b.get(p); a.status != http.StatusNotFound {
			t.Errorf("%s: %d %s", p, a.status, a.body)
		}
	}
}
