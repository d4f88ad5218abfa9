package live

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/time/rate"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/grant"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// page is one WebSocket. What isn't marked otherwise belongs to the goroutine
// that writes.
type page struct {
	service *Service
	conn    *websocket.Conn
	ctx     context.Context //nolint:containedctx // the socket's own, as long as it lives
	user    ident.User      // whose it is; never changes
	caller  access.Caller
	sight   event.Sight
	after   int64 // facts up to here were told, or aren't for this page

	asks   chan ask
	again  chan struct{} // holds a token: look again at what may be seen
	fresh  chan struct{} // holds a token: there are readings
	watch  watched
	silent map[ident.Node]string // why a node was said not to answer
	still  map[ident.Instance]struct{}

	shared atomic.Pointer[watched] // watch, for others to look into

	mu       sync.Mutex
	readings map[ident.Node]*reading // not told yet
}

// watched is what a page wants figures of. It is never changed, only replaced.
type watched struct {
	instances map[ident.Instance]ident.Node // and where each is
	nodes     map[ident.Node]struct{}
}

func newPage(ctx context.Context, s *Service, conn *websocket.Conn, caller access.Caller, after int64) *page {
	return &page{service: s, conn: conn, ctx: ctx, user: caller.User, caller: caller, sight: event.SightOf(caller), after: after,
		asks: make(chan ask), again: make(chan struct{}, 1), fresh: make(chan struct{}, 1),
		silent: map[ident.Node]string{}, still: map[ident.Instance]struct{}{}, readings: map[ident.Node]*reading{}}
}

func soon(d time.Duration) time.Time {
	return time.Now().Add(d) //nolint:forbidigo // the kernel's clock is the real one
}

// serve is the socket's life.
func (p *page) serve() {
	p.conn.SetReadLimit(messageMost)
	ctx, cancel := context.WithCancelCause(p.ctx)
	defer cancel(nil)
	// A write that is stuck ends soon after the socket shall.
	defer context.AfterFunc(ctx, func() { _ = p.conn.NetConn().SetWriteDeadline(soon(time.Second)) })()
	p.service.enter(p)
	defer p.service.leave(p)
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		cancel(p.read(ctx))
	}()
	why := p.run(ctx)
	if cause := context.Cause(ctx); cause != nil && (why == nil || errors.Is(why, context.Canceled)) {
		why = cause
	}
	cancel(why)
	p.goodbye(why)
	_ = p.conn.Close()
	<-reading
}

// goodbye says why it ends; a page that left is told nothing.
func (p *page) goodbye(why error) {
	if errors.Is(why, grant.ErrLeft) {
		return
	}
	var known *problem.Problem
	switch {
	case errors.As(why, &known):
	case p.ctx.Err() != nil:
		known = grant.Reason(p.ctx)
	default:
		p.service.Log.Error("a page's socket ended", "error", why.Error())
		known = problem.New(problem.Internal, "something went wrong inside Berth; its log has more")
	}
	grant.Goodbye(p.conn, known, soon(time.Second))
}

// read takes what the page asks for, until it is gone.
func (p *page) read(ctx context.Context) error {
	limit := rate.NewLimiter(asksPerSec, asksBurst)
	alive := func(string) error { return p.conn.SetReadDeadline(soon(p.service.pace.dead)) }
	p.conn.SetPongHandler(alive)
	for {
		if err := alive(""); err != nil {
			return grant.ErrLeft
		}
		kind, r, err := p.conn.NextReader()
		if err != nil {
			return grant.ErrLeft
		}
		text, err := io.ReadAll(r)
		if err != nil {
			return grant.ErrLeft
		}
		if !limit.Allow() {
			return problem.New(problem.RateLimited, "too many messages: a page needs %d in a second at most", asksPerSec)
		}
		var in ask
		if kind != websocket.TextMessage || json.Unmarshal(text, &in) != nil {
			in = ask{Type: "?"}
		}
		select {
		case p.asks <- in:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// run tells the page what there is, until ctx ends, nothing gets across, or its
// caller is not let in any more.
func (p *page) run(ctx context.Context) error {
	if err := p.begin(ctx); err != nil {
		return err
	}
	beat, look := time.NewTicker(p.service.pace.beat), time.NewTicker(p.service.pace.recheck)
	defer beat.Stop()
	defer look.Stop()
	facts, stop, err := p.follow(ctx)
	defer func() { stop() }()
	for err == nil {
		var changed bool
		select {
		case <-ctx.Done():
			return nil
		case <-p.again:
			changed, err = p.look(ctx)
		case <-look.C:
			changed, err = p.look(ctx)
		case batch := <-facts:
			changed, err = p.tellFacts(ctx, batch)
		case in := <-p.asks:
			err = p.answer(ctx, in)
		case <-p.fresh:
			err = p.tellReadings(ctx)
		case <-beat.C:
			err = p.beat()
		}
		if changed && err == nil { // the log is read with other eyes, from where it was
			stop()
			facts, stop, err = p.follow(ctx)
		}
	}
	return err
}

func (p *page) beat() error {
	if err := p.conn.WriteControl(websocket.PingMessage, nil, soon(p.service.pace.stuck)); err != nil {
		return grant.ErrLeft
	}
	return p.send(tell{Type: "beat", After: &p.after})
}

// send writes a message; an error is grant.ErrLeft.
func (p *page) send(message any) error {
	if err := p.conn.SetWriteDeadline(soon(p.service.pace.stuck)); err != nil {
		return grant.ErrLeft
	}
	if err := p.conn.WriteJSON(message); err != nil {
		return grant.ErrLeft
	}
	return nil
}

// review has the page look again soon.
func (p *page) review() {
	select {
	case p.again <- struct{}{}:
	default:
	}
}

// look finds out what became of the caller: an error when he may not be here any
// more, changed when he sees other facts than before.
func (p *page) look(ctx context.Context) (changed bool, err error) {
	if changed, err = p.recall(ctx); err != nil {
		return false, err
	}
	if len(p.watch.instances)+len(p.watch.nodes) == 0 {
		return changed, nil
	}
	var in ask
	for id := range p.watch.instances {
		in.Instances = append(in.Instances, id)
	}
	for id := range p.watch.nodes {
		in.Nodes = append(in.Nodes, id)
	}
	had := len(in.Instances) + len(in.Nodes)
	if err := p.choose(ctx, in); err != nil {
		return changed, err
	}
	if len(p.watch.instances)+len(p.watch.nodes) != had {
		return changed, p.tellWatching()
	}
	return changed, nil
}

// recall looks the caller up. What can't be found out now (the database is busy)
// is looked at in the next round.
func (p *page) recall(ctx context.Context) (changed bool, err error) {
	now, err := p.service.Callers.Recall(ctx, p.caller)
	var known *problem.Problem
	switch {
	case errors.As(err, &known):
		return false, err
	case err != nil:
		if ctx.Err() == nil {
			p.service.Log.Warn("a page's caller can't be looked up again", "error", err.Error())
		}
		return false, nil
	}
	if now.User == "" { // of the local socket
		return false, nil
	}
	p.caller = now
	if sight := event.SightOf(now); !sight.Equal(p.sight) {
		p.sight = sight
		return true, nil
	}
	return false, nil
}
