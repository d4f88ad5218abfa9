package stats

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/grant"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	fresh       = time.Second // so long a node's samples are shown to others
	askWithin   = 10 * time.Second
	listWithin  = 3 * time.Second // for a node, in a list of many
	nodesAtOnce = 16
	answerMost  = 16 << 20 // bytes: a week of minutes is under 1 MiB, 10,000 samples are 5
)

// Agents is how the nodes are reached.
type Agents interface {
	Open(ctx context.Context, node ident.Node, request fleet.Request) (*http.Response, error)
	Socket(ctx context.Context, node ident.Node, path string) (*fleet.Socket, error)
}

// Instances lists what a caller may see.
type Instances interface {
	List(ctx context.Context, c access.Caller, f instance.Filter) (items []instance.Listed, total int, err error)
}

// Nodes finds nodes.
type Nodes interface {
	Get(ctx context.Context, id ident.Node) (node.Node, error)
}

// Grants says who may.
type Grants interface {
	Allow(ctx context.Context, caller access.Caller, id ident.Instance, right access.Right) (instance.Instance, error)
	Hold(ctx context.Context, caller access.Caller, id ident.Instance, right access.Right, also ...grant.Check) (held context.Context, release func(), err error)
	Issue(ctx context.Context, caller access.Caller, id ident.Instance, right access.Right, purpose grant.Purpose) (grant.Ticket, error)
	Arrive(ctx context.Context, r *httpapi.Request, id ident.Instance, right access.Right, purpose grant.Purpose) (*grant.Guest, error)
}

// Deps are the rooms that figures come through.
type Deps struct {
	Agents    Agents
	Instances Instances
	Nodes     Nodes
	Grants    Grants
	Log       *slog.Logger
	Now       func() time.Time
}

// Service answers about figures. Safe for concurrent use.
type Service struct {
	Deps
	pace pace

	mu    sync.Mutex
	nodes map[ident.Node]*known
}

// known are a node's samples, shared by all who ask within a second.
type known struct {
	turn  chan struct{} // holds a token: whoever put it there may ask the node
	at    time.Time
	stats wire.NodeStats
	err   error
}

// NewService makes the service.
func NewService(d Deps) *Service {
	return &Service{Deps: d, pace: usualPace(), nodes: map[ident.Node]*known{}}
}

func path(id ident.Instance) string { return wire.PathInstances + "/" + string(id) + "/stats" }

// Newest gives the newest sample of an instance.
func (s *Service) Newest(ctx context.Context, c access.Caller, id ident.Instance) (sample wire.Sample, err error) {
	i, err := s.Grants.Allow(ctx, c, id, access.SeeInstance)
	if err != nil {
		return sample, err
	}
	return sample, s.fetch(ctx, i.Node, path(i.ID), nil, &sample)
}

// History gives an instance's points that begin at since, in Unix seconds, or
// later.
func (s *Service) History(ctx context.Context, c access.Caller, id ident.Instance, r wire.Resolution, since int64) (h wire.StatsHistory, err error) {
	i, err := s.Grants.Allow(ctx, c, id, access.SeeInstance)
	if err != nil {
		return h, err
	}
	return h, s.fetch(ctx, i.Node, path(i.ID)+"/history", historyQuery(r, since), &h)
}

// Node gives a node's newest sample.
func (s *Service) Node(ctx context.Context, id ident.Node) (wire.NodeSample, error) {
	if _, err := s.Nodes.Get(ctx, id); err != nil {
		return wire.NodeSample{}, err
	}
	stats, err := s.samples(ctx, id, fresh)
	return stats.Node, err
}

// NodeHistory is History of a node.
func (s *Service) NodeHistory(ctx context.Context, id ident.Node, r wire.Resolution, since int64) (h wire.StatsHistory, err error) {
	if _, err := s.Nodes.Get(ctx, id); err != nil {
		return h, err
	}
	return h, s.fetch(ctx, id, "/v1/stats/history", historyQuery(r, since), &h)
}

func historyQuery(r wire.Resolution, since int64) url.Values {
	return url.Values{"resolution": {string(r)}, "since": {strconv.FormatInt(since, 10)}}
}

// List gives the newest samples of what the caller may see, or of those of only
// that he may see.
func (s *Service) List(ctx context.Context, c access.Caller, only []ident.Instance) ([]StatsItemView, error) {
	items, _, err := s.Instances.List(ctx, c, instance.Filter{})
	if err != nil {
		return nil, err
	}
	if only != nil {
		items = slices.DeleteFunc(items, func(l instance.Listed) bool { return !slices.Contains(only, l.ID) })
	}
	var mu sync.Mutex
	answers := map[ident.Node]*wire.NodeStats{}
	for _, l := range items {
		answers[l.Node] = nil
	}
	var group errgroup.Group
	group.SetLimit(nodesAtOnce)
	for _, id := range slices.Collect(maps.Keys(answers)) {
		group.Go(func() error {
			limited, cancel := context.WithTimeout(ctx, listWithin)
			defer cancel()
			if stats, err := s.samples(limited, id, fresh); err == nil { // one that is away has no figures
				mu.Lock()
				defer mu.Unlock()
				answers[id] = &stats
			}
			return nil
		})
	}
	_ = group.Wait()
	views := make([]StatsItemView, 0, len(items))
	for _, l := range items {
		v := StatsItemView{InstanceID: string(l.ID), NodeID: string(l.Node), Online: answers[l.Node] != nil}
		if v.Online {
			if sample, ok := answers[l.Node].Instances[l.ID]; ok {
				shown := ViewOf(sample)
				v.Stats = &shown
			}
		}
		views = append(views, v)
	}
	return views, nil
}

// Ask asks a node for the newest samples of all that runs there, for somebody who
// follows them; whoever lists some within the second gets the same.
func (s *Service) Ask(ctx context.Context, id ident.Node) (wire.NodeStats, error) {
	return s.samples(ctx, id, 0)
}

// samples gives a node's samples, not older than that. One call at a time is
// under way to a node; its answer is for all who wait.
func (s *Service) samples(ctx context.Context, id ident.Node, oldest time.Duration) (wire.NodeStats, error) {
	s.mu.Lock()
	k := s.nodes[id]
	if k == nil {
		k = &known{turn: make(chan struct{}, 1)}
		s.nodes[id] = k
	}
	s.mu.Unlock()
	select {
	case k.turn <- struct{}{}:
	case <-ctx.Done():
		return wire.NodeStats{}, slow(id)
	}
	defer func() { <-k.turn }()
	if age := s.Now().Sub(k.at); age >= 0 && age < oldest {
		return k.stats, k.err
	}
	var stats wire.NodeStats
	err := s.fetch(ctx, id, "/v1/stats", nil, &stats)
	if err != nil && ctx.Err() != nil { // this caller's time was up, which says nothing to others
		return stats, slow(id)
	}
	k.stats, k.err, k.at = stats, err, s.Now()
	return stats, err
}

func slow(id ident.Node) error {
	return problem.New(problem.NodeOffline, "node %s did not answer in time", id)
}

// fetch asks an agent for JSON that may be long.
func (s *Service) fetch(ctx context.Context, id ident.Node, at string, query url.Values, into any) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	answer, err := s.Agents.Open(ctx, id, fleet.Request{Method: http.MethodGet, Path: at, Query: query})
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if err := json.NewDecoder(io.LimitReader(answer.Body, answerMost)).Decode(into); err != nil {
		return problem.New(problem.NodeOffline, "the call to node %s broke off", id).Because(err)
	}
	return nil
}
