package fake

import (
	"context"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
)

// Stop asks, waits and kills.
func (e *Engine) Stop(ctx context.Context, id runtime.ContainerID, how runtime.StopSpec) error {
	if err := how.Validate(); err != nil {
		return err
	}
	if err := e.enter(ctx, Stop); err != nil {
		return err
	}
	down, err := e.ask(id, how)
	if err != nil || down == nil {
		return err
	}
	grace := time.NewTimer(how.Grace)
	defer grace.Stop()
	select {
	case <-down:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-e.gone():
		return unreachable()
	case <-grace.C:
	}
	e.machine.mu.Lock()
	defer e.machine.mu.Unlock()
	if b := e.machine.boxes[id]; b != nil && b.down == down {
		e.machine.tellSignal(b, runtime.Signalled, sigkill)
		e.machine.end(b, 128+sigkill, false)
	}
	return nil
}

// ask sends the line or the signal; down is closed once the container is down,
// and nil when it is already.
func (e *Engine) ask(id runtime.ContainerID, how runtime.StopSpec) (down chan struct{}, err error) {
	m := e.machine
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := e.own(id)
	if err != nil || !b.up() {
		return nil, err
	}
	signal := how.Signal
	if signal == "" {
		signal = "SIGTERM"
	}
	number, ok := signalNumber(signal)
	if !ok && how.Command == "" {
		return nil, runtime.Fail(runtime.InvalidSpec, nil, "%.40q is not a signal", signal)
	}
	b.Status = runtime.Running // a paused one is let go on: it could not hear
	var code int
	var ends bool
	if how.Command != "" {
		b.lines = append(b.lines, how.Command)
		code, ends = b.program.heard(how.Command)
	} else {
		b.signals = append(b.signals, signal)
		m.tellSignal(b, runtime.Signalled, number)
		code, ends = b.program.hit(number)
	}
	if ends && b.program.StopTakes > 0 {
		m.endIn(b, b.program.StopTakes, code, false)
	} else if ends {
		m.end(b, code, false)
	}
	return b.down, nil
}

// Kill ends the container at once.
func (e *Engine) Kill(ctx context.Context, id runtime.ContainerID) error {
	if err := e.enter(ctx, Kill); err != nil {
		return err
	}
	e.machine.mu.Lock()
	defer e.machine.mu.Unlock()
	b, err := e.own(id)
	if err != nil {
		return err
	}
	if b.up() {
		e.machine.tellSignal(b, runtime.Signalled, sigkill)
		e.machine.end(b, 128+sigkill, false)
	}
	return e.leave(Kill)
}

// Remove kills and removes the container.
func (e *Engine) Remove(ctx context.Context, id runtime.ContainerID) error {
	if err := e.enter(ctx, Remove); err != nil {
		return err
	}
	e.machine.mu.Lock()
	defer e.machine.mu.Unlock()
	if e.machine.boxes[id] == nil {
		return e.leave(Remove)
	}
	b, err := e.own(id)
	if err != nil {
		return err
	}
	e.machine.drop(b)
	return e.leave(Remove)
}
