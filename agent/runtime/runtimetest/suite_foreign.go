package runtimetest

import (
	"testing"

	"github.com/berth-panel/berth/agent/runtime"
)

func foreignTests() map[string]func(*testing.T, Harness) {
	return map[string]func(*testing.T, Harness){
		"is neither seen nor touched": foreignUntouched,
		"is not told of":              foreignUntold,
		"has its name":                foreignName,
	}
}

func foreignUntouched(t *testing.T, h Harness) {
	id := start(t, h.Beside, h.spec("idle"))
	before := inspect(t, h.Beside, id)
	nothing(t, h.Engine)
	if seen, err := h.Engine.Glance(t.Context()); err != nil || len(seen) != 0 {
		t.Fatalf("Glance gives %+v, %v", seen, err)
	}
	ctx := t.Context()
	_, err := h.Engine.Inspect(ctx, id)
	refused(t, "Inspect", err, runtime.Missing)
	_, err = h.Engine.ReadFile(ctx, id, "/etc/passwd", 10)
	refused(t, "ReadFile", err, runtime.Missing)
	_, err = h.Engine.Attach(ctx, id)
	refused(t, "Attach", err, runtime.Missing)
	refused(t, "Log", h.Engine.Log(ctx, id, runtime.LogRange{}, func(runtime.LogPart) error { return nil }), runtime.Missing)
	refused(t, "Resize", h.Engine.Resize(ctx, id, 24, 80), runtime.Missing)
	refused(t, "Start", h.Engine.Start(ctx, id), runtime.Missing)
	refused(t, "Stop", h.Engine.Stop(ctx, id, runtime.StopSpec{}), runtime.Missing)
	refused(t, "Stop by command", h.Engine.Stop(ctx, id, runtime.StopSpec{Command: "stop"}), runtime.Missing)
	refused(t, "Kill", h.Engine.Kill(ctx, id), runtime.Missing)
	refused(t, "Repair", h.Engine.Repair(ctx, id, h.spec("idle")), runtime.Missing)
	refused(t, "Remove", h.Engine.Remove(ctx, id), runtime.Missing)
	if after := inspect(t, h.Beside, id); after != before {
		t.Fatalf("another node's container changed from\n%+v to\n%+v", before, after)
	}
	must(t, "its own Kill", h.Beside.Kill(ctx, id))
	refused(t, "Start once it is down", h.Engine.Start(ctx, id), runtime.Missing)
	refused(t, "Remove once it is down", h.Engine.Remove(ctx, id), runtime.Missing)
}

func foreignUntold(t *testing.T, h Harness) {
	mine := watch(t, h.Engine)
	other := start(t, h.Beside, h.spec("exit", "0"))
	ended(t, h.Beside, other)
	must(t, "Remove", h.Beside.Remove(t.Context(), other))
	own := start(t, h.Engine, h.spec("exit", "0"))
	Eventually(t, "the own container to be told of", func() bool { return len(mine.of(own)) == 2 })
	mine.mu.Lock()
	defer mine.mu.Unlock()
	for _, c := range mine.changes {
		if c.ID != own {
			t.Fatalf("a change of another node's container: %+v", c)
		}
	}
}

func foreignName(t *testing.T, h Harness) {
	spec := h.spec("idle")
	id := create(t, h.Beside, spec)
	_, err := h.Engine.Create(t.Context(), spec)
	refused(t, "Create", err, runtime.Conflict)
	if c := inspect(t, h.Beside, id); c.Status != runtime.Created {
		t.Fatalf("the other node's container became %+v", c)
	}
}
