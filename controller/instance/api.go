package instance

import (
	"context"
	"math"
	"net/http"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// InstanceCreateBody is an instance to deploy.
type InstanceCreateBody struct {
	Name      string             `json:"name" minLength:"1" maxLength:"200"`
	OwnerID   string             `json:"owner_id" minLength:"1"`
	NodeID    string             `json:"node_id,omitempty" doc:"Where; when absent, a node is chosen that is online and has room and the ports"`
	Tags      []string           `json:"tags,omitempty" maxItems:"32" doc:"Only a node that has all of these tags"`
	ImageID   string             `json:"image_id,omitempty" doc:"Of the catalogue; or give a reference"`
	Reference string             `json:"reference,omitempty" doc:"A container image that an image of the catalogue has; with image_id one of its references"`
	Preset    string             `json:"preset,omitempty" doc:"The id of a preset of the image: what this body leaves out is the preset's"`
	Startup   string             `json:"startup,omitempty" maxLength:"200" doc:"The name of one of the image's start commands; the first when absent"`
	Pull      wire.PullPolicy    `json:"pull,omitempty" enum:"missing,always,never" doc:"When the reference is asked for; as the image says when absent"`
	Digest    string             `json:"digest,omitempty" maxLength:"71" doc:"Pins the reference: sha256:… as its registry calls it"`
	Memory    int64              `json:"memory,omitempty" minimum:"6" maximum:"1073741824" doc:"MiB, and no swap on top; needed unless the preset has it"`
	CPU       float64            `json:"cpu,omitempty" minimum:"0.01" maximum:"1024" doc:"Cores; needed unless the preset has it"`
	Disk      int64              `json:"disk,omitempty" minimum:"1" maximum:"1073741824" doc:"MiB; 5120 when absent"`
	Ports     []InstancePortBody `json:"ports,omitempty" maxItems:"100"`
	Variables map[string]string  `json:"variables,omitempty"`
	Start     *bool              `json:"start,omitempty" doc:"Start it after the install; true when absent"`
}

// InstancePortBody is a port to publish on tcp and udp.
type InstancePortBody struct {
	Container uint16 `json:"container" minimum:"1" maximum:"65535"`
	Host      uint16 `json:"host,omitempty" minimum:"0" maximum:"65535" doc:"On the node; when absent or 0 the lowest free one of the node's pool, in a change the one that the container's port has already"`
	Primary   bool   `json:"primary,omitempty" doc:"One of them; the first when none says so"`
}

// InstanceChangeBody names what is to change; what is absent stays.
type InstanceChangeBody struct {
	Name      *string              `json:"name,omitempty" minLength:"1" maxLength:"200"`
	OwnerID   *string              `json:"owner_id,omitempty" minLength:"1"`
	Reference *string              `json:"reference,omitempty" minLength:"1"`
	Startup   *string              `json:"startup,omitempty" maxLength:"200" doc:"The name of one of the image's start commands; empty is the first"`
	Pull      *wire.PullPolicy     `json:"pull,omitempty" doc:"missing, always or never; empty is as the image says"`
	Digest    *string              `json:"digest,omitempty" maxLength:"71" doc:"Pins the reference: sha256:…; empty unpins it"`
	Pin       *bool                `json:"pin,omitempty" doc:"true pins the reference to what the container is made from now, false unpins it; instead of digest"`
	Memory    *int64               `json:"memory,omitempty" minimum:"6" maximum:"1073741824" doc:"MiB"`
	CPU       *float64             `json:"cpu,omitempty" minimum:"0.01" maximum:"1024" doc:"Cores"`
	Disk      *int64               `json:"disk,omitempty" minimum:"1" maximum:"1073741824" doc:"MiB"`
	Ports     *[]InstancePortBody  `json:"ports,omitempty" maxItems:"100" doc:"All of them; those that stay keep their allocation"`
	Variables *map[string]string   `json:"variables,omitempty" doc:"Those to set; the others stay, secrets too"`
	Crash     *image.CrashPolicy   `json:"crash_policy,omitempty" doc:"What is done when it ends by itself; it replaces the whole policy, and what it leaves out is the image's"`
	Network   *InstanceNetworkBody `json:"network,omitempty" doc:"What it may reach beside the internet; it replaces the whole"`
	IO        *InstanceIOBody      `json:"io,omitempty" doc:"How fast it may use its disk; it replaces the whole"`
	Drift     *wire.Drift          `json:"drift_policy,omitempty" enum:"repair,report" doc:"What its node does about a container that was changed, stopped or removed by hand"`
}

// SuspendBody says why.
type SuspendBody struct {
	Reason string `json:"reason,omitempty" maxLength:"1000" doc:"Shown to the owner"`
}

type createInput struct{ Body InstanceCreateBody }

// InstancePath names an instance in a path.
type InstancePath struct {
	ID string `path:"id" doc:"The instance's id"`
}

type changeInput struct {
	InstancePath
	Body InstanceChangeBody
}

type suspendInput struct {
	InstancePath
	Body *SuspendBody
}

type deleteInput struct {
	InstancePath
	Forget bool `query:"forget" doc:"Drop it from the controller without asking the node, for a node that will never come back"`
}

type listQuery struct {
	httpapi.PageQuery
	Owner  string `query:"owner_id" doc:"Only this user's"`
	Node   string `query:"node_id" doc:"Only on this node"`
	Image  string `query:"image_id" doc:"Only of this image"`
	Status string `query:"status" enum:"unknown,starting,running,stopping,stopped,crashed,suspended,installing,failed,deleting"`
	Search string `query:"search" maxLength:"200" doc:"Part of the name, or the id"`
	IDs    string `query:"ids" maxLength:"3700" doc:"Only these: up to 100 ids with commas between"`
	Sort   string `query:"sort" enum:"created_at,-created_at,name,-name,memory,-memory,cpu,-cpu" default:"created_at"`
}

// Mount registers the operations of instances.
func (s *Service) Mount(a *httpapi.API) {
	const base, tag = "/api/v1/instances", "instances"
	see, edit := access.Uses(access.SeeInstance), access.Uses(access.EditInstance)
	manage := access.Permits(access.WriteInstances)
	op := func(id, method, path, summary string, rule access.Rule, status int) httpapi.Operation {
		return httpapi.Operation{ID: id, Method: method, Path: base + path, Tag: tag, Summary: summary, Access: rule, Status: status,
			Idempotent: method == http.MethodPost}
	}
	httpapi.HandlePage(a, op("listInstances", http.MethodGet, "", "List instances", access.Needs(access.ScopeRead), 0), s.handleList)
	httpapi.Handle(a, op("createInstance", http.MethodPost, "", "Deploy an instance", manage, http.StatusAccepted), s.handleCreate)
	httpapi.Handle(a, op("getInstance", http.MethodGet, "/{id}", "Get an instance", see, 0), s.handleGet)
	httpapi.Handle(a, op("changeInstance", http.MethodPatch, "/{id}", "Change limits, name, variables, ports, network, drift and crash policy or owner", edit, http.StatusAccepted), s.handleChange)
	httpapi.Handle(a, op("deleteInstance", http.MethodDelete, "/{id}", "Delete an instance with its data", manage, http.StatusAccepted), s.handleDelete)
	for _, v := range []Verb{Start, Stop, Restart, Kill} {
		httpapi.Handle(a, op(string(v)+"Instance", http.MethodPost, "/{id}/"+string(v), summaries[v], access.Uses(access.PowerRight), http.StatusAccepted), s.handlePower(v))
	}
	httpapi.Handle(a, op("suspendInstance", http.MethodPost, "/{id}/suspend", "Stop it and refuse it power", manage, http.StatusAccepted), s.handleSuspend)
	httpapi.Handle(a, op("reinstallInstance", http.MethodPost, "/{id}/reinstall", "Install it again, over its data or from nothing", edit, http.StatusAccepted), s.handleReinstall)
	httpapi.Handle(a, op("refreshInstance", http.MethodPost, "/{id}/refresh", "Take over the newer definition of its image", edit, http.StatusAccepted), s.handleRefresh)
	httpapi.Handle(a, op("cloneInstance", http.MethodPost, "/{id}/clone", "Deploy another one with the same settings, and none of its files", manage, http.StatusAccepted), s.handleClone)
	httpapi.Handle(a, op("convertInstanceVolume", http.MethodPost, "/{id}/convert-volume", "Have its disk limit held by its node's driver", edit, http.StatusAccepted), s.handleConvert)
	s.mountStrays(a)
	httpapi.Handle(a, op("unsuspendInstance", http.MethodPost, "/{id}/unsuspend", "Give it its power back, and start it if it ran", manage, http.StatusAccepted), s.handleUnsuspend)
}

var summaries = map[Verb]string{
	Start: "Start it", Stop: "Ask it to stop, kill it after its grace time", Restart: "Stop it, then start it", Kill: "End it at once",
}

func (s *Service) handleList(ctx context.Context, in *listQuery) (httpapi.Page[InstanceView], error) {
	c := access.From(ctx)
	f := Filter{
		Owner: ident.User(in.Owner), Node: ident.Node(in.Node), Image: ident.Image(in.Image), Status: Status(in.Status), Search: in.Search, IDs: in.IDs,
		Deleting: true, Sort: in.Sort, Limit: in.Limit, Offset: in.Offset(),
	}
	name, version := pageName{c.View(), f}, s.DB.Version() // before the reading
	if page, there := s.pages.get(name, version); there {
		return page, nil
	}
	items, total, err := s.List(ctx, c, f)
	page := httpapi.Page[InstanceView]{Items: make([]InstanceView, len(items)), Total: total}
	for n, l := range items {
		if page.Items[n], err = l.View(); err != nil {
			return page, err
		}
		page.Items[n] = page.Items[n].For(c)
	}
	if err == nil {
		s.pages.put(name, version, page)
	}
	return page, err
}

func (s *Service) handleCreate(ctx context.Context, in *createInput) (InstanceJobView, error) {
	b := in.Body
	if err := b.complete(); err != nil {
		return InstanceJobView{}, err
	}
	ports, err := mappings(b.Ports)
	if err != nil {
		return InstanceJobView{}, err
	}
	n := New{
		Name: b.Name, Owner: ident.User(b.OwnerID), Node: ident.Node(b.NodeID), Tags: b.Tags, Image: ident.Image(b.ImageID), Reference: b.Reference,
		Preset:  ident.Preset(b.Preset),
		Startup: b.Startup, Pull: b.Pull, Digest: b.Digest, MemoryMiB: b.Memory, NanoCPUs: NanoCPUs(b.CPU), DiskMiB: b.Disk, Ports: ports, Variables: b.Variables, Stopped: b.Start != nil && !*b.Start,
	}
	if n.Image == "" {
		if n.Image, err = s.imageOf(ctx, b.Reference); err != nil {
			return InstanceJobView{}, err
		}
	}
	return answer(ctx)(s.Create(ctx, access.From(ctx), n))
}

// complete refuses an order without what only a preset could give.
func (b InstanceCreateBody) complete() error {
	switch {
	case b.Preset == "" && b.Memory == 0:
		return problem.Invalid("memory", "is missing")
	case b.Preset == "" && b.CPU == 0:
		return problem.Invalid("cpu", "is missing")
	default:
		return nil
	}
}

// imageOf finds the catalogue's image for a bare reference.
func (s *Service) imageOf(ctx context.Context, reference string) (ident.Image, error) {
	if reference == "" {
		return "", problem.Invalid("image_id", "give an image_id or a reference")
	}
	var found image.Image
	err := s.DB.Read(ctx, func(q store.Querier) (err error) {
		found, err = image.ByReference(ctx, q, reference)
		return err
	})
	return found.ID, asField(err, "reference", "no image of the catalogue has this reference; add it to one first")
}

func (s *Service) handleGet(ctx context.Context, in *InstancePath) (InstanceDetailView, error) {
	i, err := s.Get(ctx, access.From(ctx), ident.Instance(in.ID))
	if err != nil {
		return InstanceDetailView{}, err
	}
	n, err := s.Nodes.Find(ctx, s.DB.Snapshot(), i.Node)
	if err != nil {
		return InstanceDetailView{}, err
	}
	img, err := image.ByID(ctx, s.DB.Snapshot(), i.Image)
	if err != nil {
		return InstanceDetailView{}, err
	}
	d := i.Detail().For(access.From(ctx), img)
	d.Host = n.Host()
	d.Outdated, err = i.outdated(img, n)
	return d, err
}

func (s *Service) handleChange(ctx context.Context, in *changeInput) (InstanceJobView, error) {
	b := in.Body
	p := Patch{Name: b.Name, Reference: b.Reference, Startup: b.Startup, Pull: b.Pull, Digest: b.Digest, Pin: b.Pin, MemoryMiB: b.Memory, DiskMiB: b.Disk, Variables: b.Variables, Drift: b.Drift, Crash: b.Crash, Network: b.Network, IO: b.IO}
	if b.OwnerID != nil {
		owner := ident.User(*b.OwnerID)
		p.Owner = &owner
	}
	if b.CPU != nil {
		nano := NanoCPUs(*b.CPU)
		p.NanoCPUs = &nano
	}
	if b.Ports != nil {
		ports, err := mappings(*b.Ports)
		if err != nil {
			return InstanceJobView{}, err
		}
		p.Ports = &ports
	}
	return changed(ctx)(s.Edit(ctx, access.From(ctx), ident.Instance(in.ID), p))
}

func (s *Service) handleDelete(ctx context.Context, in *deleteInput) (InstanceJobView, error) {
	c, id := access.From(ctx), ident.Instance(in.ID)
	if !in.Forget {
		return answer(ctx)(s.Delete(ctx, c, id))
	}
	i, err := s.Get(ctx, c, id)
	if err != nil {
		return InstanceJobView{}, err
	}
	return InstanceJobView{Instance: i.View().For(c)}, s.Forget(ctx, c, id)
}

func (s *Service) handlePower(v Verb) func(context.Context, *InstancePath) (InstanceJobView, error) {
	return func(ctx context.Context, in *InstancePath) (InstanceJobView, error) {
		return answer(ctx)(s.Power(ctx, access.From(ctx), ident.Instance(in.ID), v))
	}
}

func (s *Service) handleSuspend(ctx context.Context, in *suspendInput) (InstanceJobView, error) {
	reason := ""
	if in.Body != nil {
		reason = in.Body.Reason
	}
	return answer(ctx)(s.Suspend(ctx, access.From(ctx), ident.Instance(in.ID), reason))
}

func (s *Service) handleUnsuspend(ctx context.Context, in *InstancePath) (InstanceJobView, error) {
	return answer(ctx)(s.Unsuspend(ctx, access.From(ctx), ident.Instance(in.ID)))
}

// keep notes an order's answer in the transaction of the order: whoever repeats
// it is told the same, and it is not carried out again.
func keep(ctx context.Context, tx *store.Tx, i Instance, j job.Job) error {
	v, err := answer(ctx)(i, j, nil)
	if err != nil {
		return err
	}
	return httpapi.Keep(ctx, tx, v)
}

// answer shows what became of an order to the caller of ctx.
func answer(ctx context.Context) func(Instance, job.Job, error) (InstanceJobView, error) {
	return func(i Instance, j job.Job, err error) (InstanceJobView, error) {
		if err != nil {
			return InstanceJobView{}, err
		}
		v := InstanceJobView{Instance: i.View().For(access.From(ctx))}
		if j.ID != "" {
			view := j.View()
			v.Job = &view
		}
		return v, nil
	}
}

// mappings turns the body's ports into what allocation takes.
func mappings(ports []InstancePortBody) ([]allocation.Mapping, error) {
	out := make([]allocation.Mapping, 0, len(ports))
	primary := -1
	for n, p := range ports {
		m := allocation.Mapping{Host: p.Host, Container: p.Container}
		if p.Primary {
			if primary >= 0 {
				return nil, problem.Invalid("ports", "only one port can be the primary one")
			}
			primary = n
		}
		out = append(out, m)
	}
	if len(out) > 0 {
		out[max(primary, 0)].Primary = true
	}
	return out, allocation.Check(out)
}

// NanoCPUs turns cores into billionths of one; what is no number is 0.
func NanoCPUs(cores float64) int64 {
	if math.IsNaN(cores) || cores <= 0 || cores > 1e9 {
		return 0
	}
	return int64(math.Round(cores * 1e9))
}
