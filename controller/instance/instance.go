package instance

import (
	"crypto/rand"
	"encoding/json"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Phase is where an instance is in its life.
type Phase string

// The phases. All but Deleting are the agent's too.
const (
	Installing = Phase(wire.PhaseInstalling)
	Ready      = Phase(wire.PhaseReady)
	Failed     = Phase(wire.PhaseFailed)
	Deleting   = Phase("deleting")
)

var moves = map[Phase][]Phase{
	Installing: {Ready, Failed, Deleting},
	Ready:      {Installing, Deleting},
	Failed:     {Installing, Ready, Deleting},
	Deleting:   {},
}

// mayBecome says whether a move is legal; staying always is.
func (p Phase) mayBecome(next Phase) bool {
	if p == next {
		return true
	}
	for _, n := range moves[p] {
		if n == next {
			return true
		}
	}
	return false
}

// Status is phase, suspension and actual state in one word, for people.
type Status string

// The statuses that are no wire.Actual.
const (
	StatusInstalling = Status(Installing)
	StatusFailed     = Status(Failed)
	StatusDeleting   = Status(Deleting)
	StatusSuspended  = Status("suspended")
)

// Instance is one hosted container with its settings.
type Instance struct {
	ID            ident.Instance
	Name          string
	Owner         ident.User
	Node          ident.Node
	Image         ident.Image
	Reference     string          // the one of the image's references that it runs
	Startup       string          // the name of the one of the image's start commands; "" is the first
	Pull          wire.PullPolicy // "" is the image's
	Digest        string          // that pins the reference; "" none
	MemoryMiB     int64
	NanoCPUs      int64
	DiskMiB       int64
	Variables     map[string]string // as given; defaults are the image's
	Spec          wire.Spec         // what the node is told
	Generation    int64             // of Spec
	Power         wire.Want
	Suspended     bool
	SuspendReason string
	Phase         Phase
	Actual        wire.Actual
	Failure       *problem.Problem // why the last generation was not carried out
	Container     string           // the engine's id; "" before there is one
	Drift         wire.Drift       // what the node does about changes by hand; "" is wire.DriftRepair
	Crash         image.CrashPolicy
	Observed      wire.State // the last that the agent said
	Seen          int64      // the generation that Observed is about
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// Of is what rights to the instance are asked with.
func (i Instance) Of() access.Of { return access.Of{Instance: i.ID, Owner: i.Owner} }

// Of is what rights to the instance are asked with.
func (l Listed) Of() access.Of { return access.Of{Instance: l.ID, Owner: l.Owner} }

// Status puts desired and actual together.
func (i Instance) Status() Status { return status(i.Phase, i.Suspended, i.Actual) }

func status(p Phase, suspended bool, a wire.Actual) Status {
	switch {
	case p == Deleting:
		return StatusDeleting
	case suspended:
		return StatusSuspended
	case p == Installing:
		return StatusInstalling
	case p == Failed:
		return StatusFailed
	default:
		return Status(a)
	}
}

// Listed is an instance as lists show it: without the parts that only its node
// needs. Ports and Env are the JSON of wire.Spec's fields; Env is nil unless the
// Filter asked for it.
type Listed struct {
	ID            ident.Instance
	Name          string
	Owner         ident.User
	Node          ident.Node
	Image         ident.Image
	Reference     string
	MemoryMiB     int64
	NanoCPUs      int64
	DiskMiB       int64
	Ports         json.RawMessage
	Env           json.RawMessage
	Power         wire.Want
	Suspended     bool
	SuspendReason string
	Phase         Phase
	Actual        wire.Actual
	Failure       json.RawMessage // a problem, or nil
	Container     string
	Generation    int64
	DriftPolicy   wire.Drift
	Drift         string // what was done by hand and is left so
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// Listed is the part of the instance that lists show, without what they keep as
// JSON: ports, environment and failure.
func (i Instance) Listed() Listed {
	return Listed{
		ID: i.ID, Name: i.Name, Owner: i.Owner, Node: i.Node, Image: i.Image, Reference: i.Reference, MemoryMiB: i.MemoryMiB, NanoCPUs: i.NanoCPUs,
		DiskMiB: i.DiskMiB, Power: i.Power, Suspended: i.Suspended, SuspendReason: i.SuspendReason, Phase: i.Phase, Actual: i.Actual,
		Container: i.Container, Generation: i.Generation, DriftPolicy: i.policy(), Drift: i.Observed.Drift, CreatedAt: i.CreatedAt, UpdatedAt: i.UpdatedAt,
	}
}

// Status puts desired and actual together.
func (l Listed) Status() Status { return status(l.Phase, l.Suspended, l.Actual) }

// policy is Drift in full.
func (i Instance) policy() wire.Drift {
	if i.Drift == "" {
		return wire.DriftRepair
	}
	return i.Drift
}

// amount is what the instance has of its node.
func (i Instance) amount() node.Amount {
	return node.Amount{MemoryMiB: i.MemoryMiB, DiskMiB: i.DiskMiB, NanoCPUs: i.NanoCPUs}
}

// Verb is a power order.
type Verb string

// The power orders.
const (
	Start   Verb = "start"
	Stop    Verb = "stop"
	Restart Verb = "restart"
	Kill    Verb = "kill"
)

// order makes the verb the instance's last power order.
func (i *Instance) order(v Verb) {
	p := wire.Power{Order: i.Spec.Power.Order + 1, Want: wire.WantRunning}
	switch v {
	case Start:
		if !i.runs() {
			i.tellMemory()
		}
	case Restart:
		p.Restart = true
		i.tellMemory()
	case Stop:
		p.Want = wire.WantStopped
	case Kill:
		p.Want, p.Force = wire.WantStopped, true
	}
	i.Spec.Power, i.Power = p, p.Want
	i.Spec.Hold = false
	if i.Phase == Failed && p.Want == wire.WantRunning {
		i.Phase = Installing // it was never ready: the order is another try
	}
}

// raise makes the spec as it now stands the next generation.
func (i *Instance) raise(now time.Time) {
	i.Generation++
	i.Spec.Generation, i.Spec.Revision = i.Generation, rand.Text()
	if !i.Spec.Copied {
		i.Spec.Moving = false // whatever is ordered now ends the Halt; a volume that came is frozen until it is settled
	}
	i.Spec.Suspended = i.Suspended
	i.Failure = nil
	i.UpdatedAt = now
}
