package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// A tunnel is a WebSocket that the agent opens at PathTunnel. Its binary
// messages, one after the other, are one stream of bytes; on that runs yamux,
// the agent as its server. The controller opens a stream for each connection
// that it would else have dialled, and on it is TLS as on any other connection.
// The agent never opens one.

// The clock of a tunnel, the same at both ends: a dead one is known within 15 s.
const (
	TunnelAlive  = 5 * time.Second // between signs of life
	TunnelWithin = 9 * time.Second // to answer one, and to get a frame out
	TunnelWindow = 512 << 10       // bytes of a stream that may be on their way
)

// Why the controller closes a tunnel: status codes of the WebSocket. Others are
// no more than the end of it.
const (
	TunnelReplaced = 4001 // a newer tunnel of the same node took its place: this agent stays away for long
	TunnelRefused  = 4002 // what the agent showed is not let in; the text says why
)

// binaryMessage is the type of a WebSocket message that holds bytes.
const binaryMessage = 2

// Messages is what a tunnel needs of a WebSocket.
type Messages interface {
	NextReader() (kind int, r io.Reader, err error)
	WriteMessage(kind int, data []byte) error
	Close() error
	LocalAddr() net.Addr
	RemoteAddr() net.Addr
}

// TunnelConn is a WebSocket as a stream of bytes for yamux. It refuses what an
// honest other end never sends. One goroutine may read while another writes;
// Close and Err may be called by any.
type TunnelConn struct {
	messages Messages
	reader   io.Reader // of the message that is being read
	frames   frames

	mu  sync.Mutex
	err error // the first that reading gave
}

// NewTunnelConn wraps a WebSocket. peerOpens says whether the other end may open
// streams; now is the clock.
func NewTunnelConn(messages Messages, peerOpens bool, now func() time.Time) *TunnelConn {
	return &TunnelConn{messages: messages, frames: frames{opens: peerOpens, now: now, pings: pingsAtOnce}}
}

// Read gives the next bytes.
func (c *TunnelConn) Read(p []byte) (int, error) {
	n, err := c.read(p)
	if err == nil {
		err = c.frames.see(p[:n])
	}
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.err == nil {
			c.err = err
		}
		return 0, err
	}
	return n, nil
}

func (c *TunnelConn) read(p []byte) (int, error) {
	for len(p) > 0 {
		if c.reader == nil {
			kind, r, err := c.messages.NextReader()
			if err != nil {
				return 0, err
			}
			if kind != binaryMessage {
				return 0, fmt.Errorf("%w: a message of type %d", ErrTunnelAbused, kind)
			}
			c.reader = r
		}
		n, err := c.reader.Read(p)
		if errors.Is(err, io.EOF) { // of the message
			c.reader, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, nil
}

// Write sends p as one message.
func (c *TunnelConn) Write(p []byte) (int, error) {
	if err := c.messages.WriteMessage(binaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Err is why reading ended; nil while it goes on. It holds what the other end
// gave as the reason.
func (c *TunnelConn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the connection under it; whoever reads or writes is woken.
func (c *TunnelConn) Close() error { return c.messages.Close() }

// LocalAddr is the address at this end.
func (c *TunnelConn) LocalAddr() net.Addr { return c.messages.LocalAddr() }

// RemoteAddr is the address at the other end.
func (c *TunnelConn) RemoteAddr() net.Addr { return c.messages.RemoteAddr() }

// ErrTunnelAbused is about an other end that sends what none of ours does.
var ErrTunnelAbused = errors.New("the other end of the tunnel does not keep to its language")

// What of a yamux frame is looked at.
const (
	frameHeader = 12
	frameData   = 0
	framePing   = 2
	frameGoAway = 3
	flagOpens   = 1 // of a stream; of a ping: it wants an answer
)

// yamux answers each ping on a goroutine of its own, so they are counted: an
// honest end sends one in TunnelAlive.
const (
	pingsAtOnce = 16
	pingEvery   = time.Second // so much later one more is allowed
)

// frames follows the frames in a stream of bytes, to see what yamux itself
// would let an other end do.
type frames struct {
	opens  bool
	now    func() time.Time
	header [frameHeader]byte
	have   int    // bytes of the header
	skip   uint32 // bytes of the frame's body that are still to come
	pings  int    // that may come now
	pinged time.Time
}

func (f *frames) see(p []byte) error {
	for len(p) > 0 {
		if f.skip > 0 {
			n := min(uint64(f.skip), uint64(len(p)))
			f.skip -= uint32(n) //nolint:gosec // n is at most skip
			p = p[n:]
			continue
		}
		n := copy(f.header[f.have:], p)
		f.have, p = f.have+n, p[n:]
		if f.have == frameHeader {
			f.have = 0
			if err := f.check(); err != nil {
				return err
			}
		}
	}
	return nil
}

// check looks at a header: version, type, flags (2 bytes), stream (4), length (4).
func (f *frames) check() error {
	version, kind := f.header[0], f.header[1]
	asks := binary.BigEndian.Uint16(f.header[2:4])&flagOpens != 0
	switch {
	case version != 0 || kind > frameGoAway:
		return fmt.Errorf("%w: a frame of version %d and type %d", ErrTunnelAbused, version, kind)
	case kind == framePing && asks:
		return f.ping()
	case kind < framePing && asks && !f.opens:
		return fmt.Errorf("%w: it opens a stream", ErrTunnelAbused)
	case kind == frameData:
		f.skip = binary.BigEndian.Uint32(f.header[8:12])
	}
	return nil
}

func (f *frames) ping() error {
	now := f.now()
	if earned := int(now.Sub(f.pinged) / pingEvery); earned > 0 || f.pinged.IsZero() {
		f.pings, f.pinged = min(pingsAtOnce, f.pings+max(earned, 0)), now
	}
	if f.pings == 0 {
		return fmt.Errorf("%w: too many pings", ErrTunnelAbused)
	}
	f.pings--
	return nil
}

// TunnelStream gives a stream of yamux what any other connection has: a Close
// that wakes whoever reads, and deadlines whose errors are temporary, without
// which TLS would take the first of them for the connection's end.
func TunnelStream(stream net.Conn) net.Conn { return tunnelStream{stream} }

type tunnelStream struct{ net.Conn }

// Read is the stream's.
func (s tunnelStream) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	return n, temporary(err)
}

// Write is the stream's.
func (s tunnelStream) Write(p []byte) (int, error) {
	n, err := s.Conn.Write(p)
	return n, temporary(err)
}

func temporary(err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return os.ErrDeadlineExceeded
	}
	return err
}

// Close ends the stream at this end.
func (s tunnelStream) Close() error {
	_ = s.SetDeadline(time.Unix(1, 0)) // long ago
	return s.Conn.Close()
}
