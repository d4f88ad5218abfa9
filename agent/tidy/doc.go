// Package tidy clears images from a node's engine that its agent pulled and that
// nothing needs any more.
//
// Engine stands in front of the real one: what is pulled through it is noted in
// the journal, by the image's id and the names that it was pulled by. A pass, now
// and again, asks the engine which of them are in use and removes, the longest
// unused first,
//
//   - those that were not used for Options.Keep (a week), and
//   - more of them while the engine's filesystem has less than Options.Free percent
//     free; but never one that was in use within the last hour.
//
// Promises:
//   - An image goes only if this agent pulled it, under every tag that it has now.
//     What somebody loaded, built, pulled or tagged by hand stays, and so does the
//     demo image.
//   - An image is in use while any container on the engine is made from it, of any
//     node and in any state, while something that the agent holds names it, and
//     while it is being pulled. Nothing is removed by force: the engine itself
//     refuses what a container uses.
//   - Who looks an image up, pulls it or makes a container from it waits while one
//     is being removed, and finds what is there then. Who has looked one up is known
//     by what the agent holds, and keeps it.
//
// Refused: the engine's own prune, which asks nobody whose an image is, and knows
// nothing of an instance that is about to be made.
package tidy
