package node

import (
	"context"
	"errors"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// seenEvery is how often the last contact is written while events come in. In
// between the fleet knows it, and the end of a connection writes it too.
const seenEvery = 10 * time.Second

// Targets is fleet.Directory: every node whose agent is let in.
func (s *Service) Targets(ctx context.Context) ([]fleet.Target, error) {
	nodes, err := s.All(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]fleet.Target, 0, len(nodes))
	for _, n := range nodes {
		if n.Certificate != "" {
			out = append(out, fleet.Target{Node: n.ID, Name: n.Name, Address: n.Address, Port: n.Port, Tunnel: n.Connection == Tunnel,
				Certificate: n.Certificate, NextCertificate: n.NextCertificate})
		}
	}
	return out, nil
}

// Connected is fleet.Sink: the agent said hello.
func (s *Service) Connected(ctx context.Context, id ident.Node, hello wire.Hello) (after int64, err error) {
	err = s.DB.WriteBehind(ctx, func(tx *store.Tx) error {
		in, err := intakeOf(ctx, tx, id)
		if err != nil {
			return err
		}
		switch {
		case in.epoch != hello.Epoch:
			if in.epoch != "" {
				s.Log.Warn("a node's journal was lost: its events count from the beginning", "node", id)
			}
			in.epoch, in.seq = hello.Epoch, 0
		case in.seq > hello.LastSeq: // what it journals next would be taken for known
			s.Log.Warn("a node's journal is an older copy of itself", "node", id, "had", in.seq, "has", hello.LastSeq)
			in.seq = hello.LastSeq
		}
		after, in.seen = in.seq, s.Now().UnixMilli()
		if err := saveIntake(ctx, tx, id, in); err != nil {
			return err
		}
		return saveHello(ctx, tx, id, hello)
	})
	return after, err
}

// Synced is fleet.Sink: the stream stands, and this is what the agent holds.
// Only now the node counts as online, since only now it can be called.
func (s *Service) Synced(ctx context.Context, id ident.Node, inventory wire.Inventory) error {
	err := s.DB.WriteBehind(ctx, func(tx *store.Tx) error {
		n, err := byID(ctx, tx, id)
		if err != nil {
			return err
		}
		tx.AfterCommit(func() {
			s.announce(id, true)
			s.arrivals.add(id)
		})
		if _, err := announce(ctx, tx, id, Online); err != nil {
			return err
		}
		return s.tell(ctx, tx, access.System(), "node.online", n, map[string]any{"release": clip(n.Hello.Release)})
	})
	if err != nil {
		return err
	}
	return s.Instances.Reconcile(ctx, id, inventory)
}

// Disconnected is fleet.Sink: the connection ended. When it is the controller
// that leaves, nothing is told of the node.
func (s *Service) Disconnected(ctx context.Context, id ident.Node, why error) {
	wasOnline := s.announce(id, false)
	presence := s.Fleet.Presence(id)
	last := s.Now()
	if !presence.Heard.IsZero() {
		last = presence.Heard
	}
	err := s.DB.WriteBehind(ctx, func(tx *store.Tx) error {
		n, err := byID(ctx, tx, id)
		if problem.Is(err, problem.NotFound) {
			return nil // deleted, which was told
		}
		if err != nil {
			return err
		}
		if err := saveSeen(ctx, tx, id, last); err != nil || !wasOnline || errors.Is(why, fleet.ErrStopped) {
			return err
		}
		n.LastSeenAt = &last
		return s.tellOffline(ctx, tx, n, presence)
	})
	if err != nil {
		s.Log.Error("write down that a node went offline", "node", id, "error", err)
	}
}

// announce notes whether the node was told to be online, and gives what was
// noted before.
func (s *Service) announce(id ident.Node, online bool) (before bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before = s.announced[id]
	if online {
		s.announced[id] = true
	} else {
		delete(s.announced, id)
	}
	return before
}

// Events is fleet.Sink: the events take effect once, in one transaction with
// the cursor.
func (s *Service) Events(ctx context.Context, id ident.Node, epoch string, events []wire.Event) error {
	return s.DB.WriteBehind(ctx, func(tx *store.Tx) error {
		in, err := intakeOf(ctx, tx, id)
		if err != nil {
			return err
		}
		if in.epoch != epoch {
			return errors.New("events of another epoch than the hello's")
		}
		for _, e := range events {
			if e.Seq <= in.seq {
				continue
			}
			if err := s.apply(ctx, tx, id, e); err != nil {
				return err
			}
			in.seq = e.Seq
		}
		if now := s.Now().UnixMilli(); now-in.seen >= seenEvery.Milliseconds() {
			in.seen = now
		}
		return saveIntake(ctx, tx, id, in)
	})
}

// apply lets one event take effect, or passes it over.
func (s *Service) apply(ctx context.Context, tx *store.Tx, id ident.Node, e wire.Event) error {
	err := tx.Try(ctx, func() error {
		if e.Type == wire.EventEngine {
			return s.applyEngine(ctx, tx, id, e.Engine)
		}
		return s.Instances.ApplyEvent(ctx, tx, id, e)
	})
	if err == nil || ctx.Err() != nil || store.IsUnavailable(err) {
		return err
	}
	s.Log.Error("an agent's event can't take effect and is passed over", "node", id, "event", e.Type, "seq", e.Seq, "instance", e.Instance, "error", err)
	return nil
}

// applyEngine takes over that a node's container engine came or went.
func (s *Service) applyEngine(ctx context.Context, tx *store.Tx, id ident.Node, said *wire.Engine) error {
	if said == nil {
		return errors.New("an engine's event without the engine")
	}
	n, err := byID(ctx, tx, id)
	if err != nil {
		return err
	}
	was := n.Hello.Engine.Reachable
	if said.Reachable {
		n.Hello.Engine = *said
	} else { // what the machine is like is still known
		n.Hello.Engine.Reachable, n.Hello.Engine.Message = false, said.Message
	}
	if err := saveHello(ctx, tx, id, n.Hello); err != nil || was == said.Reachable {
		return err
	}
	fact, data := event.Type("node.engine_lost"), map[string]any{"reason": said.Message}
	if said.Reachable {
		fact, data = "node.engine_back", nil
	}
	return s.tell(ctx, tx, access.System(), fact, n, data)
}
