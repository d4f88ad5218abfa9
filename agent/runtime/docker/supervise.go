package docker

import (
	"context"
	"errors"
	"slices"
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
	// Start; then it ends. One that crashes again is started after a second, then two.
	holdFor = 3 * time.Second
	// considerWithin is how long the engine may take to say whose container calls.
	considerWithin = 2 * time.Second
)

// supervised is the path of the first process in containers.
const supervised = talk.Dir + "/" + talk.Program

// leastPids is the limit of processes below which a container has the engine's first
// process: ours has up to eight threads.
const leastPids = 32

// Supervisor is what containers of instances call when their program has ended
// (agent/supervisor).
type Supervisor interface {
	Serve(handle func(*supervisor.Call))
	Door(instance string) (dir string, err error)
	Drop(instance string)
	Prune(instances []string)
	Note(container string, life supervisor.Life) error
	Life(container string) (supervisor.Life, bool)
	Remembered() (containers []string)
	Forget(container string)
}

// supervise has the container run under Berth's first process instead of the
// engine's, where it can: the command is that one's argument. What the engine
// refuses to make is left for it to refuse.
func (e *Engine) supervise(ctx context.Context, spec runtime.ContainerSpec, image string, config *container.Config, host *container.HostConfig) {
	if e.supervisor == nil || spec.Role != runtime.RoleMain || *host.PidsLimit < leastPids {
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
	dir, err := e.supervisor.Door(string(spec.Instance))
	if err != nil {
		e.log.WarnContext(ctx, "a container has the engine's own first process", "instance", spec.Instance, "error", err)
		return
	}
	config.Entrypoint, config.Cmd = []string{supervised}, command
	host.Mounts = append(host.Mounts, mount.Mount{Type: mount.TypeBind, Source: dir, Target: talk.Dir, ReadOnly: true})
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

// openDoor has a container listened to that is up, or soon will be.
func (e *Engine) openDoor(c container.InspectResponse) {
	if e.supervisor == nil || c.Path != supervised {
		return
	}
	instance := c.Config.Labels[labelInstance]
	if _, err := e.supervisor.Door(instance); err != nil {
		e.log.Warn("a container isn't listened to", "instance", instance, "error", err)
	}
}

// closeDoor ends that of an instance that has no container any more.
func (e *Engine) closeDoor(ctx context.Context, instance string) {
	if e.supervisor == nil || instance == "" {
		return
	}
	filter := e.mine()
	filter.Add("label", labelInstance+"="+instance)
	if left, err := e.api.ContainerList(ctx, container.ListOptions{All: true, Filters: filter}); err == nil && len(left) == 0 {
		e.supervisor.Drop(instance)
	}
}

// consider keeps a container whose program has ended for a while, and tells that it
// has; or lets it go.
func (e *Engine) consider(call *supervisor.Call) {
	ctx, cancel := context.WithTimeout(e.life, considerWithin)
	defer cancel()
	c, err := e.own(ctx, runtime.ContainerID(call.Container))
	// What a health check has said, and that memory ran out, is the engine's to
	// forget: it begins anew with the container.
	if !e.holds.wanted(runtime.ContainerID(call.Container)) || err != nil || !c.State.Running || c.State.Paused || c.State.Pid != call.Pid || c.State.Health != nil || c.State.OOMKilled || c.Path != supervised {
		call.Close()
		return
	}
	change := runtime.Change{
		Kind: runtime.Died, ID: runtime.ContainerID(c.ID), At: call.At,
		Instance: ident.Instance(c.Config.Labels[labelInstance]), Role: runtime.Role(c.Config.Labels[labelRole]),
	}
	run := moment(c.State.StartedAt)
	if err := e.holds.awaitStart(ctx, change.ID, run); err != nil {
		e.log.WarnContext(ctx, "a container whose program has ended isn't held: the engine doesn't tell that it started", "container", c.ID)
		call.Close()
		return
	}
	life, known := e.supervisor.Life(c.ID)
	if !known || !life.Run.Equal(run) {
		life = supervisor.Life{Run: run, Began: run}
	}
	life.Over, life.Code, life.Ended = true, call.Code, call.At.UTC()
	one := &held{call: call, instance: change.Instance, life: life, since: e.now()}
	if err := e.holds.add(change, one, e.hold, func() error { return e.supervisor.Note(c.ID, life) }); err != nil {
		e.log.WarnContext(ctx, "a container whose program has ended isn't held", "container", c.ID, "error", err)
		call.Close()
	}
}

// startAgain begins the program of a container that is held again: false when there
// is none, and the container is down then or about to be.
func (e *Engine) startAgain(id runtime.ContainerID) bool {
	one := e.holds.of(id)
	if !e.holds.answer(id, one) {
		return false
	}
	next := supervisor.Life{Run: one.life.Run, Began: e.now().UTC(), Ended: one.life.Ended}
	err := e.supervisor.Note(string(id), next)
	if err == nil {
		if err = one.call.Again(); err != nil {
			err = errors.Join(err, e.supervisor.Note(string(id), one.life))
		}
	}
	if err != nil {
		one.call.Close()
		e.log.Warn("the program can't begin again in its container, which is started anew", "container", string(id), "error", err)
		return false
	}
	e.holds.begun(runtime.Change{Kind: runtime.Started, ID: id, At: next.Began, Instance: one.instance}, one)
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
	if err := e.awaitEnd(ctx, string(id)); err != nil {
		e.log.WarnContext(ctx, "a container whose program has ended is not down yet", "container", string(id), "error", err)
	}
}

// leaving says whether the engine takes a container for running whose program has
// ended.
func (e *Engine) leaving(c container.InspectResponse) bool {
	if e.supervisor == nil || !c.State.Running {
		return false
	}
	life, known := e.supervisor.Life(c.ID)
	return known && life.Over && life.Run.Equal(moment(c.State.StartedAt))
}

// show makes of what the engine says of a container what is so: its program may have
// begun again since the engine started it, or have ended.
func (e *Engine) show(c *runtime.Container) {
	if e.supervisor == nil {
		return
	}
	life, known := e.supervisor.Life(string(c.ID))
	if !known || !life.Run.Equal(c.StartedAt) {
		return
	}
	runs := c.Status == runtime.Running || c.Status == runtime.Paused
	if runs && life.Over {
		c.Status, c.ExitCode, c.Pid, c.Health, c.Held = runtime.Exited, life.Code, 0, "", true
	}
	if runs || life.Over {
		c.StartedAt, c.FinishedAt = life.Began, life.Ended
	} else if life.Began.Before(c.FinishedAt) { // or that life never began
		c.StartedAt = life.Began
	}
}

// tidy forgets all containers that are gone: those of which something was known
// before they were listed.
func (e *Engine) tidy(known []string, listed []container.Summary) {
	if e.supervisor == nil {
		return
	}
	ids, instances := make([]string, 0, len(listed)), make([]string, 0, len(listed))
	for _, c := range listed {
		ids, instances = append(ids, c.ID), append(instances, c.Labels[labelInstance])
	}
	for _, id := range known {
		if !slices.Contains(ids, id) {
			e.supervisor.Forget(id)
			e.holds.forget(runtime.ContainerID(id))
		}
	}
	e.pruned.Do(func() { e.supervisor.Prune(instances) }) // nothing is made before the first list
}

// remembered are the containers of which something is known.
func (e *Engine) remembered() []string {
	if e.supervisor == nil {
		return nil
	}
	return e.supervisor.Remembered()
}
