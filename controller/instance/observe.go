package instance

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// ApplyEvent lets an agent's event take effect, in the transaction that moves
// the node's cursor past it. An event about an instance that isn't the node's,
// or about none, does nothing to instances: a node speaks for its own only, and
// for its strays.
func (s *Service) ApplyEvent(ctx context.Context, tx *store.Tx, node ident.Node, e wire.Event) error {
	i, err := byID(ctx, tx, e.Instance)
	if problem.Is(err, problem.NotFound) || err == nil && i.Node != node {
		known, err := s.moves.Elsewhere(ctx, tx, node, e)
		if err != nil || known && e.Type != wire.EventRemoved {
			return err
		}
		return s.applyStray(ctx, tx, node, e)
	}
	if err != nil {
		return err
	}
	switch {
	case e.Type == wire.EventState && e.State != nil:
		return s.applyState(ctx, tx, i, e.Generation, *e.State)
	case e.Type == wire.EventProgress && e.Progress != nil:
		return s.applyProgress(ctx, tx, i, *e.Progress)
	case e.Type == wire.EventOutput:
		return s.applyOutput(ctx, tx, i, e.Output)
	case e.Type == wire.EventRemoved:
		return s.applyRemoved(ctx, tx, i)
	case e.Type == wire.EventSession && e.Session != nil:
		return s.applySession(ctx, tx, i, *e.Session)
	default:
		return nil
	}
}

// powerAfter is what an instance that was ordered to run is said to be wanted to
// do. One that ended by itself, without an error, did as its owner wished inside:
// it stays down. That is over when its node has started it again after all, as
// when the exit turned out to be its engine's going down. A start that failed
// says nothing of a wish, whatever code an earlier run left.
func powerAfter(power wire.Want, st wire.State, crash wire.Crash) wire.Want {
	switch {
	case st.Actual == wire.ActualRunning, st.Actual == wire.ActualStarting:
		return wire.WantRunning
	case st.Actual == wire.ActualStopped && inOrder(st, crash) && st.RetryAt == nil && st.Failure == nil && st.Drift == "":
		return wire.WantStopped
	default:
		return power
	}
}

// inOrder says whether a container's last end was one without an error.
func inOrder(st wire.State, crash wire.Crash) bool {
	return st.ExitCode != nil && !st.OOM && (*st.ExitCode == 0 || slices.Contains(crash.CleanCodes, *st.ExitCode))
}

func (s *Service) applyProgress(ctx context.Context, tx *store.Tx, i Instance, p wire.Progress) error {
	id, _, err := activeJob(ctx, tx, i.ID)
	if err != nil || id == "" {
		return err
	}
	if p.Step == wire.StepWait {
		n, err := s.Nodes.Find(ctx, tx, i.Node)
		if err != nil {
			return err
		}
		p.Message = "waiting for the container engine of node " + n.Name
	}
	s.Jobs.Parts(tx, id, partsOf(p.Parts))
	const step, message = 32, 500 // runes that are kept of an agent's words
	return s.Jobs.Progress(ctx, tx, id, clip(p.Step, step), min(max(p.Percent, -1), 100), clip(p.Message, message))
}

// partsOf are an agent's words, cut to what a job keeps.
func partsOf(told []wire.ProgressPart) []job.Part {
	const most, text = 128, 64
	var parts []job.Part
	for _, p := range told[:min(len(told), most)] {
		parts = append(parts, job.Part{Name: clip(p.Name, text), State: clip(p.State, text), DoneBytes: max(p.DoneBytes, 0), TotalBytes: max(p.TotalBytes, 0)})
	}
	return parts
}

// applyOutput adds what an installation prints to its job's log: as much as the
// wire lets a node say at once.
func (s *Service) applyOutput(ctx context.Context, tx *store.Tx, i Instance, lines []string) error {
	id, _, err := activeJob(ctx, tx, i.ID)
	if err != nil || id == "" {
		return err
	}
	kept := make([]string, 0, wire.OutputLines)
	for _, line := range lines[:min(len(lines), wire.OutputLines)] {
		kept = append(kept, clip(line, wire.OutputText))
	}
	return s.Jobs.Output(ctx, tx, id, kept)
}

