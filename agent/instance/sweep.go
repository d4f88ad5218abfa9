package instance

import (
	"context"
	"slices"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/ident"
)

// looksPerSweep is how many instances a sweep looks at though nothing is seen to
// be wrong: a glance doesn't show limits.
const looksPerSweep = 20

// sweep finds what the events did not tell, such as a network that was taken
// away: one list of the engine, compared with what the owners know.
func (m *Manager) sweep(ctx context.Context) error {
	seen, err := m.deps.Engine.Glance(ctx)
	if err != nil {
		return err
	}
	boxes := map[ident.Instance][]runtime.Container{}
	for _, c := range seen {
		boxes[c.Instance] = append(boxes[c.Instance], c)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, o := range m.owners {
		o.glimpsed(boxes[id])
	}
	for _, id := range m.nextLooks() {
		m.owners[id].lookAgain()
	}
	return nil
}

// nextLooks are the instances whose turn it is to be looked at anyway, in the
// order of their ids; the caller holds mu.
func (m *Manager) nextLooks() []ident.Instance {
	if len(m.owners) == 0 {
		return nil
	}
	ids := make([]ident.Instance, 0, len(m.owners))
	for id := range m.owners {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	if len(ids) <= looksPerSweep {
		return ids
	}
	at, found := slices.BinarySearch(ids, m.looked)
	if found {
		at++
	}
	next := make([]ident.Instance, 0, looksPerSweep)
	for i := range looksPerSweep {
		next = append(next, ids[(at+i)%len(ids)])
	}
	m.looked = next[len(next)-1]
	return next
}

// glimpsed compares what a glance showed with what the last turn left. During a
// turn it says nothing.
func (o *owner) glimpsed(boxes []runtime.Container) {
	boxes = glimpses(boxes)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.cancel != nil || o.mail.listed || o.known.Doomed > 0 {
		return // at work, about to begin, or waiting for its own time
	}
	for _, c := range boxes {
		if !slices.ContainsFunc(o.seen, func(k runtime.Container) bool { return k.ID == c.ID }) {
			o.mail.strange = true
		}
	}
	same := len(boxes) == len(o.seen) && !slices.ContainsFunc(boxes, func(c runtime.Container) bool { return !slices.Contains(o.seen, c) })
	if same {
		return
	}
	o.mail.changed = true
	o.rouse()
}

// lookAgain lets the next turn inspect, unless a removal waits for its own time.
func (o *owner) lookAgain() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.known.Doomed == 0 && !o.gone {
		o.mail.changed = true
		o.rouse()
	}
}

// glimpses are what Glance would say of these containers, as far as it matters
// here.
func glimpses(boxes []runtime.Container) []runtime.Container {
	list := make([]runtime.Container, 0, len(boxes))
	for _, c := range boxes {
		list = append(list, runtime.Container{ID: c.ID, Name: c.Name, Status: c.Status, Network: c.Network})
	}
	return list
}
