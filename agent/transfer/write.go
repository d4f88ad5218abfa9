package transfer

import (
	"errors"
	"io"
	"net/http"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// write takes a whole file.
func (s *Store) write(c *call) error {
	path, err := c.path(false)
	if err != nil {
		return err
	}
	if c.r.ContentLength > wire.FileEditMax {
		return tooLarge()
	}
	at, err := s.openParts(c.id)
	if err != nil {
		return err
	}
	defer at.close()
	part, err := at.newPart()
	if err != nil {
		return at.explain(err, path)
	}
	defer at.discard(part)
	if err := at.take(c, part); err != nil {
		return at.explain(err, path)
	}
	entry, err := at.put(part, path, rule{match: c.r.URL.Query().Get("match"), mode: 0o644, keep: true})
	if err != nil {
		return at.explain(err, path)
	}
	return c.answer(http.StatusOK, entry)
}

func tooLarge() error {
	return problem.New(problem.TooLarge, "a file that is written in one piece has at most %d MiB: upload larger ones", wire.FileEditMax>>20)
}

func (s *site) newPart() (partFile, error) {
	name := scratch()
	file, err := s.parts.New(name)
	return partFile{file: file, name: name}, err
}

// discard closes a part, and removes it if it wasn't put in its place.
func (s *site) discard(p partFile) {
	_ = p.file.Close()
	if err := s.parts.Remove(p.name); err != nil && !files.Gone(err) {
		s.Log.Warn("a part of an instance's files can't be removed", "instance", string(s.id), "error", err)
	}
}

// take receives the body of a call as a part, and puts it on the disk.
func (s *site) take(c *call, part partFile) error {
	room, err := s.room()
	if err != nil {
		return err
	}
	defer room.settle()
	buffer := c.flow.buffers.get()
	defer c.flow.buffers.put(buffer)
	for total := 0; ; {
		n, err := c.flow.fill(*buffer)
		if total += n; total > wire.FileEditMax {
			return tooLarge()
		}
		if err := room.take(int64(n)); err != nil {
			return err
		}
		if _, err := part.file.Write((*buffer)[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return files.Sync(part.file)
		}
		if err != nil {
			return problem.New(problem.BadRequest, "the content broke off").Because(err)
		}
	}
}

// folder makes a folder.
func (s *Store) folder(c *call) error {
	var body wire.FileFolder
	if err := c.decode(&body); err != nil {
		return err
	}
	if err := valid("path", body.Path, false); err != nil {
		return err
	}
	at, err := s.openParts(c.id)
	if err != nil {
		return err
	}
	defer at.close()
	if err := at.data.MakeDirs(body.Path, at.meta(0o755)); err != nil {
		return at.explain(err, body.Path)
	}
	info, err := at.data.Lstat(body.Path)
	if err != nil {
		return at.explain(err, body.Path)
	}
	return c.answer(http.StatusOK, entryOf(info))
}

// rename moves entries.
func (s *Store) rename(c *call) error {
	var body wire.FileRenames
	if err := c.decode(&body); err != nil {
		return err
	}
	from, to := make([]wire.Path, len(body.Renames)), make([]wire.Path, len(body.Renames))
	for n, r := range body.Renames {
		from[n], to[n] = r.From, r.To
	}
	if err := errors.Join(validAll("from", from), validAll("to", to)); err != nil {
		return problem.From(err)
	}
	return s.each(c, from, func(at *site, n int) error { return at.moveTo(from[n], to[n], body.Overwrite) })
}

// each does something with each path, and tells what became of it.
func (s *Store) each(c *call, paths []wire.Path, do func(at *site, n int) error) error {
	at, err := s.openParts(c.id)
	if err != nil {
		return err
	}
	defer at.close()
	var done wire.FileDone
	for n, path := range paths {
		if c.Err() != nil {
			return c.Err()
		}
		if err := at.explain(do(at, n), path); err != nil {
			p := problem.From(err)
			if p.Code == problem.Internal {
				s.Log.Error("an entry can't be changed", "instance", string(c.id), "error", err)
			}
			done.Failed = append(done.Failed, wire.FileFailure{Path: path, Problem: *p})
			continue
		}
		done.Count++
	}
	return c.answer(http.StatusOK, done)
}

// moveTo gives an entry another place in the volume.
func (s *site) moveTo(from, to wire.Path, overwrite bool) error {
	s.yard.placing.Lock()
	defer s.yard.placing.Unlock()
	if err := s.writable(); err != nil {
		return err
	}
	if from.Above(to) {
		return problem.New(problem.Validation, "a folder can't be moved into itself")
	}
	there, err := s.data.Lstat(from)
	if err != nil || from == to {
		return err
	}
	if !overwrite {
		return s.explain(s.data.MoveNew(from, s.data, to), to)
	}
	taken, err := s.data.Lstat(to)
	switch {
	case files.NotFound(err):
		return s.explain(s.data.MoveNew(from, s.data, to), to)
	case err != nil:
		return s.explain(err, to)
	case taken.Kind == files.Dir, there.Kind == files.Dir:
		return problem.New(problem.Conflict, "%s is there already, and only files can be replaced by files", printable(to))
	}
	return s.explain(s.data.Move(from, s.data, to), to)
}

// chmod sets permission bits.
func (s *Store) chmod(c *call) error {
	var body wire.FileChmod
	if err := c.decode(&body); err != nil {
		return err
	}
	if body.Mode > 0o777 {
		return problem.Invalid("mode", "must be 0 to 0777 (511)")
	}
	if err := validAll("paths", body.Paths); err != nil {
		return err
	}
	return s.each(c, body.Paths, func(at *site, n int) error {
		if err := at.writable(); err != nil {
			return err
		}
		return at.data.Chmod(body.Paths[n], body.Mode)
	})
}
