package instance

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/berth-panel/berth/agent/journal"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Scripts is where the scripts of installations lie ready for their containers
// (agent/install).
type Scripts interface {
	Lay(id ident.Instance, text string) error
	Path(id ident.Instance) string
	Clear(id ident.Instance) error
}

// Where a script finds itself and the volume, as eggs expect it.
const (
	scriptAt       = "/mnt/install"
	scriptVolumeAt = "/mnt/server"
)

const (
	// What a script may use at least, whatever its instance has: package managers
	// and archives need that much, and the eggs there are were written for it. It is
	// a limit and no reservation, for minutes.
	scriptMemory = 1 << 30 // bytes
	scriptCPUs   = 1e9
	scriptWithin = 2 * time.Hour
	// scriptLook is how often its output and its end are looked for at least; the
	// wait grows with what a look has taken.
	scriptLook    = time.Second
	scriptLookMax = 10 * time.Second
	// scriptNote is how often it is written down how far the output was taken.
	scriptNote = 5 * time.Second
)

// scriptSpec is the container that runs the spec's script. Its hash is of all that
// makes it another script: not of limits, for which none is begun anew.
func (m *Manager) scriptSpec(s wire.Spec) runtime.ContainerSpec {
	script, main := s.Install.Script, m.containerSpec(s)
	c := runtime.ContainerSpec{
		Name:        main.Name + "-install",
		Instance:    s.Instance,
		Role:        runtime.RoleInstall,
		Generation:  s.Generation,
		Image:       script.Image,
		Entrypoint:  strings.Fields(script.Entrypoint),
		Command:     []string{scriptAt + "/install.sh"},
		Env:         script.Env,
		User:        "0:0",
		TTY:         true, // as eggs are used to: programs flush their lines
		MemoryBytes: max(main.MemoryBytes, scriptMemory),
		NanoCPUs:    max(main.NanoCPUs, scriptCPUs),
		PidsLimit:   max(main.PidsLimit, m.config.PidsLimit),
		Mounts: []runtime.Mount{
			{Source: m.deps.Volumes.Path(s.Instance), Target: scriptVolumeAt},
			{Source: m.deps.Scripts.Path(s.Instance), Target: scriptAt, ReadOnly: true},
		},
		Network:  main.Network,
		MAC:      main.MAC, // what it reaches is what the instance reaches
		Hostname: main.Hostname,
	}
	c.SpecHash = "i1-" + sum(struct {
		Image      string
		Entrypoint []string
		Env        []string
		Text       string
		Mounts     []runtime.Mount
	}{c.Image, c.Entrypoint, c.Env, script.Text, c.Mounts})
	return c
}

// scriptDue says whether the spec's script has yet to be run, now or once the order
// to install again was carried out.
func (o *owner) scriptDue(s *wire.Spec) bool {
	known, _ := o.know()
	return s.Install.Script != nil && !s.Copied && (!known.Installed || s.Wipe > known.Wiped || s.Reinstall > known.Reinstalled)
}

// dismiss removes the containers of installations that are not to go on. One goes
// on over a newer spec that asks for the same, and over the agent's own restart;
// it doesn't when the instance is suspended, held, moved, or installed anew.
func (o *owner) dismiss(ctx context.Context, j job) error {
	if len(o.aides) == 0 {
		return nil
	}
	spec := j.desired.Spec
	known, _ := o.know()
	goesOn := o.m.deps.Scripts != nil && o.failed != j.desired.Generation && o.scriptDue(spec) && !known.Installed && spec.Wipe <= known.Wiped && spec.Reinstall <= known.Reinstalled &&
		!spec.Hold && !spec.Moving && !spec.Suspended
	if goesOn && len(o.aides) == 1 && o.aides[0].SpecHash == o.m.scriptSpec(*spec).SpecHash && o.aides[0].Status != runtime.Created && o.aides[0].Status != runtime.Dead {
		return nil
	}
	return o.removeAides(ctx)
}

