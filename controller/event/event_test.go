package event_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/store"
)

func setup(t *testing.T) (*event.Log, *store.DB) {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "berth.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return event.New(func() time.Time { return time.UnixMilli(1_700_000_000_123) }), db
}

func add(t *testing.T, l *event.Log, db *store.DB, e event.Event) {
	t.Helper()
	if err := db.Write(t.Context(), func(tx *store.Tx) error { return l.Append(t.Context(), tx, e, map[string]int{"n": 1}) }); err != nil {
		t.Fatal(err)
	}
}

func TestAFactIsLoggedAndHeardOnce(t *testing.T) {
	t.Parallel()
	l, db := setup(t)
	sub := l.Subscribe(10, func(e event.Event) bool { return e.Owner == "anna" })
	defer sub.Close()
	add(t, l, db, event.Event{Type: "instance.suspended", Owner: "anna", Instance: "00000001", Actor: access.System()})
	add(t, l, db, event.Event{Type: "instance.suspended", Owner: "bob", Actor: access.System()})
	heard := <-sub.C()
	if heard.Owner != "anna" || heard.Instance != "00000001" || string(heard.Data) != `{"n":1}` || heard.At.UnixMilli() != 1_700_000_000_123 {
		t.Fatalf("%+v", heard)
	}
	if len(sub.C()) != 0 {
		t.Fatal("it heard what it did not ask for")
	}
	list, total, err := l.List(t.Context(), db.Snapshot(), event.Filter{Owner: "anna", Limit: 10})
	if err != nil || total != 1 || list[0].ID != heard.ID || list[0].Actor.Via != access.ViaSystem {
		t.Fatalf("%+v, %d, %v", list, total, err)
	}
}

func TestARolledBackFactNeverWas(t *testing.T) {
	t.Parallel()
	l, db := setup(t)
	sub := l.Subscribe(10, nil)
	defer sub.Close()
	boom := errors.New("boom")
	err := db.Write(t.Context(), func(tx *store.Tx) error {
		return errors.Join(l.Append(t.Context(), tx, event.Event{Type: "x.y", Actor: access.System()}, nil), boom)
	})
	if !errors.Is(err, boom) || len(sub.C()) != 0 {
		t.Fatalf("%v, heard %d", err, len(sub.C()))
	}
	if _, total, err := l.List(t.Context(), db.Snapshot(), event.Filter{Limit: 1}); err != nil || total != 0 {
		t.Fatalf("%d in the log, %v", total, err)
	}
}

func TestASlowListenerIsDroppedAndHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	l, db := setup(t)
	slow, quick := l.Subscribe(1, nil), l.Subscribe(10, nil)
	for range 3 {
		add(t, l, db, event.Event{Type: "x.y", Actor: access.System()})
	}
	<-slow.C()
	if _, open := <-slow.C(); open {
		t.Fatal("the slow listener was not dropped")
	}
	if n := len(quick.C()); n != 3 {
		t.Fatalf("the quick one has %d of 3", n)
	}
	slow.Close() // a second end is harmless
	quick.Close()
	quick.Close()
}

func TestAfterRisesAndDefaultFalls(t *testing.T) {
	t.Parallel()
	l, db := setup(t)
	for range 5 {
		add(t, l, db, event.Event{Type: "x.y", Node: "n", Actor: access.System()})
	}
	falling, total, err := l.List(t.Context(), db.Snapshot(), event.Filter{Node: "n", Limit: 2, Offset: 1})
	if err != nil || total != 5 || len(falling) != 2 || falling[0].ID != 4 || falling[1].ID != 3 {
		t.Fatalf("%+v, %d, %v", falling, total, err)
	}
	rising, _, err := l.List(t.Context(), db.Snapshot(), event.Filter{After: 2, Limit: 2})
	if err != nil || len(rising) != 2 || rising[0].ID != 3 || rising[1].ID != 4 {
		t.Fatalf("%+v, %v", rising, err)
	}
}
