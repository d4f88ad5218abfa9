package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/berth-panel/berth/migrations"
	"github.com/berth-panel/berth/shared/problem"
)

// Newest is the number of the newest migration that this program has.
func Newest() (int, error) {
	files, err := fs.Glob(migrations.FS, "*.sql")
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("read the migrations: %w", errors.Join(err, fs.ErrNotExist))
	}
	number, _, _ := strings.Cut(files[len(files)-1], "_") // Glob sorts
	return strconv.Atoi(number)
}

// Schema says which migration was the last of the database in a file: 0 for
// none, or no file.
func Schema(ctx context.Context, path string) (version int, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && info.Size() == 0) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	err = alone(path, func(db *sql.DB) error {
		version, err = schema(ctx, db)
		return err
	})
	return version, err
}

func schema(ctx context.Context, db *sql.DB) (int, error) {
	var tables int
	if err := db.QueryRowContext(ctx, `SELECT COUNT(*) FROM sqlite_master WHERE name = 'goose_db_version'`).Scan(&tables); err != nil {
		return 0, explain(err)
	}
	if tables == 0 {
		return 0, nil
	}
	var version int
	err := db.QueryRowContext(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&version)
	return version, explain(err)
}

// alone opens a database file for one connection that changes nothing in it. It
// is opened for writing: reading a database in WAL mode takes that, and a copy of
// it (VACUUM INTO) counts as writing.
func alone(path string, f func(db *sql.DB) error) error {
	db, err := sql.Open("sqlite3", (&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: url.Values{
		"mode": {"rw"}, "_busy_timeout": {"10000"},
	}.Encode()}).String())
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	return errors.Join(f(db), db.Close())
}

// Snapshot writes the database at one moment into a new file, whether a
// controller uses it meanwhile or not; writers don't wait for it. The file may
// exist if it is empty. It is on the disk when Snapshot returns.
func Snapshot(ctx context.Context, from, to string) error {
	err := alone(from, func(db *sql.DB) error {
		_, err := db.ExecContext(ctx, `VACUUM INTO ?`, to)
		return explain(err)
	})
	if err != nil {
		return fmt.Errorf("copy the database: %w", err)
	}
	f, err := os.Open(to)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Check reads a whole database file and says whether it is sound, and one that
// this program can open: every page, every index, every reference, the schema's
// version. An error says what is wrong with it.
func Check(ctx context.Context, path string) (version int, err error) {
	newest, err := Newest()
	if err != nil {
		return 0, err
	}
	err = alone(path, func(db *sql.DB) error {
		var said string
		if err := db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&said); err != nil {
			return fmt.Errorf("the database is damaged: %w", err)
		}
		if said != "ok" {
			return fmt.Errorf("the database is damaged: %s", said)
		}
		if err := references(ctx, db); err != nil {
			return err
		}
		version, err = schema(ctx, db)
		return err
	})
	switch {
	case err != nil:
		return version, err
	case version == 0:
		return version, errors.New("this is no database of a controller")
	case version > newest:
		return version, tooNew(version, newest)
	}
	return version, nil
}

func references(ctx context.Context, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, `PRAGMA foreign_key_check`)
	if err != nil {
		return fmt.Errorf("check the database's references: %w", err)
	}
	defer func() { _ = rows.Close() }()
	if rows.Next() {
		var table, parent string
		var row, key sql.NullInt64
		if err := rows.Scan(&table, &row, &parent, &key); err != nil {
			return err
		}
		return fmt.Errorf("the database is damaged: a row of %s refers to a row of %s that is not there", table, parent)
	}
	return rows.Err()
}

// tooNew is what Open and Check say of a database of a later release.
func tooNew(have, newest int) error {
	return problem.New(problem.Conflict, "this database was written by a newer release of Berth (its schema is number %d, this program knows %d): "+
		"run that release again, or restore a backup that was made before it: `berth-controller restore FILE`; "+
		"the controller makes one by itself before each change of the schema, in backups/ of its data directory", have, newest)
}
