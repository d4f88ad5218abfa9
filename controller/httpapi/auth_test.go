package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
)

// whoami registers routes that tell who calls, one per rule.
func whoami(a *httpapi.API) {
	for name, rule := range map[string]access.Rule{
		"public": access.Public(), "read": access.Needs(access.ScopeRead), "write": access.Needs(access.ScopeWrite), "admin": access.Permits(access.ReadNodes),
	} {
		op := httpapi.Operation{ID: "who-" + name, Method: "GET", Path: "/api/v1/who/" + name, Access: rule}
		httpapi.Handle(a, op, func(ctx context.Context, _ *struct{}) (map[string]string, error) {
			c := access.From(ctx)
			return map[string]string{"via": string(c.Via), "user": string(c.User), "address": c.Address, "request": httpapi.RequestID(ctx)}, nil
		})
	}
	health := httpapi.Operation{ID: "health", Method: "GET", Path: "/api/v1/health", Access: access.Public(), Unlimited: true}
	httpapi.Handle(a, health, func(context.Context, *struct{}) (httpapi.Done, error) { return httpapi.Did("well"), nil })
}

func TestRules(t *testing.T) {
	t.Parallel()
	b := setup(t, whoami)
	for _, tc := range []struct {
		path, key string
		status    int
		code      string
	}{
		{"public", "", 200, ""},
		{"public", "wrong", 200, ""},
		{"read", "", 401, "UNAUTHORIZED"},
		{"read", "wrong", 401, "UNAUTHORIZED"},
		{"read", "read", 200, ""},
		{"read", "admin", 200, ""},
		{"write", "read", 403, "FORBIDDEN"},
		{"write", "write", 200, ""},
		{"admin", "write", 403, "FORBIDDEN"},
		{"admin", "admin", 200, ""},
	} {
		var headers []header
		if tc.key != "" {
			headers = append(headers, key(tc.key))
		}
		a := b.do("GET", "/api/v1/who/"+tc.path, "", headers...)
		if a.status != tc.status || a.code(t) != tc.code {
			t.Errorf("%s with %q: %d %s", tc.path, tc.key, a.status, a.body)
		}
	}
}

func TestKeyHeaders(t *testing.T) {
	t.Parallel()
	b := setup(t, whoami)
	for _, tc := range []struct {
		h      header
		status int
	}{
		{header{"x-api-key", "read"}, 200},
		{header{"X-API-KEY", "read"}, 200},
		{header{"Authorization", "Bearer read"}, 200},
		{header{"Authorization", "bearer  read"}, 200},
		{header{"Authorization", "Basic read"}, 401},
		{header{"Authorization", "read"}, 401},
		{header{"Authorization", "Bearer "}, 401},
		{header{"x-api-key", "read "}, 200}, // HTTP trims
		{header{"x-api-key", "Read"}, 401},
		{header{"x-api-key", strings.Repeat("k", 5000)}, 401},
		{header{"x-api-key", "read\x80"}, 401},
	} {
		a := b.do("GET", "/api/v1/who/read", "", tc.h)
		if a.status != tc.status {
			t.Errorf("%.60q: %d %s", tc.h, a.status, a.body)
		}
	}
	a := b.do("GET", "/api/v1/who/read", "", key("read"))
	data, _ := a.json(t)["data"].(map[string]any)
	if data["via"] != "key" || data["user"] != "user-read" || data["address"] != "127.0.0.1" || data["request"] != a.header.Get("X-Request-Id") {
		t.Errorf("%v", data)
	}
}

func TestRequestIDIsOurs(t *testing.T) {
	t.Parallel()
	b := setup(t, whoami)
	const mine = "11111111-1111-4111-8111-111111111111"
	a := b.do("GET", "/api/v1/who/read", "", header{"X-Request-Id", mine}, header{"X-Request-ID", mine})
	if got := a.header.Get("X-Request-Id"); got == mine || len(got) != 36 || !strings.Contains(a.body, got) {
		t.Fatalf("%q: %s", got, a.body)
	}
}

func TestNothingIsReadBeforeTheRule(t *testing.T) {
	t.Parallel()
	var th things
	b := setup(t, th.register)
	for k, want := range map[string]int{"": 401, "wrong": 401, "read": 403} {
		a := b.do("POST", "/api/v1/things?color=red", `{bad`, key(k), header{"Content-Type", "text/plain"})
		if a.status != want {
			t.Errorf("key %q: %d %s", k, a.status, a.body)
		}
	}
}

