// Package compose reads Compose files with one service as images of the
// catalogue. The Compose project's own parser (compose-go) knows the language:
// short and long forms, anchors, defaults of ${NAME:-value}.
//
// What is taken: image, command, entrypoint, environment, the first volume that
// holds data, stop_signal, stop_grace_period, tty, restart and pull_policy. What
// else a service says is told by its name and means nothing here: limits, ports
// and networks are each instance's, and healthcheck is the container image's own.
// Ports are told in the description, as what to give an instance.
//
// ${NAME:-value} in command, entrypoint and environment becomes a variable of that
// name with that default, which each instance may set. Elsewhere (in image, ports,
// volumes) the default counts, because an image says those once for all instances.
// Every plain entry of the environment becomes a variable as well.
//
// # Promises
//
//   - No other file is opened and no address is called: include and extends are
//     refused, env_file and all other names of files are left out before the parser
//     sees them, and the environment of this program is not read.
//   - A file of several services, or of one without an image, is refused with a
//     sentence that says what to do. Berth builds no images.
//   - Nothing of privileged, devices, host networks or binds of the machine's paths
//     is carried over.
//
// Refused: a reader of our own for the subset. The short forms of ports and
// volumes alone have more rules than all else here.
package compose
