package job

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// JobView is a job as the API shows it.
type JobView struct {
	ID           string          `json:"id"`
	Kind         Kind            `json:"kind"`
	State        State           `json:"state" enum:"queued,waiting,running,succeeded,failed,cancelled"`
	InstanceID   string          `json:"instance_id,omitempty"`
	NodeID       string          `json:"node_id,omitempty"`
	Task         string          `json:"task,omitempty" doc:"The task that is under way or comes next, or at which it failed or was cancelled"`
	Tasks        []JobTaskView   `json:"tasks,omitempty" doc:"What it does, in order; absent when it is one piece of work"`
	Step         string          `json:"step,omitempty" doc:"What it is doing: pull, install, create, start, stop, remove"`
	Percent      int             `json:"percent" doc:"0 to 100; -1 when nobody knows"`
	Message      string          `json:"message,omitempty"`
	Parts        []JobPartView   `json:"parts,omitempty" doc:"What the step is made of, such as an image's layers; lists leave it out"`
	Failure      *JobFailureView `json:"failure,omitempty"`
	Attempt      int             `json:"attempt"`
	RetryOf      string          `json:"retry_of,omitempty"`
	Actor        access.Actor    `json:"actor" doc:"Who asked for it; only through which door for those who may not see who did what"`
	WaitingSince *time.Time      `json:"waiting_since,omitempty" doc:"Since when it waits for its node"`
	CreatedAt    time.Time       `json:"created_at"`
	StartedAt    *time.Time      `json:"started_at,omitempty"`
	FinishedAt   *time.Time      `json:"finished_at,omitempty"`
	Deadline     time.Time       `json:"deadline" doc:"When it fails if it has not ended by then"`
}

// JobTaskView is one of the tasks of a job.
type JobTaskView struct {
	Name       string     `json:"name"`
	State      TaskState  `json:"state" enum:"pending,running,done,failed,cancelled,skipped"`
	StartedAt  *time.Time `json:"started_at,omitempty"`
	FinishedAt *time.Time `json:"finished_at,omitempty"`
}

// JobPartView is how far one part of a job's step is.
type JobPartView struct {
	Name       string `json:"name" doc:"Of a layer, the beginning of its digest"`
	State      string `json:"state" doc:"waiting, downloading, extracting or done"`
	DoneBytes  int64  `json:"done_bytes"`
	TotalBytes int64  `json:"total_bytes" doc:"0 while nobody knows"`
}

// JobFailureView is why a job failed.
type JobFailureView struct {
	Code    problem.Code `json:"code"`
	Message string       `json:"message"`
}

