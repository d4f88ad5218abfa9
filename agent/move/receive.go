package move

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/agent/volume"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Whole files are put on the disk together and then take their places.
const (
	batchFiles  = 128      // at most
	batchBytes  = 32 << 20 // about
	syncsAtOnce = 8
	// spareBytes are left free on the disk by a pass that begins.
	spareBytes = 16 << 20
)

// Receive takes frames into an incoming volume until their end. left is how much
// the pass has still to send: it must fit on the disk. cut makes reads of r fail;
// it is called when a newer call takes this one's place. What has arrived stays,
// also when Receive fails.
func (s *Store) Receive(ctx context.Context, id ident.Instance, left int64, r io.Reader, cut func()) (wire.Received, error) {
	i, err := s.find(id)
	if err != nil {
		return wire.Received{}, err
	}
	ctx, end, err := i.begin(ctx)
	if err != nil {
		return wire.Received{}, err
	}
	defer end()
	defer context.AfterFunc(ctx, cut)()
	if err := s.receiveSlots.enter(ctx); err != nil {
		return wire.Received{}, err
	}
	defer s.receiveSlots.leave()
	s.forget(digestKey{id: id, incoming: true})
	staged, err := s.Volumes.OpenStaged(id)
	if err != nil {
		return wire.Received{}, fmt.Errorf("open the incoming volume of %s: %w", id, err)
	}
	defer staged.Close()
	free, err := staged.Data.Space()
	if err != nil {
		return wire.Received{}, err
	}
	if left > 0 && free < left+spareBytes {
		return wire.Received{}, problem.New(problem.InsufficientResources, "the node's disk has room for %d MiB, and %d MiB are to come", free>>20, left>>20)
	}
	in := receiver{incoming: i, staged: staged, frames: newFrameReader(r)}
	if in.parts, err = partsOf(staged.Parts); err != nil {
		return wire.Received{}, err
	}
	err = in.run(ctx)
	if cause := context.Cause(ctx); cause != nil && err != nil {
		err = cause
	}
	return in.received, explain(err)
}

// receiver is one stream.
type receiver struct {
	incoming *incoming
	staged   volume.Staged
	frames   *frameReader
	parts    map[string]int64 // half files by their names; sizes are not kept up
	current  *arrival
	batch    []*arrival
	waiting  int64 // bytes of the batch
	files    uint64
	received wire.Received
}

// arrival is a file on its way.
type arrival struct {
	header wire.FileHeader
	name   wire.Path // among the parts
	file   *os.File
	at     int64 // all below is there
}

// run takes frames until the end, and keeps what is whole whatever happens.
func (r *receiver) run(ctx context.Context) error {
	err := r.take(ctx)
	if r.current != nil {
		_ = r.current.file.Close() // the part stays
	}
	return errors.Join(err, r.commit())
}

func (r *receiver) take(ctx context.Context) error {
	for {
		f, err := r.frames.next()
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		done, err := r.one(f)
		if done || err != nil {
			return err
		}
	}
}

// one takes a frame; done says that it was the last.
func (r *receiver) one(f frame) (done bool, err error) {
	if inside := f.kind == frameData || f.kind == frameEnd; f.kind != frameError && inside != (r.current != nil) {
		return false, badFrame("a %q frame has no place there", f.kind)
	}
	switch f.kind {
	case frameFile:
		return false, r.begin(f)
	case frameData:
		return false, r.data(f.content)
	case frameEnd:
		return false, r.end(f.content)
	case frameGone:
		if !r.incoming.wants(wire.Path(f.content)) {
			return false, badFrame("nobody asked for that file")
		}
		r.files++
		r.received.Unsteady++
		return false, nil
	case frameError:
		var p problem.Problem
		if err := f.decode(&p); err != nil || p.Code == "" {
			return false, badFrame("the source says why it can't go on, and is not understood")
		}
		return false, problem.New(p.Code, "the source can't go on: %s", p.Message)
	case frameDone:
		if len(f.content) != 8 || binary.BigEndian.Uint64(f.content) != r.files {
			return false, badFrame("the number of files is wrong")
		}
		return true, nil
	default:
		return false, badFrame("frames of type %q are not known", f.kind)
	}
}

