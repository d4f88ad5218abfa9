package server

import (
	"encoding/json"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	batchSize    = 100
	maxAck       = 4 << 10 // bytes of a message from the controller
	writeTimeout = 10 * time.Second
)

// stream is one connection that events are sent on.
type stream struct {
	door *Door
	conn *websocket.Conn
	sent atomic.Int64  // the last number that the controller may know
	quit chan struct{} // closed when nothing is received any more
	done chan struct{} // closed when nothing is sent any more
}

// events is GET /v1/events: it upgrades, ends the older stream and sends until
// the connection breaks.
func (d *Door) events(w http.ResponseWriter, r *http.Request) {
	after, err := d.resume(r)
	if err != nil {
		refuse(w, err)
		return
	}
	conn, err := d.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	s := &stream{door: d, conn: conn, quit: make(chan struct{}), done: make(chan struct{})}
	s.sent.Store(after)
	older, ok := d.enter(s)
	if !ok {
		s.end("the agent is being stopped")
		_ = conn.Close()
		return
	}
	defer d.streams.Done()
	if older != nil {
		older.end("a newer stream took its place")
	}
	d.Log.Info("the controller listens to events", "after", after)
	if d.Releases != nil {
		d.Releases.Listening()
	}
	go s.send()
	err = s.receive()
	close(s.quit)
	_ = conn.Close()
	<-s.done
	d.exit(s)
	d.Log.Info("the controller's event stream ended", "reason", err)
}

// resume reads from which number on the controller wants events: 0 unless it
// knows this journal.
func (d *Door) resume(r *http.Request) (int64, error) {
	query := r.URL.Query()
	text := query.Get("after")
	if text == "" {
		return 0, nil
	}
	after, err := strconv.ParseInt(text, 10, 64)
	if err != nil || after < 0 {
		return 0, problem.Invalid("after", "must be a sequence number")
	}
	if query.Get("epoch") != d.Events.Epoch() || after > d.Events.LastSeq() {
		return 0, nil
	}
	return after, nil
}

// enter makes s the current stream and gives the one that it replaces.
func (d *Door) enter(s *stream) (older *stream, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, false
	}
	older, d.current = d.current, s
	d.streams.Add(1)
	return older, true
}

func (d *Door) exit(s *stream) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.current == s {
		d.current = nil
	}
}

// end says goodbye, if the other end still listens, and breaks the reading.
func (s *stream) end(why string) {
	message := websocket.FormatCloseMessage(websocket.CloseGoingAway, why)
	_ = s.conn.WriteControl(websocket.CloseMessage, message, s.door.Now().Add(time.Second))
	_ = s.conn.NetConn().Close()
}

// send writes batches and pings until something fails; it then closes the
// connection, which ends receive.
func (s *stream) send() {
	defer close(s.done)
	defer func() { _ = s.conn.Close() }()
	ticker := time.NewTicker(s.door.Ping)
	defer ticker.Stop()
	if err := s.write(wire.EventBatch{Events: []wire.Event{}}); err != nil { // a sign of life
		return
	}
	for {
		changed := s.door.Events.Changed()
		if err := s.drain(); err != nil {
			return
		}
		select {
		case <-changed:
		case <-s.quit:
			return
		case <-ticker.C:
			if err := s.conn.WriteControl(websocket.PingMessage, nil, s.door.Now().Add(writeTimeout)); err != nil {
				return
			}
		}
	}
}

// drain sends all events that are there.
func (s *stream) drain() error {
	for {
		events, err := s.door.Events.Events(s.sent.Load(), batchSize)
		if err != nil {
			s.door.Log.Error("the events can't be read", "error", err)
			return err
		}
		if len(events) == 0 {
			return nil
		}
		s.sent.Store(events[len(events)-1].Seq) // before it is: the answer may be quick
		if err := s.write(wire.EventBatch{Events: events}); err != nil {
			return err
		}
	}
}

func (s *stream) write(batch wire.EventBatch) error {
	if err := s.conn.SetWriteDeadline(s.door.Now().Add(writeTimeout)); err != nil {
		return err
	}
	return s.conn.WriteJSON(batch)
}

// receive takes acknowledgements until the connection breaks or is silent for
// too long.
func (s *stream) receive() error {
	s.conn.SetReadLimit(maxAck)
	alive := func() error { return s.conn.SetReadDeadline(s.door.Now().Add(s.door.Patience)) }
	s.conn.SetPongHandler(func(string) error { return alive() })
	for {
		if err := alive(); err != nil {
			return err
		}
		_, text, err := s.conn.ReadMessage()
		if err != nil {
			return err
		}
		var ack wire.Ack
		if err := json.Unmarshal(text, &ack); err != nil {
			return err
		}
		if ack.Seq > s.sent.Load() || ack.Seq < 0 {
			return problem.Invalid("seq", "is not a number that was sent")
		}
		if err := s.door.Instances.Ack(ack.Seq); err != nil {
			s.door.Log.Error("the acknowledgement can't be journalled", "error", err)
			return err
		}
	}
}
