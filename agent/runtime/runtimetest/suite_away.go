package runtimetest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/berth-panel/berth/agent/runtime"
)

func awayTests() map[string]func(*testing.T, Harness) {
	return map[string]func(*testing.T, Harness){
		"every call says so":       awayCalls,
		"every call obeys its end": cancelledCalls,
	}
}

// calls are all verbs, on a container that may be there.
func (h Harness) calls(t testing.TB, e runtime.Engine, id runtime.ContainerID) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Info":          func(ctx context.Context) error { _, err := e.Info(ctx); return err },
		"Image":         func(ctx context.Context) error { _, err := e.Image(ctx, h.Image); return err },
		"Pull":          func(ctx context.Context) error { return e.Pull(ctx, h.Unknown, runtime.Login{}, nil) },
		"Load":          func(ctx context.Context) error { return e.Load(ctx, name(), Rootfs(t), ProbeConfig()) },
		"EnsureNetwork": func(ctx context.Context) error { return e.EnsureNetwork(ctx, DrawNetwork()) },
		"Create":        func(ctx context.Context) error { _, err := e.Create(ctx, h.spec("idle")); return err },
		"Start":         func(ctx context.Context) error { return e.Start(ctx, id) },
		"Stop":          func(ctx context.Context) error { return e.Stop(ctx, id, runtime.StopSpec{Grace: grace}) },
		"Stop by command": func(ctx context.Context) error {
			return e.Stop(ctx, id, runtime.StopSpec{Command: "stop", Grace: grace})
		},
		"Kill":    func(ctx context.Context) error { return e.Kill(ctx, id) },
		"Remove":  func(ctx context.Context) error { return e.Remove(ctx, id) },
		"Inspect": func(ctx context.Context) error { _, err := e.Inspect(ctx, id); return err },
		"Glance":  func(ctx context.Context) error { _, err := e.Glance(ctx); return err },
		"Repair":  func(ctx context.Context) error { return e.Repair(ctx, id, h.spec("idle")) },
		"Images":  func(ctx context.Context) error { _, err := e.Images(ctx); return err },
		"RemoveImage": func(ctx context.Context) error {
			return e.RemoveImage(ctx, "sha256:"+strings.Repeat("0", 64))
		},
		"Stats":  func(ctx context.Context) error { _, err := e.Stats(ctx, id); return err },
		"Attach": func(ctx context.Context) error { _, err := e.Attach(ctx, id); return err },
		"Log": func(ctx context.Context) error {
			return e.Log(ctx, id, runtime.LogRange{}, func(runtime.LogPart) error { return nil })
		},
		"Resize":   func(ctx context.Context) error { return e.Resize(ctx, id, 24, 80) },
		"List":     func(ctx context.Context) error { _, err := e.List(ctx); return err },
		"ReadFile": func(ctx context.Context) error { _, err := e.ReadFile(ctx, id, "/etc/passwd", 10); return err },
		"Watch": func(ctx context.Context) error {
			return e.Watch(ctx, func() { t.Error("Watch got ready") }, func(runtime.Change) { t.Error("Watch told of a change") })
		},
	}
}

func awayCalls(t *testing.T, h Harness) {
	id := runtime.ContainerID(strings.Repeat("a", 64))
	for what, call := range h.calls(t, h.Away, id) {
		f := refused(t, what, call(t.Context()), runtime.Unreachable)
		if !f.Reason.Temporary() {
			t.Fatal("an engine that is away should be worth another try")
		}
	}
}

func cancelledCalls(t *testing.T, h Harness) {
	id := start(t, h.Engine, h.spec("idle"))
	before := inspect(t, h.Engine, id)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for what, call := range h.calls(t, h.Engine, id) {
		if err := call(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want the context's error", what, err)
		}
	}
	if after := inspect(t, h.Engine, id); after != before {
		t.Fatalf("calls whose context had ended changed the container from\n%+v to\n%+v", before, after)
	}
	found, err := h.Engine.List(t.Context())
	must(t, "List", err)
	if len(found) != 1 {
		t.Fatalf("calls whose context had ended left %d containers, want one", len(found))
	}
}
