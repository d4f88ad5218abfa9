package node

import (
	"context"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

const (
	lookEvery = 5 * time.Second
	// backWithin is how long a node that was online when the controller ended may
	// take to be back: the 15 s within which its absence is known, and some grace.
	backWithin = 20 * time.Second
	// keepSeen is how often the last contact with quiet nodes is written: how much
	// of it a killed controller may forget.
	keepSeen = 30 * time.Second
)

// Watch tells what no connection tells, until ctx ends: of nodes that were
// online when the controller ended and are not back in time, once for each
// outage, however often the controller is started in it. It also writes down the
// last contact with nodes that are merely there.
func (s *Service) Watch(ctx context.Context) {
	started := s.Now()
	kept := started
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := s.lookForMissing(ctx, started); err != nil && ctx.Err() == nil {
			s.Log.Error("look for nodes that are missing", "error", err)
		}
		if s.Now().Sub(kept) < keepSeen {
			continue
		}
		kept = s.Now()
		if err := s.keepContacts(ctx); err != nil && ctx.Err() == nil {
			s.Log.Error("write down the last contact with the nodes", "error", err)
		}
	}
}

// lookForMissing tells node.offline of those that are overdue.
func (s *Service) lookForMissing(ctx context.Context, started time.Time) error {
	ids, err := announcedOnline(ctx, s.DB.Snapshot())
	if err != nil {
		return err
	}
	for _, id := range ids {
		if !s.overdue(id, started) {
			continue
		}
		err := s.DB.WriteBehind(ctx, func(tx *store.Tx) error {
			n, err := byID(ctx, tx, id)
			if problem.Is(err, problem.NotFound) || (err == nil && !s.overdue(id, started)) {
				return nil
			}
			if err != nil {
				return err
			}
			return s.tellOffline(ctx, tx, n, s.Fleet.Presence(id))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// overdue says whether a node that should be online has been away for too long.
func (s *Service) overdue(id ident.Node, started time.Time) bool {
	p := s.Fleet.Presence(id)
	since := p.Since
	if since.Before(started) {
		since = started
	}
	return !p.Online && s.Now().Sub(since) >= backWithin
}

// tellOffline tells that a node went offline, unless that was told already: one
// fact for each outage. n.LastSeenAt must be right.
func (s *Service) tellOffline(ctx context.Context, tx *store.Tx, n Node, p fleet.Presence) error {
	first, err := announce(ctx, tx, n.ID, Offline)
	if err != nil || !first {
		return err
	}
	data := map[string]any{"reason": p.Reason}
	if n.LastSeenAt != nil {
		data["last_seen_at"] = n.LastSeenAt.UTC()
		data["since"] = n.LastSeenAt.UTC()
	}
	if !p.Heard.IsZero() { // by this controller, which has seen it go
		data["since"] = p.Since.UTC()
	}
	return s.tell(ctx, tx, access.System(), "node.offline", n, data)
}

// keepContacts writes down the last contact with every node that is connected.
func (s *Service) keepContacts(ctx context.Context) error {
	heard := map[ident.Node]int64{}
	for _, id := range s.Fleet.OnlineNodes() {
		if at := s.Fleet.Presence(id).Heard; !at.IsZero() {
			heard[id] = at.UnixMilli()
		}
	}
	if len(heard) == 0 {
		return nil
	}
	return s.DB.WriteBehind(ctx, func(tx *store.Tx) error { return saveContacts(ctx, tx, heard) })
}
