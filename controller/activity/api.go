package activity

import (
	"context"
	"net/http"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// Grants says who may read of an instance.
type Grants interface {
	Allow(ctx context.Context, caller access.Caller, id ident.Instance, right access.Right) (instance.Instance, error)
}

// API serves the log to people.
type API struct {
	db     *store.DB
	log    *event.Log
	grants Grants
}

// New makes the room.
func New(db *store.DB, log *event.Log, grants Grants) *API {
	return &API{db: db, log: log, grants: grants}
}

// ActivityFilterQuery narrows what is shown.
type ActivityFilterQuery struct {
	Actor  string    `query:"actor" maxLength:"64" doc:"Id of the user who did it"`
	Via    string    `query:"via" enum:"key,session,sftp,schedule,system,local," doc:"Through which door"`
	Type   string    `query:"type" maxLength:"100" pattern:"^[a-z_]*(\\.[a-z_]+)?\\.?$" doc:"One type, such as file.written, or the thing: file"`
	Since  time.Time `query:"since" doc:"Then or later"`
	Until  time.Time `query:"until" doc:"Before then"`
	Search string    `query:"search" maxLength:"200" doc:"A text in what happened, or in who did it from where"`
}

func (q ActivityFilterQuery) filter(p httpapi.PageQuery, sight event.Sight) (event.Filter, error) {
	if p.Offset()+p.Limit > event.CountMost {
		return event.Filter{}, problem.Invalid("page", "only the newest %d are paged: name a time in until to go further back", event.CountMost)
	}
	return event.Filter{Sight: sight, Actor: ident.User(q.Actor), Via: access.Via(q.Via), Type: event.Type(q.Type), Since: q.Since, Until: q.Until,
		Search: q.Search, Limit: p.Limit, Offset: p.Offset()}, nil
}

type listInput struct {
	httpapi.PageQuery
	ActivityFilterQuery
	Instance string `query:"instance_id" maxLength:"64" doc:"Only about this instance"`
}

type instanceInput struct {
	ID string `path:"id" doc:"The instance's id"`
	httpapi.PageQuery
	ActivityFilterQuery
}

// Mount registers the operations of the log.
func (a *API) Mount(h *httpapi.API) {
	const tag = "activity"
	httpapi.HandlePage(h, httpapi.Operation{ID: "listActivity", Method: http.MethodGet, Path: "/api/v1/activity", Tag: tag, Access: access.Needs(access.ScopeRead),
		Summary: "Who did what, the newest first"}, a.handleList)
	httpapi.HandlePage(h, httpapi.Operation{ID: "listInstanceActivity", Method: http.MethodGet, Path: "/api/v1/instances/{id}/activity", Tag: tag, Access: access.Uses(access.ReadActivity),
		Summary: "Who did what with an instance, the newest first"}, a.handleInstance)
}

func (a *API) handleList(ctx context.Context, in *listInput) (httpapi.Page[event.EventView], error) {
	f, err := in.filter(in.PageQuery, event.SightOf(access.From(ctx)).Deeds())
	f.Instance = ident.Instance(in.Instance)
	if err != nil {
		return httpapi.Page[event.EventView]{}, err
	}
	return a.page(ctx, f)
}

func (a *API) handleInstance(ctx context.Context, in *instanceInput) (httpapi.Page[event.EventView], error) {
	i, err := a.grants.Allow(ctx, access.From(ctx), ident.Instance(in.ID), access.ReadActivity)
	if err != nil {
		return httpapi.Page[event.EventView]{}, err
	}
	f, err := in.filter(in.PageQuery, event.Everything())
	f.Instance = i.ID
	if err != nil {
		return httpapi.Page[event.EventView]{}, err
	}
	return a.page(ctx, f)
}

func (a *API) page(ctx context.Context, f event.Filter) (httpapi.Page[event.EventView], error) {
	page := httpapi.Page[event.EventView]{Items: []event.EventView{}}
	err := a.db.Read(ctx, func(q store.Querier) error {
		list, total, err := a.log.List(ctx, q, f)
		for _, e := range list {
			page.Items = append(page.Items, f.Sight.View(e))
		}
		page.Total = total
		return err
	})
	return page, err
}
