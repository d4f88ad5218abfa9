package live

import (
	"context"
	"net/http"
	"strconv"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/shared/problem"
)

const about = `A WebSocket of JSON messages: events that you may see, as GET /events gives them, and the figures of what is asked for by {"type":"watch","instances":[…],"nodes":[…]}, ` +
	`each second. It begins with {"type":"hello","after":N}; who comes back with after=N misses nothing. {"type":"behind"} says that events were left out. ` +
	`It ends with {"type":"closing","code","message"}.`

// Mount registers the socket.
func (s *Service) Mount(a *httpapi.API) {
	httpapi.HandleSocket(a, httpapi.Operation{ID: "openLive", Method: http.MethodGet, Path: "/api/v1/live", Tag: "live", Access: access.Needs(access.ScopeRead), Farewell: true,
		Summary: "Follow what happens, and the figures of what is watched", Description: about,
		Params: []httpapi.Param{{Name: "after", Integer: true, Doc: "The number of the last event that you have"}}}, s.handleSocket)
}

func (s *Service) handleSocket(ctx context.Context, r *httpapi.Request) (httpapi.Socket, error) {
	after := int64(0)
	if text := r.Query("after"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return nil, problem.Invalid("after", "must be the number of an event")
		}
		after = n
	}
	caller := access.From(ctx)
	return func(ctx context.Context, conn *websocket.Conn) {
		p := newPage(ctx, s, conn, caller, after)
		p.serve() //nolint:contextcheck // it has ctx, and what it shares with other pages outlives it
	}, nil
}
