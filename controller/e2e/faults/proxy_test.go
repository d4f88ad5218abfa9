package faults

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// weather is what a proxy does to what passes.
type weather struct {
	delay  time.Duration // each way
	stall  bool          // connections are accepted, and nothing passes
	refuse bool          // connections are reset as soon as they are made
}

// proxy hands TCP connections on, through whatever weather there is.
type proxy struct {
	listener net.Listener
	target   string

	mu      sync.Mutex
	weather weather
	changed chan struct{} // closed at each change of weather
	pairs   map[*pair]struct{}
	done    chan struct{}
	running sync.WaitGroup
}

// pair is one connection's two ends.
type pair struct {
	client net.Conn
	server net.Conn    // behind the proxy's mutex; nil until it is dialled
	halved atomic.Bool // one end is gone, and the other must not be told
}

func newProxy(listen, target string) (*proxy, error) {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: l, target: target, changed: make(chan struct{}), pairs: map[*pair]struct{}{}, done: make(chan struct{})}
	p.running.Go(p.accept)
	return p, nil
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) close() {
	close(p.done)
	_ = p.listener.Close()
	p.reset()
	p.running.Wait()
}

// set changes the weather.
func (p *proxy) set(w weather) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.weather = w
	close(p.changed)
	p.changed = make(chan struct{})
}

// reset ends all connections at once, with a reset to both sides.
func (p *proxy) reset() {
	for _, c := range p.all() {
		abort(c.client)
		abort(p.serverOf(c))
	}
}

// halve ends one side of all connections; the other is never told.
func (p *proxy) halve(client bool) {
	for _, c := range p.all() {
		c.halved.Store(true)
		if client {
			abort(c.client)
		} else {
			abort(p.serverOf(c))
		}
	}
}

// serverOf is the end that is dialled: nil while that goes on.
func (p *proxy) serverOf(c *pair) net.Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	return c.server
}

func (p *proxy) all() []*pair {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []*pair
	for c := range p.pairs {
		out = append(out, c)
	}
	return out
}

func abort(c net.Conn) {
	if c == nil {
		return
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

func (p *proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.serve(conn) })
	}
}

func (p *proxy) serve(client net.Conn) {
	c := &pair{client: client}
	p.mu.Lock()
	refuse := p.weather.refuse
	p.pairs[c] = struct{}{}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.pairs, c)
		p.mu.Unlock()
	}()
	if passed, _ := p.pass(); refuse || !passed {
		abort(client)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.target)
	cancel()
	if err != nil {
		abort(client)
		return
	}
	p.mu.Lock()
	c.server = server
	p.mu.Unlock()
	var ways sync.WaitGroup
	p.way(&ways, c, server, client)
	p.way(&ways, c, client, server)
	ways.Wait()
	_ = client.Close()
	_ = server.Close()
}

// pass waits while nothing passes, and says whether it had to; not passed says
// that the proxy ends.
func (p *proxy) pass() (passed, waited bool) {
	for {
		p.mu.Lock()
		stall, changed := p.weather.stall, p.changed
		p.mu.Unlock()
		if !stall {
			return true, waited
		}
		waited = true
		select {
		case <-changed:
		case <-p.done:
			return false, true
		}
	}
}

// parcel is what was read at once, and when it is due at the other side.
type parcel struct {
	data []byte
	due  time.Time
}

// way hands on what one side sends. An end is handed on too, unless the
// connection was halved. What is held back when its sender goes away is lost, as
// it would be with a network that is down: it must not arrive minutes later.
func (p *proxy) way(ways *sync.WaitGroup, c *pair, to, from net.Conn) {
	queue := make(chan parcel, 64)
	var gone atomic.Bool
	ways.Go(func() {
		defer close(queue)
		defer gone.Store(true)
		for {
			data := make([]byte, 32<<10)
			n, err := from.Read(data)
			if n > 0 {
				p.mu.Lock()
				due := time.Now().Add(p.weather.delay)
				p.mu.Unlock()
				queue <- parcel{data[:n], due}
			}
			if err != nil {
				return
			}
		}
	})
	ways.Go(func() {
		broken := false
		for got := range queue {
			time.Sleep(time.Until(got.due))
			if broken {
				continue // read on, so that the reader ends
			}
			passed, waited := p.pass()
			if !passed || (waited && gone.Load()) {
				broken = true
				continue
			}
			if _, err := to.Write(got.data); err != nil {
				broken = true
			}
		}
		if tcp, ok := to.(*net.TCPConn); ok && !c.halved.Load() {
			_ = tcp.CloseWrite()
		}
	})
}
