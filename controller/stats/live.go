package stats

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/grant"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Door is what a ticket for the live stream is good for.
const Door grant.Purpose = "stats"

// messageMost is the longest message that a client may send; none means anything
// after the first.
const messageMost = 8 << 10

// pace is how long things take. Only tests have another than the usual.
type pace struct {
	ping  time.Duration // between two pings
	dead  time.Duration // without a sign of life
	stuck time.Duration // of a write: who takes nothing for so long is cut
	retry time.Duration // between two tries to reach a node
}

func usualPace() pace {
	return pace{ping: 25 * time.Second, dead: 70 * time.Second, stuck: 20 * time.Second, retry: 2 * time.Second}
}

// message is what a client is told.
type message struct {
	Type string `json:"type"` // "sample" or "offline"
	*StatsView
	Message string `json:"message,omitempty"`
}

// viewer is one WebSocket.
type viewer struct {
	service *Service
	conn    *websocket.Conn
	id      ident.Instance
	guest   *grant.Guest
}

func soon(d time.Duration) time.Time {
	return time.Now().Add(d) //nolint:forbidigo // the kernel's clock is the real one
}

// serve is the socket's life.
func (v *viewer) serve(ctx context.Context) {
	v.conn.SetReadLimit(messageMost)
	if err := v.guest.Introduce(ctx, v.conn); err != nil {
		v.goodbye(err)
		return
	}
	held, release, err := v.service.Grants.Hold(ctx, v.guest.Caller, v.id, access.SeeInstance)
	if err != nil {
		v.goodbye(err)
		return
	}
	defer release()
	ctx, cancel := context.WithCancelCause(held)
	defer cancel(nil)
	// A write that is stuck ends soon after the right has.
	defer context.AfterFunc(ctx, func() { _ = v.conn.NetConn().SetWriteDeadline(soon(time.Second)) })()
	reading, relaying := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(reading)
		cancel(v.read())
	}()
	newest := make(chan message, 1)
	go func() {
		defer close(relaying)
		v.relay(ctx, newest)
	}()
	cancel(v.write(ctx, newest))
	<-relaying
	if held.Err() != nil {
		v.goodbye(grant.Reason(held))
	}
	_ = v.conn.Close()
	<-reading
}

// goodbye says why it ends; a client who left is told nothing.
func (v *viewer) goodbye(why error) {
	if errors.Is(why, grant.ErrLeft) {
		return
	}
	p := problem.From(why)
	var known *problem.Problem
	if !errors.As(why, &known) {
		v.service.Log.Error("a stream of figures ended", "instance", string(v.id), "error", why.Error())
	}
	grant.Goodbye(v.conn, p, soon(time.Second))
}

// read sees that the client is there; what he says is nothing to us.
func (v *viewer) read() error {
	alive := func(string) error { return v.conn.SetReadDeadline(soon(v.service.pace.dead)) }
	v.conn.SetPongHandler(alive)
	for {
		if err := alive(""); err != nil {
			return grant.ErrLeft
		}
		if _, _, err := v.conn.ReadMessage(); err != nil {
			return grant.ErrLeft
		}
	}
}

// write sends the newest message, and pings, until ctx ends or nothing gets
// across.
func (v *viewer) write(ctx context.Context, newest <-chan message) error {
	tick := time.NewTicker(v.service.pace.ping)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case m := <-newest:
			if err = v.conn.SetWriteDeadline(soon(v.service.pace.stuck)); err == nil {
				err = v.conn.WriteJSON(m)
			}
		case <-tick.C:
			err = v.conn.WriteControl(websocket.PingMessage, nil, soon(v.service.pace.stuck))
		}
		if err != nil {
			return grant.ErrLeft
		}
	}
}

// put replaces a message that nobody took yet: a sample of a second ago is no
// news. Only the relay puts.
func put(newest chan message, m message) {
	select {
	case <-newest:
	default:
	}
	newest <- m
}

// relay takes samples from the instance's node, wherever that is by then, until
// ctx ends.
func (v *viewer) relay(ctx context.Context, newest chan message) {
	said := ""
	for {
		err := v.follow(ctx, func(s wire.Sample) {
			shown := ViewOf(s)
			said = ""
			put(newest, message{Type: "sample", StatsView: &shown})
		})
		if ctx.Err() != nil {
			return
		}
		if text := problem.From(err).Message; text != said { // once for each reason
			said = text
			put(newest, message{Type: "offline", Message: text})
		}
		timer := time.NewTimer(v.service.pace.retry)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// follow reads one stream of the node's to its end.
func (v *viewer) follow(ctx context.Context, take func(wire.Sample)) error {
	i, err := v.service.Grants.Allow(ctx, v.guest.Caller, v.id, access.SeeInstance)
	if err != nil {
		return err
	}
	socket, err := v.service.Agents.Socket(ctx, i.Node, path(v.id)+"/live")
	if err != nil {
		return err
	}
	defer func() { _ = socket.Close() }()
	return followSocket(socket, v.service.pace.dead, take)
}

func followSocket(socket *fleet.Socket, dead time.Duration, take func(wire.Sample)) error {
	socket.SetReadLimit(64 << 10)
	for {
		if err := socket.SetReadDeadline(soon(dead)); err != nil {
			return brokeOff(err)
		}
		_, text, err := socket.ReadMessage()
		if err != nil {
			return brokeOff(err)
		}
		var s wire.Sample
		if err := json.Unmarshal(text, &s); err != nil {
			return brokeOff(err)
		}
		take(s)
	}
}

func brokeOff(cause error) error {
	return problem.New(problem.NodeOffline, "the node's stream of figures broke off").Because(cause)
}
