package wire

import "time"

// A console is the record of what an instance printed, and its stdin. The agent
// keeps the record: numbered lines that survive the container, and the agent's
// own restarts.
//
//	GET /v1/instances/{id}/console?after=N&record=R  → WebSocket of ConsoleFrame, answered by ConsoleInput
//
// after=N begins with the line that follows N; without it with the newest
// ConsoleBacklog lines, as when record names another one than that of the agent.
// What is gone from the record, and what a slow reader was
// passed over for, comes as a Missed frame in its place. Frames are text
// messages; one holds many lines. The agent waits for nobody: a reader is held up
// by its own connection only. While one is late, the record is a few times as large.
//
//	POST /v1/instances/{id}/console  ConsoleInput → 204  (one command, without a stream)
const (
	ConsoleBacklog  = 1000      // lines that a stream begins with, unless it says after
	ConsoleRecord   = 100_000   // lines that are kept of an instance, at least ConsoleBacklog
	ConsoleBytes    = 8 << 20   // that the record of an instance may hold, whichever comes first
	ConsoleLine     = 16 << 10  // bytes of a line; what is longer is cut into several
	ConsoleCommand  = 4 << 10   // bytes of a command
	ConsoleFrameMax = 256 << 10 // bytes of a frame
)

// ConsoleSource is where a line came from.
type ConsoleSource string

// The sources.
const (
	ConsoleOut     ConsoleSource = "out"     // the container's stdout, or its terminal
	ConsoleErr     ConsoleSource = "err"     // its stderr
	ConsoleIn      ConsoleSource = "in"      // a command that was given
	ConsoleInstall ConsoleSource = "install" // the installation
	ConsoleBerth   ConsoleSource = "berth"   // said by the agent: started, crashed, gave up
)

// ConsoleLineFrame is one line of the record. Text is UTF-8 (what was not is
// replaced), without the line's end; colours and other escapes are left in: who
// shows it must know what it does.
type ConsoleLineFrame struct {
	Seq    int64         `json:"seq"` // from 1, without gap, as long as the record lives
	At     time.Time     `json:"at"`
	Source ConsoleSource `json:"source"`
	Text   string        `json:"text"`
	Part   bool          `json:"part,omitempty"` // the next line goes on with it
}

// ConsoleFrame is a message of the agent: one of its fields is filled.
type ConsoleFrame struct {
	Lines  []ConsoleLineFrame `json:"lines,omitempty"`
	Missed *ConsoleMissed     `json:"missed,omitempty"`
	State  *State             `json:"state,omitempty"` // at the beginning, and at each change
	// Tail is what a program wrote without ending the line, such as a prompt. It
	// has no number; the next Tail or line takes its place.
	Tail *string `json:"tail,omitempty"`
	// Error answers an input that could not be carried out.
	Error *ConsoleError `json:"error,omitempty"`
	// Done answers an input that has reached the container.
	Done string `json:"done,omitempty"` // its Ref
	// Record is told first: another one means that numbers began anew. Last comes
	// with it: the number of the newest line at that moment, 0 when there is none.
	// Who wants the past alone closes the stream there.
	Record string `json:"record,omitempty"`
	Last   int64  `json:"last,omitempty"`
}

// ConsoleMissed are lines that this stream did not get, both ends included.
type ConsoleMissed struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// ConsoleError says why an input was not carried out.
type ConsoleError struct {
	Ref     string `json:"ref,omitempty"`
	Code    string `json:"code"` // a problem.Code
	Message string `json:"message"`
}

// ConsoleInput is a message of the controller.
type ConsoleInput struct {
	Ref     string       `json:"ref,omitempty"`     // to tell answers apart; at most 64 bytes
	Command *string      `json:"command,omitempty"` // a line for stdin; its end is added
	Size    *ConsoleSize `json:"size,omitempty"`    // of the terminal
}

// ConsoleSize is a terminal's size in characters.
type ConsoleSize struct {
	Rows    uint16 `json:"rows"`
	Columns uint16 `json:"columns"`
}
