package coarse

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
)

const (
	bufferSize = 256 << 10
	// holdSize is what becomes of as much when TLS has made records of it: 22 bytes
	// more for each, and the last that isn't full.
	holdSize = bufferSize + 17*32
	// Worth is from how many bytes on a write is worth to be held.
	Worth = 32 << 10
	// filled is from how many bytes on a read tells of a stream, half a record of TLS:
	// a handshake fills small ones, and a thousand idle connections would keep buffers.
	filled = 8 << 10
	// aheadBuffers are one that is used, and those that are filled meanwhile.
	aheadBuffers = 4
)

// Conn is a raw connection, to be given to crypto/tls. As with any net.Conn, one
// goroutine may read while another writes; Close may be called at any time.
type Conn struct {
	net.Conn

	// For the one who reads.
	in     []byte // nil unless much comes
	rest   []byte // of in, not given yet
	stream bool   // the last read brought all that was asked for
	reads  bool   // ahead, where much comes
	ahead  *ahead // nil unless much comes

	once   sync.Once
	closed chan struct{}

	mu   sync.Mutex
	held bool
	out  []byte // what is held; its memory stays until something small is written
}

// New makes a Conn of a raw connection.
func New(raw net.Conn) *Conn { return &Conn{Conn: raw, closed: make(chan struct{})} }

// Close ends the connection, and what is read ahead.
func (c *Conn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// Read gives what has come. Where reads are filled, more is taken at once.
func (c *Conn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 && c.ahead != nil {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	if len(c.rest) == 0 {
		if c.stream && c.reads {
			c.in, c.ahead = nil, c.readAhead()
			return c.Read(p)
		}
		if !c.stream || len(p) >= bufferSize {
			c.in = nil
			n, err := c.Conn.Read(p)
			c.stream = n >= filled && n == len(p)
			return n, err
		}
		if c.in == nil {
			c.in = make([]byte, bufferSize)
		}
		n, err := c.Conn.Read(c.in)
		c.stream, c.rest = n >= filled, c.in[:n]
		if n == 0 {
			return 0, err // one that comes with bytes comes again
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// Hold collects what is written from now on, until Release. No other goroutine
// may write meanwhile what isn't to be held with it.
func (c *Conn) Hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = true
}

// Release writes what was held.
func (c *Conn) Release() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = false
	return c.flush()
}

// flush needs the lock.
func (c *Conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.Conn.Write(c.out)
	c.out = c.out[:0]
	return err
}

// Write writes, or holds.
func (c *Conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.out)+len(p) > holdSize {
		if err := c.flush(); err != nil {
			return 0, err
		}
	}
	if !c.held || len(p) > holdSize {
		c.out = nil
		return c.Conn.Write(p)
	}
	if c.out == nil {
		c.out = make([]byte, 0, holdSize)
	}
	c.out = append(c.out, p...)
	return len(p), nil
}

// Held is a TLS connection on a Conn whose large writes are held, each by itself.
type Held struct {
	*tls.Conn
	raw *Conn
}

// Hold makes a Held of a connection; one that is on no Conn stays as it is.
func Hold(conn *tls.Conn) net.Conn {
	if raw, ok := conn.NetConn().(*Conn); ok {
		return &Held{conn, raw}
	}
	return conn
}

func (h *Held) Write(p []byte) (int, error) {
	return Write(h.raw, p, h.Conn.Write)
}

// ReadFrom writes all of a reader in pieces as large as it gives them: io.Copy, which
// net/http sends a body with, would make them small. One that writes itself does,
// so that nothing is copied on the way.
func (h *Held) ReadFrom(from io.Reader) (int64, error) {
	size := int64(bufferSize)
	if l, ok := from.(*io.LimitedReader); ok {
		if whole, ok := l.R.(io.WriterTo); ok {
			n, err := whole.WriteTo(&limited{h, l.N})
			l.N -= n
			if errors.Is(err, errLimited) {
				err = nil // as a LimitedReader's end
			}
			return n, err
		}
		size = max(1, min(size, l.N))
	}
	return io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{from}, make([]byte, size))
}

// limited writes no more than left.
type limited struct {
	to   io.Writer
	left int64
}

var errLimited = errors.New("there is more than was to be written")

func (l *limited) Write(p []byte) (int, error) {
	most := min(int64(len(p)), l.left)
	n, err := l.to.Write(p[:most])
	l.left -= int64(n)
	if err == nil && n < len(p) {
		err = errLimited
	}
	return n, err
}

// Write is write, with all that it writes to c beneath it in few pieces. c may be
// nil.
func Write(c *Conn, p []byte, write func([]byte) (int, error)) (int, error) {
	if c == nil || len(p) < Worth {
		return write(p)
	}
	c.Hold()
	n, err := write(p)
	if failed := c.Release(); err == nil && failed != nil {
		return 0, failed
	}
	return n, err
}

type key struct{}

// With keeps the Conn that a TLS connection is on in a context, as a server's
// ConnContext.
func With(ctx context.Context, conn net.Conn) context.Context {
	if secure, ok := conn.(*tls.Conn); ok {
		if raw, ok := secure.NetConn().(*Conn); ok {
			return context.WithValue(ctx, key{}, raw)
		}
	}
	return ctx
}

// From is what With kept; nil when there is none.
func From(ctx context.Context) *Conn {
	c, _ := ctx.Value(key{}).(*Conn)
	return c
}

// Listen makes a Conn of each connection that comes.
func Listen(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return New(raw), nil
}
