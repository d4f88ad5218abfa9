package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/shared/problem"
)

type PortBody struct {
	Host int `json:"host" minimum:"1" maximum:"65535"`
}

type ThingBody struct {
	Name      string                `json:"name" minLength:"1" maxLength:"10"`
	Memory    int                   `json:"memory,omitempty" minimum:"6" maximum:"1000000"`
	CPU       float64               `json:"cpu,omitempty" exclusiveMinimum:"0"`
	Ports     []PortBody            `json:"ports,omitempty" maxItems:"3"`
	Variables map[string]string     `json:"variables,omitempty"`
	Limit     httpapi.Optional[int] `json:"limit,omitempty" minimum:"1"`
}

type ThingView struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type things struct{ made atomic.Int64 }

// register adds what most of a feature looks like.
func (th *things) register(a *httpapi.API) {
	op := func(id, method, path string, rule access.Rule) httpapi.Operation {
		return httpapi.Operation{ID: id, Method: method, Path: path, Access: rule, Tag: "things"}
	}
	create := op("create-thing", "POST", "/api/v1/things", access.Needs(access.ScopeWrite))
	create.Status, create.Idempotent = 201, true
	httpapi.Handle(a, create, func(_ context.Context, in *struct{ Body ThingBody }) (ThingView, error) {
		return ThingView{fmt.Sprint(th.made.Add(1)), in.Body.Name}, nil
	})
	httpapi.HandlePage(a, op("list-things", "GET", "/api/v1/things", access.Needs(access.ScopeRead)), func(_ context.Context, in *struct {
		httpapi.PageQuery
		Sort string `query:"sort" enum:"name,-name" default:"name"`
	}) (httpapi.Page[ThingView], error) {
		return httpapi.Page[ThingView]{Items: []ThingView{{fmt.Sprint(in.Offset()), in.Sort}}, Total: 101}, nil
	})
	httpapi.Handle(a, op("get-thing", "GET", "/api/v1/things/{id}", access.Needs(access.ScopeRead)), func(_ context.Context, in *struct {
		ID string `path:"id"`
	}) (ThingView, error) {
		if strings.HasPrefix(in.ID, "no") {
			return ThingView{}, problem.New(problem.NotFound, "there is no such thing")
		}
		return ThingView{ID: in.ID}, nil
	})
	httpapi.Handle(a, op("get-first", "GET", "/api/v1/things/first", access.Needs(access.ScopeRead)), func(context.Context, *struct{}) (json.RawMessage, error) {
		return json.RawMessage(`{"raw":  1}`), nil
	})
	httpapi.Handle(a, op("patch-thing", "PATCH", "/api/v1/things/{id}", access.Needs(access.ScopeWrite)), func(_ context.Context, in *struct {
		ID   string `path:"id"`
		Body *struct {
			Limit httpapi.Optional[int] `json:"limit,omitempty" minimum:"1"`
		}
	}) (map[string]any, error) {
		if in.Body == nil {
			return map[string]any{"body": nil}, nil
		}
		l := in.Body.Limit
		return map[string]any{"set": l.Set, "null": l.Null, "value": l.Value}, nil
	})
	httpapi.Handle(a, op("delete-thing", "DELETE", "/api/v1/things/{id}", access.Permits(access.WriteNodes)), func(_ context.Context, _ *struct {
		ID string `path:"id"`
	}) (httpapi.Done, error) {
		return httpapi.Did("the thing is gone"), nil
	})
}