func TestUnixSocketIsLocal(t *testing.T) {
	t.Parallel()
	b := setup(t, whoami, limited(1)) // a TCP listener serves at the same time
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	b.serve(ln)
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}}
	t.Cleanup(client.CloseIdleConnections)
	for range 30 { // and isn't limited
		a := b.with(client, "GET", "/api/v1/who/admin", "")
		data, _ := a.json(t)["data"].(map[string]any)
		if a.status != 200 || data["via"] != "local" || a.header.Get("X-RateLimit-Limit") != "" {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	for _, h := range []header{
		{"X-Forwarded-For", "127.0.0.1"}, {"Host", "unix"}, {"X-Real-Ip", "@"}, {"Forwarded", "for=unix"}, {"X-Api-Key", "local"}, {"Via", "local"},
	} {
		if a := b.do("GET", "/api/v1/who/admin", "", h); a.status != 401 {
			t.Errorf("a TCP caller with %q: %d %s", h, a.status, a.body)
		}
	}
}

func TestRateLimitHeadersAndRefusal(t *testing.T) {
	t.Parallel()
	b := setup(t, func(a *httpapi.API) {
		whoami(a)
		new(classic).register(a)
	}, limited(httpapi.DefaultRateLimit))
	reset := fmt.Sprint(b.clock.now().Add(time.Minute).Unix())
	for i := range 20 {
		a := b.do("GET", "/api/v1/who/read", "", key("read"))
		if a.status != 200 || a.header.Get("X-RateLimit-Limit") != "100" ||
			a.header.Get("X-RateLimit-Remaining") != fmt.Sprint(99-i) || a.header.Get("X-RateLimit-Reset") != reset {
			t.Fatalf("call %d: %d %v", i, a.status, a.header)
		}
	}
	a := b.do("GET", "/api/v1/who/read", "", key("read"))
	if a.status != 429 || a.code(t) != "RATE_LIMITED" || a.header.Get("Retry-After") != "1" || a.header.Get("X-RateLimit-Remaining") != "80" {
		t.Fatalf("%d %v %s", a.status, a.header, a.body)
	}
	a = b.do("POST", "/api/echo", "{}", key("read"))
	if a.status != 429 || a.body != `{"error":"Too many requests, please try again later"}` || a.header.Get("Retry-After") != "1" {
		t.Fatalf("classic: %d %v %s", a.status, a.header, a.body)
	}
	if a = b.do("GET", "/api/v1/who/read", "", key("write")); a.status != 200 {
		t.Fatalf("another key: %d", a.status)
	}
	if a = b.do("GET", "/api/v1/who/admin", "", key("write")); a.status != 403 || a.header.Get("X-RateLimit-Remaining") != "98" {
		t.Fatalf("a forbidden call isn't counted: %d %v", a.status, a.header)
	}
	for range 4 {
		b.clock.add(time.Second)
		for range 20 {
			b.do("GET", "/api/v1/who/read", "", key("read"))
		}
	}
	b.clock.add(time.Second)
	a = b.do("GET", "/api/v1/who/read", "", key("read"))
	if a.status != 429 || a.header.Get("Retry-After") != "55" || a.header.Get("X-RateLimit-Remaining") != "0" {
		t.Fatalf("the 101st of a minute: %d %v", a.status, a.header)
	}
	b.clock.add(55 * time.Second)
	if a = b.do("GET", "/api/v1/who/read", "", key("read")); a.status != 200 {
		t.Fatalf("after Retry-After: %d %s", a.status, a.body)
	}
}

func TestKeysOwnRateLimit(t *testing.T) {
	t.Parallel()
	b := setup(t, whoami, limited(100))
	two, none := 2, 0
	c := caller("two", false, access.ScopeRead)
	c.RateLimit = &two
	b.keys.put("two", c)
	c = caller("none", false, access.ScopeRead)
	c.RateLimit = &none
	b.keys.put("none", c)
	var got []string
	for range 4 {
		got = append(got, strconv.Itoa(b.do("GET", "/api/v1/who/read", "", key("two")).status))
	}
	if strings.Join(got, " ") != "200 200 429 429" {
		t.Errorf("a limit of two: %v", got)
	}
	for range 150 {
		if a := b.do("GET", "/api/v1/who/read", "", key("none")); a.status != 200 || a.header.Get("X-RateLimit-Limit") != "" {
			t.Fatalf("no limit: %d %v", a.status, a.header)
		}
	}
}

func TestParallelCallsAreCountedExactly(t *testing.T) {
	t.Parallel()
	b := setup(t, whoami, limited(100))
	var good, refused atomic.Int64
	var wg sync.WaitGroup
	for range 60 {
		wg.Go(func() {
			switch a := b.do("GET", "/api/v1/who/read", "", key("read")); a.status {
			case 200:
				good.Add(1)
			case 429:
				refused.Add(1)
			}
		})
	}
	wg.Wait()
	if good.Load() != 20 || refused.Load() != 40 {
		t.Fatalf("%d went through and %d were refused", good.Load(), refused.Load())
	}
}

func TestPublicCallsAreLimitedByAddress(t *testing.T) {
	t.Parallel()
	b := setup(t, whoami, limited(10))
	statuses := map[int]int{}
	for range 200 {
		statuses[b.do("GET", "/api/v1/who/public", "").status]++
		b.clock.add(50 * time.Millisecond) // 20 a second
	}
	if statuses[200] != 120 || statuses[429] != 80 {
		t.Errorf("%v", statuses)
	}
	for range 100 {
		if a := b.do("GET", "/api/v1/health", ""); a.status != 200 {
			t.Fatalf("health is limited: %d", a.status)
		}
	}
}

func TestWrongKeysAreSlowed(t *testing.T) {
	t.Parallel()
	b := setup(t, func(a *httpapi.API) {
		whoami(a)
		new(classic).register(a)
	})
	if a := b.do("GET", "/api/v1/who/read", "", key("read")); a.status != 200 {
		t.Fatal(a.body)
	}
	for i := range 20 {
		if a := b.do("GET", "/api/v1/who/read", "", key(fmt.Sprint("guess", i))); a.status != 401 {
			t.Fatalf("guess %d: %d", i, a.status)
		}
	}
	asked := b.keys.count()
	a := b.do("GET", "/api/v1/who/read", "", key("guess"))
	if a.status != 429 || a.code(t) != "RATE_LIMITED" || a.header.Get("Retry-After") != "60" {
		t.Fatalf("the 21st guess: %d %v %s", a.status, a.header, a.body)
	}
	if a = b.do("POST", "/api/echo", "{}", key("guess")); a.status != 429 || a.body != `{"error":"Too many requests, please try again later"}` {
		t.Fatalf("classic: %d %s", a.status, a.body)
	}
	if a = b.do("GET", "/api/v1/who/read", "", key("write")); a.status != 429 {
		t.Fatalf("a right key that was never seen from here: %d", a.status)
	}
	if b.keys.count() != asked {
		t.Fatal("a refused key was looked at")
	}
	if a = b.do("GET", "/api/v1/who/read", "", key("read")); a.status != 200 {
		t.Fatalf("a right key that was seen before: %d %s", a.status, a.body)
	}
	b.clock.add(time.Minute)
	if a = b.do("GET", "/api/v1/who/read", "", key("write")); a.status != 200 {
		t.Fatalf("after a minute: %d %s", a.status, a.body)
	}
}

func TestRevokedKeyIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, whoami)
	b.do("GET", "/api/v1/who/read", "", key("read"))
	b.keys.revoke("read")
	if a := b.do("GET", "/api/v1/who/read", "", key("read")); a.status != 401 {
		t.Fatalf("%d", a.status)
	}
}

type brokenAuthenticator struct{}

func (brokenAuthenticator) Authenticate(context.Context, string) (access.Caller, error) {
	return access.Caller{}, errors.New("a secret about the database")
}

func TestAuthenticatorFailure(t *testing.T) {
	t.Parallel()
	b := setup(t, whoami, func(c *settings) { c.Authenticator = brokenAuthenticator{} })
	for range 30 { // and isn't held against the address
		a := b.do("GET", "/api/v1/who/read", "", key("read"))
		if a.status != 500 || a.code(t) != "INTERNAL_ERROR" || strings.Contains(a.body, "secret") {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
}
