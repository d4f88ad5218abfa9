package instance

import (
	"context"
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/controller/image/name"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// The kinds of jobs about strays.
const (
	KindRemoveStray job.Kind = "instance.remove_stray"
	KindAdopt       job.Kind = "instance.adopt"
)

// Stray is what a node holds and no instance of that node stands for: made after
// the copy that this database was restored from, or forgotten here. It may also
// have the id of another node's instance, which was moved after that copy: then
// the data may be only here. It runs on untouched until somebody adopts or
// removes it.
type Stray struct {
	Node       ident.Node
	Instance   ident.Instance
	Generation int64      // that the node holds
	State      wire.State // as the node said last
	FoundAt    time.Time
}

func (s *Service) registerStrays(settled job.Policy) {
	s.Jobs.Register(KindAdopt, settled)
	s.Jobs.Register(KindRemoveStray, job.Policy{Handler: s.pushStrayRemoval, Deadline: deleteDeadline, Attempts: 1 << 30, Retry: s.retryStray})
}

// noteStrays writes down, in tx, what a node holds beside its instances; known are
// those of them that are there for a reason.
func (s *Service) noteStrays(ctx context.Context, tx *store.Tx, on ident.Node, held map[ident.Instance]wire.Holding, known map[ident.Instance]bool) error {
	before, err := strayIDs(ctx, tx, on)
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(held)) {
		h := held[id]
		if known[id] || (h.Removing && !before[id]) || !id.Valid() {
			continue
		}
		stray := Stray{Node: on, Instance: id, Generation: h.Generation, State: h.State, FoundAt: s.Now().UTC()}
		if err := keepStray(ctx, tx, stray); err != nil {
			return err
		}
		if err := s.Ports.Reserve(ctx, tx, on, id, usable(h.Ports)); err != nil {
			return err
		}
		if !before[id] {
			s.Log.Warn("a node holds an instance that should not be there; it is left alone", "node", on, "instance", id)
			if err := s.tellStray(ctx, tx, access.System(), "node.stray_found", on, id); err != nil {
				return err
			}
		}
		delete(before, id)
	}
	for id := range before {
		if err := s.forgetStray(ctx, tx, on, id); err != nil {
			return err
		}
	}
	return nil
}

// usable are the ports that can be what they say.
func usable(ports []wire.Port) []wire.Port {
	return slices.DeleteFunc(slices.Clone(ports), func(p wire.Port) bool {
		_, err := netip.ParseAddr(p.IP)
		return err != nil || p.Host == 0
	})
}

// forgetStray drops one with the ports that were kept from others for it.
func (s *Service) forgetStray(ctx context.Context, tx *store.Tx, on ident.Node, id ident.Instance) error {
	if err := s.Ports.Unreserve(ctx, tx, on, id); err != nil {
		return err
	}
	return dropStray(ctx, tx, on, id)
}

func (s *Service) tellStray(ctx context.Context, tx *store.Tx, by access.Actor, t event.Type, on ident.Node, id ident.Instance) error {
	return s.Events.Append(ctx, tx, event.Event{Type: t, Node: on, Instance: id, Actor: by}, nil)
}

// applyStray takes over what a node says of an instance that nobody here knows.
func (s *Service) applyStray(ctx context.Context, tx *store.Tx, on ident.Node, e wire.Event) error {
	switch {
	case e.Type == wire.EventState && e.State != nil:
		return moveStray(ctx, tx, Stray{Node: on, Instance: e.Instance, Generation: e.Generation, State: *e.State})
	case e.Type != wire.EventRemoved:
		return nil
	}
	there, err := strayIDs(ctx, tx, on)
	if err != nil {
		return err
	}
	if there[e.Instance] {
		if err := s.forgetStray(ctx, tx, on, e.Instance); err != nil {
			return err
		}
		if err := s.tellStray(ctx, tx, access.System(), "node.stray_removed", on, e.Instance); err != nil {
			return err
		}
	}
	j, alive, err := job.Active(ctx, tx, e.Instance)
	if err != nil || !alive || j.Kind != KindRemoveStray || j.Node != on {
		return err
	}
	return s.Jobs.Finish(ctx, tx, j.ID, nil)
}

// Strays gives a page of a node's strays and how many there are.
func (s *Service) Strays(ctx context.Context, on ident.Node, limit, offset int) (items []Stray, total int, err error) {
	err = s.DB.Read(ctx, func(q store.Querier) error {
		if _, err := s.Nodes.Find(ctx, q, on); err != nil {
			return err
		}
		items, total, err = listStrays(ctx, q, on, limit, offset)
		return err
	})
	return items, total, err
}

