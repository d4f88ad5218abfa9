package node

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/secret"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Fleet is what we need of the live connections.
type Fleet interface {
	Presence(node ident.Node) fleet.Presence
	OnlineNodes() []ident.Node
	Refresh()
}

// Instances is what we need of the room of the instances: their tables are not
// ours.
type Instances interface {
	// ApplyEvent lets an agent's event take effect, in the transaction that moves
	// the node's cursor past it. It must check that the instance is that node's.
	// An error takes back what the event wrote; unless it is
	// store.IsUnavailable, the event counts as dealt with all the same.
	ApplyEvent(ctx context.Context, tx *store.Tx, node ident.Node, e wire.Event) error
	// Reconcile compares what a node holds with what it should hold, once for
	// each connection. An error ends the connection.
	Reconcile(ctx context.Context, node ident.Node, inventory wire.Inventory) error
}

// Deps are the rooms that nodes stand on. All must be there.
type Deps struct {
	DB        *store.DB
	Events    *event.Log
	Fleet     Fleet
	Authority *fleet.Authority
	Secrets   *secret.Box
	Instances Instances
	PublicURL string // what agents are told to call, without a slash at the end
	// Install gives the line that installs and enrols an agent of the controller
	// at this URL. Nil, or an error: only machines that have the agent can enrol.
	Install   func(url string, options ...string) (string, error)
	Placement Strategy
	Log       *slog.Logger
	Now       func() time.Time
}

// Service is the verbs of nodes. Safe for concurrent use.
type Service struct {
	Deps
	tries    *tries
	arrivals *arrivals

	mu        sync.Mutex
	announced map[ident.Node]bool // those of which node.online was told last
}

// NewService makes the service.
func NewService(d Deps) *Service {
	return &Service{Deps: d, tries: newTries(), arrivals: newArrivals(), announced: map[ident.Node]bool{}}
}

// Create adds a node and gives the key with which its agent enrols. A name that
// is taken is a CONFLICT.
func (s *Service) Create(ctx context.Context, c access.Caller, spec Spec) (n Node, e Enrolment, err error) {
	if spec, err = spec.clean(); err != nil {
		return n, e, err
	}
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		if n, err = s.insert(ctx, tx, c.Actor, spec); err != nil {
			return err
		}
		if e, err = s.newNodeKey(ctx, tx, n); err != nil {
			return err
		}
		v, err := s.view(ctx, tx, n)
		if err != nil {
			return err
		}
		return httpapi.Keep(ctx, tx, NodeEnrolmentView{Node: v, Enrolment: e.View()})
	})
	return n, e, err
}

func (s *Service) insert(ctx context.Context, tx *store.Tx, by access.Actor, spec Spec) (Node, error) {
	n := Node{ID: ident.Node(ident.New()), CreatedAt: s.moment()}
	n.UpdatedAt = n.CreatedAt
	n.take(spec)
	if err := put(ctx, tx, n); err != nil {
		return n, err
	}
	return n, s.tell(ctx, tx, by, "node.created", n, nil)
}

// Change edits a node's settings in one transaction. Instances keep what they
// were given, also when the node has less now.
func (s *Service) Change(ctx context.Context, c access.Caller, id ident.Node, edit func(*Spec)) (n Node, err error) {
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		if n, err = byID(ctx, tx, id); err != nil {
			return err
		}
		spec := n.spec()
		edit(&spec)
		if spec, err = spec.clean(); err != nil {
			return err
		}
		n.take(spec)
		n.UpdatedAt = s.moment()
		if err := put(ctx, tx, n); err != nil {
			return err
		}
		tx.AfterCommit(s.Fleet.Refresh)
		return s.tell(ctx, tx, c.Actor, "node.updated", n, nil)
	})
	return n, err
}

// Delete removes a node with its allocations and keys and cuts its connection.
// One that has instances, or takes part in a move, stays: a CONFLICT says so.
func (s *Service) Delete(ctx context.Context, c access.Caller, id ident.Node) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := byID(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := mayGo(ctx, tx, n); err != nil {
			return err
		}
		if err := remove(ctx, tx, id); err != nil {
			return err
		}
		tx.AfterCommit(s.Fleet.Refresh)
		return s.tell(ctx, tx, c.Actor, "node.deleted", n, nil)
	})
}

