package instance

import (
	"context"
	"slices"

	"github.com/berth-panel/berth/agent/journal"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/wire"
)

// look brings boxes up to date, as far as that is due.
func (o *owner) look(ctx context.Context) error {
	if err := o.relist(ctx); err != nil {
		return err
	}
	if !o.stale {
		return nil
	}
	kept := make([]runtime.Container, 0, len(o.boxes))
	for _, box := range o.boxes {
		c, err := o.m.deps.Engine.Inspect(ctx, box.ID)
		if runtime.ReasonOf(err) == runtime.Missing {
			continue
		}
		if err != nil {
			return err
		}
		kept = append(kept, c)
	}
	o.boxes, o.stale = kept, false
	return nil
}

// relist finds the containers that boxes may not hold.
func (o *owner) relist(ctx context.Context) error {
	if !o.unsure {
		return nil
	}
	all, err := o.m.deps.Engine.List(ctx)
	if err != nil {
		return err
	}
	o.boxes, o.aides = split(slices.DeleteFunc(all, func(c runtime.Container) bool { return c.Instance != o.id }))
	o.unsure, o.stale = false, false
	return nil
}

// observe draws the conclusions from what was seen: the container that ran has
// ended, or one runs that we did not start.
func (o *owner) observe(j job, spec runtime.ContainerSpec) {
	if i := pick(o.boxes, func(c runtime.Container) bool { return o.fits(c, spec) }); i > 0 {
		o.boxes = append([]runtime.Container{o.boxes[i]}, append(o.boxes[:i:i], o.boxes[i+1:]...)...)
	}
	o.recognise(spec)
	if known, _ := o.know(); !known.Installed && everStarted(o.boxes) {
		o.learn(func(k *journal.Known) { k.Installed = true }) // by an agent whose journal is lost
	}
	if c := o.find(o.condemned); o.condemned != "" && (c == nil || !isUp(*c)) {
		if o.live == o.condemned {
			o.live = ""
		}
		o.condemned = ""
	}
	if o.live != "" {
		c := o.find(o.live)
		switch {
		case c == nil: // removed by hand
			o.live = ""
		case !isUp(*c):
			o.ended(j, *c)
		default:
			o.runsAnew(j, *c)
		}
	}
	if o.live == "" && len(o.boxes) > 0 && isUp(o.boxes[0]) {
		o.adopt(j, o.boxes[0])
	} else if j.mail.listed && len(o.boxes) > 0 {
		o.m.deps.Console.Resume(o.boxes[0]) // what it printed while nobody looked
	}
	o.observeHand(j)
}

// runsAnew notices that the engine has started it again, by somebody's order,
// before its end was looked at.
func (o *owner) runsAnew(j job, c runtime.Container) {
	if _, state := o.know(); state.StartedAt == nil || !state.StartedAt.Equal(c.StartedAt) {
		o.adopt(j, c)
	}
}

// adopt takes a running container as ours.
func (o *owner) adopt(j job, c runtime.Container) {
	o.live = c.ID
	o.m.deps.Console.Resume(c)
	started := c.StartedAt.UTC()
	o.set(j, func(s *wire.State) {
		if s.StartedAt == nil || !s.StartedAt.Equal(started) { // a run that isn't known yet
			s.ReadyAt, s.Overdue = nil, false
		} else if s.Actual == wire.ActualRunning && s.ReadyAt == nil { // said to run by an agent that knew no other
			s.ReadyAt = &started
		}
		s.Actual, s.StartedAt, s.RetryAt, s.ExitCode, s.OOM = upAs(*s), &started, nil, nil, false
	})
	if known, _ := o.know(); known.Halt != journal.HaltNone {
		o.learn(func(k *journal.Known) { k.Halt = journal.HaltNone }) // started by hand
	}
}

func (o *owner) find(id runtime.ContainerID) *runtime.Container {
	for i := range o.boxes {
		if id != "" && o.boxes[i].ID == id {
			return &o.boxes[i]
		}
	}
	return nil
}

// replace puts a newer look at a container in the old one's place.
func (o *owner) replace(c runtime.Container) {
	for i := range o.boxes {
		if o.boxes[i].ID == c.ID {
			o.boxes[i] = c
		}
	}
}

// pick gives the index of the container to keep among several of one instance:
// one that fits, then one that runs, then the newest. -1 for none.
func pick(boxes []runtime.Container, fits func(runtime.Container) bool) int {
	best := -1
	for i := range boxes {
		if best < 0 || better(boxes[i], boxes[best], fits) {
			best = i
		}
	}
	return best
}

func better(a, b runtime.Container, fits func(runtime.Container) bool) bool {
	if is, was := fits(a), fits(b); is != was {
		return is
	}
	if isUp(a) != isUp(b) {
		return isUp(a)
	}
	return a.Generation > b.Generation
}

// isUp says whether processes of the container may exist.
func isUp(c runtime.Container) bool {
	switch c.Status {
	case runtime.Running, runtime.Paused, runtime.Restarting:
		return true
	default:
		return false
	}
}

func everStarted(boxes []runtime.Container) bool {
	for _, c := range boxes {
		if isUp(c) || c.Status == runtime.Exited && !c.StartedAt.IsZero() {
			return true
		}
	}
	return false
}
