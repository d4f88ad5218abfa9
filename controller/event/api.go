package event

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

// EventView is a fact as the API shows it.
type EventView struct {
	ID         int64           `json:"id" doc:"Rises with time"`
	At         time.Time       `json:"at"`
	Type       Type            `json:"type" doc:"The thing, a dot, what happened to it: instance.suspended"`
	InstanceID string          `json:"instance_id,omitempty"`
	NodeID     string          `json:"node_id,omitempty"`
	JobID      string          `json:"job_id,omitempty"`
	SubjectID  string          `json:"subject_id,omitempty" doc:"Of the user, key, image or allocation it is about"`
	Actor      access.Actor    `json:"actor" doc:"Who did it"`
	Data       json.RawMessage `json:"data"`
}

// View shows the fact.
func (e Event) View() EventView {
	return EventView{ID: e.ID, At: e.At, Type: e.Type, InstanceID: string(e.Instance), NodeID: string(e.Node), JobID: string(e.Job),
		SubjectID: e.Subject, Actor: e.Actor, Data: e.Data}
}

// FilterQuery narrows what is listed or followed.
type FilterQuery struct {
	Instance string `query:"instance_id" doc:"Only about this instance"`
	Node     string `query:"node_id" doc:"Only about this node"`
	Job      string `query:"job_id" doc:"Only about this job"`
	Type     string `query:"type" maxLength:"100" doc:"Only of this type, or about this thing: job is all that begins with job."`
	After    int64  `query:"after" minimum:"0" doc:"Only with a higher id, the oldest first; else the newest first"`
}

func (f FilterQuery) filter(c access.Caller) Filter {
	return Filter{Sight: SightOf(c), Instance: ident.Instance(f.Instance), Node: ident.Node(f.Node), Job: ident.Job(f.Job), Type: Type(f.Type), After: f.After}
}

type listQuery struct {
	httpapi.PageQuery
	FilterQuery
}

type streamQuery struct{ FilterQuery }

// API serves the log over HTTP.
type API struct {
	log *Log
	db  *store.DB
}

// NewAPI makes the log's door.
func NewAPI(log *Log, db *store.DB) *API { return &API{log: log, db: db} }

// Mount registers the operations of events.
func (a *API) Mount(h *httpapi.API) {
	const base, tag = "/api/v1/events", "events"
	read := access.Needs(access.ScopeRead)
	httpapi.HandlePage(h, httpapi.Operation{ID: "listEvents", Method: http.MethodGet, Path: base, Tag: tag, Access: read,
		Summary: "List what happened"}, a.handleList)
	httpapi.HandleStream(h, httpapi.Operation{ID: "streamEvents", Method: http.MethodGet, Path: base + "/stream", Tag: tag, Access: read,
		Summary: "Follow what happens", Description: "Server-sent events of the type `event`; each id is the event's, so that a client that comes back with Last-Event-ID misses none."}, a.handleStream)
}

func (a *API) handleList(ctx context.Context, in *listQuery) (httpapi.Page[EventView], error) {
	f := in.filter(access.From(ctx))
	f.Limit, f.Offset = in.Limit, in.Offset()
	page := httpapi.Page[EventView]{Items: []EventView{}}
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

func (a *API) handleStream(ctx context.Context, in *streamQuery, s *httpapi.Stream) error {
	f := in.filter(access.From(ctx))
	if last, err := strconv.ParseInt(s.LastEventID(), 10, 64); err == nil {
		f.After = max(f.After, last)
	}
	feed, err := a.log.Follow(ctx, a.db, f)
	if err != nil {
		return err
	}
	defer feed.Close()
	s.Open()
	for {
		facts, err := feed.Next(ctx)
		if err != nil {
			return err
		}
		for _, e := range facts {
			if err := s.Send("event", strconv.FormatInt(e.ID, 10), f.Sight.View(e)); err != nil {
				return err
			}
		}
	}
}

// matches says whether a live fact passes the filter, as far as that can be said
// without reading it again: what it lets through by mistake is not given out.
func (f Filter) matches(e Event) bool {
	thing, _, whole := strings.Cut(string(f.Type), ".")
	typed := f.Type == "" || f.Type == e.Type || !whole && strings.HasPrefix(string(e.Type), thing+".")
	return typed && f.Sight.Sees(e) && (f.Instance == "" || f.Instance == e.Instance) && (f.Node == "" || f.Node == e.Node) &&
		(f.Job == "" || f.Job == e.Job) && (f.Actor == "" || f.Actor == e.Actor.User) && (f.Via == "" || f.Via == e.Actor.Via)
}
