package move

import (
	"context"
	"net/http"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/shared/ident"
)

// MoveBody says where an instance is to go.
type MoveBody struct {
	NodeID        string                       `json:"node_id,omitempty" doc:"The new node; chosen by placement when absent"`
	Ports         *[]instance.InstancePortBody `json:"ports,omitempty" maxItems:"100" doc:"On the new node; the same as now when absent"`
	ReassignPorts bool                         `json:"reassign_ports,omitempty" doc:"Exchange ports that are taken there for free ones"`
}

// MoveView is an instance on its way, or what one has left behind on a node.
type MoveView struct {
	JobID      string    `json:"job_id" doc:"That works on it"`
	InstanceID string    `json:"instance_id"`
	FromNodeID string    `json:"from_node_id"`
	ToNodeID   string    `json:"to_node_id,omitempty" doc:"None when something is only being removed"`
	Stage      Stage     `json:"stage" enum:"copying,switched,leaving" doc:"copying: it is still on the old node. switched: it is on the new node, which has not said yet that it is well there. leaving: what is on from_node_id is being removed"`
	CreatedAt  time.Time `json:"created_at"`
}

type moveInput struct {
	instance.InstancePath
	Body *MoveBody
}

type movesQuery struct{ httpapi.PageQuery }

// Mount registers the operations of moves.
func (s *Service) Mount(a *httpapi.API) {
	httpapi.Handle(a, httpapi.Operation{ID: "moveInstance", Method: http.MethodPost, Path: "/api/v1/instances/{id}/move", Tag: "instances",
		Summary: "Move it with its data to another node", Access: access.Permits(access.WriteInstances), Status: http.StatusAccepted, Idempotent: true}, s.handleMove)
	httpapi.Handle(a, httpapi.Operation{ID: "drainNode", Method: http.MethodPost, Path: "/api/v1/nodes/{id}/drain", Tag: "nodes",
		Summary: "Take a node into maintenance and move everything off it", Access: access.Permits(access.WriteNodes), Status: http.StatusAccepted, Idempotent: true}, s.handleDrain)
	httpapi.HandlePage(a, httpapi.Operation{ID: "listMoves", Method: http.MethodGet, Path: "/api/v1/moves", Tag: "instances",
		Summary: "List the moves under way, and what is still being removed", Access: access.Permits(access.ReadNodes)}, s.handleList)
}

func (s *Service) handleMove(ctx context.Context, in *moveInput) (instance.InstanceJobView, error) {
	var o Order
	if in.Body != nil {
		o.Node, o.Reassign = ident.Node(in.Body.NodeID), in.Body.ReassignPorts
		if in.Body.Ports != nil {
			ports, err := instance.Mappings(*in.Body.Ports)
			if err != nil {
				return instance.InstanceJobView{}, err
			}
			o.Ports = &ports
		}
	}
	i, j, err := s.Move(ctx, access.From(ctx), ident.Instance(in.ID), o)
	if err != nil {
		return instance.InstanceJobView{}, err
	}
	return view(i, j), nil
}

func view(i instance.Instance, j job.Job) instance.InstanceJobView {
	v := j.View()
	return instance.InstanceJobView{Instance: i.View(), Job: &v}
}

func (s *Service) handleDrain(ctx context.Context, in *node.NodePath) (job.JobView, error) {
	j, err := s.Drain(ctx, access.From(ctx), ident.Node(in.ID))
	if err != nil {
		return job.JobView{}, err
	}
	return j.View(), nil
}

func (s *Service) handleList(ctx context.Context, in *movesQuery) (httpapi.Page[MoveView], error) {
	moves, total, err := s.Moves(ctx, in.Limit, in.Offset())
	page := httpapi.Page[MoveView]{Items: []MoveView{}, Total: total}
	for _, m := range moves {
		v := MoveView{JobID: string(m.Job), InstanceID: string(m.Instance), FromNodeID: string(m.From), Stage: m.Stage, CreatedAt: m.CreatedAt}
		if m.Stage != Leaving {
			v.ToNodeID = string(m.To)
		}
		page.Items = append(page.Items, v)
	}
	return page, err
}