// stray finds one with its node.
func (s *Service) stray(ctx context.Context, q store.Querier, on ident.Node, id ident.Instance) (Stray, node.Node, error) {
	n, err := s.Nodes.Find(ctx, q, on)
	if err != nil {
		return Stray{}, n, err
	}
	found, there, err := getStray(ctx, q, on, id)
	if err == nil && !there {
		err = problem.New(problem.NotFound, "node %s holds no such stray instance", n.Name)
	}
	return found, n, err
}

// elsewhere says whether a stray has the id of an instance, which is another
// node's.
func elsewhere(ctx context.Context, q store.Querier, id ident.Instance) (i Instance, there bool, err error) {
	i, err = byID(ctx, q, id)
	if problem.Is(err, problem.NotFound) {
		return i, false, nil
	}
	return i, err == nil, err
}

// strayInput is what a removal keeps: the stray itself may be forgotten before it
// is done.
type strayInput struct {
	Generation int64 `json:"generation"`
}

// RemoveStray orders that a node removes a stray with its container and data. The
// job waits for a node that is away.
func (s *Service) RemoveStray(ctx context.Context, c access.Caller, on ident.Node, id ident.Instance) (j job.Job, err error) {
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		found, _, err := s.stray(ctx, tx, on, id)
		if err != nil {
			return err
		}
		if _, there, err := elsewhere(ctx, tx, id); err != nil {
			return err
		} else if there {
			// The instance's own jobs go on beside it; the row goes when the node says so.
			j, err = s.moves.Evict(ctx, tx, c.Actor, on, id, found.Generation+1)
			return err
		}
		j, err = s.Jobs.Enqueue(ctx, tx, job.New{Kind: KindRemoveStray, Instance: id, Node: on, Actor: c.Actor, Input: strayInput{found.Generation + 1}})
		return err
	})
	return j, err
}

func (s *Service) pushStrayRemoval(ctx context.Context, j job.Job) (job.Outcome, error) {
	var in strayInput
	if err := json.Unmarshal(j.Input, &in); err != nil {
		return job.Done, err
	}
	// The node may have gone on by itself to a higher number since: from a
	// controller that was restored once more.
	if found, there, err := getStray(ctx, s.DB.Snapshot(), j.Node, j.Instance); err != nil {
		return job.Done, err
	} else if there {
		in.Generation = max(in.Generation, found.Generation+1)
	}
	_, err := s.Agents.Remove(ctx, j.Node, j.Instance, wire.Removal{Generation: in.Generation})
	return job.Handed, err
}

func (s *Service) retryStray(ctx context.Context, tx *store.Tx, j job.Job) (job.New, error) {
	found, _, err := s.stray(ctx, tx, j.Node, j.Instance)
	return job.New{Kind: j.Kind, Instance: j.Instance, Node: j.Node, Input: strayInput{found.Generation + 1}}, err
}

// Adoption says whose a stray becomes.
type Adoption struct {
	Owner ident.User
	Image ident.Image // "" finds the catalogue's by the stray's reference
	Name  string      // "" is its id
}

// Adopt makes a stray an ordinary instance. It stays as its node has it, down to
// its container, until somebody changes it: then it is described anew by its
// image. It may take its node over its limits, for it is there already. The job
// only tells the node that the stray has an owner again.
//
// Problems: NODE_OFFLINE while the node, which alone knows the stray's settings,
// is away; CONFLICT when the node has only the container and no settings any more,
// when a port of the stray is another instance's by now, or when its id is that
// of another node's instance, which would have to be deleted first.
func (s *Service) Adopt(ctx context.Context, c access.Caller, on ident.Node, id ident.Instance, a Adoption) (i Instance, j job.Job, err error) {
	if a.Name == "" {
		a.Name = string(id)
	}
	if err := name.Check(a.Name); err != nil {
		return i, j, err
	}
	_, host, err := s.stray(ctx, s.DB.Snapshot(), on, id)
	if err != nil {
		return i, j, err
	}
	spec, err := s.Agents.Spec(ctx, on, id)
	if problem.Is(err, problem.NotFound) {
		return i, j, problem.New(problem.Conflict, "node %s has the container of %s but not its settings, since its journal was lost; it can only be removed", host.Name, id)
	}
	if err != nil {
		return i, j, err
	}
	if err := checkFound(spec, id); err != nil {
		return i, j, err
	}
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		if i, err = s.adopt(ctx, tx, on, spec, a); err != nil {
			return err
		}
		if j, err = s.enqueue(ctx, tx, c.Actor, i, KindAdopt); err != nil {
			return err
		}
		if err := s.tell(ctx, tx, c.Actor, "instance.adopted", i, map[string]any{"name": i.Name, "image": i.Reference, "job": j.ID}); err != nil {
			return err
		}
		return keep(ctx, tx, i, j)
	})
	return i, j, err
}

