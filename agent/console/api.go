package console

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/agent/server"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	softLimit = 8 << 10 // bytes of a message
	hardLimit = 1 << 20 // who sends more at once is cut off
	mostWrong = 100     // messages in a row that are none
)

// ServeInstance answers the calls about a console; see shared/wire/console.go.
func (k *Room) ServeInstance(w http.ResponseWriter, r *http.Request, id ident.Instance, rest string) {
	if rest != "" {
		server.NoCall(w)
		return
	}
	if _, err := k.Instances.State(id); err != nil {
		server.Refuse(w, err)
		return
	}
	switch r.Method {
	case http.MethodGet:
		k.look(w, r, id)
	case http.MethodPost:
		k.post(w, r, id)
	default:
		server.WrongMethod(w, r)
	}
}

// ServeNode refuses: the node itself has no console.
func (k *Room) ServeNode(w http.ResponseWriter, _ *http.Request, _ string) { server.NoCall(w) }

// post carries out one message.
func (k *Room) post(w http.ResponseWriter, r *http.Request, id ident.Instance) {
	var in wire.ConsoleInput
	if err := server.DecodeMost(w, r, &in, softLimit); err != nil {
		server.Refuse(w, err)
		return
	}
	if err := k.of(id).carryOut(r.Context(), in); err != nil {
		server.Refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// look makes a reader of the call.
func (k *Room) look(w http.ResponseWriter, r *http.Request, id ident.Instance) {
	after, err := resume(r)
	if err != nil {
		server.Refuse(w, err)
		return
	}
	if err := k.enter(); err != nil {
		server.Refuse(w, err)
		return
	}
	defer k.leave()
	c := k.of(id)
	one := &reader{c: c, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}), room: make(chan struct{}, 1)}
	if err := c.begin(one, after, r.URL.Query().Get("record")); err != nil {
		server.Refuse(w, err)
		return
	}
	defer c.part(one)
	conn, err := k.Upgrade(w, r)
	if err != nil {
		return // it was answered
	}
	defer func() { _ = conn.Close() }()
	if one.connect(conn) {
		one.serve(r.Context())
	}
}

// resume reads after which line a stream begins; -1 when it is not said.
func resume(r *http.Request) (int64, error) {
	text := r.URL.Query().Get("after")
	if text == "" {
		return -1, nil
	}
	after, err := strconv.ParseInt(text, 10, 64)
	if err != nil || after < 0 {
		return 0, problem.Invalid("after", "must be a line's number")
	}
	return after, nil
}

// decode reads a message: one JSON object and nothing else.
func decode(kind int, message io.Reader) (in wire.ConsoleInput, err error) {
	text, err := io.ReadAll(io.LimitReader(message, softLimit+1))
	if err != nil {
		return in, problem.New(problem.BadRequest, "the message broke off")
	}
	if len(text) > softLimit {
		_, _ = io.Copy(io.Discard, message) // fails when the connection does, which the next message shows
		return in, problem.New(problem.TooLarge, "a message may be %d bytes at most", softLimit)
	}
	if kind != websocket.TextMessage {
		return in, problem.New(problem.BadRequest, "a message is text, as JSON")
	}
	if err := json.Unmarshal(text, &in); err != nil {
		return wire.ConsoleInput{}, problem.New(problem.BadRequest, "the message is not what a console takes: it is a JSON object with command or size")
	}
	return in, nil
}

// refusal is the answer to what was not carried out.
func refusal(ref string, err error) wire.ConsoleFrame {
	p := problem.From(err)
	if len(ref) > maxRef {
		ref = ""
	}
	return wire.ConsoleFrame{Error: &wire.ConsoleError{Ref: ref, Code: string(p.Code), Message: p.Message}}
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) }

// begin admits a reader and finds its place. after is -1, or of the record that is
// named, if one is.
func (c *console) begin(r *reader, after int64, record string) error {
	if err := c.admit(r); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r.next = max(c.record.first(), c.record.next-wire.ConsoleBacklog)
	if after >= 0 && after < c.record.next && (record == "" || record == c.record.about.Record) {
		r.next = after + 1
	}
	r.wants = r.next
	r.first = wire.ConsoleFrame{Record: c.record.about.Record, Last: c.record.next - 1}
	return nil
}

// serve lets the reader look on until its connection breaks.
func (r *reader) serve(ctx context.Context) {
	changed, cancel := r.c.room.Instances.Subscribe(r.c.id)
	defer cancel()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if err := r.write(r.first); err != nil {
		return
	}
	go r.send(changed)
	err := r.receive(ctx)
	if errors.Is(err, errNonsense) {
		message := websocket.FormatCloseMessage(websocket.ClosePolicyViolation, err.Error())
		_ = r.conn.WriteControl(websocket.CloseMessage, message, r.c.room.Now().Add(writeWithin))
	}
	close(r.quit)
	_ = r.conn.Close()
	<-r.done
}
