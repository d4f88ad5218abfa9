package live

import (
	"context"
	"time"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// source asks one node for figures while pages watch something there.
type source struct {
	pages  map[*page]struct{} // with Service.mu
	newest *reading
	stop   context.CancelFunc
}

// reading is what a node said, or why it said nothing. It is shared and never
// changed.
type reading struct {
	wire.NodeStats
	err error
}

// watch has the page get the readings of these nodes, and of no others. A
// source outlives the page that was its first.
func (s *Service) watch(p *page, nodes map[ident.Node]struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, of := range s.sources {
		if _, wanted := nodes[id]; wanted {
			continue
		}
		delete(of.pages, p)
		if len(of.pages) == 0 {
			of.stop()
			delete(s.sources, id)
		}
	}
	for id := range nodes {
		of := s.sources[id]
		if of == nil {
			ctx, stop := context.WithCancel(context.WithoutCancel(p.ctx))
			of = &source{pages: map[*page]struct{}{}, stop: stop}
			s.sources[id] = of
			go s.poll(ctx, id, of)
		}
		if _, already := of.pages[p]; !already {
			of.pages[p] = struct{}{}
			if of.newest != nil {
				p.put(id, of.newest)
			}
		}
	}
}

// poll asks until nobody watches any more.
func (s *Service) poll(ctx context.Context, id ident.Node, of *source) {
	tick := time.NewTicker(s.pace.figures)
	defer tick.Stop()
	for {
		limited, cancel := context.WithTimeout(ctx, s.pace.answer)
		r := &reading{}
		r.NodeStats, r.err = s.Figures.Ask(limited, id)
		cancel()
		s.mu.Lock()
		of.newest = r
		for p := range of.pages {
			p.put(id, r)
		}
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
