package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
)

// raw sends bytes as they are and gives the answers that come back, until the
// server closes or as many as wanted are there.
func (b *bundle) raw(text string, want int) []answer {
	b.t.Helper()
	conn, err := net.Dial("tcp", b.addr)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		b.t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(conn, text) }()
	var out []answer
	r := bufio.NewReader(conn)
	for len(out) < want {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
				b.t.Fatalf("after %d answers: %v", len(out), err)
			}
			break
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			b.t.Fatal(err)
		}
		_ = res.Body.Close()
		res.Header.Set("Close", fmt.Sprint(res.Close))
		out = append(out, answer{res.StatusCode, res.Header, string(body)})
	}
	return out
}

func TestBrokenRequests(t *testing.T) {
	t.Parallel()
	b := setup(t, new(things).register)
	for name, tc := range map[string]struct {
		text   string
		status int
		code   string
	}{
		"no HTTP":                 {"hello\r\n\r\n", 400, "BAD_REQUEST"},
		"TLS":                     {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "BAD_REQUEST"},
		"a header without colon":  {"GET /api/v1/things HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n", 400, "BAD_REQUEST"},
		"a header that is huge":   {"GET /api/v1/things HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", 20_000) + "\r\n\r\n", 431, "TOO_LARGE"},
		"an address that is huge": {"GET /api/v1/" + strings.Repeat("a", 20_000) + " HTTP/1.1\r\nHost: x\r\n\r\n", 431, "TOO_LARGE"},
		"a length that is none":   {"POST /api/v1/things HTTP/1.1\r\nHost: x\r\nContent-Length: ten\r\n\r\n", 400, "BAD_REQUEST"},
		"a negative length":       {"POST /api/v1/things HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", 400, "BAD_REQUEST"},
		"a bad escape":            {"GET /api/v1/things/%zz HTTP/1.1\r\nHost: x\r\nX-Api-Key: read\r\n\r\n", 400, "BAD_REQUEST"},
		"NUL in the path":         {"GET /api/v1/things/no%00ne HTTP/1.1\r\nHost: x\r\nX-Api-Key: read\r\n\r\n", 404, "NOT_FOUND"},
		"a bad chunk":             {"POST /api/v1/things HTTP/1.1\r\nHost: x\r\nX-Api-Key: write\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 400, "BAD_REQUEST"},
		"a length of 10^18":       {"POST /api/v1/things HTTP/1.1\r\nHost: x\r\nX-Api-Key: write\r\nContent-Length: 1000000000000000000\r\n\r\n" + strings.Repeat("x", 10_000), 413, "TOO_LARGE"},
		"chunks without end":      {"POST /api/v1/things HTTP/1.1\r\nHost: x\r\nX-Api-Key: write\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("10000\r\n"+strings.Repeat("x", 1<<16)+"\r\n", 17), 413, "TOO_LARGE"},
		"a dotted path":           {"GET /api/v1/things/../../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", 404, "NOT_FOUND"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := b.raw(tc.text, 1)
			if len(got) != 1 {
				t.Fatal("no answer")
			}
			if a := got[0]; a.status != tc.status || a.code(t) != tc.code || a.header.Get("X-Request-Id") == "" {
				t.Fatalf("%d %s", a.status, a.body)
			}
		})
	}
}

