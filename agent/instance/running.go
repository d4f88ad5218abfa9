package instance

import (
	"maps"
	"slices"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// Up is one life of a container that is up, as far as its owner knows.
type Up struct {
	Instance  ident.Instance
	Container runtime.ContainerID
	Started   time.Time // by the engine's clock
}

// Running appends what is up to list, in no order. It is asked each second: it
// costs one look at each owner, and nothing for what is down.
func (m *Manager) Running(list []Up) []Up {
	m.mu.Lock()
	owners := slices.Collect(maps.Values(m.owners))
	m.mu.Unlock()
	for _, o := range owners {
		if up, ok := o.up(); ok {
			list = append(list, up)
		}
	}
	return list
}

// Holds says whether the agent knows the instance: from its journal, or by a
// container that it found. One that is gone for good it doesn't hold.
func (m *Manager) Holds(id ident.Instance) bool {
	m.mu.Lock()
	o, stranger := m.owners[id], len(m.strangers[id]) > 0
	m.mu.Unlock()
	if o == nil {
		return stranger
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.gone && !o.retired
}

func (o *owner) up() (Up, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch o.state.Actual {
	case wire.ActualStarting, wire.ActualRunning, wire.ActualStopping:
	default:
		return Up{}, false
	}
	if o.state.Container == "" || o.state.StartedAt == nil {
		return Up{}, false
	}
	return Up{Instance: o.id, Container: runtime.ContainerID(o.state.Container), Started: *o.state.StartedAt}, true
}
