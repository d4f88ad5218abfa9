package move

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

var errPermission = fs.ErrPermission

// pageBytes bounds the paths of a page: it is well below wire.MaxPage, also with
// every byte escaped.
const pageBytes = 256 << 10

// Entries lists what follows query.After in an instance's volume. A page from the
// beginning begins a new pass: a digest of before is forgotten.
func (s *Store) Entries(ctx context.Context, id ident.Instance, query wire.EntryQuery) (wire.EntryPage, error) {
	page := wire.EntryPage{After: query.After, Entries: []wire.Entry{}}
	if query.Limit < 1 || query.Limit > wire.MaxEntries {
		return page, problem.Invalid("limit", "must be 1 to %d", wire.MaxEntries)
	}
	if query.After != "" && !query.After.Valid() {
		return page, problem.Invalid("after", "is no path inside a volume")
	}
	if err := s.pageSlots.enter(ctx); err != nil {
		return page, err
	}
	defer s.pageSlots.leave()
	root, err := s.open(id)
	if err != nil {
		return page, err
	}
	defer func() { _ = root.Close() }()
	if query.After == "" {
		s.forget(digestKey{id: id})
	}
	return page, explain(list(ctx, root, query, &page))
}

func list(ctx context.Context, root *files.Root, query wire.EntryQuery, page *wire.EntryPage) error {
	walk, err := root.Walk(query.After)
	if err != nil {
		return err
	}
	defer walk.Close()
	for bytes := 0; len(page.Entries) < query.Limit && bytes < pageBytes; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		info, err := walk.Next()
		if errors.Is(err, io.EOF) {
			page.Last = true
			return nil
		}
		if err != nil {
			return err
		}
		entry, ok := entryOf(info)
		if !ok {
			page.Skipped++
			continue
		}
		page.Entries = append(page.Entries, entry)
		bytes += len(entry.Path) + len(entry.Target)
	}
	return nil
}

func entryOf(info files.Info) (wire.Entry, bool) {
	entry := wire.Entry{Path: info.Path, Mode: info.Mode, UID: info.UID, GID: info.GID, MTime: info.MTime}
	switch info.Kind {
	case files.File:
		entry.Kind, entry.Size, entry.Data, entry.CTime = wire.EntryFile, info.Size, info.Data, info.CTime
	case files.Dir:
		entry.Kind = wire.EntryDir
	case files.Link:
		entry.Kind, entry.Target = wire.EntryLink, info.Target
	case files.Other:
		return entry, false
	}
	return entry, true
}

// Send writes the files of an instance's volume as frames. A failure before
// anything was written is a refusal; a later one has been told in the frames.
func (s *Store) Send(ctx context.Context, id ident.Instance, needs wire.Needs, w io.Writer) error {
	if len(needs.Files) > wire.MaxEntries {
		return problem.Invalid("files", "must be %d at most", wire.MaxEntries)
	}
	for i, need := range needs.Files {
		if !need.Path.Valid() || need.Offset < 0 {
			return problem.Invalid(fmt.Sprintf("files[%d]", i), "is no part of a file inside a volume")
		}
	}
	if err := s.sendSlots.enter(ctx); err != nil {
		return err
	}
	defer s.sendSlots.leave()
	root, err := s.open(id)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	out := sender{root: root, out: newFrameWriter(w), now: s.Now, buffer: make([]byte, chunkSize)}
	for _, need := range needs.Files {
		if err := out.send(ctx, need); err != nil {
			return out.fail(err)
		}
	}
	count := binary.BigEndian.AppendUint64(nil, uint64(len(needs.Files)))
	if err := out.out.write(frameDone, count); err != nil {
		return err
	}
	return out.out.flush()
}

// sender is one stream.
type sender struct {
	root   *files.Root
	out    *frameWriter
	now    func() time.Time
	buffer []byte
}

// fail tells the other end why the stream ends; where that can't be told any
// more, nobody listens.
func (s *sender) fail(err error) error {
	p := problem.From(explain(err))
	if s.out.json(frameError, p) == nil {
		_ = s.out.flush()
	}
	return err
}

// send writes one file. What another program does to it meanwhile is no failure.
func (s *sender) send(ctx context.Context, need wire.Need) error {
	file, info, err := s.root.Open(need.Path)
	if files.Gone(err) {
		return s.out.write(frameGone, []byte(need.Path))
	}
	if err != nil {
		return s.broken(need.Path, err)
	}
	defer func() { _ = file.Close() }()
	if info, err = s.settle(ctx, file, info); err != nil {
		return err
	}
	header := wire.FileHeader{Path: need.Path, Size: info.Size, Mode: info.Mode, UID: info.UID, GID: info.GID, MTime: info.MTime, CTime: info.CTime}
	if need.Size == info.Size && need.CTime == info.CTime && need.Offset <= info.Size {
		header.Offset = need.Offset
	}
	if err := s.out.json(frameFile, header); err != nil {
		return err
	}
	end := byte(endWhole)
	steady, err := s.content(ctx, file, info, header.Offset)
	if err != nil {
		return err
	}
	if !steady {
		end = endUnsteady
	}
	return s.out.write(frameEnd, []byte{end})
}

// grain is more than the distance between two times that the kernel tells apart.
const grain = 20 * time.Millisecond

// settle waits when the file was changed only just now: a change within the same
// tick of the kernel's clock would not show in its times.
func (s *sender) settle(ctx context.Context, file *os.File, info files.Info) (files.Info, error) {
	age := s.now().Sub(time.Unix(0, info.CTime))
	if age > grain || age < -grain {
		return info, nil
	}
	timer := time.NewTimer(grain)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return info, context.Cause(ctx)
	}
	return files.Stat(file, info.Path)
}

// lookEvery is how much of a large file is sent between looks whether it is still
// the same.
const lookEvery = 64 << 20

// content sends a file from offset on; steady is false when it changed meanwhile.
func (s *sender) content(ctx context.Context, file *os.File, info files.Info, offset int64) (steady bool, err error) {
	looked := offset
	for at := offset; at < info.Size; {
		start, end, err := files.Data(file, at, info.Size)
		if err != nil {
			return false, s.broken(info.Path, err)
		}
		for at = start; at < end; {
			if ctx.Err() != nil {
				return false, context.Cause(ctx)
			}
			n, err := file.ReadAt(s.buffer[:min(int64(len(s.buffer)), end-at)], at)
			if errors.Is(err, io.EOF) && at+int64(n) < end {
				return false, nil // it shrank
			}
			if err != nil && !errors.Is(err, io.EOF) {
				return false, s.broken(info.Path, err)
			}
			if err := s.out.write(frameData, binary.BigEndian.AppendUint64(nil, uint64(at)), s.buffer[:n]); err != nil {
				return false, err
			}
			at += int64(n)
			if at-looked >= lookEvery {
				looked = at
				if steady, err := s.steady(file, info); err != nil || !steady {
					return false, err
				}
			}
		}
	}
	return s.steady(file, info)
}

func (s *sender) steady(file *os.File, was files.Info) (bool, error) {
	is, err := files.Stat(file, was.Path)
	return err == nil && is.Size == was.Size && is.MTime == was.MTime && is.CTime == was.CTime, err
}

// broken names the file that can't be read.
func (s *sender) broken(path wire.Path, err error) error {
	if errors.Is(err, errPermission) {
		return problem.New(problem.Internal, "the agent may not read %q in the volume; it should run as root", path).Because(err)
	}
	return problem.New(problem.Internal, "%q in the volume can't be read: the disk of the source may be broken", path).Because(err)
}
