package httpapi_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
)

type EchoBody struct {
	Text string `json:"text"`
}

type doubled struct{}

// register has a type of the same name as another one.
func (doubled) register(a *httpapi.API) {
	type ThingView struct {
		Other int `json:"other"`
	}
	httpapi.Handle(a, httpapi.Operation{ID: "other", Method: "GET", Path: "/api/v1/other", Access: access.Public()},
		func(context.Context, *struct{}) (ThingView, error) { return ThingView{}, nil })
}

func everything(a *httpapi.API) {
	new(things).register(a)
	newTicker().register(a)
	new(classic).register(a)
	httpapi.HandleRaw(a, httpapi.Operation{
		ID: "described", Method: "POST", Path: "/api/described", Access: access.Public(), Style: httpapi.Classic, Tag: "classic",
		Accepts: EchoBody{}, Answers: []EchoBody{},
	}, func(context.Context, *httpapi.Request) (httpapi.Reply, error) { return httpapi.Reply{}, nil })
}

func TestDocumentIsStable(t *testing.T) {
	t.Parallel()
	var first []byte
	for range 5 {
		b := prepare(t)
		everything(b.api)
		doc, err := b.api.OpenAPI()
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = doc
		}
		if !bytes.Equal(first, doc) {
			t.Fatal("the same registrations gave another document")
		}
	}
	if !bytes.HasPrefix(first, []byte("{\n  \"components\": {")) || !bytes.HasSuffix(first, []byte("}\n")) {
		t.Fatalf("not indented: %.60q", first)
	}
}

// at walks into JSON.
func at(t *testing.T, v any, path ...string) any {
	t.Helper()
	for _, name := range path {
		m, ok := v.(map[string]any)
		if !ok || m[name] == nil {
			t.Fatalf("nothing at %s of %v", name, path)
		}
		v = m[name]
	}
	return v
}

func TestDocumentSaysWhatThereIs(t *testing.T) {
	t.Parallel()
	b := setup(t, everything)
	a := b.do("GET", "/openapi.json", "")
	if a.status != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
		t.Fatalf("%d %v", a.status, a.header)
	}
	doc := a.json(t)
	if doc["openapi"] != "3.1.0" {
		t.Fatalf("version %v", doc["openapi"])
	}
	paths, _ := doc["paths"].(map[string]any)
	documented := 0
	for _, item := range paths {
		m, _ := item.(map[string]any)
		documented += len(m)
	}
	routes := 0
	for _, r := range b.api.Routes() {
		if !r.Hidden {
			routes++
			op := at(t, doc, "paths", r.Path, strings.ToLower(r.Method))
			if at(t, op, "operationId") != r.ID || at(t, op, "x-berth-rule") != r.Access.String() {
				t.Errorf("%s %s is documented as %v", r.Method, r.Path, op)
			}
		}
	}
	if documented != routes || routes < 10 {
		t.Errorf("%d operations are documented of %d", documented, routes)
	}
	for _, path := range [][]string{
		{"components", "schemas", "APIError"},
		{"components", "schemas", "ThingBody", "properties", "memory", "minimum"},
		{"paths", "/api/v1/things", "get", "responses", "200", "content", "application/json", "schema", "properties", "pagination"},
		{"paths", "/api/v1/things/{id}", "delete", "responses", "200", "content", "application/json", "schema", "properties", "message"},
		{"paths", "/api/v1/tick", "get", "responses", "200", "content", "text/event-stream"},
		{"paths", "/api/described", "post", "requestBody", "content", "application/json", "schema", "$ref"},
		{"paths", "/api/fail/{code}", "post", "responses", "default", "content", "application/json", "schema", "properties", "error"},
	} {
		at(t, doc, path...)
	}
	if strings.Contains(a.body, "ErrorModel") || strings.Contains(a.body, "$schema") {
		t.Error("something of huma's own is in the document")
	}
	// Every reference leads somewhere.
	for _, m := range regexp.MustCompile(`"#/components/schemas/([^"]+)"`).FindAllStringSubmatch(a.body, -1) {
		at(t, doc, "components", "schemas", m[1])
	}
}

func TestEveryRouteHasARule(t *testing.T) {
	t.Parallel()
	b := prepare(t)
	everything(b.api)
	var table []string
	for _, r := range b.api.Routes() {
		table = append(table, r.Access.String()+" "+r.Method+" "+r.Path+" "+r.Style.String())
	}
	want := `user with write POST /api/v1/things envelope`
	if all := strings.Join(table, "\n"); !strings.Contains(all, want) || strings.Contains(all, "nobody") {
		t.Fatal(all)
	}
}

