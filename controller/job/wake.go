package job

import (
	"context"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

// nodeBack is said of a job that has waited for its node, until there is more to say.
const nodeBack = "the node is back"

// Wake makes the jobs of a node due that wait for it or were handed to it: it is
// back, and may have lost what it was told. One whose handler is under way, and
// which is about to wait or to be handed, is called again at once too.
func (s *Service) Wake(ctx context.Context, tx *store.Tx, node ident.Node) error {
	// Not after the commit: the outcome of a call could be written in between.
	s.nudgeCalls(func(c *call) bool { return c.lane.node == node })
	woken, err := store.Collect(ctx, tx, scanHint, queryWake, s.now().UnixMilli(), string(node))
	if err != nil {
		return err
	}
	tx.AfterCommit(func() { s.queue.found(node, true) })
	s.dueLater(tx, woken)
	return nil
}

// Nudge makes a job due now that was handed over, waits for its node, or pauses
// between two calls. One whose handler is under way is called again at once
// after it, unless that ends it. A job that has ended is left alone.
func (s *Service) Nudge(ctx context.Context, tx *store.Tx, id ident.Job) error {
	s.nudgeCalls(func(c *call) bool { return c.id == id })
	nudged, err := store.Collect(ctx, tx, scanHint, queryNudge, s.now().UnixMilli(), string(id))
	if err != nil {
		return err
	}
	s.dueLater(tx, nudged)
	return nil
}

func (s *Service) nudgeCalls(which func(*call) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.running {
		if which(c) {
			c.nudged = true
		}
	}
}

// dueLater has jobs run, and their watchers look, after the commit.
func (s *Service) dueLater(tx *store.Tx, hints []hint) {
	for _, h := range hints {
		s.queueLater(tx, h)
		tx.AfterCommit(func() { s.changed(h.id) })
	}
}

// queueLater puts a job into the queue after the commit.
func (s *Service) queueLater(tx *store.Tx, h hint) {
	tx.AfterCommit(func() { s.push(h); s.poke() })
}

func (s *Service) push(h hint) {
	s.queue.push(pick{id: h.id, lane: lane{node: h.node, long: s.kinds[h.kind].limit() > handlerLimit}}, h.at)
}
