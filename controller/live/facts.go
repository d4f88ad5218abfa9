package live

import (
	"context"
	"fmt"

	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/store"
)

// batch is what was read of the log at once.
type batch struct {
	facts []event.Event
	lag   int64 // numbers that the log has beyond them
	err   error
}

// begin finds out from where on the page is told facts.
func (p *page) begin(ctx context.Context) error {
	var first, last int64
	behind := false
	err := p.service.DB.Read(ctx, func(q store.Querier) (err error) {
		if first, last, err = p.service.Events.Bounds(ctx, q); err != nil || p.after == 0 {
			return err
		}
		if behind = p.after > last || p.after+1 < first; behind {
			return nil
		}
		_, missed, err := p.service.Events.List(ctx, q, event.Filter{Sight: p.sight, After: p.after, Limit: 1})
		behind = missed > behindMost
		return err
	})
	if err != nil {
		return fmt.Errorf("begin a page's facts: %w", err)
	}
	if p.after == 0 || behind {
		p.after = last
	}
	if err := p.send(tell{Type: "hello", After: &p.after}); err != nil || !behind {
		return err
	}
	return p.send(tell{Type: "behind", After: &p.after})
}

// follow reads the log on beyond p.after, a batch ahead, until stop is called.
func (p *page) follow(ctx context.Context) (batches <-chan batch, stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	from := p.after
	if from == 0 { // the log was empty: not from now on
		from = -1
	}
	feed, err := p.service.Events.Follow(ctx, p.service.DB, event.Filter{Sight: p.sight, After: from})
	if err != nil {
		cancel()
		return nil, func() {}, err
	}
	out, done := make(chan batch), make(chan struct{})
	go func() {
		defer close(done)
		for {
			var b batch
			b.facts, b.err = feed.Next(ctx)
			if b.err == nil {
				b.lag, b.err = feed.Lag(ctx)
			}
			select {
			case out <- b:
			case <-ctx.Done():
				return
			}
			if b.err != nil {
				return
			}
		}
	}()
	return out, func() {
		cancel()
		feed.Close()
		<-done
	}, nil
}

// tellFacts tells a batch to the caller as he stands now.
func (p *page) tellFacts(ctx context.Context, b batch) (changed bool, err error) {
	if b.err != nil {
		return false, b.err
	}
	if changed, err = p.recall(ctx); err != nil {
		return false, err
	}
	if b.lag > behindMost {
		return true, p.skip(ctx)
	}
	for _, e := range b.facts {
		if p.sight.Sees(e) {
			if err := p.send(tellEvent{"event", p.sight.View(e)}); err != nil {
				return false, err
			}
		}
		p.after = e.ID
	}
	return changed, nil
}

// skip leaves out all that the page has not been told yet.
func (p *page) skip(ctx context.Context) error {
	_, last, err := p.service.Events.Bounds(ctx, p.service.DB.Snapshot())
	if err != nil {
		return err
	}
	p.after = last
	return p.send(tell{Type: "behind", After: &p.after})
}
