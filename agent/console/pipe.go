package console

import (
	"sync"
	"time"
)

// pipeSize is how much may wait between the one who reads from the engine and the
// one who records: what a container prints on top of it holds the container up.
const pipeSize = 2 << 20

// piece is bytes of one stream that came at about the same time.
type piece struct {
	stderr bool
	at     time.Time
	size   int
}

// pipe is what was read and not recorded yet.
type pipe struct {
	news chan struct{} // holds one when there is something to take
	room chan struct{} // holds one when there may be room again

	mu     sync.Mutex
	text   []byte
	pieces []piece
	ended  error
	came   time.Time // when something came last
}

func newPipe() *pipe {
	return &pipe{news: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// put adds what was read, and waits as long as there is no room; false once the
// pipe is closed.
func (p *pipe) put(text []byte, stderr bool, at time.Time, closed <-chan struct{}) bool {
	for {
		p.mu.Lock()
		if len(p.text) < pipeSize {
			p.text, p.came = append(p.text, text...), at
			if n := len(p.pieces) - 1; n >= 0 && p.pieces[n].stderr == stderr && at.Sub(p.pieces[n].at) < time.Millisecond {
				p.pieces[n].size += len(text)
			} else {
				p.pieces = append(p.pieces, piece{stderr, at, len(text)})
			}
			p.mu.Unlock()
			token(p.news)
			return true
		}
		p.mu.Unlock()
		select {
		case <-p.room:
		case <-closed:
			return false
		}
	}
}

// quiet gives since when nothing came; false while there is something to take.
func (p *pipe) quiet() (since time.Time, empty bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.came, len(p.text) == 0
}

// end says that nothing more will come.
func (p *pipe) end(why error) {
	p.mu.Lock()
	p.ended = why
	p.mu.Unlock()
	token(p.news)
}

// take empties the pipe; ended is set once nothing more will come. The memory of
// an earlier take may be handed back.
func (p *pipe) take(used []byte) (text []byte, pieces []piece, ended error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text, pieces, ended = p.text, p.pieces, p.ended
	if cap(used) > 8<<10 {
		used = nil // so much is for bursts only
	}
	p.text, p.pieces = used[:0], nil
	token(p.room)
	return text, pieces, ended
}

// token leaves one in a channel that holds one.
func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
