package classic

import (
	"context"
	"errors"
	"sync"
	"time"
)

// The bounds of what is kept. A list of 10,000 instances has some 15 MB.
const (
	memoEntries = 64
	memoBytes   = 48 << 20
	memoIdle    = time.Minute // nobody asked for so long: everything is forgotten
)

// memo keeps rendered answers for as long as nothing has changed. Each is made
// once, however many ask for it at the same time, and no answer is made twice at
// the same time: who comes while an answer that is too old for him is being made
// waits for its end and shares the next one with all who came meanwhile. So it
// costs one rendering after the other, however often things change and however
// many ask. Safe for concurrent use.
type memo struct {
	now  func() moment
	most int // bytes

	mu      sync.Mutex
	entries map[string]*rendered
	bytes   int
	uses    uint64
	idle    *time.Timer
}

// moment is what an answer depends on: the commits so far, and which nodes are
// connected, which no commit needs to tell.
type moment struct {
	version uint64
	online  string
}

// rendered is an answer, or one that somebody is making: then done is open.
type rendered struct {
	moment        // what was read is at least as new as this
	begun  uint64 // of memo.uses
	done   chan struct{}
	body   []byte
	err    error
	used   uint64
}

var errNotMade = errors.New("the one who was making this answer did not end")

func newMemo(now func() moment) *memo {
	return &memo{now: now, most: memoBytes, entries: map[string]*rendered{}}
}

// get gives the answer of that name as it is now or later: the kept one, the one
// that is being made, or else render's. The caller must not change it. Nobody is
// given what was read before he asked, unless nothing has changed since; so
// whoever changed something sees his change.
func (m *memo) get(ctx context.Context, name string, render func() ([]byte, error)) ([]byte, error) {
	at := m.now()
	arrived := m.arrive()
	for {
		r, use := m.join(name, at, arrived, m.now())
		if use == mine {
			return m.fill(name, r, render)
		}
		select {
		case <-r.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if use == fresh && r.err == nil {
			return r.body, nil
		}
		// It was too old, or failed for another caller, perhaps by his own deadline.
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// use is what a caller does with what he finds.
type use int

const (
	mine  use = iota // he makes it
	fresh            // he takes it once it is made
	stale            // he waits for its end and looks again
)

// arrive numbers the caller.
func (m *memo) arrive() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.uses++
	if m.idle == nil {
		m.idle = time.AfterFunc(memoIdle, m.forget)
	}
	m.idle.Reset(memoIdle)
	return m.uses
}

// join finds the answer for a caller who arrived at the moment at, or begins one
// that he makes now.
func (m *memo) join(name string, at moment, arrived uint64, now moment) (*rendered, use) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.uses++
	if r := m.entries[name]; r != nil {
		if r.begun > arrived || (r.version >= at.version && r.online == at.online) {
			r.used = m.uses
			return r, fresh
		}
		if !r.ended() {
			return r, stale
		}
		m.remove(name, r)
	}
	r := &rendered{moment: now, begun: m.uses, done: make(chan struct{}), used: m.uses}
	m.entries[name] = r
	return r, mine
}

// fill renders, and lets go those who wait whatever happens.
func (m *memo) fill(name string, r *rendered, render func() ([]byte, error)) ([]byte, error) {
	body, err := []byte(nil), errNotMade
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		r.body, r.err = body, err
		close(r.done)
		if m.entries[name] != r {
			return // everything was forgotten meanwhile
		}
		if err != nil {
			delete(m.entries, name)
			return
		}
		m.bytes += cap(body)
		m.shrink()
	}()
	body, err = render()
	return body, err
}

// shrink needs the lock: it forgets what was not used the longest until what is
// kept is within bounds.
func (m *memo) shrink() {
	for m.bytes > m.most || len(m.entries) > memoEntries {
		var oldest string
		var found *rendered
		for name, r := range m.entries {
			if r.ended() && (found == nil || r.used < found.used) {
				oldest, found = name, r
			}
		}
		if found == nil {
			return // all are being made; each shrinks when it is
		}
		m.remove(oldest, found)
	}
}

// remove needs the lock.
func (m *memo) remove(name string, r *rendered) {
	if r.ended() {
		m.bytes -= cap(r.body)
	}
	delete(m.entries, name)
}

// forget gives the memory of everything back.
func (m *memo) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, r := range m.entries {
		m.remove(name, r)
	}
}

// ended says whether it is made; needs the lock, under which done is closed.
func (r *rendered) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}