func TestBadBodies(t *testing.T) {
	t.Parallel()
	var th things
	b := setup(t, th.register)
	deep := strings.Repeat(`[`, 3000) + strings.Repeat(`]`, 3000)
	for name, tc := range map[string]struct {
		body   string
		status int
		code   problem.Code
		fields string
	}{
		"not JSON":                   {`{name: x}`, 400, problem.BadRequest, ""},
		"cut off":                    {`{"name":"x"`, 400, problem.BadRequest, ""},
		"something behind it":        {`{"name":"x"} {}`, 400, problem.BadRequest, ""},
		"NaN":                        {`{"name":"x","cpu":NaN}`, 400, problem.BadRequest, ""},
		"form":                       {`name=x`, 400, problem.BadRequest, ""},
		"empty":                      {``, 400, problem.BadRequest, ""},
		"only space":                 {" \n ", 400, problem.BadRequest, ""},
		"deep":                       {`{"name":` + deep + `}`, 400, problem.BadRequest, ""},
		"a control character":        {"{\"name\":\"a\x01\"}", 400, problem.BadRequest, ""},
		"null":                       {`null`, 422, problem.Validation, "body"},
		"a list":                     {`[]`, 422, problem.Validation, "body"},
		"a text":                     {`"x"`, 422, problem.Validation, "body"},
		"missing":                    {`{}`, 422, problem.Validation, "name"},
		"null where needed":          {`{"name":null}`, 422, problem.Validation, "name"},
		"a number as text":           {`{"name":5}`, 422, problem.Validation, "name"},
		"a text as number":           {`{"name":"x","memory":"12abc"}`, 422, problem.Validation, "memory"},
		"too small":                  {`{"name":"x","memory":5}`, 422, problem.Validation, "memory"},
		"negative":                   {`{"name":"x","memory":-1}`, 422, problem.Validation, "memory"},
		"far too large":              {`{"name":"x","memory":1000000000000000000}`, 422, problem.Validation, "memory"},
		"beyond any number":          {`{"name":"x","memory":1e999}`, 400, problem.BadRequest, ""},
		"a fraction":                 {`{"name":"x","memory":6.5}`, 422, problem.Validation, "memory"},
		"an exponent":                {`{"name":"x","memory":1e2}`, 422, problem.Validation, "memory"},
		"no CPU":                     {`{"name":"x","cpu":0}`, 422, problem.Validation, "cpu"},
		"unknown field":              {`{"name":"x","color":1}`, 422, problem.Validation, "color"},
		"other case":                 {`{"name":"x","Memory":-5}`, 422, problem.Validation, "Memory"},
		"both cases":                 {`{"memory":10,"MEMORY":-5,"name":"x"}`, 422, problem.Validation, "MEMORY"},
		"inside a list":              {`{"name":"x","ports":[{"host":1},{"host":0}]}`, 422, problem.Validation, "ports[1].host"},
		"missing inside a list":      {`{"name":"x","ports":[{}]}`, 422, problem.Validation, "ports[0].host"},
		"wrong inside a list":        {`{"name":"x","ports":[1]}`, 422, problem.Validation, "ports[0]"},
		"too many":                   {`{"name":"x","ports":[{"host":1},{"host":1},{"host":1},{"host":1}]}`, 422, problem.Validation, "ports"},
		"nested variables":           {`{"name":"x","variables":{"A":{"B":"c"}}}`, 422, problem.Validation, "variables.A"},
		"10,000 characters":          {`{"name":"` + strings.Repeat("x", 10_000) + `"}`, 422, problem.Validation, "name"},
		"below the optional's least": {`{"name":"x","limit":0}`, 422, problem.Validation, "limit"},
		"over a MiB":                 {`{"name":"` + strings.Repeat("x", 1<<20) + `"}`, 413, problem.TooLarge, ""},
		"exactly one too many":       {strings.Repeat(" ", 1<<20-11) + `{"name":"x"}`, 413, problem.TooLarge, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := b.do("POST", "/api/v1/things", tc.body, key("write"))
			if a.status != tc.status || a.code(t) != string(tc.code) || a.fields(t) != tc.fields {
				t.Fatalf("%d %s %q, wanted %d %s %q: %.300s", a.status, a.code(t), a.fields(t), tc.status, tc.code, tc.fields, a.body)
			}
			if id := a.json(t)["request_id"]; id != a.header.Get("X-Request-Id") || len(fmt.Sprint(id)) != 36 {
				t.Fatalf("request_id %v, header %q", id, a.header.Get("X-Request-Id"))
			}
			if ct := a.header.Get("Content-Type"); !strings.HasPrefix(ct, "application/json") {
				t.Fatalf("content type %q", ct)
			}
		})
	}
	t.Cleanup(func() {
		if n := th.made.Load(); n != 0 {
			t.Errorf("%d things were made of bad bodies", n)
		}
	})
}

func TestManyMistakesAreCut(t *testing.T) {
	t.Parallel()
	var th things
	b := setup(t, th.register)
	var body strings.Builder
	body.WriteString(`{"name":"x"`)
	for i := range 5000 {
		fmt.Fprintf(&body, `,"%s%d":1`, strings.Repeat("é", 100), i)
	}
	body.WriteString(`}`)
	a := b.do("POST", "/api/v1/things", body.String(), key("write"))
	if a.status != 422 || len(a.body) > 10_000 {
		t.Fatalf("status %d, %d bytes", a.status, len(a.body))
	}
}

