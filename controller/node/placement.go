package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// Strategy is which of the nodes that have room is chosen.
type Strategy string

// The strategies. What counts is the share of its memory, CPU or disk that a node
// would have left, of whatever it would have least; equals go by the fewest
// instances, then by name.
const (
	Spread Strategy = "spread" // the most left; also ""
	Pack   Strategy = "pack"   // the least left
)

// Want asks for a place on a node.
type Want struct {
	MemoryMiB int64
	DiskMiB   int64
	NanoCPUs  int64
	Tags      []string     // the node has all of them
	Exclude   []ident.Node // none of these
	On        ident.Node   // this one; "" any
	// Fits asks what only other rooms know (ports), of nodes that have room, the
	// best first, until it says yes. Nil: all fit. It must not write.
	Fits func(ctx context.Context, tx *store.Tx, n Node) (bool, error)
}

// ErrNoneFits is the cause of the problem that every node that was free to take
// it failed Want.Fits.
var ErrNoneFits = errors.New("no node fits")

// firstLook is how many nodes are looked at before all are.
const firstLook = 32

// Place chooses the node of an instance, in the transaction that makes the
// instance: what it says of room holds until the commit, since there is one
// writer. It reserves nothing itself.
//
// A node takes instances when its agent was let in and not shut out, it is not in
// maintenance, and it has room: what was declared, times the factor, without the
// reserve, and less what its instances have. The automatic choice also wants it
// online with its engine reachable; one that is named by On may be away.
//
// Problems: VALIDATION_ERROR for a node or a tag that isn't there, and for more
// cores than the named node has; CONFLICT when the named node takes no instances;
// INSUFFICIENT_RESOURCES says what is missing; NODE_OFFLINE when those with room
// are away.
func (s *Service) Place(ctx context.Context, tx *store.Tx, w Want) (Node, error) {
	if w.On != "" {
		return s.placeOn(ctx, tx, w)
	}
	var unfit []string
	for from, limit := 0, firstLook; ; from, limit = firstLook, -1 {
		ids, err := candidates(ctx, tx, w, s.Placement, from, limit)
		if err != nil {
			return Node{}, err
		}
		for _, id := range ids {
			n, ok, err := s.reach(ctx, tx, id)
			if err != nil {
				return Node{}, err
			}
			if !ok {
				continue
			}
			if ok, err = w.fits(ctx, tx, n); err != nil || ok {
				return n, err
			}
			unfit = append(unfit, n.Name)
		}
		if from > 0 || len(ids) < firstLook {
			return Node{}, s.whyNone(ctx, tx, w, unfit)
		}
	}
}

// reach gives a node if it can be called and its engine answers.
func (s *Service) reach(ctx context.Context, tx *store.Tx, id ident.Node) (n Node, ok bool, err error) {
	if !s.Fleet.Presence(id).Online {
		return n, false, nil
	}
	n, err = byID(ctx, tx, id)
	return n, err == nil && n.Hello.Engine.Reachable, err
}

func (w Want) fits(ctx context.Context, tx *store.Tx, n Node) (bool, error) {
	if w.Fits == nil {
		return true, nil
	}
	return w.Fits(ctx, tx, n)
}

func (s *Service) placeOn(ctx context.Context, tx *store.Tx, w Want) (Node, error) {
	n, err := byID(ctx, tx, w.On)
	if problem.Is(err, problem.NotFound) {
		return n, problem.Invalid("node_id", "there is no such node")
	}
	if err != nil {
		return n, err
	}
	if err := n.takes(w); err != nil {
		return n, err
	}
	load, err := loadOf(ctx, tx, n.ID)
	if err != nil {
		return n, err
	}
	if err := n.room(load, w.amount()); err != nil {
		return n, err
	}
	ok, err := w.fits(ctx, tx, n)
	if err == nil && !ok {
		err = noneFits(n.Name)
	}
	return n, err
}

func noneFits(names ...string) error {
	return problem.New(problem.InsufficientResources, "%s does not have these ports free", listing("or", names)).Because(ErrNoneFits)
}

