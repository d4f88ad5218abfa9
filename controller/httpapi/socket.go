package httpapi

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/shared/problem"
)

// Socket serves a WebSocket; the connection is closed when it returns. ctx ends,
// and the connection is closed, when the key is no longer let in (the cause is then
// an Unauthorized problem) and when the server stops. The deadlines of the connection are its own, and so are pings and
// the limit of a message (SetReadLimit: without it there is none). With
// Operation.Farewell the connection outlives ctx for two seconds.
type Socket func(ctx context.Context, conn *websocket.Conn)

const upgradeWithin = 10 * time.Second // to take the answer in that makes it a WebSocket

// HandleSocket registers a route that becomes a WebSocket. The door's checks are
// those of every route; a page of another origin than ours is refused. h looks at
// the call, and refuses it by an error, which is answered as plain JSON, or gives
// what serves the connection. Nobody promises that it will be called: what h
// takes must not wait for it. A caller has as many sockets and streams at a time
// as he may have streams; of a public route the room must count them itself, find
// out who calls (Request.Identify), and end what he may no longer do.
func HandleSocket(a *API, op Operation, h func(ctx context.Context, r *Request) (Socket, error)) {
	if op.Status == 0 {
		op.Status = http.StatusSwitchingProtocols
	}
	r := a.add(op)
	if r == nil {
		return
	}
	r.stream, r.socket = true, true
	r.run = func(k *call) error {
		if k.route.Style == Document && len(k.http.Request.Header.Peek("Upgrade")) == 0 {
			k.api.pages.serve(k) // an address that the panel's pages may have too
			return nil
		}
		handshake, err := k.handshake()
		if err != nil {
			return err
		}
		serve, err := h(k.ctx, &Request{call: k})
		if err != nil {
			return err
		}
		return k.upgrade(handshake, serve)
	}
	a.register(r.Operation, func() {
		doc := a.describe(r, a.rawResponses(r))
		if done := doc.Responses["101"]; done != nil {
			done.Description, done.Content = "It is a WebSocket from here on", nil
		}
		a.huma.OpenAPI().AddOperation(doc)
	})
}

// Busy refuses a call for now: 503, to be tried again after a while.
func Busy(wait time.Duration, text string) error {
	return &refusal{Problem: problem.New(problem.RateLimited, "%s", text), status: http.StatusServiceUnavailable, wait: wait}
}

// Network is what strangers are counted by: an IPv4 address, or the /64 of an
// IPv6 one, since whoever has one of those has all of it.
func Network(address string) string { return network(address) }

