package release

import (
	"context"
	"io"
	"log/slog"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// The kinds of jobs that are done here.
const (
	KindUpdate    job.Kind = "node.update"
	KindUpdateAll job.Kind = "nodes.update"
)

// Agents are the calls to the nodes. They work for an agent that is reachable,
// whatever version of the wire it speaks; one that isn't is NODE_OFFLINE.
type Agents interface {
	Release(ctx context.Context, node ident.Node) (wire.ReleaseState, error)
	PushRelease(ctx context.Context, node ident.Node, release, sha256 string, size int64, program io.Reader) (wire.ReleaseState, error)
}

// Nodes says which nodes there are.
type Nodes interface {
	All(ctx context.Context) ([]node.Node, error)
	Find(ctx context.Context, q store.Querier, id ident.Node) (node.Node, error)
}

// Deps are the rooms that this one stands on. All must be there.
type Deps struct {
	DB        *store.DB
	Jobs      *job.Service
	Nodes     Nodes
	Agents    Agents
	Programs  *Programs
	PublicURL string // where agents fetch from, without a slash at the end
	Log       *slog.Logger
}

// Service is the verbs of releases. Safe for concurrent use.
type Service struct {
	Deps
	downloads downloads
}

// NewService makes the service and registers its kinds of jobs.
func NewService(d Deps) *Service {
	s := &Service{Deps: d, downloads: downloads{of: map[string]int{}}}
	s.register()
	return s
}

// Update enqueues the update of one node. A node that is being updated already
// is RESOURCE_BUSY; one that runs this release already is a job that does nothing.
func (s *Service) Update(ctx context.Context, c access.Caller, id ident.Node) (j job.Job, err error) {
	if _, err := s.Programs.Release(); err != nil {
		return j, err
	}
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		j, err = s.enqueue(ctx, tx, c.Actor, id)
		return err
	})
	return j, err
}

func (s *Service) enqueue(ctx context.Context, tx *store.Tx, by access.Actor, id ident.Node) (job.Job, error) {
	n, err := s.Nodes.Find(ctx, tx, id)
	if err != nil {
		return job.Job{}, err
	}
	if n.Certificate == "" {
		return job.Job{}, problem.New(problem.Conflict, "node %s is not enrolled: the line with its enrolment key installs this release", n.Name)
	}
	if busy, there, err := job.Living(ctx, tx, KindUpdate, id); err != nil || there {
		if err == nil {
			err = problem.New(problem.ResourceBusy, "node %s is being updated already: job %s", n.Name, busy.ID)
		}
		return job.Job{}, err
	}
	return s.Jobs.Enqueue(ctx, tx, job.New{Kind: KindUpdate, Node: id, Actor: by, Input: struct{}{}})
}

// UpdateAll enqueues the update of every node that runs another release, one at
// a time. A second such job is RESOURCE_BUSY.
func (s *Service) UpdateAll(ctx context.Context, c access.Caller) (j job.Job, err error) {
	if _, err := s.Programs.Release(); err != nil {
		return j, err
	}
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		busy, there, err := job.Living(ctx, tx, KindUpdateAll, "")
		if err != nil {
			return err
		}
		if there {
			return problem.New(problem.ResourceBusy, "the nodes are being updated already: job %s", busy.ID)
		}
		j, err = s.Jobs.Enqueue(ctx, tx, job.New{Kind: KindUpdateAll, Actor: c.Actor, Input: struct{}{}})
		return err
	})
	return j, err
}
