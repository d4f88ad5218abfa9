// Package grant is rights that last: what a console, a download or an SFTP
// session may go on doing, and the tickets that open one.
//
// A short call asks Allow and is done. What stays open asks for a Hold: a
// context that ends, with a sentence for people as its cause, the moment the
// right does: the key is revoked, expired or loses a scope, its user is
// disabled, deleted or demoted, its role or its share of the instance says less,
// the instance is suspended, deleted or another's.
//
// # Promises
//
//   - Rights are decided by access.Caller.May, and nowhere else; here is what
//     that can't know: whether the instance is there, suspended or going.
//   - Whoever may not see an instance is told that there is none.
//   - A customer may only look at the settings of a suspended instance; an admin
//     may do what he may.
//   - A hold ends after the commit that took its right, without waiting for
//     anything but the log of events; what no event tells of (a key's expiry) it
//     finds within Recheck. What changes between the check and the hold is not
//     missed: a hold is listed first and looked at then.
//   - A customer has at most PerUser holds at a time, an admin PerAdmin, an instance
//     PerInstance.
//   - A ticket is good for one door, one instance, one use and half a minute. It
//     carries its issuer's rights as they are when it is used. A wrong door or
//     instance uses it up.
//
// Holds are listed by instance and by user, so that an event costs what it
// touches: each instance and each caller is read once for all their holds.
//
// Refused: asking for the rights again with every message (a database read for
// each line of a file that is uploaded), and tickets that are signed instead of
// kept (they can't be used up, and their key would have to be kept safe).
package grant
