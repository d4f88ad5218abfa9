package runtimetest

import (
	"slices"
	"strings"
	"testing"

	"github.com/berth-panel/berth/agent/runtime"
)

func clearTests() map[string]func(*testing.T, Harness) {
	return map[string]func(*testing.T, Harness){
		"an image that nothing uses goes":    clearUnused,
		"an image in use stays":              clearUsed,
		"an image of another node's, in use": clearForeign,
		"what is no image":                   clearNothing,
	}
}

// stored is the listed image of an id; nil when it is not listed.
func stored(t testing.TB, e runtime.Engine, id string) *runtime.StoredImage {
	t.Helper()
	list, err := e.Images(t.Context())
	must(t, "Images", err)
	var found *runtime.StoredImage
	for i := range list {
		if list[i].ID != id {
			continue
		}
		if found != nil {
			t.Fatalf("image %s is listed twice", id)
		}
		found = &list[i]
	}
	return found
}

// pulled brings the harness's image from its registry.
func (h Harness) pulled(t testing.TB) runtime.Image {
	t.Helper()
	must(t, "Pull", h.Engine.Pull(t.Context(), h.Pullable(), runtime.Login{}, nil))
	image, err := h.Engine.Image(t.Context(), h.Pullable())
	must(t, "Image", err)
	return image
}

func clearUnused(t *testing.T, h Harness) {
	image := h.pulled(t)
	name, err := runtime.FullName(h.Pullable())
	must(t, "FullName", err)
	s := stored(t, h.Engine, image.ID)
	if s == nil || s.Used || !slices.Equal(s.Tags, []string{name}) {
		t.Fatalf("pulled, it is listed as %+v", s)
	}
	must(t, "RemoveImage", h.Engine.RemoveImage(t.Context(), image.ID))
	_, err = h.Engine.Image(t.Context(), h.Pullable())
	refused(t, "Image", err, runtime.ImageMissing)
	if s := stored(t, h.Engine, image.ID); s != nil {
		t.Fatalf("removed, it is listed as %+v", s)
	}
	must(t, "RemoveImage again", h.Engine.RemoveImage(t.Context(), image.ID))
	h.pulled(t) // and it can be had again
}

func clearUsed(t *testing.T, h Harness) {
	image := h.pulled(t)
	spec := h.spec()
	spec.Image, spec.Entrypoint = h.Pullable(), []string{"/probe"}
	id := create(t, h.Engine, spec)
	if s := stored(t, h.Engine, image.ID); s == nil || !s.Used {
		t.Fatalf("with a container, it is listed as %+v", s)
	}
	refused(t, "RemoveImage", h.Engine.RemoveImage(t.Context(), image.ID), runtime.Conflict)
	again, err := h.Engine.Image(t.Context(), h.Pullable())
	if must(t, "Image", err); again.ID != image.ID {
		t.Fatal("its tag is another image's")
	}
	must(t, "Remove", h.Engine.Remove(t.Context(), id))
	must(t, "RemoveImage", h.Engine.RemoveImage(t.Context(), image.ID))
}

func clearForeign(t *testing.T, h Harness) {
	image := h.pulled(t)
	spec := h.spec()
	spec.Image, spec.Entrypoint = h.Pullable(), []string{"/probe"}
	create(t, h.Beside, spec)
	if s := stored(t, h.Engine, image.ID); s == nil || !s.Used {
		t.Fatalf("with another node's container, it is listed as %+v", s)
	}
	refused(t, "RemoveImage", h.Engine.RemoveImage(t.Context(), image.ID), runtime.Conflict)
}

func clearNothing(t *testing.T, h Harness) {
	for _, id := range []string{"", h.Image, "..", "sha256", strings.Repeat("0", 64)} {
		refused(t, "RemoveImage "+id, h.Engine.RemoveImage(t.Context(), id), runtime.BadReference)
	}
	must(t, "RemoveImage of what never was", h.Engine.RemoveImage(t.Context(), "sha256:"+strings.Repeat("0", 64)))
}
