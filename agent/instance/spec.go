package instance

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/wire"
)

// containerSpec is the container that a spec asks for, with its hash.
func (m *Manager) containerSpec(s wire.Spec) runtime.ContainerSpec {
	pids := s.Limits.Pids
	if pids == 0 {
		pids = m.config.PidsLimit
	}
	c := runtime.ContainerSpec{
		Name:        "berth-" + string(s.Instance),
		Instance:    s.Instance,
		Generation:  s.Generation,
		Image:       s.Image.Reference,
		Entrypoint:  s.Image.Entrypoint,
		Command:     s.Image.Command,
		Env:         s.Env,
		TTY:         s.TTY,
		MemoryBytes: s.Limits.MemoryMiB << 20,
		NanoCPUs:    s.Limits.NanoCPUs,
		PidsLimit:   pids,
		Mounts:      []runtime.Mount{{Source: m.deps.Volumes.Path(s.Instance), Target: s.Volume}},
		Network:     m.config.Network.Name,
		Hostname:    string(s.Instance),
	}
	for _, p := range s.Ports {
		for _, protocol := range []runtime.Protocol{runtime.TCP, runtime.UDP} {
			c.Ports = append(c.Ports, runtime.Port{HostIP: p.IP, Host: p.Host, Container: p.Container, Protocol: protocol})
		}
	}
	if m.deps.Fence != nil {
		c.MAC = m.deps.Fence.MAC(s.Instance)
	}
	c.SpecHash = hash(c)
	return c
}

// fixed is what can't be changed on a container that exists. It is a type of
// its own so that a new field of runtime.ContainerSpec doesn't make every
// container of every node anew: add here only what needs that, with omitempty.
type fixed struct {
	Name       string          `json:"name"`
	Image      string          `json:"image"`
	Entrypoint []string        `json:"entrypoint"`
	Command    []string        `json:"command"`
	Env        []string        `json:"env"`
	TTY        bool            `json:"tty"`
	Memory     int64           `json:"memory"`
	NanoCPUs   int64           `json:"nano_cpus"`
	Pids       int64           `json:"pids"`
	Ports      []runtime.Port  `json:"ports"`
	Mounts     []runtime.Mount `json:"mounts"`
	Network    string          `json:"network"`
}

func hash(c runtime.ContainerSpec) string {
	// Marshal can't fail: only text, numbers and lists of them.
	text, _ := json.Marshal(fixed{
		Name: c.Name, Image: c.Image, Entrypoint: c.Entrypoint, Command: c.Command, Env: c.Env, TTY: c.TTY,
		Memory: c.MemoryBytes, NanoCPUs: c.NanoCPUs, Pids: c.PidsLimit, Ports: c.Ports, Mounts: c.Mounts, Network: c.Network,
	})
	sum := sha256.Sum256(text)
	return "1-" + hex.EncodeToString(sum[:16])
}
