package docker

import (
	"context"
	"errors"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/berth-panel/berth/agent/runtime"
)

const (
	// stdinTimeout is how long the engine may take to accept a line.
	stdinTimeout = 5 * time.Second
	// removeAttempts is how often Remove tries a container that does not go.
	removeAttempts = 3
)

// Stop asks the container to end, waits for its grace and kills it.
func (e *Engine) Stop(ctx context.Context, id runtime.ContainerID, how runtime.StopSpec) error {
	if err := how.Validate(); err != nil {
		return err
	}
	defer e.holds.release(id)()
	c, err := e.own(ctx, id)
	if err != nil || !alive(c.State) {
		return err
	}
	if e.leaving(c) && !c.State.Paused {
		return e.awaitEnd(ctx, c.ID)
	}
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := e.ended(waiting, c.ID, container.WaitConditionNotRunning)
	if c.State.Paused { // it could not hear
		if err := e.unpause(ctx, c.ID); err != nil {
			return err
		}
	}
	release, err := e.ask(ctx, c, how)
	if err != nil {
		return err
	}
	defer release()
	grace := time.NewTimer(how.Grace)
	defer grace.Stop()
	select {
	case err := <-ended:
		return e.settle(ctx, c.ID, err)
	case <-ctx.Done():
		return ctx.Err()
	case <-grace.C:
		return e.kill(ctx, c.ID, ended)
	}
}

// Kill ends the container at once.
func (e *Engine) Kill(ctx context.Context, id runtime.ContainerID) error {
	defer e.holds.release(id)()
	c, err := e.own(ctx, id)
	if err != nil || !alive(c.State) {
		return err
	}
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	return e.kill(ctx, c.ID, e.ended(waiting, c.ID, container.WaitConditionNotRunning))
}

