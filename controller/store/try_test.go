package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/mattn/go-sqlite3"

	"github.com/berth-panel/berth/controller/store"
)

func TestTryTakesBackOnlyItself(t *testing.T) {
	t.Parallel()
	db, _ := setup(t)
	boom := errors.New("boom")
	var hooks []string
	err := db.Write(t.Context(), func(tx *store.Tx) error {
		ctx := t.Context()
		if err := addUser(ctx, tx, "before"); err != nil {
			return err
		}
		tx.AfterCommit(func() { hooks = append(hooks, "before") })
		failed := tx.Try(ctx, func() error {
			tx.AfterCommit(func() { hooks = append(hooks, "failed") })
			return errors.Join(addUser(ctx, tx, "failed"), boom)
		})
		if !errors.Is(failed, boom) {
			t.Errorf("Try gave %v", failed)
		}
		return tx.Try(ctx, func() error {
			tx.AfterCommit(func() { hooks = append(hooks, "after") })
			return addUser(ctx, tx, "after")
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(hooks); got != "[before after]" {
		t.Fatalf("hooks ran: %s", got)
	}
	if n := users(t, db); n != 2 {
		t.Fatalf("%d users, want those before and after", n)
	}
}

func TestTryGoesOnAfterABrokenConstraint(t *testing.T) {
	t.Parallel()
	db, _ := setup(t)
	err := db.Write(t.Context(), func(tx *store.Tx) error {
		ctx := t.Context()
		if err := addUser(ctx, tx, "a"); err != nil {
			return err
		}
		if err := tx.Try(ctx, func() error { return addUser(ctx, tx, "a") }); !store.IsUnique(err) {
			t.Errorf("Try gave %v", err)
		}
		return addUser(ctx, tx, "b")
	})
	if err != nil || users(t, db) != 2 {
		t.Fatalf("error %v, %d users", err, users(t, db))
	}
}

func TestUnavailableIsToldFromMistakes(t *testing.T) {
	t.Parallel()
	db, _ := setup(t)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Write(cancelled, func(*store.Tx) error { return nil }); !store.IsUnavailable(err) {
		t.Errorf("a cancelled call: %v", err)
	}
	twice := db.Write(t.Context(), func(tx *store.Tx) error {
		return errors.Join(addUser(t.Context(), tx, "a"), addUser(t.Context(), tx, "a"))
	})
	if twice == nil || store.IsUnavailable(twice) {
		t.Errorf("a broken constraint: %v", twice)
	}
	if err := fmt.Errorf("wrapped: %w", sqlite3.Error{Code: sqlite3.ErrFull}); !store.IsUnavailable(err) {
		t.Errorf("a full disk: %v", err)
	}
	_, err := store.Count(t.Context(), db.Snapshot(), `SELECT nonsense FROM users`)
	if err == nil || store.IsUnavailable(err) {
		t.Errorf("a mistake in a statement: %v", err)
	}
	if store.IsUnavailable(nil) {
		t.Error("no error at all")
	}
}
