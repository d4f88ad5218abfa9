// Package instance makes what is into what should be: one owner goroutine per
// instance, which is the only one that touches its container and its volume.
//
// The controller says what should be (a wire.Spec or a wire.Removal with a rising
// generation); Manager journals it, answers, and wakes the owner. The owner takes
// turns. Each turn looks, does what is missing, and tells what changed as an event:
//
//	image → volume → network → container → owner and downloads of a new volume → power
//
// Phases: installing → ready or failed; failed → installing by a new generation.
// A failure on an instance that was ready leaves it ready: its data is there.
//
//	stopped → starting → running → stopping → stopped
//	running → crashed → starting         (it ended with an error; again after a while)
//	running → stopped                    (it ended without one: left alone until the next order)
//	starting → stopped, with a Failure   (a start that fails before the container runs is no crash)
//
// Promises:
//   - A newer spec or a removal interrupts the turn under way, a pull or a grace
//     period too. The next turn starts from what is there, whatever was half done.
//   - A power order is carried out once: its number is journalled together with
//     what makes repeating it harmless. A stop that was asked for is finished before
//     anything else, so that a stop and a start in quick succession end in a start.
//   - A removal is finished before a later spec of the same id is begun: a new
//     instance never finds the old one's data.
//   - A crash is an exit that was seen: a container that ran under this agent's eyes
//     and ended with an error. Five within ten minutes and the instance is left
//     alone; the record survives restarts of the agent. Ten quiet minutes clear it.
//   - A stream's end says nothing. When the engine's event stream breaks, owners wait
//     for the next one and for a whole list, and go on from that. Exits seen shortly
//     before the break are taken for the engine's own going down: an instance that
//     should run is started again. Refused: to trust them, since an engine that is
//     restarted ends its containers in good order, with exit code 0, just before.
//   - While the engine is away nothing is given up; what can't be done waits.
package instance
