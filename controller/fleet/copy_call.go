package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// bulk is the part of a link that volumes travel on: connections and places of
// their own, so that they never keep other calls waiting.
type bulk struct {
	client *http.Client
	places [3]chan struct{}
}

// place is what a bulk call is about. Sending and receiving have their own
// places, and who sends takes his first: two nodes that send to each other never
// wait for each other.
type place int

const (
	looking place = iota
	sending
	receiving
)

// The bounds of bulk calls to one node. Agents have as many places for content.
const (
	looksAtOnce    = 4
	contentsAtOnce = 2
	bulkTimeout    = 150 * time.Second // for a look; an agent takes two minutes at most
	idleLimit      = 75 * time.Second  // in which nothing of a content moves
)

var (
	errBulkSlow = fmt.Errorf("it did not answer within %d s", bulkTimeout/time.Second)
	errIdleFrom = fmt.Errorf("it sent nothing for %d s", idleLimit/time.Second)
	errIdleTo   = fmt.Errorf("it took nothing in for %d s", idleLimit/time.Second)
)

func newBulk(l *link) *bulk {
	return &bulk{
		client: &http.Client{
			Transport: &http.Transport{
				DialTLSContext:      l.dialCoarse,
				MaxConnsPerHost:     looksAtOnce + 2*contentsAtOnce,
				MaxIdleConnsPerHost: 2,
				IdleConnTimeout:     30 * time.Second,
				DisableCompression:  true,
				WriteBufferSize:     64 << 10,
				ReadBufferSize:      64 << 10,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		places: [3]chan struct{}{
			looking: make(chan struct{}, looksAtOnce), sending: make(chan struct{}, contentsAtOnce), receiving: make(chan struct{}, contentsAtOnce),
		},
	}
}

// bulkWithin runs f within the node's present session, once there is a place for
// it. f's context ends with the session, with ctx, and when cut is called; what f
// fails with is told as a failure of that node.
//
//nolint:contextcheck // the session has a context of its own: its end cuts the call short
func (f *Fleet) bulkWithin(ctx context.Context, node ident.Node, at place, do func(ctx context.Context, l *link, cut context.CancelCauseFunc) error) error {
	l := f.link(node)
	if l == nil {
		return problem.New(problem.NodeOffline, "node %s is offline: %s", node, f.Presence(node).Reason)
	}
	session, name, reason := l.current()
	if session == nil {
		return problem.New(problem.NodeOffline, "node %s is offline: %s", name, reason)
	}
	limited, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	defer context.AfterFunc(session, func() { cut(context.Cause(session)) })()
	err := func() error {
		select {
		case l.bulk.places[at] <- struct{}{}:
			defer func() { <-l.bulk.places[at] }()
			return do(limited, l, cut)
		case <-limited.Done():
			return context.Cause(limited)
		}
	}()
	return tellCall(ctx, limited, name, err)
}

// bulkCall makes one POST that may take its time.
func (f *Fleet) bulkCall(ctx context.Context, node ident.Node, path string, in, out any) error {
	return f.bulkWithin(ctx, node, looking, func(ctx context.Context, l *link, _ context.CancelCauseFunc) error {
		ctx, cancel := context.WithTimeoutCause(ctx, bulkTimeout, errBulkSlow)
		defer cancel()
		answer, err := l.bulkOpen(ctx, http.MethodPost, path, in) //nolint:bodyclose // settle closes it
		if err != nil {
			return err
		}
		return ended(ctx, settle(answer, out))
	})
}

// bulkOpen makes a call and gives its answer, whose body the caller closes, or
// the refusal.
func (l *link) bulkOpen(ctx context.Context, method, path string, in any) (*http.Response, error) {
	text, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("encode the call: %w", err)
	}
	return l.bulkDo(ctx, method, path, "application/json", bytes.NewReader(text))
}

// bulkSend makes a call with a stream as its body and reads the answer into out.
// The answer may come, and the body be left, before the stream's end.
func (l *link) bulkSend(ctx context.Context, method, path string, body io.Reader, out any) error {
	answer, err := l.bulkDo(ctx, method, path, "application/octet-stream", io.NopCloser(body)) //nolint:bodyclose // settle closes it
	if err != nil {
		return err
	}
	return ended(ctx, settle(answer, out))
}

func (l *link) bulkDo(ctx context.Context, method, path, kind string, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, "https://"+l.host()+path, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", kind)
	request.Header["Idempotency-Key"] = nil // as in do: it may be repeated when a kept connection is dead
	answer, err := l.bulk.client.Do(request)
	if err != nil {
		return nil, ended(ctx, err)
	}
	if answer.StatusCode < http.StatusMultipleChoices {
		return answer, nil
	}
	defer func() { _ = answer.Body.Close() }()
	content, err := readAll(answer.Body, answerLimit)
	if err != nil {
		return nil, ended(ctx, err)
	}
	return nil, refused(answer.StatusCode, content)
}

// settle reads an answer and closes it.
func settle(answer *http.Response, out any) error {
	defer func() { _ = answer.Body.Close() }()
	content, err := readAll(answer.Body, wire.MaxPage)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, out); err != nil {
		return fmt.Errorf("%w: %w", errGarbled, err)
	}
	return nil
}

// flow is the content on its way from one answer into the other request.
type flow struct {
	from  io.Reader
	count *atomic.Int64

	mu      sync.Mutex
	failed  error
	timer   *time.Timer
	reading bool // waiting for the source; else for the target
}

// Read is called by the one who sends the request.
func (s *flow) Read(p []byte) (int, error) {
	s.step(true)
	n, err := s.from.Read(p)
	s.count.Add(int64(n))
	s.step(false)
	if err != nil && !errors.Is(err, io.EOF) {
		s.mu.Lock()
		s.failed = err
		s.mu.Unlock()
	}
	return n, err
}

func (s *flow) step(reading bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading = reading
	if s.timer != nil {
		s.timer.Reset(idleLimit)
	}
}

// broke is why the source broke off; nil when it did not.
func (s *flow) broke() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// watch cuts the side that is waited for when nothing moves for too long.
func (s *flow) watch(cutFrom, cutTo context.CancelCauseFunc) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = time.AfterFunc(idleLimit, func() {
		s.mu.Lock()
		reading := s.reading
		s.mu.Unlock()
		if reading {
			cutFrom(errIdleFrom)
		} else {
			cutTo(errIdleTo)
		}
	})
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.timer.Stop()
		s.timer = nil
	}
}
