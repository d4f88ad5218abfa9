// Package demo is the image that needs no registry, so that a first instance can
// be hosted on a fresh machine: a small server, and the image made of it.
//
// The server is the agent's own binary, started with another command inside a
// scratch image: a page that shows what the container was given and a counter
// kept in the volume, an echo over UDP, and a console. Maker puts the image on
// the engine when it is missing or was made from another build, which its
// entrypoint tells. Refused: a second binary inside the first (it would double the
// agent's size), and a note in the data directory (two agents on one engine would
// undo each other's image).
package demo
