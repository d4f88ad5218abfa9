package release

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	updateDeadline = 15 * time.Minute // of one node, its trial included
	pushLimit      = 10 * time.Minute // for the program to arrive
	allDeadline    = 24 * time.Hour
)

func (s *Service) register() {
	s.Jobs.Register(KindUpdate, job.Policy{
		Handler: s.update, Deadline: updateDeadline, Attempts: 5, Limit: pushLimit,
		Cancelled: nothing, // what has been pushed goes its own way
		Retry: func(ctx context.Context, tx *store.Tx, j job.Job) (job.New, error) {
			return job.New{Kind: KindUpdate, Node: j.Node, Input: struct{}{}}, s.idle(ctx, tx, KindUpdate, j.Node)
		},
	})
	s.Jobs.Register(KindUpdateAll, job.Policy{
		Handler: s.updateAll, Deadline: allDeadline, Attempts: 5,
		Cancelled: nothing, // the node whose turn it is ends its own job
		Retry: func(ctx context.Context, tx *store.Tx, _ job.Job) (job.New, error) {
			return job.New{Kind: KindUpdateAll, Input: struct{}{}}, s.idle(ctx, tx, KindUpdateAll, "")
		},
	})
}

func nothing(context.Context, *store.Tx, job.Job) error { return nil }

func (s *Service) idle(ctx context.Context, tx *store.Tx, kind job.Kind, id ident.Node) error {
	busy, there, err := job.Living(ctx, tx, kind, id)
	if err == nil && there {
		return problem.New(problem.ResourceBusy, "this is being done already: job %s", busy.ID)
	}
	return err
}

// pushed is what a node.update remembers.
type pushed struct {
	Release string `json:"release,omitempty"` // the one that the agent has accepted
}

// update brings one node to this controller's release. It is called until the
// agent says how that ended.
func (s *Service) update(ctx context.Context, j job.Job) (job.Outcome, error) {
	release, err := s.Programs.Release()
	if err != nil {
		return job.Done, err
	}
	var memory pushed
	if err := recall(j, &memory); err != nil {
		return job.Done, err
	}
	state, err := s.Agents.Release(ctx, j.Node)
	if err != nil {
		return job.Done, tooOld(err)
	}
	switch {
	case state.Release == release && !state.Trial:
		return job.Done, nil
	case state.Release == release:
		return job.Again, s.say(ctx, j, "trial", 80, fmt.Sprintf("release %s runs on trial", release))
	case memory.Release != release:
		return s.push(ctx, j, state, release)
	case state.Refused == release:
		return job.Done, problem.New(problem.Conflict, "the node went back to release %s: %s", state.Release, state.Message)
	default:
		return job.Again, s.say(ctx, j, "restart", 60, "the agent changes over to release "+release)
	}
}

// tooOld explains an agent that knows nothing of releases.
func tooOld(err error) error {
	if problem.Is(err, problem.NotFound) {
		return problem.New(problem.Conflict, "its agent is too old to update itself: run the line with a new enrolment key on the node").Because(err)
	}
	return err
}

// push sends the program to the agent.
func (s *Service) push(ctx context.Context, j job.Job, state wire.ReleaseState, release string) (job.Outcome, error) {
	if state.Fixed != "" {
		return job.Done, problem.New(problem.Conflict, "the agent can't update itself: %s", state.Fixed)
	}
	program, err := s.Programs.For(state.Arch)
	if err != nil {
		return job.Done, err
	}
	if err := s.say(ctx, j, "push", 10, fmt.Sprintf("sending release %s for %s, %d MiB", release, program.Arch, program.Size>>20)); err != nil {
		return job.Done, err
	}
	body, err := program.Open()
	if err != nil {
		return job.Done, err
	}
	defer func() { _ = body.Close() }()
	_, err = s.Agents.PushRelease(ctx, j.Node, release, program.SHA256, program.Size, body)
	if problem.Is(err, problem.ResourceBusy) {
		return job.Again, s.say(ctx, j, "push", 10, problem.From(err).Message)
	}
	if err != nil {
		return job.Done, err
	}
	return job.Again, s.DB.Write(ctx, func(tx *store.Tx) error {
		if err := s.Jobs.Remember(ctx, tx, j.ID, pushed{Release: release}); err != nil {
			return err
		}
		return s.Jobs.Progress(ctx, tx, j.ID, "restart", 60, "the agent has release "+release+" and changes over to it")
	})
}

