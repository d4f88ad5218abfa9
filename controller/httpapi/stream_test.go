package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

type streamInput struct {
	Do string `query:"do"`
}

// ticker registers a stream that does as it is asked.
type ticker struct {
	next  chan string
	ended chan error
}

func newTicker() *ticker { return &ticker{next: make(chan string), ended: make(chan error, 100)} }

func (k *ticker) register(a *httpapi.API) {
	op := httpapi.Operation{ID: "tick", Method: "GET", Path: "/api/v1/tick", Access: access.Needs(access.ScopeRead), Tag: "ticks"}
	httpapi.HandleStream(a, op, func(ctx context.Context, in *streamInput, s *httpapi.Stream) error {
		err := k.run(ctx, in.Do, s)
		k.ended <- err
		return err
	})
}

func (k *ticker) run(ctx context.Context, do string, s *httpapi.Stream) error {
	switch do {
	case "refuse":
		return problem.New(problem.NotFound, "there are no ticks")
	case "panic":
		panic("a secret panic")
	case "nothing":
		return nil
	case "late":
		<-ctx.Done()
		return ctx.Err()
	case "fail":
		if err := s.Send("tick", "1", 1); err != nil {
			return err
		}
		return problem.New(problem.Conflict, "no more ticks")
	case "break":
		s.Open()
		return errors.New("a secret cause")
	case "panic later":
		s.Open()
		panic("a secret panic")
	case "odd":
		return s.Send("a\nevent: forged", "1\n2", "line\nbreak\r<é>")
	case "last":
		return s.Send("last", "", s.LastEventID())
	case "flood":
		for {
			if err := s.Send("flood", "", strings.Repeat("x", 1000)); err != nil {
				return err
			}
		}
	}
	s.Open()
	for {
		select {
		case text := <-k.next:
			if err := s.Send("tick", "7", map[string]string{"text": text}); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// open connects to the stream.
func (b *bundle) open(ctx context.Context, do string, headers ...header) *http.Response {
	b.t.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", b.url+"/api/v1/tick?do="+strings.ReplaceAll(do, " ", "+"), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("X-Api-Key", "read")
	for _, h := range headers {
		req.Header.Set(h[0], h[1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// read gives the next event's lines.
func read(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	var out []string
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("after %q: %v", out, err)
		}
		switch line {
		case ":\n":
		case "\n":
			if out != nil {
				return strings.Join(out, "")
			}
		default:
			out = append(out, line)
		}
	}
}

func TestStreamSendsEachEventAtOnce(t *testing.T) {
	t.Parallel()
	k := newTicker()
	b := setup(t, k.register, hurried)
	res := b.open(t.Context(), "")
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" || res.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	r := bufio.NewReader(res.Body)
	for _, text := range []string{"one", "two", "three"} {
		k.next <- text // the next isn't sent before this one was read
		if got, want := read(t, r), "id: 7\nevent: tick\ndata: {\"text\":\""+text+"\"}\n"; got != want {
			t.Fatalf("%q, wanted %q", got, want)
		}
	}
}

func TestStreamRefusals(t *testing.T) {
	t.Parallel()
	k := newTicker()
	b := setup(t, k.register, hurried)
	for do, want := range map[string]struct {
		status int
		code   string
	}{"refuse": {404, "NOT_FOUND"}, "panic": {500, "INTERNAL_ERROR"}} {
		a := b.do("GET", "/api/v1/tick?do="+do, "", key("read"))
		if a.status != want.status || a.code(t) != want.code || a.header.Get("X-Request-Id") != a.json(t)["request_id"] {
			t.Errorf("%s: %d %s", do, a.status, a.body)
		}
	}
	if a := b.do("GET", "/api/v1/tick?color=red", "", key("read")); a.status != 422 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := b.do("GET", "/api/v1/tick", ""); a.status != 401 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := b.do("HEAD", "/api/v1/tick", "", key("read")); a.status != 405 {
		t.Errorf("HEAD: %d", a.status)
	}
}

func TestStreamEnds(t *testing.T) {
	t.Parallel()
	b := setup(t, newTicker().register, hurried)
	for do, want := range map[string]string{
		"nothing":     "",
		"fail":        "id: 1\nevent: tick\ndata: 1\n\nevent: error\ndata: {\"code\":\"CONFLICT\",\"message\":\"no more ticks\"}\n\n",
		"break":       "event: error\ndata: {\"code\":\"INTERNAL_ERROR\",\"message\":\"something went wrong inside Berth; the log has the request's id\"}\n\n",
		"panic later": "event: error\ndata: {\"code\":\"INTERNAL_ERROR\",\"message\":\"something went wrong inside Berth; the log has the request's id\"}\n\n",
		"odd":         "id: 12\nevent: aevent: forged\ndata: \"line\\nbreak\\r\\u003cé\\u003e\"\n\n",
		"last":        "event: last\ndata: \"41\"\n\n",
	} {
		t.Run(do, func(t *testing.T) {
			t.Parallel()
			res := b.open(t.Context(), do, header{"Last-Event-ID", "41"})
			body, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != 200 || string(body) != want {
				t.Fatalf("%d %v %q", res.StatusCode, err, body)
			}
		})
	}
}

func TestStreamOpensByItselfAndEndsWhenTheServerStops(t *testing.T) {
	t.Parallel()
	k := newTicker()
	b := setup(t, k.register, hurried)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	res := b.open(ctx, "late") // its headers come although it sends nothing
	if res.StatusCode != 200 {
		t.Fatal(res.StatusCode)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- b.stop() }()
	if body, err := io.ReadAll(res.Body); err != nil || len(body) != 0 {
		t.Fatalf("%q %v", body, err)
	}
	if err := <-k.ended; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
}

func TestStreamEndsWhenTheClientIsGone(t *testing.T) {
	t.Parallel()
	k := newTicker()
	b := setup(t, k.register, hurried)
	ctx, cancel := context.WithCancel(t.Context())
	res := b.open(ctx, "flood")
	if _, err := io.ReadFull(res.Body, make([]byte, 10_000)); err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case err := <-k.ended:
		if err == nil {
			t.Fatal("no error")
		}
	case <-time.After(60 * time.Second):
		t.Fatal("the handler never heard of it")
	}
}

func TestIdleStreamEndsWhenTheClientIsGone(t *testing.T) {
	t.Parallel()
	k := newTicker()
	b := setup(t, k.register, hurried)
	ctx, cancel := context.WithCancel(t.Context())
	b.open(ctx, "")
	cancel()
	select {
	case err := <-k.ended:
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	case <-time.After(60 * time.Second):
		t.Fatal("the handler never heard of it")
	}
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	b := setup(t, newTicker().register, hurried)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	res := b.open(ctx, "")
	line, err := bufio.NewReader(res.Body).ReadString('\n')
	if err != nil || line != ":\n" {
		t.Fatalf("%q %v", line, err)
	}
}

func TestRevokedKeyLosesItsStreams(t *testing.T) {
	t.Parallel()
	k := newTicker()
	b := setup(t, k.register, hurried)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	res := b.open(ctx, "")
	b.keys.revoke("read")
	if _, err := io.ReadAll(res.Body); err != nil {
		t.Fatal(err)
	}
	if err := <-k.ended; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestAStreamDoesNotOutliveTheRightsItBeganWith(t *testing.T) {
	t.Parallel()
	const shared = ident.Instance("6f1c2b30-0000-4000-8000-000000000001")
	before := caller("read", false, access.ScopeRead)
	before.Shares = map[ident.Instance][]access.Right{shared: {access.SeeInstance, access.ReadConsole}}
	for what, take := range map[string]func(*access.Caller){
		"a share":      func(c *access.Caller) { c.Shares = nil },
		"a right":      func(c *access.Caller) { c.Shares = map[ident.Instance][]access.Right{shared: {access.SeeInstance}} },
		"a permission": func(c *access.Caller) { c.Permissions = nil },
		"being admin":  func(c *access.Caller) { c.Admin = false },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			k := newTicker()
			b := setup(t, k.register, hurried)
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			defer cancel()
			c := before
			c.Admin, c.Permissions = true, []access.Permission{access.ReadAll}
			b.keys.put("read", c)
			res := b.open(ctx, "")
			take(&c)
			b.keys.put("read", c)
			if _, err := io.ReadAll(res.Body); err != nil {
				t.Fatal(err)
			}
			if err := <-k.ended; !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		})
	}
}

func TestStreamsOfOneCallerAreBounded(t *testing.T) {
	t.Parallel()
	k := newTicker()
	b := setup(t, k.register, hurried)
	for i := range 30 {
		if res := b.open(t.Context(), ""); res.StatusCode != 200 {
			t.Fatalf("stream %d: %d", i, res.StatusCode)
		}
	}
	a := b.do("GET", "/api/v1/tick", "", key("read"))
	if a.status != 429 || a.code(t) != "RATE_LIMITED" || a.header.Get("Retry-After") == "" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := b.do("GET", "/api/v1/tick?do=nothing", "", key("write")); a.status != 200 {
		t.Fatalf("another caller: %d %s", a.status, a.body)
	}
}