// mayGo refuses to lose a node that something still stands on.
func mayGo(ctx context.Context, tx *store.Tx, n Node) error {
	load, err := loadOf(ctx, tx, n.ID)
	if err != nil {
		return err
	}
	moves, err := movesOf(ctx, tx, n.ID)
	switch {
	case err != nil:
		return err
	case load.Instances > 0 && moves > 0:
		return problem.New(problem.Conflict, "node %s still has %s and takes part in %s; move or delete the instances, and let the moves end or cancel them",
			n.Name, some(load.Instances, "instance"), some(moves, "move"))
	case load.Instances > 0:
		return problem.New(problem.Conflict, "node %s still has %s: drain the node, or delete them (with forget=true when it will never come back)", n.Name, some(load.Instances, "instance"))
	case moves > 0:
		return problem.New(problem.Conflict, "node %s still takes part in %s of instances; let them end or cancel them first", n.Name, some(moves, "move"))
	default:
		return nil
	}
}

// some counts things in words.
func some(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// Revoke voids the node's certificate and its open enrolment keys and cuts its
// connection. Its instances stay, out of reach until it is enrolled anew.
func (s *Service) Revoke(ctx context.Context, c access.Caller, id ident.Node) (n Node, err error) {
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		if n, err = byID(ctx, tx, id); err != nil {
			return err
		}
		if n.Certificate == "" {
			return problem.New(problem.Conflict, "node %s has no certificate to revoke", n.Name)
		}
		if err := dropKeysOf(ctx, tx, id); err != nil {
			return err
		}
		now := s.moment()
		n.setCertificate(fleet.Issued{})
		n.RevokedAt = &now
		if err := put(ctx, tx, n); err != nil {
			return err
		}
		tx.AfterCommit(s.Fleet.Refresh)
		return s.tell(ctx, tx, c.Actor, "node.revoked", n, nil)
	})
	return n, err
}

// SetMaintenance takes a node out of placement or back in, in tx. What is there
// goes on as before. One that is so already stays so, and nothing is told.
func (s *Service) SetMaintenance(ctx context.Context, tx *store.Tx, by access.Actor, id ident.Node, on bool) error {
	n, err := byID(ctx, tx, id)
	if err != nil || n.Maintenance == on {
		return err
	}
	n.Maintenance, n.UpdatedAt = on, s.moment()
	if err := put(ctx, tx, n); err != nil {
		return err
	}
	fact := event.Type("node.maintenance_off")
	if on {
		fact = "node.maintenance_on"
	}
	return s.tell(ctx, tx, by, fact, n, nil)
}

// Get gives one node.
func (s *Service) Get(ctx context.Context, id ident.Node) (Node, error) {
	return byID(ctx, s.DB.Snapshot(), id)
}

// Find gives one node as a transaction sees it.
func (s *Service) Find(ctx context.Context, q store.Querier, id ident.Node) (Node, error) {
	return byID(ctx, q, id)
}

// Capacity is what instances on the node may have in all.
func (s *Service) Capacity(ctx context.Context, q store.Querier, id ident.Node) (Capacity, error) {
	n, err := byID(ctx, q, id)
	return n.Capacity(), err
}

// All gives every node, the oldest first.
func (s *Service) All(ctx context.Context) ([]Node, error) { return all(ctx, s.DB.Snapshot()) }

// List gives the nodes that match and how many match in all.
func (s *Service) List(ctx context.Context, f Filter) (nodes []Node, total int, err error) {
	err = s.DB.Read(ctx, func(q store.Querier) error {
		nodes, total, err = list(ctx, q, f, s.Fleet.OnlineNodes())
		return err
	})
	return nodes, total, err
}

// State is where the node is in its life now, and what its connection says.
func (s *Service) State(n Node) (State, fleet.Presence) {
	presence := s.Fleet.Presence(n.ID)
	return n.state(presence.Online), presence
}

// moment is now, as the database keeps it.
func (s *Service) moment() time.Time { return s.Now().UTC().Truncate(time.Millisecond) }

// tell writes what happened to the node.
func (s *Service) tell(ctx context.Context, tx *store.Tx, by access.Actor, t event.Type, n Node, data map[string]any) error {
	if data == nil {
		data = map[string]any{}
	}
	data["name"] = n.Name
	return s.Deps.Events.Append(ctx, tx, event.Event{Type: t, Node: n.ID, Actor: by}, data)
}
