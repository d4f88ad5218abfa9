package console

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/time/rate"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/grant"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// ask is a message of a client.
type ask struct {
	Type    string        `json:"type"`
	Ref     string        `json:"ref"`
	Ticket  string        `json:"ticket"`
	Key     string        `json:"key"`
	Command *string       `json:"command"`
	Rows    uint16        `json:"rows"`
	Columns uint16        `json:"columns"`
	Verb    instance.Verb `json:"verb"`
}

// tell is a message to a client, but for lines.
type tell struct {
	Type    string       `json:"type"`
	Ref     string       `json:"ref,omitempty"`
	Record  string       `json:"record,omitempty"`
	From    int64        `json:"from,omitempty"`
	To      int64        `json:"to,omitempty"`
	Text    *string      `json:"text,omitempty"`
	Job     ident.Job    `json:"job,omitempty"`
	Code    problem.Code `json:"code,omitempty"`
	Message string       `json:"message,omitempty"`
}

type tellState struct {
	Type string `json:"type"`
	State
}

// client is one WebSocket.
type client struct {
	service *Service
	conn    *websocket.Conn
	id      ident.Instance
	guest   *grant.Guest
	caller  access.Caller // once he has said who he is
	from    From
	view    *View
	answers chan tell // to what he asked
	limit   *rate.Limiter
}

// serve is the socket's life.
func (c *client) serve(ctx context.Context) {
	c.conn.SetReadLimit(messageMost)
	if err := c.guest.Introduce(ctx, c.conn); err != nil {
		c.goodbye(err)
		return
	}
	c.caller = c.guest.Caller
	held, release, err := c.service.Grants.Hold(ctx, c.caller, c.id, access.ReadConsole)
	if err != nil {
		c.goodbye(err)
		return
	}
	defer release()
	c.attend(held)
}

// attend reads and writes until either ends, or the right.
func (c *client) attend(held context.Context) {
	c.view = c.service.Open(held, c.id, c.from)
	defer c.view.Close()
	ctx, cancel := context.WithCancelCause(held)
	defer cancel(nil)
	// A write that is stuck ends soon after the right has.
	defer context.AfterFunc(ctx, func() { _ = c.conn.NetConn().SetWriteDeadline(soon(time.Second)) })()
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		cancel(c.read(ctx))
	}()
	news := make(chan Batch)
	following := make(chan struct{})
	go func() {
		defer close(following)
		c.follow(ctx, news)
	}()
	cancel(c.write(ctx, news))
	<-following
	c.goodbye(ending(held, context.Cause(ctx)))
	_ = c.conn.Close()
	<-reading
}

// ending is why a socket ended, for its client: nil when he did it.
func ending(held context.Context, cause error) error {
	if held.Err() == nil {
		return cause
	}
	return grant.Reason(held)
}

// errLeft says that the client is gone, or can't be reached.
var errLeft = grant.ErrLeft

// next reads a message. What is wrong with it is a problem; errLeft is the end.
func (c *client) next() (ask, error) {
	kind, r, err := c.conn.NextReader()
	if err != nil {
		return ask{}, errLeft
	}
	text, err := io.ReadAll(io.LimitReader(r, messageLimit+1))
	if err != nil {
		return ask{}, errLeft
	}
	if len(text) > messageLimit {
		if _, err := io.Copy(io.Discard, r); err != nil {
			return ask{}, errLeft
		}
		return ask{}, problem.New(problem.TooLarge, "a message has at most %d bytes", messageLimit)
	}
	if kind != websocket.TextMessage {
		return ask{}, problem.New(problem.BadRequest, "messages are JSON texts, not binary")
	}
	var in ask
	if err := json.Unmarshal(text, &in); err != nil {
		return ask{}, problem.New(problem.BadRequest, "this is no message that can be understood: a JSON object with a type is")
	}
	if len(in.Ref) > refLimit {
		return ask{}, problem.Invalid("ref", "at most %d bytes", refLimit)
	}
	return in, nil
}

// read carries out what the client asks for, until he is gone.
func (c *client) read(ctx context.Context) error {
	alive := func() error { return c.conn.SetReadDeadline(soon(c.service.pace.dead)) }
	c.conn.SetPongHandler(func(string) error { return alive() })
	c.conn.SetPingHandler(func(text string) error {
		if !c.limit.Allow() {
			return alive() // a flood of pings gets no flood of pongs
		}
		_ = c.conn.WriteControl(websocket.PongMessage, []byte(text), soon(time.Second))
		return alive()
	})
	warned := false
	for {
		if err := alive(); err != nil {
			return errLeft
		}
		in, err := c.next()
		if errors.Is(err, errLeft) {
			return err
		}
		if !c.limit.Allow() {
			if !warned { // once for all that follow without a pause
				c.refuse(in.Ref, problem.New(problem.RateLimited, "too many messages: %d a second are taken; this one and those that come as fast are dropped", ratePerSec))
			}
			warned = true
			continue
		}
		warned = warned && c.limit.Tokens() < rateBurst/2
		if err == nil {
			err = c.carryOut(ctx, in)
		}
		if err != nil {
			c.refuse(in.Ref, err)
		}
	}
}