func TestOddButGoodBodies(t *testing.T) {
	t.Parallel()
	var th things
	b := setup(t, th.register)
	for name, tc := range map[string]struct {
		body, contentType, want string
	}{
		"plain":                    {`{"name":"x"}`, "application/json", "x"},
		"no content type":          {`{"name":"x"}`, "", "x"},
		"with a charset":           {`{"name":"x"}`, "application/json; charset=utf-8", "x"},
		"a JSON kind":              {`{"name":"x"}`, "application/merge-patch+json", "x"},
		"the same name twice":      {`{"name":"x","name":"y"}`, "application/json", "y"},
		"escapes":                  {`{"name":"\u00e9\ud83d\ude00"}`, "application/json", "é😀"},
		"half a surrogate":         {`{"name":"\ud83d"}`, "application/json", "�"},
		"not UTF-8":                {"{\"name\":\"\xff\"}", "application/json", "�"},
		"null where it may be out": {`{"name":"x","memory":null,"ports":null}`, "application/json", "x"},
		"HTML":                     {`{"name":"<b>&"}`, "application/json", "<b>&"},
		"exactly a MiB":            {strings.Repeat(" ", 1<<20-12) + `{"name":"x"}`, "application/json", "x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := b.do("POST", "/api/v1/things", tc.body, key("write"), header{"Content-Type", tc.contentType})
			data, _ := a.json(t)["data"].(map[string]any)
			if a.status != 201 || data["name"] != tc.want {
				t.Fatalf("%d %.300s", a.status, a.body)
			}
		})
	}
}

func TestContentTypes(t *testing.T) {
	t.Parallel()
	var th things
	b := setup(t, th.register)
	for _, ct := range []string{"text/plain", "application/xml", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "json", "/"} {
		a := b.do("POST", "/api/v1/things", `{"name":"x"}`, key("write"), header{"Content-Type", ct})
		if a.status != 415 || a.code(t) != string(problem.UnsupportedMediaType) {
			t.Errorf("%s: %d %s", ct, a.status, a.body)
		}
	}
	if th.made.Load() != 0 {
		t.Error("something was made")
	}
}

