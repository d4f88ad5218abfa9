package live

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/stats"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// answer does what the page asks for.
func (p *page) answer(ctx context.Context, in ask) error {
	switch {
	case in.Type == "ping":
		return p.send(tell{Type: "pong"})
	case in.Type != "watch":
		return p.send(tell{Type: "refused", Message: `a message is {"type":"watch","instances":[…],"nodes":[…]} or {"type":"ping"}`})
	case len(in.Instances)+len(in.Nodes) > watchMost:
		return p.send(tell{Type: "refused", Message: fmt.Sprintf("at most %d instances and nodes are watched at a time: name those that are shown", watchMost)})
	}
	clear(p.silent) // who asks wants to know how all of it stands
	clear(p.still)
	if err := p.choose(ctx, in); err != nil {
		return err
	}
	return p.tellWatching()
}

// choose watches what is asked for, as far as the caller may see it.
func (p *page) choose(ctx context.Context, in ask) error {
	next := watched{instances: map[ident.Instance]ident.Node{}, nodes: map[ident.Node]struct{}{}}
	sources := map[ident.Node]struct{}{}
	for _, id := range in.Instances {
		i, err := p.service.Grants.Allow(ctx, p.caller, id, access.SeeInstance)
		if at, had := p.watch.instances[id]; err != nil && had && !refused(err) {
			i.Node, err = at, nil // nobody knows now: as before
		}
		if err == nil {
			next.instances[id] = i.Node
			sources[i.Node] = struct{}{}
		}
	}
	for _, id := range in.Nodes {
		if !p.caller.Can(access.ReadNodes) {
			break
		}
		_, err := p.service.Nodes.Get(ctx, id)
		if _, had := p.watch.nodes[id]; err == nil || had && !refused(err) {
			next.nodes[id] = struct{}{}
			sources[id] = struct{}{}
		}
	}
	p.watch = next
	p.shared.Store(&next)
	maps.DeleteFunc(p.silent, func(id ident.Node, _ string) bool { _, watched := sources[id]; return !watched })
	maps.DeleteFunc(p.still, func(id ident.Instance, _ struct{}) bool { _, watched := next.instances[id]; return !watched })
	p.service.watch(p, sources) //nolint:contextcheck // what pages share outlives each of them
	return ctx.Err()
}

// refused says whether the error tells something of a right.
func refused(err error) bool {
	var p *problem.Problem
	return errors.As(err, &p)
}

// watches says whether the page watches the instance. Anybody may ask.
func (p *page) watches(id ident.Instance) bool {
	w := p.shared.Load()
	if w == nil {
		return false
	}
	_, ok := w.instances[id]
	return ok
}

func (p *page) tellWatching() error {
	instances, nodes := slices.Sorted(maps.Keys(p.watch.instances)), slices.Sorted(maps.Keys(p.watch.nodes))
	return p.send(tellWatching{"watching", append([]ident.Instance{}, instances...), append([]ident.Node{}, nodes...)})
}

// put replaces what the page has not been told yet of a node. Anybody may.
func (p *page) put(id ident.Node, r *reading) {
	p.mu.Lock()
	p.readings[id] = r
	p.mu.Unlock()
	select {
	case p.fresh <- struct{}{}:
	default:
	}
}

// tellReadings tells the figures of what is watched. Whose right may be gone is
// looked at before.
func (p *page) tellReadings(ctx context.Context) error {
	select {
	case <-p.again:
		p.review() // the rest of it is the round's
		if err := p.choose(ctx, ask{Instances: slices.Collect(maps.Keys(p.watch.instances)), Nodes: slices.Collect(maps.Keys(p.watch.nodes))}); err != nil {
			return err
		}
	default:
	}
	p.mu.Lock()
	readings := p.readings
	p.readings = map[ident.Node]*reading{}
	p.mu.Unlock()
	for id, r := range readings {
		if err := p.tellReading(id, r); err != nil {
			return err
		}
	}
	return nil
}

func (p *page) tellReading(at ident.Node, r *reading) error {
	why := ""
	if r.err != nil {
		why = problem.From(r.err).Message
	}
	said := p.silent[at] == why && why != "" // once for each reason
	p.silent[at] = why
	if said {
		return nil
	}
	if _, watched := p.watch.nodes[at]; watched {
		var m any = tellNode{"stats", at, stats.NodeViewOf(r.Node)}
		if why != "" {
			m = tellOffline{Type: "offline", Node: at, Code: problem.From(r.err).Code, Message: why}
		}
		if err := p.send(m); err != nil {
			return err
		}
	}
	for id, node := range p.watch.instances {
		if node != at {
			continue
		}
		if err := p.tellInstance(id, r, why); err != nil {
			return err
		}
	}
	return nil
}

// tellInstance tells of one instance. That it doesn't run is told once.
func (p *page) tellInstance(id ident.Instance, r *reading, why string) error {
	if why != "" {
		return p.send(tellOffline{Type: "offline", Instance: id, Code: problem.From(r.err).Code, Message: why})
	}
	sample, running := r.Instances[id]
	if _, known := p.still[id]; known && !running {
		return nil
	}
	if running {
		delete(p.still, id)
	} else {
		p.still[id] = struct{}{}
		sample.At, sample.DiskUsed = r.Node.At, -1
	}
	return p.send(tellStats{"stats", id, stats.ViewOf(sample)})
}
