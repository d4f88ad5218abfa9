package allocation

import (
	"context"
	"net/http"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/shared/ident"
)

// AllocationView is an allocation as the API shows it.
type AllocationView struct {
	ID            string `json:"id"`
	IP            string `json:"ip"`
	Port          uint16 `json:"port"`
	InstanceID    string `json:"instance_id,omitempty" doc:"Who holds it"`
	ContainerPort uint16 `json:"container_port,omitempty"`
	Primary       bool   `json:"primary,omitempty"`
	Pooled        bool   `json:"pooled" doc:"Stays when its instance goes"`
}

// AllocationsAddBody is ports for a node's pool.
type AllocationsAddBody struct {
	IP    string   `json:"ip,omitempty" doc:"The node's bind address when absent"`
	Ports []string `json:"ports" minItems:"1" maxItems:"1000" doc:"Ports and ranges: 8080, 25565-25600"`
}

// AllocationsAddedView says what was added.
type AllocationsAddedView struct {
	Made    int `json:"made"`
	Present int `json:"present" doc:"Were there already"`
}

// NodePath names a node in a path.
type NodePath struct {
	ID string `path:"id" doc:"The node's id"`
}

type listInput struct {
	NodePath
	httpapi.PageQuery
	Use string `query:"use" enum:"free,used" doc:"Only free ones, or only used ones"`
}

type addInput struct {
	NodePath
	Body AllocationsAddBody
}

type deleteInput struct {
	NodePath
	Allocation string `path:"allocation" doc:"The allocation's id"`
}

// Mount registers the operations of allocations.
func (s *Service) Mount(a *httpapi.API) {
	const base, tag = "/api/v1/nodes/{id}/allocations", "allocations"
	read, write := access.Permits(access.ReadNodes), access.Permits(access.WriteNodes)
	httpapi.HandlePage(a, httpapi.Operation{ID: "listAllocations", Method: http.MethodGet, Path: base, Tag: tag, Access: read,
		Summary: "List a node's ports"}, s.handleList)
	httpapi.Handle(a, httpapi.Operation{ID: "addAllocations", Method: http.MethodPost, Path: base, Tag: tag, Access: write, Status: http.StatusCreated,
		Idempotent: true, Summary: "Add ports to a node's pool"}, s.handleAdd)
	httpapi.Handle(a, httpapi.Operation{ID: "deleteAllocation", Method: http.MethodDelete, Path: base + "/{allocation}", Tag: tag, Access: write,
		Summary: "Take a free port out of the pool"}, s.handleDelete)
}

func (s *Service) handleList(ctx context.Context, in *listInput) (httpapi.Page[AllocationView], error) {
	items, total, err := s.List(ctx, Filter{Node: ident.Node(in.ID), Use: in.Use, Limit: in.Limit, Offset: in.Offset()})
	page := httpapi.Page[AllocationView]{Items: make([]AllocationView, 0, len(items)), Total: total}
	for _, a := range items {
		page.Items = append(page.Items, AllocationView{ID: string(a.ID), IP: a.IP, Port: a.Port, InstanceID: string(a.Instance),
			ContainerPort: a.ContainerPort, Primary: a.Primary, Pooled: a.Pooled})
	}
	return page, err
}

func (s *Service) handleAdd(ctx context.Context, in *addInput) (AllocationsAddedView, error) {
	done, err := s.Add(ctx, access.From(ctx), ident.Node(in.ID), in.Body.IP, in.Body.Ports)
	return AllocationsAddedView(done), err
}

func (s *Service) handleDelete(ctx context.Context, in *deleteInput) (httpapi.Done, error) {
	return httpapi.Did("the port is out of the pool"), s.Delete(ctx, access.From(ctx), ident.Node(in.ID), ident.Allocation(in.Allocation))
}