// carryOut does what one message asks for; what takes its time answers later.
func (c *client) carryOut(ctx context.Context, in ask) error {
	then := func(err error) {
		if err != nil {
			c.refuse(in.Ref, err)
			return
		}
		c.answer(tell{Type: "done", Ref: in.Ref})
	}
	switch in.Type {
	case "command":
		if in.Command == nil {
			return problem.Invalid("command", "is missing")
		}
		return c.view.Send(ctx, c.caller, *in.Command, then)
	case "size":
		return c.view.resize(ctx, c.caller, wire.ConsoleSize{Rows: in.Rows, Columns: in.Columns}, then)
	case "power":
		job, err := c.view.Power(ctx, c.caller, in.Verb)
		if err == nil {
			c.answer(tell{Type: "done", Ref: in.Ref, Job: job})
		}
		return err
	case "ping":
		c.answer(tell{Type: "pong", Ref: in.Ref})
		return nil
	case "auth":
		return problem.New(problem.Conflict, "it is known already who this is")
	default:
		return problem.Invalid("type", "must be command, size, power or ping")
	}
}

func (c *client) refuse(ref string, err error) {
	p := problem.From(err)
	if p.Code == problem.Internal {
		c.service.Log.Error("a console's message failed", "instance", string(c.id), "error", err.Error())
		p = problem.New(problem.Internal, "something went wrong inside Berth; its log has more")
	}
	c.answer(tell{Type: "error", Ref: ref, Code: p.Code, Message: p.Message})
}

// answer is passed over when the client doesn't take what he asked for.
func (c *client) answer(t tell) {
	select {
	case c.answers <- t:
	default:
	}
}

// follow waits for news; the writer takes one at a time.
func (c *client) follow(ctx context.Context, news chan<- Batch) {
	for {
		b, err := c.view.Next(ctx)
		if err != nil {
			return
		}
		select {
		case news <- b:
		case <-ctx.Done():
			return
		}
	}
}

// write sends news, answers and pings, until ctx ends or nothing gets across.
func (c *client) write(ctx context.Context, news <-chan Batch) error {
	tick := time.NewTicker(c.service.pace.ping)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case b := <-news:
			err = c.show(b)
		case t := <-c.answers:
			err = c.send(t)
		case <-tick.C:
			err = c.conn.WriteControl(websocket.PingMessage, nil, soon(c.service.pace.stuck))
		}
		if err != nil {
			return errLeft
		}
	}
}

func (c *client) show(b Batch) error {
	var err error
	send := func(there bool, message any) {
		if there && err == nil {
			err = c.send(message)
		}
	}
	send(b.Record != "", tell{Type: "record", Record: b.Record})
	if b.State != nil {
		send(true, tellState{"state", *b.State})
	}
	if b.Missed != nil {
		send(true, tell{Type: "missed", From: b.Missed.From, To: b.Missed.To})
	}
	if b.Lines != nil && err == nil {
		err = c.sendRaw(encode(b.Lines))
	}
	send(b.Tail != nil, tell{Type: "tail", Text: b.Tail})
	return err
}

func (c *client) send(message any) error {
	raw, err := json.Marshal(message)
	if err != nil {
		return err
	}
	return c.sendRaw(raw)
}

func (c *client) sendRaw(raw []byte) error {
	if err := c.conn.SetWriteDeadline(soon(c.service.pace.stuck)); err != nil {
		return err
	}
	return c.conn.WriteMessage(websocket.TextMessage, raw)
}

// goodbye says why it ends; a client who left is told nothing.
func (c *client) goodbye(why error) {
	if why == nil || errors.Is(why, errLeft) || errors.Is(why, context.Canceled) {
		return
	}
	p := problem.From(why)
	if p.Code == problem.Internal && !errors.Is(p, grant.ErrStopping) {
		c.service.Log.Error("a console ended", "instance", string(c.id), "error", why.Error())
		p = problem.New(problem.Internal, "something went wrong inside Berth; its log has more")
	}
	deadline := soon(time.Second)
	raw, err := json.Marshal(tell{Type: "closing", Code: p.Code, Message: p.Message})
	if err == nil && c.conn.SetWriteDeadline(deadline) == nil {
		_ = c.conn.WriteMessage(websocket.TextMessage, raw)
	}
	_ = c.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(closeCode(p), cut(p.Message)), deadline)
}

// cut fits a sentence into a close frame.
func cut(text string) string {
	const most = 120
	if len(text) <= most {
		return text
	}
	end := most
	for end > 0 && text[end]&0xC0 == 0x80 { // not inside a character
		end--
	}
	return text[:end]
}
