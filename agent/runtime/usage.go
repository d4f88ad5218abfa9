package runtime

import "time"

// Usage is what a running container has used, as its engine counts it. Counters
// begin with the container's start.
type Usage struct {
	At          time.Time // by the engine's clock
	CPU         time.Duration
	MemoryBytes int64 // without the part of the page cache that the kernel would give back
	MemoryLimit int64
	NetIn       int64 // bytes, on all networks but the loopback
	NetOut      int64
	DiskRead    int64 // bytes
	DiskWrite   int64
	Pids        int64
}
