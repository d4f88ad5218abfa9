package docker

import (
	"context"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"

	"github.com/berth-panel/berth/agent/runtime"
)

// Image looks a reference (or an id, "sha256:…") up among the images on this
// machine.
func (e *Engine) Image(ctx context.Context, ref string) (runtime.Image, error) {
	name, err := lookupName(ref)
	if err != nil {
		return runtime.Image{}, err
	}
	found, err := e.api.ImageInspect(ctx, name)
	if errdefs.IsNotFound(err) {
		return runtime.Image{}, runtime.Fail(runtime.ImageMissing, err, "image %s is not on this node", ref)
	}
	if err != nil {
		return runtime.Image{}, failure(ctx, err, runtime.Unknown, "the container engine could not look at image %s", ref)
	}
	out := runtime.Image{ID: found.ID, SizeBytes: found.Size}
	if c := found.Config; c != nil {
		out.User, out.WorkingDir = c.User, c.WorkingDir
		out.Entrypoint, out.Command = c.Entrypoint, c.Cmd
	}
	return out, nil
}

// parse reads the name of an image; the tag "latest" is added where there is
// none.
func parse(ref string) (reference.Named, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return nil, runtime.Fail(runtime.BadReference, err, "%q is not the name of an image", shorten(ref))
	}
	return reference.TagNameOnly(named), nil
}

// lookupName is what the engine is asked by. Names go to it in full: a short one
// such as "cafe" would match an image whose id begins like that.
func lookupName(ref string) (string, error) {
	if isID(ref) {
		return ref, nil
	}
	named, err := parse(ref)
	if err != nil {
		return "", err
	}
	return named.String(), nil
}

func isID(ref string) bool {
	digest, ok := strings.CutPrefix(ref, "sha256:")
	return ok && isHex64(digest)
}

// isHex64 says whether the text has the form of an engine's id.
func isHex64(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// shorten keeps a text of somebody's choice from filling a message.
func shorten(s string) string {
	const most = 120
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
