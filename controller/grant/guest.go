package grant

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

const (
	introduceWithin = 5 * time.Second
	introduceMost   = 4 << 10 // bytes of the message
	strangers       = 256     // sockets that have not said yet whose they are, in all
	strangersOf     = 16      // and from one network
)

// ErrLeft says that a guest is gone: there is nobody to tell.
var ErrLeft = errors.New("the client left")

// Guest is whoever opens a socket on a public route. Browsers can't send a key
// with that call, so he may say who he is in his first message.
type Guest struct {
	Caller   access.Caller // nobody until he has said who he is
	instance ident.Instance
	purpose  Purpose
	service  *Service
	whose    func(ctx context.Context, key string) (access.Caller, error)
}

// Arrive looks at the call that opens a socket: a key in its headers, or a ticket
// as ?ticket=, is checked at once, while a refusal can still be answered.
func (s *Service) Arrive(ctx context.Context, r *httpapi.Request, id ident.Instance, right access.Right, purpose Purpose) (*Guest, error) {
	caller, err := r.Identify(ctx)
	if err != nil {
		return nil, err
	}
	if ticket := r.Query("ticket"); ticket != "" && !caller.Known() {
		address := caller.Address
		if caller, err = s.Redeem(ctx, ticket, purpose, id); err != nil {
			return nil, err
		}
		caller.Address = address
	}
	if caller.Known() {
		if _, err := s.Allow(ctx, caller, id, right); err != nil {
			return nil, err
		}
	}
	return &Guest{Caller: caller, instance: id, purpose: purpose, service: s, whose: r.Identifier()}, nil
}

// Introduce finds out who the guest is, by his first message if need be:
// {"type":"auth","ticket":…} or {"type":"auth","key":…}. The connection's read
// deadline is spoilt when it fails.
func (g *Guest) Introduce(ctx context.Context, conn *websocket.Conn) error {
	if g.Caller.Known() {
		return nil
	}
	leave, ok := g.service.lobby.Enter(httpapi.Network(g.Caller.Address))
	if !ok {
		return problem.New(problem.RateLimited, "too many sockets wait here for somebody to say who he is: try again in a while")
	}
	defer leave()
	limited, cancel := context.WithTimeout(ctx, g.service.hello)
	defer cancel()
	defer context.AfterFunc(limited, func() { _ = conn.NetConn().SetReadDeadline(time.Unix(1, 0)) })()
	in, err := firstMessage(conn)
	switch {
	case ctx.Err() != nil:
		return Reason(ctx)
	case limited.Err() != nil:
		return problem.New(problem.Unauthorized, "nobody said who he is within %s", g.service.hello)
	case err != nil:
		return err
	}
	address := g.Caller.Address
	var caller access.Caller
	if in.Ticket != "" {
		caller, err = g.service.Redeem(ctx, in.Ticket, g.purpose, g.instance)
	} else {
		caller, err = g.whose(ctx, in.Key)
	}
	if err == nil {
		g.Caller = caller
		g.Caller.Address = address
	}
	return err
}

// introduction is a guest's first message.
type introduction struct {
	Type   string `json:"type"`
	Ticket string `json:"ticket"`
	Key    string `json:"key"`
}

func firstMessage(conn *websocket.Conn) (introduction, error) {
	kind, r, err := conn.NextReader()
	if err != nil {
		return introduction{}, ErrLeft
	}
	text, err := io.ReadAll(io.LimitReader(r, introduceMost+1))
	if err != nil {
		return introduction{}, ErrLeft
	}
	var in introduction
	if len(text) > introduceMost || kind != websocket.TextMessage || json.Unmarshal(text, &in) != nil || in.Type != "auth" || (in.Ticket == "") == (in.Key == "") {
		return in, problem.New(problem.Unauthorized, `the first message must be {"type":"auth","ticket":…} or {"type":"auth","key":…}`)
	}
	return in, nil
}
