// Package journal is the agent's durable record, one bbolt file: what should be
// (Desired), what the agent knows of each instance and must not forget over a
// restart (Known), and the events that the controller has not acknowledged yet.
//
// Promises:
//   - What Write answered with nil is on the disk: it survives kill -9 and a
//     power cut. A change is written whole or not at all, its events with it.
//   - Sequence numbers rise from 1 and never repeat within an epoch. The epoch is
//     a UUID drawn when the file is made: a new one tells the controller that the
//     journal was lost.
//   - A newer progress event of an instance replaces the older one. When events
//     pile up (the controller is away for weeks), states that a newer state of the
//     same instance has overtaken are dropped: the journal's size is bounded by the
//     number of instances, not by time.
//   - Images that the agent pulled are remembered, the thousand used last of them.
//   - An instance that is gone is remembered (its tombstone) until the event that
//     said so is acknowledged.
//
// All writes go through one goroutine that commits whatever is waiting in one
// transaction, so that a thousand instances cost a few syncs and not a thousand.
// Refused: bbolt's own Batch, which delays a lone writer by up to 10 ms, and a
// transaction per write, which makes a boot as slow as the disk's syncs.
package journal
