package stats

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// StatsTicketView opens one live stream, once.
type StatsTicketView struct {
	Ticket    string    `json:"ticket" doc:"For the stream's first message, or its address as ?ticket="`
	ExpiresAt time.Time `json:"expires_at" doc:"Half a minute from now"`
}

// Redacted is the view without its secret.
func (v StatsTicketView) Redacted() any {
	v.Ticket = ""
	return v
}

// StatsPath names the instance.
type StatsPath struct {
	ID string `path:"id" doc:"The instance's id"`
}

// NodeStatsPath names the node.
type NodeStatsPath struct {
	ID string `path:"id" doc:"The node's id"`
}

// StatsHistoryQuery says which points.
type StatsHistoryQuery struct {
	Resolution string `query:"resolution" enum:"1s,10s,1m" default:"10s" doc:"1s goes back 10 minutes, 10s 6 hours, 1m 7 days"`
	Since      int64  `query:"since" minimum:"0" doc:"Unix seconds: only points that begin then or later"`
}

type instanceHistoryInput struct {
	StatsPath
	StatsHistoryQuery
}

type nodeHistoryInput struct {
	NodeStatsPath
	StatsHistoryQuery
}

type statsListInput struct {
	Instances string `query:"instances" maxLength:"10000" doc:"Ids with commas between: only these. Without it all"`
}

const about = `A WebSocket that sends {"type":"sample", …} each second, with the fields of getInstanceStats; {"type":"offline","message"} when the node stops answering; ` +
	`and {"type":"closing","code","message"} before the end. A key in the headers, a one-time ticket as ?ticket=, or a first message {"type":"auth","ticket":…} or ` +
	`{"type":"auth","key":…} within 5 s says who calls.`

// Mount registers the operations of figures.
func (s *Service) Mount(a *httpapi.API) {
	const instances, nodes, tag = "/api/v1/instances/{id}/stats", "/api/v1/nodes/{id}/stats", "stats"
	see, nodesRule := access.Uses(access.SeeInstance), access.Permits(access.ReadNodes)
	op := func(id, path, summary string, rule access.Rule) httpapi.Operation {
		return httpapi.Operation{ID: id, Method: http.MethodGet, Path: path, Tag: tag, Summary: summary, Access: rule}
	}
	httpapi.Handle(a, op("listStats", "/api/v1/stats", "The newest samples of all instances that you may see", access.Needs(access.ScopeRead)), s.handleList)
	httpapi.Handle(a, op("getInstanceStats", instances, "What an instance uses now", see), s.handleNewest)
	httpapi.Handle(a, op("getInstanceStatsHistory", instances+"/history", "What an instance has used", see), s.handleHistory)
	httpapi.Handle(a, op("getNodeStats", nodes, "What a node uses now", nodesRule), s.handleNode)
	httpapi.Handle(a, op("getNodeStatsHistory", nodes+"/history", "What a node has used", nodesRule), s.handleNodeHistory)
	httpapi.Handle(a, httpapi.Operation{ID: "createStatsTicket", Method: http.MethodPost, Path: instances + "/ticket", Tag: tag, Access: see,
		Status: http.StatusCreated, Summary: "Get a ticket that opens the live stream once"}, s.handleTicket)
	live := op("openInstanceStats", instances+"/live", "What an instance uses, each second", access.Announces(access.SeeInstance))
	live.Farewell, live.Description, live.Params = true, about, []httpapi.Param{{Name: "ticket", Doc: "Of createStatsTicket"}}
	httpapi.HandleSocket(a, live, s.handleLive)
}

func (s *Service) handleList(ctx context.Context, in *statsListInput) (StatsListView, error) {
	only, err := idsOf(in.Instances)
	if err != nil {
		return StatsListView{}, err
	}
	items, err := s.List(ctx, access.From(ctx), only)
	return StatsListView{Instances: items}, err
}

// idsOf reads ids with commas between; nil is all.
func idsOf(text string) ([]ident.Instance, error) {
	if text == "" {
		return nil, nil
	}
	var ids []ident.Instance
	for part := range strings.SplitSeq(text, ",") {
		id := ident.Instance(part)
		if !id.Valid() {
			return nil, problem.Invalid("instances", "must be ids of instances, with commas between")
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func (s *Service) handleNewest(ctx context.Context, in *StatsPath) (StatsView, error) {
	sample, err := s.Newest(ctx, access.From(ctx), ident.Instance(in.ID))
	return ViewOf(sample), err
}

func (s *Service) handleHistory(ctx context.Context, in *instanceHistoryInput) (StatsHistoryView, error) {
	h, err := s.History(ctx, access.From(ctx), ident.Instance(in.ID), wire.Resolution(in.Resolution), in.Since)
	return historyOf(h), err
}

func (s *Service) handleNode(ctx context.Context, in *NodeStatsPath) (NodeStatsView, error) {
	sample, err := s.Node(ctx, ident.Node(in.ID))
	return NodeViewOf(sample), err
}

func (s *Service) handleNodeHistory(ctx context.Context, in *nodeHistoryInput) (StatsHistoryView, error) {
	h, err := s.NodeHistory(ctx, ident.Node(in.ID), wire.Resolution(in.Resolution), in.Since)
	return historyOf(h), err
}

func (s *Service) handleTicket(ctx context.Context, in *StatsPath) (StatsTicketView, error) {
	t, err := s.Grants.Issue(ctx, access.From(ctx), ident.Instance(in.ID), access.SeeInstance, Door)
	return StatsTicketView{Ticket: t.Text, ExpiresAt: t.Expires}, err
}

func (s *Service) handleLive(ctx context.Context, r *httpapi.Request) (httpapi.Socket, error) {
	id := ident.Instance(r.Param("id"))
	guest, err := s.Grants.Arrive(ctx, r, id, access.SeeInstance, Door)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, conn *websocket.Conn) {
		v := &viewer{service: s, conn: conn, id: id, guest: guest}
		v.serve(ctx)
	}, nil
}
