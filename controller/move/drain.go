package move

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

const (
	atATime = 2  // moves of one drain
	named   = 10 // instances that a failed drain names
)

// Drain takes a node into maintenance and moves everything off it, by placement,
// two at a time. A node that is being drained already gives the job that does it.
func (s *Service) Drain(ctx context.Context, c access.Caller, id ident.Node) (j job.Job, err error) {
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := s.Nodes.Find(ctx, tx, id)
		if err != nil {
			return err
		}
		active, there, err := job.Living(ctx, tx, KindDrain, id)
		if err != nil || there {
			j = active
			return err
		}
		if err := s.Nodes.SetMaintenance(ctx, tx, c.Actor, id, true); err != nil {
			return err
		}
		if j, err = s.Jobs.Enqueue(ctx, tx, job.New{Kind: KindDrain, Node: id, Actor: c.Actor, Input: map[string]any{}}); err != nil {
			return err
		}
		return s.Events.Append(ctx, tx, event.Event{Type: "node.drain_ordered", Node: id, Job: j.ID, Actor: c.Actor}, map[string]any{"name": n.Name})
	})
	return j, err
}

// draining is what a drain keeps between two looks.
type draining struct {
	Total  int                          `json:"total"`
	Moving map[ident.Instance]ident.Job `json:"moving"`
	Failed map[ident.Instance]string    `json:"failed"` // why
	awaits string                       // what a move under way waits for
}

// drain has one look at the node: what has ended, what can begin, what is left.
func (s *Service) drain(ctx context.Context, j job.Job) (outcome job.Outcome, err error) {
	d := draining{}
	if len(j.Memory) > 0 {
		if err := json.Unmarshal(j.Memory, &d); err != nil {
			return job.Done, err
		}
	}
	if d.Moving == nil {
		d.Moving = map[ident.Instance]ident.Job{}
	}
	if d.Failed == nil {
		d.Failed = map[ident.Instance]string{}
	}
	left := 0
	waits := false
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		active, there, err := job.Living(ctx, tx, KindDrain, j.Node)
		if err != nil {
			return err
		}
		if !there || active.ID != j.ID {
			return errEnded
		}
		ids, err := s.Instances.Occupants(ctx, tx, j.Node)
		if err != nil {
			return err
		}
		left = len(ids)
		d.Total = max(d.Total, left)
		maps.DeleteFunc(d.Failed, func(id ident.Instance, _ string) bool { return !slices.Contains(ids, id) })
		if err := gather(ctx, tx, &d, ids); err != nil {
			return err
		}
		if waits, err = s.further(ctx, tx, j, &d, ids); err != nil {
			return err
		}
		if !waits { // the node is empty when it has got rid of what left it
			waits, err = s.leftBehind(ctx, tx, j.Node)
		}
		if err != nil {
			return err
		}
		if err := s.Jobs.Remember(ctx, tx, j.ID, d); err != nil {
			return err
		}
		step, text := d.say(left)
		return s.Jobs.Progress(ctx, tx, j.ID, step, percent(int64(d.Total-left), int64(d.Total)), text)
	})
	switch {
	case err != nil:
		return job.Done, err
	case len(d.Moving) > 0 || waits:
		return job.Again, nil
	case left > 0:
		return job.Done, d.explain(left)
	default:
		return job.Done, nil
	}
}

// gather notes the moves that have ended.
func gather(ctx context.Context, tx *store.Tx, d *draining, here []ident.Instance) error {
	for id, of := range d.Moving {
		j, err := job.Find(ctx, tx, of)
		if err != nil && !problem.Is(err, problem.NotFound) {
			return err
		}
		if err == nil && !j.State.Ended() {
			if j.State == job.Waiting {
				d.awaits = j.Message
			}
			continue
		}
		delete(d.Moving, id)
		if slices.Contains(here, id) && j.State != job.Succeeded {
			why := "its move was forgotten"
			if j.Failure != nil {
				why = j.Failure.Message
			}
			d.Failed[id] = why
		}
	}
	return nil
}

// further begins moves, and says whether there is an instance that has to be
// waited for.
func (s *Service) further(ctx context.Context, tx *store.Tx, j job.Job, d *draining, here []ident.Instance) (waits bool, err error) {
	by := access.Local()
	by.Actor = j.Actor
	for _, id := range here {
		if _, moving := d.Moving[id]; moving || d.Failed[id] != "" {
			continue
		}
		busy, there, err := job.Active(ctx, tx, id)
		switch {
		case err != nil:
			return waits, err
		case there && busy.Kind == instance.KindMove:
			d.Moving[id] = busy.ID // somebody else's; it leaves this node too
			continue
		case there || len(d.Moving) >= atATime:
			waits = true
			continue
		}
		err = tx.Try(ctx, func() error {
			_, started, err := s.begin(ctx, tx, by, id, Order{})
			if err == nil {
				d.Moving[id] = started.ID
			}
			return err
		})
		if err == nil {
			continue
		}
		delete(d.Moving, id)
		if ctx.Err() != nil || store.IsUnavailable(err) {
			return waits, err
		}
		if problem.Is(err, problem.ResourceBusy) { // work on its files, which ends
			waits = true
			continue
		}
		d.Failed[id] = problem.From(err).Message
	}
	return waits, nil
}

// leftBehind says whether something on the node is still being removed.
func (s *Service) leftBehind(ctx context.Context, tx *store.Tx, node ident.Node) (bool, error) {
	moves, err := about(ctx, tx, node)
	return slices.ContainsFunc(moves, func(m Move) bool { return m.From == node && m.Stage != Copying }), err
}

// say is how far it is, and what it waits for: a step of its own, so that the job's
// log has it, too.
func (d draining) say(left int) (step, text string) {
	text = fmt.Sprintf("%d of %d moved", d.Total-left, d.Total)
	if d.awaits != "" {
		return "wait", text + "; waiting: " + d.awaits
	}
	return "move", text
}

// explain says which instances are still there, and why.
func (d draining) explain(left int) error {
	ids := slices.Sorted(maps.Keys(d.Failed))
	var reasons []string
	for n, id := range ids {
		if n == named {
			reasons = append(reasons, fmt.Sprintf("and %d more", len(ids)-named))
			break
		}
		reasons = append(reasons, fmt.Sprintf("%s: %s", id, d.Failed[id]))
	}
	return problem.New(problem.Conflict, "%d of %d moved; the node is still in maintenance, and these are still on it: %s", d.Total-left, d.Total, strings.Join(reasons, "; "))
}

// drainCancelled lets the moves that are under way go on; no other begins.
func (s *Service) drainCancelled(context.Context, *store.Tx, job.Job) error { return nil }

func (s *Service) retryDrain(ctx context.Context, tx *store.Tx, j job.Job) (job.New, error) {
	active, there, err := job.Living(ctx, tx, KindDrain, j.Node)
	if err != nil {
		return job.New{}, err
	}
	if there {
		return job.New{}, problem.New(problem.Conflict, "this node is being drained already (job %s)", active.ID)
	}
	return job.New{Kind: KindDrain, Node: j.Node, Input: map[string]any{}}, s.Nodes.SetMaintenance(ctx, tx, j.Actor, j.Node, true)
}