// begin opens the part of the file that a header announces.
func (r *receiver) begin(f frame) error {
	var h wire.FileHeader
	if err := f.decode(&h); err != nil {
		return err
	}
	if !h.Path.Valid() || h.Size < 0 || h.Offset < 0 || h.Offset > h.Size || h.Mode > 0o7777 || h.UID < 0 || h.GID < 0 {
		return badFrame("a header is of no file")
	}
	if !r.incoming.wants(h.Path) {
		return badFrame("nobody asked for that file")
	}
	name := partName(h.Path, h.Size, h.MTime, h.CTime)
	for other := range r.parts {
		if other != name && strings.HasPrefix(other, partPrefix(h.Path)) { // of a version of before
			if err := r.staged.Parts.Remove(wire.Path(other)); err != nil && !files.Gone(err) {
				return err
			}
			delete(r.parts, other)
		}
	}
	file, err := r.staged.Parts.Create(wire.Path(name))
	if err != nil {
		return err
	}
	info, err := files.Stat(file, wire.Path(name))
	if err == nil && info.Size < h.Offset {
		err = problem.New(problem.Conflict, "what comes before that part of the file is not here")
	}
	if err == nil {
		err = file.Truncate(h.Offset)
	}
	if err != nil {
		_ = file.Close()
		return err
	}
	r.parts[name] = h.Offset
	r.current = &arrival{header: h, name: wire.Path(name), file: file, at: h.Offset}
	return nil
}

// data writes a verified part of the current file.
func (r *receiver) data(content []byte) error {
	if len(content) <= 8 {
		return badFrame("a part without data")
	}
	offset, data := int64(binary.BigEndian.Uint64(content)), content[8:]
	a := r.current
	if offset < a.at || offset > a.header.Size || int64(len(data)) > a.header.Size-offset {
		return badFrame("a part lies where the file has none")
	}
	if _, err := a.file.WriteAt(data, offset); err != nil {
		_ = a.file.Truncate(a.at) // only whole parts count
		return err
	}
	a.at = offset + int64(len(data))
	r.received.Bytes += int64(len(data))
	return nil
}

func (r *receiver) end(content []byte) error {
	a := r.current
	if len(content) != 1 || content[0] > endUnsteady {
		return badFrame("an end that is none")
	}
	r.current = nil
	r.files++
	if content[0] == endUnsteady {
		_ = a.file.Close()
		delete(r.parts, string(a.name))
		r.received.Unsteady++
		return r.staged.Parts.Remove(a.name)
	}
	if err := a.file.Truncate(a.header.Size); err != nil { // a hole at the end
		_ = a.file.Close()
		return err
	}
	r.batch = append(r.batch, a)
	r.waiting += a.at - a.header.Offset
	if len(r.batch) < batchFiles && r.waiting < batchBytes {
		return nil
	}
	return r.commit()
}

// commit puts the whole files on the disk, several at a time, since the disk
// takes their syncs together; then each takes its place.
func (r *receiver) commit() error {
	batch := r.batch
	r.batch, r.waiting = nil, 0
	failures := make([]error, len(batch))
	var workers sync.WaitGroup
	for w := range min(syncsAtOnce, len(batch)) {
		workers.Go(func() {
			for n := w; n < len(batch); n += syncsAtOnce {
				failures[n] = r.seal(batch[n])
			}
		})
	}
	workers.Wait()
	var failed error
	for n, a := range batch {
		err := failures[n]
		if err == nil {
			err = r.staged.Parts.Move(a.name, r.staged.Data, a.header.Path)
		}
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		delete(r.parts, string(a.name))
		r.received.Files++
		r.incoming.place(a.at, false)
	}
	return failed
}

// seal makes a whole file what it will be, but for its place.
func (r *receiver) seal(a *arrival) error {
	h := a.header
	err := r.staged.Parts.Seal(a.file, a.name, files.Meta{Mode: h.Mode, UID: h.UID, GID: h.GID, MTime: h.MTime, ATime: h.CTime})
	if closing := a.file.Close(); err == nil {
		err = closing
	}
	return err
}
