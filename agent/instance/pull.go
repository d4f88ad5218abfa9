package instance

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// pullPauses are the waits between the tries of a pull that may work later:
// three tries within about a minute.
var pullPauses = [...]time.Duration{5 * time.Second, 20 * time.Second}

// pulls shares the pulls of one reference among the instances that wait for it,
// and lets only a few references be pulled at a time.
type pulls struct {
	engine runtime.Engine
	slots  gate
	work   sync.WaitGroup

	mu     sync.Mutex
	active map[string]*pull
}

// pull is one reference on its way.
type pull struct {
	done     chan struct{}
	err      error // after done
	cancel   context.CancelFunc
	watchers map[*watcher]struct{}
}

type watcher struct {
	progress func(runtime.PullProgress)
}

func newPulls(engine runtime.Engine, limit int) *pulls {
	return &pulls{engine: engine, slots: make(gate, limit), active: map[string]*pull{}}
}

// pull fetches the reference, or joins the pull of it that is under way; that
// one ends early only when everybody has left.
func (p *pulls) pull(ctx context.Context, reference string, progress func(runtime.PullProgress)) error {
	w := &watcher{progress: progress}
	x := p.join(ctx, reference, w)
	defer p.leave(reference, x, w)
	select {
	case <-x.done:
		return x.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *pulls) join(ctx context.Context, reference string, w *watcher) *pull {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.active[reference]
	if x == nil {
		shared, cancel := context.WithCancel(context.WithoutCancel(ctx))
		x = &pull{done: make(chan struct{}), cancel: cancel, watchers: map[*watcher]struct{}{}}
		p.active[reference] = x
		p.work.Go(func() { p.run(shared, reference, x) })
	}
	x.watchers[w] = struct{}{}
	return x
}

func (p *pulls) leave(reference string, x *pull, w *watcher) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(x.watchers, w)
	if len(x.watchers) == 0 {
		x.cancel()
		if p.active[reference] == x {
			delete(p.active, reference)
		}
	}
}

func (p *pulls) run(ctx context.Context, reference string, x *pull) {
	defer close(x.done)
	if x.err = p.slots.enter(ctx); x.err != nil {
		return
	}
	defer p.slots.leave()
	x.err = p.engine.Pull(ctx, reference, func(progress runtime.PullProgress) {
		for _, w := range p.watching(x) {
			w.progress(progress)
		}
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.active[reference] == x { // who comes from now on finds the image, or tries anew
		delete(p.active, reference)
	}
}

func (p *pulls) watching(x *pull) []*watcher {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]*watcher, 0, len(x.watchers))
	for w := range x.watchers {
		list = append(list, w)
	}
	return list
}

// wait returns when no pull runs any more.
func (p *pulls) wait() { p.work.Wait() }

// ensureImage makes sure that the image is on this machine. A registry is asked
// only when it is not.
func (o *owner) ensureImage(ctx context.Context, j job) error {
	reference := j.desired.Spec.Image.Reference
	return o.m.fetch(ctx, o.log, reference,
		func() { o.step(j, "pull", "Pulling %s", reference) },
		func(p runtime.PullProgress) { o.report(j, pullProgress(reference, p)) })
}

// Fetch gets an image onto this machine for an instance that is still to come
// (agent/move); it returns once the image is there. Failures are
// *problem.Problem: NODE_OFFLINE while the engine is away.
func (m *Manager) Fetch(ctx context.Context, reference string) error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return problem.New(problem.NodeOffline, "the agent is being stopped")
	}
	m.owned.Add(1) // Run waits for it
	m.mu.Unlock()
	defer m.owned.Done()
	if err := m.fetch(ctx, m.log, reference, func() {}, func(runtime.PullProgress) {}); err != nil {
		return explain(err).Because(err)
	}
	return nil
}

func (m *Manager) fetch(ctx context.Context, log *slog.Logger, reference string, begin func(), progress func(runtime.PullProgress)) error {
	if images := m.deps.Images; images != nil {
		mine, err := images.Provide(ctx, reference)
		if mine || err != nil {
			return err
		}
	}
	_, err := m.deps.Engine.Image(ctx, reference)
	if runtime.ReasonOf(err) != runtime.ImageMissing {
		return err
	}
	for try := 0; ; try++ {
		begin()
		err := m.pulls.pull(ctx, reference, progress)
		reason := runtime.ReasonOf(err)
		if err == nil || ctx.Err() != nil || reason == runtime.Unreachable || !reason.Temporary() || try == len(pullPauses) {
			return err
		}
		log.Warn("the pull failed and is tried again", "image", reference, "error", err, "in", pullPauses[try])
		if err := pause(ctx, pullPauses[try]); err != nil {
			return err
		}
	}
}

func pullProgress(reference string, p runtime.PullProgress) wire.Progress {
	w := wire.Progress{Step: "pull", Percent: -1, Message: "Pulling " + reference}
	if p.TotalBytes > 0 {
		w.Percent = int(min(100, max(0, p.DoneBytes*100/p.TotalBytes)))
		w.Message = fmt.Sprintf("%s %d of %d MiB", p.Message, p.DoneBytes>>20, p.TotalBytes>>20)
	}
	return w
}
