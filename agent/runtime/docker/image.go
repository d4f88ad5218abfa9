package docker

import (
	"context"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"

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
	out := runtime.Image{ID: found.ID, SizeBytes: found.Size, Digest: digestOf(found.RepoDigests, name)}
	if c := found.Config; c != nil {
		out.User, out.WorkingDir = c.User, c.WorkingDir
		out.Entrypoint, out.Command = c.Entrypoint, c.Cmd
	}
	return out, nil
}

// digestOf is the digest that the image has in the repository it was asked for by.
func digestOf(digests []string, name string) string {
	asked, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return "" // by its id
	}
	for _, text := range digests {
		named, err := reference.ParseNormalizedNamed(text)
		if err != nil || named.Name() != asked.Name() {
			continue
		}
		if d, ok := named.(reference.Digested); ok {
			return d.Digest().String()
		}
	}
	return ""
}

// Images gives every image on this machine. Which of them are used the list of
// all containers says: an engine counts that only where it is asked to measure
// disks, which takes long.
func (e *Engine) Images(ctx context.Context) ([]runtime.StoredImage, error) {
	used, err := e.usedImages(ctx)
	if err != nil {
		return nil, err
	}
	summaries, err := e.api.ImageList(ctx, image.ListOptions{})
	if err != nil {
		return nil, failure(ctx, err, runtime.Unknown, "the container engine could not list images")
	}
	list := make([]runtime.StoredImage, 0, len(summaries))
	for _, s := range summaries {
		list = append(list, runtime.StoredImage{ID: s.ID, Tags: fullNames(s.RepoTags), Used: used[s.ID]})
	}
	return list, nil
}

// usedImages are those that a container of anybody's is made from.
func (e *Engine) usedImages(ctx context.Context) (map[string]bool, error) {
	containers, err := e.api.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return nil, failure(ctx, err, runtime.Unknown, "the container engine could not list containers")
	}
	used := make(map[string]bool, len(containers))
	for _, c := range containers {
		used[c.ImageID] = true
	}
	return used, nil
}

// fullNames leaves out "<none>:<none>", which stands for no tag.
func fullNames(tags []string) []string {
	var names []string
	for _, t := range tags {
		if full, err := runtime.FullName(t); err == nil {
			names = append(names, full)
		}
	}
	slices.Sort(names)
	return names
}

// RemoveImage takes the image away without force, so that the engine itself
// refuses one that is in use. It takes an id only where the image has at most
// one tag: others go before, one by one, once nothing is seen to use it.
func (e *Engine) RemoveImage(ctx context.Context, id string) error {
	if !isID(id) {
		return runtime.Fail(runtime.BadReference, nil, "%q is not the id of an image", shorten(id))
	}
	found, err := e.api.ImageInspect(ctx, id)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return failure(ctx, err, runtime.Unknown, "the container engine could not look at image %s", id)
	}
	used, err := e.usedImages(ctx)
	if err != nil {
		return err
	}
	if used[found.ID] {
		return inUse(nil)
	}
	names := []string{id}
	if tags := found.RepoTags; len(tags) > 1 {
		names = tags
	}
	for _, name := range names {
		_, err := e.api.ImageRemove(ctx, name, image.RemoveOptions{PruneChildren: true})
		switch {
		case errdefs.IsConflict(err):
			return inUse(err)
		case err != nil && !errdefs.IsNotFound(err):
			return failure(ctx, err, runtime.Unknown, "the container engine could not remove an image")
		}
	}
	return nil
}

func inUse(cause error) error {
	return runtime.Fail(runtime.Conflict, cause, "the image is in use on this node")
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
