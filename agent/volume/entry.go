package volume

import (
	"sync"
	"time"

	"github.com/berth-panel/berth/shared/ident"
)

// entry is what is kept in memory of one instance's volume.
type entry struct {
	work sync.Mutex // one change at a time; not under mu

	mu      sync.Mutex
	open    int    // roots that were given out
	closed  bool   // nobody gets in
	message string // what stands in the way of what is wanted
	want    int64  // the limit that waits for a stop; 0 is none
	walked  figure
}

// figure is what a walk has counted, and what was written by the agent since.
type figure struct {
	known bool
	bytes int64
	at    time.Time
	took  time.Duration
	// doubted says that a writer was refused for it.
	doubted bool
}

func (s *Store) entry(id ident.Instance) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[id]
	if e == nil {
		e = &entry{}
		s.entries[id] = e
	}
	return e
}

func (e *entry) enter() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return busy()
	}
	e.open++
	return nil
}

func (e *entry) leave() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.open--
}

// shut keeps everybody out until open is called; false when somebody is inside.
func (e *entry) shut() (open func(), ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.open > 0 || e.closed {
		return nil, false
	}
	e.closed = true
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.closed = false
	}, true
}

func (e *entry) figure() figure {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.walked
}

// charge counts what the agent has written until the next walk knows better.
func (e *entry) charge(bytes int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.walked.known {
		e.walked.bytes += bytes
	}
}

// doubt asks for a new walk, and says whether nobody did before.
func (e *entry) doubt() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	first := e.walked.known && !e.walked.doubted
	e.walked.doubted = true
	return first
}

// note keeps what waits, and why.
func (e *entry) note(want int64, message string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.want, e.message = want, message
}

func (e *entry) noted() (want int64, message string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.want, e.message
}

func (e *entry) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.want, e.message, e.walked = 0, "", figure{}
}
