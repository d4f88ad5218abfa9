package event

import (
	"context"
	"time"

	"github.com/berth-panel/berth/controller/store"
)

const (
	feedBatch = 500  // facts in one read
	feedBlind = 1000 // facts of no interest, after which a feed moves on all the same
	// gather is how long a feed waits for more once there may be some: facts come in
	// crowds, and each feed would read them one by one.
	gather = 10 * time.Millisecond
)

// Feed reads the log on for one listener. Use it from one goroutine; Close may
// come from another.
type Feed struct {
	log    *Log
	db     *store.DB
	filter Filter
	after  int64 // it has read up to here
	wake   chan struct{}
	blind  int // with log.mu: facts since the last wake that the filter did not let through
}

// Follow gives a feed of the facts that match, from f.After on, from now on when
// that is 0, or from the very first on when it is negative. Limit and Offset of the filter count for nothing. A number
// that was never given out (of a database that was put back since) is now. Close
// the feed.
func (l *Log) Follow(ctx context.Context, db *store.DB, f Filter) (*Feed, error) {
	f.Limit, f.Offset = feedBatch, 0
	feed := &Feed{log: l, db: db, filter: f, wake: make(chan struct{}, 1)}
	l.mu.Lock() // first listen, then look: nothing falls in between
	l.feeds[feed] = struct{}{}
	l.mu.Unlock()
	last, err := head(ctx, db.Snapshot())
	if err != nil {
		feed.Close()
		return nil, err
	}
	if feed.after = max(f.After, 0); f.After == 0 || f.After > last {
		feed.after = last
	}
	return feed, nil
}

// Next waits until there are facts that the feed has not given yet, and gives
// them in the order of their numbers. It reads them from the log: what wakes it
// only says that there may be some. A transaction may tell of its facts later
// than one that was committed after it, but whoever sees the second in the log
// sees the first, with the lower number.
func (f *Feed) Next(ctx context.Context) ([]Event, error) {
	for {
		facts, err := f.read(ctx)
		if err != nil || len(facts) > 0 {
			return facts, err
		}
		select {
		case <-f.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		select {
		case <-time.After(gather):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (f *Feed) read(ctx context.Context) (facts []Event, err error) {
	err = f.db.Read(ctx, func(q store.Querier) error {
		last, err := head(ctx, q)
		if err != nil || last <= f.after {
			return err
		}
		unread := f.filter
		unread.After = f.after
		if facts, err = between(ctx, q, unread, last); err != nil {
			return err
		}
		if len(facts) == feedBatch {
			last = facts[feedBatch-1].ID
		}
		f.after = last
		return nil
	})
	return facts, err
}

// At is the number up to which the feed has read. Not while Next runs.
func (f *Feed) At() int64 { return f.after }

// Lag says how many numbers the log has beyond At, seen or not.
func (f *Feed) Lag(ctx context.Context) (int64, error) {
	last, err := head(ctx, f.db.Snapshot())
	return max(last-f.after, 0), err
}

// Close ends the feed. It may be called twice.
func (f *Feed) Close() {
	f.log.mu.Lock()
	defer f.log.mu.Unlock()
	delete(f.log.feeds, f)
}

// announce wakes who may want to read a fact. Now and then that is also one who
// doesn't: it would later walk over all that has happened meanwhile.
func (l *Log) announce(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for f := range l.feeds {
		if !f.filter.matches(e) {
			if f.blind++; f.blind < feedBlind {
				continue
			}
		}
		f.blind = 0
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
}
