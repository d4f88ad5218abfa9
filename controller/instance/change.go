package instance

import (
	"context"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/controller/image/name"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Patch names what is to change; nil stays.
type Patch struct {
	Name      *string
	Owner     *ident.User
	Reference *string
	Startup   *string
	Pull      *wire.PullPolicy
	Digest    *string
	Pin       *bool // to what the container is made from; instead of Digest
	MemoryMiB *int64
	NanoCPUs  *int64
	DiskMiB   *int64
	Ports     *[]allocation.Mapping
	Drift     *wire.Drift
	Crash     *image.CrashPolicy // the whole of it
	Variables *map[string]string // names the values to set; the others stay
	Network   *InstanceNetworkBody
	IO        *InstanceIOBody
}

// managed says whether the patch holds what an owner may not change himself.
func (p Patch) managed() bool {
	return p.Owner != nil || p.MemoryMiB != nil || p.NanoCPUs != nil || p.DiskMiB != nil || p.Ports != nil || p.Reference != nil || p.Pull != nil || p.Digest != nil || p.Pin != nil || p.Drift != nil || p.Network != nil || p.IO != nil
}

// ofContainer says whether the patch holds something that the container is made
// from, or told.
func (p Patch) ofContainer() bool {
	return p.Reference != nil || p.Startup != nil || p.Pull != nil || p.Digest != nil || p.Pin != nil || p.limits() || p.Ports != nil || p.Variables != nil
}

func (p Patch) limits() bool { return p.MemoryMiB != nil || p.NanoCPUs != nil || p.DiskMiB != nil }

// Change is Edit for who doesn't ask what it takes.
func (s *Service) Change(ctx context.Context, c access.Caller, id ident.Instance, p Patch) (Instance, job.Job, error) {
	o, err := s.Edit(ctx, c, id, p)
	return o.Instance, o.Job, err
}

// Edit edits an instance. What its container is made from changes with a job, and
// restarts it where nothing less does (Changed.Restart); a new name or owner alone
// needs none, and the job is then the zero one.
func (s *Service) Edit(ctx context.Context, c access.Caller, id ident.Instance, p Patch) (Changed, error) {
	if p.managed() && !c.Can(access.WriteInstances) {
		return Changed{}, problem.New(problem.Forbidden, "only who may write all instances may change limits, ports, network, reference, pull policy, digest, drift policy and owner")
	}
	return s.edit(ctx, c, id, func(tx *store.Tx, i *Instance) error { return s.patch(ctx, tx, c, i, p) })
}

// edit changes an instance's settings in one transaction, and has its node told
// where it has to know.
func (s *Service) edit(ctx context.Context, c access.Caller, id ident.Instance, change func(*store.Tx, *Instance) error) (o Changed, err error) {
	i, j := &o.Instance, &o.Job
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		if *i, err = entitled(ctx, tx, c, id, access.EditInstance); err != nil {
			return err
		}
		was := *i
		if err := change(tx, i); err != nil {
			return err
		}
		if err := was.withinQuota(ctx, tx, *i); err != nil {
			return err
		}
		o.Restart = needs(was.Spec, i.Spec, was.runs())
		i.UpdatedAt = s.Now().UTC()
		if o.Restart != RestartNone {
			i.Spec.Hold = false
			i.raise(i.UpdatedAt)
			if *j, err = s.enqueue(ctx, tx, c.Actor, *i, KindUpdate); err != nil {
				return err
			}
			if err := s.Jobs.Progress(ctx, tx, j.ID, "update", 0, restartTexts[o.Restart]); err != nil {
				return err
			}
		}
		if err := save(ctx, tx, *i); err != nil {
			return err
		}
		if i.Owner != was.Owner {
			if err := s.unshare(ctx, tx, c.Actor, *i); err != nil {
				return err
			}
		}
		return s.tell(ctx, tx, c.Actor, "instance.updated", *i, map[string]any{"job": j.ID, "restart": o.Restart})
	})
	return o, err
}

func (s *Service) patch(ctx context.Context, tx *store.Tx, c access.Caller, i *Instance, p Patch) error {
	if p.Name != nil {
		i.Name = *p.Name
	}
	if err := name.Check(i.Name); err != nil {
		return err
	}
	if err := s.setOwner(ctx, tx, i, p.Owner); err != nil {
		return err
	}
	if err := i.setDrift(p.Drift); err != nil {
		return err
	}
	if p.Crash != nil {
		if err := setCrash(ctx, tx, i, *p.Crash); err != nil {
			return err
		}
	}
	if err := i.setReach(p.Network, p.IO); err != nil {
		return err
	}
	held := i.amount()
	set(&i.Reference, p.Reference)
	set(&i.MemoryMiB, p.MemoryMiB)
	set(&i.NanoCPUs, p.NanoCPUs)
	set(&i.DiskMiB, p.DiskMiB)
	if p.limits() {
		if err := checkLimits(i.MemoryMiB, i.NanoCPUs, i.DiskMiB); err != nil {
			return err
		}
		if err := s.Nodes.Grow(ctx, tx, i.Node, held, i.amount()); err != nil {
			return err
		}
	}
	if !p.ofContainer() {
		return nil // nothing of the container: it stays as it was made
	}
	if err := s.moves.Settled(ctx, tx, i.ID); err != nil {
		return err
	}
	before := i.Spec
	if err := s.choose(ctx, tx, c, i, p); err != nil {
		return err
	}
	if err := s.redescribe(ctx, tx, i, p.Ports); err != nil {
		return err
	}
	if i.runs() && p.limits() {
		i.keepMemory(before)
	}
	return nil
}

