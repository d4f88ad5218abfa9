package instance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// New asks for an instance.
type New struct {
	Name      string
	Owner     ident.User
	Node      ident.Node // "" has one chosen
	Tags      []string   // the node has all of them
	Image     ident.Image
	Reference string // one of the image's; "" is its first
	MemoryMiB int64
	NanoCPUs  int64
	DiskMiB   int64 // 0 is DefaultDiskMiB
	Ports     []allocation.Mapping
	Variables map[string]string
	Stopped   bool // don't start it after the install
}

// The limits of limits.
const (
	DefaultDiskMiB = 5 * 1024
	minMemoryMiB   = 6 // Docker refuses less
	maxMiB         = 1 << 30
	minNanoCPUs    = 10_000_000 // a hundredth of a core: the kernel's smallest quota
	maxNanoCPUs    = 1024 * 1e9
	maxName        = 200
)

// Create deploys an instance: it is there, installing, with its ports and its
// job, or nothing is.
func (s *Service) Create(ctx context.Context, c access.Caller, n New) (i Instance, j job.Job, err error) {
	if n.DiskMiB == 0 {
		n.DiskMiB = DefaultDiskMiB
	}
	if err := checkName(n.Name); err != nil {
		return i, j, err
	}
	if err := checkLimits(n.MemoryMiB, n.NanoCPUs, n.DiskMiB); err != nil {
		return i, j, err
	}
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		if i, err = s.place(ctx, tx, n); err != nil {
			return err
		}
		if j, err = s.enqueue(ctx, tx, c.Actor, i, KindDeploy); err != nil {
			return err
		}
		if err := s.tell(ctx, tx, c.Actor, "instance.created", i, map[string]any{"name": i.Name, "image": i.Reference, "job": j.ID}); err != nil {
			return err
		}
		return keep(ctx, tx, i, j)
	})
	return i, j, err
}

// place checks everything that only the transaction can know and writes the
// row with its ports.
func (s *Service) place(ctx context.Context, tx *store.Tx, n New) (Instance, error) {
	img, err := image.ByID(ctx, tx, n.Image)
	if err != nil {
		return Instance{}, asField(err, "image_id", "there is no such image in the catalogue")
	}
	if n.Reference == "" {
		n.Reference = img.References[0]
	}
	if !slices.Contains(img.References, n.Reference) {
		return Instance{}, problem.Invalid("reference", "%s has no reference %.100q; it has %s", img.Name, n.Reference, strings.Join(img.References, ", "))
	}
	if err := mayOwn(ctx, tx, n.Owner); err != nil {
		return Instance{}, err
	}
	if err := fits(ctx, tx, n.Owner, identity.Use{Instances: 1, MemoryMiB: n.MemoryMiB, NanoCPUs: n.NanoCPUs, DiskMiB: n.DiskMiB}); err != nil {
		return Instance{}, err
	}
	host, err := s.host(ctx, tx, n)
	if err != nil {
		return Instance{}, err
	}
	now := s.Now().UTC()
	i := Instance{
		Name: n.Name, Owner: n.Owner, Node: host.ID, Image: n.Image, Reference: n.Reference, MemoryMiB: n.MemoryMiB, NanoCPUs: n.NanoCPUs,
		DiskMiB: n.DiskMiB, Variables: n.Variables, Phase: Installing, Actual: wire.ActualUnknown, CreatedAt: now,
	}
	if i.ID, err = freeID(ctx, tx); err != nil {
		return Instance{}, err
	}
	if n.Stopped {
		i.order(Stop)
	} else {
		i.order(Start)
	}
	i.raise(now)
	if err := insert(ctx, tx, i); err != nil { // the ports refer to it
		return Instance{}, err
	}
	given, err := s.Ports.Claim(ctx, tx, allocation.ClaimRequest{Node: host.ID, Instance: i.ID, IP: host.BindAddress, Ports: n.Ports})
	if err != nil {
		return Instance{}, err
	}
	if err := i.describe(img, given); err != nil {
		return Instance{}, err
	}
	return i, save(ctx, tx, i)
}

func freeID(ctx context.Context, tx *store.Tx) (ident.Instance, error) {
	for range 20 {
		id := ident.NewInstance()
		there, err := taken(ctx, tx, id)
		if err != nil {
			return "", err
		}
		if !there {
			return id, nil
		}
	}
	return "", fmt.Errorf("20 random instance ids were all taken")
}

// host finds the node for it: the one that is named, or the best one that also
// has its ports free.
func (s *Service) host(ctx context.Context, tx *store.Tx, n New) (node.Node, error) {
	want := node.Want{MemoryMiB: n.MemoryMiB, DiskMiB: n.DiskMiB, NanoCPUs: n.NanoCPUs, Tags: n.Tags, On: n.Node}
	var misfits []allocation.Fit
	if n.Node == "" && len(n.Ports) > 0 { // of a named node Claim says which port it is, and who has it
		want.Fits = func(ctx context.Context, tx *store.Tx, host node.Node) (bool, error) {
			fit, err := allocation.Fits(ctx, tx, host, n.Ports)
			if err == nil && !fit.OK() {
				misfits = append(misfits, fit)
			}
			return err == nil && fit.OK(), err
		}
	}
	host, err := s.Nodes.Place(ctx, tx, want)
	if errors.Is(err, node.ErrNoneFits) && len(misfits) > 0 {
		err = portless(misfits)
	}
	return host, err
}