// removeAides removes all containers of installations, with what they run on.
func (o *owner) removeAides(ctx context.Context) error {
	for len(o.aides) > 0 {
		last := len(o.aides) - 1
		if err := o.m.deps.Engine.Remove(ctx, o.aides[last].ID); err != nil && runtime.ReasonOf(err) != runtime.Missing {
			o.unsure = true
			return err
		}
		o.aides = o.aides[:last]
	}
	o.watched = ""
	if o.m.deps.Scripts != nil {
		if err := o.m.deps.Scripts.Clear(o.id); err != nil {
			o.log.Warn("the install script is left behind", "error", err)
		}
	}
	return nil
}

// runScript runs the spec's script, or goes on with the one that runs, and gives
// what it has made to the image's user.
func (o *owner) runScript(ctx context.Context, j job, owner journal.Owner, console io.Writer) error {
	if o.m.deps.Scripts == nil {
		return problem.New(problem.Conflict, "this agent can't run install scripts")
	}
	o.fence(j) // before it runs, and with every newer spec while it does
	if len(o.aides) == 0 {
		if _, err := io.WriteString(console, "Running the install script\n"); err != nil {
			o.log.Debug("the console takes nothing", "error", err)
		}
		if err := o.beginScript(ctx, j); err != nil {
			return o.abandon(ctx, err)
		}
	}
	if err := o.follow(ctx, j, console); err != nil {
		return o.abandon(ctx, err)
	}
	o.step(j, "install", "Giving the files to the image's user")
	if err := o.m.deps.Volumes.OwnAll(ctx, o.id, owner.UID, owner.GID); err != nil {
		return err
	}
	o.learn(func(k *journal.Known) { k.Installed, k.Bare, k.Script = true, false, nil })
	if err := o.tell(); err != nil { // before it goes, or it would be run again
		return err
	}
	return o.removeAides(ctx)
}

// abandon removes the container of a script that has failed. What is merely broken
// off goes on: the next turn finds it.
func (o *owner) abandon(ctx context.Context, err error) error {
	if ctx.Err() != nil || runtime.ReasonOf(err) == runtime.Unreachable {
		return err
	}
	o.watched = "" // its end is known, and says nothing to whoever finds it
	if e := o.removeAides(ctx); e != nil {
		o.log.Warn("the installation's container can't be removed yet", "error", e)
	}
	return err
}

// beginScript makes the script's container and starts it.
func (o *owner) beginScript(ctx context.Context, j job) error {
	spec := j.desired.Spec
	if err := o.obtain(ctx, j, spec.Install.Script.Image); err != nil {
		return err
	}
	if err := o.m.deps.Scripts.Lay(o.id, spec.Install.Script.Text); err != nil {
		return err
	}
	if err := o.m.ensureNetwork(ctx); err != nil {
		return err
	}
	if err := o.m.work.enter(ctx); err != nil {
		return err
	}
	defer o.m.work.leave()
	o.step(j, "install", "Running the install script")
	made, cancel := outlast(ctx, createGrace)
	defer cancel()
	want := o.m.scriptSpec(*spec)
	id, err := o.m.deps.Engine.Create(made, want)
	if err != nil {
		o.unsure = true
		if runtime.ReasonOf(err) == runtime.Conflict { // one that a create left whose answer was lost
			return errMoved
		}
		return err
	}
	o.aides = []runtime.Container{{ID: id, Name: want.Name, Instance: o.id, Role: want.Role, SpecHash: want.SpecHash, Status: runtime.Created, Network: want.Network}}
	o.learn(func(k *journal.Known) { k.Script = &journal.Script{Container: string(id)} })
	if err := o.m.deps.Engine.Start(ctx, id); err != nil {
		return err
	}
	o.watched, o.watchedAt, o.aides[0].Status = id, o.m.now(), runtime.Running
	return nil
}

