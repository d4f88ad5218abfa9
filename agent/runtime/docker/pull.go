package docker

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"

	"github.com/berth-panel/berth/agent/runtime"
)

// progressEvery is the pace at which a pull tells how far it is.
const progressEvery = 250 * time.Millisecond

// Pull fetches an image. One that is there already is asked for again: its tag
// may have moved. The login travels in a header of this one call; the engine shows
// it to the image's registry, and keeps it nowhere.
func (e *Engine) Pull(ctx context.Context, ref string, login runtime.Login, progress func(runtime.PullProgress)) error {
	named, err := parse(ref)
	if err != nil {
		return err
	}
	sum := newPullSum(e.now, progress)
	sum.tell()
	options, err := pullOptions(named, login)
	if err != nil {
		return err
	}
	_, err = e.api.ImageInspect(ctx, named.String())
	fresh := errdefs.IsNotFound(err)
	stream, err := e.api.ImagePull(ctx, named.String(), options)
	if err != nil {
		return pullFailure(ctx, named, login, scrubbed(err, login))
	}
	defer func() { _ = stream.Close() }()
	if err := readStream(stream, sum.add); err != nil {
		return pullFailure(ctx, named, login, scrubbed(err, login))
	}
	sum.tell()
	if err := e.fits(ctx, named); err != nil {
		if fresh && runtime.ReasonOf(err) == runtime.ImageWrongArch { // or the next try would find it here
			_, _ = e.api.ImageRemove(ctx, named.String(), image.RemoveOptions{PruneChildren: true})
		}
		return err
	}
	return nil
}

func pullOptions(named reference.Named, login runtime.Login) (image.PullOptions, error) {
	if login.None() {
		return image.PullOptions{}, nil
	}
	auth, err := registry.EncodeAuthConfig(registry.AuthConfig{Username: login.Username, Password: login.Password, ServerAddress: serverOf(reference.Domain(named))})
	if err != nil {
		return image.PullOptions{}, runtime.Fail(runtime.Unknown, nil, "the login for registry %s can't be written", reference.Domain(named))
	}
	return image.PullOptions{RegistryAuth: auth}, nil
}

// scrubbed is an error without the login, which a registry may have put into its
// answer, and so into what is logged here.
func scrubbed(err error, login runtime.Login) error {
	if login.None() {
		return err
	}
	text := err.Error()
	for _, secret := range []string{login.Password, base64.StdEncoding.EncodeToString([]byte(login.Username + ":" + login.Password))} {
		text = strings.ReplaceAll(text, secret, "…")
	}
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}

// serverOf is how engines call a registry where they speak of logins.
func serverOf(host string) string {
	if host == "docker.io" {
		return "https://index.docker.io/v1/"
	}
	return host
}

// fits refuses an image that is for another machine, which some engines fetch
// without a word when its registry offers nothing else.
func (e *Engine) fits(ctx context.Context, named reference.Named) error {
	found, err := e.api.ImageInspect(ctx, named.String())
	if err != nil {
		return failure(ctx, err, runtime.Unknown, "the container engine could not look at image %s", reference.FamiliarString(named))
	}
	info, err := e.api.Info(ctx)
	if err != nil {
		return failure(ctx, err, runtime.Unknown, "the container engine does not say what machine it runs on")
	}
	if found.Architecture == "" || info.Architecture == "" || runs(goArch(info.Architecture), found.Architecture) {
		return nil
	}
	return runtime.Fail(runtime.ImageWrongArch, nil, "image %s is made for %s machines, and this node is %s: choose a tag or a node that fits",
		reference.FamiliarString(named), found.Architecture, goArch(info.Architecture))
}

// runs says whether a machine runs programs of another kind natively.
func runs(machine, program string) bool {
	return machine == program || machine == "amd64" && program == "386" || machine == "arm64" && program == "arm"
}

