package live

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// Callers knows what became of a caller.
type Callers interface {
	Recall(ctx context.Context, c access.Caller) (access.Caller, error)
}

// Grants says who may watch an instance.
type Grants interface {
	Allow(ctx context.Context, caller access.Caller, id ident.Instance, right access.Right) (instance.Instance, error)
}

// Figures asks a node what it and its instances use.
type Figures interface {
	Ask(ctx context.Context, id ident.Node) (wire.NodeStats, error)
}

// Nodes finds nodes.
type Nodes interface {
	Get(ctx context.Context, id ident.Node) (node.Node, error)
}

// Deps are the rooms that pages look into.
type Deps struct {
	DB      *store.DB
	Events  *event.Log
	Callers Callers
	Grants  Grants
	Figures Figures
	Nodes   Nodes
	Log     *slog.Logger
}

// Service serves the pages. Safe for concurrent use.
type Service struct {
	Deps
	pace pace

	mu      sync.Mutex
	pages   map[*page]struct{}
	sources map[ident.Node]*source
}

// NewService makes the service; Run it.
func NewService(d Deps) *Service {
	return &Service{Deps: d, pace: usualPace(), pages: map[*page]struct{}{}, sources: map[ident.Node]*source{}}
}

// Run has pages look again at what they may see as soon as that may have changed,
// until ctx ends. Without it they do so in rounds alone.
func (s *Service) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := s.follow(ctx); err != nil && ctx.Err() == nil {
			s.Log.Error("pages can't follow what changes their rights; they look again in rounds alone", "error", err.Error())
			timer := time.NewTimer(s.pace.recheck)
			select {
			case <-ctx.Done():
			case <-timer.C:
			}
			timer.Stop()
		}
	}
}

func (s *Service) follow(ctx context.Context) error {
	feed, err := s.Events.Follow(ctx, s.DB, event.Filter{Sight: event.Everything()})
	if err != nil {
		return err
	}
	defer feed.Close()
	for {
		facts, err := feed.Next(ctx)
		if err != nil {
			return err
		}
		s.mu.Lock()
		for p := range s.pages {
			for _, e := range facts {
				if p.concerns(e) {
					p.review()
					break
				}
			}
		}
		s.mu.Unlock()
	}
}

// concerns says whether the fact may have changed what the page may see.
func (p *page) concerns(e event.Event) bool {
	thing, _, _ := strings.Cut(string(e.Type), ".")
	switch thing {
	case "role", "setting":
		return true
	case "user", "key", "session", "subuser":
		return e.Owner == p.user || e.Subject == string(p.user)
	case "instance":
		return e.Type != event.Commanded && p.watches(e.Instance)
	}
	return false
}

func (s *Service) enter(p *page) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages[p] = struct{}{}
}

func (s *Service) leave(p *page) {
	s.watch(p, nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pages, p)
}
