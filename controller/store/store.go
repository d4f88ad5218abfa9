package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/mattn/go-sqlite3"
	"github.com/pressly/goose/v3"

	"github.com/berth-panel/berth/migrations"
	"github.com/berth-panel/berth/shared/problem"
)

// ErrNoRows is what a single-row scan says when there is none.
var ErrNoRows = sql.ErrNoRows

// Querier reads: a Tx and the handle inside Read are ones.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// DB is the database. It is safe for concurrent use.
type DB struct {
	writer  *sql.DB
	turns   turns
	open    *group // belongs to whoever has the turn
	reader  *sql.DB
	version atomic.Uint64
}

// Open opens or makes the database file and brings its schema up to date.
func Open(ctx context.Context, path string) (*DB, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	if err := private(path); err != nil {
		return nil, fmt.Errorf("make the database: %w", err)
	}
	writer := sql.OpenDB(connector{dsn(path, "immediate", false), writerPragmas})
	writer.SetMaxOpenConns(1)
	if err := migrate(ctx, writer); err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	reader := sql.OpenDB(connector{dsn(path, "deferred", true), ""})
	readers := max(4, runtime.NumCPU())
	reader.SetMaxOpenConns(readers)
	reader.SetMaxIdleConns(readers)
	d := &DB{writer: writer, reader: reader}
	d.turns.last = d.settle
	return d, nil
}

// private makes the file, if it is missing, and shuts everybody else out of it,
// also where the directory doesn't. SQLite gives its other files the same mode.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}

// connector opens connections to an address and runs the pragmas in each.
type connector struct{ dsn, pragmas string }

// writerPragmas are those that an address doesn't know.
//
// The journal may become 8,000 pages of 4 KiB long before the writer copies it into
// the file, which waits for the disk. SQLite's own 1,000 are gone after seven
// deployments; in a longer one the pages that are written again and again (the
// indexes' ends) are copied once for all of them.
//
// What a savepoint may have to bring back (see group) is kept in memory: for more
// than 64 KiB, which a deployment has, a temporary file would be written.
const writerPragmas = `PRAGMA wal_autocheckpoint = 8000; PRAGMA temp_store = MEMORY`

// Connect is driver.Connector.
func (c connector) Connect(context.Context) (driver.Conn, error) {
	return c.driver().Open(c.dsn)
}

// Driver is driver.Connector.
func (c connector) Driver() driver.Driver { return c.driver() }

func (c connector) driver() *sqlite3.SQLiteDriver {
	return &sqlite3.SQLiteDriver{ConnectHook: func(conn *sqlite3.SQLiteConn) error {
		_, err := conn.Exec(c.pragmas, nil)
		return err
	}}
}

func dsn(path, lock string, queryOnly bool) string {
	q := url.Values{
		"_journal_mode": {"WAL"},
		"_synchronous":  {"NORMAL"},
		"_foreign_keys": {"true"},
		"_busy_timeout": {"10000"},
		"_txlock":       {lock},
		"_cache_size":   {"-16000"}, // KiB for each connection, at most
		// Compiling a statement costs more than most of ours take to run.
		"_stmt_cache_size": {"128"},
	}
	if queryOnly {
		q.Set("_query_only", "true")
	}
	return (&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: q.Encode()}).String()
}

// migrate brings the schema up to date; one of a later release is refused, for
// what that has put there would be misread or lost.
func migrate(ctx context.Context, db *sql.DB) error {
	have, err := schema(ctx, db)
	if err != nil {
		return err
	}
	newest, err := Newest()
	if err != nil {
		return err
	}
	if have > newest {
		return tooNew(have, newest)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, migrations.FS)
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate the database: %w", err)
	}
	return nil
}

// Close waits for running transactions and closes the file.
func (d *DB) Close() error { return errors.Join(d.reader.Close(), d.writer.Close()) }

// Version counts the commits of this process: what was read under one version
// still holds while the version is the same.
func (d *DB) Version() uint64 { return d.version.Load() }

// Tx is the one write transaction of a moment. Its statements are short and run
// to their end once they have begun, also when their context ends: SQLite answers
// an interrupted one by taking back more than what it wrote.
type Tx struct {
	raw   *sql.Tx
	after []func()
}

// ExecContext is that of database/sql.
func (t *Tx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return t.raw.ExecContext(begun(ctx), query, args...)
}

// QueryContext is that of database/sql.
func (t *Tx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.raw.QueryContext(begun(ctx), query, args...)
}

// QueryRowContext is that of database/sql.
func (t *Tx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return t.raw.QueryRowContext(begun(ctx), query, args...)
}

// begun is a context that has ended, or one that won't.
func begun(ctx context.Context) context.Context {
	if ctx.Err() != nil {
		return ctx
	}
	return context.WithoutCancel(ctx)
}

// AfterCommit runs f once the transaction has been committed, in the order of
// the calls, on the goroutine that called Write; never when it is rolled back.
// The hooks of a later transaction may run before these.
func (t *Tx) AfterCommit(f func()) { t.after = append(t.after, f) }