func (e *Engine) kill(ctx context.Context, id string, ended <-chan error) error {
	if err := e.signal(ctx, id, "SIGKILL"); err != nil {
		return err
	}
	select {
	case err := <-ended:
		return e.settle(ctx, id, err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func alive(s *container.State) bool { return s.Running || s.Paused || s.Restarting }

// ask tells the container to end in the way that how says. What it returns has
// to be called once the container is down or given up.
func (e *Engine) ask(ctx context.Context, c container.InspectResponse, how runtime.StopSpec) (release func(), err error) {
	if how.Command != "" {
		release, err := e.say(ctx, c.ID, how.Command+"\n")
		if err == nil {
			return release, nil
		}
		if gone := broken(ctx, err); gone != nil {
			return nil, gone
		}
		e.log.WarnContext(ctx, "the stop command could not be written, so a signal is sent", "container", c.ID, "error", err)
	}
	signal := how.Signal
	if signal == "" {
		signal = c.Config.StopSignal
	}
	if signal == "" {
		signal = "SIGTERM"
	}
	return func() {}, e.signal(ctx, c.ID, signal)
}

// say writes to the container's stdin. The connection stays open until release
// is called: closing it early could lose what the engine has not passed on yet.
// The client's attach does not obey its context once it has dialled, so it runs
// beside.
func (e *Engine) say(ctx context.Context, id, text string) (release func(), err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, e.stdin, errStdin)
	defer cancel()
	type result struct {
		close func()
		err   error
	}
	done := make(chan result, 1)
	go func() {
		in, err := e.api.ContainerAttach(ctx, id, container.AttachOptions{Stream: true, Stdin: true})
		if err != nil {
			done <- result{err: err}
			return
		}
		unblock := context.AfterFunc(ctx, in.Close)
		_, err = in.Conn.Write([]byte(text))
		if !unblock() {
			err = context.Cause(ctx)
		}
		if err != nil {
			in.Close()
		}
		done <- result{in.Close, err}
	}()
	select {
	case r := <-done:
		return r.close, r.err
	case <-ctx.Done():
		go func() {
			if r := <-done; r.err == nil {
				r.close()
			}
		}()
		return nil, context.Cause(ctx)
	}
}

// errStdin is about an engine that accepts a line too slowly.
var errStdin = errors.New("the engine did not take the line in time")

// signal sends one; a container that is down or gone already is no error.
func (e *Engine) signal(ctx context.Context, id, name string) error {
	err := e.api.ContainerKill(ctx, id, name)
	switch {
	case err == nil, errdefs.IsNotFound(err), errdefs.IsConflict(err):
		return nil
	case errdefs.IsInvalidArgument(err):
		return failure(ctx, err, runtime.InvalidSpec, "%q is not a signal", name)
	}
	return failure(ctx, err, runtime.Unknown, "the container engine could not send %s to the container", name)
}

// ended tells when the container is down or gone: nil, or why the waiting ended
// without it.
func (e *Engine) ended(ctx context.Context, id string, condition container.WaitCondition) <-chan error {
	results, errs := e.api.ContainerWait(ctx, id, condition)
	out := make(chan error, 1)
	go func() {
		select { // the client always sends one of the two: an error when ctx ends
		case r := <-results:
			if r.Error != nil {
				out <- errors.New(r.Error.Message)
				return
			}
			out <- nil
		case err := <-errs:
			if errdefs.IsNotFound(err) {
				err = nil
			}
			out <- err
		}
	}()
	return out
}

// settle ends a wait: it inspects once more, so that ports are free when it
// returns (see the package's doc).
func (e *Engine) settle(ctx context.Context, id string, err error) error {
	if err != nil {
		return failure(ctx, err, runtime.Unknown, "the container engine does not say whether the container ended")
	}
	_, err = e.api.ContainerInspect(ctx, id)
	if errdefs.IsNotFound(err) {
		return nil
	}
	return failure(ctx, err, runtime.Unknown, "the container engine could not look at the container")
}

// awaitEnd waits for what is about to end.
func (e *Engine) awaitEnd(ctx context.Context, id string) error {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	return e.settle(ctx, id, <-e.ended(waiting, id, container.WaitConditionNotRunning))
}

// Remove kills and removes the container with the volumes that its image
// declares. It waits for a removal that is under way.
func (e *Engine) Remove(ctx context.Context, id runtime.ContainerID) error {
	there, instance, err := e.mayRemove(ctx, id)
	if !there || err != nil {
		return err
	}
	e.letGo(ctx, id)
	if err := e.remove(ctx, id); err != nil {
		return err
	}
	e.closeDoor(ctx, instance)
	return nil
}

func (e *Engine) remove(ctx context.Context, id runtime.ContainerID) error {
	var last error
	for range removeAttempts {
		err := e.api.ContainerRemove(ctx, string(id), container.RemoveOptions{Force: true, RemoveVolumes: true})
		switch {
		case err == nil, errdefs.IsNotFound(err):
			return nil
		case removing(err):
			if err := e.awaitRemoval(ctx, string(id)); err == nil {
				return nil
			}
		}
		if gone := broken(ctx, err); gone != nil {
			return gone
		}
		last = err
	}
	return failure(ctx, last, runtime.Unknown, "the container could not be removed")
}

// mayRemove says whether there is something to remove, and of which instance. Half
// removed containers can't always be inspected, so the list has the last word.
func (e *Engine) mayRemove(ctx context.Context, id runtime.ContainerID) (there bool, instance string, err error) {
	c, err := e.own(ctx, id)
	switch {
	case err == nil:
		return true, c.Config.Labels[labelInstance], nil
	case errors.Is(err, errForeign):
		return false, "", err
	case runtime.ReasonOf(err) == runtime.Missing:
		return false, "", nil
	case runtime.ReasonOf(err) != runtime.Unknown || ctx.Err() != nil:
		return false, "", err
	}
	filter := e.mine()
	filter.Add("id", string(id))
	found, listErr := e.api.ContainerList(ctx, container.ListOptions{All: true, Filters: filter})
	if listErr != nil || len(found) == 0 {
		return false, "", err
	}
	return true, found[0].Labels[labelInstance], nil
}

func (e *Engine) awaitRemoval(ctx context.Context, id string) error {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	return <-e.ended(waiting, id, container.WaitConditionRemoved)
}
