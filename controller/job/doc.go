// Package job is durable work: a record that is written in the transaction that
// wants the work, done by a handler, and seen by people while it goes on, with
// its step, percentage, log, and a sentence when it failed.
//
//	queued → running → succeeded | failed | cancelled
//	running → queued   (a passing failure: again after a pause, attempts counted)
//	running → waiting  (the node is offline: again when it is back)
//	waiting → queued
//
// A handler either ends its job or hands it over: a handed job stays running
// until an event from outside ends it (Finish), in the very transaction in which
// that event takes effect. Every job has a deadline, so none is stuck.
//
// Promises: at most one job of an instance is alive at a time, held by a unique
// index, and a second is refused with RESOURCE_BUSY that names the first. After
// a restart every living job starts again: handlers are idempotent because the
// agent goes by generations. A job that fails or is cancelled lets its feature
// know in the same transaction.
//
// The table is our own: River's driver for SQLite is young, and a general queue
// has no "handed over". It is small because a single process works it off.
package job