// say writes progress, when it is news.
func (s *Service) say(ctx context.Context, j job.Job, step string, percent int, message string) error {
	if j.Step == step && j.Message == message {
		return nil
	}
	return s.DB.Write(ctx, func(tx *store.Tx) error { return s.Jobs.Progress(ctx, tx, j.ID, step, percent, message) })
}

func recall(j job.Job, into any) error {
	if len(j.Memory) == 0 {
		return nil
	}
	if err := json.Unmarshal(j.Memory, into); err != nil {
		return fmt.Errorf("job %s: memory: %w", j.ID, err)
	}
	return nil
}

// round is what a nodes.update remembers.
type round struct {
	Child   ident.Job    `json:"child,omitempty"` // the node.update under way
	Name    string       `json:"name,omitempty"`  // of its node
	Seen    []ident.Node `json:"seen,omitempty"`  // nodes that had their turn
	Updated []string     `json:"updated,omitempty"`
	Passed  []string     `json:"passed,omitempty"` // nodes that were passed over, with the reason
}

func (r round) sum() string {
	text := fmt.Sprintf("%d updated", len(r.Updated))
	if len(r.Updated) > 0 {
		text += ": " + strings.Join(r.Updated, ", ")
	}
	if len(r.Passed) > 0 {
		text += fmt.Sprintf("; %d passed over: %s", len(r.Passed), strings.Join(r.Passed, "; "))
	}
	return text
}

// updateAll looks after the update under way, or begins the next.
func (s *Service) updateAll(ctx context.Context, j job.Job) (job.Outcome, error) {
	release, err := s.Programs.Release()
	if err != nil {
		return job.Done, err
	}
	var r round
	if err := recall(j, &r); err != nil {
		return job.Done, err
	}
	if r.Child != "" {
		child, err := s.Jobs.Get(ctx, access.Local(), r.Child)
		if err != nil {
			return job.Done, err
		}
		if !child.State.Ended() {
			return job.Again, s.say(ctx, j, r.Name, -1, fmt.Sprintf("%s (%s)", child.Message, child.State))
		}
		if child.State != job.Succeeded {
			return job.Done, problem.New(problem.Conflict, "node %s was not updated, so the nodes after it were left as they are: %s (%s)",
				r.Name, child.Message, r.sum())
		}
		r.Updated, r.Child, r.Name = append(r.Updated, r.Name), "", ""
	}
	return s.next(ctx, j, r, release)
}

// next begins the update of the next node that needs one; without any it ends
// the round.
func (s *Service) next(ctx context.Context, j job.Job, r round, release string) (job.Outcome, error) {
	nodes, err := s.Nodes.All(ctx)
	if err != nil {
		return job.Done, err
	}
	for _, n := range nodes {
		if n.Certificate == "" || slices.Contains(r.Seen, n.ID) {
			continue
		}
		r.Seen = append(r.Seen, n.ID)
		begun, err := s.beginWith(ctx, j, &r, n, release)
		if err != nil {
			return job.Done, err
		}
		if begun {
			return job.Again, nil
		}
	}
	return job.Done, s.DB.Write(ctx, func(tx *store.Tx) error {
		if err := s.Jobs.Remember(ctx, tx, j.ID, r); err != nil {
			return err
		}
		return s.Jobs.Progress(ctx, tx, j.ID, "end", 100, r.sum())
	})
}

// beginWith begins a node's update, unless it needs none or can't have one.
func (s *Service) beginWith(ctx context.Context, j job.Job, r *round, n node.Node, release string) (begun bool, err error) {
	state, err := s.Agents.Release(ctx, n.ID)
	switch {
	case err != nil && ctx.Err() != nil:
		return false, err
	case err != nil:
		r.Passed = append(r.Passed, n.Name+": "+problem.From(tooOld(err)).Message)
		return false, nil
	case state.Release == release && !state.Trial:
		return false, nil
	case state.Fixed != "":
		r.Passed = append(r.Passed, n.Name+": "+state.Fixed)
		return false, nil
	}
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		child, there, err := job.Living(ctx, tx, KindUpdate, n.ID)
		if err == nil && !there {
			child, err = s.enqueue(ctx, tx, j.Actor, n.ID)
		}
		if err != nil {
			return err
		}
		r.Child, r.Name = child.ID, n.Name
		if err := s.Jobs.Remember(ctx, tx, j.ID, *r); err != nil {
			return err
		}
		return s.Jobs.Progress(ctx, tx, j.ID, n.Name, -1, "job "+string(child.ID))
	})
	return err == nil, err
}
