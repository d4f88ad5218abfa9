package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/migrations"
	"github.com/berth-panel/berth/shared/problem"
)

// released is a folder of dumps, one for each released schema.
const released = "../../migrations/testdata"

// dumped makes a database file of a released schema, filled.
func dumped(t *testing.T, version int) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(released, fmt.Sprintf("%04d.sql", version)))
	if err != nil {
		t.Fatalf("%v: every migration is tested on a filled database of the schema before it. "+
			"Fill one with the release before, every table of it, and write it there with `sqlite3 berth.db .dump`", err)
	}
	path := filepath.Join(t.TempDir(), "berth.db")
	raw := plain(t, path)
	if _, err := raw.Exec(string(text)); err != nil {
		t.Fatal(err)
	}
	if _, err := raw.Exec(`PRAGMA journal_mode = WAL`); err != nil { // as the release left it
		t.Fatal(err)
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// plain opens a file without any of the store's doings.
func plain(t *testing.T, path string) *sql.DB {
	t.Helper()
	raw, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	raw.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = raw.Close() })
	return raw
}

// table is one table's rows as text.
type table struct{ columns, rows []string }

// tables gives every row of every table; like names the tables and columns to
// give, nil: all.
func tables(t *testing.T, path string, like map[string]table) map[string]table {
	t.Helper()
	raw := plain(t, path)
	defer func() { _ = raw.Close() }()
	if like == nil {
		like = map[string]table{}
		for _, name := range column(t, raw, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'goose_db_version'`) {
			like[name] = table{columns: column(t, raw, `SELECT name FROM pragma_table_info('`+name+`')`)}
		}
	}
	out := map[string]table{}
	for name, one := range like {
		parts := make([]string, len(one.columns))
		for i, c := range one.columns {
			parts[i] = `'` + c + `=' || quote("` + c + `")`
		}
		one.rows = column(t, raw, `SELECT `+strings.Join(parts, ` || ' ' || `)+` AS line FROM "`+name+`" ORDER BY line`)
		out[name] = one
	}
	return out
}

func column(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	found, err := db.Query(query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer func() { _ = found.Close() }()
	out := []string{}
	for found.Next() {
		var text string
		if err := found.Scan(&text); err != nil {
			t.Fatal(err)
		}
		out = append(out, text)
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// A database of every released schema is opened by today's program, with all of
// its rows, and is as sound as one that was made today.
func TestEveryReleasedSchema(t *testing.T) {
	t.Parallel()
	newest, err := store.Newest()
	if err != nil {
		t.Fatal(err)
	}
	today := filepath.Join(t.TempDir(), "berth.db")
	open(t, today)
	for version := 1; version < newest; version++ {
		t.Run(fmt.Sprintf("%04d", version), func(t *testing.T) {
			t.Parallel()
			path := dumped(t, version)
			if have, err := store.Schema(t.Context(), path); err != nil || have != version {
				t.Fatalf("the dump has the schema %d, %v", have, err)
			}
			before := tables(t, path, nil)
			db := open(t, path)
			if have, err := store.Check(t.Context(), path); err != nil || have != newest {
				t.Errorf("after the migration: %d, %v", have, err)
			}
			after := tables(t, path, before)
			for name, one := range before {
				if len(one.rows) == 0 {
					t.Errorf("the dump has no row in %s", name)
				}
				if !slices.Equal(one.rows, after[name].rows) {
					t.Errorf("%s held\n%s\nand holds\n%s", name, strings.Join(one.rows, "\n"), strings.Join(after[name].rows, "\n"))
				}
			}
			sameSchema(t, path, today)
			loads(t, db)
		})
	}
}

// sameSchema compares tables, columns, indexes and triggers.
func sameSchema(t *testing.T, path, today string) {
	t.Helper()
	describe := func(path string) string {
		raw := plain(t, path)
		defer func() { _ = raw.Close() }()
		all := column(t, raw, `SELECT m.type || ' ' || m.name || ' ' || COALESCE((SELECT group_concat(c.name || ' ' || c.type || ' ' || c."notnull" || ' ' || COALESCE(c.dflt_value, '-'), ', ')
			FROM (SELECT * FROM pragma_table_info(m.name) ORDER BY name) c), '') AS line FROM sqlite_master m WHERE m.name NOT LIKE 'sqlite_%' ORDER BY line`)
		return strings.Join(all, "\n")
	}
	if got, want := describe(path), describe(today); got != want {
		t.Errorf("the schema differs from a new one's:\n%s\n\nnew:\n%s", got, want)
	}
}

// loads checks what placement goes by against the instances themselves, and that
// the triggers go on with it.
func loads(t *testing.T, db *store.DB) {
	t.Helper()
	wrong := func() int {
		n, err := store.Count(t.Context(), db.Snapshot(), `SELECT COUNT(*) FROM nodes n LEFT JOIN node_loads l ON l.node_id = n.id
			WHERE l.node_id IS NULL OR l.instances <> (SELECT COUNT(*) FROM instances i WHERE i.node_id = n.id)
			OR l.memory_mib <> (SELECT COALESCE(SUM(memory_mib), 0) FROM instances i WHERE i.node_id = n.id) + (SELECT COALESCE(SUM(memory_mib), 0) FROM moves m WHERE m.counts_on = n.id)
			OR l.disk_mib <> (SELECT COALESCE(SUM(disk_mib), 0) FROM instances i WHERE i.node_id = n.id) + (SELECT COALESCE(SUM(disk_mib), 0) FROM moves m WHERE m.counts_on = n.id)
			OR l.nano_cpus <> (SELECT COALESCE(SUM(nano_cpus), 0) FROM instances i WHERE i.node_id = n.id) + (SELECT COALESCE(SUM(nano_cpus), 0) FROM moves m WHERE m.counts_on = n.id)`)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := wrong(); n != 0 {
		t.Errorf("%d nodes have a load that isn't their instances' and moves'", n)
	}
	total, err := store.Count(t.Context(), db.Snapshot(), `SELECT SUM(memory_mib) FROM node_loads`)
	if err != nil || total == 0 {
		t.Errorf("the loads are %d MiB, %v", total, err)
	}
	err = db.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.ExecContext(t.Context(), `UPDATE instances SET memory_mib = memory_mib + 7`)
		return err
	})
	if n := wrong(); err != nil || n != 0 {
		t.Errorf("after a change %d nodes have a load that isn't their instances' and moves' (%v)", n, err)
	}
}

func TestNewestIsTheLastFile(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(migrations.FS, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	if newest, err := store.Newest(); err != nil || newest != len(files) {
		t.Errorf("%d of %d, %v", newest, len(files), err)
	}
}

// A database of a newer release is refused, unchanged, with what to do.
func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "berth.db")
	db := open(t, path)
	err := db.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	refused := func(err error) {
		t.Helper()
		if !problem.Is(err, problem.Conflict) || !strings.Contains(err.Error(), "newer release") || !strings.Contains(err.Error(), "restore") {
			t.Errorf("%v", err)
		}
	}
	_, err = store.Open(t.Context(), path)
	refused(err)
	_, err = store.Check(t.Context(), path)
	refused(err)
}

func open(t *testing.T, path string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// A snapshot is one moment, while somebody writes.
func TestSnapshotIsOneMoment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "berth.db")
	db := open(t, path)
	write := func(ctx context.Context, n int) error {
		return db.Write(ctx, func(tx *store.Tx) error {
			for _, name := range []string{"a", "b"} { // always as many of both
				if _, err := tx.ExecContext(ctx, `INSERT INTO totals (name, total) VALUES (?, 0)`, fmt.Sprint(name, n)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		for n := 1000; ctx.Err() == nil; n++ {
			if err := write(t.Context(), n); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for n := range 20 {
		if err := write(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, fmt.Sprint("copy", n))
		if err := store.Snapshot(t.Context(), path, to); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Check(t.Context(), to); err != nil {
			t.Fatal(err)
		}
		raw := plain(t, to)
		got := column(t, raw, `SELECT (SELECT COUNT(*) FROM totals WHERE name LIKE 'a%') - (SELECT COUNT(*) FROM totals WHERE name LIKE 'b%')
			UNION ALL SELECT COUNT(*) FROM totals WHERE name = 'a`+fmt.Sprint(n)+`'`)
		if got[0] != "0" || got[1] != "1" {
			t.Fatalf("copy %d: %v", n, got)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestCheckFindsDamage(t *testing.T) {
	t.Parallel()
	fresh := func(edit string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "berth.db")
		if err := open(t, path).Close(); err != nil {
			t.Fatal(err)
		}
		raw := plain(t, path)
		defer func() { _ = raw.Close() }()
		if _, err := raw.Exec(edit); err != nil {
			t.Fatal(err)
		}
		return path
	}
	loose := fresh(`PRAGMA foreign_keys = OFF; INSERT INTO image_references (reference, image_id, position) VALUES ('x', 'nobody', 0)`)
	if _, err := store.Check(t.Context(), loose); err == nil || !strings.Contains(err.Error(), "image_references refers to a row of images") {
		t.Errorf("%v", err)
	}
	torn := fresh(`PRAGMA journal_mode = DELETE; PRAGMA user_version = 1`)
	text, err := os.ReadFile(torn)
	if err != nil {
		t.Fatal(err)
	}
	for i := 5 * 4096; i < 9*4096; i++ {
		text[i] ^= 0x5a
	}
	if err := os.WriteFile(torn, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Check(t.Context(), torn); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("%v", err)
	}
	empty := filepath.Join(t.TempDir(), "empty.db")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Check(t.Context(), empty); err == nil || !strings.Contains(err.Error(), "no database of a controller") {
		t.Errorf("%v", err)
	}
	if v, err := store.Schema(t.Context(), filepath.Join(t.TempDir(), "none")); v != 0 || err != nil {
		t.Errorf("%d, %v", v, err)
	}
}
