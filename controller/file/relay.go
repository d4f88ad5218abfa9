package file

import (
	"errors"
	"io"
	"sync"
)

// A relay passes what is uploaded, or much that is downloaded, on in large pieces:
// one goroutine fills buffers that another empties. Of an upload the handler fills
// them, to whom the body belongs; of a download it empties them. It holds relayBuffers
// of relaySize at most.
type relay struct {
	free  chan []byte
	full  chan []byte
	over  chan struct{} // closed when nobody reads any more
	once  sync.Once
	err   error  // of the source, once full is closed
	left  []byte // of the buffer being read
	whole []byte
}

const (
	relaySize    = 256 << 10
	relayBuffers = 4
)

var errRelayClosed = errors.New("nobody takes this any more")

func newRelay() *relay {
	r := &relay{free: make(chan []byte, relayBuffers), full: make(chan []byte, relayBuffers), over: make(chan struct{})}
	for range relayBuffers {
		r.free <- nil // made when it is needed: small files need one
	}
	return r
}

// interruptible is a source whose Read can be ended by another goroutine.
type interruptible interface{ Interrupt() }

// watch interrupts a source that waits when nobody wants it any more, until the
// function that it gives has returned.
func (r *relay) watch(from io.Reader) (stop func()) {
	source, ok := from.(interruptible)
	if !ok {
		return func() {}
	}
	filled, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-r.over:
			source.Interrupt()
		case <-filled:
		}
	}()
	return func() {
		close(filled)
		<-watched
	}
}

// closed says whether nobody reads any more.
func (r *relay) closed() bool {
	select {
	case <-r.over:
		return true
	default:
		return false
	}
}

// fill reads from until its end, or until the relay is closed. It is called once.
func (r *relay) fill(from io.Reader) error {
	defer close(r.full)
	defer r.watch(from)()
	for {
		var b []byte
		select {
		case b = <-r.free:
		case <-r.over:
			return errRelayClosed
		}
		if b == nil {
			b = make([]byte, relaySize)
		}
		n, err := readSome(from, b[:relaySize])
		if n > 0 {
			select {
			case r.full <- b[:n]:
			case <-r.over:
				return errRelayClosed
			}
		}
		if err != nil {
			switch {
			case errors.Is(err, io.EOF):
				return nil
			case r.closed():
				return errRelayClosed
			}
			r.err = err
			return err
		}
	}
}

// readSome reads until the buffer is mostly full, so that a source that gives
// little at a time doesn't make for little pieces. A small piece ends it; behind a
// large one it waits for the next: of a source that pauses there, up to half a
// buffer is passed on when it goes on.
func readSome(from io.Reader, b []byte) (n int, err error) {
	for n < (len(b)+1)/2 && err == nil {
		var got int
		got, err = from.Read(b[n:])
		n += got
		if got < 8<<10 {
			break
		}
	}
	return n, err
}

// next has a buffer to be read, or says why there is none.
func (r *relay) next() error {
	if len(r.left) > 0 {
		return nil
	}
	if r.whole != nil {
		r.free <- r.whole[:cap(r.whole)]
		r.whole = nil
	}
	select { // first: what is closed gives nothing more
	case <-r.over:
		return errRelayClosed
	default:
	}
	select {
	case b, ok := <-r.full:
		if !ok {
			if r.err != nil {
				return r.err
			}
			return io.EOF
		}
		r.whole, r.left = b, b
		return nil
	case <-r.over:
		return errRelayClosed
	}
}

// Read gives what has come. Read and WriteTo are for one goroutine.
func (r *relay) Read(p []byte) (int, error) {
	if err := r.next(); err != nil {
		return 0, err
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

// WriteTo writes all that comes, a buffer at a time.
func (r *relay) WriteTo(w io.Writer) (total int64, err error) {
	for {
		if err := r.next(); err != nil {
			if errors.Is(err, io.EOF) {
				return total, nil
			}
			return total, err
		}
		n, err := w.Write(r.left)
		total += int64(n)
		r.left = r.left[n:]
		if err != nil {
			return total, err
		}
	}
}

// Close ends it from the reader's side; it may be called again.
func (r *relay) Close() error {
	r.once.Do(func() { close(r.over) })
	return nil
}
