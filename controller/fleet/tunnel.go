package fleet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/hashicorp/yamux"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	proveWithin    = 10 * time.Second // a tunnel that has not shown by then whose it is is closed
	partWithin     = time.Second      // to tell the other end why its tunnel is closed
	tunnelMessage  = 1 << 20          // bytes of one of its messages
	streamsWaiting = 64               // that the agent has not taken yet
)

var (
	errNoTunnel = errors.New("it has not opened its tunnel")
	errUnproven = fmt.Errorf("it did not show a certificate within %d s", proveWithin/time.Second)
)

// tunnel is one that an agent opened. Until it is registered nobody knows whose
// it is.
type tunnel struct {
	socket  *websocket.Conn
	conn    *wire.TunnelConn
	session *yamux.Session
	quit    chan struct{} // closed by leave
	once    sync.Once
	code    int // why, once quit is closed
	why     string

	node   ident.Node // of the certificate that it showed
	serial string     // of the newest certificate that was seen in it; the fleet's mu guards it
}

// leave has the tunnel closed, soon; the other end is told why if it still
// listens.
func (t *tunnel) leave(code int, why string) {
	t.once.Do(func() {
		t.code, t.why = code, why
		close(t.quit)
	})
}

// part closes the tunnel.
func (t *tunnel) part() {
	timer := time.AfterFunc(partWithin, func() { _ = t.session.Close() }) // whoever takes nothing in
	defer timer.Stop()
	select {
	case <-t.quit:
		const most = 120 // bytes of a reason
		why := t.why
		if len(why) > most {
			why = strings.ToValidUTF8(why[:most], "")
		}
		_ = t.socket.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(t.code, why), time.Time{})
	default:
	}
	_ = t.session.Close()
}

// Mount registers the door at which agents open their tunnels.
func (f *Fleet) Mount(a *httpapi.API) {
	httpapi.HandleSocket(a, httpapi.Operation{ID: "openTunnel", Method: http.MethodGet, Path: wire.PathTunnel, Tag: "nodes", Access: access.Public(),
		Unlimited: true, Summary: "For agents that can't be dialled: a WebSocket on which the controller calls back"},
		func(ctx context.Context, _ *httpapi.Request) (httpapi.Socket, error) {
			network := httpapi.Network(access.From(ctx).Address)
			if !f.lobby.Room(network) {
				return nil, httpapi.Busy(time.Second, "too many tunnels are being opened in this moment; try again")
			}
			return func(ctx context.Context, conn *websocket.Conn) { f.ServeTunnel(ctx, conn, network) }, nil
		})
}

// ServeTunnel takes in a WebSocket at whose other end an agent is said to be, and
// returns when it has ended; the socket is closed then. network is where it comes
// from, for the count of those that have not proven yet whose they are. Nothing
// that the other end says is believed: it must show, by a TLS handshake in a
// stream of the tunnel, the certificate of a node that is let in.
func (f *Fleet) ServeTunnel(ctx context.Context, socket *websocket.Conn, network string) {
	defer func() { _ = socket.Close() }()
	leave, ok := f.lobby.Enter(network)
	if !ok {
		return
	}
	t, err := f.newTunnel(socket)
	if err != nil || !f.begin(t) {
		leave()
		return
	}
	defer f.end(t)
	err = f.prove(ctx, t)
	leave()
	if err == nil {
		err = f.register(ctx, t)
	}
	if err != nil {
		f.refuse(t, network, err)
		return
	}
	select {
	case <-t.session.CloseChan():
		f.log.Info("a node's tunnel ended", "node", string(t.node), "reason", t.conn.Err())
	case <-t.quit:
		f.log.Info("a node's tunnel is closed", "node", string(t.node), "reason", t.why)
	}
}

func (f *Fleet) newTunnel(socket *websocket.Conn) (*tunnel, error) {
	socket.SetReadLimit(tunnelMessage)
	config := yamux.DefaultConfig()
	config.LogOutput = io.Discard // what matters is in the errors
	config.AcceptBacklog = streamsWaiting
	config.KeepAliveInterval = wire.TunnelAlive
	config.ConnectionWriteTimeout = wire.TunnelWithin
	config.StreamOpenTimeout = wire.TunnelWithin
	config.StreamCloseTimeout = 30 * time.Second
	config.MaxStreamWindowSize = wire.TunnelWindow
	conn := wire.NewTunnelConn(socket, false, f.now)
	session, err := yamux.Client(conn, config)
	if err != nil {
		return nil, err
	}
	return &tunnel{socket: socket, conn: conn, session: session, quit: make(chan struct{})}, nil
}

// begin counts a tunnel in; false says that the fleet has ended.
func (f *Fleet) begin(t *tunnel) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		_ = t.session.Close()
		return false
	}
	f.open[t] = struct{}{}
	f.serving.Add(1)
	return true
}

