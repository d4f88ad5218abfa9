package fleettest

import (
	"net"
	"sync"
	"time"
)

// longAgo is a deadline that wakes whoever waits.
var longAgo = time.Unix(1, 0)

// pipe makes a connection whose faults the network decides. dialler says that the
// agent is who dials.
func (n *Network) pipe(dialler bool) (mine, theirs net.Conn) {
	a, b := net.Pipe()
	mine = &faulty{Conn: a, network: n, agent: dialler, closed: make(chan struct{})}
	theirs = &faulty{Conn: b, network: n, agent: !dialler, closed: make(chan struct{})}
	return mine, theirs
}

// Swallow has everything that is sent vanish, as on a half-open connection: who
// sends is told nothing, and nobody hears anything. New connections hang too.
func (n *Network) Swallow(swallow bool) {
	n.BlackHole(swallow)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.swallow = swallow
	if !swallow {
		for _, conn := range n.owed {
			_ = conn.Close()
		}
		n.owed = nil
	}
}

// Freeze stops the agents where they are, as SIGSTOP does: their connections
// stand, and they take nothing in.
func (n *Network) Freeze() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.frozen = make(chan struct{})
}

// Thaw has them go on.
func (n *Network) Thaw() {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.frozen)
	n.frozen = nil
}

func (n *Network) faults() (swallow bool, frozen chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.swallow, n.frozen
}

// faulty is one end of a connection.
type faulty struct {
	net.Conn
	network *Network
	agent   bool
	closed  chan struct{}
	once    sync.Once
}

// thawed waits while this end is an agent's and frozen.
func (c *faulty) thawed() {
	for c.agent {
		_, frozen := c.network.faults()
		if frozen == nil {
			return
		}
		select {
		case <-frozen:
		case <-c.closed:
			return
		}
	}
}

// Read reads, unless the agent is frozen.
func (c *faulty) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.thawed()
	return n, err
}

// Write writes, unless it is swallowed or the agent is frozen.
func (c *faulty) Write(p []byte) (int, error) {
	c.thawed()
	if swallow, _ := c.network.faults(); swallow {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// Close ends the connection; while everything is swallowed the other end hears
// nothing of it.
func (c *faulty) Close() error {
	c.once.Do(func() { close(c.closed) })
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	if c.network.swallow { // told when packets get through again
		c.network.owed = append(c.network.owed, c.Conn)
		return c.SetDeadline(longAgo)
	}
	return c.Conn.Close()
}
