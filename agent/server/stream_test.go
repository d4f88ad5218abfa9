package server

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/agent/journal"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

func (b *bundle) emit(n int) {
	b.t.Helper()
	for range n {
		e := wire.Event{At: time.Now(), Type: wire.EventState, Instance: "0123abcd", Generation: 1, State: &wire.State{}}
		if err := b.journal.Write(journal.Change{Events: []wire.Event{e}}); err != nil {
			b.t.Fatal(err)
		}
	}
}

// listener is the controller's end of a stream.
type listener struct {
	t    *testing.T
	conn *websocket.Conn
}

func (b *bundle) listen(query string) *listener {
	b.t.Helper()
	dialer := websocket.Dialer{TLSClientConfig: b.ca.clientConfig(&b.own), HandshakeTimeout: patience}
	conn, answer, err := dialer.DialContext(b.t.Context(), "wss://"+b.addr+wire.PathEvents+query, nil)
	if err != nil {
		b.t.Fatalf("%v (%v)", err, answer)
	}
	b.t.Cleanup(func() { _ = conn.Close() })
	l := &listener{t: b.t, conn: conn}
	if first := l.batch(); len(first) != 0 {
		b.t.Fatalf("the first message is no sign of life but %d events", len(first))
	}
	return l
}

func (l *listener) batch() []wire.Event {
	l.t.Helper()
	var batch wire.EventBatch
	if err := l.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		l.t.Fatal(err)
	}
	if err := l.conn.ReadJSON(&batch); err != nil {
		l.t.Fatal(err)
	}
	return batch.Events
}

// expect reads events until it has those from one number to another, in order.
func (l *listener) expect(from, to int64) {
	l.t.Helper()
	for next := from; next <= to; {
		events := l.batch()
		if len(events) == 0 || len(events) > 100 {
			l.t.Fatalf("a batch of %d", len(events))
		}
		for _, e := range events {
			if e.Seq != next {
				l.t.Fatalf("event %d came, want %d", e.Seq, next)
			}
			next++
		}
	}
}

func (l *listener) ack(seq int64) {
	l.t.Helper()
	if err := l.conn.WriteJSON(wire.Ack{Seq: seq}); err != nil {
		l.t.Fatal(err)
	}
}

// ended reads until the connection ends and says how.
func (l *listener) ended() error {
	l.t.Helper()
	if err := l.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		l.t.Fatal(err)
	}
	for {
		if _, _, err := l.conn.ReadMessage(); err != nil {
			var late net.Error
			if errors.As(err, &late) && late.Timeout() {
				l.t.Fatal("the stream was not ended")
			}
			return err
		}
	}
}

func (b *bundle) kept() int {
	b.t.Helper()
	events, err := b.journal.Events(0, 1<<20)
	if err != nil {
		b.t.Fatal(err)
	}
	return len(events)
}

func (b *bundle) eventually(what string, ok func() bool) {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			b.t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestStreamSendsWhatIsKeptAndWhatComes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.emit(250)
	l := b.listen("")
	l.expect(1, 250)
	b.emit(3)
	l.expect(251, 253)
	l.ack(100)
	b.eventually("100 events are forgotten", func() bool { return b.kept() == 153 })
	_ = l.conn.Close() // without a word

	l = b.listen(fmt.Sprintf("?epoch=%s&after=200", b.journal.Epoch()))
	l.expect(201, 253)
	l.ack(253)
	b.eventually("all are forgotten", func() bool { return b.kept() == 0 })
}

func TestStreamOfAnotherEpochBeginsAtTheBeginning(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.emit(5)
	for _, query := range []string{"?epoch=other&after=3", "?after=3", "?epoch=" + b.journal.Epoch() + "&after=99"} {
		b.listen(query).expect(1, 5)
	}
	b.listen("?epoch="+b.journal.Epoch()+"&after=3").expect(4, 5)
}

