// Package store is the controller's SQLite handle: one writer, many readers,
// transactions and migrations. It knows no feature's tables; each feature keeps
// its SQL in its own store.go.
//
// Promises: a Write that returned nil is on disk in the journal (WAL) and
// survives a killed process; its after-commit hooks run once, in order, after
// the commit. A Write sees no other Write. A Read sees one consistent moment.
//
// mattn's driver with plain database/sql: an ORM was measured and took a third
// of the throughput for nothing that a stranger would read faster.
package store
