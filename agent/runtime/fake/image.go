package fake

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"

	"github.com/berth-panel/berth/agent/runtime"
)

// image is one on the machine.
type image struct {
	runtime.Image
	loaded bool // by Load: may be replaced by Load
	files  map[string]string
	links  map[string]string
}

// Offer is an image that a registry would give.
type Offer struct {
	Image runtime.Image
	Files map[string]string
	Bytes int64         // to download; Image.SizeBytes when 0
	Takes time.Duration // to download them
	Fails error         // the pull fails with it, after Takes
	Login runtime.Login // that the registry asks for; none: it gives it to everybody
}

// AddImage puts an image on the machine as if it had been pulled. An ID is made
// up when it has none. files are what it holds, by absolute path. A reference
// that isn't one does nothing, here and in OfferImage and DropImage.
func (e *Engine) AddImage(ref string, i runtime.Image, files map[string]string) {
	named, err := parse(ref)
	if err != nil {
		return
	}
	e.machine.mu.Lock()
	defer e.machine.mu.Unlock()
	e.machine.put(named.String(), &image{Image: i, files: files})
}

// OfferImage lets a registry have an image: Pull puts it on the machine.
func (e *Engine) OfferImage(ref string, o Offer) {
	named, err := parse(ref)
	if err != nil {
		return
	}
	e.machine.mu.Lock()
	defer e.machine.mu.Unlock()
	e.machine.offers[named.String()] = o
}

// DropImage takes an image off the machine and out of the registry.
func (e *Engine) DropImage(ref string) {
	named, err := parse(ref)
	if err != nil {
		return
	}
	e.machine.mu.Lock()
	defer e.machine.mu.Unlock()
	delete(e.machine.images, named.String())
	delete(e.machine.offers, named.String())
}

func parse(ref string) (reference.Named, error) {
	full, err := runtime.FullName(ref)
	if err != nil {
		return nil, err
	}
	named, err := reference.ParseNormalizedNamed(full)
	if err != nil {
		return nil, runtime.Fail(runtime.BadReference, err, "%.120q is not the name of an image", ref)
	}
	return named, nil
}

// put is called under the mutex.
func (m *machine) put(name string, i *image) {
	if i.ID == "" {
		i.ID = madeUp(name)
	}
	if old := m.images[name]; old != nil && old.ID != i.ID {
		m.images[old.ID] = old // its tag has moved on; by its id it is still there
	}
	m.images[name] = i
}

// find looks an image up by reference or id, under the mutex.
func (m *machine) find(ref string) (*image, error) {
	if strings.HasPrefix(ref, "sha256:") {
		for _, i := range m.images {
			if i.ID == ref {
				return i, nil
			}
		}
		return nil, runtime.Fail(runtime.ImageMissing, nil, "image %s is not on this node", ref)
	}
	named, err := parse(ref)
	if err != nil {
		return nil, err
	}
	i, ok := m.images[named.String()]
	if !ok {
		i, ok = m.digested(named)
	}
	if !ok {
		return nil, runtime.Fail(runtime.ImageMissing, nil, "image %s is not on this node", ref)
	}
	return i, nil
}

// digested finds an image of the repository by the digest that it came with.
func (m *machine) digested(named reference.Named) (*image, bool) {
	with, ok := named.(reference.Digested)
	if !ok {
		return nil, false
	}
	for name, i := range m.images {
		other, err := reference.ParseNormalizedNamed(name)
		if err == nil && other.Name() == named.Name() && i.Digest == with.Digest().String() {
			return i, true
		}
	}
	return nil, false
}

// Image looks an image up on the machine.
func (e *Engine) Image(ctx context.Context, ref string) (runtime.Image, error) {
	if err := e.enter(ctx, Image); err != nil {
		return runtime.Image{}, err
	}
	e.machine.mu.Lock()
	defer e.machine.mu.Unlock()
	i, err := e.machine.find(ref)
	if err != nil {
		return runtime.Image{}, err
	}
	return i.Image, nil
}

