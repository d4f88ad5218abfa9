// Package release is the agent's program as the controller hands it out: to a
// machine that becomes a node, and to nodes that run another release.
//
// # A new node
//
// One line, printed with each enrolment key, does it. The line names the
// SHA-256 of the script (agent.sh), the script names those of the programs: so
// whoever was shown the line by the controller needs no trust in the way between,
// which may be plain HTTP. The script is made for one controller (its public URL
// is in it) and is the same for every node, so it can be checked by its sum.
//
// # Updates
//
//	node.update    push → (the agent checks, switches, restarts) → on trial → succeeded
//	                                                            └→ it is back on the old release → failed, with its reason
//	nodes.update   one node.update after the other; the first that fails ends it
//
// Which release runs is asked of the agent itself, each time: an agent whose wire
// version is too old to be online can be asked and updated all the same.
// "Succeeded" means that the new release has kept a connection with this
// controller; until then the agent would go back by itself (agent/update).
//
// A node that is offline when nodes.update comes to it is passed over and named
// at the end; one that goes offline during its own update is waited for until the
// job's deadline.
//
// # Programs
//
// They are built into the controller by make build, one for each architecture,
// and are read, uncompressed and summed up at their first use only. No path is
// ever made of a request's text: each program has a route of its own.
//
// Refused: fetching releases from a server of ours. A controller and its agents
// belong together, and a hoster's machines often have no way out.
package release
