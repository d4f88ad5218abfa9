package grant_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/grant"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// met is how a guest was met.
type met struct {
	caller access.Caller
	err    error
}

// reception opens a door whose sockets only say who came.
func (b *bundle) reception(hello time.Duration) (dial func() *websocket.Conn, came chan met) {
	b.t.Helper()
	grant.Patient(b.grants, hello)
	api, err := httpapi.New(httpapi.Config{Authenticator: b.users, DB: b.db, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		b.t.Fatal(err)
	}
	came = make(chan met, 100)
	httpapi.HandleSocket(api, httpapi.Operation{ID: "door", Method: http.MethodGet, Path: "/api/v1/door/{id}", Access: access.Public()},
		func(ctx context.Context, r *httpapi.Request) (httpapi.Socket, error) {
			guest, err := b.grants.Arrive(ctx, r, ident.Instance(r.Param("id")), access.ReadConsole, "door")
			if err != nil {
				return nil, err
			}
			return func(ctx context.Context, conn *websocket.Conn) {
				err := guest.Introduce(ctx, conn)
				came <- met{guest.Caller, err}
			}, nil
		})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- api.Serve(ctx, ln) }()
	b.t.Cleanup(func() { cancel(); <-done })
	return func() *websocket.Conn {
		b.t.Helper()
		conn, _, err := websocket.DefaultDialer.DialContext(b.t.Context(), "ws://"+ln.Addr().String()+"/api/v1/door/"+string(mine), nil)
		if err != nil {
			b.t.Fatal(err)
		}
		b.t.Cleanup(func() { _ = conn.Close() })
		return conn
	}, came
}

func TestStrangersAreCounted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dial, came := b.reception(time.Hour)
	var waiting []*websocket.Conn
	for range 17 { // of one network, 16 may wait
		waiting = append(waiting, dial())
	}
	if m := <-came; !problem.Is(m.err, problem.RateLimited) {
		t.Errorf("%v", m.err)
	}
	for _, conn := range waiting {
		_ = conn.Close()
	}
	for range 16 {
		<-came
	}
	ticket, err := b.grants.Issue(t.Context(), b.owner, mine, access.ReadConsole, "door")
	if err != nil {
		t.Fatal(err)
	}
	if err := dial().WriteJSON(map[string]string{"type": "auth", "ticket": ticket.Text}); err != nil {
		t.Fatal(err)
	}
	if m := <-came; m.err != nil || m.caller.User != b.owner.User || m.caller.Address != "127.0.0.1" {
		t.Errorf("%+v", m)
	}
}

func TestWhoSaysNothingIsSentAway(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dial, came := b.reception(20 * time.Millisecond)
	dial()
	if m := <-came; !problem.Is(m.err, problem.Unauthorized) || m.caller.Known() {
		t.Errorf("%+v", m)
	}
}
