package fleettest

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/hashicorp/yamux"

	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// reopenAfter is the pause of a scripted agent whose tunnel broke.
const reopenAfter = 20 * time.Millisecond

// Door is where scripted agents open their tunnels.
type Door struct {
	// Dial opens the raw connection to the door.
	Dial func(ctx context.Context) (net.Conn, error)
}

// OpenDoor serves the fleet's tunnels on a listener until the test ends, in place
// of the controller's HTTP server; dial connects with it.
func OpenDoor(t testing.TB, f *fleet.Fleet, listener net.Listener, dial func(ctx context.Context) (net.Conn, error)) *Door {
	t.Helper()
	upgrader := websocket.Upgrader{}
	server := &http.Server{ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute}
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if socket, err := upgrader.Upgrade(w, r, nil); err == nil {
			f.ServeTunnel(r.Context(), socket, "a network")
		}
	})
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() {
		_ = server.Close()
		serving.Wait()
	})
	return &Door{Dial: dial}
}

// OpenLocalDoor is OpenDoor on the loopback.
func OpenLocalDoor(t testing.TB, f *fleet.Fleet) *Door {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	return OpenDoor(t, f, listener, func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	})
}

// OpenDoor is OpenDoor on this network.
func (n *Network) OpenDoor(t testing.TB, f *fleet.Fleet) *Door {
	t.Helper()
	const address = "controller:80"
	listener, err := n.Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	return OpenDoor(t, f, listener, func(ctx context.Context) (net.Conn, error) { return n.Dial(ctx, "tcp", address) })
}

// Socket opens a WebSocket at the door and nothing in it: for strangers.
func (d *Door) Socket(ctx context.Context) (*websocket.Conn, error) {
	dialer := websocket.Dialer{HandshakeTimeout: 10 * time.Second,
		NetDialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return d.Dial(ctx) }}
	socket, _, err := dialer.DialContext(ctx, "ws://controller"+wire.PathTunnel, nil)
	return socket, err
}

// NewTunnelled is New for an agent that can't be dialled: it keeps a tunnel open.
func NewTunnelled(t testing.TB, authority *fleet.Authority, node ident.Node, door *Door) *Agent {
	t.Helper()
	a := ListenTunnelled(t, door)
	issued, err := authority.IssueNode(node, a.CSR(), "")
	if err != nil {
		t.Fatal(err)
	}
	a.Certify(t, node, authority.CertificatePEM(), issued.PEM)
	return a
}

// ListenTunnelled is ListenAt for an agent that keeps a tunnel open.
func ListenTunnelled(t testing.TB, door *Door) *Agent {
	t.Helper()
	a := ListenAt(t, "behind-nat", 1, func() (net.Listener, error) { return keepTunnel(door), nil })
	a.tunnel = true
	return a
}

// tunnel is the agent's end of a tunnel that is opened again and again.
type tunnel struct {
	door    *Door
	streams chan net.Conn
	stop    context.CancelFunc
	ended   chan struct{}
}

func keepTunnel(door *Door) *tunnel {
	ctx, stop := context.WithCancel(context.Background())
	t := &tunnel{door: door, streams: make(chan net.Conn), stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(t.ended)
		for ctx.Err() == nil {
			t.open(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(reopenAfter):
			}
		}
	}()
	return t
}

func (t *tunnel) open(ctx context.Context) {
	socket, err := t.door.Socket(ctx)
	if err != nil {
		return
	}
	session, err := Session(socket)
	if err != nil {
		return
	}
	defer func() { _ = session.Close() }()
	defer context.AfterFunc(ctx, func() { _ = session.Close() })()
	for {
		stream, err := session.Accept()
		if err != nil {
			return
		}
		select {
		case t.streams <- wire.TunnelStream(stream):
		case <-session.CloseChan():
		}
	}
}

// Session is the agent's end of what runs in a tunnel.
func Session(socket *websocket.Conn) (*yamux.Session, error) {
	config := yamux.DefaultConfig()
	config.LogOutput = io.Discard
	config.KeepAliveInterval, config.ConnectionWriteTimeout = wire.TunnelAlive, wire.TunnelWithin
	return yamux.Server(wire.NewTunnelConn(socket, true, time.Now), config)
}

// Accept gives the next stream.
func (t *tunnel) Accept() (net.Conn, error) {
	select {
	case conn := <-t.streams:
		return conn, nil
	case <-t.ended:
		return nil, net.ErrClosed
	}
}

// Close breaks the tunnel and everything in it off.
func (t *tunnel) Close() error {
	t.stop()
	<-t.ended
	return nil
}

// Addr is no address.
func (t *tunnel) Addr() net.Addr { return pipeAddr("tunnel") }

// Prove serves one TLS handshake as this agent on a stream of a session, as the
// controller asks for it.
func (a *Agent) Prove(session *yamux.Session) error {
	stream, err := session.Accept()
	if err != nil {
		return err
	}
	conn := tls.Server(wire.TunnelStream(stream), a.tls())
	if err := conn.Handshake(); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}
