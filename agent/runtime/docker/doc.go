// Package docker is the runtime.Engine on a Docker Engine, from 20.10 on (the
// API's version is negotiated). It is the only room that knows Docker's client,
// and classify.go the only file that knows Docker's error texts.
//
// Every object that it makes carries the label berth.node; what does not carry
// this node's is neither listed nor touched, whatever id is asked for. An image
// that Load makes carries berth.loaded instead: a container inherits its image's
// labels, so with berth.node on an image a container that somebody starts from
// it by hand would look like ours.
//
// Choices that the shape of the code follows from:
//
//   - Containers run under an init process, Docker's or ours (below), so a command
//     that is not in the image does not fail the start: init starts, can't find it
//     and exits with 127. Start therefore looks for the command before it starts
//     anything (and remembers what it found, per image), and Inspect reads init's
//     last words when a container ended at once.
//   - With a Supervisor (agent/supervisor) the first process of an instance's
//     container is ours, and calls when the program has ended by itself
//     (supervise.go). For a moment then the container is held: it is shown as
//     Exited, as the program is, and a Start begins the program again within it,
//     with no word of that to Docker; otherwise it ends. Whoever looks from above
//     sees no more of that than Container.Held: each end is told once, each life has
//     its StartedAt, which the Supervisor remembers beyond the agent's own end. A
//     container with a health check isn't held, since Docker would go on with what the
//     check said of the last life. An engine on another machine has no Supervisor.
//   - Stop is a signal or a line, a wait and a kill of our own making, not the
//     engine's stop call: an engine carries its stop call on to the kill even when
//     the caller has gone, and a cancelled Stop has to leave the container be.
//   - Docker skips a listener of its events that is not ready within 100 ms. Watch
//     reads them as they come into a queue, and breaks off when that grows too
//     long, so that its caller looks at everything again.
//   - Docker may tell of a container's end before it gives its ports back. What
//     waits for an end inspects the container once more: that waits for the lock
//     under which the engine cleans up.
//   - An image's health check runs as the image says: it makes a start ready. Each
//     one starts a process inside the instance's own limits, and is paid by it.
//   - Volumes that an image declares are made with the container and removed with
//     it: an instance's data is in its mounts only.
package docker