// Images gives every image on the machine.
func (e *Engine) Images(ctx context.Context) ([]runtime.StoredImage, error) {
	if err := e.enter(ctx, Images); err != nil {
		return nil, err
	}
	m := e.machine
	m.mu.Lock()
	defer m.mu.Unlock()
	found := map[string]*runtime.StoredImage{}
	for name, i := range m.images {
		s := found[i.ID]
		if s == nil {
			s = &runtime.StoredImage{ID: i.ID, Used: m.uses(i.ID)}
			found[i.ID] = s
		}
		if !strings.Contains(name, "@") && !strings.HasPrefix(name, "sha256:") {
			s.Tags = append(s.Tags, name)
		}
	}
	list := make([]runtime.StoredImage, 0, len(found))
	for _, id := range slices.Sorted(maps.Keys(found)) {
		slices.Sort(found[id].Tags)
		list = append(list, *found[id])
	}
	return list, nil
}

// uses says whether a container of any node is made from the image.
func (m *machine) uses(id string) bool {
	for _, b := range m.boxes {
		if b.ImageID == id {
			return true
		}
	}
	return false
}

// RemoveImage takes an image away that no container uses.
func (e *Engine) RemoveImage(ctx context.Context, id string) error {
	if !strings.HasPrefix(id, "sha256:") {
		return runtime.Fail(runtime.BadReference, nil, "%.80q is not the id of an image", id)
	}
	if err := e.enter(ctx, RemoveImage); err != nil {
		return err
	}
	m := e.machine
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.uses(id) {
		return runtime.Fail(runtime.Conflict, nil, "the image is in use on this node")
	}
	before := len(m.images)
	maps.DeleteFunc(m.images, func(_ string, i *image) bool { return i.ID == id })
	if len(m.images) < before {
		m.info.StorageFree += m.freed
	}
	return e.leave(RemoveImage)
}

// offer finds what a registry would give, under the mutex: by its tag, or by the
// digest that a tag stands for.
func (m *machine) offer(named reference.Named) (Offer, bool) {
	o, there := m.offers[named.String()]
	digested, ok := named.(reference.Digested)
	if there || !ok {
		return o, there
	}
	for name, o := range m.offers {
		other, err := reference.ParseNormalizedNamed(name)
		if err == nil && other.Name() == named.Name() && o.digest(name) == digested.Digest().String() {
			o.Image.ID = o.id(name)
			o.Image.Digest = digested.Digest().String()
			return o, true
		}
	}
	return Offer{}, false
}

// id is the engine's of what is offered.
func (o Offer) id(name string) string {
	if o.Image.ID != "" {
		return o.Image.ID
	}
	return madeUp(name)
}

// digest is the registry's of what is offered.
func (o Offer) digest(name string) string {
	if o.Image.Digest != "" {
		return o.Image.Digest
	}
	return madeUp(name + " in its registry")
}

