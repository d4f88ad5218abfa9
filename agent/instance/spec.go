package instance

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/berth-panel/berth/agent/journal"
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
		Image:       wanted(s.Image),
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
// Limits aren't in it: an engine changes them while the container runs.
type fixed struct {
	Name       string          `json:"name"`
	Image      string          `json:"image"`
	Entrypoint []string        `json:"entrypoint"`
	Command    []string        `json:"command"`
	Env        []string        `json:"env"`
	TTY        bool            `json:"tty"`
	Ports      []runtime.Port  `json:"ports"`
	Mounts     []runtime.Mount `json:"mounts"`
	Network    string          `json:"network"`
}

func hash(c runtime.ContainerSpec) string {
	return "2-" + sum(fixed{
		Name: c.Name, Image: c.Image, Entrypoint: c.Entrypoint, Command: c.Command, Env: c.Env, TTY: c.TTY,
		Ports: c.Ports, Mounts: c.Mounts, Network: c.Network,
	})
}

// fixedOnce is what older releases took for fixed: limits were among it.
type fixedOnce struct {
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

func hashOnce(c runtime.ContainerSpec) string {
	return "1-" + sum(fixedOnce{
		Name: c.Name, Image: c.Image, Entrypoint: c.Entrypoint, Command: c.Command, Env: c.Env, TTY: c.TTY,
		Memory: c.MemoryBytes, NanoCPUs: c.NanoCPUs, Pids: c.PidsLimit, Ports: c.Ports, Mounts: c.Mounts, Network: c.Network,
	})
}

func sum(v any) string {
	text, _ := json.Marshal(v) // can't fail: only text, numbers and lists of them
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// fits says whether a container is one that the spec asks for, whatever its limits.
// One that an older release has made is known by the hash that it had then, with
// the limits that it was made with; and later, once those were changed, by
// journal.Known.Fits.
func (o *owner) fits(c runtime.Container, spec runtime.ContainerSpec) bool {
	if c.SpecHash == spec.SpecHash {
		return true
	}
	if known, _ := o.know(); known.Fits != nil && *known.Fits == (journal.Fits{Container: string(c.ID), Hash: spec.SpecHash}) {
		return true
	}
	return c.SpecHash == hashOnce(spec) || c.SpecHash == hashOnce(withLimits(spec, c))
}

func withLimits(spec runtime.ContainerSpec, c runtime.Container) runtime.ContainerSpec {
	spec.MemoryBytes, spec.NanoCPUs, spec.PidsLimit = c.MemoryBytes, c.NanoCPUs, c.PidsLimit
	return spec
}

// recognise remembers that the container at boxes[0] fits though it was made by
// an older release.
func (o *owner) recognise(spec runtime.ContainerSpec) {
	if len(o.boxes) == 0 || o.boxes[0].SpecHash == spec.SpecHash || !o.fits(o.boxes[0], spec) {
		return
	}
	fits := journal.Fits{Container: string(o.boxes[0].ID), Hash: spec.SpecHash}
	if known, _ := o.know(); known.Fits == nil || *known.Fits != fits {
		o.learn(func(k *journal.Known) { k.Fits = &fits })
	}
}
