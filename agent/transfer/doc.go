// Package transfer is the file service of the agent: what the calls of
// shared/wire/file.go do, above agent/files. It is mounted at the agent's door as
// the room "files".
//
// Promises:
//   - Everything is reached through the descriptors of the volume's root
//     (agent/files): no link is ever followed, only regular files are opened, and
//     nothing is read, changed or removed outside, whatever the container swaps
//     meanwhile. Links are shown, packed and unpacked as links.
//   - A file is written as a whole or not at all: it grows among the volume's parts,
//     which the container doesn't see and which count against the instance's disk,
//     and takes its place by a rename. So do copies and what is unpacked: what is
//     broken off, by a cancel or by the agent's death, leaves nothing half done in
//     the volume, and its parts are cleared away when the instance's files are next
//     written after a start of the agent. The folders that it made for them go, too,
//     when it fails, but for those that hold anything.
//   - Of two who write a file with the same etag, one wins: compare and replace are
//     one step. A container's own writes are not held off.
//   - What is new belongs to the owner of the volume's data, as whom the container
//     runs; a file that is replaced hands its mode and owner on. No set-uid bits.
//   - An upload's offset is on the disk, with what was checked before it: it is
//     there after a kill of the agent.
//   - Before each thing that is put in place it is asked whether the instance may be
//     written to (Instances.Writable): work under way stops when a move begins.
//   - Bounded: what a folder, an archive, a search, a name or a server of somebody
//     else makes the agent hold, at once and together.
//
// A task is waiting → running → done; it is kept an hour after its end and
// forgotten when the agent ends.
//
// Refused: deleting in place. What is deleted is moved among the parts first, so
// that it is gone at once and as a whole, and a container that goes on writing
// there keeps nothing alive. Refused: parts beside the files that they become: a
// container could swap them, and would see them.
package transfer
