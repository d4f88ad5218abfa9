package event

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/shared/ident"
)

// Type names a fact: the thing, a dot, a verb in the past tense.
type Type string

// Event is one fact.
type Event struct {
	ID       int64
	At       time.Time
	Type     Type
	Owner    ident.User     // who besides admins may see it; "" nobody
	Instance ident.Instance // "" when it is about none; so for the rest
	Node     ident.Node
	Job      ident.Job
	Subject  string // id of the user, key, image or allocation it is about
	Actor    access.Actor
	Data     json.RawMessage // an object; never a secret
}

// Log is the log of facts and the place to listen. Safe for concurrent use.
type Log struct {
	now func() time.Time

	mu    sync.Mutex
	feeds map[*Feed]struct{}
}

// New makes a log; now is the clock.
func New(now func() time.Time) *Log {
	return &Log{now: now, feeds: map[*Feed]struct{}{}}
}
