package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/shared/problem"
)

// classic registers raw routes.
type classic struct{ ran atomic.Int64 }

func (c *classic) register(a *httpapi.API) {
	httpapi.HandleRaw(a, httpapi.Operation{ID: "echo", Method: "POST", Path: "/api/echo", Access: access.Needs(access.ScopeRead), Style: httpapi.Classic, Status: 201, Tag: "classic"},
		func(_ context.Context, r *httpapi.Request) (httpapi.Reply, error) {
			c.ran.Add(1)
			var v any
			if err := r.JSON(&v); err != nil {
				return httpapi.Reply{}, err
			}
			return httpapi.Reply{Body: v}, nil
		})
	httpapi.HandleRaw(a, httpapi.Operation{ID: "fail", Method: "POST", Path: "/api/fail/{code}", Access: access.Needs(access.ScopeWrite), Style: httpapi.Classic, Tag: "classic"},
		func(_ context.Context, r *httpapi.Request) (httpapi.Reply, error) {
			switch code := r.Param("code"); code {
			case "plain":
				return httpapi.Reply{}, errors.New("a secret cause")
			case "panic":
				panic("a secret panic")
			case "own":
				return httpapi.Reply{Status: 500, Raw: json.RawMessage(`{"error":"x","details":"y"}`)}, nil
			default:
				return httpapi.Reply{}, problem.New(problem.Code(code), "the message").Because(errors.New("a secret cause"))
			}
		})
	httpapi.HandleRaw(a, httpapi.Operation{ID: "list", Method: "GET", Path: "/api/list", Access: access.Permits(access.ReadNodes), Style: httpapi.Classic, Tag: "classic"},
		func(_ context.Context, r *httpapi.Request) (httpapi.Reply, error) {
			return httpapi.Reply{Raw: json.RawMessage(`["` + r.Query("q") + r.Header("X-Extra") + `"]`)}, nil
		})
}

func TestClassicErrors(t *testing.T) {
	t.Parallel()
	var c classic
	b := setup(t, c.register)
	for name, tc := range map[string]struct {
		method, path, body, key string
		status                  int
		want                    string
	}{
		"no key":          {"POST", "/api/echo", `{}`, "", 401, `{"error":"API key is required"}`},
		"wrong key":       {"POST", "/api/echo", `{}`, "wrong", 401, `{"error":"API Key Invalid"}`},
		"no right":        {"POST", "/api/fail/x", `{}`, "read", 403, `{"error":"this API key lacks the scope write"}`},
		"no admin":        {"GET", "/api/list", ``, "write", 403, `{"error":"only an admin, or whose role has the permission nodes.read, may do this"}`},
		"unknown path":    {"GET", "/api/none", ``, "read", 404, `{"error":"there is nothing at /api/none"}`},
		"wrong method":    {"GET", "/api/echo", ``, "read", 405, `{"error":"the method GET isn't allowed here"}`},
		"validation":      {"POST", "/api/fail/VALIDATION_ERROR", ``, "write", 400, `{"error":"the message"}`},
		"bad request":     {"POST", "/api/fail/BAD_REQUEST", ``, "write", 400, `{"error":"the message"}`},
		"not found":       {"POST", "/api/fail/NOT_FOUND", ``, "write", 404, `{"error":"the message"}`},
		"conflict":        {"POST", "/api/fail/CONFLICT", ``, "write", 409, `{"error":"the message"}`},
		"busy":            {"POST", "/api/fail/RESOURCE_BUSY", ``, "write", 409, `{"error":"the message"}`},
		"no room":         {"POST", "/api/fail/INSUFFICIENT_RESOURCES", ``, "write", 400, `{"error":"the message"}`},
		"offline":         {"POST", "/api/fail/NODE_OFFLINE", ``, "write", 500, `{"error":"the message"}`},
		"internal":        {"POST", "/api/fail/INTERNAL_ERROR", ``, "write", 500, `{"error":"the message"}`},
		"a plain error":   {"POST", "/api/fail/plain", ``, "write", 500, `{"error":"something went wrong inside Berth; the log has the request's id"}`},
		"a panic":         {"POST", "/api/fail/panic", ``, "write", 500, `{"error":"something went wrong inside Berth; the log has the request's id"}`},
		"its own":         {"POST", "/api/fail/own", ``, "write", 500, `{"error":"x","details":"y"}`},
		"empty body":      {"POST", "/api/echo", ``, "read", 400, `{"error":"a JSON body is needed here and there is none"}`},
		"too large":       {"POST", "/api/echo", strings.Repeat(" ", 1<<20+1), "read", 413, `{"error":"the body is too large; 1048576 bytes are the most here"}`},
		"too deep":        {"POST", "/api/echo", strings.Repeat("[", 100), "read", 400, `{"error":"the body is nested deeper than 64 levels"}`},
		"a path as a key": {"GET", "/api/list", ``, "../../etc", 401, `{"error":"API Key Invalid"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			headers := []header{}
			if tc.key != "" {
				headers = append(headers, key(tc.key))
			}
			a := b.do(tc.method, tc.path, tc.body, headers...)
			if a.status != tc.status || a.body != tc.want {
				t.Fatalf("%d %s", a.status, a.body)
			}
		})
	}
	t.Run("not JSON", func(t *testing.T) {
		t.Parallel()
		a := b.do("POST", "/api/echo", `{bad`, key("read"))
		if a.status != 400 || !strings.HasPrefix(a.body, `{"error":"the body is not JSON: `) {
			t.Fatalf("%d %s", a.status, a.body)
		}
	})
}

func TestClassicReplies(t *testing.T) {
	t.Parallel()
	b := setup(t, new(classic).register)
	if a := b.do("POST", "/api/echo", `{"a":[1,"<é>"]}`, key("read"), header{"Content-Type", "text/plain"}); a.status != 201 || a.body != `{"a":[1,"<é>"]}` {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := b.do("GET", "/api/list?q=x&unknown=1", "", key("admin"), header{"X-Extra", "y"}); a.status != 200 || a.body != `["xy"]` {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestCausesStayInTheLog(t *testing.T) {
	t.Parallel()
	b := setup(t, new(classic).register)
	a := b.do("POST", "/api/fail/plain", "", key("write"))
	p := b.do("POST", "/api/fail/panic", "", key("write"))
	if strings.Contains(a.body+p.body, "secret") {
		t.Fatalf("%s %s", a.body, p.body)
	}
	log := b.logs.String()
	for _, want := range []string{"a secret cause", "a secret panic", a.header.Get("X-Request-Id"), p.header.Get("X-Request-Id")} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q: %s", want, log)
		}
	}
}

func TestLogHoldsNoKeysQueriesOrBodies(t *testing.T) {
	t.Parallel()
	b := setup(t, new(classic).register)
	b.do("POST", "/api/echo", `{"password":"hunter2"}`, key("read"), header{"Cookie", "session=chocolate"})
	b.do("GET", "/api/list?q=queried", "", header{"Authorization", "Bearer guessed-key"})
	b.do("GET", "/api/list/pathed", "")
	log := b.logs.String()
	if !strings.Contains(log, `"route":"/api/echo"`) || !strings.Contains(log, `"key":"key-read"`) {
		t.Fatalf("the access log is missing: %s", log)
	}
	for _, secret := range []string{"hunter2", "chocolate", "queried", "guessed-key", "pathed"} {
		if strings.Contains(log, secret) {
			t.Errorf("%q is in the log: %s", secret, log)
		}
	}
}
