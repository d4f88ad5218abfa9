package store_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"github.com/berth-panel/berth/controller/store"
)

func setup(t *testing.T) (*store.DB, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "with space & ?odd=name", "berth.db")
	db, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db, path
}

func addUser(ctx context.Context, tx *store.Tx, id string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO users (id, username, email, password_hash, created_at, updated_at) VALUES (?,?,?,'',0,0)`,
		id, "name-"+id, id+"@example.test")
	return err
}

func users(t *testing.T, db *store.DB) int {
	t.Helper()
	var n int
	if err := db.Read(t.Context(), func(q store.Querier) (err error) {
		n, err = store.Count(t.Context(), q, `SELECT COUNT(*) FROM users`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWriteCommitsAndRunsHooksInOrder(t *testing.T) {
	t.Parallel()
	db, _ := setup(t)
	var order []int
	before := db.Version()
	err := db.Write(t.Context(), func(tx *store.Tx) error {
		tx.AfterCommit(func() { order = append(order, 1, users(t, db)) })
		tx.AfterCommit(func() { order = append(order, 2) })
		return addUser(t.Context(), tx, "a")
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(order) != 3 || order[0] != 1 || order[1] != 1 || order[2] != 2 {
		t.Fatalf("hooks ran as %v", order)
	}
	if db.Version() == before {
		t.Fatal("the version stayed the same over a commit")
	}
}

func TestErrorRollsEverythingBack(t *testing.T) {
	t.Parallel()
	db, _ := setup(t)
	boom := errors.New("boom")
	err := db.Write(t.Context(), func(tx *store.Tx) error {
		tx.AfterCommit(func() { t.Error("a hook ran without a commit") })
		if err := addUser(t.Context(), tx, "a"); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) || users(t, db) != 0 {
		t.Fatalf("error %v, %d users", err, users(t, db))
	}
}

func TestUniqueIsTold(t *testing.T) {
	t.Parallel()
	db, _ := setup(t)
	err := db.Write(t.Context(), func(tx *store.Tx) error {
		return errors.Join(addUser(t.Context(), tx, "a"), addUser(t.Context(), tx, "a"))
	})
	if !store.IsUnique(err) {
		t.Fatalf("not told as a broken unique constraint: %v", err)
	}
}

func TestWritersQueueAndNoneIsLost(t *testing.T) {
	t.Parallel()
	db, _ := setup(t)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			id := string(rune('a'+i%26)) + string(rune('a'+i/26))
			if err := db.Write(t.Context(), func(tx *store.Tx) error { return addUser(t.Context(), tx, id) }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := users(t, db); n != 50 {
		t.Fatalf("%d of 50 writes are there", n)
	}
}

func TestReadersCannotWrite(t *testing.T) {
	t.Parallel()
	db, _ := setup(t)
	rows, err := db.Snapshot().QueryContext(t.Context(), `INSERT INTO users (id, username, email, password_hash, created_at, updated_at) VALUES ('x','x','x','',0,0) RETURNING id`)
	if err == nil {
		defer func() { _ = rows.Close() }()
		rows.Next()
		err = rows.Err()
	}
	if err == nil {
		t.Fatal("a reader wrote")
	}
}

func TestOpenAgainKeepsData(t *testing.T) {
	t.Parallel()
	db, path := setup(t)
	if err := db.Write(t.Context(), func(tx *store.Tx) error { return addUser(t.Context(), tx, "a") }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close() }()
	if n := users(t, again); n != 1 {
		t.Fatalf("%d users after opening again", n)
	}
}
