// Package job is durable work: a record that is written in the transaction that
// wants the work, done by a handler, and seen by people while it goes on, with
// its step, percentage, log, and a sentence when it failed.
//
//	queued → running → succeeded | failed | cancelled
//	running → queued   (a passing failure: again after a pause, attempts counted)
//	running → waiting  (the node is offline: again when it is back)
//	waiting → queued
//
// A handler either ends its job, hands it over, or asks to be called again. A
// handed job stays running until an event from outside ends it (Finish), in the
// very transaction in which that event takes effect. Again is for what has to be
// asked now and then, and for long work that is done in slices: the job stays
// running, takes no worker in the pause, and what it remembers (Remember) is
// there at the next call.
//
// # Tasks
//
// A kind of several steps says so: its tasks are written with the job, done in
// order, each remembered when it is done. A restart goes on at the first that
// isn't, and attempts are counted for each task anew.
//
//	pending → running → done | failed | cancelled
//	pending → skipped  (the job ended before it)
//
// # Promises
//
//   - At most one job of an instance is alive at a time, held by a unique index,
//     and a second is refused with RESOURCE_BUSY that names the first. Kinds that
//     don't touch its settings or power may go on beside it (Policy.Beside), a few
//     at a time, and never beside one that must be alone (Policy.Alone).
//   - Every job has a deadline, so none is stuck: not one that waits for a node,
//     nor one that was handed, nor one whose handler does not come back.
//   - Who claims a job takes a lease, somewhat longer than a call may last. A
//     call that ends gives it back. One that was lost (its goroutine is gone)
//     loses it, and the job is due again. A handler that panics has failed in
//     passing, which counts as an attempt and is logged with its stack.
//   - After a restart every living job goes on: handlers are idempotent because
//     the agent goes by generations. What was cut off is no failed attempt.
//   - A job whose node is away says so, with the reason, since when, and without
//     a worker; Wake has it go on at once.
//   - A job that is cancelled, superseded or too late interrupts its handler, and
//     what that still returns, or remembers, changes nothing.
//   - A job that fails, is cancelled or superseded lets its feature know in the
//     same transaction.
//   - The jobs of one node take few workers at a time, and a node that does not
//     answer takes one: none holds up the others. Kinds whose calls may take long
//     have workers of their own.
//   - Finding the next job costs O(log n): what waits for its time is in memory
//     too, as hints that the table confirms, and the table's indexes are of
//     living jobs alone.
//
// # Why an own table
//
// River was looked at. Its driver for SQLite is young, and only an old release
// of it can be had. More than that, a general queue knows a job that is worked on
// by a function and then over; most of ours are handed to an agent and end by
// what that tells hours later, in the transaction that believes it. It has no
// tasks, no "one for each instance" across kinds, and no waiting for a node. What
// it has beyond this, many processes that compete for jobs, a controller with one
// database file does not need: a single process works them off, so the lease
// guards against lost goroutines and not against other workers.
package job
