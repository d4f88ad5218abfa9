package node

import (
	"sync"
	"time"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/turnstile"
)

// A secret of 32 bytes can't be guessed; what is limited is the noise and the
// work that a stranger can make.
const (
	triesAllowed = 20 // that failed, from one address in a minute
	triesWindow  = time.Minute
	triesPlaces  = 10_000 // addresses that are remembered
)

// tries counts failed enrolments by address. Safe for concurrent use.
type tries struct {
	mu   sync.Mutex
	from map[string]*count
}

type count struct {
	failed int
	since  time.Time
}

func newTries() *tries { return &tries{from: map[string]*count{}} }

// enter refuses an address from which too many have failed.
func (t *tries) enter(address string, now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.from[turnstile.Network(address)]
	if c == nil || now.Sub(c.since) >= triesWindow || c.failed < triesAllowed {
		return nil
	}
	return problem.New(problem.RateLimited, "too many enrolments from this address failed; wait a minute")
}

func (t *tries) failed(address string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.from) >= triesPlaces {
		t.forget(now)
	}
	c := t.from[turnstile.Network(address)]
	if c == nil || now.Sub(c.since) >= triesWindow {
		c = &count{since: now}
		t.from[turnstile.Network(address)] = c
	}
	c.failed++
}

// forget makes room; it needs the lock. When all are recent, all are forgotten:
// memory is bounded first.
func (t *tries) forget(now time.Time) {
	for address, c := range t.from {
		if now.Sub(c.since) >= triesWindow {
			delete(t.from, address)
		}
	}
	if len(t.from) >= triesPlaces {
		clear(t.from)
	}
}
