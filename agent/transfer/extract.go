package transfer

import (
	"errors"
	"io"

	"github.com/berth-panel/berth/agent/archive"
	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// extract unpacks an archive among the parts, and then puts what came of it into
// its folder: an archive that turns out to be bad changes nothing.
func (w *work) extract(body wire.FileExtract) error {
	file, info, err := w.data.Open(body.Path)
	if err != nil {
		return w.explain(err, body.Path)
	}
	defer func() { _ = file.Close() }()
	w.task.say(0, "unpacking %s", printable(body.Path))
	source, err := archive.Open(file, info.Size, nameOf(body.Path), archive.Limits{Bytes: max(1, w.room.left)})
	if err != nil {
		return w.explain(err, body.Path)
	}
	defer source.Close()
	part := scratch()
	defer w.drop(part)
	if err := w.parts.MakeDirs(part, w.meta(0o755)); err != nil {
		return err
	}
	x := extraction{work: w, source: source, part: part, size: info.Size}
	if err := x.unpack(); err != nil {
		return w.explain(err, body.Path)
	}
	return w.merge(part, body.To, body.Overwrite)
}

type extraction struct {
	*work
	source *archive.Reader
	part   wire.Path
	size   int64
}

// unpack makes the entries. Nobody but this task sees them.
func (x *extraction) unpack() error {
	for {
		if x.Err() != nil {
			return x.Err()
		}
		entry, err := x.source.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := x.entry(entry); err != nil {
			if files.Gone(err) || files.Impossible(err) {
				return problem.New(problem.Validation, "the archive holds an entry that can't be made, %s: what is above it is no folder there, or its name is too long", printable(entry.Path)).Because(err)
			}
			return err
		}
		x.task.count(1, 0)
		x.task.reach(x.source.Consumed(), x.size)
	}
}

func (x *extraction) entry(e archive.Entry) error {
	at := join(x.part, e.Path)
	if len(at) > wire.MaxPath {
		return problem.New(problem.Validation, "the archive holds a path that is too long, %s", printable(e.Path))
	}
	meta := x.meta(e.Mode)
	if !e.MTime.IsZero() {
		meta.MTime = e.MTime.UnixNano()
	}
	if e.Kind == archive.Dir {
		meta.Mode |= 0o700 // its owner can work in it
		return x.parts.MakeDirs(at, meta)
	}
	if err := x.parts.MakeDirs(folderOf(at), x.meta(0o755)); err != nil {
		return err
	}
	if e.Kind != archive.Hard || e.Target != string(e.Path) {
		if err := x.parts.Remove(at); err != nil && !files.NotFound(err) { // the last of a name counts
			return err
		}
	}
	switch e.Kind {
	case archive.Link:
		return x.makeLink(wire.Path(e.Target), at)
	case archive.Hard:
		return x.again(wire.Path(e.Target), at, meta)
	}
	return x.file(at, meta)
}

func (x *extraction) file(at wire.Path, meta files.Meta) error {
	file, err := x.parts.New(at)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	to := &counted{Writer: charged{file, x.room}, x: x}
	if _, err := io.CopyBuffer(plain{to}, bare{x.source}, make([]byte, 256<<10)); err != nil {
		return err
	}
	return x.parts.Dress(file, at, meta)
}

// counted tells how far it is.
type counted struct {
	io.Writer
	x *extraction
}

func (c *counted) Write(p []byte) (int, error) {
	if c.x.Err() != nil {
		return 0, c.x.Err()
	}
	n, err := c.Writer.Write(p)
	c.x.task.count(0, int64(n))
	c.x.task.reach(c.x.source.Consumed(), c.x.size)
	return n, err
}

// again makes a copy of a file that was unpacked before: two names of one file
// would be a surprise to whoever edits one of them.
func (x *extraction) again(target, at wire.Path, meta files.Meta) error {
	from := join(x.part, target)
	if from == at {
		return nil
	}
	info, err := x.parts.Lstat(from)
	if err == nil && info.Kind == files.Link {
		return x.makeLink(info.Target, at)
	}
	if err != nil || info.Kind != files.File {
		return problem.New(problem.Validation, "the archive holds a hard link to what is not in it before, %s", printable(target))
	}
	return x.copyFile(x.parts, from, at, meta)
}

// merge moves what is in a part into a folder. Whether it fits is looked at
// before anything is moved.
func (w *work) merge(part, to wire.Path, overwrite bool) error {
	from, err := w.parts.Sub(part)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	return w.within(to, func() error {
		for _, moving := range []bool{false, true} {
			m := merger{work: w, from: from, to: to, overwrite: overwrite, moving: moving}
			if err := m.walk(); err != nil {
				return err
			}
		}
		return nil
	})
}

type merger struct {
	*work
	from      *files.Root
	to        wire.Path
	overwrite bool
	moving    bool // else it is only looked at
}

func (m *merger) walk() error {
	walk, err := m.from.Walk(wire.Root)
	if err != nil {
		return err
	}
	defer walk.Close()
	for {
		info, err := walk.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		dest := join(m.to, info.Path)
		whole, err := m.one(info, dest)
		if err != nil {
			return m.explain(err, dest)
		}
		if whole && info.Kind == files.Dir {
			walk.SkipDir()
		}
	}
}

// one moves an entry to its place; whole says that what is in it needs no further
// look.
func (m *merger) one(info files.Info, dest wire.Path) (whole bool, err error) {
	if err := valid("path", dest, false); err != nil {
		return false, err
	}
	m.yard.placing.Lock()
	defer m.yard.placing.Unlock()
	if err := m.step(); err != nil {
		return false, err
	}
	there, err := m.data.Lstat(dest)
	switch {
	case files.NotFound(err):
		if m.moving {
			err = m.from.MoveNew(info.Path, m.data, dest)
			return true, err
		}
		return true, nil
	case err != nil:
		return false, err
	case info.Kind == files.Dir && there.Kind == files.Dir:
		return false, nil
	case info.Kind == files.Dir || there.Kind == files.Dir || !m.overwrite:
		return false, problem.New(problem.Conflict, "%s is there already: nothing more was unpacked", printable(dest))
	case m.moving:
		return true, m.from.Move(info.Path, m.data, dest)
	}
	return true, nil
}