// follow takes what the script prints until it has ended, and says how.
func (o *owner) follow(ctx context.Context, j job, console io.Writer) error {
	allowed := scriptWithin
	if n := j.desired.Spec.Install.Script.WithinSeconds; n > 0 {
		allowed = time.Duration(n) * time.Second
	}
	out := newOutput(o, j, console)
	defer out.close()
	noted := o.m.now()
	for first := true; ; first = false {
		began := o.m.now()
		c, err := o.m.deps.Engine.Inspect(ctx, o.aides[0].ID)
		if runtime.ReasonOf(err) == runtime.Missing {
			o.aides = nil
			if first { // it was known by an old list
				return errMoved
			}
			return problem.New(problem.Conflict, "the installation's container was removed by hand; reinstall the instance to try again")
		}
		if err != nil {
			return err
		}
		o.aides[0] = c
		if isUp(c) {
			o.watched, o.watchedAt = c.ID, began
		}
		if err := out.take(ctx, c.ID); err != nil {
			return err
		}
		if !isUp(c) {
			return o.scriptEnded(c, out)
		}
		left := c.StartedAt.Add(allowed).Sub(o.m.now())
		if left <= 0 {
			return problem.New(problem.Conflict, "the install script did not end within %s, and was ended%s", allowed, out.lastWords())
		}
		if o.m.now().Sub(noted) >= scriptNote {
			noted = o.m.now()
			if err := o.tell(); err != nil {
				return err
			}
		}
		took := o.m.now().Sub(began)
		if err := o.await(ctx, min(left, max(scriptLook, min(scriptLookMax, 20*took)))); err != nil {
			return err
		}
	}
}

// await waits until something has happened to the installation's container, or so
// long.
func (o *owner) await(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-o.nudge:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// helped passes a change of an installation's container on to who waits for it.
func (o *owner) helped() {
	select {
	case o.nudge <- struct{}{}:
	default:
	}
}

// scriptEnded judges a script that has ended. An end that this agent has not seen
// come says nothing: an engine that is restarted ends its containers in good order,
// and so does a machine. Then it is run again, as after any other break.
func (o *owner) scriptEnded(c runtime.Container, out *output) error {
	o.mu.Lock()
	broke := o.broke
	o.mu.Unlock()
	if o.watched != c.ID || !o.watchedAt.After(broke) {
		o.log.Info("nobody saw how the install script ended: it is run again", "exit_code", c.ExitCode)
		o.remark(out.j, "Nobody saw how the install script ended, and it is run again")
		return errMoved
	}
	if c.ExitCode == 0 && !c.OOMKilled {
		return nil
	}
	o.scriptFailed = o.m.now()
	o.log.Warn("the install script failed", "exit_code", c.ExitCode, "oom", c.OOMKilled)
	switch {
	case c.OOMKilled:
		return problem.New(problem.InsufficientResources, "the install script needed more than the %d MiB of memory that it may use%s", c.MemoryBytes>>20, out.lastWords())
	case c.Error != "":
		return problem.New(problem.Validation, "the install script can't be run: %s", c.Error)
	default:
		return problem.New(problem.Conflict, "the install script ended with exit code %d%s", c.ExitCode, out.lastWords())
	}
}

// absolve lets an installation be tried again that has failed as the engine went
// down.
func (o *owner) absolve(broke time.Time) {
	if !o.scriptFailed.IsZero() && o.scriptFailed.After(broke.Add(-lastGasp)) {
		o.failed = 0
	}
	o.scriptFailed = time.Time{}
}

// split tells the instance's own containers from those that install it.
func split(all []runtime.Container) (boxes, aides []runtime.Container) {
	for _, c := range all {
		if c.Role == runtime.RoleMain {
			boxes = append(boxes, c)
		} else {
			aides = append(aides, c)
		}
	}
	return boxes, aides
}
