package instance_test

import (
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// TestWhatNoNodeWouldTakeIsRefusedAtOnce: an order that is larger than an agent
// reads is no job that fails each time.
func TestWhatNoNodeWouldTakeIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	large := must(b.images.Create(t.Context(), b.admin, image.Image{Name: "Large", Definition: image.Definition{
		References: []string{"example/large:1"}, Launch: image.LaunchEntrypoint, Script: &image.Script{Image: "example/installer:1", Text: strings.Repeat("x", 1<<20)}}}))(t).ID
	got := b.nothing("a large script", problem.Validation, func() error {
		_, _, err := b.instances.Create(t.Context(), b.admin, b.order(func(n *instance.New) { n.Image = large }))
		return err
	})
	if !strings.Contains(got.Message, "too large") {
		t.Errorf("it says %q", got.Message)
	}
}

// TestAnImageThatRendersNoMore: somebody makes an image name a long value so often
// that no instance of it could be told. Those that are there are shown still.
func TestAnImageThatRendersNoMore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ofEgg(func(n *instance.New) { n.Variables = map[string]string{"TOKEN": strings.Repeat("x", 30<<10)} })
	img := must(b.images.Change(t.Context(), b.admin, i.Image, func(img *image.Image) error {
		img.Patches = []image.Patch{{Path: "f", Parser: wire.PatchFile, Set: []image.PatchSet{{Match: "x", Value: strings.Repeat("{{TOKEN}}", 100)}}}}
		return nil
	}))(t)
	b.nothing("refresh", problem.Validation, func() error {
		_, err := b.instances.Refresh(t.Context(), b.admin, i.ID)
		return err
	})
	if outdated, err := i.Outdated(img, must(b.nodes.Get(t.Context(), i.Node))(t)); err != nil || !outdated {
		t.Errorf("outdated: %v, %v", outdated, err)
	}
}
