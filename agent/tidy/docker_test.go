package tidy_test

import (
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/journal"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/docker"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/agent/tidy"
)

// TestOnDocker pulls from a registry on the loopback and clears again, on an
// engine that others use at the same time.
func TestOnDocker(t *testing.T) {
	t.Parallel()
	host := runtimetest.DockerHost(t)
	node := runtimetest.NewNode()
	runtimetest.CleanDocker(t, host, node)
	engine, err := docker.New(docker.Options{Host: host, Node: node})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	notes, err := journal.Open(filepath.Join(t.TempDir(), "journal.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = notes.Close() })
	var later atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	x := tidy.New(tidy.Options{Engine: engine, Journal: notes, Free: -1, Log: slog.New(slog.DiscardHandler), Now: clock})

	registry := runtimetest.NewRegistry(t)
	unused, used, held := registry.Offer(t, host, "bt/unused"), registry.Offer(t, host, "bt/used"), registry.Offer(t, host, "bt/held")
	byHand, loaded := registry.Offer(t, host, "bt/byhand"), runtimetest.Spec("x").Name+":1"
	runtimetest.LoadProbe(t, x.Engine(), loaded)
	for _, reference := range []string{unused, used, held} {
		if err := x.Engine().Pull(t.Context(), reference, runtime.Login{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := engine.Pull(t.Context(), byHand, runtime.Login{}, nil); err != nil {
		t.Fatal(err)
	}
	spec := runtimetest.Spec(used)
	spec.Entrypoint = []string{"/file-0"}
	if _, err := x.Engine().Create(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	pass := func() {
		t.Helper()
		if err := x.Pass(t.Context(), func() []string { return []string{held} }); err != nil {
			t.Fatal(err)
		}
	}
	pass()
	later.Store(int64(8 * 24 * time.Hour))
	pass()
	for reference, stays := range map[string]bool{unused: false, used: true, held: true, byHand: true, loaded: true} {
		_, err := engine.Image(t.Context(), reference)
		if stays && err != nil || !stays && runtime.ReasonOf(err) != runtime.ImageMissing {
			t.Errorf("%s (stays: %v): %v", reference[strings.LastIndex(reference, "/")+1:], stays, err)
		}
	}
	if left, err := notes.Images(); err != nil || len(left) != 2 {
		t.Errorf("it remembers %+v, %v", left, err)
	}
	if err := x.Engine().Pull(t.Context(), unused, runtime.Login{}, nil); err != nil { // a later deploy
		t.Fatal(err)
	}
	pass()
	if _, err := engine.Image(t.Context(), unused); err != nil {
		t.Errorf("pulled anew: %v", err)
	}
}
