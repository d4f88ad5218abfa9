// Package app wires the controller: the only room that knows every other. It
// opens the data directory (one controller at a time, held by a lock), makes the
// rooms in the order of their dependence, registers every route, and runs what
// runs.
package app
