package instance

import (
	"context"
	"math/rand/v2"
	"reflect"
	"time"

	"github.com/berth-panel/berth/agent/journal"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	askWithin  = 10 * time.Second // an engine that answers slower counts as away
	askEvery   = 30 * time.Second // while the watch stands: a hung engine keeps its stream open
	askJitter  = 10 * time.Second // on top, drawn anew each time
	steady     = 30 * time.Second // a watch that stood so long is taken up again at once
	maxBackoff = 15 * time.Second
)

// attend keeps a watch on the engine until ctx ends.
func (m *Manager) attend(ctx context.Context) {
	var backoff time.Duration
	for pause(ctx, backoff) == nil {
		backoff = min(maxBackoff, max(time.Second, 2*backoff))
		info, err := m.ask(ctx)
		if err != nil {
			m.report(ctx, wire.Engine{Message: sentence(err)})
			continue
		}
		began, connection := m.now(), m.connection.Load()
		err = m.watch(ctx, info)
		m.broke()
		if m.connection.Load() == connection { // it answers, but can't be worked with
			m.report(ctx, wire.Engine{Message: sentence(err)})
		}
		if ctx.Err() == nil {
			m.log.Warn("the engine's event stream broke off", "error", err)
		}
		if m.now().Sub(began) >= steady {
			backoff = 0
		}
	}
}

func (m *Manager) ask(ctx context.Context) (runtime.Info, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	info, err := m.deps.Engine.Info(ctx)
	if err != nil && ctx.Err() != nil {
		return info, runtime.Fail(runtime.Unreachable, err, "the container engine doesn't answer")
	}
	return info, err
}

// watch holds one stream of changes; it returns why it ended.
func (m *Manager) watch(ctx context.Context, info runtime.Info) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stands := make(chan struct{}, 1)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		late := time.NewTimer(askWithin)
		defer late.Stop()
		select {
		case <-stands:
			cancel(m.oversee(ctx, info))
		case <-late.C:
			cancel(runtime.Fail(runtime.Unreachable, nil, "the container engine doesn't answer"))
		case <-ctx.Done():
		}
	}()
	err := m.deps.Engine.Watch(ctx, func() {
		select {
		case stands <- struct{}{}:
		default:
		}
	}, m.changed)
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	cancel(nil)
	<-finished
	return err
}

