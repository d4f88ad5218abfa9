package docker

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/supervisor"
	"github.com/berth-panel/berth/agent/supervisor/talk"
	"github.com/berth-panel/berth/shared/ident"
)

const (
	// holdFor is how long a container whose program has ended is kept for the next
	// Start; then it ends. A program that crashes again is begun again after a second.
	holdFor = 1500 * time.Millisecond
	// considerWithin is how long the engine may take to say whose container calls.
	considerWithin = 2 * time.Second
)

const supervised = talk.Dir + "/" + talk.Program

// Supervisor is what containers of instances call when their program has ended
// (agent/supervisor).
type Supervisor interface {
	Dir() string
	Serve(handle func(*supervisor.Call))
	Note(container string, life supervisor.Life) error
	Life(container string) (supervisor.Life, bool)
	Keep(containers []string)
}

// held is a container that is up, and whose program has ended.
type held struct {
	call     *supervisor.Call
	instance ident.Instance
	run      time.Time // when the engine started the container
	since    time.Time // what the engine tells of it from before is old
	timer    *time.Timer
	answered bool // it is on its way out, or its program begins again
}

// holds are the containers that are held, and who is told of them.
type holds struct {
	mu       sync.Mutex
	open     map[runtime.ContainerID]*held
	ending   map[runtime.ContainerID]int // those that are being stopped, and by how many
	watchers map[*changes]struct{}
}

// supervise has the container run under Berth's first process instead of the
// engine's, where it can: the command is that one's argument. What the engine
// refuses to make is left for it to refuse.
func (e *Engine) supervise(ctx context.Context, spec runtime.ContainerSpec, image string, config *container.Config, host *container.HostConfig) {
	if e.supervisor == nil || spec.Role != runtime.RoleMain {
		return
	}
	if slices.ContainsFunc(spec.Mounts, func(m runtime.Mount) bool { return m.Target == talk.Dir }) {
		return
	}
	found, err := e.api.ImageInspect(ctx, image)
	if err != nil || found.Config == nil {
		return
	}
	command := slices.Concat(spec.Entrypoint, spec.Command)
	if spec.Entrypoint == nil {
		command = slices.Concat(found.Config.Entrypoint, spec.Command)
		if spec.Command == nil {
			command = slices.Concat(found.Config.Entrypoint, found.Config.Cmd)
		}
	}
	if len(command) == 0 || command[0] == "" {
		return
	}
	config.Entrypoint, config.Cmd = []string{supervised}, command
	host.Mounts = append(host.Mounts, mount.Mount{Type: mount.TypeBind, Source: e.supervisor.Dir(), Target: talk.Dir, ReadOnly: true})
	init := false
	host.Init = &init
}

// startCommand is the instance's own, whoever runs it.
func startCommand(c container.InspectResponse) string {
	if c.Path == supervised && len(c.Args) > 0 {
		return c.Args[0]
	}
	return c.Path
}

// consider keeps a container whose program has ended for a while, and tells that it
// has; or lets it go.
func (e *Engine) consider(call *supervisor.Call) {
	ctx, cancel := context.WithTimeout(e.life, considerWithin)
	defer cancel()
	c, err := e.own(ctx, runtime.ContainerID(call.Container))
	// What a health check has said is the engine's to forget: it begins anew with
	// the container.
	if err != nil || !c.State.Running || c.State.Paused || c.State.Pid != call.Pid || c.State.Health != nil || c.Path != supervised {
		call.Close()
		return
	}
	change := runtime.Change{
		Kind: runtime.Died, ID: runtime.ContainerID(c.ID), At: call.At,
		Instance: ident.Instance(c.Config.Labels[labelInstance]), Role: runtime.Role(c.Config.Labels[labelRole]),
	}
	if !e.holds.add(change, &held{call: call, instance: change.Instance, run: moment(c.State.StartedAt), since: e.now()}) {
		call.Close()
	}
}

// add holds a container and tells so; false when nobody listens, or it is to end
// anyway.
func (h *holds) add(change runtime.Change, one *held) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if was := h.open[change.ID]; len(h.watchers) == 0 || h.ending[change.ID] > 0 || was != nil && !was.answered {
		return false
	}
	if h.open == nil {
		h.open = map[runtime.ContainerID]*held{}
	}
	h.open[change.ID] = one
	one.timer = time.AfterFunc(holdFor, func() {
		if h.answer(change.ID, one) {
			one.call.Close()
		}
	})
	h.tell(change)
	return true
}

// tell passes a change on; the caller holds mu.
func (h *holds) tell(change runtime.Change) {
	for q := range h.watchers {
		if !q.push(change) {
			q.end(errFellBehind)
		}
	}
}

