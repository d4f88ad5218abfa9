package file

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	tasksAtOnce  = 8 // of an instance, waiting ones included
	taskDeadline = 12 * time.Hour
	stopDeadline = 24 * time.Hour // the agent forgets by itself then
	attempts     = 10
	taskLimit    = 45 * time.Second // of one look: more than the usual, so that file jobs have workers of their own
	looks        = 4                // in one go, before the job waits a second for the next
	firstPause   = 50 * time.Millisecond
)

// order is what a job is about.
type order struct {
	Task  wire.FileTask `json:"task"`
	Admin bool          `json:"admin,omitempty"` // asked for it: goes on while the instance is suspended
}

// stopping is what KindStop is about.
type stopping struct {
	Instance ident.Instance `json:"instance"`
	Task     ident.Job      `json:"task"`
}

func (s *Service) register() {
	p := job.Policy{
		Handler: s.work, Deadline: taskDeadline, Attempts: attempts, Limit: taskLimit, Beside: tasksAtOnce, Right: access.WriteFiles,
		Failed: s.stopTask, Cancelled: s.stopTask, Superseded: s.stopTask, Retry: retry,
	}
	for _, kind := range []job.Kind{KindDelete, KindCopy, KindArchive, KindExtract, KindPull} {
		s.Jobs.Register(kind, p)
	}
	s.Jobs.Register(KindStop, job.Policy{Handler: s.stop, Deadline: stopDeadline, Attempts: attempts, Limit: taskLimit})
}

// Order has a task done. RESOURCE_BUSY says that enough of them are under way, or
// that the instance is being moved.
func (s *Service) Order(ctx context.Context, c access.Caller, id ident.Instance, t wire.FileTask) (j job.Job, err error) {
	i, err := s.Grants.Allow(ctx, c, id, access.WriteFiles)
	if err != nil {
		return j, err
	}
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		j, err = s.Jobs.Enqueue(ctx, tx, job.New{Kind: kindOf(t), Instance: i.ID, Node: i.Node, Owner: i.Owner, Actor: c.Actor, Input: order{Task: t, Admin: c.Holds(access.WriteInstances)}})
		if err != nil {
			return err
		}
		return httpapi.Keep(ctx, tx, j.View())
	})
	return j, err
}

func kindOf(t wire.FileTask) job.Kind {
	switch {
	case t.Delete != nil:
		return KindDelete
	case t.Copy != nil:
		return KindCopy
	case t.Archive != nil:
		return KindArchive
	case t.Extract != nil:
		return KindExtract
	default:
		return KindPull
	}
}

// work has one look at a task, and puts it again with it.
func (s *Service) work(ctx context.Context, j job.Job) (job.Outcome, error) {
	var o order
	if err := json.Unmarshal(j.Input, &o); err != nil {
		return job.Done, problem.New(problem.Conflict, "what this job was to do can't be read").Because(err)
	}
	i, err := s.Instances.Find(ctx, s.DB.Snapshot(), j.Instance)
	switch {
	case problem.Is(err, problem.NotFound) || err == nil && i.Phase == instance.Deleting:
		return job.Done, problem.New(problem.Conflict, "the instance is being deleted, and its files with it")
	case err != nil:
		return job.Done, err
	case i.Suspended && !o.Admin:
		return job.Done, problem.New(problem.Conflict, "instance %s was suspended; try it again when it isn't", i.ID)
	}
	pause := firstPause
	for range looks {
		state, err := s.put(ctx, i, j, o.Task)
		switch {
		case problem.Is(err, problem.ResourceBusy) || problem.Is(err, problem.RateLimited):
			return job.Again, s.progress(ctx, &j, -1, "waits for its turn: "+problem.From(err).Message)
		case err != nil:
			return job.Done, err
		case state.Done:
			return job.Done, s.finish(ctx, i, j, o.Task, state)
		}
		if err := s.progress(ctx, &j, state.Percent, sum(state)); err != nil {
			return job.Done, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return job.Again, nil
		case <-timer.C:
		}
		pause *= 2
	}
	return job.Again, nil
}

func (s *Service) put(ctx context.Context, i instance.Instance, j job.Job, t wire.FileTask) (state wire.FileTaskState, err error) {
	return state, s.call(ctx, i, http.MethodPut, "tasks/"+string(j.ID), nil, t, &state)
}

