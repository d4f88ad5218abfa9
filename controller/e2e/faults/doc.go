// Package faults shows that nothing is lost. It runs a controller and three
// agents as the processes that they are, each agent with a Docker Engine of its
// own in a network of its own, does what people do over the public API, and
// meanwhile kills, freezes, cuts off and fills up whatever it runs. After all of
// that is healed a checker that knows only the public API and what Docker says
// compares. It holds tests only.
//
// Everything is drawn from one seed before anything begins: a plan of deeds
// (deploy, suspend, power, change, move, delete) and, from a second stream of
// the same seed, a plan of faults, each with the second at which it is due. What
// the machine does meanwhile changes neither, so that a seed that failed can be
// run again.
//
// Each deed is repeated until it has a definite answer, creations and orders
// under an Idempotency-Key. The ledger keeps what was answered and, from that,
// what must be true in the end.
//
// One process of a machine does this at a time: it holds a lock, cleans what a
// killed run before it left behind (all of it is named by prefix), and removes
// what it made, also when it fails. It needs root, network namespaces, dockerd
// and iptables; where they are missing the test says so.
//
// Refused: doing this within one process with a scripted engine. That is quick,
// and other tests do it, but the failures that hosters report are those of real
// processes, sockets, disks and engines.
package faults
