package allocation

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// Service is the verbs of allocations. Safe for concurrent use.
type Service struct {
	db     *store.DB
	events *event.Log
	nodes  Nodes
	now    func() time.Time
}

// Nodes finds nodes.
type Nodes interface {
	Find(ctx context.Context, q store.Querier, id ident.Node) (node.Node, error)
}

// NewService makes the service.
func NewService(db *store.DB, events *event.Log, nodes Nodes, now func() time.Time) *Service {
	return &Service{db: db, events: events, nodes: nodes, now: now}
}

// ClaimRequest asks for ports of a node for an instance.
type ClaimRequest struct {
	Node     ident.Node
	Instance ident.Instance
	IP       string // the address on which ports outside the pool are made
	Ports    []Mapping
}

// Claim takes the ports for the instance, in tx: free ones of the pool (on r.IP
// if there is one, else on any address of the node), else new ones on r.IP. A
// mapping with an IP gets exactly that address, one without a host port the
// lowest free port of the pool; when there is none that is INSUFFICIENT_RESOURCES.
// A port that another instance holds where the addresses overlap is a CONFLICT,
// which names that instance unless the context's caller is a user without the
// right to know of it. After an error the transaction must not be committed.
func (s *Service) Claim(ctx context.Context, tx *store.Tx, r ClaimRequest) ([]Allocation, error) {
	return s.claim(ctx, tx, r, nil)
}

