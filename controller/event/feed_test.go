package event_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/store"
)

func follow(t *testing.T, l *event.Log, db *store.DB, f event.Filter) *event.Feed {
	t.Helper()
	feed, err := l.Follow(t.Context(), db, f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(feed.Close)
	return feed
}

// next gives what the feed gives, and fails when that takes long.
func next(t *testing.T, feed *event.Feed) []event.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	facts, err := feed.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

func ids(facts []event.Event) (out []int64) {
	for _, e := range facts {
		out = append(out, e.ID)
	}
	return out
}

func TestAFactIsLoggedAndHeardOnce(t *testing.T) {
	t.Parallel()
	l, db := setup(t)
	add(t, l, db, event.Event{Type: "instance.started", Owner: "anna", Actor: access.System()})
	feed := follow(t, l, db, event.Filter{Sight: event.Sight{Me: "anna"}})
	add(t, l, db, event.Event{Type: "instance.suspended", Owner: "bob", Actor: access.System()})
	add(t, l, db, event.Event{Type: "instance.suspended", Owner: "anna", Instance: "00000001", Actor: access.System()})
	facts := next(t, feed)
	if len(facts) != 1 {
		t.Fatalf("heard %+v", facts)
	}
	heard := facts[0]
	if heard.Owner != "anna" || heard.Instance != "00000001" || string(heard.Data) != `{"n":1}` || heard.At.UnixMilli() != 1_700_000_000_123 {
		t.Fatalf("%+v", heard)
	}
	list, total, err := l.List(t.Context(), db.Snapshot(), event.Filter{Sight: event.Sight{Me: "anna"}, Limit: 10})
	if err != nil || total != 2 || list[0].ID != heard.ID || list[0].Actor.Via != access.ViaSystem {
		t.Fatalf("%+v, %d, %v", list, total, err)
	}
	add(t, l, db, event.Event{Type: "instance.stopped", Owner: "anna", Actor: access.System()})
	if again := next(t, feed); len(again) != 1 || again[0].Type != "instance.stopped" {
		t.Fatalf("then heard %+v", again)
	}
}

func TestARolledBackFactNeverWas(t *testing.T) {
	t.Parallel()
	l, db := setup(t)
	feed := follow(t, l, db, event.Filter{Sight: event.Everything()})
	boom := errors.New("boom")
	err := db.Write(t.Context(), func(tx *store.Tx) error {
		return errors.Join(l.Append(t.Context(), tx, event.Event{Type: "never.was", Actor: access.System()}, nil), boom)
	})
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	add(t, l, db, event.Event{Type: "x.y", Actor: access.System()})
	if facts := next(t, feed); len(facts) != 1 || facts[0].Type != "x.y" {
		t.Fatalf("heard %+v", facts)
	}
	if _, total, err := l.List(t.Context(), db.Snapshot(), event.Filter{Sight: event.Everything(), Limit: 1}); err != nil || total != 1 {
		t.Fatalf("%d in the log, %v", total, err)
	}
}

// The hooks of a transaction may run after those of one that was committed
// later. Who hears of the later one first must hear of the earlier one before
// it: it may leave then, and come back for what is after the last it has.
func TestAFactThatIsAnnouncedLateIsHeardInItsPlace(t *testing.T) {
	t.Parallel()
	l, db := setup(t)
	feed := follow(t, l, db, event.Filter{Sight: event.Everything()})
	committed, announce, done := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		done <- db.Write(t.Context(), func(tx *store.Tx) error {
			tx.AfterCommit(func() { close(committed); <-announce })
			return l.Append(t.Context(), tx, event.Event{Type: "a.first", Actor: access.System()}, nil)
		})
	}()
	<-committed
	add(t, l, db, event.Event{Type: "b.second", Actor: access.System()})
	facts := next(t, feed)
	close(announce)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if len(facts) != 2 || facts[0].Type != "a.first" || facts[1].Type != "b.second" {
		t.Fatalf("heard %+v", facts)
	}
	add(t, l, db, event.Event{Type: "c.third", Actor: access.System()})
	if facts := next(t, feed); len(facts) != 1 || facts[0].Type != "c.third" {
		t.Fatalf("then heard %+v", facts)
	}
}

