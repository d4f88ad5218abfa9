package console

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/controller/grant"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Door is the purpose of tickets that open a console.
const Door grant.Purpose = "console"

// What a client may do.
const (
	messageLimit = 8 << 10 // bytes of a message; what is longer is refused
	messageMost  = 1 << 20 // and what is this long ends the socket
	refLimit     = 64
	ratePerSec   = 30 // messages a second, as a mean
	rateBurst    = 60
)

// pace is how long things take. Only tests have another than the usual.
type pace struct {
	ping  time.Duration // between two pings
	dead  time.Duration // without a sign of life
	stuck time.Duration // of a write: who takes nothing for so long is cut
	retry time.Duration // at most, between two tries to reach a node
	reply time.Duration // for a node to carry an input out
}

func usualPace() pace {
	return pace{ping: 25 * time.Second, dead: 70 * time.Second, stuck: time.Minute, retry: 2 * time.Second, reply: 15 * time.Second}
}

// Close codes, see doc.go.
const (
	closeRevoked   = 4001
	closeForbidden = 4003
	closeNotFound  = 4004
	closeConflict  = 4009
	closeTooMany   = 4029
)

func closeCode(p *problem.Problem) int {
	switch {
	case errors.Is(p, grant.ErrSuspended):
		return closeConflict
	case errors.Is(p, grant.ErrDeleted):
		return closeNotFound
	case errors.Is(p, grant.ErrStopping):
		return websocket.CloseGoingAway
	}
	switch p.Code {
	case problem.Unauthorized:
		return closeRevoked
	case problem.Forbidden:
		return closeForbidden
	case problem.NotFound:
		return closeNotFound
	case problem.RateLimited:
		return closeTooMany
	case problem.Internal:
		return websocket.CloseInternalServerErr
	default:
		return closeConflict
	}
}

// Line is one line of a record: its number, and the JSON of a
// wire.ConsoleLineFrame.
type Line struct {
	Seq int64
	Raw json.RawMessage
}

// Frame reads the line.
func (l Line) Frame() (wire.ConsoleLineFrame, error) {
	var f wire.ConsoleLineFrame
	err := json.Unmarshal(l.Raw, &f)
	return f, err
}

// Reach says whether the node can be reached.
type Reach string

// The reaches.
const (
	Online  Reach = "online"
	Offline Reach = "offline"
)

// State is how an instance stands, for those who look at its console.
type State struct {
	Status    instance.Status `json:"status,omitempty"`
	Node      Reach           `json:"node"`
	Message   string          `json:"message,omitempty"` // why the node is offline, or the last order failed
	ExitCode  *int            `json:"exit_code,omitempty"`
	OOM       bool            `json:"oom,omitempty"`
	StartedAt *time.Time      `json:"started_at,omitempty"`
	ReadyAt   *time.Time      `json:"ready_at,omitempty"`
	RetryAt   *time.Time      `json:"retry_at,omitempty"`
	Overdue   bool            `json:"overdue,omitempty"`
	Crashes   int             `json:"crashes,omitempty"`
	GaveUp    bool            `json:"gave_up,omitempty"`
	Health    wire.Health     `json:"health,omitempty"`
}

// stateOf puts what the node says beside what the controller knows.
func stateOf(i instance.Instance, s wire.State) State {
	i.Actual = s.Actual
	if i.Phase != instance.Deleting {
		i.Phase = instance.Phase(s.Phase)
	}
	out := State{Status: i.Status(), Node: Online, ExitCode: s.ExitCode, OOM: s.OOM, StartedAt: s.StartedAt, ReadyAt: s.ReadyAt, RetryAt: s.RetryAt,
		Overdue: s.Overdue, Crashes: s.Crashes, GaveUp: s.GaveUp, Health: s.Health}
	if s.Failure != nil {
		out.Message = s.Failure.Message
	}
	return out
}

// lineOf reads a line's number out of its JSON.
func lineOf(raw json.RawMessage) (Line, error) {
	if seq, ok := quickSeq(raw); ok {
		return Line{seq, raw}, nil
	}
	var f struct {
		Seq int64 `json:"seq"`
	}
	if err := json.Unmarshal(raw, &f); err != nil || f.Seq <= 0 {
		return Line{}, errNoLine
	}
	return Line{f.Seq, raw}, nil
}

var errNoLine = errors.New("what should be a line has no number")

// quickSeq is for lines that begin as the agent writes them.
func quickSeq(raw []byte) (int64, bool) {
	const head = `{"seq":`
	if len(raw) <= len(head) || string(raw[:len(head)]) != head {
		return 0, false
	}
	var n int64
	for i, c := range raw[len(head):] {
		switch {
		case c >= '0' && c <= '9' && i < 18:
			n = n*10 + int64(c-'0')
		case (c == ',' || c == '}') && n > 0:
			return n, true
		default:
			return 0, false
		}
	}
	return 0, false
}

// soon is a deadline for a connection.
func soon(d time.Duration) time.Time {
	return time.Now().Add(d) //nolint:forbidigo // the kernel's clock is the real one
}