// Write runs f in a write transaction, alone. An error from f rolls all of it
// back and is returned as it is. Once f has been begun, its end and the commit are
// waited for, whatever becomes of ctx; f may give up by its own error. No network
// call belongs inside, and no reading beside tx: what Writes before it changed is
// seen in tx only (see group).
func (d *DB) Write(ctx context.Context, f func(tx *Tx) error) error {
	return d.write(ctx, false, f)
}

// WriteBehind is Write for what nobody waits for: it lets those who do go first,
// within bounds (see turns).
func (d *DB) WriteBehind(ctx context.Context, f func(tx *Tx) error) error {
	return d.write(ctx, true, f)
}

func (d *DB) write(ctx context.Context, behind bool, f func(tx *Tx) error) error {
	tx, err := d.commit(ctx, behind, f)
	if err != nil {
		return explain(err)
	}
	for _, hook := range tx.after {
		hook()
	}
	return nil
}

// commit is a Write without what comes after its commit.
func (d *DB) commit(ctx context.Context, behind bool, f func(tx *Tx) error) (*Tx, error) {
	if err := d.turns.take(ctx, behind); err != nil {
		return nil, err
	}
	tx, group, err := d.join(ctx, f)
	if err != nil {
		return nil, err
	}
	<-group.done
	return tx, group.err
}

// Try runs f inside the transaction; when f fails, what it wrote and the hooks
// that it registered are taken back, its error is returned as it is, and the
// transaction goes on. Calls may not overlap.
func (t *Tx) Try(ctx context.Context, f func() error) error {
	if _, err := t.ExecContext(ctx, `SAVEPOINT try`); err != nil {
		return err
	}
	hooks := len(t.after)
	failed := f()
	if failed != nil {
		t.after = t.after[:hooks]
		if _, err := t.ExecContext(ctx, `ROLLBACK TO try`); err != nil {
			return errors.Join(failed, err)
		}
	}
	if _, err := t.ExecContext(ctx, `RELEASE try`); err != nil {
		return errors.Join(failed, err)
	}
	return failed
}

// Read runs f on one consistent view.
func (d *DB) Read(ctx context.Context, f func(q Querier) error) error {
	tx, err := d.reader.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return explain(err)
	}
	defer func() { _ = tx.Rollback() }()
	return explain(f(tx))
}

// Snapshot gives plain reading without a transaction around it, for single
// statements on a hot path.
func (d *DB) Snapshot() Querier { return d.reader }

// IsUnique says whether err is a broken UNIQUE or PRIMARY KEY constraint.
func IsUnique(err error) bool {
	var e sqlite3.Error
	return errors.As(err, &e) &&
		(e.ExtendedCode == sqlite3.ErrConstraintUnique || e.ExtendedCode == sqlite3.ErrConstraintPrimaryKey)
}

// IsUnavailable says whether err means that the database could not do its work
// now, whatever it was asked: the disk full or broken, a lock, a cancelled
// context, a closed file. The same call may work later; any other error would
// come again.
func IsUnavailable(err error) bool {
	for _, closed := range []error{context.Canceled, context.DeadlineExceeded, sql.ErrTxDone, sql.ErrConnDone, driver.ErrBadConn} {
		if errors.Is(err, closed) {
			return true
		}
	}
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case sqlite3.ErrFull, sqlite3.ErrIoErr, sqlite3.ErrCantOpen, sqlite3.ErrReadonly, sqlite3.ErrBusy, sqlite3.ErrLocked, sqlite3.ErrNomem,
		sqlite3.ErrInterrupt, sqlite3.ErrCorrupt, sqlite3.ErrProtocol, sqlite3.ErrNotADB, sqlite3.ErrPerm, sqlite3.ErrAuth:
		return true
	default:
		return false
	}
}

// explain turns what an admin can mend into a problem that says so.
func explain(err error) error {
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case sqlite3.ErrFull:
		return problem.New(problem.Internal, "the disk that holds the controller's database is full; nothing was changed").Because(err)
	case sqlite3.ErrIoErr, sqlite3.ErrCantOpen, sqlite3.ErrReadonly:
		return problem.New(problem.Internal, "the controller's database can't be written; nothing was changed").Because(err)
	default:
		return err
	}
}

// Count runs a SELECT that gives one number.
func Count(ctx context.Context, q Querier, query string, args ...any) (int, error) {
	var n int
	err := q.QueryRowContext(ctx, query, args...).Scan(&n)
	return n, err
}

// Collect scans every row of a query with scan, which gets the row's Scan.
func Collect[T any](ctx context.Context, q Querier, scan func(row func(...any) error) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	out := []T{}
	for rows.Next() {
		v, err := scan(rows.Scan)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// Moment reads a column of milliseconds that may be NULL.
func Moment(ms sql.NullInt64) *time.Time {
	if !ms.Valid {
		return nil
	}
	t := time.UnixMilli(ms.Int64).UTC()
	return &t
}

// Millis writes a time that may be none as milliseconds, or NULL.
func Millis(t *time.Time) any {
	if t == nil {
		return nil
	}
	return t.UnixMilli()
}