func TestMistakesInRegistering(t *testing.T) {
	t.Parallel()
	nothing := func(context.Context, *struct{}) (httpapi.Done, error) { return httpapi.Done{}, nil }
	good := httpapi.Operation{ID: "good", Method: "GET", Path: "/api/v1/good", Access: access.Public()}
	for name, tc := range map[string]struct {
		register func(*httpapi.API)
		want     string
	}{
		"two types of one name": {func(a *httpapi.API) { new(things).register(a); doubled{}.register(a) }, "duplicate name: ThingView"},
		"no rule": {func(a *httpapi.API) {
			op := good
			op.Access = access.Rule{}
			httpapi.Handle(a, op, nothing)
		}, "has no access rule"},
		"no id": {func(a *httpapi.API) {
			op := good
			op.ID = ""
			httpapi.Handle(a, op, nothing)
		}, "has no ID"},
		"an id twice": {func(a *httpapi.API) {
			httpapi.Handle(a, good, nothing)
			op := good
			op.Path = "/api/v1/better"
			httpapi.Handle(a, op, nothing)
		}, "is registered already"},
		"a route twice": {func(a *httpapi.API) {
			httpapi.Handle(a, good, nothing)
			op := good
			op.ID = "better"
			httpapi.Handle(a, op, nothing)
		}, "is registered already"},
		"no path": {func(a *httpapi.API) {
			op := good
			op.Path = "api/v1/:id"
			httpapi.Handle(a, op, nothing)
		}, "the path isn't"},
		"a classic route of another style": {func(a *httpapi.API) {
			op := good
			op.Path = "/api/good"
			httpapi.Handle(a, op, nothing)
		}, "belong together"},
		"public and idempotent": {func(a *httpapi.API) {
			op := good
			op.Idempotent = true
			httpapi.Handle(a, op, nothing)
		}, "can't be idempotent"},
		"a list without its query": {func(a *httpapi.API) {
			httpapi.HandlePage(a, good, func(context.Context, *struct{}) (httpapi.Page[int], error) { return httpapi.Page[int]{}, nil })
		}, "doesn't embed PageQuery"},
		"a parameter that nobody reads": {func(a *httpapi.API) {
			op := good
			op.Path = "/api/v1/good/{id}"
			httpapi.Handle(a, op, nothing)
		}, "no field for id"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := prepare(t)
			tc.register(b.api)
			if err := b.api.Err(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("%v, wanted %q", err, tc.want)
			}
			if _, err := b.api.OpenAPI(); err == nil {
				t.Fatal("there is a document in spite of it")
			}
		})
	}
}

func TestConfigMustBeWhole(t *testing.T) {
	t.Parallel()
	if _, err := httpapi.New(httpapi.Config{}); err == nil {
		t.Fatal("an empty configuration was taken")
	}
}

func TestDocsPageWorksOffline(t *testing.T) {
	t.Parallel()
	b := setup(t, everything)
	page := b.do("GET", "/docs", "")
	if page.status != 200 || !strings.HasPrefix(page.header.Get("Content-Type"), "text/html") {
		t.Fatalf("%d %v", page.status, page.header)
	}
	policy := page.header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "script-src 'self';") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
		t.Fatalf("policy %q", policy)
	}
	if regexp.MustCompile(`(?i)<style|<script>|\son[a-z]+=|https?:|style=`).MatchString(page.body) {
		t.Fatal("something inline, or from elsewhere")
	}
	for _, ref := range regexp.MustCompile(`(?:src|href)="(/[^"]*)"`).FindAllStringSubmatch(page.body, -1) {
		if a := b.do("GET", ref[1], ""); a.status != 200 {
			t.Errorf("%s: %d", ref[1], a.status)
		}
	}
	script := b.do("GET", "/docs/docs.js", "")
	if !strings.HasPrefix(script.header.Get("Content-Type"), "text/javascript") || regexp.MustCompile(`innerHTML|eval\(|https?://|document\.write`).MatchString(script.body) {
		t.Fatalf("%v", script.header)
	}
}

