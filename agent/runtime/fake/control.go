package fake

import (
	"net/netip"
	"slices"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/ident"
)

// with runs do on a container of any node, under the mutex; false when there is
// no such container.
func (e *Engine) with(id runtime.ContainerID, do func(*box)) bool {
	e.machine.mu.Lock()
	defer e.machine.mu.Unlock()
	b := e.machine.boxes[id]
	if b == nil {
		return false
	}
	do(b)
	return true
}

// Crash ends a running container with that code; false when there is none that
// runs. It works while the engine is away, too.
func (e *Engine) Crash(id runtime.ContainerID, code int) bool {
	up := false
	e.with(id, func(b *box) {
		up = b.up()
		e.machine.end(b, code, false)
	})
	return up
}

// OOMKill ends a running container because it ran out of memory; false when
// there is none that runs.
func (e *Engine) OOMKill(id runtime.ContainerID) bool {
	up := false
	e.with(id, func(b *box) {
		up = b.up()
		e.machine.end(b, 0, true)
	})
	return up
}

// OOMInside kills a process of a running container that had no memory left; the
// container lives on.
func (e *Engine) OOMInside(id runtime.ContainerID) bool {
	up := false
	e.with(id, func(b *box) {
		if up = b.up(); up {
			e.machine.tell(b, runtime.OOM)
		}
	})
	return up
}

// Vanish removes a container behind the agent's back; false when there is none.
func (e *Engine) Vanish(id runtime.ContainerID) bool {
	return e.with(id, e.machine.drop)
}

// Pause halts a running container, as somebody may do by hand; false when there
// is none that runs.
func (e *Engine) Pause(id runtime.ContainerID) bool {
	runs := false
	e.with(id, func(b *box) {
		if runs = b.Status == runtime.Running; runs {
			b.Status = runtime.Paused
			e.machine.tell(b, runtime.Other)
		}
	})
	return runs
}

// Signal sends a running container a signal, as somebody may do by hand (docker
// kill, and docker stop to begin with); false when there is none that runs.
func (e *Engine) Signal(id runtime.ContainerID, number int) bool {
	runs := false
	e.with(id, func(b *box) {
		if runs = b.up(); !runs {
			return
		}
		e.machine.tellSignal(b, runtime.Signalled, number)
		switch code, ends := b.program.hit(number); {
		case ends && number != sigkill && b.program.StopTakes > 0:
			e.machine.endIn(b, b.program.StopTakes, code, false)
		case ends:
			e.machine.end(b, code, false)
		}
	})
	return runs
}

// SetHealth lets the check of a running container say something; false when
// there is none that runs and has one.
func (e *Engine) SetHealth(id runtime.ContainerID, health runtime.Health) bool {
	checked := false
	e.with(id, func(b *box) {
		if checked = b.up() && b.Health != ""; checked {
			b.Health = health
			e.machine.tell(b, runtime.Other)
		}
	})
	return checked
}

// Alter changes a container behind the agent's back: its name, its limits, its
// network. Watchers are told as the real engine tells them: not of networks.
// False when there is no such container.
func (e *Engine) Alter(id runtime.ContainerID, change func(c *runtime.Container)) bool {
	return e.with(id, func(b *box) {
		before := b.Container
		change(&b.Container)
		after := b.Container
		if after.Name != before.Name {
			delete(e.machine.names, before.Name)
			e.machine.names[after.Name] = b
		}
		if before.Network = after.Network; before != after {
			e.machine.tell(b, runtime.Other)
		}
	})
}

// SetFree sets what is free of the engine's filesystem.
func (e *Engine) SetFree(bytes int64) {
	e.machine.mu.Lock()
	defer e.machine.mu.Unlock()
	e.machine.info.StorageFree = bytes
}

// FreeOnRemoval sets what the removal of an image frees.
func (e *Engine) FreeOnRemoval(bytes int64) {
	e.machine.mu.Lock()
	defer e.machine.mu.Unlock()
	e.machine.freed = bytes
}

// Half leaves a container half removed: Dead, and only Remove can end that.
func (e *Engine) Half(id runtime.ContainerID) bool {
	return e.with(id, func(b *box) {
		e.machine.end(b, 128+sigkill, false)
		b.Status = runtime.Dead
	})
}

// Occupy gives a port to a program outside containers, until the function that
// it returns is called.
func (e *Engine) Occupy(port uint16, protocol runtime.Protocol) (vacate func()) {
	m, k := e.machine, portKey{port, protocol}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ports[k] = append(m.ports[k], portUse{ip: netip.IPv4Unspecified()})
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.ports[k] = slices.DeleteFunc(m.ports[k], func(u portUse) bool { return u.holder == nil })
	}
}

// Find gives the containers of an instance, of this node, oldest first.
func (e *Engine) Find(instance ident.Instance) []runtime.Container {
	return slices.DeleteFunc(e.Containers(), func(c runtime.Container) bool { return c.Instance != instance })
}

// Spec is what a container was made from; the zero spec when there is none.
func (e *Engine) Spec(id runtime.ContainerID) (spec runtime.ContainerSpec) {
	e.with(id, func(b *box) { spec = b.spec })
	return spec
}

// Lines are what Stop wrote to a container's stdin, Signals what it sent.
func (e *Engine) Lines(id runtime.ContainerID) (lines []string) {
	e.with(id, func(b *box) { lines = slices.Clone(b.lines) })
	return lines
}

// Signals are those that Stop sent a container, SIGKILL after a grace excepted.
func (e *Engine) Signals(id runtime.ContainerID) (signals []string) {
	e.with(id, func(b *box) { signals = slices.Clone(b.signals) })
	return signals
}

// AddNetwork puts a network on the machine that Berth did not make.
func (e *Engine) AddNetwork(spec runtime.NetworkSpec) {
	subnet, _ := spec.Validate()
	e.machine.mu.Lock()
	defer e.machine.mu.Unlock()
	e.machine.networks[spec.Name] = &bridge{spec: spec, subnet: subnet, foreign: true}
}

// DropNetwork removes a network behind the agent's back.
func (e *Engine) DropNetwork(name string) {
	e.machine.mu.Lock()
	defer e.machine.mu.Unlock()
	delete(e.machine.networks, name)
}

// Networks are the names of the networks on the machine.
func (e *Engine) Networks() []string {
	e.machine.mu.Lock()
	defer e.machine.mu.Unlock()
	names := make([]string, 0, len(e.machine.networks))
	for name := range e.machine.networks {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
