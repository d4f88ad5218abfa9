// Package activity is the log of events as people read it: who did what, when,
// from where and through which door. The log itself is controller/event, which
// every change writes to in its own transaction.
//
// Promises:
//
//   - Everything is shown to who has the permission activity.read; anybody else
//     sees what belongs to him, what is about him and what he did; a subuser with
//     the right activity.read also what was done with that instance.
//   - The log is only ever added to. Its one way to lose a row is to grow older than
//     the time that the controller keeps events for; the database itself refuses to
//     change one.
//   - A page costs what it shows: each filter has an index, and what is seen for
//     several reasons is read reason by reason. Searching for a text walks over what
//     the other filters leave.
//   - A list is counted and paged as far as event.CountMost; further back leads
//     "until".
//
// Refused: a table of its own, which could say something else than what happened;
// and an export of all of it in one answer, which GET /events?after= gives in
// pieces.
package activity
