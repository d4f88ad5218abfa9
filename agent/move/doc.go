// Package move carries volumes: out of this node as their source, and into it as
// their target. The controller asks for each step (shared/wire/move.go) and pipes
// what the source sends into the target; the two agents never speak to each other.
//
// As a target, an incoming volume lives in the staging room of agent/volume:
//
//	announced → (compare, receive)… → adopted, or dropped
//
// and no container ever sees it before it is adopted. All that must outlive the
// agent is on the disk: what was announced, each whole file at its place, each
// half one in the room for parts under a name made of its path and of the version
// it is of. A kill -9 between any two steps leaves a state that the next compare
// goes on from.
//
// Which files differ is decided without reading them: by size, the time of the
// last write, and the time of the last change of any kind (ctime), which programs
// can't set back. A copy remembers its original's ctime as its own time of last
// access, which nobody else has a use for; so the target needs no record of what
// it holds. (Whatever else on the machine reads a copy before it is adopted has it
// sent once more, no worse.) Refused: a database of checksums beside the volume. It would have to
// be kept in step with the files over every crash.
//
// Promises:
//   - A part of a file counts once its checksum was verified, and a whole file
//     takes its place once it is on the disk. What arrived before a stream broke
//     stays and is not sent again while the source's file is the same.
//   - A file that changes while the source reads it is reported so and counts for
//     nothing; that fails no pass. Once the instance is stopped, the next pass
//     brings it.
//   - Holes stay holes, in the target and in the digest.
//   - The target takes only files that it asked for in its latest compare, and
//     writes only beneath its staging room, whatever the source sends.
//   - At most 2 digests, and 2 streams in each direction, are worked on at a time.
//     Both directions have their own, so that two nodes that send to each other
//     never wait for each other.
//
// Not carried: pipes, sockets and device nodes (counted), extended attributes,
// and that two names are one file (each becomes a file of its own). A path of
// more than 4095 bytes is refused, not left out.
package move
