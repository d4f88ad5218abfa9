package instance

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// describe writes into the spec what the container is made from: the image, the
// limits, the ports and the environment, on that node. Power and suspension stay.
// It checks no value: that is done where values come in.
func (i *Instance) describe(img image.Image, ports []allocation.Allocation, host node.Node) error {
	spec := wire.Spec{
		Instance: i.ID, Generation: i.Generation, Revision: i.Spec.Revision, Power: i.Spec.Power, Suspended: i.Suspended,
		Image:  wire.ImageSpec{Reference: i.Reference, Pull: i.Pull, Digest: i.Digest},
		Limits: wire.Limits{MemoryMiB: i.MemoryMiB, NanoCPUs: i.NanoCPUs, DiskMiB: i.DiskMiB}, Drift: i.Spec.Drift,
		Ports: []wire.Port{}, Volume: img.MountPath(), TTY: !img.NoTTY,
		Ready: img.Ready(), Crash: wire.Crash(i.Crash.Over(img.CrashDefaults())),
		Installed: i.Spec.Installed, Wipe: i.Spec.Wipe, Reinstall: i.Spec.Reinstall, Convert: i.Spec.Convert, Network: i.Spec.Network,
	}
	if spec.Image.Pull == "" {
		spec.Image.Pull = img.Pull
	}
	for _, p := range ports {
		spec.Ports = append(spec.Ports, wire.Port{IP: p.IP, Host: p.Port, Container: p.ContainerPort, Primary: p.Primary})
	}
	rendered, err := img.Render(i.Variables, i.at(spec.Ports, host))
	if err != nil {
		return err
	}
	if spec.Stop, err = img.Stop(); err != nil {
		return err
	}
	spec.Env, spec.Image.Entrypoint, spec.Image.Command = rendered.Env, rendered.Entrypoint, rendered.Command
	spec.Install, spec.Patches = rendered.Install, rendered.Patches
	before := i.Spec.Limits
	spec.Limits.ReadBytes, spec.Limits.WriteBytes, spec.Limits.ReadOps, spec.Limits.WriteOps = before.ReadBytes, before.WriteBytes, before.ReadOps, before.WriteOps
	i.Spec = spec
	return fitting(spec)
}

// specMost is how large an order may be, in bytes: less than what an agent reads
// of a call, which it comes with others in.
const specMost = 1<<20 - 64<<10

// fitting refuses what no agent would read, before it is a job that can't succeed.
func fitting(spec wire.Spec) error {
	text, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("encode an order: %w", err)
	}
	if len(text) > specMost {
		return problem.New(problem.Validation, "the image with these values is too large for a node, %d KiB of %d: shorten its install script, its texts or the values", len(text)>>10, specMost>>10)
	}
	return nil
}

// randomText is the name under which a spec keeps what was drawn for its instance.
const randomText = "randomString"

// at is what the image's texts may say of the instance.
func (i *Instance) at(ports []wire.Port, host node.Node) image.At {
	at := image.At{ID: i.ID, Name: i.Name, Reference: i.Reference, Startup: i.Startup, MemoryMiB: i.MemoryMiB, DiskMiB: i.DiskMiB, NanoCPUs: i.NanoCPUs,
		Node: host.Name, Address: host.Host(), CreatedAt: i.CreatedAt, Random: i.Spec.Install.Replace[randomText]}
	if at.Random == "" {
		at.Random = rand.Text()
	}
	for _, p := range ports {
		at.Ports = append(at.Ports, image.AtPort{Container: p.Container, Primary: p.Primary})
	}
	return at
}

// held gives the instance's ports as they are.
func (i *Instance) held() []allocation.Allocation {
	var given []allocation.Allocation
	for _, p := range i.Spec.Ports {
		given = append(given, allocation.Allocation{IP: p.IP, Port: p.Host, ContainerPort: p.Container, Primary: p.Primary})
	}
	return given
}

// redescribe makes the spec anew from the image as it now is.
func (s *Service) redescribe(ctx context.Context, tx *store.Tx, i *Instance, ports *[]allocation.Mapping) error {
	img, err := image.ByID(ctx, tx, i.Image)
	if err != nil {
		return err
	}
	if i.Spec.Image.Reference != i.Reference {
		if err := img.HasReference(i.Reference); err != nil {
			return err
		}
	}
	host, err := s.Nodes.Find(ctx, tx, i.Node)
	if err != nil {
		return err
	}
	given := i.held()
	if ports != nil {
		given, err = s.Ports.Replace(ctx, tx, allocation.ClaimRequest{Node: i.Node, Instance: i.ID, IP: host.BindAddress, Ports: *ports})
		if err != nil {
			return err
		}
	}
	return i.describe(img, given, host)
}

// outdated says whether the image would now say something else of the instance
// than it is told. One that refuses its values does.
func (i Instance) outdated(img image.Image, host node.Node) (bool, error) {
	now := i
	if err := now.describe(img, i.held(), host); err != nil {
		if problem.Is(err, problem.Validation) {
			return true, nil
		}
		return false, err
	}
	now.keepMemory(i.Spec)
	was := i.Spec
	now.Spec.Hold, now.Spec.Copied, now.Spec.Moving = was.Hold, was.Copied, was.Moving
	now.Spec.Install.Replace, was.Install.Replace = nil, nil // of a spec that an older release has made, there are none
	return differ(now.Spec, was), nil
}

// differ says whether two of a kind are not the same on the wire.
func differ(a, b any) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 != nil || err2 != nil || string(x) != string(y)
}

var digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

func checkPull(p wire.PullPolicy) error {
	switch p {
	case "", wire.PullMissing, wire.PullAlways, wire.PullNever:
		return nil
	default:
		return problem.Invalid("pull", "must be missing, always or never, or empty for what the image says")
	}
}

func checkDigest(digest string) error {
	if digest != "" && !digestForm.MatchString(digest) {
		return problem.Invalid("digest", "must be sha256: and 64 digits of hex, as a registry calls an image; empty unpins it")
	}
	return nil
}

// memoryName tells an egg's program of the memory limit.
const memoryName = "SERVER_MEMORY"

// keepMemory leaves what the environment says of the memory limit as it was
// before, where nothing else of the container differs: a new limit takes effect
// while it runs, and its program hears of it at the next start; see tellMemory.
func (i *Instance) keepMemory(before wire.Spec) {
	old, new := entry(before.Env, memoryName), entry(i.Spec.Env, memoryName)
	if old < 0 || new < 0 || before.Env[old] == i.Spec.Env[new] {
		return
	}
	env := slices.Clone(i.Spec.Env)
	env[new] = before.Env[old]
	if !differ(env, before.Env) {
		i.Spec.Env = env
	}
}

// tellMemory makes the environment say what the memory limit is.
func (i *Instance) tellMemory() {
	if n := entry(i.Spec.Env, memoryName); n >= 0 && entry(i.Spec.Env, "P_SERVER_UUID") >= 0 {
		env := slices.Clone(i.Spec.Env)
		env[n] = memoryName + "=" + strconv.FormatInt(i.MemoryMiB, 10)
		i.Spec.Env = env
	}
}

func entry(env []string, name string) int {
	return slices.IndexFunc(env, func(e string) bool { return strings.HasPrefix(e, name+"=") })
}
