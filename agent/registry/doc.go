// Package registry holds the logins with which this node pulls images. The
// controller sends all that the node's instances need, and sends them anew with
// each change; they are kept in the journal, so that a container can be made anew
// while the controller is away.
//
// # Promises
//
//   - A login is given out for exactly the host that it is for, as image references
//     name it, and for a pull or a try only: no call of the agent's door answers
//     with one, no log and no event holds one.
//   - A push that is older than what is held changes nothing.
//   - A push is on the disk before it is answered.
//
// The host is compared whole, in lower case. What the engine does with a login is
// in its own suite: it shows it to that registry, and where that one refers to
// another host for tokens, to that, as the registries' protocol has it.
//
// Refused: the engine's own list of logins (its client's config.json), which
// every program on the machine may use; a helper program per registry.
package registry