func clip(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most])
	}
	return text
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
	if current && st.Converged && !i.Suspended && i.Spec.Power.Want == wire.WantRunning {
		i.Power = powerAfter(i.Power, st, i.Spec.Crash)
	}
	if current && !i.Spec.Hold && st.Converged && st.Phase == wire.PhaseReady && st.Failure == nil {
		i.Spec.Installed = true // the node's own record says so too; this one outlives it
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
	i.Observed, i.Seen = st, max(i.Seen, generation) // as it was written
	if dealt, err := s.moves.Observed(ctx, tx, i, st); err != nil || dealt {
		return err
	}
	id, kind, err := activeJob(ctx, tx, i.ID)
	if err != nil || id == "" || kind == KindDelete || kind == KindMove {
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
	if before.Actual != now.Actual {
		if err := s.tellActual(ctx, tx, before.Actual, now, st); err != nil {
			return err
		}
	}
	if st.Overdue && !before.Observed.Overdue {
		if err := s.tell(ctx, tx, access.System(), "instance.overdue", now, nil); err != nil {
			return err
		}
	}
	if st.GaveUp && !before.Observed.GaveUp {
		if err := s.tell(ctx, tx, access.System(), "instance.gave_up", now, map[string]any{"crashes": st.Crashes}); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) tellActual(ctx context.Context, tx *store.Tx, from wire.Actual, now Instance, st wire.State) error {
	data := map[string]any{"from": from}
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
	return s.DB.WriteBehind(ctx, func(tx *store.Tx) error {
		if err := s.Jobs.Wake(ctx, tx, node); err != nil {
			return err
		}
		known, err := s.moves.Reconciled(ctx, tx, node, inventory)
		if err != nil {
			return err
		}
		ours, err := onNode(ctx, tx, node)
		if err != nil {
			return err
		}
		for _, i := range ours {
			h, holds := held[i.ID]
			delete(held, i.ID)
			if err := s.reconcileOne(ctx, tx, i, h, holds); err != nil {
				return err
			}
		}
		return s.noteStrays(ctx, tx, node, held, known)
	})
}

func (s *Service) reconcileOne(ctx context.Context, tx *store.Tx, i Instance, h wire.Holding, known bool) error {
	id, kind, err := activeJob(ctx, tx, i.ID)
	if err != nil {
		return err
	}
	if known && kind != KindMove && i.behind(h) {
		i.outnumber(h.Generation, kind, s.Now().UTC())
		if err := save(ctx, tx, i); err != nil {
			return err
		}
	}
	switch {
	case id != "":
		return nil // that job tells the node
	case i.Phase == Deleting:
		_, err = s.Jobs.Enqueue(ctx, tx, i.work(KindDelete, access.System()))
		return err
	case !known || h.Removing || h.Generation != i.Generation:
		_, err = s.Jobs.Enqueue(ctx, tx, i.work(KindSync, access.System()))
		return err
	case h.Telling:
		return nil // in their order, and each once
	default:
		return s.applyState(ctx, tx, i, h.Generation, h.State)
	}
}

// behind says whether the node was told what this database doesn't know: it was put
// back from a copy, and both have counted on from there.
func (i Instance) behind(h wire.Holding) bool {
	if h.Generation != i.Generation {
		return h.Generation > i.Generation
	}
	if h.Removing {
		return i.Phase != Deleting
	}
	return h.Revision != "" && h.Revision != i.Spec.Revision
}

// outnumber gives what should be a generation that the node has not seen. An order
// that a job is about is still to be carried out; of those before, what counts is
// what should be, and not that it is killed or restarted. Orders to install again
// keep their numbers: a node that has carried out that many may hold new files.
func (i *Instance) outnumber(held int64, under job.Kind, now time.Time) {
	i.Generation = max(held, i.Generation)
	i.raise(now)
	p := &i.Spec.Power
	p.Order, p.Restart, p.Force = i.Generation, p.Restart && under == KindRestart, p.Force && under == KindKill
}
