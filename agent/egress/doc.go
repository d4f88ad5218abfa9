// Package egress is what instances may reach beside the internet: by default
// nothing. Not their node, no other instance, no private or link-local range, no
// metadata service of a cloud; wire.Network opens what an admin wants open.
//
// It is one nftables table of the node's own, beside Docker's: for each instance a
// chain for what it sends on and a chain for what it sends to the node itself,
// found by the hardware address that its container was made with (MAC), so that
// they stand before the container starts. Limits of bandwidth are in them, and for
// what comes in, in a second table of the bridge family, since only there it is
// known whom a packet is for.
//
// # Promises
//
//   - Rules are replaced in one transaction: there is no moment without them. They
//     outlive the agent; a new one takes the table over as it is, and corrects it
//     instance by instance.
//   - What an instance answers is always let out: who may come in is decided by its
//     ports. What it begins itself is judged packet by packet, so that a tighter rule
//     also ends what goes on.
//   - A refusal is told to the container at once (ICMP), so that programs in it fail
//     and don't hang.
//   - Names can be looked up: the resolvers of the node are open on port 53, also
//     private ones, except to an instance that is offline.
//   - Somebody else's flush of all rules is noticed within half a minute, and undone.
//   - A kernel, or an engine on another machine, that can't hold this makes Hold fail
//     with a sentence; the instance runs, and says so (wire.State.Unheld).
//
// Refused: iptables, whose chains are Docker's to rewrite, and a program to start
// for each rule. Refused: matching the container's address, which Docker draws at
// each start, after the container's first packet could have left.
package egress