func sum(t wire.FileTaskState) string {
	if t.Message != "" {
		return t.Message
	}
	return fmt.Sprintf("%d files, %d MiB", t.Files, t.Bytes>>20)
}

// progress writes how far it is, when that is news, and notes it in j.
func (s *Service) progress(ctx context.Context, j *job.Job, percent int, message string) error {
	percent = max(-1, min(percent, 100))
	if j.Step != "" && j.Percent == percent && j.Message == message {
		return nil
	}
	j.Step, j.Percent, j.Message = "work", percent, message
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		return s.Jobs.Progress(ctx, tx, j.ID, j.Step, percent, message)
	})
}

// finish ends the job with what the agent says of its task, in one transaction
// with the event.
func (s *Service) finish(ctx context.Context, i instance.Instance, j job.Job, t wire.FileTask, state wire.FileTaskState) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		if err := s.Jobs.Progress(ctx, tx, j.ID, "work", 100, sum(state)); err != nil {
			return err
		}
		if state.Failure == nil {
			what, data := happened(t)
			data["files"], data["bytes"] = state.Files, state.Bytes
			e := event.Event{Type: what, Owner: i.Owner, Instance: i.ID, Node: i.Node, Job: j.ID, Actor: j.Actor}
			if err := s.Events.Append(ctx, tx, e, data); err != nil {
				return err
			}
		}
		return s.Jobs.Finish(ctx, tx, j.ID, state.Failure)
	})
}

// happened is the event of a task that went well.
func happened(t wire.FileTask) (event.Type, map[string]any) {
	switch {
	case t.Delete != nil:
		return Deleted, about(t.Delete.Paths)
	case t.Copy != nil:
		data := about(t.Copy.Paths)
		data["to"] = text(t.Copy.To)
		return Copied, data
	case t.Archive != nil:
		data := about(t.Archive.Paths)
		data["folder"], data["to"] = text(t.Archive.Folder), text(t.Archive.To)
		return Archived, data
	case t.Extract != nil:
		return Extracted, map[string]any{"path": text(t.Extract.Path), "to": text(t.Extract.To)}
	default:
		return Pulled, map[string]any{"from": shown(t.Pull.URL), "to": text(t.Pull.To)}
	}
}

// stopTask sees to it that the node hears of a job's end, in the transaction of
// that end.
func (s *Service) stopTask(ctx context.Context, tx *store.Tx, j job.Job) error {
	if j.StartedAt == nil {
		return nil // the node was never told
	}
	i, err := s.Instances.Find(ctx, tx, j.Instance)
	if problem.Is(err, problem.NotFound) || err == nil && i.Phase == instance.Deleting {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = s.Jobs.Enqueue(ctx, tx, job.New{Kind: KindStop, Node: i.Node, Owner: i.Owner, Actor: j.Actor, Input: stopping{j.Instance, j.ID}})
	return err
}

// stop cancels a task that no job stands for any more. It does so twice, with a
// pause: a look at the task that was on its way may have put it again.
func (s *Service) stop(ctx context.Context, j job.Job) (job.Outcome, error) {
	var o stopping
	if err := json.Unmarshal(j.Input, &o); err != nil {
		return job.Done, err
	}
	err := s.call(ctx, instance.Instance{ID: o.Instance, Node: j.Node}, http.MethodDelete, "tasks/"+string(o.Task), nil, nil, nil)
	if problem.Is(err, problem.NotFound) {
		err = nil
	}
	if err != nil || j.Step != "" {
		return job.Done, err
	}
	return job.Again, s.DB.Write(ctx, func(tx *store.Tx) error { return s.Jobs.Progress(ctx, tx, j.ID, "stop", -1, "the node was told") })
}

// retry asks for the same again, of a customer: whoever tries it again need not
// be the admin who ordered it first.
func retry(_ context.Context, _ *store.Tx, j job.Job) (job.New, error) {
	var o order
	if err := json.Unmarshal(j.Input, &o); err != nil {
		return job.New{}, err
	}
	return job.New{Kind: j.Kind, Instance: j.Instance, Node: j.Node, Owner: j.Owner, Actor: j.Actor, Input: order{Task: o.Task}}, nil
}
