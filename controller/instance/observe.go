package instance

import (
	"context"
	"fmt"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// ApplyEvent lets an agent's event take effect, in the transaction that moves
// the node's cursor past it. An event about an instance that isn't the node's,
// or about none, does nothing: a node speaks for its own only.
func (s *Service) ApplyEvent(ctx context.Context, tx *store.Tx, node ident.Node, e wire.Event) error {
	i, err := byID(ctx, tx, e.Instance)
	if problem.Is(err, problem.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if i.Node != node {
		s.Log.Warn("a node spoke of another node's instance", "node", node, "instance", i.ID, "event", e.Type)
		return nil
	}
	switch {
	case e.Type == wire.EventState && e.State != nil:
		return s.applyState(ctx, tx, i, e.Generation, *e.State)
	case e.Type == wire.EventProgress && e.Progress != nil:
		return s.applyProgress(ctx, tx, i, *e.Progress)
	case e.Type == wire.EventRemoved:
		return s.applyRemoved(ctx, tx, i)
	default:
		return nil
	}
}

func (s *Service) applyProgress(ctx context.Context, tx *store.Tx, i Instance, p wire.Progress) error {
	id, _, err := activeJob(ctx, tx, i.ID)
	if err != nil || id == "" {
		return err
	}
	return s.Jobs.Progress(ctx, tx, id, p.Step, p.Percent, p.Message)
}

func (s *Service) applyRemoved(ctx context.Context, tx *store.Tx, i Instance) error {
	if i.Phase != Deleting {
		s.Log.Warn("a node removed an instance that should be there", "node", i.Node, "instance", i.ID)
		return nil
	}
	id, _, err := activeJob(ctx, tx, i.ID)
	if err != nil {
		return err
	}
	if id != "" {
		if err := s.Jobs.Finish(ctx, tx, id, nil); err != nil {
			return err
		}
	}
	return s.gone(ctx, tx, access.System(), i, false)
}

// applyState takes over what the agent saw. Facts about the container hold
// whichever generation they are about; phase and failure only speak for the
// newest one.
func (s *Service) applyState(ctx context.Context, tx *store.Tx, i Instance, generation int64, st wire.State) error {
	before := i
	i.Actual, i.Container = st.Actual, st.Container
	current := generation >= i.Generation && i.Phase != Deleting
	if current && !i.Spec.Hold {
		i.Failure = st.Failure
		if next := Phase(st.Phase); i.Phase.mayBecome(next) {
			i.Phase = next
		} else {
			s.Log.Warn("an agent's phase is no legal move", "instance", i.ID, "from", i.Phase, "to", next)
		}
	}
	if ended := st.Actual == wire.ActualStopped && st.ExitCode != nil && *st.ExitCode == 0; ended && current && st.Converged && !i.Suspended {
		i.Power = wire.WantStopped // it ended by itself, as its owner wished inside
	}
	if err := observe(ctx, tx, i, st, generation, s.Now().UTC()); err != nil {
		return err
	}
	if err := s.tellChange(ctx, tx, before, i, st); err != nil {
		return err
	}
	if !current || !st.Converged {
		return nil
	}
	id, kind, err := activeJob(ctx, tx, i.ID)
	if err != nil || id == "" || kind == KindDelete {
		return err
	}
	return s.Jobs.Finish(ctx, tx, id, st.Failure)
}

// tellChange writes the facts that an agent's state holds and that weren't known.
func (s *Service) tellChange(ctx context.Context, tx *store.Tx, before, now Instance, st wire.State) error {
	if before.Phase != now.Phase {
		data := map[string]any{}
		if st.Failure != nil {
			data["reason"] = st.Failure.Message
		}
		if err := s.tell(ctx, tx, access.System(), event.Type("instance."+now.Phase), now, data); err != nil {
			return err
		}
	}
	if before.Actual == now.Actual {
		return nil
	}
	data := map[string]any{"from": before.Actual}
	if st.ExitCode != nil {
		data["exit_code"] = *st.ExitCode
	}
	if st.OOM {
		data["oom"] = true
	}
	return s.tell(ctx, tx, access.System(), event.Type(fmt.Sprintf("instance.%s", now.Actual)), now, data)
}

// Reconcile compares what a node holds with what it should, when it has come
// (back): its living jobs are pushed again, and what it does not know, or knows
// in an older generation, is told it anew.
func (s *Service) Reconcile(ctx context.Context, node ident.Node, inventory wire.Inventory) error {
	held := map[ident.Instance]wire.Holding{}
	for _, h := range inventory.Instances {
		held[h.Instance] = h
	}
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		if err := s.Jobs.Wake(ctx, tx, node); err != nil {
			return err
		}
		ours, err := onNode(ctx, tx, node)
		if err != nil {
			return err
		}
		for _, i := range ours {
			h, known := held[i.ID]
			delete(held, i.ID)
			if err := s.reconcileOne(ctx, tx, i, h, known); err != nil {
				return err
			}
		}
		for id, h := range held {
			if !h.Removing {
				s.Log.Warn("a node holds an instance that this controller does not know; it is left alone", "node", node, "instance", id)
			}
		}
		return nil
	})
}

func (s *Service) reconcileOne(ctx context.Context, tx *store.Tx, i Instance, h wire.Holding, known bool) error {
	id, _, err := activeJob(ctx, tx, i.ID)
	if err != nil || id != "" {
		return err // that job tells the node
	}
	if i.Phase == Deleting {
		_, err := s.Jobs.Enqueue(ctx, tx, i.work(KindDelete, access.System()))
		return err
	}
	if known && !h.Removing && h.Generation == i.Generation {
		return s.applyState(ctx, tx, i, h.Generation, h.State)
	}
	if known && h.Generation > i.Generation { // this database is older than the node's journal
		i.Generation = h.Generation
		i.raise(s.Now().UTC())
		// A generation holds one order at most: this number is one that the node
		// has not seen. What counts is what should be, not that it restarts.
		i.Spec.Power.Order, i.Spec.Power.Restart = i.Generation, false
		if err := save(ctx, tx, i); err != nil {
			return err
		}
	}
	_, err = s.Jobs.Enqueue(ctx, tx, i.work(KindSync, access.System()))
	return err
}
