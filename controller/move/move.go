package move

import (
	"fmt"
	"strings"
	"time"

	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/shared/ident"
)

// Stage is how far a move is.
type Stage string

// The stages.
const (
	Copying  Stage = "copying"  // the instance is on From, room is kept on To
	Switched Stage = "switched" // it is on To, which has not said yet that it is well there
	Leaving  Stage = "leaving"  // what is on From is being removed
)

// Move is an instance on its way, or what one has left behind.
type Move struct {
	Job      ident.Job // that works on it: the move, and when it is Leaving the eviction
	Instance ident.Instance
	From, To ident.Node
	Stage    Stage
	// CountsOn is the node on which the next three are taken, beside what the
	// instance's own row takes on its node.
	CountsOn  ident.Node
	MemoryMiB int64
	DiskMiB   int64
	NanoCPUs  int64
	// Generation is the one that From was told last; with Leaving the removal's, or
	// 0 when From never had more than an incoming volume.
	Generation int64
	CreatedAt  time.Time
}

// Order says where an instance is to go. It is the input of the move's job.
type Order struct {
	Node     ident.Node            `json:"node,omitempty"`     // "" leaves it to the placement
	Ports    *[]allocation.Mapping `json:"ports,omitempty"`    // on the new node; nil are the same
	Reassign bool                  `json:"reassign,omitempty"` // exchange ports that are taken there
}

// ports gives what is asked for on the new node.
func (o Order) ports(i instance.Instance) []allocation.Mapping {
	if o.Ports != nil {
		return *o.Ports
	}
	out := make([]allocation.Mapping, 0, len(i.Spec.Ports))
	for _, p := range i.Spec.Ports {
		out = append(out, allocation.Mapping{Host: p.Host, Container: p.Container, Primary: p.Primary})
	}
	return out
}

// numbers lists ports for a sentence.
func numbers(ports []uint16) string {
	out := make([]string, len(ports))
	for n, p := range ports {
		out[n] = fmt.Sprint(p)
	}
	return strings.Join(out, ", ")
}

// size is an amount of bytes for people.
func size(bytes int64) string {
	if bytes < 1<<20 {
		return fmt.Sprintf("%d KiB", (bytes+1023)>>10)
	}
	return fmt.Sprintf("%d MiB", (bytes+1<<19)>>20)
}
