// Package allocation is the addresses of a node: each is an IP and a port that
// one instance at most holds. An admin fills a node's pool with port ranges; a
// deployment that asks for a port outside the pool makes its allocation on the
// spot, and that one goes with the instance.
//
// Who doesn't name a port of the node gets the lowest free one of its pool.
//
//	free (pooled) ⇄ held            made → held → gone (not pooled)
//
// Promises: two instances never hold the same port of a node where their
// addresses overlap (0.0.0.0 and :: overlap with every address); Claim checks
// that in the transaction that takes the port.
package allocation
