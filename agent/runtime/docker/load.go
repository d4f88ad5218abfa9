package docker

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/client"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/berth-panel/berth/agent/runtime"
)

// Load makes an image with one layer out of a plain tar. The same tar and config
// give the same image every time: no date goes into it.
func (e *Engine) Load(ctx context.Context, ref string, rootfs io.Reader, config runtime.ImageConfig) error {
	named, err := parse(ref)
	if err != nil {
		return err
	}
	if err := e.mayReplace(ctx, named); err != nil {
		return err
	}
	arch, err := e.arch(ctx)
	if err != nil {
		return err
	}
	layer, err := spool(rootfs)
	if err != nil {
		return failure(ctx, err, runtime.Unknown, "the files of image %s could not be read", ref)
	}
	defer layer.drop()
	archive, feed := io.Pipe()
	go func() {
		feed.CloseWithError(layer.writeImage(feed, named, e.imageConfig(config, arch, layer.digest)))
	}()
	defer func() { _ = archive.Close() }() // ends the goroutine when the engine stops reading
	answer, err := e.api.ImageLoad(ctx, archive, client.ImageLoadWithQuiet(true))
	if err != nil {
		return failure(ctx, err, runtime.Unknown, "image %s could not be loaded", ref)
	}
	defer func() { _ = answer.Body.Close() }()
	if err := readStream(answer.Body, func(message) {}); err != nil {
		return failure(ctx, err, runtime.Unknown, "image %s could not be loaded", ref)
	}
	return nil
}

// mayReplace refuses a reference that names an image which Load did not make.
func (e *Engine) mayReplace(ctx context.Context, named reference.Named) error {
	name := reference.FamiliarString(named)
	found, err := e.api.ImageInspect(ctx, named.String())
	switch {
	case errdefs.IsNotFound(err):
		return nil
	case err != nil:
		return failure(ctx, err, runtime.Unknown, "the container engine could not look at image %s", name)
	case found.Config != nil && found.Config.Labels[labelLoaded] != "":
		return nil
	}
	return runtime.Fail(runtime.Conflict, nil, "image %s is on this node already and was not made by Berth", name)
}

func (e *Engine) arch(ctx context.Context) (string, error) {
	version, err := e.api.ServerVersion(ctx)
	if err != nil {
		return "", failure(ctx, err, runtime.Unknown, "the container engine does not say what it is")
	}
	return version.Arch, nil
}

func (e *Engine) imageConfig(c runtime.ImageConfig, arch string, layer digest.Digest) ocispec.Image {
	ports := map[string]struct{}{}
	for _, p := range c.Ports {
		ports[strconv.Itoa(int(p))+"/tcp"] = struct{}{}
	}
	epoch := time.Unix(0, 0).UTC()
	return ocispec.Image{
		Created:  &epoch,
		Platform: ocispec.Platform{Architecture: arch, OS: "linux"},
		Config: ocispec.ImageConfig{
			User: c.User, Env: c.Env, Entrypoint: c.Entrypoint, WorkingDir: c.WorkingDir, ExposedPorts: ports,
			Labels: map[string]string{labelLoaded: string(e.node)},
		},
		RootFS:  ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{layer}},
		History: []ocispec.History{{Created: &epoch, CreatedBy: "berth"}},
	}
}

// layer is a layer's tar in a temporary file: its digest and size have to be
// known before its first byte is sent.
type layer struct {
	file   *os.File
	size   int64
	digest digest.Digest
}

func spool(from io.Reader) (*layer, error) {
	file, err := os.CreateTemp("", "berth-layer-*.tar")
	if err != nil {
		return nil, err
	}
	l := &layer{file: file}
	sum := sha256.New()
	// Reading it as a tar first finds what isn't one before the engine does.
	checked := tar.NewReader(io.TeeReader(from, io.MultiWriter(file, sum)))
	entries := 0
	for {
		if _, err = checked.Next(); err != nil {
			break
		}
		entries++
	}
	if !errors.Is(err, io.EOF) || entries == 0 {
		l.drop()
		return nil, fmt.Errorf("not a tar: %w", err)
	}
	if _, err = io.Copy(io.MultiWriter(file, sum), from); err == nil { // what follows the last entry belongs to it
		l.size, err = file.Seek(0, io.SeekCurrent)
	}
	if err != nil {
		l.drop()
		return nil, err
	}
	l.digest = digest.NewDigestFromEncoded(digest.SHA256, hex.EncodeToString(sum.Sum(nil)))
	return l, nil
}

func (l *layer) drop() {
	_ = l.file.Close()
	_ = os.Remove(l.file.Name())
}

// writeImage writes an archive as `docker save` makes it.
func (l *layer) writeImage(to io.Writer, named reference.Named, config ocispec.Image) error {
	configText, err := json.Marshal(config)
	if err != nil {
		return err
	}
	configName := digest.FromBytes(configText).Encoded() + ".json"
	layerName := l.digest.Encoded() + "/layer.tar"
	manifest, err := json.Marshal([]map[string]any{{
		"Config": configName, "RepoTags": []string{reference.FamiliarString(named)}, "Layers": []string{layerName},
	}})
	if err != nil {
		return err
	}
	if _, err := l.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	out := tar.NewWriter(to)
	for _, part := range []struct {
		name string
		text []byte
	}{{configName, configText}, {"manifest.json", manifest}} {
		if err := out.WriteHeader(&tar.Header{Name: part.name, Mode: 0o644, Size: int64(len(part.text))}); err != nil {
			return err
		}
		if _, err := out.Write(part.text); err != nil {
			return err
		}
	}
	if err := out.WriteHeader(&tar.Header{Name: layerName, Mode: 0o644, Size: l.size}); err != nil {
		return err
	}
	if _, err := io.Copy(out, l.file); err != nil {
		return err
	}
	return out.Close()
}