func TestStaticPages(t *testing.T) {
	t.Parallel()
	b := setup(t, everything, static(fstest.MapFS{
		"index.html":           {Data: []byte("<h1>panel</h1>")},
		"assets/app-abc123.js": {Data: []byte("app()")},
		"favicon.svg":          {Data: []byte("<svg/>")},
		"api/v1/things":        {Data: []byte("must not hide the API")},
		"api/v1/not-a-route":   {Data: []byte("must not answer for the API")},
	}))
	for path, want := range map[string]struct {
		status            int
		kind, cache, body string
	}{
		"/":                     {200, "text/html", "no-cache", "<h1>panel</h1>"},
		"/index.html":           {200, "text/html", "no-cache", "<h1>panel</h1>"},
		"/assets/app-abc123.js": {200, "text/javascript", "public, max-age=31536000, immutable", "app()"},
		"/favicon.svg":          {200, "image/svg+xml", "no-cache", "<svg/>"},
		"/assets":               {404, "text/html", "no-store", ""},
		"/assets/../index.html": {404, "text/html", "no-store", ""},
		"/nothing.js":           {404, "text/html", "no-store", ""},
		"/assets/old":           {404, "text/html", "no-store", ""},
		"/API/v1/things":        {404, "text/html", "no-store", ""},
		"/instances/../nodes":   {404, "text/html", "no-store", ""},
		"/instances":            {200, "text/html", "no-cache", "<h1>panel</h1>"},
		"/instances/0a/console": {200, "text/html", "no-cache", "<h1>panel</h1>"},
		"/nodes/?tab=network":   {200, "text/html", "no-cache", "<h1>panel</h1>"},
		"/api/v1/things":        {401, "application/json", "no-store", ""},
		"/api/v1/not-a-route":   {404, "application/json", "no-store", ""},
	} {
		a := b.raw("GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 1)[0]
		if a.status != want.status || !strings.HasPrefix(a.header.Get("Content-Type"), want.kind) || a.header.Get("Cache-Control") != want.cache ||
			(want.body != "" && a.body != want.body) {
			t.Errorf("%s: %d %v %s", path, a.status, a.header, a.body)
		}
	}
	tag := b.do("GET", "/", "").header.Get("ETag")
	if a := b.do("GET", "/", "", header{"If-None-Match", tag}); a.status != http.StatusNotModified || a.body != "" {
		t.Errorf("the same tag: %d", a.status)
	}
	if a := b.do("GET", "/", "", header{"If-None-Match", `"other"`}); a.status != 200 {
		t.Errorf("another tag: %d", a.status)
	}
	if a := b.do("POST", "/", "{}"); a.status != 405 || a.header.Get("Allow") != "GET, HEAD, OPTIONS" {
		t.Errorf("POST: %d %v", a.status, a.header)
	}
	if a := b.do("POST", "/instances", "{}"); a.status != 404 {
		t.Errorf("POST to an address of the panel: %d", a.status)
	}
	if a := b.do("HEAD", "/", ""); a.status != 200 || a.header.Get("Content-Length") != "14" {
		t.Errorf("HEAD: %d %v", a.status, a.header)
	}
}

// A browser that takes gzip gets the panel in a fourth of its size, with a tag of its
// own: a cache between must not mix the two up.
func TestPagesArePacked(t *testing.T) {
	t.Parallel()
	script := strings.Repeat("draw('the panel');\n", 500)
	b := setup(t, everything, static(fstest.MapFS{"index.html": {Data: []byte("<h1>panel</h1>")}, "assets/app-abc123.js": {Data: []byte(script)}}))
	const at = "/assets/app-abc123.js"
	plain := b.do("GET", at, "", header{"Accept-Encoding", "identity"})
	if plain.body != script || plain.header.Get("Content-Encoding") != "" || plain.header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("%v", plain.header)
	}
	packed := b.do("GET", at, "", header{"Accept-Encoding", "br, gzip"})
	r, err := gzip.NewReader(strings.NewReader(packed.body))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r)
	if err != nil || string(body) != script || packed.header.Get("Content-Encoding") != "gzip" || len(packed.body) > len(script)/4 ||
		packed.header.Get("Content-Type") != plain.header.Get("Content-Type") || packed.header.Get("ETag") == plain.header.Get("ETag") {
		t.Errorf("%d of %d bytes, %v, %v", len(packed.body), len(script), packed.header, err)
	}
	same := b.do("GET", at, "", header{"Accept-Encoding", "gzip"}, header{"If-None-Match", packed.header.Get("ETag")})
	if same.status != http.StatusNotModified || same.body != "" || same.header.Get("Content-Encoding") != "" {
		t.Errorf("the same tag: %d %v", same.status, same.header)
	}
	if a := b.do("GET", at, "", header{"Accept-Encoding", "gzip"}, header{"If-None-Match", plain.header.Get("ETag")}); a.status != 200 {
		t.Errorf("the other one's tag: %d", a.status)
	}
	if a := b.do("GET", "/", "", header{"Accept-Encoding", "gzip"}); a.body != "<h1>panel</h1>" || a.header.Get("Content-Encoding") != "" {
		t.Errorf("what gets no smaller: %v", a.header)
	}
}

func TestErrorsFitTheirSchema(t *testing.T) {
	t.Parallel()
	b := setup(t, everything)
	var e struct {
		Success   *bool   `json:"success"`
		RequestID *string `json:"request_id"`
		Error     struct {
			Code    string              `json:"code"`
			Message string              `json:"message"`
			Details []map[string]string `json:"details"`
		} `json:"error"`
	}
	a := b.do("POST", "/api/v1/things", `{}`, key("write"))
	d := json.NewDecoder(strings.NewReader(a.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil || e.Success == nil || *e.Success || e.RequestID == nil || e.Error.Message != "name: is missing" || e.Error.Details[0]["message"] != "is missing" {
		t.Fatalf("%v %s", err, a.body)
	}
}
