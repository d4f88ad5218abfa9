package docker

import (
	"context"
	"strconv"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/go-connections/nat"

	"github.com/berth-panel/berth/agent/runtime"
)

// givenBack are the capabilities that the entrypoints of common images need to
// prepare their directories, to become another user and to end their children.
// All others are dropped.
var givenBack = []string{"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETUID", "SETGID", "KILL", "NET_BIND_SERVICE"}

// Create makes a container and does not start it.
func (e *Engine) Create(ctx context.Context, spec runtime.ContainerSpec) (runtime.ContainerID, error) {
	if err := spec.Validate(); err != nil {
		return "", err
	}
	image, err := lookupName(spec.Image)
	if err != nil {
		return "", err
	}
	exposed, bindings := portMaps(spec.Ports)
	config := &container.Config{
		Image:        image,
		Hostname:     spec.Hostname,
		User:         spec.User,
		Env:          spec.Env,
		Entrypoint:   spec.Entrypoint,
		Cmd:          spec.Command,
		WorkingDir:   spec.WorkingDir,
		Tty:          spec.TTY,
		OpenStdin:    true,
		StdinOnce:    false,
		ExposedPorts: exposed,
		Labels: map[string]string{
			labelNode:       string(e.node),
			labelInstance:   string(spec.Instance),
			labelRole:       string(spec.Role), // always, or the image's own label would count
			labelGeneration: strconv.FormatInt(spec.Generation, 10),
			labelSpec:       spec.SpecHash,
			labelMAC:        spec.MAC,
		},
	}
	networking := &network.NetworkingConfig{}
	if spec.MAC != "" && spec.Network != "" {
		if e.addressPerNetwork(ctx) {
			networking.EndpointsConfig = map[string]*network.EndpointSettings{spec.Network: {MacAddress: spec.MAC}}
		} else {
			config.MacAddress = spec.MAC //nolint:staticcheck // engines before 25 know no other
		}
	}
	host := e.hostConfig(spec, bindings)
	e.supervise(ctx, spec, image, config, host)
	made, err := e.api.ContainerCreate(ctx, config, host, networking, nil, spec.Name)
	if err != nil {
		return "", createFailure(ctx, spec, err)
	}
	for _, w := range made.Warnings {
		e.log.WarnContext(ctx, "the container engine warns", "instance", spec.Instance, "warning", w)
	}
	return runtime.ContainerID(made.ID), nil
}

// addressPerNetwork says whether the engine takes a hardware address for each
// network of a container; older ones take one for the container.
func (e *Engine) addressPerNetwork(ctx context.Context) bool {
	e.api.NegotiateAPIVersion(ctx) // once; later it asks nothing
	return versions.GreaterThanOrEqualTo(e.api.ClientVersion(), "1.44")
}

func (e *Engine) hostConfig(spec runtime.ContainerSpec, bindings nat.PortMap) *container.HostConfig {
	init, pids := true, spec.PidsLimit
	if pids == 0 {
		pids = e.pids
	}
	mode := container.NetworkMode(spec.Network)
	if spec.Network == "" {
		mode = "none"
	}
	return &container.HostConfig{
		NetworkMode:   mode,
		PortBindings:  bindings,
		Mounts:        mounts(spec.Mounts),
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled},
		// Not "json-file", which replaces bytes that are not UTF-8.
		LogConfig:   container.LogConfig{Type: "local", Config: map[string]string{"max-size": "10m", "max-file": "3"}},
		CapDrop:     []string{"ALL"},
		CapAdd:      givenBack,
		SecurityOpt: []string{"no-new-privileges"},
		Init:        &init,
		Resources: container.Resources{
			Memory:     spec.MemoryBytes,
			MemorySwap: spec.MemoryBytes, // memory and swap together: no swap on top
			NanoCPUs:   spec.NanoCPUs,
			PidsLimit:  &pids,
		},
	}
}

func portMaps(ports []runtime.Port) (nat.PortSet, nat.PortMap) {
	exposed, bindings := nat.PortSet{}, nat.PortMap{}
	for _, p := range ports {
		inside := nat.Port(strconv.Itoa(int(p.Container)) + "/" + string(p.Protocol))
		exposed[inside] = struct{}{}
		bindings[inside] = append(bindings[inside], nat.PortBinding{HostIP: p.HostIP, HostPort: strconv.Itoa(int(p.Host))})
	}
	return exposed, bindings
}

// mounts are of the type that refuses a source which is missing: the older
// "binds" would make it, as a directory of root's.
func mounts(from []runtime.Mount) []mount.Mount {
	out := make([]mount.Mount, 0, len(from))
	for _, m := range from {
		out = append(out, mount.Mount{Type: mount.TypeBind, Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly})
	}
	return out
}
