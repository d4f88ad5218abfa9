package fleettest

import (
	"context"
	"net"
	"strings"
	"sync"
	"syscall"
)

// Network connects fleet and agents inside the process, so that a test of time
// can run on a clock of its own (testing/synctest). Use its Dial as
// fleet.Options.Dial and its Listener with ListenAt.
type Network struct {
	mu        sync.Mutex
	listeners map[string]*pipeListener
	dead      bool
	dials     int
	swallow   bool
	owed      []net.Conn    // closed while everything was swallowed
	frozen    chan struct{} // not nil: the agents are frozen until it is closed
}

// NewNetwork makes a network in which nobody listens.
func NewNetwork() *Network { return &Network{listeners: map[string]*pipeListener{}} }

// BlackHole has every later Dial hang until its context ends, as packets that
// nobody answers do.
func (n *Network) BlackHole(dead bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dead = dead
}

// Dial connects with whoever listens at the address.
func (n *Network) Dial(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	listener, dead := n.listeners[address], n.dead
	n.dials++
	n.mu.Unlock()
	if dead {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if listener == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	mine, theirs := n.pipe(strings.HasPrefix(address, "controller:"))
	select {
	case listener.accept <- theirs:
		return mine, nil
	case <-listener.closed:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Dials counts the tries to connect so far.
func (n *Network) Dials() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials
}

// Listener is Listen at that address, for ListenAt.
func (n *Network) Listener(address string) func() (net.Listener, error) {
	return func() (net.Listener, error) { return n.Listen(address) }
}

// Listen listens at the address until the listener is closed.
func (n *Network) Listen(address string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[address] != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: syscall.EADDRINUSE}
	}
	l := &pipeListener{network: n, address: address, accept: make(chan net.Conn), closed: make(chan struct{})}
	n.listeners[address] = l
	return l, nil
}

type pipeListener struct {
	network *Network
	address string
	accept  chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.accept:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.network.mu.Lock()
		defer l.network.mu.Unlock()
		delete(l.network.listeners, l.address)
	})
	return nil
}

func (l *pipeListener) Addr() net.Addr { return pipeAddr(l.address) }

type pipeAddr string

func (a pipeAddr) Network() string { return "tcp" }
func (a pipeAddr) String() string  { return string(a) }
