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
