package fake

import (
	"context"

	"github.com/berth-panel/berth/agent/runtime"
)

// Stats gives what SetUsage said of a running container; without that, a
// process that does nothing.
func (e *Engine) Stats(ctx context.Context, id runtime.ContainerID) (runtime.Usage, error) {
	if err := e.enter(ctx, Stats); err != nil {
		return runtime.Usage{}, err
	}
	m := e.machine
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := e.own(id)
	if err != nil {
		return runtime.Usage{}, err
	}
	if !b.up() {
		return runtime.Usage{}, runtime.Fail(runtime.Conflict, nil, "the container doesn't run")
	}
	u := b.usage
	u.At, u.MemoryLimit = m.now(), b.MemoryBytes
	u.MemoryBytes, u.Pids = max(u.MemoryBytes, 1<<20), max(u.Pids, 1)
	return u, nil
}

// SetUsage says what a container has used; At and MemoryLimit are the engine's
// to know. False when there is no such container.
func (e *Engine) SetUsage(id runtime.ContainerID, usage runtime.Usage) bool {
	return e.with(id, func(b *box) { b.usage = usage })
}
