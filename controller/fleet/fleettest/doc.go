// Package fleettest has agents that follow a script, for tests of whatever is
// on the controller's side: a real TLS server that speaks shared/wire, without
// an engine behind it. An Agent records what it is told, answers as asked
// (accepts, refuses, is late, breaks off), emits events in order and keeps them
// until they are acknowledged, and can go away, come back, fall silent, lose its
// journal or show another certificate. It is not the real agent: what that does
// with a spec is tested beside it.
package fleettest
