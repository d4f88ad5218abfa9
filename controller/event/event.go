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

	mu        sync.Mutex
	listeners map[*Subscription]struct{}
}

// New makes a log; now is the clock.
func New(now func() time.Time) *Log {
	return &Log{now: now, listeners: map[*Subscription]struct{}{}}
}

// Subscription is one live listener.
type Subscription struct {
	log  *Log
	ch   chan Event
	keep func(Event) bool
}

// Subscribe listens to the facts that keep lets through (nil: all) from now on,
// up to buffer of them ahead of the reader. Close it.
func (l *Log) Subscribe(buffer int, keep func(Event) bool) *Subscription {
	s := &Subscription{log: l, ch: make(chan Event, buffer), keep: keep}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listeners[s] = struct{}{}
	return s
}

// C gives the facts. It is closed when the listener was too slow or is closed:
// what it missed is in the log.
func (s *Subscription) C() <-chan Event { return s.ch }

// Close ends the subscription. It may be called twice.
func (s *Subscription) Close() {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	s.log.drop(s)
}

// drop needs the lock.
func (l *Log) drop(s *Subscription) {
	if _, there := l.listeners[s]; there {
		delete(l.listeners, s)
		close(s.ch)
	}
}

func (l *Log) publish(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := range l.listeners {
		if s.keep != nil && !s.keep(e) {
			continue
		}
		select {
		case s.ch <- e:
		default:
			l.drop(s)
		}
	}
}
