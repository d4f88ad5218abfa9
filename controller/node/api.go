package node

import (
	"cmp"
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/build"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// NodeView is a node as the API shows it.
type NodeView struct {
	ID           string     `json:"id"`
	Name         string     `json:"name"`
	State        State      `json:"state" enum:"unconfigured,online,offline,revoked"`
	Reason       string     `json:"reason,omitempty" doc:"Why it is offline, or what its container engine lacks"`
	Since        *time.Time `json:"since,omitempty" doc:"Since when it is online or offline, as this controller saw it"`
	LastSeenAt   *time.Time `json:"last_seen_at,omitempty" doc:"The last contact"`
	Tags         []string   `json:"tags"`
	Address      string     `json:"address" doc:"Where the controller dials the agent"`
	Port         int        `json:"port"`
	Connection   Connection `json:"connection" enum:"dial,tunnel" doc:"Which side opens the connection: dial is the controller, tunnel the agent"`
	BindAddress  string     `json:"bind_address" doc:"Where instances' ports are bound"`
	PublicHost   string     `json:"public_host" doc:"What players are told"`
	Processor    string     `json:"processor"`
	Memory       int64      `json:"memory" doc:"MiB that instances may have in all"`
	MemoryUsed   int64      `json:"memory_used" doc:"MiB that instances were given, those on their way to it included"`
	MemoryFree   int64      `json:"memory_free" doc:"MiB left for new ones: memory times its factor, less the reserve and what is used; 0 when there is more than that"`
	MemoryFactor float64    `json:"memory_factor" doc:"1 is no overcommitment"`
	Disk         int64      `json:"disk" doc:"MiB that instances may have in all"`
	DiskUsed     int64      `json:"disk_used" doc:"MiB that instances were given, those on their way to it included"`
	DiskFree     int64      `json:"disk_free" doc:"MiB left for new ones, as with memory_free"`
	DiskFactor   float64    `json:"disk_factor" doc:"1 is no overcommitment"`
	CPUUsed      float64    `json:"cpu_used" doc:"Cores that instances were given"`
	CPUFree      *float64   `json:"cpu_free,omitempty" doc:"Cores left for new ones; absent when the cores limit nothing"`
	CPUFactor    float64    `json:"cpu_factor" doc:"The node's cores times it may be given away; 0: the cores limit nothing"`

	MemoryReserve int64 `json:"memory_reserve" doc:"MiB kept back from instances"`
	DiskReserve   int64 `json:"disk_reserve" doc:"MiB kept back from instances"`
	Maintenance   bool  `json:"maintenance" doc:"It takes no new instances"`

	Instances  int         `json:"instances"`
	Release    string      `json:"release,omitempty" doc:"Of its agent"`
	Outdated   bool        `json:"outdated" doc:"Its agent's release is another than the controller's"`
	Engine     wire.Engine `json:"engine" doc:"Its container engine and machine, as the agent said last"`
	EnrolledAt *time.Time  `json:"enrolled_at,omitempty"`

	Volumes *wire.Volumes `json:"volumes,omitempty" doc:"How it holds disk limits, and the room there is for them, as the agent said last"`
	// Firewall says whether the node can hold what instances may reach.
	Firewall *wire.Firewall `json:"firewall,omitempty" doc:"Whether it can hold what its instances may reach, and why not"`

	CertificateEndsAt *time.Time `json:"certificate_ends_at,omitempty" doc:"Of its agent; renewed by itself before"`

	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// EnrolmentView is a fresh enrolment key.
type EnrolmentView struct {
	KeyID        string    `json:"key_id"`
	Key          string    `json:"key,omitempty" doc:"Shown once"`
	Command      string    `json:"command,omitempty" doc:"To run on the machine that becomes the node: it installs the agent as a service and enrols it"`
	EnrolCommand string    `json:"enrol_command,omitempty" doc:"The same for a machine that has the program berth-agent already"`
	ExpiresAt    time.Time `json:"expires_at"`
}

// Redacted is what a replayed answer holds.
func (v EnrolmentView) Redacted() any { return EnrolmentView{KeyID: v.KeyID, ExpiresAt: v.ExpiresAt} }

// NodeEnrolmentView is a new node with its first enrolment key.
type NodeEnrolmentView struct {
	Node      NodeView      `json:"node"`
	Enrolment EnrolmentView `json:"enrolment"`
}

// Redacted is what a replayed answer holds.
func (v NodeEnrolmentView) Redacted() any {
	v.Enrolment = EnrolmentView{KeyID: v.Enrolment.KeyID, ExpiresAt: v.Enrolment.ExpiresAt}
	return v
}

// NodeBody is a node to make.
type NodeBody struct {
	Name         string   `json:"name" minLength:"1" maxLength:"64"`
	Address      string   `json:"address" minLength:"1" maxLength:"253" doc:"Host name or IP where the controller dials the agent"`
	Port         int      `json:"port,omitempty" minimum:"1" maximum:"65535" default:"8443"`
	Memory       int64    `json:"memory" minimum:"1" doc:"MiB that instances may have in all"`
	Disk         int64    `json:"disk" minimum:"1" doc:"MiB that instances may have in all"`
	Tags         []string `json:"tags,omitempty" maxItems:"32"`
	BindAddress  string   `json:"bind_address,omitempty" doc:"0.0.0.0 when absent"`
	PublicHost   string   `json:"public_host,omitempty" doc:"The address when absent"`
	Processor    string   `json:"processor,omitempty" maxLength:"200"`
	MemoryFactor float64  `json:"memory_factor,omitempty" minimum:"1" maximum:"100" doc:"1 when absent"`
	DiskFactor   float64  `json:"disk_factor,omitempty" minimum:"1" maximum:"100" doc:"1 when absent"`
	CPUFactor    float64  `json:"cpu_factor,omitempty" minimum:"0" maximum:"100" doc:"The node's cores times it may be given away, 0.1 at least; 0 or absent: the cores limit nothing"`

	MemoryReserve int64 `json:"memory_reserve,omitempty" minimum:"0" doc:"MiB kept back from instances"`
	DiskReserve   int64 `json:"disk_reserve,omitempty" minimum:"0" doc:"MiB kept back from instances"`
}

// NodeChangeBody names what is to change; what is absent stays.
type NodeChangeBody struct {
	Name         *string   `json:"name,omitempty" minLength:"1" maxLength:"64"`
	Address      *string   `json:"address,omitempty" minLength:"1" maxLength:"253"`
	Port         *int      `json:"port,omitempty" minimum:"1" maximum:"65535"`
	Connection   *string   `json:"connection,omitempty" enum:"dial,tunnel" doc:"dial for an agent that opens no tunnel any more; one that opens a tunnel sets this by itself"`
	Memory       *int64    `json:"memory,omitempty" minimum:"1"`
	Disk         *int64    `json:"disk,omitempty" minimum:"1"`
	Tags         *[]string `json:"tags,omitempty" maxItems:"32"`
	BindAddress  *string   `json:"bind_address,omitempty" doc:"For instances deployed from now on"`
	PublicHost   *string   `json:"public_host,omitempty"`
	Processor    *string   `json:"processor,omitempty" maxLength:"200"`
	MemoryFactor *float64  `json:"memory_factor,omitempty" minimum:"1" maximum:"100"`
	DiskFactor   *float64  `json:"disk_factor,omitempty" minimum:"1" maximum:"100"`
	CPUFactor    *float64  `json:"cpu_factor,omitempty" minimum:"0" maximum:"100" doc:"0: the cores limit nothing"`

	MemoryReserve *int64 `json:"memory_reserve,omitempty" minimum:"0"`
	DiskReserve   *int64 `json:"disk_reserve,omitempty" minimum:"0"`
}

// MaintenanceBody says whether a node is in maintenance.
type MaintenanceBody struct {
	On bool `json:"on" doc:"true: it takes no new instances; those that are there go on as before"`
}

// JoinKeyBody is a join key to make.
type JoinKeyBody struct {
	Name  string   `json:"name,omitempty" maxLength:"64"`
	Uses  int      `json:"uses,omitempty" minimum:"1" maximum:"1000" default:"1" doc:"How many nodes it may make"`
	Hours int      `json:"hours,omitempty" minimum:"1" maximum:"720" default:"24" doc:"How long it works"`
	Tags  []string `json:"tags,omitempty" maxItems:"32" doc:"Of the nodes that it makes"`
}

// JoinKeyView is a join key without its secret.
type JoinKeyView struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	UsesLeft  int       `json:"uses_left"`
	Tags      []string  `json:"tags"`
	ExpiresAt time.Time `json:"expires_at"`
	CreatedAt time.Time `json:"created_at"`
}

// NodePath names a node in a path.
type NodePath struct {
	ID string `path:"id" doc:"The node's id"`
}

type nodeListQuery struct {
	httpapi.PageQuery
	Tag    string `query:"tag" maxLength:"64" doc:"Only with this tag"`
	State  string `query:"state" enum:"unconfigured,online,offline,revoked" doc:"Only in this state"`
	Search string `query:"search" maxLength:"64" doc:"Part of the name"`
	Sort   string `query:"sort" enum:"name,-name,created_at,-created_at,memory,-memory" default:"created_at"`
}

type nodeChangeInput struct {
	NodePath
	Body NodeChangeBody
}

type maintenanceInput struct {
	NodePath
	Body MaintenanceBody
}

type joinKeyPath struct {
	ID string `path:"id" doc:"The join key's id"`
}

type joinListQuery struct{ httpapi.PageQuery }

// Mount registers the operations of nodes.
func (s *Service) Mount(a *httpapi.API) {
	const base, tag, join = "/api/v1/nodes", "nodes", "/api/v1/join-keys"
	read, write := access.Permits(access.ReadNodes), access.Permits(access.WriteNodes)
	op := func(id, method, path, summary string, rule access.Rule, status int) httpapi.Operation {
		return httpapi.Operation{ID: id, Method: method, Path: path, Tag: tag, Summary: summary, Access: rule, Status: status, Idempotent: method == http.MethodPost}
	}
	httpapi.HandlePage(a, op("listNodes", http.MethodGet, base, "List nodes", read, 0), s.handleList)
	httpapi.Handle(a, op("createNode", http.MethodPost, base, "Make a node and the key that enrols its agent", write, http.StatusCreated), s.handleCreate)
	httpapi.Handle(a, op("getNode", http.MethodGet, base+"/{id}", "Get a node", read, 0), s.handleGet)
	httpapi.Handle(a, op("changeNode", http.MethodPatch, base+"/{id}", "Change a node", write, 0), s.handleChange)
	httpapi.Handle(a, op("deleteNode", http.MethodDelete, base+"/{id}", "Delete a node without instances", write, 0), s.handleDelete)
	httpapi.Handle(a, op("createEnrolmentKey", http.MethodPost, base+"/{id}/enrolment-key", "Make a new enrolment key; older ones are void", write, http.StatusCreated), s.handleKey)
	httpapi.Handle(a, op("revokeNode", http.MethodPost, base+"/{id}/revoke", "Shut a node's agent out", write, 0), s.handleRevoke)
	httpapi.Handle(a, op("setNodeMaintenance", http.MethodPost, base+"/{id}/maintenance", "Take a node out of placement, or back in", write, 0), s.handleMaintenance)
	httpapi.HandlePage(a, op("listJoinKeys", http.MethodGet, join, "List join keys", read, 0), s.handleJoinList)
	httpapi.Handle(a, op("createJoinKey", http.MethodPost, join, "Make a key with which agents register nodes by themselves", write, http.StatusCreated), s.handleJoin)
	httpapi.Handle(a, op("deleteJoinKey", http.MethodDelete, join+"/{id}", "Void a join key", write, 0), s.handleJoinDelete)
	// Raw, for it is a part of the wire: the bare answer, and fields that a newer
	// agent sends are let pass, so that it gets to hear that it is too new.
	httpapi.HandleRaw(a, httpapi.Operation{ID: "enrol", Method: http.MethodPost, Path: wire.PathEnrol, Tag: tag, Access: access.Public(), Status: http.StatusCreated,
		BodyLimit: 32 << 10, Summary: "Let an agent in that proves an enrolment key", Accepts: wire.EnrolRequest{}, Answers: wire.EnrolAnswer{}}, s.handleEnrol)
}

// view needs the node's load, read in q.
func (s *Service) view(ctx context.Context, q store.Querier, n Node) (NodeView, error) {
	state, presence := s.State(n)
	v := NodeView{
		ID: string(n.ID), Name: n.Name, State: state, LastSeenAt: n.LastContact(presence), Tags: n.Tags, Address: n.Address, Port: n.Port, Connection: n.Connection, BindAddress: n.BindAddress,
		PublicHost: n.Host(), Processor: n.Processor, Memory: n.MemoryMiB, MemoryFactor: n.MemoryFactor, Disk: n.DiskMiB, DiskFactor: n.DiskFactor,
		Release: n.Hello.Release, Outdated: n.Hello.Release != "" && n.Hello.Release != build.Version, Engine: n.Hello.Engine, EnrolledAt: n.EnrolledAt,
		CertificateEndsAt: n.CertificateEndsAt, CreatedAt: n.CreatedAt, UpdatedAt: n.UpdatedAt,
	}
	v.Volumes, v.Firewall = n.Hello.Engine.Volumes, n.Hello.Engine.Firewall
	switch engine := n.Hello.Engine; {
	case state == Offline:
		v.Reason = presence.Reason
	case state == Online && !engine.Reachable:
		v.Reason = cmp.Or(engine.Message, "its container engine does not answer")
	}
	if (state == Online || state == Offline) && !presence.Since.IsZero() {
		since := presence.Since.UTC()
		v.Since = &since
	}
	load, err := loadOf(ctx, q, n.ID)
	v.fill(n, load)
	return v, err
}

// fill shows what the node has given and what is left of it.
func (v *NodeView) fill(n Node, l Load) {
	c := n.Capacity()
	v.CPUFactor, v.MemoryReserve, v.DiskReserve, v.Maintenance = n.CPUFactor, n.MemoryReserveMiB, n.DiskReserveMiB, n.Maintenance
	v.Instances, v.MemoryUsed, v.DiskUsed, v.CPUUsed = l.Instances, l.MemoryMiB, l.DiskMiB, float64(l.NanoCPUs)/1e9
	v.MemoryFree, v.DiskFree = max(c.MemoryMiB-l.MemoryMiB, 0), max(c.DiskMiB-l.DiskMiB, 0)
	if c.NanoCPUs > 0 {
		free := float64(max(c.NanoCPUs-l.NanoCPUs, 0)) / 1e9
		v.CPUFree = &free
	}
}

func (s *Service) handleList(ctx context.Context, in *nodeListQuery) (httpapi.Page[NodeView], error) {
	page := httpapi.Page[NodeView]{Items: []NodeView{}}
	err := s.DB.Read(ctx, func(q store.Querier) error {
		filter := Filter{Tag: in.Tag, State: State(in.State), Search: in.Search, Sort: in.Sort, Limit: in.Limit, Offset: in.Offset()}
		nodes, total, err := list(ctx, q, filter, s.Fleet.OnlineNodes())
		page.Total = total
		for _, n := range nodes {
			v, err := s.view(ctx, q, n)
			if err != nil {
				return err
			}
			page.Items = append(page.Items, v)
		}
		return err
	})
	return page, err
}

func (s *Service) show(ctx context.Context, n Node, err error) (NodeView, error) {
	if err != nil {
		return NodeView{}, err
	}
	return s.view(ctx, s.DB.Snapshot(), n)
}

func (s *Service) handleGet(ctx context.Context, in *NodePath) (NodeView, error) {
	n, err := s.Get(ctx, ident.Node(in.ID))
	return s.show(ctx, n, err)
}

func (s *Service) handleCreate(ctx context.Context, in *struct{ Body NodeBody }) (NodeEnrolmentView, error) {
	b := in.Body
	n, e, err := s.Create(ctx, access.From(ctx), Spec{
		Name: b.Name, Tags: b.Tags, Address: b.Address, Port: b.Port, BindAddress: b.BindAddress, PublicHost: b.PublicHost, Processor: b.Processor,
		MemoryMiB: b.Memory, DiskMiB: b.Disk, MemoryFactor: b.MemoryFactor, DiskFactor: b.DiskFactor,
		CPUFactor: b.CPUFactor, MemoryReserveMiB: b.MemoryReserve, DiskReserveMiB: b.DiskReserve,
	})
	v, err := s.show(ctx, n, err)
	return NodeEnrolmentView{Node: v, Enrolment: e.View()}, err
}

// View shows the key, once.
func (e Enrolment) View() EnrolmentView { return EnrolmentView(e) }

func (s *Service) handleChange(ctx context.Context, in *nodeChangeInput) (NodeView, error) {
	b := in.Body
	n, err := s.Change(ctx, access.From(ctx), ident.Node(in.ID), func(spec *Spec) {
		set(&spec.Name, b.Name)
		set(&spec.Address, b.Address)
		set(&spec.Port, b.Port)
		set(&spec.Connection, (*Connection)(b.Connection))
		set(&spec.MemoryMiB, b.Memory)
		set(&spec.DiskMiB, b.Disk)
		set(&spec.Tags, b.Tags)
		set(&spec.BindAddress, b.BindAddress)
		set(&spec.PublicHost, b.PublicHost)
		set(&spec.Processor, b.Processor)
		set(&spec.MemoryFactor, b.MemoryFactor)
		set(&spec.DiskFactor, b.DiskFactor)
		set(&spec.CPUFactor, b.CPUFactor)
		set(&spec.MemoryReserveMiB, b.MemoryReserve)
		set(&spec.DiskReserveMiB, b.DiskReserve)
	})
	return s.show(ctx, n, err)
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

func (s *Service) handleDelete(ctx context.Context, in *NodePath) (httpapi.Done, error) {
	return httpapi.Did("the node is deleted"), s.Delete(ctx, access.From(ctx), ident.Node(in.ID))
}

func (s *Service) handleKey(ctx context.Context, in *NodePath) (EnrolmentView, error) {
	e, err := s.NewKey(ctx, access.From(ctx), ident.Node(in.ID))
	return e.View(), err
}

func (s *Service) handleRevoke(ctx context.Context, in *NodePath) (NodeView, error) {
	n, err := s.Revoke(ctx, access.From(ctx), ident.Node(in.ID))
	return s.show(ctx, n, err)
}

func (s *Service) handleMaintenance(ctx context.Context, in *maintenanceInput) (NodeView, error) {
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		return s.SetMaintenance(ctx, tx, access.From(ctx).Actor, ident.Node(in.ID), in.Body.On)
	})
	if err != nil {
		return NodeView{}, err
	}
	n, err := s.Get(ctx, ident.Node(in.ID))
	return s.show(ctx, n, err)
}

