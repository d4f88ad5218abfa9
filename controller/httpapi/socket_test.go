package httpapi_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/shared/problem"
)

const patience = 60 * time.Second

// sockets registers an open and a guarded socket that echo; ended gets how each
// ended.
func sockets(ended chan error) func(a *httpapi.API) {
	serve := func(_ context.Context, conn *websocket.Conn) {
		for {
			kind, message, err := conn.ReadMessage()
			if err != nil {
				ended <- err
				return
			}
			if string(message) == "panic" {
				ended <- nil
				panic("inside a socket") // what a bug does
			}
			if err := conn.WriteMessage(kind, message); err != nil {
				ended <- err
				return
			}
		}
	}
	return func(a *httpapi.API) {
		httpapi.HandleSocket(a, httpapi.Operation{ID: "open", Method: http.MethodGet, Path: "/api/v1/open/{name}", Tag: "test", Access: access.Public()},
			func(ctx context.Context, r *httpapi.Request) (httpapi.Socket, error) {
				switch r.Param("name") {
				case "busy":
					return nil, httpapi.Busy(3*time.Second, "not now")
				case "problem":
					return nil, problem.New(problem.Conflict, "no")
				}
				if access.From(ctx).Address == "" {
					return nil, errors.New("nobody calls")
				}
				return serve, nil
			})
		httpapi.HandleSocket(a, httpapi.Operation{ID: "guarded", Method: http.MethodGet, Path: "/api/v1/guarded", Tag: "test", Access: access.Needs(access.ScopeRead)},
			func(context.Context, *httpapi.Request) (httpapi.Socket, error) { return serve, nil })
	}
}

func (b *bundle) socket(t *testing.T, path string, headers ...header) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	h := http.Header{}
	for _, one := range headers {
		h.Set(one[0], one[1])
	}
	conn, answer, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+b.addr+path, h)
	if err == nil {
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetReadDeadline(time.Now().Add(patience))
	}
	return conn, answer, err
}

func echo(t *testing.T, conn *websocket.Conn, text string) {
	t.Helper()
	if err := conn.WriteMessage(websocket.BinaryMessage, []byte(text)); err != nil {
		t.Fatal(err)
	}
	if _, got, err := conn.ReadMessage(); err != nil || string(got) != text {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestSocketEchoes(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 10)
	b := setup(t, sockets(ended))
	conn, answer, err := b.socket(t, "/api/v1/open/a")
	if err != nil || answer.Header.Get("X-Request-Id") == "" {
		t.Fatalf("%v, %v", answer, err)
	}
	echo(t, conn, "hello")
	echo(t, conn, strings.Repeat("long ", 100_000))
	_ = conn.Close()
	if err := <-ended; err == nil {
		t.Fatal("it did not end")
	}
}

func TestSocketsThatAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, sockets(make(chan error, 10)))
	cases := map[string]struct {
		path    string
		headers []header
		status  int
	}{
		"busy":              {"/api/v1/open/busy", nil, 503},
		"a problem":         {"/api/v1/open/problem", nil, 409},
		"a page of another": {"/api/v1/open/a", []header{{"Origin", "http://evil.example"}}, 403},
		"nobody":            {"/api/v1/guarded", nil, 401},
		"a wrong key":       {"/api/v1/guarded", []header{key("nonsense")}, 401},
		"nowhere":           {"/api/v1/closed", nil, 404},
	}
	for name, c := range cases {
		_, answer, err := b.socket(t, c.path, c.headers...)
		if err == nil || answer == nil || answer.StatusCode != c.status {
			t.Errorf("%s: %v, %v", name, answer, err)
			continue
		}
		if text, _ := io.ReadAll(answer.Body); !strings.Contains(string(text), `"success":false`) {
			t.Errorf("%s: the answer is %q", name, text)
		}
		if name == "busy" && answer.Header.Get("Retry-After") != "3" {
			t.Errorf("it says nothing of when to come again: %v", answer.Header)
		}
	}
	if a := b.do("GET", "/api/v1/open/a", ""); a.status != http.StatusUpgradeRequired || a.code(t) != "BAD_REQUEST" {
		t.Errorf("a plain call: %+v", a)
	}
	if a := b.do("POST", "/api/v1/open/a", ""); a.status != http.StatusMethodNotAllowed {
		t.Errorf("another method: %+v", a)
	}
	for _, spoil := range []header{{"Sec-WebSocket-Key", "short"}, {"Sec-WebSocket-Version", "12"}} {
		a := b.do("GET", "/api/v1/open/a", "", header{"Connection", "Upgrade"}, header{"Upgrade", "websocket"},
			header{"Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="}, header{"Sec-WebSocket-Version", "13"}, spoil)
		if a.status != http.StatusUpgradeRequired {
			t.Errorf("%s: %+v", spoil, a)
		}
	}
	if _, _, err := b.socket(t, "/api/v1/open/a", header{"Origin", b.url}); err != nil {
		t.Errorf("a page of ours: %v", err)
	}
}

// A revoked key's sockets end, and so do all when the server stops.
func TestSocketsEnd(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 10)
	b := setup(t, sockets(ended), hurried)
	guarded, _, err := b.socket(t, "/api/v1/guarded", key("read"))
	if err != nil {
		t.Fatal(err)
	}
	echo(t, guarded, "hello")
	b.keys.revoke("read")
	if err := <-ended; err == nil {
		t.Fatal("a revoked key's socket goes on")
	}
	open, _, err := b.socket(t, "/api/v1/open/a")
	if err != nil {
		t.Fatal(err)
	}
	echo(t, open, "hello")
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	default:
		t.Fatal("the server has stopped and a socket goes on")
	}
}

func TestSocketThatPanics(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 10)
	b := setup(t, sockets(ended))
	conn, _, err := b.socket(t, "/api/v1/open/a")
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.WriteMessage(websocket.TextMessage, []byte("panic"))
	<-ended
	if _, _, err := conn.ReadMessage(); err == nil {
		t.Fatal("it goes on")
	}
	other, _, err := b.socket(t, "/api/v1/open/a")
	if err != nil {
		t.Fatal(err)
	}
	echo(t, other, "others go on")
	if !strings.Contains(b.logs.String(), "a socket panicked") {
		t.Fatal("nobody is told")
	}
}

func TestSocketsOfACallerAreBounded(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 100)
	b := setup(t, sockets(ended))
	var first *websocket.Conn
	for n := range 30 {
		conn, _, err := b.socket(t, "/api/v1/guarded", key("read"))
		if err != nil {
			t.Fatalf("number %d: %v", n, err)
		}
		if first == nil {
			first = conn
		}
	}
	if _, answer, err := b.socket(t, "/api/v1/guarded", key("read")); err == nil || answer.StatusCode != http.StatusTooManyRequests {
		t.Fatalf("one too many: %v", err)
	}
	_ = first.Close()
	<-ended
	for deadline := time.Now().Add(patience); ; { // its place is free once the connection is closed
		if _, _, err := b.socket(t, "/api/v1/guarded", key("read")); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("a place is never free again")
		}
		time.Sleep(time.Millisecond)
	}
}
