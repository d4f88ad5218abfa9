package grant

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/shared/problem"
)

// Goodbye ends a socket and says why, as a message and as a close code: 4001 the
// key or account is gone, 4003 the right is missing, 4004 the instance is gone,
// 4009 it is suspended, 4029 too much is open, 1001 Berth is stopping. Nothing is
// read any more, and nothing else may be writing.
func Goodbye(conn *websocket.Conn, p *problem.Problem, until time.Time) {
	raw, err := json.Marshal(struct {
		Type    string       `json:"type"`
		Code    problem.Code `json:"code"`
		Message string       `json:"message"`
	}{"closing", p.Code, p.Message})
	if err == nil && conn.SetWriteDeadline(until) == nil {
		_ = conn.WriteMessage(websocket.TextMessage, raw)
	}
	const most = 120 // bytes that a close frame takes
	text := p.Message
	if len(text) > most {
		end := most
		for end > 0 && text[end]&0xC0 == 0x80 { // not inside a character
			end--
		}
		text = text[:end]
	}
	_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(closeCode(p), text), until)
}

func closeCode(p *problem.Problem) int {
	switch {
	case errors.Is(p, ErrSuspended):
		return 4009
	case errors.Is(p, ErrDeleted), p.Code == problem.NotFound:
		return 4004
	case p.Code == problem.Unauthorized:
		return 4001
	case p.Code == problem.Forbidden:
		return 4003
	case p.Code == problem.RateLimited:
		return 4029
	case p.Code == problem.Internal:
		return websocket.CloseGoingAway
	default:
		return 4009
	}
}