func madeUp(from string) string {
	sum := sha256.Sum256([]byte(from))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// TryLogin takes what SetLogin says, at hosts that it was called for; others ask
// for none.
func (e *Engine) TryLogin(ctx context.Context, host string, login runtime.Login) error {
	if err := e.enter(ctx, TryLogin); err != nil {
		return err
	}
	e.machine.mu.Lock()
	defer e.machine.mu.Unlock()
	if want, asks := e.machine.logins[host]; asks && want != login {
		return runtime.Fail(runtime.ImageDenied, nil, "registry %s refuses user %s: wrong user name or password", host, login.Username)
	}
	return nil
}

// SetLogin lets the registry of a host ask TryLogin for a login.
func (e *Engine) SetLogin(host string, login runtime.Login) {
	e.machine.mu.Lock()
	defer e.machine.mu.Unlock()
	e.machine.logins[host] = login
}

// pulling is how far a pull of one layer is.
func pulling(done, total int64) runtime.PullProgress {
	state := runtime.LayerDownloading
	if done == total {
		state = runtime.LayerDone
	}
	return runtime.PullProgress{DoneBytes: done, TotalBytes: total, Message: "Downloading",
		Layers: []runtime.LayerProgress{{ID: "layer", State: state, DoneBytes: done, TotalBytes: total}}}
}

// pullSteps is how often a pull tells how far it is.
const pullSteps = 4

// Pull takes an offered image.
func (e *Engine) Pull(ctx context.Context, ref string, login runtime.Login, progress func(runtime.PullProgress)) error {
	named, err := parse(ref)
	if err != nil {
		return err
	}
	if err := e.enter(ctx, Pull); err != nil {
		return err
	}
	e.machine.mu.Lock()
	o, ok := e.machine.offer(named)
	e.machine.mu.Unlock()
	if !ok {
		return runtime.Fail(runtime.ImageNotFound, nil, "image %s not found in registry %s", reference.FamiliarString(named), reference.Domain(named))
	}
	if o.Login != (runtime.Login{}) && o.Login != login {
		return runtime.Fail(runtime.ImageDenied, nil, "registry %s denies image %s", reference.Domain(named), reference.FamiliarString(named))
	}
	total := o.Bytes
	if total == 0 {
		total = o.Image.SizeBytes
	}
	for step := range int64(pullSteps + 1) {
		if progress != nil {
			progress(pulling(total*step/pullSteps, total))
		}
		if step == pullSteps {
			break
		}
		if err := wait(ctx, nil, o.Takes/pullSteps, e.gone()); err != nil {
			return err
		}
	}
	if o.Fails != nil {
		return o.Fails
	}
	e.machine.mu.Lock()
	defer e.machine.mu.Unlock()
	if o.Image.Digest == "" {
		o.Image.Digest = o.digest(named.String())
	}
	e.machine.put(named.String(), &image{Image: o.Image, files: o.Files})
	return nil
}

// mostFile is the size up to which Load keeps a file's content for ReadFile.
const mostFile = 64 << 10

// Load makes an image whose small files ReadFile gives.
func (e *Engine) Load(ctx context.Context, ref string, rootfs io.Reader, config runtime.ImageConfig) error {
	named, err := parse(ref)
	if err != nil {
		return err
	}
	if err := e.enter(ctx, Load); err != nil {
		return err
	}
	i, err := unpack(rootfs, config)
	if err != nil {
		return runtime.Fail(runtime.Unknown, err, "the files of image %s could not be read", ref)
	}
	i.User, i.Entrypoint, i.WorkingDir = config.User, config.Entrypoint, config.WorkingDir
	e.machine.mu.Lock()
	defer e.machine.mu.Unlock()
	if there := e.machine.images[named.String()]; there != nil && !there.loaded {
		return runtime.Fail(runtime.Conflict, nil, "image %s is on this node already and was not made by Berth", reference.FamiliarString(named))
	}
	e.machine.put(named.String(), i)
	return e.leave(Load)
}

// unpack reads the root filesystem. The id is made of it and of the config.
func unpack(rootfs io.Reader, config runtime.ImageConfig) (*image, error) {
	i := &image{loaded: true, files: map[string]string{}, links: map[string]string{}}
	sum := sha256.New()
	_, _ = fmt.Fprintf(sum, "%+v", config)
	all := io.TeeReader(rootfs, sum)
	entries := tar.NewReader(all)
	count := 0
	for {
		head, err := entries.Next()
		if errors.Is(err, io.EOF) && count > 0 {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("not a tar: %w", err)
		}
		count++
		at := path.Join("/", head.Name)
		switch {
		case head.Typeflag == tar.TypeSymlink:
			i.links[at] = head.Linkname
		case head.Typeflag == tar.TypeReg && head.Size <= mostFile:
			text, err := io.ReadAll(entries)
			if err != nil {
				return nil, err
			}
			i.files[at] = string(text)
		}
		i.SizeBytes += head.Size
	}
	if _, err := io.Copy(io.Discard, all); err != nil {
		return nil, err
	}
	i.ID = "sha256:" + hex.EncodeToString(sum.Sum(nil))
	return i, nil
}
