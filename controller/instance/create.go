package instance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/controller/image/name"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/preset"
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
	Reference string          // one of the image's; "" is its first
	Preset    ident.Preset    // of the image; gives what is left out here
	Startup   string          // one of the image's start commands; "" is its first
	Pull      wire.PullPolicy // "" is the image's
	Digest    string
	MemoryMiB int64
	NanoCPUs  int64
	DiskMiB   int64 // 0 is DefaultDiskMiB
	Ports     []allocation.Mapping
	Variables map[string]string
	Stopped   bool // don't start it after the install

	like *Instance // what it is a clone of
}

// The limits of limits.
const (
	DefaultDiskMiB = 5 * 1024
	minMemoryMiB   = 6 // Docker refuses less
	maxMiB         = 1 << 30
	minNanoCPUs    = 10_000_000 // a hundredth of a core: the kernel's smallest quota
	maxNanoCPUs    = 1024 * 1e9
)

// Create deploys an instance: it is there, installing, with its ports and its
// job, or nothing is.
func (s *Service) Create(ctx context.Context, c access.Caller, n New) (i Instance, j job.Job, err error) {
	if err := name.Check(n.Name); err != nil {
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
	if n, err = n.settle(ctx, tx, img); err != nil {
		return Instance{}, err
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
		Name: n.Name, Owner: n.Owner, Node: host.ID, Image: n.Image, Reference: n.Reference,
		Startup: n.Startup, Pull: n.Pull, Digest: n.Digest, MemoryMiB: n.MemoryMiB, NanoCPUs: n.NanoCPUs,
		DiskMiB: n.DiskMiB, Variables: n.Variables, Phase: Installing, Actual: wire.ActualUnknown, CreatedAt: now,
	}
	if i.ID, err = freeID(ctx, tx); err != nil {
		return Instance{}, err
	}
	i.resemble(n.like)
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
	if err := i.describe(img, given, host); err != nil {
		return Instance{}, err
	}
	return i, save(ctx, tx, i)
}

// settle fills in what the preset, the image and we give, and checks the whole.
func (n New) settle(ctx context.Context, q store.Querier, img image.Image) (New, error) {
	if n.Preset != "" {
		p, err := preset.Of(ctx, q, img.ID, n.Preset)
		if err != nil {
			return n, asField(err, "preset", "the image has no such preset")
		}
		n = n.over(p)
	}
	if n.DiskMiB == 0 {
		n.DiskMiB = DefaultDiskMiB
	}
	if n.Reference == "" {
		n.Reference = img.References[0]
	}
	if err := img.HasReference(n.Reference); err != nil {
		return n, err
	}
	if err := img.HasStartup(n.Startup); err != nil {
		return n, err
	}
	if err := checkPull(n.Pull); err != nil {
		return n, err
	}
	if err := checkDigest(n.Digest); err != nil {
		return n, err
	}
	if err := checkLimits(n.MemoryMiB, n.NanoCPUs, n.DiskMiB); err != nil {
		return n, err
	}
	_, err := img.Values(n.Variables)
	return n, err
}

// over gives what the order leaves out as the preset has it.
func (n New) over(p preset.Preset) New {
	n.Reference, n.Startup = cmp.Or(n.Reference, p.Reference), cmp.Or(n.Startup, p.Startup)
	n.MemoryMiB, n.NanoCPUs, n.DiskMiB = cmp.Or(n.MemoryMiB, p.Memory), cmp.Or(n.NanoCPUs, NanoCPUs(p.CPU)), cmp.Or(n.DiskMiB, p.Disk)
	if len(n.Ports) == 0 {
		primary := max(0, slices.IndexFunc(p.Ports, func(o preset.PresetPort) bool { return o.Primary }))
		for k, o := range p.Ports {
			n.Ports = append(n.Ports, allocation.Mapping{Container: o.Container, Primary: k == primary})
		}
	}
	variables := maps.Clone(p.Variables)
	if variables == nil {
		variables = map[string]string{}
	}
	maps.Copy(variables, n.Variables)
	n.Variables = variables
	return n
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
