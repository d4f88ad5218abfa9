package wire

import (
	"time"

	"github.com/berth-panel/berth/shared/ident"
)

// EventType is what an event is about.
type EventType string

// The events. Each fills the field named beside it.
const (
	EventState    EventType = "instance.state"    // State
	EventProgress EventType = "instance.progress" // Progress
	EventRemoved  EventType = "instance.removed"  // nothing: container and volume are gone
	EventEngine   EventType = "node.engine"       // Engine
	EventSession  EventType = "sftp.session"      // Session; a controller that doesn't know it passes it over
	EventOutput   EventType = "instance.output"   // Output; likewise
)

// Event is one fact that an agent journalled. Seq counts from 1 within the
// journal's epoch and never repeats; the agent keeps an event until a sequence
// number that is not lower has been acknowledged. A newer progress of the same
// instance replaces an unsent older one, so numbers may be missing.
type Event struct {
	Seq        int64          `json:"seq"`
	At         time.Time      `json:"at"`
	Type       EventType      `json:"type"`
	Instance   ident.Instance `json:"instance,omitempty"`
	Generation int64          `json:"generation,omitempty"` // of the spec it is about
	State      *State         `json:"state,omitempty"`
	Progress   *Progress      `json:"progress,omitempty"`
	Engine     *Engine        `json:"engine,omitempty"`
	Session    *Session       `json:"session,omitempty"`
	Output     []string       `json:"output,omitempty"`
}

// OutputLines and OutputText bound the Output of one event: lines of what an
// installation printed, or of what the agent has to say about a start, for the log
// of the job that it belongs to, without the secrets, escapes and control
// characters in them. The console has all of it.
const (
	OutputLines = 50
	OutputText  = 400 // runes of a line
)

// Session is an SFTP session that has ended, and what was done in it: each path
// once for each kind of deed.
type Session struct {
	User    ident.User `json:"user"`
	Address string     `json:"address"`
	Began   time.Time  `json:"began"`
	Deeds   []Deed     `json:"deeds,omitempty"` // the first SessionDeeds of them
	More    int        `json:"more,omitempty"`  // so many further ones, counted each time
}

// SessionDeeds is how many deeds of a session are told one by one.
const SessionDeeds = 100

// Deed is something that was done with a file or folder.
type Deed struct {
	What string `json:"what"` // read, written, made, removed, renamed, changed
	Path string `json:"path"` // Path's text form
	To   string `json:"to,omitempty"`
}

// EventBatch is a message from agent to controller: at most 100 events, rising.
// An empty one is a sign of life.
type EventBatch struct {
	Events []Event `json:"events"`
}

// Ack is a message from controller to agent: all events up to Seq have taken
// effect and may be forgotten.
type Ack struct {
	Seq int64 `json:"seq"`
}
