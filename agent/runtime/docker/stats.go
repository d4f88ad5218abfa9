package docker

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/berth-panel/berth/agent/runtime"
)

// statsLimit bounds what is read of an engine's answer.
const statsLimit = 1 << 20

// Stats asks the engine for one sample, without the second one that it would
// wait a second for.
func (e *Engine) Stats(ctx context.Context, id runtime.ContainerID) (runtime.Usage, error) {
	found, err := e.own(ctx, id)
	if err != nil {
		return runtime.Usage{}, err
	}
	if !found.State.Running {
		return runtime.Usage{}, notRunning()
	}
	answer, err := e.api.ContainerStatsOneShot(ctx, string(id))
	if err != nil {
		return runtime.Usage{}, failure(ctx, err, runtime.Unknown, "the container engine could not say what the container uses")
	}
	defer func() { _ = answer.Body.Close() }()
	var stats container.StatsResponse
	if err := json.NewDecoder(io.LimitReader(answer.Body, statsLimit)).Decode(&stats); err != nil {
		return runtime.Usage{}, failure(ctx, err, runtime.Unknown, "the container engine could not say what the container uses")
	}
	if stats.Read.Year() <= 1 { // it ended meanwhile
		return runtime.Usage{}, notRunning()
	}
	return usage(stats), nil
}

func notRunning() error {
	return runtime.Fail(runtime.Conflict, nil, "the container doesn't run")
}

func usage(s container.StatsResponse) runtime.Usage {
	u := runtime.Usage{
		At: s.Read, CPU: time.Duration(s.CPUStats.CPUUsage.TotalUsage),
		MemoryBytes: int64(s.MemoryStats.Usage - reclaimable(s.MemoryStats)), MemoryLimit: int64(s.MemoryStats.Limit),
		Pids: int64(s.PidsStats.Current),
	}
	for _, n := range s.Networks {
		u.NetIn += int64(n.RxBytes)
		u.NetOut += int64(n.TxBytes)
	}
	for _, entry := range s.BlkioStats.IoServiceBytesRecursive {
		switch strings.ToLower(entry.Op) {
		case "read":
			u.DiskRead += int64(entry.Value)
		case "write":
			u.DiskWrite += int64(entry.Value)
		}
	}
	return u
}

// reclaimable is the page cache that wasn't used of late: cgroup v1 has it by
// the first name, v2 by the second.
func reclaimable(m container.MemoryStats) uint64 {
	for _, name := range []string{"total_inactive_file", "inactive_file"} {
		if n, ok := m.Stats[name]; ok && n < m.Usage {
			return n
		}
	}
	return 0
}
