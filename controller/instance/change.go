package instance

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/image"
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
	return p.Owner != nil || p.MemoryMiB != nil || p.NanoCPUs != nil || p.DiskMiB != nil || p.Ports != nil || p.Reference != nil || p.Drift != nil || p.Network != nil || p.IO != nil
}

// Change edits an instance. What its container is made from changes with a job,
// and restarts it when it runs; a new name or owner alone needs none, and the
// job is then the zero one.
func (s *Service) Change(ctx context.Context, c access.Caller, id ident.Instance, p Patch) (i Instance, j job.Job, err error) {
	if p.managed() && !c.Can(access.WriteInstances) {
		return i, j, problem.New(problem.Forbidden, "only who may write all instances may change limits, ports, network, reference, drift policy and owner")
	}
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		if i, err = entitled(ctx, tx, c, id, access.EditInstance); err != nil {
			return err
		}
		before, err := json.Marshal(i.Spec)
		if err != nil {
			return err
		}
		was := i
		if err := s.patch(ctx, tx, &i, p); err != nil {
			return err
		}
		if err := was.withinQuota(ctx, tx, i); err != nil {
			return err
		}
		after, err := json.Marshal(i.Spec)
		if err != nil {
			return err
		}
		i.UpdatedAt = s.Now().UTC()
		if string(before) != string(after) {
			i.Spec.Hold = false
			i.raise(i.UpdatedAt)
			if j, err = s.enqueue(ctx, tx, c.Actor, i, KindUpdate); err != nil {
				return err
			}
		}
		if err := save(ctx, tx, i); err != nil {
			return err
		}
		if i.Owner != was.Owner {
			if err := s.unshare(ctx, tx, c.Actor, i); err != nil {
				return err
			}
		}
		return s.tell(ctx, tx, c.Actor, "instance.updated", i, map[string]any{"job": j.ID})
	})
	return i, j, err
}

func (s *Service) patch(ctx context.Context, tx *store.Tx, i *Instance, p Patch) error {
	if p.Name != nil {
		i.Name = *p.Name
	}
	if err := checkName(i.Name); err != nil {
		return err
	}
	if p.Owner != nil && *p.Owner != i.Owner {
		if err := mayOwn(ctx, tx, *p.Owner); err != nil {
			return err
		}
		i.Owner = *p.Owner
		if err := s.Jobs.Bequeath(ctx, tx, i.ID, i.Owner); err != nil {
			return err
		}
	}
	if p.Drift != nil {
		if *p.Drift != wire.DriftRepair && *p.Drift != wire.DriftReport {
			return problem.Invalid("drift_policy", "must be repair or report")
		}
		if *p.Drift != i.policy() {
			i.Drift, i.Spec.Drift = *p.Drift, *p.Drift
		}
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
	if p.Variables != nil {
		merged := maps.Clone(i.Variables)
		if merged == nil {
			merged = map[string]string{}
		}
		maps.Copy(merged, *p.Variables)
		i.Variables = merged
	}
	if p.MemoryMiB != nil || p.NanoCPUs != nil || p.DiskMiB != nil {
		if err := checkLimits(i.MemoryMiB, i.NanoCPUs, i.DiskMiB); err != nil {
			return err
		}
		if err := s.Nodes.Grow(ctx, tx, i.Node, held, i.amount()); err != nil {
			return err
		}
	}
	if p.Reference == nil && p.MemoryMiB == nil && p.NanoCPUs == nil && p.DiskMiB == nil && p.Ports == nil && p.Variables == nil {
		return nil // nothing of the container: it stays as it was made
	}
	if err := s.moves.Settled(ctx, tx, i.ID); err != nil {
		return err
	}
	return s.redescribe(ctx, tx, i, p.Ports)
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

// redescribe makes the spec anew from the image as it now is.
func (s *Service) redescribe(ctx context.Context, tx *store.Tx, i *Instance, ports *[]allocation.Mapping) error {
	img, err := image.ByID(ctx, tx, i.Image)
	if err != nil {
		return err
	}
	if !slices.Contains(img.References, i.Reference) && i.Spec.Image.Reference != i.Reference {
		return problem.Invalid("reference", "%s has no reference %.100q", img.Name, i.Reference)
	}
	var given []allocation.Allocation
	if ports != nil {
		host, err := s.Nodes.Find(ctx, tx, i.Node)
		if err != nil {
			return err
		}
		given, err = s.Ports.Replace(ctx, tx, allocation.ClaimRequest{Node: i.Node, Instance: i.ID, IP: host.BindAddress, Ports: *ports})
		if err != nil {
			return err
		}
	} else {
		for _, p := range i.Spec.Ports {
			given = append(given, allocation.Allocation{IP: p.IP, Port: p.Host, ContainerPort: p.Container, Primary: p.Primary})
		}
	}
	return i.describe(img, given)
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