// JobLineView is a line of a job's log.
type JobLineView struct {
	Seq  int64     `json:"seq"`
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// View shows the job.
func (j Job) View() JobView {
	v := JobView{
		ID: string(j.ID), Kind: j.Kind, State: j.State, InstanceID: string(j.Instance), NodeID: string(j.Node), Task: j.Task, Step: j.Step, Percent: j.Percent,
		Message: j.Message, Attempt: j.Attempt, RetryOf: string(j.RetryOf), Actor: j.Actor, CreatedAt: j.CreatedAt, StartedAt: j.StartedAt,
		FinishedAt: j.FinishedAt, Deadline: j.Deadline, WaitingSince: j.WaitingSince,
	}
	for _, p := range j.Parts {
		v.Parts = append(v.Parts, JobPartView(p))
	}
	for _, t := range j.Tasks {
		v.Tasks = append(v.Tasks, JobTaskView(t))
	}
	if j.Failure != nil {
		v.Failure = &JobFailureView{Code: j.Failure.Code, Message: j.Failure.Message}
	}
	return v
}

// viewFor shows the job to a caller who may see it. Who ordered it, from where and
// with which key is for those who may see who did what with its instance.
func (j Job) viewFor(c access.Caller) JobView {
	v := j.View()
	mine := c.User != "" && (c.User == j.Owner || c.User == j.Actor.User)
	if !mine && !c.Can(access.ReadAll) && (j.Instance == "" || !c.Entitled(access.ReadActivity, j.of())) {
		v.Actor = access.Actor{Via: j.Actor.Via}
	}
	return v
}

// JobPath names a job in a path.
type JobPath struct {
	ID string `path:"id" doc:"The job's id"`
}

type listQuery struct {
	httpapi.PageQuery
	Instance string `query:"instance_id" doc:"Only this instance's"`
	Node     string `query:"node_id" doc:"Only this node's"`
	State    string `query:"state" enum:"queued,waiting,running,succeeded,failed,cancelled"`
	Kind     string `query:"kind" maxLength:"100"`
	Sort     string `query:"sort" enum:"created_at,-created_at" default:"-created_at"`
}

type logQuery struct {
	JobPath
	After int64 `query:"after" minimum:"0" doc:"Only lines with a higher number"`
	Limit int   `query:"limit" default:"500" minimum:"1" maximum:"1000"`
}

// Mount registers the operations of jobs.
func (s *Service) Mount(a *httpapi.API) {
	const base, tag = "/api/v1/jobs", "jobs"
	read, write := access.Needs(access.ScopeRead), access.Needs(access.ScopeWrite)
	httpapi.HandlePage(a, httpapi.Operation{ID: "listJobs", Method: http.MethodGet, Path: base, Tag: tag, Access: read,
		Summary: "List jobs"}, s.handleList)
	httpapi.Handle(a, httpapi.Operation{ID: "getJob", Method: http.MethodGet, Path: base + "/{id}", Tag: tag, Access: read,
		Summary: "Get a job"}, s.handleGet)
	httpapi.Handle(a, httpapi.Operation{ID: "getJobLogs", Method: http.MethodGet, Path: base + "/{id}/logs", Tag: tag, Access: read,
		Summary: "Read a job's log"}, s.handleLogs)
	httpapi.HandleStream(a, httpapi.Operation{ID: "streamJob", Method: http.MethodGet, Path: base + "/{id}/stream", Tag: tag, Access: read,
		Summary: "Follow a job", Description: "Server-sent events: `job` with the job as it now is, `line` with a line of its log (its number is the event's id); ends after the job's last state."}, s.handleStream)
	httpapi.Handle(a, httpapi.Operation{ID: "cancelJob", Method: http.MethodPost, Path: base + "/{id}/cancel", Tag: tag, Access: write,
		Summary: "Cancel a job"}, s.handleCancel)
	httpapi.Handle(a, httpapi.Operation{ID: "retryJob", Method: http.MethodPost, Path: base + "/{id}/retry", Tag: tag, Access: write,
		Status: http.StatusAccepted, Summary: "Try a failed or cancelled job again, as a new job"}, s.handleRetry)
}

func (s *Service) handleList(ctx context.Context, in *listQuery) (httpapi.Page[JobView], error) {
	jobs, total, err := s.List(ctx, access.From(ctx), Filter{
		Instance: ident.Instance(in.Instance), Node: ident.Node(in.Node), State: State(in.State), Kind: Kind(in.Kind), Oldest: in.Sort == "created_at",
		Limit: in.Limit, Offset: in.Offset(),
	})
	page := httpapi.Page[JobView]{Items: []JobView{}, Total: total}
	for _, j := range jobs {
		page.Items = append(page.Items, j.viewFor(access.From(ctx)))
	}
	return page, err
}

func (s *Service) handleGet(ctx context.Context, in *JobPath) (JobView, error) {
	j, err := s.Get(ctx, access.From(ctx), ident.Job(in.ID))
	return j.viewFor(access.From(ctx)), err
}

func (s *Service) handleLogs(ctx context.Context, in *logQuery) ([]JobLineView, error) {
	lines, err := s.Lines(ctx, access.From(ctx), ident.Job(in.ID), in.After, in.Limit)
	out := make([]JobLineView, 0, len(lines))
	for _, l := range lines {
		out = append(out, JobLineView(l))
	}
	return out, err
}

func (s *Service) handleCancel(ctx context.Context, in *JobPath) (JobView, error) {
	j, err := s.Cancel(ctx, access.From(ctx), ident.Job(in.ID))
	return j.viewFor(access.From(ctx)), err
}

func (s *Service) handleRetry(ctx context.Context, in *JobPath) (JobView, error) {
	j, err := s.Retry(ctx, access.From(ctx), ident.Job(in.ID))
	return j.viewFor(access.From(ctx)), err
}

func (s *Service) handleStream(ctx context.Context, in *JobPath, stream *httpapi.Stream) error {
	c, id := access.From(ctx), ident.Job(in.ID)
	if _, err := s.Get(ctx, c, id); err != nil {
		return err
	}
	changes, stop := s.Watch(id)
	defer stop()
	after, _ := strconv.ParseInt(stream.LastEventID(), 10, 64) // none or nonsense: from the start
	var last []byte
	for {
		j, err := s.Get(ctx, c, id)
		if err != nil {
			return err
		}
		if after, err = s.sendLines(ctx, c, id, after, stream); err != nil {
			return err
		}
		now, err := json.Marshal(j.viewFor(c))
		if err != nil {
			return err
		}
		if string(now) != string(last) {
			if err := stream.Send("job", "", json.RawMessage(now)); err != nil {
				return err
			}
			last = now
		}
		if j.State.Ended() {
			return nil
		}
		select {
		case <-changes:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Service) sendLines(ctx context.Context, c access.Caller, id ident.Job, after int64, stream *httpapi.Stream) (int64, error) {
	for {
		lines, err := s.Lines(ctx, c, id, after, 500)
		if err != nil || len(lines) == 0 {
			return after, err
		}
		for _, l := range lines {
			if err := stream.Send("line", strconv.FormatInt(l.Seq, 10), JobLineView(l)); err != nil {
				return after, err
			}
			after = l.Seq
		}
	}
}
