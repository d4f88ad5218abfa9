package runtimetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/ident"
)

func imageTests() map[string]func(*testing.T, Harness) {
	return map[string]func(*testing.T, Harness){
		"the machine is told":            tellMachine,
		"missing":                        imageMissing,
		"names that are none":            badReferences,
		"pull what the registry lacks":   pullUnknown,
		"pull":                           pull,
		"pull cancelled":                 pullCancelled,
		"load":                           load,
		"load the same again":            loadTwice,
		"load another over it":           loadOver,
		"load what is no tar":            loadGarbage,
		"load never replaces a stranger": loadOverStranger,
	}
}

func tellMachine(t *testing.T, h Harness) {
	info, err := h.Engine.Info(t.Context())
	must(t, "Info", err)
	if info.Engine == "" || info.Version == "" || info.OS == "" || info.Arch == "" || info.Cores < 1 || info.MemoryBytes < 1<<20 {
		t.Fatalf("Info leaves something out: %+v", info)
	}
}

// name is an image of this test's own.
func name() string { return "bt/image-" + string(ident.NewInstance()) + ":1" }

func imageMissing(t *testing.T, h Harness) {
	_, err := h.Engine.Image(t.Context(), h.Unknown)
	refused(t, "Image", err, runtime.ImageMissing)
	_, err = h.Engine.Image(t.Context(), "sha256:"+strings.Repeat("0", 64))
	refused(t, "Image by id", err, runtime.ImageMissing)
	_, err = h.Engine.Create(t.Context(), Spec(h.Unknown))
	refused(t, "Create", err, runtime.ImageMissing)
	nothing(t, h.Engine)
}

func badReferences(t *testing.T, h Harness) {
	for _, ref := range []string{"a/UPPER", "two words", "a:b:c", "https://registry.example/a", "../up", strings.Repeat("a", 1000), "a\x00b", "-"} {
		_, err := h.Engine.Image(t.Context(), ref)
		refused(t, "Image "+ref, err, runtime.BadReference)
		refused(t, "Pull "+ref, h.Engine.Pull(t.Context(), ref, runtime.Login{}, nil), runtime.BadReference)
		refused(t, "Load "+ref, h.Engine.Load(t.Context(), ref, Rootfs(t), ProbeConfig()), runtime.BadReference)
		_, err = h.Engine.Create(t.Context(), Spec(ref))
		refused(t, "Create "+ref, err, runtime.BadReference)
	}
}

func pullUnknown(t *testing.T, h Harness) {
	f := refused(t, "Pull", h.Engine.Pull(t.Context(), h.Unknown, runtime.Login{}, nil), runtime.ImageNotFound)
	repository := h.Unknown[strings.LastIndex(h.Unknown, "/")+1:]
	if !strings.Contains(f.Message, repository) {
		t.Fatalf("the sentence %q does not name the image %q", f.Message, repository)
	}
}

func pull(t *testing.T, h Harness) {
	_, err := h.Engine.Image(t.Context(), h.Pullable())
	refused(t, "Image before", err, runtime.ImageMissing)
	var told []runtime.PullProgress
	must(t, "Pull", h.Engine.Pull(t.Context(), h.Pullable(), runtime.Login{}, func(p runtime.PullProgress) { told = append(told, p) }))
	image, err := h.Engine.Image(t.Context(), h.Pullable())
	must(t, "Image after", err)
	if !strings.HasPrefix(image.ID, "sha256:") || image.SizeBytes <= 0 {
		t.Fatalf("Image is %+v", image)
	}
	if len(told) == 0 {
		t.Fatal("no progress was told")
	}
	for i, p := range told {
		if p.DoneBytes < 0 || p.DoneBytes > p.TotalBytes || (i > 0 && p.DoneBytes < told[i-1].DoneBytes) {
			t.Fatalf("progress %d goes wrong: %+v", i, told)
		}
	}
	last := told[len(told)-1]
	if last.DoneBytes == 0 || last.DoneBytes != last.TotalBytes || len(last.Layers) == 0 {
		t.Fatalf("the last progress is %+v, want all of it, by layer", last)
	}
	for _, l := range last.Layers {
		if l.ID == "" || l.State != runtime.LayerDone || l.DoneBytes != l.TotalBytes {
			t.Fatalf("a layer ended as %+v", l)
		}
	}
	if !strings.HasPrefix(image.Digest, "sha256:") {
		t.Fatalf("the image's digest is %q", image.Digest)
	}
	pinned, err := runtime.Pinned(h.Pullable(), image.Digest)
	must(t, "Pinned", err)
	must(t, "Pull by digest", h.Engine.Pull(t.Context(), pinned, runtime.Login{}, nil))
	again, err := h.Engine.Image(t.Context(), pinned)
	must(t, "Image by digest", err)
	if again.ID != image.ID || again.Digest != image.Digest {
		t.Fatalf("by its digest it is %+v, want %+v", again, image)
	}
	must(t, "Pull again, without progress", h.Engine.Pull(t.Context(), h.Pullable(), runtime.Login{}, nil))
}

