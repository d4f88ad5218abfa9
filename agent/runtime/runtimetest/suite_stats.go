package runtimetest

import (
	"strings"
	"testing"

	"github.com/berth-panel/berth/agent/runtime"
)

func statsTests() map[string]func(*testing.T, Harness) {
	return map[string]func(*testing.T, Harness){
		"while it runs":     runningStats,
		"of one that is up": upStats,
	}
}

func runningStats(t *testing.T, h Harness) {
	id := h.ready(t, h.spec("idle"))
	u, err := h.Engine.Stats(t.Context(), id)
	must(t, "Stats", err)
	if u.At.IsZero() || u.Pids < 1 || u.Pids > 64 || u.CPU < 0 {
		t.Errorf("Stats gives %+v", u)
	}
	limit := inspect(t, h.Engine, id).MemoryBytes
	if u.MemoryBytes < 0 || limit > 0 && (u.MemoryLimit != limit || u.MemoryBytes > limit) {
		t.Errorf("%d bytes of %d are in use; the container's limit is %d", u.MemoryBytes, u.MemoryLimit, limit)
	}
	again, err := h.Engine.Stats(t.Context(), id)
	must(t, "Stats again", err)
	if again.At.Before(u.At) || again.CPU < u.CPU || again.NetIn < u.NetIn || again.DiskRead < u.DiskRead {
		t.Errorf("after %+v comes %+v", u, again)
	}
}

func upStats(t *testing.T, h Harness) {
	id := create(t, h.Engine, h.spec("exit", "0"))
	_, err := h.Engine.Stats(t.Context(), id)
	refused(t, "Stats before the start", err, runtime.Conflict)
	must(t, "Start", h.Engine.Start(t.Context(), id))
	ended(t, h.Engine, id)
	_, err = h.Engine.Stats(t.Context(), id)
	refused(t, "Stats after the end", err, runtime.Conflict)
	must(t, "Remove", h.Engine.Remove(t.Context(), id))
	_, err = h.Engine.Stats(t.Context(), id)
	refused(t, "Stats after the removal", err, runtime.Missing)
	_, err = h.Engine.Stats(t.Context(), runtime.ContainerID(strings.Repeat("a", 64)))
	refused(t, "Stats of nothing", err, runtime.Missing)
	running := start(t, h.Beside, h.spec("idle"))
	_, err = h.Engine.Stats(t.Context(), running)
	refused(t, "Stats of another node's", err, runtime.Missing)
}
