package runtimetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
)

func watchTests() map[string]func(*testing.T, Harness) {
	return map[string]func(*testing.T, Harness){
		"a life in order":           watchLife,
		"out of memory":             watchOOM,
		"nothing before ready lost": watchFromReady,
		"several watch":             watchTogether,
		"a slow watcher":            watchSlowly,
		"until the context ends":    watchEnds,
		"without a ready":           watchNoReady,
	}
}

// seen collects what a Watch hands over.
type seen struct {
	mu      sync.Mutex
	changes []runtime.Change
}

func (s *seen) add(c runtime.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes = append(s.changes, c)
}

// of gives the kinds of change of one container, Other left out.
func (s *seen) of(id runtime.ContainerID) []runtime.ChangeKind {
	s.mu.Lock()
	defer s.mu.Unlock()
	var kinds []runtime.ChangeKind
	for _, c := range s.changes {
		if c.ID == id && c.Kind != runtime.Other {
			kinds = append(kinds, c.Kind)
		}
	}
	return kinds
}

// watch follows the engine until the test ends and returns once it stands.
func watch(t testing.TB, e runtime.Engine) *seen {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s := &seen{}
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- e.Watch(ctx, func() { close(ready) }, s.add) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch ended with %v, want the context's error", err)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		ended <- err
		t.Fatalf("Watch ended before it stood: %v", err)
	case <-time.After(Patience):
		t.Fatal("Watch does not get ready")
	}
	return s
}

func watchLife(t *testing.T, h Harness) {
	s := watch(t, h.Engine)
	spec := h.spec("exit", "3")
	id := create(t, h.Engine, spec)
	want := []runtime.ChangeKind{}
	for range 2 {
		must(t, "Start", h.Engine.Start(t.Context(), id))
		want = append(want, runtime.Started, runtime.Died)
		Eventually(t, "its end to be told", func() bool { return len(s.of(id)) >= len(want) })
	}
	must(t, "Remove", h.Engine.Remove(t.Context(), id))
	want = append(want, runtime.Removed)
	Eventually(t, "its removal to be told", func() bool { return len(s.of(id)) >= len(want) })
	if got := s.of(id); !slices.Equal(got, want) {
		t.Fatalf("the changes were %v, want %v", got, want)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.changes {
		if c.ID != id || c.Instance != spec.Instance {
			t.Errorf("a change of container %s, instance %q", c.ID, c.Instance)
		}
	}
}

func watchOOM(t *testing.T, h Harness) {
	s := watch(t, h.Engine)
	id := start(t, h.Engine, h.hog())
	Eventually(t, "the lack of memory and the end to be told", func() bool {
		return (h.BlindToOOM || slices.Contains(s.of(id), runtime.OOM)) && slices.Contains(s.of(id), runtime.Died)
	})
	if s.of(id)[0] != runtime.Started {
		t.Fatalf("the changes were %v", s.of(id))
	}
}

// watchFromReady starts a container inside ready itself.
func watchFromReady(t *testing.T, h Harness) {
	id := create(t, h.Engine, h.spec("exit", "0"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := &seen{}
	ended := make(chan error, 1)
	go func() {
		ended <- h.Engine.Watch(ctx, func() {
			if err := h.Engine.Start(ctx, id); err != nil {
				t.Errorf("Start: %v", err)
			}
		}, s.add)
	}()
	Eventually(t, "start and end to be told", func() bool { return len(s.of(id)) >= 2 })
	cancel()
	<-ended
	if got := s.of(id); !slices.Equal(got, []runtime.ChangeKind{runtime.Started, runtime.Died}) {
		t.Fatalf("the changes were %v", got)
	}
}

func watchTogether(t *testing.T, h Harness) {
	one, two := watch(t, h.Engine), watch(t, h.Engine)
	id := start(t, h.Engine, h.spec("exit", "0"))
	for _, s := range []*seen{one, two} {
		Eventually(t, "each watcher to be told", func() bool { return len(s.of(id)) == 2 })
	}
}

// watchSlowly: a handler that does not return for long makes nothing get lost.
func watchSlowly(t *testing.T, h Harness) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ready, go_, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	s := &seen{}
	go func() {
		ended <- h.Engine.Watch(ctx, func() { close(ready) }, func(c runtime.Change) {
			<-go_
			s.add(c)
		})
	}()
	<-ready
	var ids []runtime.ContainerID
	for range 12 {
		id := create(t, h.Engine, h.spec("idle"))
		must(t, "Remove", h.Engine.Remove(t.Context(), id))
		ids = append(ids, id)
	}
	close(go_)
	for _, id := range ids {
		Eventually(t, "each removal to be told", func() bool { return slices.Equal(s.of(id), []runtime.ChangeKind{runtime.Removed}) })
	}
	cancel()
	<-ended
}

func watchEnds(t *testing.T, h Harness) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.Engine.Watch(ctx, cancel, func(runtime.Change) {}) }()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("Watch: %v, want the context's error", err)
		}
	case <-time.After(Patience):
		t.Fatal("Watch outlives its context")
	}
}

func watchNoReady(t *testing.T, h Harness) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changed := make(chan runtime.Change, 100)
	ended := make(chan error, 1)
	go func() { ended <- h.Engine.Watch(ctx, nil, func(c runtime.Change) { changed <- c }) }()
	// It stands at some time; containers are made until it tells of one.
	Eventually(t, "a change to be told", func() bool {
		must(t, "Remove", h.Engine.Remove(t.Context(), create(t, h.Engine, h.spec("idle"))))
		return len(changed) > 0
	})
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("Watch: %v, want the context's error", err)
	}
}
