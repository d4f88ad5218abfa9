package event_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/store"
)

const day = 24 * time.Hour

// Facts older than what is kept are deleted at the start and from then on every
// hour; more than a batch of them too; younger ones stay.
func TestOldFactsAreDeleted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		db, err := store.Open(t.Context(), filepath.Join(dir, "berth.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		l := event.New(time.Now)
		ctx, cancel := context.WithCancel(t.Context())
		fill(t, l, db, 2300)
		time.Sleep(10*day + time.Second)
		fill(t, l, db, 5)
		done := make(chan struct{})
		go func() {
			defer close(done)
			l.Run(ctx, db, 10*day, slog.New(slog.DiscardHandler))
		}()
		time.Sleep(time.Minute)
		if n := count(t, l, db); n != 5 {
			t.Errorf("%d are left, want the 5 young ones", n)
		}
		time.Sleep(10 * day)
		if n := count(t, l, db); n != 0 {
			t.Errorf("%d are left, want none", n)
		}
		fill(t, l, db, 1)
		list, _, err := l.List(t.Context(), db.Snapshot(), event.Filter{Sight: event.Everything(), Limit: 10})
		if err != nil || len(list) != 1 || list[0].ID != 2306 {
			t.Errorf("a number was given out again: %+v, %v", list, err)
		}
		cancel()
		<-done
	})
}

func TestFactsAreKeptForEver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db, err := store.Open(t.Context(), filepath.Join(dir, "berth.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var now atomic.Int64
	l := event.New(func() time.Time { return time.UnixMilli(now.Load()) })
	fill(t, l, db, 3)
	now.Store(int64(100 * 365 * day / time.Millisecond))
	l.Run(t.Context(), db, 0, slog.New(slog.DiscardHandler)) // returns: nothing to do
	if n := count(t, l, db); n != 3 {
		t.Fatalf("%d are left", n)
	}
}

func fill(t *testing.T, l *event.Log, db *store.DB, n int) {
	t.Helper()
	if err := db.Write(t.Context(), func(tx *store.Tx) error {
		for range n {
			if err := l.Append(t.Context(), tx, event.Event{Type: "x.y", Actor: access.System()}, nil); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, l *event.Log, db *store.DB) int {
	t.Helper()
	_, total, err := l.List(t.Context(), db.Snapshot(), event.Filter{Sight: event.Everything(), Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	return total
}
