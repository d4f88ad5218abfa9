// Package event keeps what happened: facts in the past tense, each written in
// the transaction that made it true, and told to live listeners after that
// transaction's commit. Views, webhooks and the activity log read from here.
//
// Promises: a fact is in the log if and only if its transaction was committed;
// numbers rise in commit order and are never given out twice; a listener gets
// every fact that it asked for once, in the order of the numbers, however slow
// it is, holds nobody up, and misses none when it comes back with the last
// number it had. Facts older than a time that the admin chooses are deleted.
//
// A listener is only woken; what it gets it reads from the log, beyond the last
// number that it has. Handing the facts themselves to it after the commit was
// tried and refused: the hooks of two transactions may run in swapped order, and
// who had left after the later fact would never have got the earlier one. It
// also needed a buffer for each listener, and an end for those who fell behind.
package event
