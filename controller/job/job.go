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
	ID         ident.Job
	Kind       Kind
	Instance   ident.Instance // "" when it is about none
	Node       ident.Node
	Owner      ident.User // who besides admins may see it
	Actor      access.Actor
	Input      json.RawMessage
	State      State
	Handed     bool
	Step       string
	Percent    int // 0 to 100; -1 when nobody knows
	Message    string
	Failure    *problem.Problem
	Attempt    int
	RunAt      time.Time
	Deadline   time.Time
	RetryOf    ident.Job
	CreatedAt  time.Time
	StartedAt  *time.Time
	FinishedAt *time.Time
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
	Done   Outcome = iota // succeeded
	Handed                // goes on elsewhere; Finish ends it
)

// Handler does the work of one kind. It is called again after a passing failure
// or a restart, so it must be idempotent. What its error means: a problem
// NODE_OFFLINE waits for the node; an INTERNAL_ERROR or any other error is tried
// again; every other problem fails the job for good.
type Handler func(ctx context.Context, j Job) (Outcome, error)

// Policy is how jobs of one kind are treated.
type Policy struct {
	Handler  Handler
	Deadline time.Duration // from the enqueuing; then the job fails
	Attempts int           // calls of the handler that may end in a passing failure
	// Failed runs in the transaction in which this package (not Finish) fails a
	// job. May be nil.
	Failed func(ctx context.Context, tx *store.Tx, j Job) error
	// Cancelled runs in the transaction in which somebody cancels a job: it takes
	// the wish back. Nil: jobs of this kind can't be cancelled.
	Cancelled func(ctx context.Context, tx *store.Tx, j Job) error
	// Retry says, in the transaction, what is enqueued for a failed or cancelled
	// job that somebody wants again. Nil: the kind can't be retried.
	Retry func(ctx context.Context, tx *store.Tx, j Job) (New, error)
}

// backoff is the pause before the next attempt: 1 s doubling to a minute.
func backoff(attempt int) time.Duration {
	d := time.Second << min(max(attempt-1, 0), 10)
	return min(d, time.Minute)
}
