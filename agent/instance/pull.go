package instance

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// pullPauses are the waits between the tries of a pull that may work later:
// three tries within about a minute.
var pullPauses = [...]time.Duration{5 * time.Second, 20 * time.Second}

// Logins are what registries are shown at a pull (agent/registry): the login of
// exactly that host, or none.
type Logins interface {
	Login(host string) runtime.Login
}

// pulls shares the pulls of one reference among the instances that wait for it,
// and lets only a few references be pulled at a time.
type pulls struct {
	engine runtime.Engine
	logins Logins // nil: none
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

func newPulls(engine runtime.Engine, logins Logins, limit int) *pulls {
	return &pulls{engine: engine, logins: logins, slots: make(gate, limit), active: map[string]*pull{}}
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
	x.err = p.engine.Pull(ctx, reference, p.login(reference), func(progress runtime.PullProgress) {
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

// login is what the reference's registry is shown.
func (p *pulls) login(reference string) runtime.Login {
	host, err := runtime.Host(reference)
	if p.logins == nil || err != nil {
		return runtime.Login{}
	}
	return p.logins.Login(host)
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

// wanted is the name of the image that a spec asks for: of exactly the one that
// it is pinned to, if it is.
func wanted(i wire.ImageSpec) string { return runtime.Wanted(i.Reference, i.Digest) }

// ensureImage makes sure that the image is on this machine, and asks its registry
// when the policy says so.
func (o *owner) ensureImage(ctx context.Context, j job) error {
	return o.obtain(ctx, j, wanted(j.desired.Spec.Image))
}

// obtain is the Manager's, for one of the images that the job needs, and tells how
// far it is.
func (o *owner) obtain(ctx context.Context, j job, reference string) error {
	return o.m.obtain(ctx, reference, j.desired.Spec.Image.Pull, hearer{
		begin:    func() { o.step(j, "pull", "Pulling %s", reference) },
		progress: func(p runtime.PullProgress) { o.report(j, pullProgress(reference, p)) },
		remark: func(text string, err error) {
			o.log.Warn(text, "image", reference, "error", err)
			o.remark(j, strings.ToUpper(text[:1])+text[1:]+": "+sentence(err))
		},
	})
}

// hearer is told how an image is got.
type hearer struct {
	begin    func() // of each pull
	progress func(runtime.PullProgress)
	remark   func(text string, err error) // of what isn't the end of it
}

// outdated says whether the container at boxes[0] must be made anew because its
// registry has another image by now. Only an order to start asks, and only where
// the policy is to ask always: not a crash, and not the agent's own start.
func (o *owner) outdated(ctx context.Context, j job) (bool, error) {
	image, power := j.desired.Spec.Image, j.desired.Spec.Power
	known, _ := o.know()
	if image.Pull != wire.PullAlways || !j.runs() || power.Order <= known.Applied || o.boxes[0].ImageID == "" || o.live != "" && !power.Restart {
		return false, nil
	}
	if err := o.ensureImage(ctx, j); err != nil {
		return false, err
	}
	found, err := o.m.deps.Engine.Image(ctx, wanted(image))
	if err != nil {
		return false, err
	}
	return found.ID != o.boxes[0].ImageID, nil
}

// asked is the job once its registry was asked.
func (j job) asked() job {
	spec := *j.desired.Spec
	spec.Image.Pull = wire.PullMissing
	j.desired.Spec = &spec
	return j
}

// noteDigest keeps which image the container was made from, as its registry
// calls it.
func (o *owner) noteDigest(ctx context.Context, j job) error {
	found, err := o.m.deps.Engine.Image(ctx, wanted(j.desired.Spec.Image))
	if err != nil && runtime.ReasonOf(err) != runtime.ImageMissing {
		return err
	}
	o.set(j, func(s *wire.State) { s.Digest = found.Digest })
	return nil
}

// Fetch gets an image onto this machine by its policy, for an instance that is
// still to come (agent/move); it returns once the image is there. Failures are
// *problem.Problem: NODE_OFFLINE while the engine is away.
func (m *Manager) Fetch(ctx context.Context, image wire.ImageSpec) error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return problem.New(problem.NodeOffline, "the agent is being stopped")
	}
	m.owned.Add(1) // Run waits for it
	m.mu.Unlock()
	defer m.owned.Done()
	quietly := hearer{
		begin:    func() {},
		progress: func(runtime.PullProgress) {},
		remark:   func(text string, err error) { m.log.Warn(text, "image", wanted(image), "error", err) },
	}
	if err := m.obtain(ctx, wanted(image), image.Pull, quietly); err != nil {
		return explain(err).Because(err)
	}
	return nil
}

// obtain gets an image onto this machine by its policy. Where a registry that should
// always be asked is away, what is there serves.
func (m *Manager) obtain(ctx context.Context, reference string, policy wire.PullPolicy, hears hearer) error {
	if images := m.deps.Images; images != nil {
		if mine, err := images.Provide(ctx, reference); mine || err != nil {
			return err
		}
	}
	_, missing := m.deps.Engine.Image(ctx, reference)
	switch {
	case missing != nil && runtime.ReasonOf(missing) != runtime.ImageMissing:
		return missing
	case missing != nil && policy == wire.PullNever:
		return runtime.Fail(runtime.ImageMissing, missing, "image %s is not on this node, and its pull policy is never: choose another, or bring the image there", reference)
	case missing != nil:
		return m.fetch(ctx, reference, hears)
	case policy != wire.PullAlways:
		return nil
	}
	hears.begin()
	err := m.pulls.pull(ctx, reference, hears.progress)
	if reason := runtime.ReasonOf(err); reason == runtime.RegistryDown || reason == runtime.RegistryLimited {
		hears.remark("there may be a newer image, and the one on this node is used", err)
		return nil
	}
	return err
}

// fetch pulls an image that isn't here, and tries again what may work later.
func (m *Manager) fetch(ctx context.Context, reference string, hears hearer) error {
	for try := 0; ; try++ {
		hears.begin()
		err := m.pulls.pull(ctx, reference, hears.progress)
		reason := runtime.ReasonOf(err)
		if err == nil || ctx.Err() != nil || reason == runtime.Unreachable || !reason.Temporary() || try == len(pullPauses) {
			return err
		}
		hears.remark(fmt.Sprintf("the pull failed and is tried again in %s", pullPauses[try]), err)
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
	for _, l := range p.Layers {
		w.Parts = append(w.Parts, wire.ProgressPart{Name: l.ID, State: string(l.State), DoneBytes: l.DoneBytes, TotalBytes: l.TotalBytes})
	}
	return w
}
