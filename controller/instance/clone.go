package instance

import (
	"context"
	"maps"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// CloneBody says what is another about the clone.
type CloneBody struct {
	Name    string              `json:"name" minLength:"1" maxLength:"200"`
	OwnerID string              `json:"owner_id,omitempty" doc:"The same owner when absent"`
	NodeID  string              `json:"node_id,omitempty" doc:"Where; when absent, a node is chosen that is online and has room and the ports"`
	Tags    []string            `json:"tags,omitempty" maxItems:"32" doc:"Only a node that has all of these tags"`
	Ports   *[]InstancePortBody `json:"ports,omitempty" maxItems:"100" doc:"All of them; when absent the same ports in the container, each on a free one of the node's pool"`
	Start   *bool               `json:"start,omitempty" doc:"Start it after the install; true when absent"`
}

type cloneInput struct {
	InstancePath
	Body CloneBody
}

// Copy asks for an instance like another one.
type Copy struct {
	Name    string
	Owner   ident.User // "" is the same
	Node    ident.Node // "" has one chosen
	Tags    []string
	Ports   *[]allocation.Mapping // nil: the same in the container
	Stopped bool
}

// Clone deploys an instance with the settings of another: image, reference, start
// command, limits, ports, all values with the secret ones, policies and network.
// It is installed anew: the files stay where they are, and are nobody else's.
func (s *Service) Clone(ctx context.Context, c access.Caller, id ident.Instance, like Copy) (Instance, job.Job, error) {
	from, err := s.Get(ctx, c, id)
	switch {
	case err != nil:
		return Instance{}, job.Job{}, err
	case from.Phase == Deleting:
		return Instance{}, job.Job{}, notFound()
	case !c.Can(access.WriteInstances):
		return Instance{}, job.Job{}, managing(c)
	case from.Spec.Moving:
		return Instance{}, job.Job{}, problem.New(problem.ResourceBusy, "instance %s is being moved; clone it when it has arrived", from.ID)
	}
	n := New{Name: like.Name, Owner: like.Owner, Node: like.Node, Tags: like.Tags, Image: from.Image, Reference: from.Reference, Startup: from.Startup,
		Pull: from.Pull, Digest: from.Digest, MemoryMiB: from.MemoryMiB, NanoCPUs: from.NanoCPUs, DiskMiB: from.DiskMiB, Variables: maps.Clone(from.Variables),
		Stopped: like.Stopped, like: &from}
	if n.Owner == "" {
		n.Owner = from.Owner
	}
	if like.Ports != nil {
		n.Ports = *like.Ports
	} else {
		for _, p := range from.Spec.Ports {
			n.Ports = append(n.Ports, allocation.Mapping{Container: p.Container, Primary: p.Primary})
		}
	}
	return s.Create(ctx, c, n)
}

// resemble takes over what New has no words for.
func (i *Instance) resemble(from *Instance) {
	if from == nil {
		return
	}
	i.Drift, i.Crash = from.Drift, from.Crash
	i.Spec.Drift, i.Spec.Network = from.Spec.Drift, from.Spec.Network
	l := &i.Spec.Limits
	l.ReadBytes, l.WriteBytes, l.ReadOps, l.WriteOps = from.Spec.Limits.ReadBytes, from.Spec.Limits.WriteBytes, from.Spec.Limits.ReadOps, from.Spec.Limits.WriteOps
}

func (s *Service) handleClone(ctx context.Context, in *cloneInput) (InstanceJobView, error) {
	b := in.Body
	like := Copy{Name: b.Name, Owner: ident.User(b.OwnerID), Node: ident.Node(b.NodeID), Tags: b.Tags, Stopped: b.Start != nil && !*b.Start}
	if b.Ports != nil {
		ports, err := mappings(*b.Ports)
		if err != nil {
			return InstanceJobView{}, err
		}
		like.Ports = &ports
	}
	return answer(ctx)(s.Clone(ctx, access.From(ctx), ident.Instance(in.ID), like))
}
