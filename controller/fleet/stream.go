package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/shared/wire"
)

const (
	messageLimit = 8 << 20 // bytes of one batch
	batchesAhead = 4       // read before the Sink has dealt with the ones before
)

var (
	errSilent  = fmt.Errorf("no sign of life for %d s", silenceLimit/time.Second)
	errGarbled = errors.New("the agent sends what is not understood")
)

// stream is the event stream of one connection. One goroutine reads it; next
// and ack belong to the connection's owner.
type stream struct {
	link     *link
	conn     *websocket.Conn
	watchdog *time.Timer
	batches  chan []wire.Event
	failed   error // why the reader ended; read it once batches is closed
	detach   func() bool
	reader   sync.WaitGroup
}

// openStream opens the event stream. Silence on it cancels the connection. The
// caller closes it.
func (l *link) openStream(ctx context.Context, cancel context.CancelCauseFunc, epoch string, after int64) (*stream, error) {
	dialer := websocket.Dialer{NetDialTLSContext: l.dialTLS, HandshakeTimeout: callTimeout}
	query := url.Values{"epoch": {epoch}, "after": {strconv.FormatInt(after, 10)}}
	conn, answer, err := dialer.DialContext(ctx, "wss://"+l.host()+wire.PathEvents+"?"+query.Encode(), nil) //nolint:bodyclose // the dialer has read it; there is nothing to close
	if err != nil {
		if errors.Is(err, websocket.ErrBadHandshake) && answer != nil {
			return nil, refusal(answer)
		}
		return nil, fmt.Errorf("open the event stream: %w", err)
	}
	s := &stream{link: l, conn: conn, batches: make(chan []wire.Event, batchesAhead)}
	conn.SetReadLimit(messageLimit)
	conn.SetPingHandler(s.answerPing)
	s.watchdog = time.AfterFunc(silenceLimit, func() {
		cancel(errSilent)
		if t := l.fleet.tunnelOf(l.target.Node); t != nil && l.target.Tunnel { // it is as dead as what runs in it
			t.leave(websocket.CloseGoingAway, errSilent.Error())
		}
	})
	s.detach = context.AfterFunc(ctx, func() { _ = conn.Close() }) // wakes whoever reads or writes
	s.reader.Go(func() {
		defer close(s.batches)
		s.failed = s.read(ctx)
	})
	return s, nil
}

// close ends the stream and waits for its reader.
func (s *stream) close() {
	s.detach()
	_ = s.conn.Close()
	for range s.batches { // frees a reader that waits for room
	}
	s.reader.Wait()
	s.watchdog.Stop()
}

func (s *stream) alive() {
	s.watchdog.Reset(silenceLimit)
	s.link.heard()
}

func (s *stream) answerPing(data string) error {
	s.alive()
	// No deadline: a peer that takes nothing in is silent too, and the watchdog closes the connection.
	err := s.conn.WriteControl(websocket.PongMessage, []byte(data), time.Time{})
	if errors.Is(err, websocket.ErrCloseSent) {
		return nil
	}
	return err
}

// read hands batches on until the stream ends.
func (s *stream) read(ctx context.Context) error {
	for {
		_, message, err := s.conn.ReadMessage()
		if err != nil {
			return err
		}
		s.alive()
		var batch wire.EventBatch
		if err := json.Unmarshal(message, &batch); err != nil {
			return fmt.Errorf("%w: %w", errGarbled, err)
		}
		if len(batch.Events) == 0 {
			continue
		}
		if !rising(batch.Events) {
			return fmt.Errorf("%w: event numbers that don't rise", errGarbled)
		}
		s.watchdog.Stop() // while it is us who don't listen
		select {
		case s.batches <- batch.Events:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		s.watchdog.Reset(silenceLimit)
	}
}

func rising(events []wire.Event) bool {
	last := int64(0)
	for _, e := range events {
		if e.Seq <= last {
			return false
		}
		last = e.Seq
	}
	return true
}

// next waits for a batch that holds events.
func (s *stream) next(ctx context.Context) ([]wire.Event, error) {
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case batch, more := <-s.batches:
		if !more {
			return nil, s.failed
		}
		return batch, nil
	}
}

func (s *stream) ack(seq int64) error {
	return s.conn.WriteJSON(wire.Ack{Seq: seq})
}

// refusal reads the answer of an agent that did not do what it was asked.
func refusal(answer *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(answer.Body, answerLimit))
	if err != nil {
		return fmt.Errorf("read the node's refusal: %w", err)
	}
	return refused(answer.StatusCode, body)
}
