// Package e2e tests the whole: a controller and agents in one process, wired as
// their programs wire them, talking over real sockets, against a real Docker
// Engine. It is the only room that sees both sides; it holds tests only.
package e2e
