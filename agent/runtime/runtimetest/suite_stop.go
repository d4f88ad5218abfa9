package runtimetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
)

func stopTests() map[string]func(*testing.T, Harness) {
	return map[string]func(*testing.T, Harness){
		"by the default signal":       stopDefault,
		"by a signal":                 stopSignal,
		"by a command":                stopCommand,
		"by a command on a terminal":  stopCommandTTY,
		"by a command twice":          stopCommandAgain,
		"what does not listen":        stopStubborn,
		"without grace":               stopAtOnce,
		"what is down":                stopDown,
		"by no signal":                stopBadSignal,
		"cancelled":                   stopCancelled,
		"out of time":                 stopOutOfTime,
		"by several at once":          stopTogether,
		"removed while it is stopped": stopRemoved,
	}
}

// stopped stops and checks the exit code.
func (h Harness) stopped(t testing.TB, id runtime.ContainerID, how runtime.StopSpec, code int) {
	t.Helper()
	ctx, cancel := within(t)
	defer cancel()
	must(t, "Stop", h.Engine.Stop(ctx, id, how))
	c := inspect(t, h.Engine, id)
	if c.Status != runtime.Exited || c.ExitCode != code || c.OOMKilled {
		t.Fatalf("stopped by %+v it is %+v, want exit code %d", how, c, code)
	}
}

func stopDefault(t *testing.T, h Harness) {
	h.stopped(t, h.ready(t, h.spec("idle")), runtime.StopSpec{Grace: grace}, 0)
}

func stopSignal(t *testing.T, h Harness) {
	h.stopped(t, h.ready(t, h.spec("idle")), runtime.StopSpec{Signal: "SIGINT", Grace: grace}, 42)
	h.stopped(t, h.ready(t, h.spec("idle")), runtime.StopSpec{Signal: "SIGQUIT", Grace: grace}, 43)
	h.stopped(t, h.ready(t, h.spec("stubborn")), runtime.StopSpec{Signal: "SIGKILL", Grace: grace}, 137)
}

func stopCommand(t *testing.T, h Harness) {
	// With a signal beside it that would end it with another code.
	h.stopped(t, h.ready(t, h.spec("idle")), runtime.StopSpec{Command: "stop", Signal: "SIGINT", Grace: grace}, 0)
}

func stopCommandTTY(t *testing.T, h Harness) {
	spec := h.spec("idle")
	spec.TTY = true
	h.stopped(t, h.ready(t, spec), runtime.StopSpec{Command: "stop", Grace: grace}, 0)
}

// stopCommandAgain: stdin stays open after a line, and after a restart.
func stopCommandAgain(t *testing.T, h Harness) {
	id := h.ready(t, h.spec("idle"))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := h.Engine.Stop(ctx, id, runtime.StopSpec{Command: "say hello", Grace: grace})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a line that is no stop command gives %v, want to wait", err)
	}
	for range 2 {
		h.stopped(t, id, runtime.StopSpec{Command: "stop", Grace: grace}, 0)
		must(t, "Start again", h.Engine.Start(t.Context(), id))
	}
}

func stopStubborn(t *testing.T, h Harness) {
	for _, how := range []runtime.StopSpec{
		{Grace: 300 * time.Millisecond},
		{Signal: "SIGINT", Grace: 300 * time.Millisecond},
		{Command: "stop", Grace: 300 * time.Millisecond},
	} {
		id := h.ready(t, h.spec("stubborn"))
		began := time.Now()
		h.stopped(t, id, how, 137)
		if took := time.Since(began); took < how.Grace {
			t.Fatalf("it was killed after %s, before its grace of %s", took, how.Grace)
		}
	}
}

func stopAtOnce(t *testing.T, h Harness) {
	h.stopped(t, h.ready(t, h.spec("stubborn")), runtime.StopSpec{}, 137)
}

func stopDown(t *testing.T, h Harness) {
	made := create(t, h.Engine, h.spec("idle"))
	must(t, "Stop one that never ran", h.Engine.Stop(t.Context(), made, runtime.StopSpec{Grace: grace}))
	if c := inspect(t, h.Engine, made); c.Status != runtime.Created {
		t.Fatalf("stopping one that never ran left it %s", c.Status)
	}
	done := start(t, h.Engine, h.spec("exit", "9"))
	ended(t, h.Engine, done)
	h.stopped(t, done, runtime.StopSpec{Command: "stop", Grace: grace}, 9)
}

func stopBadSignal(t *testing.T, h Harness) {
	id := h.ready(t, h.spec("idle"))
	for _, signal := range []string{"SIGNONSENSE", "TERM;kill", "-9", "0x9", "SIGINT "} {
		refused(t, "Stop by "+signal, h.Engine.Stop(t.Context(), id, runtime.StopSpec{Signal: signal, Grace: grace}), runtime.InvalidSpec)
	}
	if c := inspect(t, h.Engine, id); c.Status != runtime.Running {
		t.Fatalf("a signal that is none left it %s", c.Status)
	}
}

func stopCancelled(t *testing.T, h Harness) {
	id := h.ready(t, h.spec("stubborn"))
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- h.Engine.Stop(ctx, id, runtime.StopSpec{Grace: time.Hour}) }()
	select {
	case err := <-result:
		t.Fatalf("Stop ended before it was cancelled: %v", err)
	case <-time.After(200 * time.Millisecond): // most likely it waits by now; either way it is cancelled
	}
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Fatalf("Stop: %v, want the context's error", err)
	}
	if c := inspect(t, h.Engine, id); c.Status != runtime.Running {
		t.Fatalf("a cancelled Stop left it %+v", c)
	}
	must(t, "Kill", h.Engine.Kill(t.Context(), id))
}

func stopOutOfTime(t *testing.T, h Harness) {
	id := h.ready(t, h.spec("stubborn"))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := h.Engine.Stop(ctx, id, runtime.StopSpec{Grace: time.Hour}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Stop: %v, want the context's error", err)
	}
	if c := inspect(t, h.Engine, id); c.Status != runtime.Running {
		t.Fatalf("a Stop out of time left it %+v", c)
	}
}

func stopTogether(t *testing.T, h Harness) {
	id := h.ready(t, h.spec("idle"))
	ctx, cancel := within(t)
	defer cancel()
	var group sync.WaitGroup
	for i := range 6 {
		group.Go(func() {
			how := runtime.StopSpec{Grace: grace}
			if i%2 == 0 {
				how.Command = "stop"
			}
			if err := h.Engine.Stop(ctx, id, how); err != nil {
				t.Errorf("one of several Stops: %v", err)
			}
			if c, err := h.Engine.Inspect(ctx, id); err != nil || c.Status != runtime.Exited {
				t.Errorf("after a Stop it is %s (%v)", c.Status, err)
			}
		})
	}
	group.Wait()
}

func stopRemoved(t *testing.T, h Harness) {
	id := h.ready(t, h.spec("stubborn"))
	ctx, cancel := within(t)
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- h.Engine.Stop(ctx, id, runtime.StopSpec{Grace: time.Hour}) }()
	must(t, "Remove", h.Engine.Remove(ctx, id))
	// Down is what it asked for; Missing when it came too late to ask.
	if err := <-result; err != nil && runtime.ReasonOf(err) != runtime.Missing {
		t.Fatalf("Stop of a container that was removed: %v", err)
	}
}
