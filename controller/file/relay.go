package file

import (
	"errors"
	"io"
	"sync"
)

// A relay passes what is uploaded, or much that is downloaded, on: one goroutine
// fills a ring that another empties. Of an upload the handler fills it, to whom the
// body belongs; of a download it empties it. What is there is taken whenever the one
// who empties comes, however little it is; while he is busy it becomes more.
type relay struct {
	over chan struct{} // closed when nobody reads any more
	once sync.Once
	came chan struct{} // something came, or the end, since it was looked last
	went chan struct{} // some room was made since

	mu    sync.Mutex
	ring  []byte
	first int   // of what is held, which goes on at the ring's beginning
	held  int   // with what is being emptied just now
	end   error // of the source
}

const (
	relayPiece = 256 << 10 // that is emptied at once
	relayRoom  = 4 * relayPiece
	relayLeast = 32 << 10 // of a download: what is smaller is a read or two
)

var errRelayClosed = errors.New("nobody takes this any more")

// newRelay makes one for so many bytes; -1 when nobody knows.
func newRelay(size int64) *relay {
	room := int64(relayRoom)
	if size >= 0 {
		room = max(1, min(room, size))
	}
	return &relay{over: make(chan struct{}), came: make(chan struct{}, 1), went: make(chan struct{}, 1), ring: make([]byte, room)}
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
	defer r.watch(from)()
	for {
		room := r.room()
		if r.closed() {
			return errRelayClosed
		}
		if len(room) == 0 {
			select {
			case <-r.went:
			case <-r.over:
			}
			continue
		}
		n, err := from.Read(room)
		r.add(n, err)
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return nil
		case r.closed():
			return errRelayClosed
		default:
			return err
		}
	}
}

// room is where more can be put, in one piece.
func (r *relay) room() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held == 0 {
		r.first = 0 // a slow source uses the same few pages of memory
	}
	if next := r.first + r.held; next < len(r.ring) {
		return r.ring[next:]
	}
	return r.ring[r.first+r.held-len(r.ring) : r.first]
}

// add says that n bytes were put there, and how the source ended.
func (r *relay) add(n int, end error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held, r.end = r.held+n, end
	tell(r.came)
}

// tell wakes who waits, or who waits next.
func tell(who chan<- struct{}) {
	select {
	case who <- struct{}{}:
	default:
	}
}

// next waits for what is to be read, in one piece.
func (r *relay) next() ([]byte, error) {
	for {
		if r.closed() { // first: what is closed gives nothing more
			return nil, errRelayClosed
		}
		if piece, end := r.look(); len(piece) > 0 || end != nil {
			return piece, end
		}
		select {
		case <-r.came:
		case <-r.over:
		}
	}
}

// look gives what is there, in one piece; the end when there is nothing more.
func (r *relay) look() ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held == 0 {
		return nil, r.end
	}
	return r.ring[r.first:min(r.first+r.held, r.first+relayPiece, len(r.ring))], nil
}

// taken says that n bytes were read.
func (r *relay) taken(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.first, r.held = (r.first+n)%len(r.ring), r.held-n
	tell(r.went)
}

// Read gives what has come. Read and WriteTo are for one goroutine.
func (r *relay) Read(p []byte) (int, error) {
	piece, err := r.next()
	if err != nil {
		return 0, err
	}
	n := copy(p, piece)
	r.taken(n)
	return n, nil
}

// WriteTo writes all that comes, a piece at a time.
func (r *relay) WriteTo(w io.Writer) (total int64, err error) {
	for {
		piece, err := r.next()
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		n, err := w.Write(piece)
		total += int64(n)
		r.taken(n)
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