// What nobody read of a body must never be taken for the next request.
func TestUnreadBodyIsNotTheNextRequest(t *testing.T) {
	t.Parallel()
	var th things
	b := setup(t, th.register)
	hidden := "POST /api/v1/things HTTP/1.1\r\nHost: x\r\nX-Api-Key: write\r\nContent-Length: 12\r\n\r\n{\"name\":\"x\"}"
	for name, text := range map[string]string{
		"a refused caller, long body":  fmt.Sprintf("POST /api/v1/things HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s%s", 10_000+len(hidden), strings.Repeat("x", 10_000), hidden),
		"a refused caller, short body": fmt.Sprintf("POST /api/v1/things HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(hidden), hidden),
		"a refused caller, chunks":     fmt.Sprintf("POST /api/v1/things HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(hidden), hidden),
		"a route without a body":       fmt.Sprintf("GET /api/v1/things HTTP/1.1\r\nHost: x\r\nX-Api-Key: read\r\nContent-Length: %d\r\n\r\n%s%s", 10_000+len(hidden), strings.Repeat("x", 10_000), hidden),
		"an unknown route":             fmt.Sprintf("POST /api/v1/none HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(hidden), hidden),
		"an unknown method":            fmt.Sprintf("BREW /api/v1/none HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s%s", 10_000+len(hidden), strings.Repeat("x", 10_000), hidden),
	} {
		got := b.raw(text+"GET /end HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 3)
		if len(got) == 0 || len(got) > 2 || got[0].status == 201 || (len(got) == 2 && !strings.Contains(got[1].body, "<h1>Not found")) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if th.made.Load() != 0 {
		t.Fatalf("%d hidden requests were carried out", th.made.Load())
	}
}

func TestConnectionIsKeptWherePossible(t *testing.T) {
	t.Parallel()
	var th things
	b := setup(t, th.register)
	body := `{"name":"x"}`
	good := fmt.Sprintf("POST /api/v1/things HTTP/1.1\r\nHost: x\r\nX-Api-Key: write\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	chunked := fmt.Sprintf("POST /api/v1/things HTTP/1.1\r\nHost: x\r\nX-Api-Key: write\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	refused := fmt.Sprintf("POST /api/v1/things HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	got := b.raw(good+refused+chunked+good, 4)
	var statuses []int
	for _, a := range got {
		statuses = append(statuses, a.status)
	}
	if fmt.Sprint(statuses) != "[201 401 201 201]" || th.made.Load() != 3 {
		t.Fatalf("%v, %d made", statuses, th.made.Load())
	}
}

// A client that sends far more than is taken still gets to read why it was refused.
func TestTooLargeBodyGetsItsAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t, new(things).register)
	for range 5 {
		body := io.LimitReader(zeros{}, 20<<20)
		req, err := http.NewRequestWithContext(t.Context(), "POST", b.url+"/api/v1/things", body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Api-Key", "write")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
				t.Fatalf("the answer was lost: %v", err)
			}
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != 413 {
			t.Fatalf("%d", res.StatusCode)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestExpectContinue(t *testing.T) {
	t.Parallel()
	var th things
	b := setup(t, th.register)
	got := b.raw("POST /api/v1/things HTTP/1.1\r\nHost: x\r\nX-Api-Key: write\r\nExpect: 100-continue\r\nContent-Length: 12\r\n\r\n{\"name\":\"x\"}", 2)
	if len(got) != 2 || got[0].status != 100 || got[1].status != 201 {
		t.Fatalf("%+v", got)
	}
}

func TestBodyLimitOfARoute(t *testing.T) {
	t.Parallel()
	b := setup(t, func(a *httpapi.API) {
		for name, limit := range map[string]int64{"small": 10, "large": 3 << 20} {
			op := httpapi.Operation{ID: name, Method: "POST", Path: "/api/" + name, Access: access.Needs(access.ScopeRead), Style: httpapi.Classic, BodyLimit: limit}
			httpapi.HandleRaw(a, op, func(_ context.Context, r *httpapi.Request) (httpapi.Reply, error) {
				return httpapi.Reply{Body: len(r.Body)}, nil
			})
		}
	})
	for _, tc := range []struct {
		path   string
		size   int
		status int
	}{
		{"/api/small", 10, 200}, {"/api/small", 11, 413}, {"/api/large", 3 << 20, 200}, {"/api/large", 3<<20 + 1, 413},
	} {
		a := b.do("POST", tc.path, strings.Repeat("x", tc.size), key("read"))
		if a.status != tc.status || (tc.status == 200 && a.body != fmt.Sprint(tc.size)) {
			t.Errorf("%s with %d bytes: %d %s", tc.path, tc.size, a.status, a.body)
		}
	}
}

func FuzzBody(f *testing.F) {
	for _, seed := range []string{`{"name":"x"}`, `{"name":"x","ports":[{"host":1}],"variables":{"a":"b"}}`, `[`, `{"name":"\ud800"}`, `{"memory":1e99}`, `""`, "\x00", `{"limit":null,"":1}`} {
		f.Add(seed)
	}
	b := setup(f, new(things).register)
	f.Fuzz(func(t *testing.T, body string) {
		req, err := http.NewRequestWithContext(t.Context(), "POST", b.url+"/api/v1/things", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Api-Key", "write")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		var v struct {
			Success bool `json:"success"`
		}
		if err := json.NewDecoder(res.Body).Decode(&v); err != nil || res.StatusCode >= 500 || v.Success != (res.StatusCode == 201) {
			t.Fatalf("%q: %d, %v", body, res.StatusCode, err)
		}
	})
}