// takes says why the node is not one for new instances, whatever its room.
func (n Node) takes(w Want) error {
	switch {
	case n.RevokedAt != nil:
		return problem.New(problem.Conflict, "node %s takes no instances: its agent was shut out; enrol it again first", n.Name)
	case n.EnrolledAt == nil:
		return problem.New(problem.Conflict, "node %s takes no instances yet: enrol its agent first", n.Name)
	case n.Maintenance:
		return problem.New(problem.Conflict, "node %s is in maintenance and takes no new instances", n.Name)
	case slices.Contains(w.Exclude, n.ID):
		return problem.New(problem.Conflict, "node %s is where it is already, or was ruled out", n.Name)
	}
	if missing := n.lacks(w.Tags); missing != "" {
		return problem.Invalid("tags", "node %s does not have the tag %.64q", n.Name, missing)
	}
	return nil
}

// lacks gives the first of the tags that the node doesn't have.
func (n Node) lacks(tags []string) string {
	for _, t := range tags {
		if !slices.Contains(n.Tags, t) {
			return t
		}
	}
	return ""
}

// Amount is what an instance has of a node, or asks for.
type Amount struct {
	MemoryMiB int64
	DiskMiB   int64
	NanoCPUs  int64
}

func (w Want) amount() Amount {
	return Amount{MemoryMiB: w.MemoryMiB, DiskMiB: w.DiskMiB, NanoCPUs: w.NanoCPUs}
}

// room says what the node lacks to take that much more.
func (n Node) room(l Load, more Amount) error {
	c := n.Capacity()
	if c.Cores > 0 && more.NanoCPUs > int64(c.Cores)*1e9 {
		return problem.Invalid("cpu", "node %s has %d cores", n.Name, c.Cores)
	}
	if free := c.MemoryMiB - l.MemoryMiB; more.MemoryMiB > free {
		return problem.New(problem.InsufficientResources, "node %s has %d MiB of memory left, %d were asked for", n.Name, max(free, 0), more.MemoryMiB)
	}
	if free := c.DiskMiB - l.DiskMiB; more.DiskMiB > free {
		return problem.New(problem.InsufficientResources, "node %s has %d MiB of disk left, %d were asked for", n.Name, max(free, 0), more.DiskMiB)
	}
	if free := c.NanoCPUs - l.NanoCPUs; c.NanoCPUs > 0 && more.NanoCPUs > free {
		return problem.New(problem.InsufficientResources, "node %s has %s cores left, %s were asked for", n.Name, inCores(max(free, 0)), inCores(more.NanoCPUs))
	}
	return nil
}

// Grow checks that a node has room for an instance of it that has held to have
// wanted. What doesn't grow is always allowed, also on a node that is over its
// limit, and whatever the node's state.
func (s *Service) Grow(ctx context.Context, q store.Querier, id ident.Node, held, wanted Amount) error {
	n, err := byID(ctx, q, id)
	if err != nil {
		return err
	}
	l, err := loadOf(ctx, q, id)
	if err != nil {
		return err
	}
	ask := Amount{}
	if wanted.MemoryMiB > held.MemoryMiB {
		ask.MemoryMiB, l.MemoryMiB = wanted.MemoryMiB, l.MemoryMiB-held.MemoryMiB
	}
	if wanted.DiskMiB > held.DiskMiB {
		ask.DiskMiB, l.DiskMiB = wanted.DiskMiB, l.DiskMiB-held.DiskMiB
	}
	if wanted.NanoCPUs > held.NanoCPUs {
		ask.NanoCPUs, l.NanoCPUs = wanted.NanoCPUs, l.NanoCPUs-held.NanoCPUs
	}
	// A limit that nothing is asked of can't be short of it, however full it is.
	if ask.MemoryMiB == 0 {
		l.MemoryMiB = 0
	}
	if ask.DiskMiB == 0 {
		l.DiskMiB = 0
	}
	if ask.NanoCPUs == 0 {
		l.NanoCPUs = 0
	}
	return n.room(l, ask)
}

func inCores(nano int64) string {
	return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.2f", float64(nano)/1e9), "0"), ".")
}

// listing joins names for a sentence, the first few of many.
func listing(word string, names []string) string {
	const shown = 5
	if more := len(names) - shown; more > 0 {
		return fmt.Sprintf("%s %s %d more", strings.Join(names[:shown], ", "), word, more)
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " " + word + " " + names[last]
}