func TestQueries(t *testing.T) {
	t.Parallel()
	b := setup(t, new(things).register)
	for query, want := range map[string]string{
		"page=0":                    "page",
		"page=-1":                   "page",
		"page=x":                    "page",
		"page=1.5":                  "page",
		"page=99999999999999999999": "page",
		"page=1000001":              "page",
		"limit=0":                   "limit",
		"limit=501":                 "limit",
		"limit=1e2":                 "limit",
		"sort=id":                   "sort",
		"sort=name;drop":            "sort",
		"limit=0&page=0":            "page,limit",
		"color=red":                 "color",
		"Page=2":                    "Page",
		"%ff=1":                     "�",
	} {
		a := b.do("GET", "/api/v1/things?"+query, "", key("read"))
		if a.status != 422 || a.code(t) != "VALIDATION_ERROR" || a.fields(t) != want {
			t.Errorf("%s: %d, fields %q, wanted %q: %s", query, a.status, a.fields(t), want, a.body)
		}
	}
	a := b.do("GET", "/api/v1/things?page=3&limit=40&sort=-name", "", key("read"))
	if want := `{"success":true,"data":[{"id":"80","name":"-name"}],"pagination":{"page":3,"limit":40,"total":101,"pages":3}}`; a.status != 200 || a.body != want {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a = b.do("GET", "/api/v1/things", "", key("read")); !strings.Contains(a.body, `"page":1,"limit":50`) {
		t.Fatalf("defaults: %s", a.body)
	}
}

func TestPathParameters(t *testing.T) {
	t.Parallel()
	b := setup(t, new(things).register)
	for path, want := range map[string]string{
		"a":                     "a",
		"a%2Fb":                 "a/b",
		"..%2f..%2fetc":         "../../etc",
		"%2e%2e":                "..",
		"a%20b":                 "a b",
		"%27%20OR%201%3D1%20--": "' OR 1=1 --",
		"x.y-z:w":               "x.y-z:w",
		"%C3%A9":                "é",
	} {
		a := b.do("GET", "/api/v1/things/"+path, "", key("read"))
		data, _ := a.json(t)["data"].(map[string]any)
		if a.status != 200 || data["id"] != want {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if a := b.do("GET", "/api/v1/things/none", "", key("read")); a.status != 404 || a.code(t) != "NOT_FOUND" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := b.do("GET", "/api/v1/things/first", "", key("read")); a.body != `{"success":true,"data":{"raw":  1}}` {
		t.Errorf("a fixed path loses against a parameter, or raw JSON was touched: %s", a.body)
	}
}

func TestOptionalAndMessages(t *testing.T) {
	t.Parallel()
	b := setup(t, new(things).register)
	for body, want := range map[string]string{
		`{}`:             `{"null":false,"set":false,"value":0}`,
		`{"limit":null}`: `{"null":true,"set":true,"value":0}`,
		`{"limit":7}`:    `{"null":false,"set":true,"value":7}`,
		``:               `{"body":null}`,
	} {
		a := b.do("PATCH", "/api/v1/things/1", body, key("write"))
		if a.status != 200 || a.body != `{"success":true,"data":`+want+`}` {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	a := b.do("DELETE", "/api/v1/things/1", "", key("admin"))
	if a.status != 200 || a.body != `{"success":true,"data":{},"message":"the thing is gone"}` {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestUnknownRoutesAndMethods(t *testing.T) {
	t.Parallel()
	b := setup(t, func(a *httpapi.API) {
		new(things).register(a)
		new(classic).register(a)
	})
	for _, tc := range []struct {
		method, path string
		status       int
		body         string // part of it
		allow        string
	}{
		{"GET", "/api/v1/nothing", 404, `"code":"NOT_FOUND"`, ""},
		{"GET", "/api/v1", 404, `"code":"NOT_FOUND"`, ""},
		{"GET", "/api", 404, `{"error":`, ""},
		{"GET", "/api/nothing", 404, `{"error":`, ""},
		{"POST", "/api/v1x", 404, `{"error":`, ""},
		{"PUT", "/api/v1/things", 405, `"code":"METHOD_NOT_ALLOWED"`, "GET, HEAD, POST, OPTIONS"},
		{"DELETE", "/api/v1/things", 405, `"code":"METHOD_NOT_ALLOWED"`, "GET, HEAD, POST, OPTIONS"},
		{"GET", "/api/echo", 405, `{"error":`, "POST, OPTIONS"},
		{"TRACE", "/api/v1/things", 405, `"code":"METHOD_NOT_ALLOWED"`, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"},
		{"BREW", "/api/echo", 405, `{"error":`, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"},
		{"OPTIONS", "/api/v1/things", 204, ``, "GET, HEAD, POST, OPTIONS"},
		{"OPTIONS", "/api/v1/nothing", 404, `"code":"NOT_FOUND"`, ""},
		{"GET", "/nothing", 404, `<h1>Not found</h1>`, ""},
		{"GET", "/API/V1/things", 404, `<h1>Not found</h1>`, ""},
		{"GET", "/api/v1/things/a/b", 404, `"code":"NOT_FOUND"`, ""},
	} {
		a := b.do(tc.method, tc.path, "", key("read"))
		if a.status != tc.status || !strings.Contains(a.body, tc.body) || a.header.Get("Allow") != tc.allow {
			t.Errorf("%s %s: %d allow %q %s", tc.method, tc.path, a.status, a.header.Get("Allow"), a.body)
		}
		if a.header.Get("X-Request-Id") == "" {
			t.Errorf("%s %s: no request id", tc.method, tc.path)
		}
	}
	get, head := b.do("GET", "/api/v1/things", "", key("read")), b.do("HEAD", "/api/v1/things", "", key("read"))
	if head.status != 200 || head.body != "" || head.header.Get("Content-Length") != fmt.Sprint(len(get.body)) {
		t.Errorf("HEAD: %d, %s bytes announced, body %q", head.status, head.header.Get("Content-Length"), head.body)
	}
	if a := b.do("GET", "/api/v1/things/", "", key("read")); a.status != http.StatusOK {
		t.Errorf("a slash at the end: %d", a.status)
	}
}

func TestSecurityHeadersOnEveryAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t, new(things).register)
	for _, path := range []string{"/api/v1/things", "/api/v1/none", "/api/none", "/docs", "/openapi.json", "/none"} {
		a := b.do("GET", path, "", key("read"))
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Server": "",
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		if csp := a.header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", path, csp)
		}
	}
}
