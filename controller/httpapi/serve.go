package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/berth-panel/berth/shared/problem"
)

const (
	readTimeout  = 30 * time.Second // of a whole request
	idleTimeout  = 75 * time.Second // between two requests of a connection
	writeTimeout = 30 * time.Second // of each single write: a reader that is stuck loses the connection
	lingerTime   = time.Second      // to let a client read a refusal before the connection goes
	lingerBytes  = 64 << 20
	headerLimit  = 16 << 10
)

// pace is how long things take here. Only tests have another than the usual.
type pace struct {
	grace   time.Duration // for requests under way when the server stops
	open    time.Duration // a stream's handler that waits for its first event isn't kept from its headers for longer
	recheck time.Duration // of a stream's key
	beats   int           // so many rechecks make a heartbeat, for proxies, and so that a lost client shows
	// farewell is what a socket has to say why it ends, see Operation.Farewell.
	farewell time.Duration
	stall    time.Duration // of waiting for a body that is a stream, see upload
}

func usualPace() pace {
	return pace{grace: 10 * time.Second, open: 2 * time.Second, recheck: 2 * time.Second, beats: 5, farewell: 2 * time.Second, stall: 30 * time.Second}
}

// door is one listener while it is served.
type door struct {
	local    bool            // a unix socket: who may open it is an admin
	requests context.Context // of its requests: ends when their grace is over
	streams  context.Context // of its streams: ends when the server shall stop
	running  sync.WaitGroup  // streams
}

// Serve answers on the listener until ctx ends, then lets requests under way
// finish for up to 10 s (streams end at once), closes everything and returns.
// Callers on a unix listener are access.Local(). Serve may run for several
// listeners at a time; it closes the one it got.
func (a *API) Serve(ctx context.Context, ln net.Listener) error {
	if a.err != nil {
		return errors.Join(a.err, ln.Close())
	}
	a.built.Do(a.build)
	requests, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	d := &door{local: ln.Addr().Network() == "unix", requests: requests, streams: ctx}
	guarded := &listener{Listener: ln, open: map[*conn]struct{}{}}
	server := a.server(d)
	done := make(chan error, 1)
	go func() { done <- server.Serve(guarded) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	guarded.dropUnused()
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.pace.grace)
	defer cancel()
	err := server.ShutdownWithContext(limit)
	stop()
	guarded.shut()
	rested := d.rest(a.pace.grace)
	guarded.shutLent()
	if served := <-done; served != nil && !errors.Is(served, net.ErrClosed) {
		err = errors.Join(err, served)
	}
	if !rested {
		a.log.Error("streams didn't end when they were told to", "address", ln.Addr().String())
	}
	if errors.Is(err, context.DeadlineExceeded) {
		a.log.Warn("requests were cut off at the end of their grace", "address", ln.Addr().String())
		return nil
	}
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// rest waits for the streams' handlers, for a while.
func (d *door) rest(longest time.Duration) bool {
	over := make(chan struct{})
	go func() {
		d.running.Wait()
		close(over)
	}()
	select {
	case <-over:
		return true
	case <-time.After(longest):
		return false
	}
}

func (a *API) server(d *door) *fasthttp.Server {
	return &fasthttp.Server{
		Handler:                      func(h *fasthttp.RequestCtx) { a.serve(d, h) },
		ErrorHandler:                 func(h *fasthttp.RequestCtx, err error) { a.broken(d, h, err) },
		ReadBufferSize:               headerLimit,
		ReadTimeout:                  readTimeout,
		IdleTimeout:                  idleTimeout,
		MaxRequestBodySize:           defaultBodyLimit, // how far fasthttp reads ahead at most; the limit is readBody's
		StreamRequestBody:            true,
		DisablePreParseMultipartForm: true,
		NoDefaultServerHeader:        true,
		KeepHijackedConns:            true, // whoever took one closes it
		CloseOnShutdown:              true,
		Logger:                       quiet{a.log},
	}
}

// broken answers for what isn't a request: a header that is wrong or too large,
// one that doesn't come.
func (a *API) broken(d *door, h *fasthttp.RequestCtx, err error) {
	k := a.newCall(d, h)
	var small *fasthttp.ErrSmallBuffer
	var slow net.Error
	switch {
	case errors.As(err, &small):
		k.refuse(&refusal{Problem: problem.New(problem.TooLarge, "the request's header is larger than %d bytes", headerLimit), status: 431})
	case errors.As(err, &slow) && slow.Timeout():
		k.refuse(&refusal{Problem: problem.New(problem.BadRequest, "the request didn't arrive in time"), status: 408})
	default:
		k.refuse(problem.New(problem.BadRequest, "this isn't an HTTP request that can be understood").Because(err))
	}
	d.spoiled(h)
	k.log()
}

// spoiled ends the connection after this answer, gently: the client may still be
// sending, and a reset would take the answer from him.
func (d *door) spoiled(h *fasthttp.RequestCtx) {
	h.SetConnectionClose()
	if c, ok := h.Conn().(*conn); ok {
		c.linger.Store(true)
	}
}

// listener knows its open connections, to be able to end them all.
type listener struct {
	net.Listener
	mu   sync.Mutex
	open map[*conn]struct{}
	over bool
}

// Accept wraps each connection.
func (l *listener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, of: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return nil, errors.Join(net.ErrClosed, raw.Close())
	}
	l.open[c] = struct{}{}
	return c, nil
}

