package instance

import (
	"errors"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Fence is what instances reach beside the internet (agent/egress).
type Fence interface {
	// MAC is the hardware address that an instance's container is made with.
	MAC(id ident.Instance) string
	// Hold makes the rules of an instance those of network, running or not; a
	// *problem.Problem when this node can't.
	Hold(id ident.Instance, network wire.Network, ports []wire.Port) error
	Release(id ident.Instance)
	// Keep releases all that were held by an agent of before and are not here.
	Keep(held func(id ident.Instance) (network wire.Network, ports []wire.Port, held bool))
	State() wire.Firewall
}

// Throttle holds a container's disk to its speeds (agent/cgroup). pid is its first
// process, at a path of its volume; the error is a sentence.
type Throttle interface {
	Throttle(pid int, container, at string, l wire.Limits) error
}

// throttled is what a life of a container was held to last.
type throttled struct {
	container  runtime.ContainerID
	pid        int
	limits     wire.Limits
	complained string
}

// reach is what an instance that is here may reach, as far as that is known; false
// for one that is not here, once the engine's containers are known.
func (m *Manager) reach(id ident.Instance) (network wire.Network, ports []wire.Port, held bool) {
	spec, err := m.Spec(id)
	if err != nil {
		return network, nil, m.Holds(id)
	}
	return spec.Network, spec.Ports, true
}

// fence puts the limits in place that the container itself doesn't carry, before it
// is started and while it runs, and says which the node can't hold. None of that
// keeps the instance from running.
func (o *owner) fence(j job) {
	var unheld []string
	spec := j.desired.Spec
	if fence := o.m.deps.Fence; fence != nil {
		err := fence.Hold(o.id, spec.Network, spec.Ports)
		switch {
		case err != nil:
			unheld = append(unheld, problem.From(err).Message)
		case len(o.boxes) > 0 && o.boxes[0].MAC != fence.MAC(o.id):
			unheld = append(unheld, "what it reaches is not limited yet: its container was made by an older release; any change of its variables or ports makes it anew")
		}
	}
	if err := o.throttle(spec.Limits); err != nil {
		unheld = append(unheld, err.Error())
	}
	if text := o.deferred.sentence(o.live); text != "" {
		unheld = append(unheld, text)
	}
	o.set(j, func(s *wire.State) { s.Unheld = unheld })
}

// throttle limits the disk's speed of a container that runs.
func (o *owner) throttle(l wire.Limits) error {
	l = wire.Limits{ReadBytes: l.ReadBytes, WriteBytes: l.WriteBytes, ReadOps: l.ReadOps, WriteOps: l.WriteOps}
	box := o.find(o.live)
	if o.m.deps.Throttle == nil || box == nil {
		return nil
	}
	was := o.throttled
	same := was.container == box.ID && was.pid == box.Pid
	switch {
	case same && was.limits == l:
		return complaint(was.complained)
	case l == wire.Limits{} && !(same && was.limits != wire.Limits{}):
		return nil // nothing was ever set in this life
	case box.Pid == 0: // a list doesn't show it
		return nil
	}
	err := o.m.deps.Throttle.Throttle(box.Pid, string(box.ID), o.m.deps.Volumes.Path(o.id), l)
	o.throttled = throttled{container: box.ID, pid: box.Pid, limits: l}
	if err != nil {
		o.throttled.complained = err.Error()
	}
	return err
}

func complaint(text string) error {
	if text == "" {
		return nil
	}
	return errors.New(text)
}
