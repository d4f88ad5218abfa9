package console

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/shared/wire"
)

const (
	writeWithin = 30 * time.Second // of one message
	// gather is how long lines are waited for to go into one message, when there are
	// many. crowd is how many lines a second that is; share is how long each reader
	// lets the others wait when there are not.
	gather = 50 * time.Millisecond
	crowd  = 2000
	share  = 500 * time.Microsecond
	// fullFrame is how many lines are no longer waited with.
	fullFrame = 1500
	// frameRoom is what a frame holds beside its lines.
	frameRoom = 64
	maxOutbox = 64
)

// reader is one connection that looks on.
type reader struct {
	c    *console
	conn *websocket.Conn // set behind mu: end may come before it
	wake chan struct{}   // holds one when there may be something to send
	quit chan struct{}   // closed when nothing is received any more
	done chan struct{}   // closed when nothing is sent any more

	first wire.ConsoleFrame // what it is told first
	next  int64             // the number of the line that it gets next
	wants int64             // the same when it took lines last; behind the console's mu
	at    place             // where that is on disk, if it was read from there
	tails int64             // the tail it was told last
	tail  bool              // it shows one

	mu     sync.Mutex
	gone   bool                // end was called
	outbox []wire.ConsoleFrame // answers
	room   chan struct{}       // holds one when there may be room in it
}

func (r *reader) ring() { token(r.wake) }

// end says goodbye, if the other end still listens, and breaks the connection.
func (r *reader) end(why string) {
	r.mu.Lock()
	conn := r.conn
	r.gone = true
	r.mu.Unlock()
	if conn == nil {
		return
	}
	message := websocket.FormatCloseMessage(websocket.CloseGoingAway, why)
	_ = conn.WriteControl(websocket.CloseMessage, message, r.c.room.Now().Add(time.Second))
	_ = conn.NetConn().Close()
}

// connect gives the reader its connection; false when it was ended before.
func (r *reader) connect(conn *websocket.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conn = conn
	return !r.gone
}

// send writes until something fails; it closes the connection, which ends the
// receiving.
func (r *reader) send(changed <-chan struct{}) {
	defer close(r.done)
	defer func() { _ = r.conn.Close() }()
	ping := time.NewTicker(r.c.room.Ping)
	defer ping.Stop()
	if r.sendState() != nil {
		return
	}
	for {
		if err := r.sendAll(); err != nil {
			return
		}
		select {
		case <-r.wake:
			if !r.gather() {
				return
			}
		case <-changed:
			if r.sendState() != nil {
				return
			}
		case <-ping.C:
			if r.conn.WriteControl(websocket.PingMessage, nil, r.c.room.Now().Add(writeWithin)) != nil {
				return
			}
		case <-r.quit:
			return
		}
	}
}

// gather waits a little, so that many lines make few messages; false when the
// reader has gone.
func (r *reader) gather() bool {
	wait := r.c.pace(r.next)
	if wait <= 0 {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.quit:
		return false
	}
}

// pace is how long a reader waits before it sends, who wants a line next.
func (c *console) pace(next int64) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.record == nil || c.record.next-next > fullFrame:
		return 0
	case c.meter.perSecond(c.room.Now()) > crowd:
		return gather
	default:
		return min(gather, time.Duration(len(c.readers)-1)*share)
	}
}

// sendState tells what the instance does.
func (r *reader) sendState() error {
	state, err := r.c.room.Instances.State(r.c.id)
	if err != nil {
		r.end("the instance was removed")
		return err
	}
	return r.write(wire.ConsoleFrame{State: &state})
}

// sendAll sends what there is.
func (r *reader) sendAll() error {
	for {
		if err := r.sendAnswers(); err != nil {
			return err
		}
		more, err := r.sendLines()
		if err != nil {
			return err
		}
		if !more {
			return r.sendTail()
		}
		select {
		case <-r.quit:
			return errGone
		default:
		}
	}
}

var errGone = errors.New("the reader has gone")

func (r *reader) sendAnswers() error {
	r.mu.Lock()
	waiting := r.outbox
	r.outbox = nil
	r.mu.Unlock()
	if len(waiting) == 0 {
		return nil
	}
	token(r.room)
	for _, f := range waiting {
		if err := r.write(f); err != nil {
			return err
		}
	}
	return nil
}

// sendLines sends one frame of lines, or of what was missed; false when there is
// nothing to send.
func (r *reader) sendLines() (bool, error) {
	found, missed, err := r.c.take(r)
	if err != nil {
		return false, err
	}
	if missed != nil {
		r.next = missed.To + 1
		return true, r.write(wire.ConsoleFrame{Missed: missed})
	}
	if len(found) == 0 {
		return false, nil
	}
	if err := r.conn.SetWriteDeadline(r.c.room.Now().Add(writeWithin)); err != nil {
		return false, err
	}
	w, err := r.conn.NextWriter(websocket.TextMessage)
	if err != nil {
		return false, err
	}
	if _, err := w.Write([]byte(`{"lines":[`)); err != nil {
		return false, err
	}
	left := wire.ConsoleFrameMax - frameRoom
	for i, c := range found {
		text, last := c.from(r.next, left)
		if last == 0 || i > 0 && len(text) > left {
			break
		}
		if i > 0 {
			if _, err := w.Write([]byte{','}); err != nil {
				return false, err
			}
		}
		if _, err := w.Write(text); err != nil {
			return false, err
		}
		left -= len(text) + 1
		r.next, r.tail = last+1, false
		if last < c.last() {
			break
		}
	}
	if _, err := w.Write([]byte(`]}`)); err != nil {
		return false, err
	}
	return true, w.Close()
}

