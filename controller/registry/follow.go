package registry

import (
	"context"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/shared/ident"
)

const (
	gather      = 20 * time.Millisecond // before a push: changes come in crowds
	firstPause  = 200 * time.Millisecond
	longestWait = 10 * time.Second
)

// pushes is what is known of the nodes' copies.
type pushes struct {
	wake chan struct{}

	mu       sync.Mutex
	due      map[ident.Node]bool
	gates    map[ident.Node]chan struct{} // one push to a node at a time
	failed   map[ident.Node]int           // tries in a row
	sent     map[ident.Node]held
	extra    map[ident.Node]map[string]bool // hosts of orders: a volume that moves there isn't its instance yet
	revision int64
}

func newPushes() pushes {
	return pushes{wake: make(chan struct{}, 1), due: map[ident.Node]bool{}, gates: map[ident.Node]chan struct{}{}, failed: map[ident.Node]int{},
		sent: map[ident.Node]held{}, extra: map[ident.Node]map[string]bool{}}
}

func (p *pushes) mark(nodes ...ident.Node) {
	p.mu.Lock()
	for _, n := range nodes {
		p.due[n] = true
	}
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// take gives the nodes that are due.
func (p *pushes) take() []ident.Node {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]ident.Node, 0, len(p.due))
	for n := range p.due {
		out = append(out, n)
	}
	clear(p.due)
	return out
}

// enter waits until nobody else pushes to the node.
func (p *pushes) enter(ctx context.Context, node ident.Node) (leave func(), err error) {
	p.mu.Lock()
	gate := p.gates[node]
	if gate == nil {
		gate = make(chan struct{}, 1)
		p.gates[node] = gate
	}
	p.mu.Unlock()
	select {
	case gate <- struct{}{}:
		return func() { <-gate }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pushes) last(node ident.Node) (held, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h, there := p.sent[node]
	return h, there
}

func (p *pushes) keep(node ident.Node, h held) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent[node] = h
	delete(p.failed, node)
}

// asked are the hosts that orders to the node have named.
func (p *pushes) asked(node ident.Node) map[string]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := maps.Clone(p.extra[node])
	if out == nil {
		out = map[string]bool{}
	}
	return out
}

// unask forgets what orders to the node have named; what its instances name
// counts on.
func (p *pushes) unask(node ident.Node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.extra, node)
}

// forget drops a node that is no more.
func (p *pushes) forget(node ident.Node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.due, node)
	delete(p.failed, node)
	delete(p.sent, node)
	delete(p.extra, node)
}

// next gives a revision that is higher than all before, over a restart too.
func (p *pushes) next(now time.Time, held int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.revision = max(p.revision+1, held+1, now.UnixMilli())
	return p.revision
}

// fail counts a push that failed, and says how long to wait before the next.
func (p *pushes) fail(node ident.Node) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.sent, node)
	p.failed[node]++
	return min(longestWait, firstPause<<min(p.failed[node]-1, 10))
}

// Run keeps the logins of all nodes right until ctx ends.
func (s *Service) Run(ctx context.Context) {
	var parts sync.WaitGroup
	defer parts.Wait()
	parts.Go(func() { s.keepPushed(ctx) })
	for ctx.Err() == nil {
		if err := s.listen(ctx); ctx.Err() == nil {
			s.Log.Error("events for registries can't be read", "error", err)
			_ = pause(ctx, longestWait)
		}
	}
}

func (s *Service) listen(ctx context.Context) error {
	feed, err := s.Events.Follow(ctx, s.DB, event.Filter{Sight: event.Everything()})
	if err != nil {
		return err
	}
	defer feed.Close()
	if err := s.markAll(ctx); err != nil {
		return err
	}
	for {
		facts, err := feed.Next(ctx)
		if err != nil {
			return err
		}
		everywhere := false
		for _, e := range facts {
			about, _, _ := strings.Cut(string(e.Type), ".")
			switch {
			case e.Type == "node.deleted":
				s.pushes.forget(e.Node)
			case e.Type == "node.online", e.Type == "instance.updated", e.Type == "instance.created":
				s.pushes.mark(e.Node)
			case e.Type == "instance.deleted":
				s.pushes.unask(e.Node)
				s.pushes.mark(e.Node)
			case about == "registry", e.Type == "instance.moved":
				everywhere = true // it has left a node that the fact may not name
			}
		}
		if everywhere {
			if err := s.markAll(ctx); err != nil {
				return err
			}
		}
	}
}

func (s *Service) markAll(ctx context.Context) error {
	nodes, err := s.Nodes.All(ctx)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		s.pushes.mark(n.ID)
	}
	return nil
}

// keepPushed pushes what is due until ctx ends. A node that is offline is marked
// when it is back.
func (s *Service) keepPushed(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	places := make(chan struct{}, pushesMost)
	for {
		select {
		case <-s.pushes.wake:
		case <-ctx.Done():
			return
		}
		if pause(ctx, gather) != nil {
			return
		}
		due := s.pushes.take()
		scripts, broken := s.scripts(ctx)
		for _, node := range due {
			if !s.Fleet.Presence(node).Online {
				continue
			}
			select {
			case places <- struct{}{}:
			case <-ctx.Done():
				return
			}
			running.Go(func() {
				err := broken
				if err == nil {
					err = s.push(ctx, node, scripts)
				}
				<-places
				s.settle(ctx, node, err)
			})
		}
	}
}

// settle marks a node again whose push has failed, after a while.
func (s *Service) settle(ctx context.Context, node ident.Node, err error) {
	if err == nil || ctx.Err() != nil || !s.Fleet.Presence(node).Online {
		return
	}
	s.Log.Warn("the logins of registries could not be told to a node; it is tried again", "node", string(node), "error", err)
	if pause(ctx, s.pushes.fail(node)) == nil {
		s.pushes.mark(node)
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