func pullCancelled(t *testing.T, h Harness) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Engine.Pull(ctx, h.Pullable(), runtime.Login{}, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("Pull: %v, want the context's error", err)
	}
}

func load(t *testing.T, h Harness) {
	ref := name()
	config := runtime.ImageConfig{
		Entrypoint: []string{"/probe", "write", "/tmp/made", `"quoted" $HOME \ and
two lines`}, Env: []string{"A=1", "B=$A \"x\""}, WorkingDir: "/app", User: "1000:1000", Ports: []uint16{80, 443},
	}
	must(t, "Load", h.Engine.Load(t.Context(), ref, Rootfs(t), config))
	image, err := h.Engine.Image(t.Context(), ref)
	must(t, "Image", err)
	if image.User != config.User || image.WorkingDir != config.WorkingDir || !slices.Equal(image.Entrypoint, config.Entrypoint) {
		t.Fatalf("Image is %+v, want the config %+v", image, config)
	}
	if image.SizeBytes < 1<<20 {
		t.Fatalf("the image has %d bytes, and the probe alone has more", image.SizeBytes)
	}
	byID, err := h.Engine.Image(t.Context(), image.ID)
	must(t, "Image by id", err)
	if byID.ID != image.ID {
		t.Fatalf("by its id there is another image, %s", byID.ID)
	}
	spec := Spec(image.ID, "exit", "0")
	if c := inspect(t, h.Engine, create(t, h.Engine, spec)); c.ImageID != image.ID {
		t.Fatalf("a container made by the image's id has image %s, want %s", c.ImageID, image.ID)
	}
}

func loadTwice(t *testing.T, h Harness) {
	ref := name()
	LoadProbe(t, h.Engine, ref)
	before, err := h.Engine.Image(t.Context(), ref)
	must(t, "Image", err)
	LoadProbe(t, h.Engine, ref)
	after, err := h.Engine.Image(t.Context(), ref)
	must(t, "Image again", err)
	if before.ID != after.ID {
		t.Fatalf("loading the same again changed the image from %s to %s", before.ID, after.ID)
	}
}

func loadOver(t *testing.T, h Harness) {
	ref := name()
	LoadProbe(t, h.Engine, ref)
	before, err := h.Engine.Image(t.Context(), ref)
	must(t, "Image", err)
	config := ProbeConfig()
	config.User = "1000"
	must(t, "Load", h.Engine.Load(t.Context(), ref, Rootfs(t), config))
	after, err := h.Engine.Image(t.Context(), ref)
	must(t, "Image again", err)
	if before.ID == after.ID || after.User != "1000" {
		t.Fatalf("the reference names %+v after another image was loaded", after)
	}
}

func loadGarbage(t *testing.T, h Harness) {
	for what, from := range map[string]io.Reader{
		"nothing":        bytes.NewReader(nil),
		"garbage":        strings.NewReader(strings.Repeat("no tar at all ", 1000)),
		"a broken tar":   io.LimitReader(Rootfs(t), 100_000),
		"a broken pipe":  io.MultiReader(io.LimitReader(Rootfs(t), 2048), iotest.ErrReader(errors.New("the source broke"))),
		"only an ending": bytes.NewReader(make([]byte, 1024)),
	} {
		ref := name()
		if err := h.Engine.Load(t.Context(), ref, from, ProbeConfig()); err == nil {
			t.Fatalf("loading %s worked", what)
		}
		_, err := h.Engine.Image(t.Context(), ref)
		refused(t, "Image after "+what, err, runtime.ImageMissing)
	}
}

func loadOverStranger(t *testing.T, h Harness) {
	must(t, "Pull", h.Engine.Pull(t.Context(), h.Pullable(), runtime.Login{}, nil))
	before, err := h.Engine.Image(t.Context(), h.Pullable())
	must(t, "Image", err)
	refused(t, "Load", h.Engine.Load(t.Context(), h.Pullable(), Rootfs(t), ProbeConfig()), runtime.Conflict)
	after, err := h.Engine.Image(t.Context(), h.Pullable())
	must(t, "Image again", err)
	if before.ID != after.ID {
		t.Fatalf("the stranger's image %s was replaced by %s", before.ID, after.ID)
	}
}