// claim prefers, of a port's free allocations, one on the address in had.
func (s *Service) claim(ctx context.Context, tx *store.Tx, r ClaimRequest, had map[uint16]string) ([]Allocation, error) {
	if err := Check(r.Ports); err != nil {
		return nil, err
	}
	spare, err := spares(ctx, tx, r.Node, r.Ports)
	if err != nil {
		return nil, err
	}
	out := make([]Allocation, 0, len(r.Ports))
	for position, want := range r.Ports {
		var a Allocation
		if want.Host == 0 {
			a, spare, err = draw(spare)
		} else {
			a, err = s.take(ctx, tx, r, want, had[want.Host])
		}
		if err != nil {
			return nil, err
		}
		a.Instance, a.ContainerPort, a.Primary = r.Instance, want.Container, want.Primary
		if err := hold(ctx, tx, a, position); err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// draw takes the first of the pool's free ports.
func draw(spare []Allocation) (Allocation, []Allocation, error) {
	if len(spare) == 0 {
		return Allocation{}, nil, problem.New(problem.InsufficientResources, "the node's pool has no free port left; add ports to it, or name a host port")
	}
	return spare[0], spare[1:], nil
}

// take finds or makes the free allocation of one port, best on the address where
// it was held before.
func (s *Service) take(ctx context.Context, tx *store.Tx, r ClaimRequest, want Mapping, before string) (Allocation, error) {
	there, err := onPort(ctx, tx, r.Node, want.Host)
	if err != nil {
		return Allocation{}, err
	}
	if before == "" {
		before = r.IP
	}
	found, holder := choose(there, want.IP, before, r.IP)
	switch {
	case found != nil:
		return *found, nil
	case holder != nil:
		return Allocation{}, taken(ctx, *holder)
	}
	if want.IP != "" {
		r.IP = want.IP
	}
	a := Allocation{ID: ident.Allocation(ident.New()), Node: r.Node, IP: r.IP, Port: want.Host, CreatedAt: s.now().UTC()}
	return a, insert(ctx, tx, a)
}

// choose finds, among all allocations of one port of a node, the free one to
// take: only on exact when that is set, else best on best. When there is none,
// holder is who keeps a new one from being made on fresh (or exact); nil: nobody.
func choose(there []Allocation, exact, best, fresh string) (found, holder *Allocation) {
	for n, a := range there {
		fits := exact == "" || a.IP == exact
		if a.Instance == "" && fits && (found == nil || a.IP == best) && !heldBeside(there, a) {
			found = &there[n]
		}
	}
	if found != nil {
		return found, nil
	}
	if exact != "" {
		fresh = exact
	}
	for n, a := range there {
		if a.Instance != "" && overlap(a.IP, fresh) {
			return nil, &there[n]
		}
	}
	return nil, nil
}

// taken is the problem of a port that somebody holds.
func taken(ctx context.Context, a Allocation) *problem.Problem {
	holder := "another instance"
	if c := access.From(ctx); c.Holds(access.ReadInstances) || !c.Known() {
		holder = "instance " + string(a.Instance)
	}
	p := problem.New(problem.Conflict, "port %d of the node is taken by %s; choose another", a.Port, holder)
	if a.ID == "" { // reserved, and no allocation
		p = problem.New(problem.Conflict, "port %d of the node is in use by a stray %s; choose another, or remove or adopt the stray first", a.Port, strings.TrimPrefix(holder, "another "))
	}
	p.Fields = []problem.Field{{Field: "ports", Message: p.Message}}
	return p
}

// heldBeside says whether somebody holds the port on an address that overlaps.
func heldBeside(all []Allocation, a Allocation) bool {
	for _, other := range all {
		if other.Instance != "" && overlap(other.IP, a.IP) {
			return true
		}
	}
	return false
}

// Replace makes the ports of an instance on a node those of the request, in tx. A
// port of the pool that it holds and keeps stays on its address, and a mapping
// without a host port keeps the one that its container port has.
func (s *Service) Replace(ctx context.Context, tx *store.Tx, r ClaimRequest) ([]Allocation, error) {
	held, err := ofOn(ctx, tx, r.Instance, r.Node)
	if err != nil {
		return nil, err
	}
	had := map[uint16]string{}
	for _, a := range held {
		if a.Pooled {
			had[a.Port] = a.IP
		}
	}
	r.Ports = keep(r.Ports, held)
	if err := freeOn(ctx, tx, r.Instance, r.Node); err != nil {
		return nil, err
	}
	return s.claim(ctx, tx, r, had)
}

// keep names, for the mappings without a host port, the one that the instance
// has for that container port already.
func keep(ports []Mapping, held []Allocation) []Mapping {
	ports = slices.Clone(ports)
	used := map[uint16]bool{}
	for _, p := range ports {
		used[p.Host] = true
	}
	for n, p := range ports {
		if p.Host != 0 {
			continue
		}
		for _, a := range held {
			if a.ContainerPort == p.Container && !used[a.Port] {
				ports[n].Host, used[a.Port] = a.Port, true
				break
			}
		}
	}
	return ports
}

// ReleaseAll gives everything back that an instance holds, in tx.
func (s *Service) ReleaseAll(ctx context.Context, tx *store.Tx, id ident.Instance) error {
	return free(ctx, tx, id)
}

// Added is what Add did.
type Added struct {
	Made    int
	Present int // were there already
}

// Add fills a node's pool with ports ("8080", "25565-25600") on an address; ""
// is the node's bind address. What is there already stays as it is, but stays
// for good. A port that is there on an overlapping address is a CONFLICT, and
// nothing is added.
func (s *Service) Add(ctx context.Context, c access.Caller, id ident.Node, ip string, ports []string) (done Added, err error) {
	numbers, err := parseRanges(ports)
	if err != nil {
		return done, err
	}
	err = s.db.Write(ctx, func(tx *store.Tx) error {
		host, err := s.nodes.Find(ctx, tx, id)
		if err != nil {
			return err
		}
		if ip == "" {
			ip = host.BindAddress
		}
		addr, err := netip.ParseAddr(ip)
		if err != nil || addr.Zone() != "" {
			return problem.Invalid("ip", "%.40q is not an IP address", ip)
		}
		ip = addr.Unmap().String()
		for batch := range slices.Chunk(numbers, batchSize) {
			if err := s.add(ctx, tx, id, ip, batch, &done); err != nil {
				return err
			}
		}
		return s.events.Append(ctx, tx, event.Event{Type: "allocation.added", Node: id, Actor: c.Actor},
			map[string]any{"ip": ip, "ports": ports, "made": done.Made})
	})
	return done, err
}

// batchSize is how many ports one statement is about.
const batchSize = 1000

func (s *Service) add(ctx context.Context, tx *store.Tx, id ident.Node, ip string, ports []uint16, done *Added) error {
	others, err := elsewhere(ctx, tx, id, ip, ports)
	if err != nil {
		return err
	}
	for _, a := range others {
		if overlap(a.IP, ip) {
			return problem.New(problem.Conflict, "port %d is there on %s already, which overlaps with %s", a.Port, a.IP, ip)
		}
	}
	present, err := pool(ctx, tx, id, ip, ports)
	if err != nil {
		return err
	}
	made, err := fill(ctx, tx, id, ip, ports, s.now())
	done.Made, done.Present = done.Made+made, done.Present+present
	return err
}

// List gives a page of a node's allocations and how many match in all.
func (s *Service) List(ctx context.Context, f Filter) (items []Allocation, total int, err error) {
	err = s.db.Read(ctx, func(q store.Querier) error {
		if _, err := s.nodes.Find(ctx, q, f.Node); err != nil {
			return err
		}
		items, total, err = list(ctx, q, f)
		return err
	})
	return items, total, err
}

// Delete takes a free allocation out of a node's pool; one in use is a CONFLICT.
func (s *Service) Delete(ctx context.Context, c access.Caller, node ident.Node, id ident.Allocation) error {
	return s.db.Write(ctx, func(tx *store.Tx) error {
		a, err := get(ctx, tx, node, id)
		if errors.Is(err, store.ErrNoRows) {
			return problem.New(problem.NotFound, "this node has no such allocation")
		}
		if err != nil {
			return err
		}
		if a.Instance != "" {
			return problem.New(problem.Conflict, "instance %s uses port %d; delete it or change its ports first", a.Instance, a.Port)
		}
		if err := remove(ctx, tx, id); err != nil {
			return err
		}
		return s.events.Append(ctx, tx, event.Event{Type: "allocation.removed", Node: node, Subject: string(id), Actor: c.Actor},
			map[string]any{"ip": a.IP, "port": a.Port})
	})
}