// answer says whether it is the caller's to answer the call.
func (h *holds) answer(id runtime.ContainerID, one *held) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if one == nil || one.answered || h.open[id] != one {
		return false
	}
	one.answered = true
	one.timer.Stop()
	return true
}

func (h *holds) of(id runtime.ContainerID) *held {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.open[id]
}

// forget ends what is known of a hold, once the engine knows as much.
func (h *holds) forget(id runtime.ContainerID, one *held) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open[id] == one {
		delete(h.open, id)
	}
}

// known hears what the engine tells of a container, and says whether its program's
// end was told already.
func (h *holds) known(change runtime.Change) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.open[change.ID]
	if one == nil || !change.At.After(one.since) || change.Kind != runtime.Died && change.Kind != runtime.Started && change.Kind != runtime.Removed {
		return false
	}
	one.answered = true // there is nobody left to be answered
	one.timer.Stop()
	one.call.Close()
	delete(h.open, change.ID)
	return change.Kind == runtime.Died
}

// listen lets a queue be told, until the function that it gives is called.
func (h *holds) listen(q *changes) (stop func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watchers == nil {
		h.watchers = map[*changes]struct{}{}
	}
	h.watchers[q] = struct{}{}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watchers, q)
	}
}

// release lets a container go, which is to end; until done is called it isn't held
// again.
func (h *holds) release(id runtime.ContainerID) (done func()) {
	h.mu.Lock()
	if h.ending == nil {
		h.ending = map[runtime.ContainerID]int{}
	}
	h.ending[id]++
	one := h.open[id]
	h.mu.Unlock()
	if h.answer(id, one) {
		one.call.Close()
	}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.ending[id]--; h.ending[id] == 0 {
			delete(h.ending, id)
		}
	}
}

// startAgain begins the program of a container that is held again: false when there
// is none, and the container is down then or about to be.
func (e *Engine) startAgain(id runtime.ContainerID) bool {
	one := e.holds.of(id)
	if !e.holds.answer(id, one) {
		return false
	}
	life := supervisor.Life{Run: one.run, Began: e.now().UTC(), Ended: one.call.At.UTC()}
	err := e.supervisor.Note(string(id), life)
	if err == nil {
		err = one.call.Again()
	} else {
		one.call.Close()
	}
	if err != nil {
		e.log.Warn("the program can't begin again in its container, which is started anew", "container", string(id), "error", err)
		return false
	}
	e.holds.forget(id, one)
	e.holds.mu.Lock()
	defer e.holds.mu.Unlock()
	e.holds.tell(runtime.Change{Kind: runtime.Started, ID: id, At: life.Began, Instance: one.instance})
	return true
}

// letGo ends a container that is held, and waits until it is down: nothing is lost
// when it isn't soon.
func (e *Engine) letGo(ctx context.Context, id runtime.ContainerID) {
	defer e.holds.release(id)()
	if e.holds.of(id) == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, considerWithin)
	defer cancel()
	if err := <-e.ended(ctx, string(id), container.WaitConditionNotRunning); err != nil {
		e.log.WarnContext(ctx, "a container whose program has ended is not down yet", "container", string(id), "error", err)
	}
}

// leaving says whether the engine takes a container for running whose program has
// ended for good.
func (e *Engine) leaving(c container.InspectResponse) bool {
	one := e.holds.of(runtime.ContainerID(c.ID))
	return one != nil && c.State.Running && c.State.Pid == one.call.Pid
}

// show makes of what the engine says of a container what is so: its program may have
// begun again since the engine started it, or have ended.
func (e *Engine) show(c *runtime.Container) {
	if e.supervisor == nil {
		return
	}
	runs := c.Status == runtime.Running || c.Status == runtime.Paused
	if life, known := e.supervisor.Life(string(c.ID)); known && life.Run.Equal(c.StartedAt) && (runs || life.Began.Before(c.FinishedAt)) {
		c.StartedAt = life.Began
		if runs {
			c.FinishedAt = life.Ended
		}
	}
	one := e.holds.of(c.ID)
	switch {
	case one == nil:
	case c.Status == runtime.Running && c.Pid == one.call.Pid:
		c.Status, c.ExitCode, c.FinishedAt, c.Pid = runtime.Exited, one.call.Code, one.call.At.UTC(), 0
		c.Held = true
	case c.Status == runtime.Running: // anew: the engine's word of that is still to come
		e.holds.forget(c.ID, one)
	}
}

// keep forgets what is not among the containers any more.
func (h *holds) keep(ids []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.DeleteFunc(h.open, func(id runtime.ContainerID, one *held) bool { return one.answered && !slices.Contains(ids, string(id)) })
}
