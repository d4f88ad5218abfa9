package fake

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/berth-panel/berth/agent/runtime"
)

// bridge is a network on the machine.
type bridge struct {
	spec    runtime.NetworkSpec
	subnet  netip.Prefix
	foreign bool
}

// EnsureNetwork makes a network, or finds that it is there and is as asked.
func (e *Engine) EnsureNetwork(ctx context.Context, spec runtime.NetworkSpec) error {
	subnet, err := spec.Validate()
	if err != nil {
		return err
	}
	if err := e.enter(ctx, EnsureNetwork); err != nil {
		return err
	}
	m := e.machine
	m.mu.Lock()
	defer m.mu.Unlock()
	there, ok := m.networks[spec.Name]
	switch {
	case ok && there.foreign:
		return runtime.Fail(runtime.Conflict, nil, "a network named %s is on this node already and was not made by Berth", spec.Name)
	case ok && subnet.IsValid() && subnet != there.subnet:
		return runtime.Fail(runtime.Conflict, nil, "network %s is on this node already with another subnet than %s", spec.Name, spec.Subnet)
	case ok:
		return nil
	}
	if !subnet.IsValid() {
		subnet = netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 17 + byte(len(m.networks)), 0, 0}), 16)
	}
	for _, other := range m.networks {
		if other.subnet.Overlaps(subnet) {
			return runtime.Fail(runtime.Conflict, nil, "subnet %s overlaps with another network of this node", spec.Subnet)
		}
	}
	m.networks[spec.Name] = &bridge{spec: spec, subnet: subnet}
	return e.leave(EnsureNetwork)
}

// Create makes a container.
func (e *Engine) Create(ctx context.Context, spec runtime.ContainerSpec) (runtime.ContainerID, error) {
	if err := spec.Validate(); err != nil {
		return "", err
	}
	if err := e.enter(ctx, Create); err != nil {
		return "", err
	}
	m := e.machine
	m.mu.Lock()
	defer m.mu.Unlock()
	i, err := m.find(spec.Image)
	if err != nil {
		return "", err
	}
	if spec.NanoCPUs > int64(m.info.Cores)*1e9 {
		return "", runtime.Fail(runtime.InvalidSpec, nil, "the container engine refuses the settings: it has %d cores", m.info.Cores)
	}
	if m.names[spec.Name] != nil {
		return "", runtime.Fail(runtime.Conflict, nil, "a container named %s exists already on this node", spec.Name)
	}
	if spec.PidsLimit == 0 {
		spec.PidsLimit = m.pids
	}
	m.serial++
	b := &box{
		Container: runtime.Container{
			ID: runtime.ContainerID(fmt.Sprintf("%064x", m.serial)), Name: spec.Name, Instance: spec.Instance, Role: spec.Role,
			Generation: spec.Generation, SpecHash: spec.SpecHash, ImageID: i.ID, Status: runtime.Created,
			MemoryBytes: spec.MemoryBytes, NanoCPUs: spec.NanoCPUs, PidsLimit: spec.PidsLimit, Network: spec.Network, MAC: spec.MAC,
		},
		serial: m.serial, node: e.node, spec: spec, image: i, files: map[string]string{}, links: map[string]string{},
	}
	m.boxes[b.ID], m.names[b.Name] = b, b
	m.tell(b, runtime.Other)
	return b.ID, e.leave(Create)
}

// own finds a container of this node, under the mutex.
func (e *Engine) own(id runtime.ContainerID) (*box, error) {
	b := e.machine.boxes[id]
	switch {
	case b == nil:
		return nil, runtime.Fail(runtime.Missing, nil, "the container is gone")
	case b.node != e.node:
		return nil, runtime.Fail(runtime.Missing, nil, "the container is not this node's")
	}
	return b, nil
}

// Start starts a container as its Program says.
func (e *Engine) Start(ctx context.Context, id runtime.ContainerID) error {
	if err := e.enter(ctx, Start); err != nil {
		return err
	}
	m := e.machine
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := e.own(id)
	if err != nil {
		return err
	}
	switch b.Status {
	case runtime.Running:
		return nil
	case runtime.Paused:
		b.Status = runtime.Running
		m.tell(b, runtime.Other)
		return nil
	case runtime.Dead:
		return runtime.Fail(runtime.Conflict, nil, "the container is half removed")
	}
	program := m.program(b.spec)
	if program.Missing {
		return runtime.Fail(runtime.CommandNotFound, nil, "the start command is not in the image")
	}
	for _, n := range strings.Split(b.Network, ",") {
		if n != "" && m.networks[n] == nil {
			return b.refuse(runtime.Fail(runtime.InvalidSpec, nil, "the container's network is missing on this node"))
		}
	}
	if f := m.claim(b); f != nil {
		return b.refuse(f)
	}
	b.program = program
	m.begin(b)
	return e.leave(Start)
}

