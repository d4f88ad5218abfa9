package instance

import (
	"context"
	"net/http"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// StrayView is what a node holds and no instance stands for.
type StrayView struct {
	InstanceID  string      `json:"instance_id"`
	Generation  int64       `json:"generation" doc:"That the node holds"`
	Phase       wire.Phase  `json:"phase" enum:"installing,ready,failed"`
	Actual      wire.Actual `json:"actual" doc:"What its container does"`
	ContainerID string      `json:"container_id,omitempty"`
	FoundAt     time.Time   `json:"found_at"`
}

// StrayRemoveBody confirms what can't be taken back.
type StrayRemoveBody struct {
	Confirm string `json:"confirm" doc:"The stray's instance id once more: its data is deleted with it"`
}

// StrayAdoptBody says whose a stray becomes.
type StrayAdoptBody struct {
	OwnerID string `json:"owner_id" minLength:"1"`
	ImageID string `json:"image_id,omitempty" doc:"The one that has the stray's reference when absent"`
	Name    string `json:"name,omitempty" maxLength:"200" doc:"Its id when absent"`
}

// StrayPath names a stray in a path.
type StrayPath struct {
	ID       string `path:"id" doc:"The node's id"`
	Instance string `path:"instance" doc:"The stray's instance id"`
}

type strayListInput struct {
	ID string `path:"id" doc:"The node's id"`
	httpapi.PageQuery
}

type strayRemoveInput struct {
	StrayPath
	Body StrayRemoveBody
}

type strayAdoptInput struct {
	StrayPath
	Body StrayAdoptBody
}

// mountStrays registers the operations about strays, which are found by way of
// their node.
func (s *Service) mountStrays(a *httpapi.API) {
	const base, tag = "/api/v1/nodes/{id}/strays", "nodes"
	admin := access.Permits(access.WriteNodes)
	httpapi.HandlePage(a, httpapi.Operation{ID: "listStrays", Method: http.MethodGet, Path: base, Tag: tag, Access: access.Permits(access.ReadNodes),
		Summary: "List what a node holds and no instance stands for"}, s.handleStrays)
	httpapi.Handle(a, httpapi.Operation{ID: "removeStray", Method: http.MethodPost, Path: base + "/{instance}/remove", Tag: tag, Access: admin,
		Status: http.StatusAccepted, Idempotent: true, Summary: "Remove a stray with its data"}, s.handleStrayRemove)
	httpapi.Handle(a, httpapi.Operation{ID: "adoptStray", Method: http.MethodPost, Path: base + "/{instance}/adopt", Tag: tag, Access: admin,
		Status: http.StatusAccepted, Idempotent: true, Summary: "Make a stray an ordinary instance, as it runs"}, s.handleStrayAdopt)
}

func (s *Service) handleStrays(ctx context.Context, in *strayListInput) (httpapi.Page[StrayView], error) {
	items, total, err := s.Strays(ctx, ident.Node(in.ID), in.Limit, in.Offset())
	page := httpapi.Page[StrayView]{Items: make([]StrayView, 0, len(items)), Total: total}
	for _, f := range items {
		page.Items = append(page.Items, StrayView{InstanceID: string(f.Instance), Generation: f.Generation, Phase: f.State.Phase, Actual: f.State.Actual,
			ContainerID: f.State.Container, FoundAt: f.FoundAt})
	}
	return page, err
}

func (s *Service) handleStrayRemove(ctx context.Context, in *strayRemoveInput) (job.JobView, error) {
	if in.Body.Confirm != in.Instance {
		return job.JobView{}, problem.Invalid("confirm", "must be the stray's instance id: its data is deleted with it")
	}
	j, err := s.RemoveStray(ctx, access.From(ctx), ident.Node(in.ID), ident.Instance(in.Instance))
	if err != nil {
		return job.JobView{}, err
	}
	return j.View(), nil
}

func (s *Service) handleStrayAdopt(ctx context.Context, in *strayAdoptInput) (InstanceJobView, error) {
	b := in.Body
	return answer(ctx)(s.Adopt(ctx, access.From(ctx), ident.Node(in.ID), ident.Instance(in.Instance),
		Adoption{Owner: ident.User(b.OwnerID), Image: ident.Image(b.ImageID), Name: b.Name}))
}
