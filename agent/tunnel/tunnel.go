package tunnel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/hashicorp/yamux"

	"github.com/berth-panel/berth/shared/wire"
)

const (
	firstPause   = 200 * time.Millisecond
	longestPause = 5 * time.Second
	steadyAfter  = 10 * time.Second // open for so long: the next pause is the first again

	// For one whose tunnel another agent took.
	replacedPause = 30 * time.Second
	replacedMost  = 10 * time.Minute
	replacedOver  = 30 * time.Minute // open for so long: that is forgotten

	streamsAtOnce = 64 // connections in it; the controller makes a third of that
)

// Options say where the tunnel goes.
type Options struct {
	Controller string // the URL that the agent was enrolled at
	// Dial opens the raw connection; nil is TCP. For tests.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	Log  *slog.Logger
	Now  func() time.Time
}

// Tunnel is the net.Listener. It is safe for concurrent use.
type Tunnel struct {
	address string // ws:// or wss://
	dialer  *websocket.Dialer
	log     *slog.Logger
	now     func() time.Time
	streams chan net.Conn
	closed  chan struct{}
	closing sync.Once
}

// New makes a tunnel that is opened once Run runs.
func New(o Options) (*Tunnel, error) {
	u, err := url.Parse(o.Controller)
	if err != nil {
		return nil, fmt.Errorf("the controller's address: %w", err)
	}
	switch u.Scheme {
	case "http":
		u.Scheme = "ws"
	case "https":
		u.Scheme = "wss"
	default:
		return nil, fmt.Errorf("%q is not the controller's address: it looks like http://panel.example:8080", o.Controller)
	}
	t := &Tunnel{
		address: u.JoinPath(wire.PathTunnel).String(), dialer: newDialer(o.Dial), log: o.Log, now: o.Now,
		streams: make(chan net.Conn), closed: make(chan struct{}),
	}
	return t, nil
}

// Run keeps the tunnel open until ctx ends. After Close it is not opened again.
// Call it once.
func (t *Tunnel) Run(ctx context.Context) {
	defer func() { _ = t.Close() }()
	var pauses pauses
	told := ""
	for ctx.Err() == nil && !t.isClosed() {
		begin := t.now()
		opened, err := t.connect(ctx)
		if ctx.Err() != nil {
			return
		}
		if opened {
			told = ""
		}
		if text := err.Error(); text != told { // once, not every five seconds
			t.log.Warn("the tunnel to the controller is not open", "reason", text)
			told = text
		}
		timer := time.NewTimer(pauses.next(t.now().Sub(begin), err))
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-t.closed:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// pauses says how long to stay away.
type pauses struct {
	usual    time.Duration
	replaced time.Duration
}

// next is after a tunnel that ended so after so long.
func (p *pauses) next(lasted time.Duration, why error) time.Duration {
	if lasted >= steadyAfter {
		p.usual = 0
	}
	if lasted >= replacedOver {
		p.replaced = 0
	}
	var closed *websocket.CloseError
	if errors.As(why, &closed) && closed.Code == wire.TunnelReplaced {
		p.replaced = min(max(2*p.replaced, replacedPause), replacedMost)
		return spread(p.replaced)
	}
	p.usual = min(max(2*p.usual, firstPause), longestPause)
	return spread(p.usual)
}

// spread draws from the upper half.
func spread(d time.Duration) time.Duration { return d/2 + rand.N(d/2) }

// connect opens the tunnel and hands its connections out until it ends. opened
// says that it stood.
func (t *Tunnel) connect(ctx context.Context) (opened bool, err error) {
	socket, err := t.dial(ctx)
	if err != nil {
		return false, err
	}
	conn := wire.NewTunnelConn(socket, true, t.now)
	session, err := yamux.Server(conn, sessionConfig())
	if err != nil {
		_ = socket.Close()
		return false, err
	}
	defer func() { _ = session.Close() }()
	defer context.AfterFunc(ctx, func() { _ = session.Close() })()
	t.log.Info("the tunnel to the controller is open")
	for {
		stream, err := session.Accept()
		if err != nil {
			return true, ending(conn, err)
		}
		if session.NumStreams() > streamsAtOnce {
			return true, fmt.Errorf("%w: too many connections", wire.ErrTunnelAbused)
		}
		select {
		case t.streams <- wire.TunnelStream(stream):
		case <-t.closed: // what stands may come to its end
			_ = stream.Close()
		case <-session.CloseChan():
		}
	}
}

// ending prefers what the other end said over what followed from it.
func ending(conn *wire.TunnelConn, err error) error {
	said := conn.Err()
	var closed *websocket.CloseError
	switch {
	case errors.As(said, &closed) && closed.Text != "" && closed.Code != websocket.CloseAbnormalClosure:
		return fmt.Errorf("the controller closed it: %q: %w", closed.Text, said)
	case errors.Is(said, wire.ErrTunnelAbused):
		return said
	case errors.Is(err, yamux.ErrKeepAliveTimeout):
		return fmt.Errorf("the controller gave no sign of life: %w", err)
	default:
		return errors.New("the connection broke off")
	}
}

// Accept gives the next connection that the controller opened.
func (t *Tunnel) Accept() (net.Conn, error) {
	select {
	case conn := <-t.streams:
		return conn, nil
	case <-t.closed:
		return nil, net.ErrClosed
	}
}

func (t *Tunnel) isClosed() bool {
	select {
	case <-t.closed:
		return true
	default:
		return false
	}
}

// Close ends Accept. Connections that stand go on until Run's ctx ends.
func (t *Tunnel) Close() error {
	t.closing.Do(func() { close(t.closed) })
	return nil
}

// Addr names the other end.
func (t *Tunnel) Addr() net.Addr { return addr(t.address) }

type addr string

func (addr) Network() string  { return "tunnel" }
func (a addr) String() string { return string(a) }
