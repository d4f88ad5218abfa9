// Package app puts the agent together: it is the only room that knows all the
// others, and the order in which they start and end. The agent's command and
// tests that want a whole agent inside their process build the same App.
//
// Order of the start: identity, journal (which locks the data directory),
// volumes, engine client, instances, door. Nothing waits for the engine: an agent
// whose engine is away answers its controller and says so. Order of the end: the
// door closes, then the owners come to rest, then the journal is closed.
// Containers are left as they are.
//
// Everything in Config is decided on the node itself. The controller can't reach
// it: no path, no mount and no address of the engine ever comes over the wire.
package app
