package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// livesAtOnce bounds the streams and sockets to one node, so that neither side
// runs out of descriptors. Short calls have places of their own.
const livesAtOnce = 1024

// Request is a call whose bodies may be streams.
type Request struct {
	Method string
	Path   string // escaped: "/v1/instances/0123abcd/files/content"
	Query  url.Values
	Header http.Header
	Body   io.Reader // nil: none. An io.Closer's Close must end a Read that waits
	Size   int64     // of Body; -1 when nobody knows
}

// live is the part of a link that people's streams travel on.
type live struct {
	client *http.Client
	places chan struct{}
}

func newLive(l *link) *live {
	return &live{
		client: &http.Client{
			Transport: &http.Transport{
				DialTLSContext:      l.dialCoarse,
				MaxIdleConnsPerHost: 8,
				IdleConnTimeout:     30 * time.Second,
				DisableCompression:  true,
				WriteBufferSize:     256 << 10,
				ReadBufferSize:      16 << 10, // less than what is read at a time: that comes without a copy then
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		places: make(chan struct{}, livesAtOnce),
	}
}

// Call makes one short call beneath a path of the agent's door: in and out are
// JSON and may be nil. As all calls it may be repeated.
func (f *Fleet) Call(ctx context.Context, node ident.Node, method, path string, in, out any) error {
	return f.ask(ctx, node, method, path, in, out)
}

// Open makes a call whose bodies may be streams, within the node's present
// session: its end, and ctx's, cut both. The answer's body is the caller's to
// close, and only then the call's place is free again. Nothing bounds the time
// that it takes but ctx. A refusal is the error: the agent's *problem.Problem, or
// NODE_OFFLINE. The statuses 304 and 416 are answers too: what the headers asked
// for isn't there.
func (f *Fleet) Open(ctx context.Context, node ident.Node, request Request) (*http.Response, error) {
	l, limited, release, err := f.enter(ctx, node)
	if err != nil {
		return nil, err
	}
	answer, err := l.open(limited, request)
	if err != nil {
		defer release()
		return nil, tellCall(ctx, limited, l.called(), err)
	}
	answer.Body = &leased{ReadCloser: answer.Body, release: release}
	return answer, nil
}

// Do is Open for an answer that is a short JSON text, however long the body that
// is sent.
func (f *Fleet) Do(ctx context.Context, node ident.Node, request Request, out any) error {
	answer, err := f.Open(ctx, node, request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	content, err := readAll(answer.Body, answerLimit)
	if err != nil {
		return problem.New(problem.NodeOffline, "the call to node %s broke off", node).Because(err)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(content, out); err != nil {
		return fmt.Errorf("%w: %w", errGarbled, err)
	}
	return nil
}

// Socket opens a WebSocket at the agent's door: path may carry a query. The end
// of the session, and of ctx, close it. Whoever has it closes it, by Close.
func (f *Fleet) Socket(ctx context.Context, node ident.Node, path string) (*Socket, error) {
	l, limited, release, err := f.enter(ctx, node)
	if err != nil {
		return nil, err
	}
	shaking, cancel := context.WithTimeoutCause(limited, callTimeout, errSlow)
	defer cancel()
	dialer := websocket.Dialer{NetDialTLSContext: l.dialTLS, HandshakeTimeout: callTimeout, ReadBufferSize: 16 << 10, WriteBufferSize: 4 << 10}
	conn, answer, err := dialer.DialContext(shaking, "wss://"+l.host()+path, nil) //nolint:bodyclose // the dialer has read it; there is nothing to close
	if err != nil {
		defer release()
		if errors.Is(err, websocket.ErrBadHandshake) && answer != nil {
			err = refusal(answer)
		}
		return nil, tellCall(ctx, limited, l.called(), err)
	}
	s := &Socket{Conn: conn, release: release}
	s.detach = context.AfterFunc(limited, func() { _ = conn.Close() })
	return s, nil
}

// Socket is a WebSocket to an agent.
type Socket struct {
	*websocket.Conn
	detach  func() bool
	release func()
	once    sync.Once
}

// Close ends it; it may be called again.
func (s *Socket) Close() error {
	err := s.Conn.Close()
	s.once.Do(func() { s.detach(); s.release() })
	return err
}

// enter takes a place for a stream to the node. limited ends with the node's
// session and with ctx.
func (f *Fleet) enter(ctx context.Context, node ident.Node) (l *link, limited context.Context, release func(), err error) {
	l = f.link(node)
	if l == nil {
		return nil, nil, nil, problem.New(problem.NodeOffline, "node %s is offline: %s", node, f.Presence(node).Reason)
	}
	session, name, reason := l.current()
	if session == nil {
		return nil, nil, nil, problem.New(problem.NodeOffline, "node %s is offline: %s", name, reason)
	}
	select {
	case l.live.places <- struct{}{}:
	default:
		return nil, nil, nil, problem.New(problem.RateLimited, "too much is open to node %s at once: try again in a while", name)
	}
	limited, cut := context.WithCancelCause(ctx)
	detach := context.AfterFunc(session, func() { cut(context.Cause(session)) })
	var once sync.Once
	return l, limited, func() {
		once.Do(func() { detach(); cut(nil); <-l.live.places })
	}, nil
}

func (l *link) called() string {
	_, name, _ := l.current()
	return name
}

func (l *link) open(ctx context.Context, r Request) (*http.Response, error) {
	target := "https://" + l.host() + r.Path
	if len(r.Query) > 0 {
		target += "?" + r.Query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, r.Method, target, r.Body)
	if err != nil {
		return nil, err
	}
	for name, values := range r.Header {
		request.Header[name] = values
	}
	if r.Body != nil && request.ContentLength == 0 {
		request.ContentLength = r.Size // a Size of 0 sends no body
		if r.Size == 0 {
			request.Body = http.NoBody
		}
	}
	if r.Body == nil || isBytes(r.Body) {
		request.Header["Idempotency-Key"] = nil // as in do: it may be repeated when a kept connection is dead
	}
	if waiting, ok := r.Body.(io.Closer); ok {
		// net/http waits for a Read of the body before it tells that a call has failed.
		defer context.AfterFunc(ctx, func() { _ = waiting.Close() })()
	}
	answer, err := l.live.client.Do(request)
	if err != nil {
		return nil, ended(ctx, err)
	}
	switch {
	case answer.StatusCode < http.StatusMultipleChoices, answer.StatusCode == http.StatusNotModified, answer.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		return answer, nil
	}
	defer func() { _ = answer.Body.Close() }()
	content, err := readAll(answer.Body, answerLimit)
	if err != nil {
		return nil, ended(ctx, err)
	}
	return nil, refused(answer.StatusCode, content)
}

func isBytes(r io.Reader) bool {
	_, ok := r.(*bytes.Reader)
	return ok
}

// leased gives the call's place back when the body is closed.
type leased struct {
	io.ReadCloser
	release func()
}

func (b *leased) Close() error {
	err := b.ReadCloser.Close()
	b.release()
	return err
}