// oversee lists everything once the stream stands and then asks the engine now
// and again whether it is alive. It returns why the stream should be given up.
func (m *Manager) oversee(ctx context.Context, info runtime.Info) error {
	boxes, err := m.deps.Engine.List(ctx)
	if err != nil {
		return err
	}
	m.clearAides(ctx, m.deliver(boxes))
	m.keepConsoles()
	if m.deps.Fence != nil {
		m.deps.Fence.Keep(m.reach)
	}
	m.report(ctx, describe(info))
	for pause(ctx, askEvery+rand.N(askJitter)) == nil {
		info, err := m.ask(ctx)
		if err != nil {
			return err
		}
		m.report(ctx, describe(info))
		if err := m.sweep(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func describe(i runtime.Info) wire.Engine {
	return wire.Engine{Reachable: true, Name: i.Engine, Version: i.Version, OS: i.OS, Kernel: i.Kernel, Arch: i.Arch,
		Cores: i.Cores, MemoryBytes: i.MemoryBytes, StorageBytes: i.StorageBytes}
}

// report keeps what is known of the engine and tells of it when it changed.
func (m *Manager) report(ctx context.Context, e wire.Engine) {
	if ctx.Err() != nil {
		return // the agent is being stopped: that says nothing about the engine
	}
	if e.Reachable {
		e.Volumes = m.deps.Volumes.Node()
	}
	if m.deps.Fence != nil {
		state := m.deps.Fence.State()
		e.Firewall = &state
	}
	if m.deps.SFTP != nil {
		e.SFTP = m.deps.SFTP()
	}
	m.mu.Lock()
	same := m.asked && (alike(m.engine, e) || !m.engine.Reachable && !e.Reachable)
	m.engine, m.asked = e, true
	m.mu.Unlock()
	if same {
		return
	}
	if e.Reachable {
		m.log.Info("the engine answers", "engine", e.Name, "version", e.Version)
	} else {
		m.log.Warn("the engine is away", "reason", e.Message)
	}
	event := wire.Event{At: m.now().UTC(), Type: wire.EventEngine, Engine: &e}
	if err := m.deps.Journal.Write(journal.Change{Events: []wire.Event{event}}); err != nil {
		m.log.Error("the journal can't be written", "error", err)
	}
}

// alike says whether there is nothing to tell of: how full its disk is, is no news.
func alike(a, b wire.Engine) bool {
	for _, e := range []*wire.Engine{&a, &b} {
		if e.Volumes != nil {
			volumes := *e.Volumes
			volumes.SizeBytes, volumes.FreeBytes, volumes.ReserveBytes = 0, 0, 0
			e.Volumes = &volumes
		}
	}
	return reflect.DeepEqual(a, b)
}

// deliver hands every owner its containers and lets the owners work. It gives the
// containers that install what nobody here knows.
func (m *Manager) deliver(all []runtime.Container) (orphans []runtime.Container) {
	boxes := map[ident.Instance][]runtime.Container{}
	for _, c := range all {
		boxes[c.Instance] = append(boxes[c.Instance], c)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.connection.Add(1)
	m.up = true
	for id, o := range m.owners {
		o.listed(boxes[id])
		delete(boxes, id)
	}
	for id := range boxes {
		main, aides := split(boxes[id])
		boxes[id] = main
		orphans = append(orphans, aides...)
		if !id.Valid() || len(main) == 0 {
			delete(boxes, id)
			continue
		}
		m.log.Warn("a container of an instance that the journal doesn't know: left alone until the controller says what should be", "instance", id)
	}
	m.strangers = boxes
	return orphans
}

// clearAides removes containers of installations that nobody will follow.
func (m *Manager) clearAides(ctx context.Context, orphans []runtime.Container) {
	for _, c := range orphans {
		m.log.Warn("an installation of an instance that the journal doesn't know is ended", "instance", c.Instance)
		if err := m.deps.Engine.Remove(ctx, c.ID); err != nil {
			m.log.Warn("an installation's container can't be removed", "instance", c.Instance, "error", err)
		}
	}
}

// broke stops the owners' turns from beginning: what they know may be old.
func (m *Manager) broke() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.up = false
	for _, o := range m.owners {
		o.streamBroke(m.now())
	}
}

// engineAway says that the engine was asked and can't be worked with now.
func (m *Manager) engineAway() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked && !m.up
}

func (m *Manager) isUp() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.up
}

// changed passes an engine's change on: a look is due.
func (m *Manager) changed(c runtime.Change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if o := m.owners[c.Instance]; c.Role != runtime.RoleMain {
		if o != nil {
			o.helped()
		}
		return
	} else if o != nil {
		o.changed(c)
		return
	}
	boxes := m.strangers[c.Instance]
	for i := range boxes {
		if boxes[i].ID == c.ID {
			m.strangers[c.Instance] = altered(boxes, i, c.Kind)
		}
	}
	if len(m.strangers[c.Instance]) == 0 {
		delete(m.strangers, c.Instance)
	}
}

// altered is what a change says about a container that nobody owns; when the
// controller claims it, its owner looks for itself.
func altered(boxes []runtime.Container, i int, kind runtime.ChangeKind) []runtime.Container {
	next := append([]runtime.Container(nil), boxes...)
	switch kind {
	case runtime.Started:
		next[i].Status = runtime.Running
	case runtime.Died:
		next[i].Status = runtime.Exited
	case runtime.Removed:
		next = append(next[:i], next[i+1:]...)
	}
	return next
}

// ensureNetwork makes Berth's bridge, once per connection to the engine.
func (m *Manager) ensureNetwork(ctx context.Context) error {
	if err := m.network.enter(ctx); err != nil {
		return err
	}
	defer m.network.leave()
	connection := m.connection.Load()
	if m.networkFor == connection {
		return nil
	}
	if err := m.deps.Engine.EnsureNetwork(ctx, m.config.Network); err != nil {
		return err
	}
	m.networkFor = connection
	return nil
}

// forgetNetwork lets the bridge be looked for again before its next use.
func (m *Manager) forgetNetwork(ctx context.Context) error {
	if err := m.network.enter(ctx); err != nil {
		return err
	}
	defer m.network.leave()
	m.networkFor = 0
	return nil
}

// pause waits; it returns early with the context's error.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