// dropUnused closes connections on which no request has begun: browsers keep some
// ready, and nobody should wait for them.
func (l *listener) dropUnused() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	for c := range l.open {
		if !c.used.Load() {
			_ = c.Conn.Close()
		}
	}
}

// shut closes the listener and whatever is still open, but for sockets: each has
// its own way to end.
func (l *listener) shut() {
	_ = l.Listener.Close() // mostly a second time
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		if !c.lent.Load() {
			_ = c.Conn.Close()
		}
	}
}

// shutLent closes the sockets that didn't end.
func (l *listener) shutLent() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		_ = c.Conn.Close()
	}
}

// conn gives every write its own deadline, and closes gently when asked to.
type conn struct {
	net.Conn
	of     *listener
	used   atomic.Bool // something was read
	linger atomic.Bool
	lent   atomic.Bool // to a socket, which sets its own deadlines
	after  func()      // once it is closed; of a lent one
	once   sync.Once
}

// take lends the connection out: its user sets the deadlines from now on. after
// is called once when the connection is closed.
func (c *conn) take(after func()) {
	c.after = after
	c.lent.Store(true)
}

// Read notes that the connection is in use.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.used.Load() {
		c.used.Store(true)
	}
	return n, err
}

// Write fails when the other side takes nothing for too long.
func (c *conn) Write(b []byte) (int, error) {
	if c.lent.Load() {
		return c.Conn.Write(b)
	}
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil { //nolint:forbidigo // the kernel's clock is the real one
		return 0, err
	}
	return c.Conn.Write(b)
}

// Close ends the connection; after linger it says so first and reads away what
// is still coming, for a moment.
func (c *conn) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	if c.lent.Load() {
		defer c.once.Do(c.after)
	}
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if ok && c.linger.Load() && half.CloseWrite() == nil &&
		c.SetReadDeadline(time.Now().Add(lingerTime)) == nil { //nolint:forbidigo // the kernel's clock is the real one
		_, _ = io.CopyN(io.Discard, c.Conn, lingerBytes)
	}
	return c.Conn.Close()
}

// quiet takes fasthttp's own log lines: a client that hung up is no news.
type quiet struct{ log *slog.Logger }

// Printf is fasthttp's.
func (q quiet) Printf(format string, args ...any) {
	q.log.Debug("http server", "text", fmt.Sprintf(format, args...))
}