// TryLogin lets the engine log in, as it would for a pull.
func (e *Engine) TryLogin(ctx context.Context, host string, login runtime.Login) error {
	_, err := e.api.RegistryLogin(ctx, registry.AuthConfig{Username: login.Username, Password: login.Password, ServerAddress: serverOf(host)})
	if err == nil {
		return nil
	}
	if gone := broken(ctx, err); gone != nil {
		return gone
	}
	return loginFailure(host, login, scrubbed(err, login))
}

// message is a line of the stream that a pull or a load answers with.
type message struct {
	Status   string `json:"status"`
	ID       string `json:"id"` // of a layer
	Progress struct {
		Current int64 `json:"current"`
		Total   int64 `json:"total"`
	} `json:"progressDetail"`
	Error  string `json:"error"`
	Detail struct {
		Message string `json:"message"`
	} `json:"errorDetail"`
}

// readStream hands over each message until the stream's end. An error inside
// the stream is returned as an error of that text.
func readStream(from io.Reader, handle func(message)) error {
	decoder := json.NewDecoder(from)
	for {
		var m message
		err := decoder.Decode(&m)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case m.Detail.Message != "":
			return errors.New(m.Detail.Message)
		case m.Error != "":
			return errors.New(m.Error)
		}
		handle(m)
	}
}

// mostLayers bounds what a stream can make us keep; images have at most 127.
const mostLayers = 256

// pullSum adds up what the layers of a pull say.
type pullSum struct {
	now    func() time.Time
	handle func(runtime.PullProgress)
	layers []runtime.LayerProgress
	state  string
	told   time.Time            // when last
	last   runtime.PullProgress // what was told then
}

func newPullSum(now func() time.Time, handle func(runtime.PullProgress)) *pullSum {
	return &pullSum{now: now, handle: handle, state: "Asking the registry"}
}

// layer finds what a message is about; nil for one that isn't about a layer that
// is fetched.
func (s *pullSum) layer(id string) *runtime.LayerProgress {
	for n := range s.layers {
		if s.layers[n].ID == id {
			return &s.layers[n]
		}
	}
	return nil
}

func (s *pullSum) add(m message) {
	l := s.layer(m.ID)
	if l == nil && (m.Status == "Pulling fs layer" || m.Status == "Downloading") && len(s.layers) < mostLayers {
		s.layers = append(s.layers, runtime.LayerProgress{ID: m.ID, State: runtime.LayerWaiting})
		l = &s.layers[len(s.layers)-1]
	}
	if l == nil {
		return
	}
	switch m.Status {
	case "Downloading":
		s.state, l.State = m.Status, runtime.LayerDownloading
		l.DoneBytes = max(m.Progress.Current, l.DoneBytes)              // a download that is tried again starts over
		l.TotalBytes = max(m.Progress.Total, l.TotalBytes, l.DoneBytes) // some registries don't tell a layer's size
	case "Extracting":
		s.state, l.State = m.Status, runtime.LayerExtracting
		l.DoneBytes = l.TotalBytes // its numbers start over; the bytes have all arrived
	case "Download complete", "Verifying Checksum":
		l.DoneBytes = l.TotalBytes
	case "Pull complete":
		l.DoneBytes, l.State = l.TotalBytes, runtime.LayerDone
	default:
		return
	}
	if t := s.now(); t.Sub(s.told) >= progressEvery {
		s.told = t
		s.tell()
	}
}

// tell hands over the sum, unless nothing has changed since the last time.
func (s *pullSum) tell() {
	p := runtime.PullProgress{Message: s.state}
	for _, l := range s.layers {
		p.DoneBytes += l.DoneBytes
		p.TotalBytes += l.TotalBytes
	}
	p.Layers = slices.Clone(s.layers)
	if s.handle != nil && !same(p, s.last) {
		s.last = p
		s.handle(p)
	}
}

func same(a, b runtime.PullProgress) bool {
	return a.DoneBytes == b.DoneBytes && a.TotalBytes == b.TotalBytes && a.Message == b.Message && slices.Equal(a.Layers, b.Layers)
}
