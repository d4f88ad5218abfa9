package wire

import (
	"time"

	"github.com/berth-panel/berth/shared/ident"
)

// Stats are samples of what instances and the node use. The agent takes one each
// second of every container that runs and keeps a bounded history of each.
//
//	GET /v1/stats                               → NodeStats, with the newest samples of all instances that run
//	GET /v1/stats/history?resolution=R&since=S  → StatsHistory of the node
//	GET /v1/instances/{id}/stats                → Sample
//	GET /v1/instances/{id}/stats/history?resolution=R&since=S  → StatsHistory
//	GET /v1/instances/{id}/stats/live           → WebSocket of Sample, one a second
//
// since is in Unix seconds: the first point begins then or later.

// Resolution is how far apart the points of a history are.
type Resolution string

// The resolutions, and how far back each goes.
const (
	Second Resolution = "1s"  // ten minutes
	Ten    Resolution = "10s" // six hours
	Minute Resolution = "1m"  // seven days
)

// Valid says whether it is one of them.
func (r Resolution) Valid() bool { return r == Second || r == Ten || r == Minute }

// Sample is what an instance uses at one moment. Counters grow from the
// container's start; rates are over the time since the sample before. Of one that
// doesn't run only At, DiskUsed and DiskLimit say something.
type Sample struct {
	At          time.Time `json:"at"`
	Running     bool      `json:"running"`
	CPU         float64   `json:"cpu"`          // cores in use: 1.5
	MemoryBytes int64     `json:"memory_bytes"` // without what the kernel would give back
	MemoryLimit int64     `json:"memory_limit"` // 0: none
	NetIn       int64     `json:"net_in"`       // bytes, a counter, as are the next three
	NetOut      int64     `json:"net_out"`
	DiskRead    int64     `json:"disk_read"`
	DiskWrite   int64     `json:"disk_write"`
	NetInRate   float64   `json:"net_in_rate"` // bytes a second, as are the next three
	NetOutRate  float64   `json:"net_out_rate"`
	ReadRate    float64   `json:"read_rate"`
	WriteRate   float64   `json:"write_rate"`
	Pids        int64     `json:"pids"`
	DiskUsed    int64     `json:"disk_used"`  // bytes of the volume; -1 before it was measured
	DiskLimit   int64     `json:"disk_limit"` // bytes; 0 is unknown, or none
	UptimeMS    int64     `json:"uptime_ms"`
}

// NodeSample is what the machine uses.
type NodeSample struct {
	At          time.Time `json:"at"`
	CPU         float64   `json:"cpu"` // cores in use
	Cores       int       `json:"cores"`
	Load1       float64   `json:"load1"`
	MemoryUsed  int64     `json:"memory_used"`
	MemoryTotal int64     `json:"memory_total"`
	DiskUsed    int64     `json:"disk_used"` // of the filesystem of the volumes
	DiskTotal   int64     `json:"disk_total"`
	NetInRate   float64   `json:"net_in_rate"`
	NetOutRate  float64   `json:"net_out_rate"`
	Running     int       `json:"running"` // instances
	UptimeMS    int64     `json:"uptime_ms"`
}

// NodeStats are the newest samples of a node, and of its instances that run.
type NodeStats struct {
	Node      NodeSample                `json:"node"`
	Instances map[ident.Instance]Sample `json:"instances"`
}

// StatsHistory is one series of points, oldest first, as columns of equal length:
// a week is 10,080 points, and rows would repeat every name for each. There are
// no points of times in which nothing ran. A point that covers several samples
// holds the mean of CPU, load and rates, and the highest of all else.
type StatsHistory struct {
	Resolution Resolution `json:"resolution"`
	At         []int64    `json:"at"`  // Unix seconds: when the time that the point covers begins
	CPU        []float64  `json:"cpu"` // cores in use
	Memory     []int64    `json:"memory_bytes"`
	NetIn      []int64    `json:"net_in_rate"` // bytes a second, as is the next
	NetOut     []int64    `json:"net_out_rate"`
	DiskUsed   []int64    `json:"disk_used"` // bytes; -1 where it was not measured

	// Of an instance only.
	Read  []int64 `json:"read_rate,omitempty"` // bytes a second, as is the next
	Write []int64 `json:"write_rate,omitempty"`
	Pids  []int64 `json:"pids,omitempty"`
	// Of the node only.
	Load    []float64 `json:"load1,omitempty"`
	Running []int64   `json:"running,omitempty"` // instances
}
