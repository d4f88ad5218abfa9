// Package stats measures what instances and the node use, and keeps a bounded
// history of it.
//
// What somebody looked at within a minute is measured each second, and so is a
// container in its first minute; all else each ten seconds, at the end of a point
// of ten seconds. A look is a call for samples or a history, of an instance or of
// the node. A call for all samples is one at each instance only when it comes
// again within five seconds: a page does that, and a collector of metrics doesn't.
//
// A sample of a running container is five small reads of the kernel's own
// counters: its cgroup's (v1 or v2), and the network devices' as its first
// process sees them. What is down costs nothing. Where those can't be read
// (an engine on another machine, an agent inside a container of its own) the
// engine is asked, each ten seconds, and each second while somebody looks.
//
// A cgroup is taken for the container's only when its path holds the container's
// whole id, and only while processes are in it: a number that another process
// has by now, here or on the engine's machine, is never measured in its place.
//
// # History
//
//	1s × 10 min   in memory: 29 KB for an instance that runs, all told; of what
//	              nobody looked at there is a point each ten seconds
//	10s × 6 h     in a file
//	1m × 7 days   in the same file, 480 KiB when it is full
//
// All three are made from the samples themselves: means weighted by time, and
// the highest of memory, disk and processes. The file is one ring of slots for
// each level: a slot's place follows from its time and it carries a checksum of its
// own, so that nothing is ever rewritten or moved, and a torn or foreign slot is
// a gap. Points are written once a minute and when the agent ends: killed, it
// loses a minute at most. A point that falls into a restart of the agent is of
// what came after. Files of instances that are gone go within a minute.
//
// Refused: a sample each second for all, for the minutes before somebody began to
// look. It was a third of what the agent costs beside 20 idle instances, and those
// minutes are there by tens of seconds.
//
// Refused: the engine's stats stream for each container, which costs the engine
// ten times as much and ourselves a connection each; a database, whose pages
// would be rewritten for each point; keeping all levels in memory (500 instances
// are 200 MiB).
//
// # Metrics
//
// Metrics gives the newest samples to Prometheus; docs/metrics.md names them all.
package stats
