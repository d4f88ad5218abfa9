package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/shared/problem"
)

const (
	streamsEach   = 30 // of one caller at a time
	streamsAtMost = 2000
)

// errStreamOver is what Send gives when nobody listens any more.
var errStreamOver = errors.New("the stream is over")

// Stream sends server-sent events to one client. Its methods may be called from
// several goroutines.
type Stream struct {
	api    *API
	id     string     // of the request
	by     credential // to ask again whether it is still let in
	rule   access.Rule
	last   string
	cancel context.CancelFunc
	done   <-chan struct{} // of the stream's context
	opened chan struct{}   // closed when it is clear that this becomes a stream
	ready  chan struct{}   // closed when there is a writer
	failed chan error      // what h gave when it never did

	state  sync.Mutex // of isOpen, isOver
	isOpen bool
	isOver bool

	writing sync.Mutex
	w       *bufio.Writer // nil before ready and after the end
}

// HandleStream registers a stream of server-sent events; I is as in Handle. h
// first checks: an error that it returns before the first Send (or Open) is
// answered as plain JSON. From then on, or from two seconds after the start, an
// error is sent as an event named error with code and message. The stream ends
// when h returns. ctx ends when the client is gone (noticed at the next event or
// heartbeat, of which there is one in ten seconds), when the key is no longer let
// in, and when the server stops: h must return then.
func HandleStream[I any](a *API, op Operation, h func(ctx context.Context, in *I, s *Stream) error) {
	r := a.add(op)
	if r == nil {
		return
	}
	r.stream = true
	typed[I](a, r, a.streamResponses(r), func(_ context.Context, k *call, in *I) error {
		return k.stream(func(ctx context.Context, s *Stream) error { return h(ctx, in, s) }) //nolint:contextcheck // a stream outlives its call
	})
}

func (a *API) streamResponses(r *route) map[string]*huma.Response {
	var out map[string]*huma.Response
	a.register(r.Operation, func() {
		out = a.responses(r, &huma.Schema{Type: huma.TypeString})
		ok := out["200"]
		if ok == nil {
			out = nil
			a.fail(r.Operation, errors.New("the status of a stream is 200"))
			return
		}
		ok.Content = map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}}
	})
	return out
}

// stream starts h on a goroutine of its own and answers as soon as it is clear
// whether this becomes a stream or an error.
func (k *call) stream(h func(ctx context.Context, s *Stream) error) error {
	who := streamer(k.caller)
	if err := k.api.streams.enter(who); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(access.With(&scope{k.door.streams, k.id, k.visit()}, k.caller))
	s := &Stream{
		api: k.api, id: k.id, by: credential{k.key, k.session, k.address}, rule: k.route.Access,
		last:   string(k.http.Request.Header.Peek("Last-Event-ID")),
		cancel: cancel, done: ctx.Done(),
		opened: make(chan struct{}), ready: make(chan struct{}), failed: make(chan error, 1),
	}
	api := k.api
	k.door.running.Go(func() {
		defer api.streams.leave(who)
		defer cancel()
		s.finish(s.run(ctx, h))
	})
	timer := time.NewTimer(api.pace.open)
	defer timer.Stop()
	select {
	case err := <-s.failed:
		return err
	case <-s.opened:
	case <-timer.C:
		if !s.open() {
			return <-s.failed
		}
	}
	header := &k.http.Response.Header
	header.SetContentType("text/event-stream")
	header.Set("X-Accel-Buffering", "no") // proxies must not hold events back
	k.http.Response.ImmediateHeaderFlush = true
	k.http.SetBodyStreamWriter(func(w *bufio.Writer) { s.pump(ctx, w) })
	return nil
}

// run calls h and turns a panic into an error.
func (s *Stream) run(ctx context.Context, h func(ctx context.Context, s *Stream) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			s.api.log.Error("a stream panicked", "request", s.id, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			err = problem.New(problem.Internal, "something went wrong inside Berth; the log has the request's id")
		}
	}()
	return h(ctx, s)
}

// finish tells how h ended: as the call's answer while that is possible, else as
// the stream's last event. Being told to end isn't an error.
func (s *Stream) finish(err error) {
	s.state.Lock()
	early := !s.isOpen && err != nil
	s.isOver = early
	s.state.Unlock()
	if early {
		s.failed <- err
		return
	}
	s.open()
	select {
	case <-s.done:
		return
	default:
	}
	if err != nil {
		p := problem.From(err)
		if p.Code == problem.Internal {
			s.api.log.Error("a stream failed", "request", s.id, "error", err.Error())
		}
		_ = s.Send("error", "", errorView{p.Code, p.Message, p.Fields}) // nobody is left to tell
	}
}

// open says whether this is a stream now; it isn't when h failed before.
func (s *Stream) open() bool {
	s.state.Lock()
	defer s.state.Unlock()
	if s.isOver {
		return false
	}
	if !s.isOpen {
		s.isOpen = true
		close(s.opened)
	}
	return true
}

// Open sends the headers, for a stream whose first event may take its time.
func (s *Stream) Open() { s.open() }

// LastEventID is the id of the last event that the client saw (its header
// Last-Event-ID), or "".
func (s *Stream) LastEventID() string { return s.last }

// Send sends one event and waits until it is on its way; data is marshalled to
// JSON. id may be "" for none. An error means that the stream is over: return.
func (s *Stream) Send(event, id string, data any) error {
	var b bytes.Buffer
	line := func(name, value string) {
		if value != "" {
			b.WriteString(name + ": " + strings.NewReplacer("\n", "", "\r", "", "\x00", "").Replace(value) + "\n")
		}
	}
	line("id", id)
	line("event", event)
	b.WriteString("data: ")
	raw, err := json.Marshal(data) // compact: no line breaks
	if err != nil {
		return fmt.Errorf("marshal the event %s: %w", event, err)
	}
	b.Write(raw)
	b.WriteString("\n\n")
	s.open()
	select {
	case <-s.ready:
	case <-s.done:
		return errStreamOver
	}
	return s.write(b.Bytes())
}

func (s *Stream) write(p []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.w == nil {
		return errStreamOver
	}
	_, err := s.w.Write(p)
	if err == nil {
		err = s.w.Flush()
	}
	if err != nil {
		s.cancel()
		return errors.Join(errStreamOver, err)
	}
	return nil
}

// pump lends w to the senders until the stream ends, and keeps it alive.
func (s *Stream) pump(ctx context.Context, w *bufio.Writer) {
	s.writing.Lock()
	s.w = w
	s.writing.Unlock()
	close(s.ready)
	defer func() {
		s.cancel()
		s.writing.Lock()
		s.w = nil
		s.writing.Unlock()
	}()
	began := access.From(ctx)
	tick := time.NewTicker(s.api.pace.recheck)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !s.api.stillAllowed(ctx, s.by, s.rule, &began) {
			return
		}
		if n%s.api.pace.beats == 0 && s.write([]byte(":\n\n")) != nil {
			return
		}
	}
}

// streams counts the open ones of each caller.
type streams struct {
	mu   sync.Mutex
	of   map[string]int
	open int
}

func newStreams() *streams { return &streams{of: map[string]int{}} }

func (s *streams) enter(who string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open >= streamsAtMost || s.of[who] >= streamsEach {
		return &refusal{
			Problem: problem.New(problem.RateLimited, "too many streams are open; %d at a time are allowed", streamsEach),
			wait:    10 * time.Second,
		}
	}
	s.open++
	s.of[who]++
	return nil
}

func (s *streams) leave(who string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	if s.of[who]--; s.of[who] == 0 {
		delete(s.of, who)
	}
}
