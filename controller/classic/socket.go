package classic

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/time/rate"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/console"
	"github.com/berth-panel/berth/controller/grant"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/stats"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Grants says who may.
type Grants interface {
	Allow(ctx context.Context, caller access.Caller, id ident.Instance, right access.Right) (instance.Instance, error)
	Hold(ctx context.Context, caller access.Caller, id ident.Instance, right access.Right, also ...grant.Check) (held context.Context, release func(), err error)
	Redeem(ctx context.Context, text string, purpose grant.Purpose, id ident.Instance) (access.Caller, error)
}

// Consoles opens an instance's console.
type Consoles interface {
	Open(ctx context.Context, id ident.Instance, from console.From) *console.View
}

// Stats gives an instance's figures.
type Stats interface {
	Newest(ctx context.Context, c access.Caller, id ident.Instance) (wire.Sample, error)
}

// The texts that old clients look for.
const (
	textNoAuth    = "Unauthorized access"
	textWrongAuth = "Authentication failed"
	textNoEvent   = "Unsupported event"
)

const (
	greeting    = "\x1b[36m[Berth]\x1b[0m connected to the console\r\n"
	oldBacklog  = 25      // lines that a console begins with
	socketLimit = 8 << 10 // bytes of a frame; a longer one ends the socket
	authWithin  = 5 * time.Second
	pingEvery   = 25 * time.Second
	deadAfter   = 70 * time.Second
	stuckAfter  = 20 * time.Second
	framesASec  = 30
	framesBurst = 60
	strangers   = 256 // sockets that have not said yet whose they are, in all
	strangersOf = 16  // and from one network
	closeText   = 120 // bytes of a sentence that fit into a close frame
)

// noEvent refuses a frame that isn't understood.
func noEvent() error { return problem.New(problem.BadRequest, textNoEvent) }

// said is a frame of a client.
type said struct {
	Event   string            `json:"event"`
	Args    []json.RawMessage `json:"args"`
	Command string            `json:"command"`
}

// classicSocket is one connection of an old client.
type classicSocket struct {
	*Service
	conn    *websocket.Conn
	named   string // in the path: an instance's id, or a container's
	id      ident.Instance
	caller  access.Caller
	purpose grant.Purpose
	whose   func(ctx context.Context, key string) (access.Caller, error)
	out     chan string // what is to be told besides what comes by itself
	limit   *rate.Limiter
}

// mountSockets registers the sockets, on their old paths.
func (s *Service) mountSockets(a *httpapi.API) {
	const about = `The first frame must be {"event":"auth","args":[key]}, with an API key or a one-time ticket.`
	for _, o := range []struct {
		id, path, summary string
		stats             bool
	}{
		{"classicConsole", "/console/{id}", "An instance's console, for old clients", false},
		{"classicExec", "/exec/{id}", "An instance's console, as the old node had it", false},
		{"classicStats", "/stats/{id}", "An instance's figures, for old clients", true},
		{"classicNodeStats", "/stats/{id}/{volume}", "An instance's figures, as the old node had them", true},
	} {
		op := httpapi.Operation{ID: o.id, Method: http.MethodGet, Path: o.path, Tag: "classic", Style: httpapi.Document, Access: access.Public(), Farewell: true, AnyOrigin: true,
			Summary: o.summary, Description: about}
		httpapi.HandleSocket(a, op, s.handleOldSocket(o.stats))
	}
}

func (s *Service) handleOldSocket(figures bool) func(context.Context, *httpapi.Request) (httpapi.Socket, error) {
	purpose, serve := console.Door, (*classicSocket).console
	if figures {
		purpose, serve = stats.Door, (*classicSocket).stats
	}
	return func(ctx context.Context, r *httpapi.Request) (httpapi.Socket, error) {
		caller, err := r.Identify(ctx)
		if err != nil {
			return nil, err
		}
		named := r.Param("volume")
		if named == "" {
			named = r.Param("id")
		}
		whose := r.Identifier()
		return func(ctx context.Context, conn *websocket.Conn) {
			c := &classicSocket{Service: s, conn: conn, named: named, caller: caller, purpose: purpose, whose: whose,
				out: make(chan string, 2*framesBurst), limit: rate.NewLimiter(framesASec, framesBurst)}
			c.run(ctx, serve)
		}, nil
	}
}

