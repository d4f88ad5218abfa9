package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
)

// together has Writes stand in line behind one that waits for all of them, so
// that they share its transaction, and gives their errors in that order.
func together(t *testing.T, db *DB, writes ...func(tx *Tx) error) []error {
	t.Helper()
	errs := make([]error, len(writes))
	var wg sync.WaitGroup
	line := func() int {
		db.turns.mu.Lock()
		defer db.turns.mu.Unlock()
		return len(db.turns.front)
	}
	begun := make(chan struct{})
	for i, f := range writes {
		wg.Go(func() {
			defer func() {
				if r := recover(); r != nil {
					errs[i] = fmt.Errorf("panic: %v", r)
				}
			}()
			errs[i] = db.Write(t.Context(), func(tx *Tx) error {
				if i == 0 {
					close(begun)
					for line() < len(writes)-1 {
						runtime.Gosched()
					}
				}
				return f(tx)
			})
		})
		if i == 0 {
			<-begun
			continue
		}
		for i < len(writes)-1 && line() < i { // after the last the line may be gone at once
			runtime.Gosched()
		}
	}
	wg.Wait()
	return errs
}

func shared(t *testing.T) *DB {
	t.Helper()
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "berth.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func user(ctx context.Context, name string) func(tx *Tx) error {
	return func(tx *Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO users (id, username, email, password_hash, created_at, updated_at) VALUES (?,?,?,'',0,0)`, name, name, name)
		return err
	}
}

func names(t *testing.T, db *DB) []string {
	t.Helper()
	out, err := Collect(t.Context(), db.Snapshot(), func(row func(...any) error) (s string, err error) {
		return s, row(&s)
	}, `SELECT id FROM users ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWritesThatWaitShareACommit(t *testing.T) {
	t.Parallel()
	db := shared(t)
	before := db.Version()
	seen := 0
	errs := together(t, db, user(t.Context(), "a"), user(t.Context(), "b"), func(tx *Tx) (err error) {
		seen, err = Count(t.Context(), tx, `SELECT COUNT(*) FROM users`)
		return err
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if db.Version() != before+1 || seen != 2 || !slices.Equal(names(t, db), []string{"a", "b"}) {
		t.Fatalf("%d commits, the third saw %d, there are %v", db.Version()-before, seen, names(t, db))
	}
}

func TestWriteThatFailsTakesBackOnlyItself(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	gone, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(cancel)
	fail := map[string]func(tx *Tx) error{
		"an error": func(tx *Tx) error { return errors.Join(user(t.Context(), "x")(tx), boom) },
		"a context that ends": func(tx *Tx) error {
			if err := user(gone, "x")(tx); err != nil {
				return err
			}
			cancel()
			return user(gone, "y")(tx)
		},
		"a broken constraint": func(tx *Tx) error { return errors.Join(user(t.Context(), "x")(tx), user(t.Context(), "a")(tx)) },
		"a panic": func(tx *Tx) error {
			if err := user(t.Context(), "x")(tx); err != nil {
				return err
			}
			panic(boom)
		},
	}
	for name, f := range fail {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := shared(t)
			hook := func(tx *Tx) error {
				tx.AfterCommit(func() { t.Error("a hook of the Write that failed") })
				return f(tx)
			}
			// As the first, in the middle, and as the last.
			for place := range 3 {
				mine := []string{fmt.Sprint("a", place), fmt.Sprint("b", place)}
				writes := slices.Insert([]func(*Tx) error{user(t.Context(), mine[0]), user(t.Context(), mine[1])}, place, hook)
				if name == "a broken constraint" && place == 0 {
					if err := db.Write(t.Context(), user(t.Context(), "a")); err != nil {
						t.Fatal(err)
					}
				}
				errs := together(t, db, writes...)
				failed := errs[place]
				if failed == nil || errors.Join(slices.Delete(errs, place, place+1)...) != nil {
					t.Fatalf("the one in place %d: %v; the others: %v", place, failed, errs)
				}
				got := names(t, db)
				if slices.Contains(got, "x") || slices.Contains(got, "y") || !slices.Contains(got, mine[0]) || !slices.Contains(got, mine[1]) {
					t.Fatalf("in place %d it left %v", place, got)
				}
			}
		})
	}
}

// A disk that is full, and whatever else makes SQLite take the whole transaction back.
func TestBrokenTransactionIsToldToAllOfIt(t *testing.T) {
	t.Parallel()
	db := shared(t)
	before := db.Version()
	errs := together(t, db, user(t.Context(), "a"), func(tx *Tx) error {
		_, err := tx.ExecContext(t.Context(), `ROLLBACK`)
		return err
	}, user(t.Context(), "c"))
	if errs[0] == nil || errs[1] == nil || errs[2] != nil {
		t.Fatalf("they got %v", errs)
	}
	if got := names(t, db); !slices.Equal(got, []string{"c"}) || db.Version() != before+1 {
		t.Fatalf("there are %v after %d commits", got, db.Version()-before)
	}
}

func TestNoGroupGrowsForEver(t *testing.T) {
	t.Parallel()
	db := shared(t)
	before := db.Version()
	var writes []func(*Tx) error
	for i := range 2*groupMost + 1 {
		writes = append(writes, user(t.Context(), fmt.Sprint(i)))
	}
	if err := errors.Join(together(t, db, writes...)...); err != nil {
		t.Fatal(err)
	}
	if db.Version() != before+3 || len(names(t, db)) != len(writes) {
		t.Fatalf("%d commits for %d Writes", db.Version()-before, len(names(t, db)))
	}
}
