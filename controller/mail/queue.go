package mail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

const (
	usualUntil = 24 * time.Hour
	firstPause = 15 * time.Second
	mostPause  = 30 * time.Minute
	idlePause  = 5 * time.Minute // between two looks at an empty queue: orders wake it
	brokenWait = 10 * time.Second
)

var errNoServer = errors.New("no mail server is set")

// Order orders a mail in a transaction.
func (s *Service) Order(ctx context.Context, tx *store.Tx, o Order) error {
	about, err := json.Marshal(o.About)
	if err != nil {
		return fmt.Errorf("order a mail: %w", err)
	}
	if o.Until <= 0 {
		o.Until = usualUntil
	}
	now := s.now()
	if err := insert(ctx, tx, ordered{id: ident.New(), kind: o.Kind, about: about, next: now, until: now.Add(o.Until)}, now); err != nil {
		return err
	}
	tx.AfterCommit(s.rouse)
	return nil
}

// rouse has Run look at the queue.
func (s *Service) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run sends what is ordered, one mail after the other, until ctx ends.
func (s *Service) Run(ctx context.Context) {
	for {
		pause, err := s.work(ctx)
		if err != nil && ctx.Err() == nil {
			s.log.Error("send the mails that wait", "error", err)
			pause = brokenWait
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-s.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// work sends all that is due, and says when to look again.
func (s *Service) work(ctx context.Context) (time.Duration, error) {
	for {
		o, err := first(ctx, s.db.Snapshot())
		if errors.Is(err, store.ErrNoRows) {
			return idlePause, nil
		}
		if err != nil {
			return 0, err
		}
		if wait := o.next.Sub(s.now()); wait > 0 {
			return min(wait, idlePause), nil
		}
		if err := s.attempt(ctx, o); err != nil {
			return 0, err
		}
	}
}

// attempt sends one mail and keeps how it went.
func (s *Service) attempt(ctx context.Context, o ordered) error {
	failed := s.deliver(ctx, o)
	if ctx.Err() != nil {
		return ctx.Err() // the controller stops: it is sent at the next start
	}
	switch {
	case failed == nil:
		return s.settle(ctx, o.id)
	case isPermanent(failed):
		return s.giveUp(ctx, o, failed)
	}
	pause := pauseAfter(o.attempts + 1)
	if !s.now().Add(pause).Before(o.until) {
		return s.giveUp(ctx, o, failed)
	}
	s.log.Warn("a mail could not be sent yet", "kind", string(o.kind), "attempt", o.attempts+1, "again_in", pause, "error", plainText(failed.Error()))
	return s.db.Write(ctx, func(tx *store.Tx) error { return postpone(ctx, tx, o.id, s.now().Add(pause)) })
}

// deliver composes and sends; nil also when there is nothing to send any more.
func (s *Service) deliver(ctx context.Context, o ordered) error {
	compose := s.composer(o.kind)
	if compose == nil {
		return permanent{fmt.Errorf("this release knows no mail of kind %s", o.kind)}
	}
	st, err := s.server.Get(ctx, nil)
	if err != nil {
		return err
	}
	if !st.Value.ready() {
		return errNoServer // before a link is made that nobody would get
	}
	letter, err := compose(ctx, o.about)
	if err != nil || letter == nil {
		return err
	}
	return s.send(ctx, st, *letter, o.id)
}

func (s *Service) settle(ctx context.Context, id string) error {
	return s.db.Write(ctx, func(tx *store.Tx) error { return remove(ctx, tx, id) })
}

func (s *Service) giveUp(ctx context.Context, o ordered, why error) error {
	reason := plainText(why.Error())
	s.log.Error("a mail was given up", "kind", string(o.kind), "attempts", o.attempts+1, "error", reason)
	return s.db.Write(ctx, func(tx *store.Tx) error {
		if err := remove(ctx, tx, o.id); err != nil {
			return err
		}
		return s.events.Append(ctx, tx, event.Event{Type: Failed, Subject: string(o.kind), Actor: access.System()},
			map[string]any{"kind": o.kind, "reason": reason, "attempts": o.attempts + 1})
	})
}

// Test sends a mail at once and gives what the server says against it, as a
// Conflict.
func (s *Service) Test(ctx context.Context, to string) error {
	if err := CheckAddress("to", to); err != nil {
		return err
	}
	st, err := s.server.Get(ctx, nil)
	if err != nil {
		return err
	}
	if !st.Value.ready() {
		return problem.New(problem.Conflict, "no mail server is set: set host and from first")
	}
	err = s.send(ctx, st, Letter{To: to, Text: "test"}, ident.New())
	var told *problem.Problem
	if err == nil || errors.As(err, &told) {
		return err
	}
	return problem.New(problem.Conflict, "the mail could not be sent: %s", plainText(err.Error())).Because(err)
}

func pauseAfter(attempts int) time.Duration {
	return min(firstPause<<min(max(attempts-1, 0), 10), mostPause)
}