// refuse notes why a start failed.
func (b *box) refuse(f *runtime.Failure) error {
	b.Error, b.ExitCode = f.Message, 128
	return f
}

// Inspect looks at one container.
func (e *Engine) Inspect(ctx context.Context, id runtime.ContainerID) (runtime.Container, error) {
	if err := e.enter(ctx, Inspect); err != nil {
		return runtime.Container{}, err
	}
	e.machine.mu.Lock()
	defer e.machine.mu.Unlock()
	b, err := e.own(id)
	if err != nil {
		return runtime.Container{}, err
	}
	return b.Container, nil
}

// List gives this node's containers in the order of their creation.
func (e *Engine) List(ctx context.Context) ([]runtime.Container, error) {
	if err := e.enter(ctx, List); err != nil {
		return nil, err
	}
	return e.Containers(), nil
}

// Glance is List with less of each container.
func (e *Engine) Glance(ctx context.Context) ([]runtime.Container, error) {
	if err := e.enter(ctx, Glance); err != nil {
		return nil, err
	}
	list := e.Containers()
	for i, c := range list {
		list[i] = runtime.Container{
			ID: c.ID, Name: c.Name, Instance: c.Instance, Role: c.Role, Generation: c.Generation, SpecHash: c.SpecHash, ImageID: c.ImageID,
			Status: c.Status, Network: c.Network, MAC: c.MAC,
		}
	}
	return list, nil
}

// Repair gives a container back what Alter and Pause have changed.
func (e *Engine) Repair(ctx context.Context, id runtime.ContainerID, spec runtime.ContainerSpec) error {
	if err := spec.Validate(); err != nil {
		return err
	}
	if err := e.enter(ctx, Repair); err != nil {
		return err
	}
	m := e.machine
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := e.own(id)
	if err != nil {
		return err
	}
	if spec.NanoCPUs > int64(m.info.Cores)*1e9 {
		return runtime.Fail(runtime.InvalidSpec, nil, "the container engine refuses the limits: it has %d cores", m.info.Cores)
	}
	if spec.PidsLimit == 0 {
		spec.PidsLimit = m.pids
	}
	before := b.Container
	b.MemoryBytes, b.NanoCPUs, b.PidsLimit, b.Restarts = spec.MemoryBytes, spec.NanoCPUs, spec.PidsLimit, false
	if spec.Network != "" && b.Network != spec.Network {
		if m.networks[spec.Network] == nil {
			return runtime.Fail(runtime.Unknown, nil, "the container could not be put on network %s", spec.Network)
		}
		b.Network = spec.Network
	}
	if b.Status == runtime.Paused {
		b.Status = runtime.Running
	}
	if b.Name != spec.Name {
		if m.names[spec.Name] != nil {
			return runtime.Fail(runtime.Conflict, nil, "a container named %s exists already on this node", spec.Name)
		}
		delete(m.names, b.Name)
		b.Name = spec.Name
		m.names[b.Name] = b
	}
	if before.Network = b.Network; before != b.Container { // nobody is told of networks
		m.tell(b, runtime.Other)
	}
	return e.leave(Repair)
}

// Containers is List without faults, for what a test asserts.
func (e *Engine) Containers() []runtime.Container {
	m := e.machine
	m.mu.Lock()
	defer m.mu.Unlock()
	var mine []*box
	for _, b := range m.boxes {
		if b.node == e.node {
			mine = append(mine, b)
		}
	}
	slices.SortFunc(mine, func(a, b *box) int { return cmp.Compare(a.serial, b.serial) })
	list := make([]runtime.Container, 0, len(mine))
	for _, b := range mine {
		list = append(list, b.Container)
	}
	return list
}

// mostLinks is how many links in a row ReadFile follows.
const mostLinks = 8

// ReadFile gives a file that the image holds or the program wrote.
func (e *Engine) ReadFile(ctx context.Context, id runtime.ContainerID, name string, limit int64) ([]byte, error) {
	if err := e.enter(ctx, ReadFile); err != nil {
		return nil, err
	}
	e.machine.mu.Lock()
	defer e.machine.mu.Unlock()
	b, err := e.own(id)
	if err != nil {
		return nil, err
	}
	at := path.Join("/", name)
	for range mostLinks {
		if text, ok := first(at, b.files, b.image.files); ok {
			return []byte(text[:min(int64(len(text)), max(limit, 0))]), nil
		}
		target, ok := first(at, b.links, b.image.links)
		if !ok {
			return nil, runtime.Fail(runtime.Missing, nil, "%.120s is not in the container", at)
		}
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(at), target)
		}
		at = path.Join("/", target)
	}
	return nil, runtime.Fail(runtime.Missing, nil, "%.120s leads through too many links", name)
}

// first looks a key up in several maps.
func first(key string, in ...map[string]string) (string, bool) {
	for _, m := range in {
		if v, ok := m[key]; ok {
			return v, true
		}
	}
	return "", false
}
