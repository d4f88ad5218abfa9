package httpapi_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), // idle connections of the tests' client
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"), // ends at its next tick
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),    // one for the process
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp/stackless.NewFunc.func1"),
		goleak.IgnoreAnyFunction("database/sql.(*DB).connectionOpener"),
	)
}

// waiter registers an operation that waits for the test.
type waiter struct {
	entered chan struct{}
	release chan struct{}
	ended   chan error // of its context
}

func newWaiter() *waiter {
	return &waiter{entered: make(chan struct{}, 10), release: make(chan struct{}), ended: make(chan error, 10)}
}

func (w *waiter) register(a *httpapi.API) {
	op := httpapi.Operation{ID: "wait", Method: "GET", Path: "/api/v1/wait", Access: access.Needs(access.ScopeRead)}
	httpapi.Handle(a, op, func(ctx context.Context, _ *struct{}) (httpapi.Done, error) {
		w.entered <- struct{}{}
		select {
		case <-w.release:
			return httpapi.Did("released"), nil
		case <-ctx.Done():
			w.ended <- ctx.Err()
			return httpapi.Done{}, ctx.Err()
		}
	})
	op.ID, op.Path, op.Timeout = "short", "/api/v1/short", 50*time.Millisecond
	httpapi.Handle(a, op, func(ctx context.Context, _ *struct{}) (httpapi.Done, error) {
		<-ctx.Done()
		return httpapi.Done{}, ctx.Err()
	})
}

func TestRequestsUnderWayFinishWhenTheServerStops(t *testing.T) {
	t.Parallel()
	w := newWaiter()
	b := setup(t, w.register)
	got := make(chan answer, 1)
	go func() { got <- b.do("GET", "/api/v1/wait", "", key("read")) }()
	<-w.entered
	stopped := make(chan error, 1)
	go func() { stopped <- b.stop() }()
	waitFor(t, "the listener to close", func() bool {
		c, err := net.Dial("tcp", b.addr)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	close(w.release)
	if a := <-got; a.status != 200 || !strings.Contains(a.body, "released") {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
}

// waitFor waits for a condition, with a deadline.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(60 * time.Second)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("waited too long for %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestStopCutsRequestsOffAfterTheirGrace(t *testing.T) {
	t.Parallel()
	w := newWaiter()
	b := setup(t, w.register, hurried)
	go func() {
		c, err := net.Dial("tcp", b.addr)
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = c.Write([]byte("GET /api/v1/wait HTTP/1.1\r\nHost: x\r\nX-Api-Key: read\r\n\r\n"))
		_, _ = c.Read(make([]byte, 1))
		_ = c.Close()
	}()
	<-w.entered
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	if err := <-w.ended; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestTimeoutOfAnOperation(t *testing.T) {
	t.Parallel()
	b := setup(t, newWaiter().register)
	a := b.do("GET", "/api/v1/short", "", key("read"))
	if a.status != 500 || a.code(t) != "INTERNAL_ERROR" || !strings.Contains(a.body, "took longer than 50ms") {
		t.Fatalf("%d %s", a.status, a.body)
	}
}

func TestServeTwiceOnOneAddressFails(t *testing.T) {
	t.Parallel()
	b := prepare(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.api.Serve(t.Context(), ln); err == nil {
		t.Fatal("a closed listener was served")
	}
}

func TestMistakesAreToldByServe(t *testing.T) {
	t.Parallel()
	b := prepare(t)
	httpapi.Handle(b.api, httpapi.Operation{ID: "x", Method: "GET", Path: "/api/v1/x"}, func(context.Context, *struct{}) (httpapi.Done, error) { return httpapi.Done{}, nil })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.api.Serve(t.Context(), ln); err == nil || !strings.Contains(err.Error(), "has no access rule") {
		t.Fatalf("%v", err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("the listener is still open: %v", err)
	}
}

func TestServeThatEndsBeforeItBegan(t *testing.T) {
	t.Parallel()
	b := prepare(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- b.api.Serve(ctx, ln) }()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(60 * time.Second):
		t.Fatal("Serve didn't return")
	}
}
