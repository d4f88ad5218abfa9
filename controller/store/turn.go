package store

import (
	"context"
	"slices"
	"sync"
)

// aheadMost is how many transactions that somebody waits for may go before one of
// the background that waits, too.
const aheadMost = 4

// turns says whose transaction is next. Whoever is waited for (an API call) goes
// before what happens by itself (events, steps of jobs), but not always: of each
// five turns the background has one, when it wants one. Within a class it is first
// come, first served.
type turns struct {
	mu     sync.Mutex
	taken  bool
	ahead  int // turns since the background had one that it wanted
	front  []chan struct{}
	behind []chan struct{}
	last   func() // has the turn when nobody wants it any more, before it is free
}

// take waits for a turn, or for the end of ctx, whose error it gives then.
func (t *turns) take(ctx context.Context, behind bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	if !t.taken {
		t.taken = true
		t.mu.Unlock()
		return nil
	}
	line := t.line(behind)
	mine := make(chan struct{})
	*line = append(*line, mine)
	t.mu.Unlock()
	select {
	case <-mine:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	at := slices.Index(*line, mine)
	if at >= 0 {
		*line = slices.Delete(*line, at, at+1)
	}
	t.mu.Unlock()
	if at < 0 { // it came at the same moment
		t.pass()
	}
	return ctx.Err()
}

func (t *turns) line(behind bool) *[]chan struct{} {
	if behind {
		return &t.behind
	}
	return &t.front
}

// pass gives the turn on.
func (t *turns) pass() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.front)+len(t.behind) == 0 {
		t.mu.Unlock() // the turn is still taken: whoever comes meanwhile stands in line
		t.last()
		t.mu.Lock()
	}
	behind := len(t.behind) > 0 && (len(t.front) == 0 || t.ahead >= aheadMost)
	if behind || len(t.behind) == 0 {
		t.ahead = 0
	} else {
		t.ahead++
	}
	line := t.line(behind)
	if len(*line) == 0 {
		t.taken = false
		return
	}
	close((*line)[0])
	*line = slices.Delete(*line, 0, 1)
}
