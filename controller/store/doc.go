// Package store is the controller's SQLite handle: one writer, many readers,
// transactions and migrations. It knows no feature's tables; each feature keeps
// its SQL in its own store.go.
//
// Promises: a Write that returned nil is on disk in the journal (WAL) and
// survives a killed process; its after-commit hooks run once, in order, after
// the commit; those of two Writes in any order, or at the same time, so a hook
// says that something is new and never what. A Write sees all Writes before it and
// no other one. A Read sees one consistent moment, with all that was committed
// before the last commit that it sees.
//
// Writers take turns: Write, which somebody waits for, goes before WriteBehind,
// which has at least each fifth turn that it wants. A thousand instances that tell
// of their start don't hold up who clicks on a button. Those that wait for a turn
// share a commit with the one that has it (see group): all of them return after
// it, and one that fails takes back only what it wrote itself.
//
// Decided: synchronous is NORMAL. A commit is in the kernel's hands when Write
// returns, so a process that is killed at any moment loses nothing; a machine
// that loses its power may lose the last commits (never the file's soundness),
// and what the agents hold is then above what we know, which Reconcile mends.
// FULL was measured on one virtual disk: 1.55 ms for a commit of eight rows
// against 0.05 ms, so 645 commits in a second against 20,000. A deployment takes
// at least six (accept, begin, tell, three events), so 200 of them in a second
// would need 1,200.
//
// # Statements that run all the time
//
// SQLite compiles a statement anew when a parameter changes that its plan looked at
// (whether it is 0 or 1), and the driver, which empties all
// parameters after each use, makes it think so each time. Where that showed in a
// profile, the parameter is written +?, which no plan looks into.
//
// # Releases
//
// A database of an older schema is brought up to date when it is opened (what
// backs it up before that is controller/app), one of a newer schema is refused,
// unchanged. migrations/testdata holds a filled database of each released schema,
// and a test opens all of them. Snapshot copies a database at one moment while
// others write, from any process; Check says whether a copy is sound.
//
// mattn's driver with plain database/sql: an ORM was measured and took a third
// of the throughput for nothing that a stranger would read faster.
package store
