package grant

import (
	"errors"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/shared/problem"
)

// The caps and times.
const (
	PerUser     = 64               // holds of one customer at a time
	PerAdmin    = 4096             // of one admin: a dashboard may serve all its customers with his key
	PerInstance = 256              // holds of one instance at a time
	Recheck     = 5 * time.Second  // between two looks at every hold
	TicketLife  = 30 * time.Second // of a ticket that nobody uses
	ticketsEach = 64               // unused ones of one user
	ticketsMost = 20_000           // unused ones of all
)

// Why a right is not there: causes of the problems that Allow, Hold and a held
// context give, for errors.Is.
var (
	ErrRevoked   = errors.New("the key or the account is gone")
	ErrForbidden = errors.New("the right is missing")
	ErrSuspended = errors.New("the instance is suspended")
	ErrDeleted   = errors.New("the instance is gone")
	ErrStopping  = errors.New("the controller stops") // no right is gone
)

// Purpose is the one door that a ticket opens.
type Purpose string

// judge says why the caller may not use the right with the instance as it
// stands; nil when he may.
func judge(c access.Caller, i instance.Instance, right access.Right) error {
	switch {
	case !c.Known():
		return problem.New(problem.Unauthorized, "this needs an API key or a ticket").Because(ErrRevoked)
	case !c.SeesInstance(i.Of()):
		return gone()
	case !c.Has(right.Scope()):
		return problem.New(problem.Forbidden, "this API key lacks the scope %s", right.Scope()).Because(ErrForbidden)
	case !c.May(right, i.Of()):
		return problem.New(problem.Forbidden, "you lack the right %s for instance %s", right, i.ID).Because(ErrForbidden)
	case i.Phase == instance.Deleting:
		return problem.New(problem.Conflict, "instance %s is being deleted", i.ID).Because(ErrDeleted)
	case i.Suspended && !c.Holds(access.WriteInstances) && right != access.SeeInstance:
		reason := ""
		if i.SuspendReason != "" {
			reason = " (" + i.SuspendReason + ")"
		}
		return problem.New(problem.Conflict, "instance %s is suspended%s: ask an admin to unsuspend it", i.ID, reason).Because(ErrSuspended)
	}
	return nil
}

func gone() *problem.Problem {
	return problem.New(problem.NotFound, "there is no such instance").Because(ErrDeleted)
}
