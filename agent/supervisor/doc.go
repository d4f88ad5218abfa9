// Package supervisor is the agent's word in what becomes of an instance whose
// program has ended: whether it begins again in the container that it ended in.
//
// The first process of an instance's container is Berth's own (agent/supervisor/init).
// It runs the program, passes signals on, and buries orphans, as the engine's init
// would. When the program has ended by itself, it says so on a socket of the agent's
// and waits, for as long as talk.Patience: the container is up, and holds its network,
// its ports and its streams. The agent then says that the program begins again, which
// takes milliseconds, where an engine needs half a second to take a container's network
// down and put it up again; or it ends the call, and the container ends with the
// program's code as it always did. What is said is in agent/supervisor/talk.
//
// Promises:
//   - Without an agent nothing is different: the container ends with its program.
//   - A program that got a signal, by whomever, or in whose life the kernel was short of
//     the container's memory, isn't asked about: its container ends. So what was stopped
//     by hand is told by the engine, as ever.
//   - A container that waits has no other process: each that the program left behind is
//     killed and buried before the agent is asked, and if one can't be, the container
//     ends. Of the last life the next finds files (of /dev/shm too) and System V's
//     memory; its streams and terminal are set as they were for the first, and what was
//     typed to the last one and not read is thrown away.
//   - An end that was told is remembered (Note) before anything comes of it, and so is
//     each next life: an agent that is restarted knows both.
//   - Each instance has a socket of its own, in a directory that its container alone has,
//     and can't write to: one that calls without end keeps nobody else waiting.
//   - Who calls is told by the kernel (SO_PEERCRED): a call by any other process of a
//     container than its first is hung up on. Which container that is in, its control
//     group says. Nothing that a container says of itself is taken for true but the
//     code.
//
// The program is built for each kind of machine before the agent is, and is put into
// it; an agent that was built without it, or whose directory programs can't be run
// from, has no Supervisor, and its containers have the engine's init.
//
// Refused: a second container for each instance, which keeps the network while the
// first comes and goes (13 MB each, and slower first starts); to decide in the
// container itself (the policy would be in two places, and its record lost with the
// container); the agent's own program as the container's first process (10 MB each).
package supervisor
