// Package cgroup finds the control groups of a container by its first process,
// and sets in them what the engine can't change on a container that runs: how fast
// it may read and write a disk. Both versions of control groups are known; version
// 1 doesn't hold back writes that go through the page cache.
//
// The number of a process may be another one's by the time that it is looked up,
// or mean one of another machine: only a path that holds the container's id is
// believed.
package cgroup