// end closes a tunnel and forgets it.
func (f *Fleet) end(t *tunnel) {
	t.part()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, t)
	if f.tunnels[t.node] == t {
		delete(f.tunnels, t.node)
	}
	f.serving.Done()
}

// closeTunnels ends all tunnels and lets no more in.
func (f *Fleet) closeTunnels() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	for t := range f.open {
		t.leave(websocket.CloseGoingAway, ErrStopped.Error())
	}
}

func (f *Fleet) refuse(t *tunnel, network string, err error) {
	t.leave(wire.TunnelRefused, explain(err))
	f.log.Info("a tunnel was refused", "network", network, "node", string(t.node), "reason", err)
}

// prove finds out whose tunnel it is.
func (f *Fleet) prove(ctx context.Context, t *tunnel) error {
	ctx, cancel := context.WithTimeoutCause(ctx, proveWithin, errUnproven)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = t.session.Close() })()
	stream, err := t.session.Open()
	if err != nil {
		return ended(ctx, err)
	}
	conn := tls.Client(wire.TunnelStream(stream), f.clientTLS(func(state tls.ConnectionState) (err error) {
		t.node, err = f.recognise(state)
		return err
	}))
	defer func() { _ = conn.Close() }()
	if err := conn.HandshakeContext(ctx); err != nil {
		return ended(ctx, err)
	}
	t.serial = shownIn(conn).Serial
	return nil
}

// recognise finds the node that the certificate is of.
func (f *Fleet) recognise(state tls.ConnectionState) (ident.Node, error) {
	if len(state.PeerCertificates) == 0 {
		return "", errNoCertificate
	}
	node, named := ident.Node(""), false
	if uris := state.PeerCertificates[0].URIs; len(uris) == 1 {
		var text string
		text, named = strings.CutPrefix(uris[0].String(), wire.NodeURI(""))
		node = ident.Node(text)
	}
	l := f.link(node)
	if !named || l == nil {
		// Whether it is ours or not: it doesn't get in.
		return "", &distrust{reason: "its certificate is of no node that is let in here: enrol it anew with a key of this controller"}
	}
	return node, verify(f.authority.pool, node, l.accepts, state, f.now())
}

// register makes the tunnel the way to its node, instead of an older one.
func (f *Fleet) register(ctx context.Context, t *tunnel) error {
	f.mu.Lock()
	l, directory := f.links[t.node], f.directory
	if f.over || l == nil || !l.accepts(t.serial) {
		f.mu.Unlock()
		return ErrCut
	}
	older := f.tunnels[t.node]
	f.tunnels[t.node] = t
	f.mu.Unlock()
	if older != nil {
		older.leave(wire.TunnelReplaced, "a newer tunnel of this node took its place")
	}
	f.log.Info("a node opened its tunnel", "node", string(t.node))
	if !l.target.Tunnel {
		// The node's own settings decide how it is reached.
		if err := directory.Tunnelled(ctx, t.node); err != nil {
			return fmt.Errorf("note that the node has a tunnel: %w", err)
		}
		f.Refresh()
	}
	l.hurry()
	return nil
}

// tunnelOf gives the tunnel to a node; nil: there is none.
func (f *Fleet) tunnelOf(node ident.Node) *tunnel {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tunnels[node]
}

// sawIn notes the newest certificate that was shown in a tunnel.
func (f *Fleet) sawIn(t *tunnel, serial string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t.serial = serial
}

// followTunnels closes the tunnels of nodes that are not let in any more, and of
// those that shall be dialled from now on. It needs the lock.
func (f *Fleet) followTunnels(dialled map[ident.Node]bool) {
	for node, t := range f.tunnels {
		l := f.links[node]
		switch {
		case l == nil || l.ctx.Err() != nil || !l.accepts(t.serial):
			t.leave(wire.TunnelRefused, ErrCut.Error())
		case dialled[node]:
			t.leave(websocket.CloseGoingAway, "the node shall be dialled now")
		}
	}
}

// throughTunnel opens a connection in the tunnel to the target.
func (l *link) throughTunnel(ctx context.Context) (net.Conn, *tunnel, error) {
	t := l.fleet.tunnelOf(l.target.Node)
	if t == nil {
		return nil, nil, errNoTunnel
	}
	type opened struct {
		stream net.Conn
		err    error
	}
	// yamux waits for as long as its own patience lasts, whatever ctx says.
	result := make(chan opened)
	go func() {
		stream, err := t.session.Open()
		select {
		case result <- opened{stream, err}:
		case <-ctx.Done():
			if err == nil {
				_ = stream.Close()
			}
		}
	}()
	select {
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	case o := <-result:
		if o.err != nil {
			t.leave(websocket.CloseGoingAway, "no connection can be opened in this tunnel")
			return nil, nil, fmt.Errorf("open a connection in the tunnel: %w", o.err)
		}
		return wire.TunnelStream(o.stream), t, nil
	}
}
