package docker_test

import (
	"context"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
)

// committed makes an image of the probe with a config that Load has not.
func (b bench) committed(t *testing.T, config *container.Config) string {
	t.Helper()
	made, err := b.raw.ContainerCreate(t.Context(), &container.Config{Image: b.image}, nil, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.raw.ContainerRemove(t.Context(), made.ID, container.RemoveOptions{Force: true}); err != nil {
			t.Error(err)
		}
	}()
	reference := b.image + "-committed"
	if _, err := b.raw.ContainerCommit(t.Context(), made.ID, container.CommitOptions{Reference: reference, Config: config}); err != nil {
		t.Fatal(err)
	}
	runtimetest.DropImage(t, b.host, reference)
	return reference
}

// TestImageExtras: of an image's volumes nothing is left behind, its health
// check runs, its stop signal is used, its labels don't replace ours.
func TestImageExtras(t *testing.T) {
	t.Parallel()
	b := setup(t)
	reference := b.committed(t, &container.Config{
		Entrypoint:  []string{"/probe"},
		Volumes:     map[string]struct{}{"/vol": {}},
		StopSignal:  "SIGINT",
		Labels:      map[string]string{"berth.node": "forged", "berth.instance": "forged"},
		Healthcheck: &container.HealthConfig{Test: []string{"CMD", "/probe", "exit", "1"}, Interval: time.Second},
	})
	spec := b.spec("write", "/vol/begun", "yes", "then", "idle")
	spec.Image = reference
	id := b.start(t, spec)
	b.file(t, id, "/vol/begun")
	raw := b.raws(t, id)
	if c := b.inspect(t, id); c.Instance != spec.Instance || c.Health == "" || c.Health == runtime.Healthy {
		t.Errorf("the instance is %q, want %q; its health is %q", c.Instance, spec.Instance, c.Health)
	}
	if len(raw.Mounts) != 1 || raw.Mounts[0].Name == "" {
		t.Fatalf("the mounts are %+v, want one volume", raw.Mounts)
	}
	if err := b.engine.Stop(t.Context(), id, runtime.StopSpec{Grace: runtimetest.Patience}); err != nil {
		t.Fatal(err)
	}
	if c := b.inspect(t, id); c.ExitCode != 42 {
		t.Errorf("it was ended with code %d, want the image's own signal's", c.ExitCode)
	}
	if err := b.engine.Remove(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := b.raw.VolumeInspect(context.Background(), raw.Mounts[0].Name); !errdefs.IsNotFound(err) {
		t.Errorf("the image's volume is left behind: %v", err)
	}
}

// TestShortNames: a name that is the beginning of an image's id is a name.
func TestShortNames(t *testing.T) {
	t.Parallel()
	b := setup(t)
	found, err := b.engine.Image(t.Context(), b.image)
	if err != nil {
		t.Fatal(err)
	}
	for _, length := range []int{4, 12, 63} {
		name := found.ID[len("sha256:"):][:length]
		_, err := b.engine.Image(t.Context(), name)
		wantReason(t, "Image "+name, err, runtime.ImageMissing)
		_, err = b.engine.Create(t.Context(), runtimetest.Spec(name))
		wantReason(t, "Create from "+name, err, runtime.ImageMissing)
	}
}