// checkFound refuses settings that could not have been ours.
func checkFound(spec wire.Spec, id ident.Instance) error {
	strange := func(what string) error {
		return problem.New(problem.Conflict, "the node's settings of %s can't be taken over: %s; it can only be removed", id, what)
	}
	if spec.Instance != id || spec.Generation < 1 {
		return strange("they are not this instance's")
	}
	if err := checkLimits(spec.Limits.MemoryMiB, spec.Limits.NanoCPUs, spec.Limits.DiskMiB); err != nil {
		return strange(problem.From(err).Message)
	}
	if spec.Power.Want != wire.WantRunning && spec.Power.Want != wire.WantStopped {
		return strange("they don't say whether it should run")
	}
	if spec.Drift != "" && spec.Drift != wire.DriftRepair && spec.Drift != wire.DriftReport {
		return strange("they don't say what to do about changes by hand")
	}
	for _, p := range spec.Ports {
		if _, err := netip.ParseAddr(p.IP); err != nil || p.Host == 0 {
			return strange("they name a port that is none")
		}
	}
	return nil
}

// adopt writes the row with its ports, as the node has them.
func (s *Service) adopt(ctx context.Context, tx *store.Tx, on ident.Node, spec wire.Spec, a Adoption) (Instance, error) {
	found, _, err := s.stray(ctx, tx, on, spec.Instance) // again: somebody may have been faster
	if err != nil {
		return Instance{}, err
	}
	if other, there, err := elsewhere(ctx, tx, spec.Instance); err != nil {
		return Instance{}, err
	} else if there {
		return Instance{}, s.doubled(ctx, tx, other)
	}
	if err := mayOwn(ctx, tx, a.Owner); err != nil {
		return Instance{}, err
	}
	img, err := imageFor(ctx, tx, a.Image, spec.Image.Reference)
	if err != nil {
		return Instance{}, err
	}
	now := s.Now().UTC()
	i := Instance{
		ID: spec.Instance, Name: a.Name, Owner: a.Owner, Node: on, Image: img, Reference: spec.Image.Reference,
		MemoryMiB: spec.Limits.MemoryMiB, NanoCPUs: spec.Limits.NanoCPUs, DiskMiB: spec.Limits.DiskMiB, Variables: map[string]string{}, Spec: spec,
		Generation: max(spec.Generation, found.Generation), Power: spec.Power.Want, Suspended: spec.Suspended, Phase: Phase(found.State.Phase),
		Actual: found.State.Actual, Container: found.State.Container, Drift: spec.Drift, Crash: image.CrashPolicy(spec.Crash), Observed: found.State, Seen: found.Generation, CreatedAt: now,
	}
	if !Installing.mayBecome(i.Phase) || i.Phase == Deleting { // nonsense: the node says anew what is true when the job tells it
		i.Phase, i.Actual = Ready, wire.ActualUnknown
	}
	i.raise(now)
	i.Spec.Copied = false
	if err := fits(ctx, tx, i.Owner, i.use()); err != nil {
		return i, err
	}
	if err := insert(ctx, tx, i); err != nil { // the ports refer to it
		return i, err
	}
	if err := s.forgetStray(ctx, tx, on, i.ID); err != nil { // its ports are its own now
		return i, err
	}
	claim := allocation.ClaimRequest{Node: on, Instance: i.ID}
	for _, p := range spec.Ports {
		claim.Ports = append(claim.Ports, allocation.Mapping{Host: p.Host, Container: p.Container, Primary: p.Primary, IP: p.IP})
	}
	_, err = s.Ports.Claim(ctx, tx, claim)
	return i, err
}

// doubled refuses a second instance of one id.
func (s *Service) doubled(ctx context.Context, q store.Querier, other Instance) error {
	n, err := s.Nodes.Find(ctx, q, other.Node)
	if err != nil {
		return err
	}
	return problem.New(problem.Conflict, "instance %s is on node %s; to go on with what is on this node, delete it there first, with what it has there", other.ID, n.Name)
}

func imageFor(ctx context.Context, tx *store.Tx, id ident.Image, reference string) (ident.Image, error) {
	if id == "" {
		img, err := image.ByReference(ctx, tx, reference)
		return img.ID, asField(err, "image_id", "no image of the catalogue has the reference "+reference+"; say which image it is to have")
	}
	img, err := image.ByID(ctx, tx, id)
	return img.ID, asField(err, "image_id", "there is no such image in the catalogue")
}
