package grant

import (
	"context"
	"strings"
	"time"

	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/shared/ident"
)

// Run ends holds as their rights end, until ctx does.
func (s *Service) Run(ctx context.Context) {
	batches := make(chan []event.Event)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if err := s.follow(ctx, batches); err != nil && ctx.Err() == nil {
				s.Log.Error("rights that last can't follow the events; they are looked at in rounds alone", "error", err.Error())
				pause(ctx, s.recheck)
			}
		}
	}()
	tick := time.NewTicker(s.recheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			<-done
			return
		case facts := <-batches:
			s.review(ctx, s.touched(facts))
		case <-tick.C:
			s.tickets.sweep(s.Now())
			s.review(ctx, s.holds.all())
		}
	}
}

// follow hands facts over as they become true.
func (s *Service) follow(ctx context.Context, batches chan<- []event.Event) error {
	feed, err := s.Events.Follow(ctx, s.DB, event.Filter{Sight: event.Everything()})
	if err != nil {
		return err
	}
	defer feed.Close()
	s.opening.Do(func() { close(s.ready) })
	for {
		facts, err := feed.Next(ctx)
		if err != nil {
			return err
		}
		select {
		case batches <- facts:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// touched gives the holds that the facts may have ended: those of an instance
// that something happened to (commands come often and change no rights), or whose
// subusers changed, those of a user whose account or keys changed, and all when a
// role did.
func (s *Service) touched(facts []event.Event) []*hold {
	instances, users := map[ident.Instance]struct{}{}, map[ident.User]struct{}{}
	for _, e := range facts {
		about, _, _ := strings.Cut(string(e.Type), ".")
		if about == "role" {
			return s.holds.all()
		}
		switch {
		case e.Instance != "":
			if (about == "instance" || about == "subuser") && e.Type != instance.Commanded {
				instances[e.Instance] = struct{}{}
			}
		case e.Owner != "":
			users[e.Owner] = struct{}{}
		}
		if about == "user" {
			users[ident.User(e.Subject)] = struct{}{}
		}
	}
	return s.holds.of(instances, users)
}

// review looks at holds again and ends those whose right is gone. What can't be
// found out now (the database is busy) is looked at in the next round.
func (s *Service) review(ctx context.Context, holds []*hold) {
	l := newLooked()
	for _, h := range holds {
		err := s.look(ctx, l, h)
		if p, ok := asProblem(err); ok {
			s.holds.remove(h)
			h.end(p)
			continue
		}
		if err != nil && ctx.Err() == nil {
			s.Log.Warn("a right can't be looked at again", "instance", string(h.instance), "error", err.Error())
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
