// Package event keeps what happened: facts in the past tense, each written in
// the transaction that made it true, and handed to live listeners after that
// transaction's commit. Views, webhooks and the activity log read from here.
//
// Promises: a fact is in the log if and only if its transaction was committed;
// numbers rise in commit order; a listener that is too slow loses its
// subscription, never holds anybody up, and reads on from the log.
package event