func TestNewestStreamReplacesTheOlder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.emit(1)
	older := b.listen("")
	older.expect(1, 1)
	newer := b.listen("")
	newer.expect(1, 1)
	if err := older.ended(); !websocket.IsCloseError(err, websocket.CloseGoingAway) {
		t.Errorf("the older one ended with %v", err)
	}
	b.emit(1)
	newer.expect(2, 2)
}

func TestStreamEndsWhenTheControllerTalksNonsense(t *testing.T) {
	t.Parallel()
	for name, say := range map[string]func(c *websocket.Conn) error{
		"not JSON":     func(c *websocket.Conn) error { return c.WriteMessage(websocket.TextMessage, []byte("hello")) },
		"wrong type":   func(c *websocket.Conn) error { return c.WriteMessage(websocket.TextMessage, []byte(`{"seq":"1"}`)) },
		"the future":   func(c *websocket.Conn) error { return c.WriteJSON(wire.Ack{Seq: 99}) },
		"the negative": func(c *websocket.Conn) error { return c.WriteJSON(wire.Ack{Seq: -1}) },
		"too long":     func(c *websocket.Conn) error { return c.WriteMessage(websocket.TextMessage, make([]byte, 5<<10)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.emit(2)
			l := b.listen("")
			if err := say(l.conn); err != nil {
				t.Fatal(err)
			}
			_ = l.ended()
			if b.kept() != 2 {
				t.Error("events were forgotten")
			}
			b.listen("").expect(1, 2)
		})
	}
}

func TestStreamEndsWhenTheJournalCannotForget(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.instances.acked = func(int64) error { return errors.New("no space left on device") }
	b.emit(1)
	l := b.listen("")
	l.expect(1, 1)
	l.ack(1)
	_ = l.ended()
}

func TestStreamThatStaysSilentIsEnded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.door.Patience = 200 * time.Millisecond
	l := b.listen("")
	l.conn.SetPingHandler(func(string) error { return nil }) // no answer to pings
	_ = l.ended()
}

func TestStreamThatAnswersPingsLives(t *testing.T) {
	t.Parallel()
	b := setup(t)
	l := b.listen("")
	pings := 0
	answer := l.conn.PingHandler()
	l.conn.SetPingHandler(func(data string) error {
		pings++
		if pings == 5 {
			b.emit(1)
		}
		return answer(data)
	})
	l.expect(1, 1)
	if pings < 5 {
		t.Errorf("%d pings", pings)
	}
}

func TestCloseEndsTheStreamAndRefusesNewOnes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	l := b.listen("")
	b.door.Close()
	if err := l.ended(); !websocket.IsCloseError(err, websocket.CloseGoingAway) {
		t.Errorf("it ended with %v", err)
	}
	dialer := websocket.Dialer{TLSClientConfig: b.ca.clientConfig(&b.own)}
	conn, _, err := dialer.DialContext(t.Context(), "wss://"+b.addr+wire.PathEvents, nil)
	if err != nil {
		return // refused before it began: as good
	}
	defer func() { _ = conn.Close() }()
	_ = (&listener{t: t, conn: conn}).ended()
}

func TestBrowsersAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dialer := websocket.Dialer{TLSClientConfig: b.ca.clientConfig(&b.own)}
	conn, answer, err := dialer.DialContext(t.Context(), "wss://"+b.addr+wire.PathEvents, http.Header{"Origin": {"https://evil.example"}})
	if err == nil {
		_ = conn.Close()
		t.Fatal("a browser listens")
	}
	if answer == nil || answer.StatusCode != http.StatusBadRequest {
		t.Errorf("the answer is %v", answer)
	}
}

func TestProgressThatWasReplacedLeavesAGap(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 3 {
		e := wire.Event{At: time.Now(), Type: wire.EventProgress, Instance: ident.Instance("0123abcd"), Progress: &wire.Progress{Percent: i}}
		if err := b.journal.Write(journal.Change{Events: []wire.Event{e}}); err != nil {
			t.Fatal(err)
		}
	}
	if events := b.listen("").batch(); len(events) != 1 || events[0].Seq != 3 {
		t.Errorf("events %+v", events)
	}
}
