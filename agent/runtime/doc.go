// Package runtime is what the agent needs of a container engine, and no more:
// one small interface, the types it speaks in, and its failures as reasons that
// code can branch on. agent/runtime/docker is the real one; agent/runtime/fake
// plays a script (delays, failures, crashes) for tests of scale and faults.
// Both pass agent/runtime/runtimetest, which is this interface's meaning.
//
// The interface speaks of containers, never of instances' lives: what should
// run, when it is restarted and what a crash is are agent/instance's.
package runtime