// choose takes over what the image leaves to choose: values, the start command,
// and how the reference is fetched.
func (s *Service) choose(ctx context.Context, q store.Querier, c access.Caller, i *Instance, p Patch) error {
	img, err := image.ByID(ctx, q, i.Image)
	if err != nil {
		return err
	}
	if p.Startup != nil {
		if err := img.HasStartup(*p.Startup); err != nil {
			return err
		}
		i.Startup = *p.Startup
	}
	if p.Pull != nil {
		if err := checkPull(*p.Pull); err != nil {
			return err
		}
		i.Pull = *p.Pull
	}
	if err := i.pin(p); err != nil {
		return err
	}
	if p.Variables == nil {
		return nil
	}
	if !c.Can(access.WriteInstances) {
		if err := img.CheckCustomer(i.Variables, *p.Variables); err != nil {
			return err
		}
	}
	i.Variables, err = img.Merge(i.Variables, *p.Variables)
	return err
}

// pin sets the digest, or the one that the container is made from. Another
// reference is another image: it ends a pin that isn't given anew.
func (i *Instance) pin(p Patch) error {
	switch {
	case p.Digest != nil && p.Pin != nil:
		return problem.Invalid("pin", "give either pin or digest")
	case p.Digest != nil:
		i.Digest = *p.Digest
		return checkDigest(i.Digest)
	case p.Pin != nil && !*p.Pin, p.Reference != nil && i.Spec.Image.Reference != *p.Reference && p.Pin == nil:
		i.Digest = ""
	case p.Pin != nil && p.Reference != nil && i.Spec.Image.Reference != *p.Reference:
		return problem.Invalid("pin", "the new reference doesn't run yet; change it first and pin it then, or give its digest")
	case p.Pin != nil:
		if checkDigest(i.Observed.Digest) != nil || i.Observed.Digest == "" {
			return problem.Invalid("pin", "its node hasn't said which image its container is made from; start it first, or give a digest")
		}
		i.Digest = i.Observed.Digest
	}
	return nil
}

// setCrash gives the instance a policy of its own, over its image's. It changes
// nothing of the container.
func setCrash(ctx context.Context, q store.Querier, i *Instance, policy image.CrashPolicy) error {
	if err := policy.Check("crash_policy"); err != nil {
		return err
	}
	img, err := image.ByID(ctx, q, i.Image)
	if err != nil {
		return err
	}
	i.Crash, i.Spec.Crash = policy, wire.Crash(policy.Over(img.CrashDefaults()))
	return nil
}

// setOwner gives the instance and its jobs to another; what its subusers lose, edit
// sees to.
func (s *Service) setOwner(ctx context.Context, tx *store.Tx, i *Instance, owner *ident.User) error {
	if owner == nil || *owner == i.Owner {
		return nil
	}
	if err := mayOwn(ctx, tx, *owner); err != nil {
		return err
	}
	i.Owner = *owner
	return s.Jobs.Bequeath(ctx, tx, i.ID, i.Owner)
}

func (i *Instance) setDrift(policy *wire.Drift) error {
	switch {
	case policy == nil:
		return nil
	case *policy != wire.DriftRepair && *policy != wire.DriftReport:
		return problem.Invalid("drift_policy", "must be repair or report")
	case *policy != i.policy():
		i.Drift, i.Spec.Drift = *policy, *policy
	}
	return nil
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

// TransferAll gives all instances of one user to another, in tx.
func (s *Service) TransferAll(ctx context.Context, tx *store.Tx, from, to ident.User, by access.Actor) error {
	if err := mayOwn(ctx, tx, to); err != nil {
		return err
	}
	ids, err := idsOf(ctx, tx, from)
	if err != nil {
		return err
	}
	used, err := useOf(ctx, tx, from)
	if err == nil {
		err = fits(ctx, tx, to, used)
	}
	if err != nil {
		return err
	}
	for _, id := range ids {
		i, err := byID(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := s.bequeath(ctx, tx, &i, to, by); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) bequeath(ctx context.Context, tx *store.Tx, i *Instance, to ident.User, by access.Actor) error {
	i.Owner, i.UpdatedAt = to, s.Now().UTC()
	if err := save(ctx, tx, *i); err != nil {
		return err
	}
	if err := s.Jobs.Bequeath(ctx, tx, i.ID, to); err != nil {
		return err
	}
	if err := s.unshare(ctx, tx, by, *i); err != nil {
		return err
	}
	return s.tell(ctx, tx, by, "instance.updated", *i, map[string]any{"owner": to})
}
