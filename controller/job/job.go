package job

import (
	"context"
	"encoding/json"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// Kind is what a job does: the thing, a dot, a verb ("instance.deploy").
type Kind string

// State is where a job is in its life.
type State string

// The states of a job.
const (
	Queued    State = "queued"
	Waiting   State = "waiting"
	Running   State = "running"
	Succeeded State = "succeeded"
	Failed    State = "failed"
	Cancelled State = "cancelled"
)

// Ended says whether a job of that state does nothing any more.
func (s State) Ended() bool { return s == Succeeded || s == Failed || s == Cancelled }

// Job is one durable unit of work.
type Job struct {
	ID       ident.Job
	Kind     Kind
	Instance ident.Instance // "" when it is about none
	Node     ident.Node
	Owner    ident.User // who besides admins may see it
	Actor    access.Actor
	Input    json.RawMessage
	Memory   json.RawMessage // an object of the kind's own, kept between calls: see Remember
	State    State
	Handed   bool
	Tasks    []TaskRecord // in their order; none when the kind is one piece of work
	// Task is the one that is under way or comes next, or the one at which the job
	// failed or was cancelled; "" when all are done or there are none.
	Task         string
	Step         string
	Parts        []Part // of the step; only Get fills them in
	Percent      int    // 0 to 100; -1 when nobody knows
	Message      string
	Failure      *problem.Problem
	Attempt      int // of the present task: calls in a row of which none went well, with the one under way
	RunAt        time.Time
	WaitingSince *time.Time // for its node; nil when it doesn't
	Deadline     time.Time
	RetryOf      ident.Job
	CreatedAt    time.Time
	StartedAt    *time.Time
	FinishedAt   *time.Time

	beside bool       // goes on beside the instance's one job
	lease  *time.Time // until when a handler is called; nil when none is
}

// New asks for a job.
type New struct {
	Kind     Kind
	Instance ident.Instance
	Node     ident.Node
	Owner    ident.User
	Actor    access.Actor
	Input    any // marshalled to JSON
	RetryOf  ident.Job
}

// Line is one line of a job's log.
type Line struct {
	Seq  int64
	At   time.Time
	Text string
}

// Outcome is how a handler left its job.
type Outcome int

// The outcomes.
const (
	Done   Outcome = iota // the task is done; the last one, or the only: the job succeeded
	Handed                // goes on elsewhere; Finish ends it, Nudge and Wake call the handler again
	Again                 // went well so far: call me again in about a second
)

// Handler does the work of one kind, or one of its tasks. It is called again
// after a passing failure or a restart, so it must be idempotent. What its error
// means: a problem NODE_OFFLINE waits for the node; an INTERNAL_ERROR, any other
// error or a panic is tried again; every other problem fails the job for good.
// Its ctx ends after Policy.Limit, when the job is ended by somebody else, and
// when the controller stops; what it returns after the last two is not looked at.
type Handler func(ctx context.Context, j Job) (Outcome, error)

// Task is one of the steps of a kind that are done in order.
type Task struct {
	Name string // shown to people, kept in the database: "copy"
	Do   Handler
}

// Policy is how jobs of one kind are treated.
type Policy struct {
	Handler Handler
	// Tasks, instead of Handler, are done in order and each remembered when it is
	// done: Done begins the next, the last Done ends the job, and a restart goes on
	// at the first that isn't done.
	Tasks    []Task
	Deadline time.Duration // from the enqueuing; then the job fails
	Attempts int           // calls of the handler in a row, of each task, that may end in a passing failure
	Limit    time.Duration // of one call of a handler; 0 is 30 s. Kinds with a longer one have workers of their own
	// Beside, when it isn't 0, has jobs of this kind not count as their instance's
	// one job: up to so many of such kinds may live at a time beside it.
	Beside int
	// Right is what it takes of whoever cancels or retries such a job of an instance;
	// "" is access.EditInstance.
	Right access.Right
	// Alone has jobs of this kind and those that go on beside others refuse each
	// other: a volume isn't worked in while it is carried away.
	Alone bool
	// Failed runs in the transaction in which this package (not Finish) fails a
	// job; j.Task is where. May be nil.
	Failed func(ctx context.Context, tx *store.Tx, j Job) error
	// Cancelled runs in the transaction in which somebody cancels a job: it takes
	// the wish back. Nil: jobs of this kind can't be cancelled.
	Cancelled func(ctx context.Context, tx *store.Tx, j Job) error
	// Superseded runs in the transaction of Supersede. May be nil.
	Superseded func(ctx context.Context, tx *store.Tx, j Job) error
	// Retry says, in the transaction, what is enqueued for a failed or cancelled
	// job that somebody wants again. Nil: the kind can't be retried.
	Retry func(ctx context.Context, tx *store.Tx, j Job) (New, error)
}

// of is what rights to the job's instance are asked with.
func (j Job) of() access.Of { return access.Of{Instance: j.Instance, Owner: j.Owner} }

// handlerLimit is how long one call of a handler may take when its kind says
// nothing else.
const handlerLimit = 30 * time.Second

func (p Policy) limit() time.Duration {
	if p.Limit > 0 {
		return p.Limit
	}
	return handlerLimit
}

// handler gives what does a job's present work; nil when this version doesn't
// know it.
func (p Policy) handler(j Job) Handler {
	if len(j.Tasks) == 0 {
		return p.Handler
	}
	for _, t := range p.Tasks {
		if t.Name == j.Task {
			return t.Do
		}
	}
	return nil
}

// backoff is the pause before the next attempt: 1 s doubling to a minute.
func backoff(attempt int) time.Duration {
	d := time.Second << min(max(attempt-1, 0), 10)
	return min(d, time.Minute)
}