// Many at once: every listener gets every fact once, in the order of the numbers.
func TestParallelWritersAndListeners(t *testing.T) {
	t.Parallel()
	l, db := setup(t)
	const writers, each = 8, 40
	var wg sync.WaitGroup
	for range 4 {
		feed := follow(t, l, db, event.Filter{Sight: event.Everything()})
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			var last int64
			for n := 0; n < writers*each; {
				facts, err := feed.Next(ctx)
				if err != nil {
					t.Errorf("after %d: %v", n, err)
					return
				}
				for _, e := range facts {
					if e.ID != last+1 {
						t.Errorf("after %d came %d", last, e.ID)
					}
					last = e.ID
				}
				n += len(facts)
			}
		})
	}
	for range writers {
		wg.Go(func() {
			for range each {
				if err := db.Write(t.Context(), func(tx *store.Tx) error {
					return l.Append(t.Context(), tx, event.Event{Type: "x.y", Actor: access.System()}, nil)
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestAListenerThatIsSlowHoldsNobodyUpAndMissesNothing(t *testing.T) {
	t.Parallel()
	l, db := setup(t)
	slow := follow(t, l, db, event.Filter{Sight: event.Everything()})
	const many = 1200 // more than two reads
	if err := db.Write(t.Context(), func(tx *store.Tx) error {
		for range many {
			if err := l.Append(t.Context(), tx, event.Event{Type: "x.y", Actor: access.System()}, nil); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var got []int64
	for len(got) < many {
		got = append(got, ids(next(t, slow))...)
	}
	for i, id := range got {
		if id != int64(i)+1 {
			t.Fatalf("the %d. is %d", i, id)
		}
	}
	slow.Close() // a second end is harmless
}

func TestAFeedBeginsWhereItIsTold(t *testing.T) {
	t.Parallel()
	l, db := setup(t)
	for range 5 {
		add(t, l, db, event.Event{Type: "x.y", Actor: access.System()})
	}
	now, after, future := follow(t, l, db, event.Filter{Sight: event.Everything()}), follow(t, l, db, event.Filter{Sight: event.Everything(), After: 3}), follow(t, l, db, event.Filter{Sight: event.Everything(), After: 900})
	add(t, l, db, event.Event{Type: "x.y", Actor: access.System()})
	for _, c := range []struct {
		name string
		feed *event.Feed
		want string
	}{{"now", now, "[6]"}, {"after", after, "[4 5 6]"}, {"of a number of another database", future, "[6]"}} {
		if got := fmt.Sprint(ids(next(t, c.feed))); got != c.want {
			t.Errorf("%s: heard %s, want %s", c.name, got, c.want)
		}
	}
}

// A listener that waits is woken by each fact of its own, and now and then by
// others', so that it need not walk over all of them later.
func TestAWaitingFeedIsWoken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, db := setup(t)
		feed := follow(t, l, db, event.Filter{Sight: event.Everything(), Type: "its.own"})
		ctx, cancel := context.WithCancel(t.Context())
		got, done := make(chan []event.Event, 10), make(chan struct{})
		go func() {
			defer close(done)
			for {
				facts, err := feed.Next(ctx)
				if err != nil {
					return
				}
				got <- facts
			}
		}()
		for n := range 3 {
			synctest.Wait() // it waits
			add(t, l, db, event.Event{Type: "its.own", Actor: access.System()})
			time.Sleep(time.Second) // of the test's own clock: it gathers
			synctest.Wait()
			if len(got) != n+1 {
				t.Fatalf("after the %d. fact it has %d", n+1, len(got))
			}
		}
		fill(t, l, db, 1001)
		time.Sleep(time.Second)
		synctest.Wait()
		cancel()
		<-done
		if len(got) != 3 || feed.Read() < 1000 {
			t.Fatalf("it got %d, and has read up to %d", len(got), feed.Read())
		}
	})
}

func TestAFeedEndsWithItsContext(t *testing.T) {
	t.Parallel()
	l, db := setup(t)
	feed := follow(t, l, db, event.Filter{Sight: event.Everything()})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := feed.Next(ctx)
		ended <- err
	}()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	feed.Close()
}
