package node

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// whyNone says why no node could be chosen. It looks at all of them again and in
// words: only a deployment that is refused pays for it. unfit are the nodes that
// failed only Want.Fits.
func (s *Service) whyNone(ctx context.Context, tx *store.Tx, w Want, unfit []string) error {
	nodes, err := all(ctx, tx)
	if err != nil {
		return err
	}
	if err := tagsOf(nodes, w); err != nil {
		return err
	}
	if nodes, err = takers(nodes, w); err != nil {
		return err
	}
	loads, err := allLoads(ctx, tx)
	if err != nil {
		return err
	}
	var away []string // with room, and not to be reached
	var quiet Node    // one whose engine is away
	for _, n := range nodes {
		switch {
		case n.room(loads[n.ID], w.amount()) != nil:
		case !s.Fleet.Presence(n.ID).Online:
			away = append(away, n.Name)
		case !n.Hello.Engine.Reachable:
			away, quiet = append(away, n.Name), n
		}
	}
	switch {
	case len(unfit) > 0:
		return noneFits(unfit...)
	case len(away) == 0:
		return short(nodes, loads, w.amount())
	case len(away) == 1 && quiet.ID != "":
		return problem.New(problem.NodeOffline, "the container engine of node %s, the only one with room, does not answer", quiet.Name)
	default:
		slices.Sort(away)
		return problem.New(problem.NodeOffline, "no node with room can be reached: %s", listing("and", away))
	}
}

// tagsOf refuses tags that no node has.
func tagsOf(nodes []Node, w Want) error {
	for _, t := range w.Tags {
		there := false
		for _, n := range nodes {
			there = there || n.lacks([]string{t}) == ""
		}
		if !there {
			return problem.Invalid("tags", "no node has the tag %.64q", t)
		}
	}
	for _, n := range nodes {
		if n.lacks(w.Tags) == "" {
			return nil
		}
	}
	if len(w.Tags) > 0 {
		return problem.Invalid("tags", "no node has all of these tags: %.200s", strings.Join(w.Tags, ", "))
	}
	return nil
}

// takers gives the nodes that are for new instances of that kind, whatever their
// room, or says why there is none.
func takers(nodes []Node, w Want) ([]Node, error) {
	if len(nodes) == 0 {
		return nil, problem.New(problem.InsufficientResources, "there is no node yet; add one first")
	}
	var out []Node
	resting := 0
	for _, n := range nodes {
		switch {
		case n.takes(w) == nil:
			out = append(out, n)
		case n.Maintenance && n.EnrolledAt != nil && n.RevokedAt == nil && n.lacks(w.Tags) == "":
			resting++
		}
	}
	with := ""
	if len(w.Tags) > 0 {
		with = " with the tags " + strings.Join(w.Tags, ", ")
	}
	switch {
	case len(out) > 0:
		return out, nil
	case resting > 0:
		return nil, problem.New(problem.InsufficientResources, "no node%.200s takes new instances: %s in maintenance", with, some(resting, "node"))
	case len(w.Exclude) > 0:
		return nil, problem.New(problem.InsufficientResources, "there is no other node%.200s that takes instances", with)
	default:
		return nil, problem.New(problem.InsufficientResources, "no node%.200s takes instances: none has an agent that is let in", with)
	}
}

// best is the node with the most of something left.
type best struct {
	name string
	free int64
}

func (b *best) offer(name string, free int64) {
	if b.name == "" || free > b.free {
		b.name, b.free = name, max(free, 0)
	}
}

// short says what none of the nodes has enough of, and how much the best has; or,
// when each thing is there but not together, what the closest lacks.
func short(nodes []Node, loads map[ident.Node]Load, a Amount) error {
	var memory, disk, cpu best
	var closest Node
	fill := math.Inf(-1)
	for _, n := range nodes {
		c, l := n.Capacity(), loads[n.ID]
		memory.offer(n.Name, c.MemoryMiB-l.MemoryMiB)
		disk.offer(n.Name, c.DiskMiB-l.DiskMiB)
		cpu.offer(n.Name, n.freeCPU(l))
		share := min(float64(c.MemoryMiB-l.MemoryMiB)/float64(max(a.MemoryMiB, 1)), float64(c.DiskMiB-l.DiskMiB)/float64(max(a.DiskMiB, 1)),
			float64(n.freeCPU(l))/float64(max(a.NanoCPUs, 1)))
		if share > fill {
			closest, fill = n, share
		}
	}
	switch {
	case memory.free < a.MemoryMiB:
		return problem.New(problem.InsufficientResources, "no node has %d MiB of memory left; the most is %d MiB, on %s", a.MemoryMiB, memory.free, memory.name)
	case disk.free < a.DiskMiB:
		return problem.New(problem.InsufficientResources, "no node has %d MiB of disk left; the most is %d MiB, on %s", a.DiskMiB, disk.free, disk.name)
	case cpu.free < a.NanoCPUs:
		return problem.New(problem.InsufficientResources, "no node has %s cores left; the most is %s, on %s", inCores(a.NanoCPUs), inCores(cpu.free), cpu.name)
	}
	l := loads[closest.ID]
	return problem.New(problem.InsufficientResources,
		"no node has %d MiB of memory, %d MiB of disk and %s cores left together; the closest, %s, has %d MiB, %d MiB and %s", a.MemoryMiB, a.DiskMiB,
		inCores(a.NanoCPUs), closest.Name, max(closest.Capacity().MemoryMiB-l.MemoryMiB, 0), max(closest.Capacity().DiskMiB-l.DiskMiB, 0),
		inCores(max(closest.freeCPU(l), 0)))
}

// freeCPU is how many billionths of a core the node may still give to one instance.
func (n Node) freeCPU(l Load) int64 {
	c := n.Capacity()
	most := int64(c.Cores) * 1e9
	if c.Cores == 0 {
		most = math.MaxInt64
	}
	if c.NanoCPUs > 0 {
		most = min(most, c.NanoCPUs-l.NanoCPUs)
	}
	return most
}