// run lets the client in and serves him for as long as he may stay.
func (c *classicSocket) run(ctx context.Context, serve func(*classicSocket, context.Context) error) {
	c.conn.SetReadLimit(socketLimit)
	if text := c.admit(ctx); text != "" {
		c.end(text)
		return
	}
	right := access.ReadConsole
	if c.purpose == stats.Door {
		right = access.SeeInstance
	}
	held, release, err := c.Grants.Hold(ctx, c.caller, c.id, right)
	if err != nil {
		c.end(problem.From(err).Message)
		return
	}
	defer release()
	ctx, cancel := context.WithCancelCause(held)
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() { _ = c.conn.NetConn().SetWriteDeadline(soon(time.Second)) })()
	over := make(chan struct{})
	go func() {
		defer close(over)
		cancel(serve(c, ctx))
	}()
	c.write(ctx)
	if held.Err() != nil {
		c.end(grant.Reason(held).Message)
	}
	_ = c.conn.Close()
	<-over
}

// admit finds out who it is and which instance he means; a text refuses him.
func (c *classicSocket) admit(ctx context.Context) string {
	if !c.caller.Known() {
		leave, ok := c.lobby.Enter(httpapi.Network(c.caller.Address))
		if !ok {
			return textNoAuth
		}
		defer leave()
		if text := c.authenticate(ctx); text != "" {
			return text
		}
	}
	id, err := c.find(ctx)
	if err != nil {
		return problem.From(err).Message
	}
	c.id = id
	return ""
}

// authenticate reads the first frame.
func (c *classicSocket) authenticate(ctx context.Context) string {
	limited, cancel := context.WithTimeout(ctx, authWithin)
	defer cancel()
	stop := context.AfterFunc(limited, func() { _ = c.conn.NetConn().SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	kind, text, err := c.conn.ReadMessage()
	var in said
	var key string
	if err != nil || kind != websocket.TextMessage || json.Unmarshal(text, &in) != nil || in.Event != "auth" || len(in.Args) == 0 || json.Unmarshal(in.Args[0], &key) != nil {
		return textNoAuth
	}
	address := c.caller.Address
	caller, err := c.Grants.Redeem(ctx, key, c.purpose, ident.Instance(c.named))
	if err != nil {
		if caller, err = c.whose(ctx, key); err != nil {
			return textWrongAuth
		}
	}
	c.caller = caller
	c.caller.Address = address
	return ""
}

// find gives the instance that the path names, by its id or its container's.
func (c *classicSocket) find(ctx context.Context) (ident.Instance, error) {
	if id := ident.Instance(c.named); id.Valid() {
		return id, nil // whether he may see it is asked with the hold
	}
	items, _, err := c.Instances.List(ctx, c.caller, instance.Filter{})
	if err != nil {
		return "", err
	}
	for _, i := range items {
		if i.Container != "" && i.Container == c.named {
			return i.ID, nil
		}
	}
	return "", problem.New(problem.NotFound, textInstanceNotFound)
}

// write sends what there is to tell, and pings, until ctx ends or nothing gets
// across.
func (c *classicSocket) write(ctx context.Context) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case text := <-c.out:
			if err = c.conn.SetWriteDeadline(soon(stuckAfter)); err == nil {
				err = c.conn.WriteMessage(websocket.TextMessage, []byte(text))
			}
		case <-tick.C:
			err = c.conn.WriteControl(websocket.PingMessage, nil, soon(stuckAfter))
		}
		if err != nil {
			_ = c.conn.Close() // the reader ends with it
			return
		}
	}
}

// tell hands a text to the writer and waits until it is taken.
func (c *classicSocket) tell(ctx context.Context, text string) error {
	select {
	case c.out <- text:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// listen gives each frame to do, until the client is gone.
func (c *classicSocket) listen(ctx context.Context, do func(ctx context.Context, in said) error) error {
	alive := func() error { return c.conn.SetReadDeadline(soon(deadAfter)) }
	c.conn.SetPongHandler(func(string) error { return alive() })
	for {
		if err := alive(); err != nil {
			return err
		}
		_, text, err := c.conn.ReadMessage()
		if err != nil {
			return err
		}
		if !c.limit.Allow() {
			continue
		}
		var in said
		if json.Unmarshal(text, &in) != nil {
			err = noEvent()
		} else {
			err = do(ctx, in)
		}
		if err != nil {
			select {
			case c.out <- publicText(err):
			default: // he doesn't read what he is told
			}
		}
	}
}

func publicText(err error) string { return problem.From(err).Message }

// end says why, as old clients expect it: a text, and the same with 1008.
func (c *classicSocket) end(text string) {
	if c.conn.SetWriteDeadline(soon(time.Second)) == nil {
		_ = c.conn.WriteMessage(websocket.TextMessage, []byte(text))
	}
	if len(text) > closeText {
		text = strings.ToValidUTF8(text[:closeText], "")
	}
	_ = c.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.ClosePolicyViolation, text), soon(time.Second))
}

// soon is a deadline for a connection.
func soon(d time.Duration) time.Time {
	return time.Now().Add(d) //nolint:forbidigo // the kernel's clock is the real one
}
