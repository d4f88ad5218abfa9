// Package files is the only way into a volume. A container writes what it likes
// into its volume while the agent works there: links that lead out, folders that
// turn into links between two looks, pipes that block whoever opens them, names
// of any bytes, files that shrink while they are read.
//
// Promises:
//   - Everything is reached from the Root's descriptor, one name at a time, and no
//     link is ever followed, be it the last name or one on the way. What is done
//     therefore happens beneath the root, whatever is moved or swapped meanwhile.
//   - Only regular files are opened, and never in a way that can block.
//   - Walk holds a bounded part of the names of each folder on the way down, and
//     few descriptors: folders of any size and trees of any depth cost time, not
//     memory.
//   - What vanishes or becomes something else during a Walk is left out; it is no
//     failure.
//
// Paths are those of the wire (wire.Path): relative, with slashes, of any bytes.
//
// Refused: os.Root for all of it. It never leaves the root either, but it follows
// links within the root: a copy of a volume would then depend on what its
// container swaps meanwhile, and could go round in circles.
package files
