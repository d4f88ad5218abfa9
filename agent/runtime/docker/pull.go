package docker

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/docker/docker/api/types/image"

	"github.com/berth-panel/berth/agent/runtime"
)

// progressEvery is the pace at which a pull tells how far it is.
const progressEvery = 250 * time.Millisecond

// Pull fetches an image, without a login. An image that is there already is
// asked for again: its tag may have moved.
func (e *Engine) Pull(ctx context.Context, ref string, progress func(runtime.PullProgress)) error {
	named, err := parse(ref)
	if err != nil {
		return err
	}
	sum := newPullSum(e.now, progress)
	sum.tell()
	stream, err := e.api.ImagePull(ctx, named.String(), image.PullOptions{})
	if err != nil {
		return pullFailure(ctx, named, err)
	}
	defer func() { _ = stream.Close() }()
	if err := readStream(stream, sum.add); err != nil {
		return pullFailure(ctx, named, err)
	}
	sum.tell()
	return nil
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

// pullSum adds up what the layers of a pull say.
type pullSum struct {
	now    func() time.Time
	handle func(runtime.PullProgress)
	layers map[string]layerProgress
	state  string
	told   time.Time            // when last
	last   runtime.PullProgress // what was told then
}

type layerProgress struct{ done, total int64 }

func newPullSum(now func() time.Time, handle func(runtime.PullProgress)) *pullSum {
	return &pullSum{now: now, handle: handle, layers: map[string]layerProgress{}, state: "Asking the registry"}
}

func (s *pullSum) add(m message) {
	l, known := s.layers[m.ID]
	switch m.Status {
	case "Downloading":
		s.state = m.Status
		l.done = max(m.Progress.Current, l.done)         // a download that is tried again starts over
		l.total = max(m.Progress.Total, l.total, l.done) // some registries don't tell a layer's size
		s.layers[m.ID] = l
	case "Extracting":
		s.state = m.Status
		fallthrough // its numbers start over; the bytes have all arrived
	case "Download complete", "Pull complete", "Verifying Checksum":
		if known {
			l.done = l.total
			s.layers[m.ID] = l
		}
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
		p.DoneBytes += l.done
		p.TotalBytes += l.total
	}
	if s.handle != nil && p != s.last {
		s.last = p
		s.handle(p)
	}
}
