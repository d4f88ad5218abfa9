package coarse

import "crypto/tls"

// ahead is what one goroutine reads while another uses what came before.
type ahead struct {
	free chan []byte
	full chan arrived // closed after the last
	used []byte       // the buffer that rest is of
}

// arrived is what one read brought.
type arrived struct {
	in  []byte
	err error
}

// ReadAhead lets the Conn beneath a connection be read by a goroutine of its own
// where much comes, so that the kernel's buffer is emptied, and its sender goes on,
// while this side decrypts. It is called before anything reads, and is for
// connections that have no deadline for reading.
func ReadAhead(conn *tls.Conn) {
	if c, ok := conn.NetConn().(*Conn); ok {
		c.reads = true
	}
}

// readAhead begins; it goes on until little comes, a read fails, or Close.
func (c *Conn) readAhead() *ahead {
	a := &ahead{free: make(chan []byte, aheadBuffers), full: make(chan arrived, aheadBuffers)}
	for range aheadBuffers {
		a.free <- nil // made when it is needed
	}
	go func() {
		defer close(a.full)
		for {
			var in []byte
			select {
			case in = <-a.free:
			case <-c.closed:
				return
			}
			if in == nil {
				in = make([]byte, bufferSize)
			}
			n, err := c.Conn.Read(in)
			a.full <- arrived{in[:n], err} // there is room: there are no more buffers
			if err != nil || n < filled {
				return
			}
		}
	}()
	return a
}

// next waits for what was read ahead. Where that has ended without a failure, rest
// stays empty, and reading goes on as at the beginning.
func (c *Conn) next() error {
	if c.ahead.used != nil {
		c.ahead.free <- c.ahead.used[:bufferSize]
	}
	got, ok := <-c.ahead.full
	if !ok {
		c.ahead, c.stream = nil, false
		return nil
	}
	c.ahead.used, c.rest = got.in, got.in
	if len(got.in) > 0 {
		return nil // a failure that comes with bytes comes again
	}
	return got.err
}
