// Package move brings instances from one node to another, and so empties a node.
//
//	copying → switched → leaving → (nothing)      copying → leaving, switched → leaving
//
// While it is copying, the instance lives on its old node, and room and ports are
// kept on the new one. Switched, it is the new node's, which is to take the volume
// over and has not said yet that it has; it stays down on both, and copy, room and
// ports on the old one are kept. Leaving, a
// copy that is needed no more is being removed, which only takes disk. What came
// to a node in vain, because the move was given up or undone, leaves it the same
// way. So a row's from_node is always the one that something leaves.
//
// The job of a move has these tasks, each of which may be repeated:
//
//	reserve   node, room and ports, in the transaction that makes the job
//	copy      a first pass, while the instance runs
//	stop      ordered as a generation of its own; the node has said that it is done
//	finish    a second pass, of what has changed since
//	verify    both sides have worked out the same digest, and the image is there
//	switch    one transaction: the instance is the new node's
//	settle    the new node has taken the volume over and said so: one transaction
//	          gives the old copy up
//	start     the new node has carried out what the owner wants of the power
//
// # Promises
//
//   - The old node's copy is whole, and stays until the new node has said of itself
//     that it has the volume. The instance is only told to run where it can run
//     nowhere else: on the old node until that has said that it is down, on the new
//     one once the old copy has been given up. In between it is told to stay down
//     (wire.Spec.Moving), and nobody's writes reach either copy.
//   - Whatever comes before the switch is given up without a trace by a cancel, a
//     failure, a kill, a suspension or a delete: what was reserved is free in the
//     same transaction, what was copied is removed by an own job that waits for
//     its node, and the instance runs again if it should.
//   - After the switch a cancel, the deadline, or a new node that says it can't have
//     the instance gives it back to the old node, at once and without loss, however
//     silent the new node is: that was only ever told to stay down. What supersedes
//     the move then leaves the instance with the new node, and down until that node
//     has spoken.
//   - Once it is settled there is no way back but another move: a cancel only stops
//     waiting for the start.
//   - What is left behind is removed however long its node is away, also when the
//     instance is deleted meanwhile. A node that holds a newer generation than the
//     eviction's is left alone: it knows something that this database has lost.
//   - The wanted power of the instance is its owner's all the time: the stop is in
//     the spec only, so that nothing has to be put back.
//
// Refused: to free the old node's ports at the switch already. They are of no use
// to others for the few seconds, and without them the way back could be shut.
package move