func (s *Service) handleJoin(ctx context.Context, in *struct{ Body JoinKeyBody }) (EnrolmentView, error) {
	b := in.Body
	e, err := s.NewJoinKey(ctx, access.From(ctx), Join{Name: b.Name, Uses: b.Uses, Life: time.Duration(b.Hours) * time.Hour, Tags: b.Tags})
	return e.View(), err
}

func (s *Service) handleJoinList(ctx context.Context, in *joinListQuery) (httpapi.Page[JoinKeyView], error) {
	keys, total, err := s.JoinKeys(ctx, in.Limit, in.Offset())
	page := httpapi.Page[JoinKeyView]{Items: []JoinKeyView{}, Total: total}
	for _, k := range keys {
		page.Items = append(page.Items, JoinKeyView{ID: k.ID, Name: k.Name, UsesLeft: k.UsesLeft, Tags: k.Tags, ExpiresAt: k.ExpiresAt, CreatedAt: k.CreatedAt})
	}
	return page, err
}

func (s *Service) handleJoinDelete(ctx context.Context, in *joinKeyPath) (httpapi.Done, error) {
	return httpapi.Did("the join key is void"), s.DeleteJoinKey(ctx, access.From(ctx), in.ID)
}

func (s *Service) handleEnrol(ctx context.Context, r *httpapi.Request) (httpapi.Reply, error) {
	var asked wire.EnrolRequest
	if err := r.JSON(&asked); err != nil {
		return httpapi.Reply{}, err
	}
	from, _ := netip.ParseAddr(access.From(ctx).Address) // none: then the agent must say its address
	answer, err := s.Enrol(ctx, asked, from)
	return httpapi.Reply{Body: answer}, err
}
