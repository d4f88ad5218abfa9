// Package fake is a runtime.Engine in memory that plays a script, for tests of
// scale and of faults that a real engine shows too seldom or too slowly.
//
//	engine := fake.New(fake.Options{Node: "n1"})
//	engine.AddImage("game:1", runtime.Image{}, nil)
//	engine.FailNext(fake.Start, runtime.Fail(runtime.Unreachable, nil, "away"))
//	release := engine.Hold(fake.Stop)
//
// What a container does is its Program's: by default it runs until a signal or
// the line "stop" ends it. Ports conflict between the containers of a machine
// (and with Occupy), images are present, offered for pulling or absent, events
// come in order. It passes agent/runtime/runtimetest like the real one.
//
// It is deterministic: ids count up, lists are in the order of creation, and
// time is the standard library's, so inside testing/synctest a grace of ten
// minutes takes none. All methods are safe for concurrent use.
package fake
