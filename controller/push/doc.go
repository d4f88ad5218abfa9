// Package push keeps a copy of something right on every node: who may log in over
// SFTP, the logins of registries. A room says what its copy is (Plan): which
// events touch whose, how it is made, how it is sent. All else is here.
//
// # Life of a copy
//
//	right → (an event touches it, the node comes online) → due → (gathered for 20 ms) → pushed → right
//	                                                        ↑ after 0.2 to 10 s ↓
//	                                                        └────── failed ─────┘
//
// # Promises
//
//   - A node that is online holds what it should within moments of each event, and
//     one that was away when it is back. A push that fails is tried again for as
//     long as the node is online; when it comes back it is due anyway.
//   - To one node goes one push at a time, to all nodes 8, and a slow one holds up
//     none but itself.
//   - What a node was told last over the same connection is not sent again. After
//     another it is: the node may have come back with what its disk holds.
//   - Revisions grow for each node, over restarts of the controller and over clocks
//     that were set back: they are milliseconds of its clock, and more than the
//     node says that it holds.
//   - Of what was sent a checksum is remembered, never the copy: some hold secrets.
//   - Orders that need a copy wait for it (Push), by the same rules.
//
// Refused: a job for each push (what a node should hold is made from what is there
// now, so an old order to push is worth nothing), and pushing only what changed
// (an order of changes to get wrong, for some kilobytes).
package push
