// Package roomtest is what tests of the controller's rooms begin with: a database,
// a clock, a log to read, parts that run until the test ends, and waiting for what
// shall be. What a room knows around itself its tests script themselves.
//
// Refused: a world of scripted rooms that all tests share. Each would break with
// any other's change, and none would show what its room stands on.
package roomtest
