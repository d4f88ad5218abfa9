package docker

import (
	"context"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"github.com/berth-panel/berth/agent/runtime"
)

// Repair gives a container back its name, limits and network, and lets it go on
// when it is paused. The network comes before the pause ends: what goes on is
// whole.
func (e *Engine) Repair(ctx context.Context, id runtime.ContainerID, spec runtime.ContainerSpec) error {
	if err := spec.Validate(); err != nil {
		return err
	}
	c, err := e.own(ctx, id)
	if err != nil {
		return err
	}
	var is runtime.Container
	limits(&is, c)
	if err := e.giveLimits(ctx, c.ID, is, spec); err != nil {
		return err
	}
	if err := e.giveNetwork(ctx, c, spec.Network); err != nil {
		return err
	}
	if c.State.Paused {
		if err := e.unpause(ctx, c.ID); err != nil {
			return err
		}
	}
	return e.giveName(ctx, c, spec.Name)
}

// giveLimits changes only what is another: an engine refuses some changes that
// change nothing.
func (e *Engine) giveLimits(ctx context.Context, id string, is runtime.Container, spec runtime.ContainerSpec) error {
	var update container.UpdateConfig
	pids := spec.PidsLimit
	if pids == 0 {
		pids = e.pids
	}
	if is.MemoryBytes != 0 && is.MemoryBytes != spec.MemoryBytes {
		update.Memory, update.MemorySwap = spec.MemoryBytes, spec.MemoryBytes
	}
	if is.NanoCPUs != 0 && is.NanoCPUs != spec.NanoCPUs {
		update.NanoCPUs = spec.NanoCPUs
	}
	if is.PidsLimit != 0 && is.PidsLimit != pids {
		update.PidsLimit = &pids
	}
	if is.Restarts {
		update.RestartPolicy.Name = container.RestartPolicyDisabled
	}
	if update.Memory == 0 && update.NanoCPUs == 0 && update.PidsLimit == nil && update.RestartPolicy.Name == "" {
		return nil
	}
	_, err := e.api.ContainerUpdate(ctx, id, update)
	switch {
	case errdefs.IsNotFound(err):
		return missing(err)
	case errdefs.IsInvalidArgument(err):
		return runtime.Fail(runtime.InvalidSpec, err, "the container engine refuses the limits: %s", plain(err.Error()))
	}
	return failure(ctx, err, runtime.Unknown, "the container engine could not give the container its limits back")
}

// giveNetwork takes the container off all networks but its own, and puts it on
// that one when it isn't.
func (e *Engine) giveNetwork(ctx context.Context, c container.InspectResponse, own string) error {
	if own == "" || c.NetworkSettings == nil {
		return nil
	}
	for name := range c.NetworkSettings.Networks {
		if name == own {
			continue
		}
		if err := e.api.NetworkDisconnect(ctx, name, c.ID, true); err != nil && !errdefs.IsNotFound(err) {
			return failure(ctx, err, runtime.Unknown, "the container could not be taken off network %s", name)
		}
	}
	if _, on := c.NetworkSettings.Networks[own]; on {
		return nil
	}
	var settings *network.EndpointSettings
	if mac := c.Config.Labels[labelMAC]; mac != "" && e.addressPerNetwork(ctx) {
		settings = &network.EndpointSettings{MacAddress: mac}
	}
	err := e.api.NetworkConnect(ctx, own, c.ID, settings)
	return failure(ctx, err, runtime.Unknown, "the container could not be put on network %s", own)
}

func (e *Engine) giveName(ctx context.Context, c container.InspectResponse, name string) error {
	if trimSlash(c.Name) == name {
		return nil
	}
	err := e.api.ContainerRename(ctx, c.ID, name)
	switch {
	case errdefs.IsNotFound(err):
		return missing(err)
	case errdefs.IsConflict(err):
		return runtime.Fail(runtime.Conflict, err, "a container named %s exists already on this node", name)
	}
	return failure(ctx, err, runtime.Unknown, "the container could not be given its name back")
}
