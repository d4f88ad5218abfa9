// Package runtimetest is the meaning of runtime.Engine: Run is the suite that
// every engine passes, the real one and the fake. What only a real kernel can
// hold (limits, capabilities, isolation) is tested beside the real engine.
//
// It also has what any test against a real Docker Engine needs, here so that
// only agent/runtime/docker knows Docker's client: DockerHost finds the engine
// or skips the test, CleanDocker removes what a node of a test has made, and
// LoadProbe makes a small image that needs no registry (see probe).
//
// Tests run side by side on one engine. Each takes a node id of its own
// (NewNode) and sees its own containers only; ports and subnets are drawn by
// FreePort and Network.
package runtimetest
