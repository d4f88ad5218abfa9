package stats

import (
	"time"

	"github.com/berth-panel/berth/shared/wire"
)

// StatsView is what an instance uses at one moment.
type StatsView struct {
	At          time.Time `json:"at"`
	Running     bool      `json:"running" doc:"Only then do CPU, memory, processes and traffic say something"`
	CPU         float64   `json:"cpu" doc:"Cores in use: 1.5"`
	Memory      int64     `json:"memory_bytes" doc:"Without page cache that can be taken back"`
	MemoryLimit int64     `json:"memory_limit_bytes" doc:"0: none"`
	NetIn       int64     `json:"net_in_bytes" doc:"Since the container's start, as are the next three"`
	NetOut      int64     `json:"net_out_bytes"`
	DiskRead    int64     `json:"disk_read_bytes"`
	DiskWrite   int64     `json:"disk_write_bytes"`
	NetInRate   int64     `json:"net_in_rate" doc:"Bytes a second, as are the next three"`
	NetOutRate  int64     `json:"net_out_rate"`
	ReadRate    int64     `json:"disk_read_rate"`
	WriteRate   int64     `json:"disk_write_rate"`
	Pids        int64     `json:"pids" doc:"Processes and threads"`
	DiskUsed    int64     `json:"disk_used_bytes" doc:"What its volume holds; -1 before it was measured"`
	DiskLimit   int64     `json:"disk_limit_bytes" doc:"0: unknown, or none"`
	UptimeMS    int64     `json:"uptime_ms" doc:"Since the container's start"`
}

// ViewOf shows a sample of an instance.
func ViewOf(s wire.Sample) StatsView {
	return StatsView{
		At: s.At, Running: s.Running, CPU: s.CPU, Memory: s.MemoryBytes, MemoryLimit: s.MemoryLimit,
		NetIn: s.NetIn, NetOut: s.NetOut, DiskRead: s.DiskRead, DiskWrite: s.DiskWrite,
		NetInRate: int64(s.NetInRate), NetOutRate: int64(s.NetOutRate), ReadRate: int64(s.ReadRate), WriteRate: int64(s.WriteRate),
		Pids: s.Pids, DiskUsed: s.DiskUsed, DiskLimit: s.DiskLimit, UptimeMS: s.UptimeMS,
	}
}

// StatsItemView is one instance in the list of all samples.
type StatsItemView struct {
	InstanceID string     `json:"instance_id"`
	NodeID     string     `json:"node_id"`
	Online     bool       `json:"online" doc:"Its node answers"`
	Stats      *StatsView `json:"stats,omitempty" doc:"Only of one that runs on a node that answers"`
}

// StatsListView is the newest samples of the instances that the caller may see.
type StatsListView struct {
	Instances []StatsItemView `json:"instances"`
}

// NodeStatsView is what a node's machine uses.
type NodeStatsView struct {
	At          time.Time `json:"at"`
	CPU         float64   `json:"cpu" doc:"Cores in use, by whatever runs there"`
	Cores       int       `json:"cores"`
	Load1       float64   `json:"load1" doc:"Over the last minute"`
	MemoryUsed  int64     `json:"memory_used_bytes"`
	MemoryTotal int64     `json:"memory_total_bytes"`
	DiskUsed    int64     `json:"disk_used_bytes" doc:"On the filesystem of the volumes"`
	DiskTotal   int64     `json:"disk_total_bytes"`
	NetInRate   int64     `json:"net_in_rate" doc:"Bytes a second, as is the next"`
	NetOutRate  int64     `json:"net_out_rate"`
	Running     int       `json:"running" doc:"Instances whose container is up"`
	UptimeMS    int64     `json:"uptime_ms"`
}

// NodeViewOf shows a sample of a node.
func NodeViewOf(s wire.NodeSample) NodeStatsView {
	return NodeStatsView{
		At: s.At, CPU: s.CPU, Cores: s.Cores, Load1: s.Load1, MemoryUsed: s.MemoryUsed, MemoryTotal: s.MemoryTotal,
		DiskUsed: s.DiskUsed, DiskTotal: s.DiskTotal, NetInRate: int64(s.NetInRate), NetOutRate: int64(s.NetOutRate), Running: s.Running, UptimeMS: s.UptimeMS,
	}
}

// StatsHistoryView is a series as columns of equal length, oldest first. There are
// no points of times in which nothing ran.
type StatsHistoryView struct {
	Resolution wire.Resolution `json:"resolution" enum:"1s,10s,1m"`
	At         []int64         `json:"at" doc:"Unix seconds: when the time that the point covers begins"`
	CPU        []float64       `json:"cpu" doc:"Cores in use, the mean"`
	Memory     []int64         `json:"memory_bytes" doc:"The highest"`
	NetIn      []int64         `json:"net_in_rate" doc:"Bytes a second, the mean, as are all rates"`
	NetOut     []int64         `json:"net_out_rate"`
	DiskUsed   []int64         `json:"disk_used_bytes" doc:"The highest; -1 where it was not measured"`
	Read       []int64         `json:"disk_read_rate,omitempty" doc:"Of an instance"`
	Write      []int64         `json:"disk_write_rate,omitempty" doc:"Of an instance"`
	Pids       []int64         `json:"pids,omitempty" doc:"Of an instance: the highest"`
	Load       []float64       `json:"load1,omitempty" doc:"Of a node: the mean"`
	Running    []int64         `json:"running,omitempty" doc:"Of a node: instances that ran, the most"`
}

func historyOf(h wire.StatsHistory) StatsHistoryView {
	return StatsHistoryView{
		Resolution: h.Resolution, At: full(h.At), CPU: full(h.CPU), Memory: full(h.Memory), NetIn: full(h.NetIn), NetOut: full(h.NetOut), DiskUsed: full(h.DiskUsed),
		Read: h.Read, Write: h.Write, Pids: h.Pids, Load: h.Load, Running: h.Running,
	}
}

// full makes of no column an empty one: clients draw what they get.
func full[T any](column []T) []T {
	if column == nil {
		return []T{}
	}
	return column
}
