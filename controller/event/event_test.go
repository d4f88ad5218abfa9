package event_test

import (
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

func TestAfterRisesAndDefaultFalls(t *testing.T) {
	t.Parallel()
	l, db := setup(t)
	for range 5 {
		add(t, l, db, event.Event{Type: "x.y", Node: "n", Actor: access.System()})
	}
	falling, total, err := l.List(t.Context(), db.Snapshot(), event.Filter{Sight: event.Everything(), Node: "n", Limit: 2, Offset: 1})
	if err != nil || total != 5 || len(falling) != 2 || falling[0].ID != 4 || falling[1].ID != 3 {
		t.Fatalf("%+v, %d, %v", falling, total, err)
	}
	rising, _, err := l.List(t.Context(), db.Snapshot(), event.Filter{Sight: event.Everything(), After: 2, Limit: 2})
	if err != nil || len(rising) != 2 || rising[0].ID != 3 || rising[1].ID != 4 {
		t.Fatalf("%+v, %v", rising, err)
	}
}