// portless says why none of the nodes that have room can give the ports.
func portless(misfits []allocation.Fit) error {
	everywhere := misfits[0].Taken
	somewhere := false
	for _, f := range misfits {
		everywhere = slices.DeleteFunc(slices.Clone(everywhere), func(p uint16) bool { return !slices.Contains(f.Taken, p) })
		somewhere = somewhere || len(f.Taken) > 0
	}
	p := problem.New(problem.Conflict, "every node that has room lacks one of these ports; choose others, or name none to get free ones of a pool")
	switch {
	case len(everywhere) > 0:
		p = problem.New(problem.Conflict, "port %d is taken on every node that has room; choose another, or name none to get a free one of the pool", everywhere[0])
	case !somewhere:
		return problem.New(problem.InsufficientResources, "no node that has room has enough free ports in its pool; add ports to one, or name a host port")
	}
	p.Fields = []problem.Field{{Field: "ports", Message: p.Message}}
	return p
}

func mayOwn(ctx context.Context, q store.Querier, owner ident.User) error {
	u, err := identity.Lookup(ctx, q, owner)
	if err == nil && u.Disabled {
		return problem.Invalid("owner_id", "user %s is disabled", u.Username)
	}
	return asField(err, "owner_id", "there is no such user")
}

// describe writes into the spec what the container is made from: the image, the
// limits, the ports and the environment. Power and suspension stay.
func (i *Instance) describe(img image.Image, ports []allocation.Allocation) error {
	values, err := img.Values(i.Variables)
	if err != nil {
		return err
	}
	env := img.Environment(values)
	spec := wire.Spec{
		Instance: i.ID, Generation: i.Generation, Power: i.Spec.Power, Suspended: i.Suspended,
		Image:  wire.ImageSpec{Reference: i.Reference},
		Limits: wire.Limits{MemoryMiB: i.MemoryMiB, NanoCPUs: i.NanoCPUs, DiskMiB: i.DiskMiB}, Drift: i.Spec.Drift,
		Ports: []wire.Port{}, Volume: img.MountPath(), TTY: !img.NoTTY,
		Ready: img.Ready(), Crash: wire.Crash(i.Crash.Over(img.CrashDefaults())),
		Installed: i.Spec.Installed, Wipe: i.Spec.Wipe, Reinstall: i.Spec.Reinstall, Convert: i.Spec.Convert, Network: i.Spec.Network,
	}
	for _, p := range ports {
		spec.Ports = append(spec.Ports, wire.Port{IP: p.IP, Host: p.Port, Container: p.ContainerPort, Primary: p.Primary})
		if p.Primary {
			number := fmt.Sprint(p.ContainerPort)
			values["PRIMARY_PORT"] = number
			env = setEnv(env, "PRIMARY_PORT", number)
		}
	}
	if spec.Image.Command, err = img.Argv(values); err != nil {
		return err
	}
	if spec.Stop, err = img.Stop(); err != nil {
		return err
	}
	spec.Env, spec.Install = env, wire.Install{Downloads: img.Downloads(values)}
	before := i.Spec.Limits
	spec.Limits.ReadBytes, spec.Limits.WriteBytes, spec.Limits.ReadOps, spec.Limits.WriteOps = before.ReadBytes, before.WriteBytes, before.ReadOps, before.WriteOps
	i.Spec = spec
	return nil
}

// setEnv sets a name that wins over the image's and the user's.
func setEnv(env []string, name, value string) []string {
	for n, e := range env {
		if strings.HasPrefix(e, name+"=") {
			env[n] = name + "=" + value
			return env
		}
	}
	return append(env, name+"="+value)
}

func checkName(name string) error {
	if name == "" || utf8.RuneCountInString(name) > maxName || strings.TrimSpace(name) != name ||
		strings.ContainsFunc(name, misleads) || !strings.ContainsFunc(name, unicode.IsGraphic) {
		return problem.Invalid("name", "1 to %d characters, none of them a control character, no space at the ends", maxName)
	}
	return nil
}

// misleads says whether a character can make a name look like another's: one that
// isn't seen, or that turns the direction of what is. The joiners are let pass;
// emoji and some scripts are written with them.
func misleads(r rune) bool {
	const nonJoiner, joiner = '\u200c', '\u200d'
	return !unicode.IsPrint(r) && r != nonJoiner && r != joiner
}

func checkLimits(memoryMiB, nanoCPUs, diskMiB int64) error {
	switch {
	case memoryMiB < minMemoryMiB || memoryMiB > maxMiB:
		return problem.Invalid("memory", "%d to %d MiB", minMemoryMiB, maxMiB)
	case nanoCPUs < minNanoCPUs || nanoCPUs > maxNanoCPUs:
		return problem.Invalid("cpu", "0.01 to 1024 cores")
	case diskMiB < 1 || diskMiB > maxMiB:
		return problem.Invalid("disk", "1 to %d MiB", maxMiB)
	default:
		return nil
	}
}

// asField turns a NOT_FOUND of something that the request named into what is
// wrong with that field.
func asField(err error, field, message string) error {
	if problem.Is(err, problem.NotFound) {
		return problem.Invalid(field, "%s", message)
	}
	return err
}