// handshake reads the call as a WebSocket's first, and refuses what isn't one,
// while it can still be answered.
func (k *call) handshake() (*http.Request, error) {
	r := &http.Request{Method: k.method, Host: string(k.http.Host()), URL: &url.URL{Path: k.path}, Header: http.Header{}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	for name, value := range k.http.Request.Header.All() {
		r.Header.Add(string(name), string(value))
	}
	key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-Websocket-Key"))
	switch {
	case !websocket.IsWebSocketUpgrade(r) || r.Header.Get("Sec-Websocket-Version") != "13" || err != nil || len(key) != 16:
		k.http.Response.Header.Set("Upgrade", "websocket")
		return nil, &refusal{Problem: problem.New(problem.BadRequest, "this is a WebSocket of version 13; the call must open one"), status: http.StatusUpgradeRequired}
	case !k.route.AnyOrigin && !k.api.mayOpen(r):
		return nil, problem.New(problem.Forbidden, "a page of another origin can't open this")
	}
	return r, nil
}

// mayOpen says whether it is no browser that calls, or one with a page of ours.
func (a *API) mayOpen(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	return origin == "" || a.site.owns(origin, r.Host)
}

// upgrade lets serve have the connection once this call has ended.
func (k *call) upgrade(handshake *http.Request, serve Socket) error {
	raw, ok := k.http.Conn().(*conn)
	if !ok {
		return errors.New("a connection that came in by no listener of ours")
	}
	leave := func() {}
	if !k.route.Access.IsPublic() {
		who := streamer(k.caller)
		if err := k.api.streams.enter(who); err != nil {
			return err
		}
		leave = func() { k.api.streams.leave(who) }
	}
	// The call is gone when the connection is served: nothing of it is kept.
	s := &socket{anyOrigin: k.route.AnyOrigin, farewell: k.route.Farewell, api: k.api, id: k.id, name: k.routeName(), by: credential{k.key, k.session, k.address}, rule: k.route.Access, handshake: handshake, serve: serve}
	ctx := access.With(&scope{k.door.streams, k.id, k.visit()}, k.caller)
	running := &k.door.running
	running.Add(1)
	raw.take(func() { leave(); running.Done() })
	k.http.HijackSetNoResponse(true)
	k.http.Hijack(func(net.Conn) { s.run(ctx, raw) }) // not fasthttp's wrapping of it, which is reused
	k.http.SetStatusCode(k.route.Status)              // for the log: the answer is the upgrader's
	return nil
}

// socket is a connection on its way to being a WebSocket.
type socket struct {
	api       *API
	id        string
	name      string
	by        credential
	rule      access.Rule
	handshake *http.Request
	serve     Socket
	farewell  bool
	anyOrigin bool
}

// run makes it one, serves it and closes it.
func (s *socket) run(ctx context.Context, raw *conn) {
	defer func() { _ = raw.Close() }()
	defer func() {
		if r := recover(); r != nil {
			s.api.log.Error("a socket panicked", "request", s.id, "route", s.name, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
		}
	}()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	over := make(chan struct{})
	defer close(over)
	defer context.AfterFunc(ctx, func() { s.part(raw, over) })()
	upgrader := websocket.Upgrader{HandshakeTimeout: upgradeWithin, ReadBufferSize: 4 << 10, WriteBufferSize: 16 << 10,
		CheckOrigin: func(r *http.Request) bool { return s.anyOrigin || s.api.mayOpen(r) }, Error: func(http.ResponseWriter, *http.Request, int, error) {}}
	conn, err := upgrader.Upgrade(lent{raw}, s.handshake, http.Header{"X-Request-Id": {s.id}})
	if err != nil {
		s.api.log.Debug("a socket was not opened", "request", s.id, "route", s.name, "error", err)
		return
	}
	if s.by.key != "" || s.by.session != "" {
		go s.recheck(ctx, cancel)
	}
	s.serve(ctx, conn)
}

// part closes the connection, after a while if its user may say goodbye.
func (s *socket) part(raw *conn, over <-chan struct{}) {
	if s.farewell {
		timer := time.NewTimer(s.api.pace.farewell)
		defer timer.Stop()
		select {
		case <-over:
		case <-timer.C:
		}
	}
	_ = raw.Close()
}

// errOver is the cause of a socket's context when its login or key is gone.
var errOver = problem.New(problem.Unauthorized, "your login or API key isn't let in here any more: log in again")

// recheck asks again and again for the key and its rights.
func (s *socket) recheck(ctx context.Context, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(s.api.pace.recheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !s.api.stillAllowed(ctx, s.by, s.rule, nil) {
			cancel(errOver)
			return
		}
	}
}

// lent is the connection as gorilla's upgrader wants to get it; it writes its
// answer on it by itself.
type lent struct{ conn *conn }

// Header is of an answer that is never given here.
func (lent) Header() http.Header { return http.Header{} }

// Write takes nothing.
func (lent) Write([]byte) (int, error) { return 0, http.ErrHijacked }

// WriteHeader takes nothing.
func (lent) WriteHeader(int) {}

// Hijack gives the connection.
func (l lent) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return l.conn, bufio.NewReadWriter(bufio.NewReaderSize(l.conn, 16), bufio.NewWriterSize(l.conn, 16)), nil
}

var _ http.Hijacker = lent{}