// sendTail tells what has no end yet, if it is another one.
func (r *reader) sendTail() error {
	r.c.mu.Lock()
	text, tails, behind := r.c.tail, r.c.tails, r.c.record != nil && r.next < r.c.record.next
	r.c.mu.Unlock()
	if behind || tails == r.tails {
		return nil // lines first: the wake that came with them is still there
	}
	r.tails = tails
	if text == "" && !r.tail {
		return nil
	}
	r.tail = text != ""
	return r.write(wire.ConsoleFrame{Tail: &text})
}

func (r *reader) write(f wire.ConsoleFrame) error {
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	if err := r.conn.SetWriteDeadline(r.c.room.Now().Add(writeWithin)); err != nil {
		return err
	}
	return r.conn.WriteMessage(websocket.TextMessage, text)
}

// answer puts an answer into the outbox. A reader that takes none is waited for,
// which holds up its own messages only; false when it has gone.
func (r *reader) answer(f wire.ConsoleFrame) bool {
	for {
		r.mu.Lock()
		if len(r.outbox) < maxOutbox {
			r.outbox = append(r.outbox, f)
			r.mu.Unlock()
			r.ring()
			return true
		}
		r.mu.Unlock()
		select {
		case <-r.room:
		case <-r.done:
			return false
		}
	}
}

// mostChunks is how many chunks are handed out at a time: enough for a frame of
// short lines.
const mostChunks = 64

// take gives lines from the reader's place on: those in memory, or else some from
// the files. missed are lines that are gone.
func (c *console) take(r *reader) ([]*chunk, *wire.ConsoleMissed, error) {
	for {
		c.mu.Lock()
		if c.record == nil {
			c.mu.Unlock()
			return nil, nil, errRemoved
		}
		r.wants = r.next
		end, first := c.record.next, c.record.first()
		if r.next >= end {
			c.mu.Unlock()
			return nil, nil, nil
		}
		if i := c.inMemory(r.next); i >= 0 {
			found := c.recent[i:min(len(c.recent), i+mostChunks):len(c.recent)]
			c.mu.Unlock()
			return found, nil, nil
		}
		segment, behind, ok := c.record.holder(r.next)
		if len(c.recent) > 0 {
			behind = min(behind, c.recent[0].first())
		}
		c.mu.Unlock()
		if !ok || r.next < first {
			return nil, &wire.ConsoleMissed{From: r.next, To: landing(first, end) - 1}, nil
		}
		found, err := c.fromDisk(r, segment, behind-1)
		switch {
		case errors.Is(err, os.ErrNotExist): // dropped meanwhile
			continue
		case err != nil:
			return nil, nil, err
		case found == nil: // never written: the disk was full
			return nil, &wire.ConsoleMissed{From: r.next, To: behind - 1}, nil
		}
		return found, nil, nil
	}
}

// landing is where a reader goes on whose next line is gone, of the lines from first
// up to end. Not at the oldest there is: who is so late would lose that, too. A
// quarter of what is kept is a lead that he can keep if he was held up only once.
func landing(first, end int64) int64 {
	return max(first, min(end-wire.ConsoleBacklog, first+(end-first)/4))
}

// inMemory finds the chunk that a line is in; the caller holds mu.
func (c *console) inMemory(seq int64) int {
	if len(c.recent) == 0 || seq < c.recent[0].first() {
		return -1
	}
	low, high := 0, len(c.recent)-1
	for low < high {
		middle := (low + high + 1) / 2
		if c.recent[middle].first() <= seq {
			low = middle
		} else {
			high = middle - 1
		}
	}
	return low
}

func (c *console) fromDisk(r *reader, segment, until int64) ([]*chunk, error) {
	at := r.at
	if at.segment != segment || at.seq != r.next {
		var err error
		if at, err = seek(c.dir, segment, r.next); err != nil {
			if isEOF(err) {
				return nil, nil
			}
			return nil, err
		}
	}
	lines, next, err := readLines(c.dir, at, until, chunkBytes)
	if err != nil || len(lines) == 0 {
		return nil, err
	}
	// A frame may hold less than was read; then the place is found anew.
	r.at = next
	return chunks(lines), nil
}

// receive carries out what the other end says, until the connection breaks or is
// silent for too long.
func (r *reader) receive(ctx context.Context) error {
	r.conn.SetReadLimit(hardLimit)
	alive := func() error { return r.conn.SetReadDeadline(r.c.room.Now().Add(r.c.room.Patience)) }
	r.conn.SetPongHandler(func(string) error { return alive() })
	for wrong := 0; wrong < mostWrong; {
		if err := alive(); err != nil {
			return err
		}
		kind, message, err := r.conn.NextReader()
		if err != nil {
			return err
		}
		in, err := decode(kind, message)
		if err == nil {
			err = r.c.carryOut(ctx, in)
			wrong = 0
		} else {
			wrong++
		}
		frame := wire.ConsoleFrame{Done: in.Ref}
		if err != nil {
			frame = refusal(in.Ref, err)
		} else if in.Ref == "" {
			continue
		}
		if !r.answer(frame) {
			return errGone
		}
	}
	return errNonsense
}

var errNonsense = errors.New("too many messages in a row that are none")
