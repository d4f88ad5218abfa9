package transfer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	copyPiece   = 8 << 20 // after which a cancel is looked for
	mostSuffix  = 1000    // " (2)" to this
	flushBehind = 8 << 20
)

// delete removes entries. What isn't there is removed already.
func (w *work) delete(body wire.FileDelete) error {
	var failed error
	for n, path := range body.Paths {
		w.task.say(n*100/len(body.Paths), "deleting %s", printable(path))
		if err := w.step(); err != nil {
			return err
		}
		if err := w.remove(path); err != nil {
			if w.Err() != nil || failed == nil {
				failed = w.explain(err, path)
			}
			if w.Err() != nil {
				return failed
			}
		}
	}
	return failed
}

func (w *work) remove(path wire.Path) error {
	part := scratch()
	err := w.away(path, part)
	if files.NotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	err = w.parts.RemoveAll(part, func() error {
		w.task.count(1, 0)
		return w.Err() // not whether it may be written to: nobody sees it any more
	})
	if err != nil {
		w.throw(part)
	}
	return err
}

// away moves an entry out of the volume.
func (w *work) away(path, part wire.Path) error {
	w.yard.placing.Lock()
	defer w.yard.placing.Unlock()
	return w.data.MoveNew(path, w.parts, part)
}

// copy copies entries into a folder.
func (w *work) copy(body wire.FileCopy) error {
	return w.within(body.To, func() error {
		for _, path := range body.Paths {
			w.task.say(-1, "copying %s", printable(path))
			if err := w.copyOne(path, body.To); err != nil {
				return w.explain(err, path)
			}
		}
		return nil
	})
}

func (w *work) copyOne(path, to wire.Path) error {
	part := scratch()
	defer w.drop(part)
	info, err := w.data.Lstat(path)
	if err != nil {
		return err
	}
	if info.Kind == files.Other {
		return files.ErrKind
	}
	if err := w.copyTree(info, part); err != nil {
		return err
	}
	for n := 1; n <= mostSuffix; n++ {
		name := numbered(nameOf(path), n, info.Kind == files.File)
		err := w.settle(part, join(to, wire.Path(name)))
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return problem.New(problem.Conflict, "there are %d copies of %s already", mostSuffix, printable(path))
}

// settle puts a part in its place, which must be free.
func (w *work) settle(part, dest wire.Path) error {
	w.yard.placing.Lock()
	defer w.yard.placing.Unlock()
	if err := w.step(); err != nil {
		return err
	}
	return w.parts.MoveNew(part, w.data, dest)
}

// numbered is a name's nth form: "a.txt", "a (2).txt".
func numbered(name string, n int, file bool) string {
	if n == 1 {
		return name
	}
	suffix, ext := fmt.Sprintf(" (%d)", n), ""
	if dot := strings.LastIndexByte(name, '.'); file && dot > 0 {
		name, ext = name[:dot], name[dot:]
	}
	if most := wire.MaxName - len(suffix) - len(ext); len(name) > most {
		name = name[:max(0, most)]
	}
	return name + suffix + ext
}

// copyTree copies an entry, and what is in it, to a part.
func (w *work) copyTree(info files.Info, part wire.Path) error {
	return throughout(w.data, info, func(from *files.Root, entry files.Info, beneath wire.Path) error {
		return w.copyEntry(from, entry, join(part, beneath))
	})
}

// throughout calls do with an entry, and of a folder with all that is in it: from
// is where entry's own path begins, beneath its path seen from the first one. What
// is gone by the time that it is looked at is passed over, but not the first one.
func throughout(data *files.Root, info files.Info, do func(from *files.Root, entry files.Info, beneath wire.Path) error) error {
	if info.Kind != files.Dir {
		return do(data, info, wire.Root)
	}
	from, err := data.Sub(info.Path)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	walk, err := from.Walk("")
	if err != nil {
		return err
	}
	defer walk.Close()
	for {
		entry, err := walk.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := do(from, entry, entry.Path); err != nil && !files.Gone(err) {
			return err
		}
	}
}

// copyEntry copies one entry of a volume; what can't be copied is left out.
func (w *work) copyEntry(from *files.Root, info files.Info, part wire.Path) error {
	if err := w.step(); err != nil {
		return err
	}
	w.task.count(1, 0)
	meta := w.meta(info.Mode)
	meta.MTime = info.MTime
	switch info.Kind {
	case files.Dir:
		meta.Mode |= 0o700 // its owner can work in it, here too
		return w.parts.MakeDirs(part, meta)
	case files.Link:
		return w.makeLink(info.Target, part)
	case files.File:
		return w.copyFile(from, info.Path, part, meta)
	}
	return nil
}

func (w *work) makeLink(target, part wire.Path) error {
	if err := w.parts.Symlink(target, part); err != nil {
		return err
	}
	info, err := w.parts.Lstat(part)
	if err == nil {
		_, err = w.parts.Apply(info, w.meta(0o777))
	}
	return err
}

func (w *work) copyFile(from *files.Root, path, part wire.Path, meta files.Meta) error {
	source, info, err := from.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	to, err := w.parts.New(part)
	if err != nil {
		return err
	}
	defer func() { _ = to.Close() }()
	for at := int64(0); at < info.Size; {
		start, end, err := files.Data(source, at, info.Size)
		if err != nil {
			return err
		}
		if start >= info.Size {
			break
		}
		if err := w.copyRange(to, source, start, end); err != nil {
			return err
		}
		at = end
	}
	if err := to.Truncate(info.Size); err != nil { // what ends in a hole
		return err
	}
	return w.parts.Dress(to, part, meta)
}

func (w *work) copyRange(to, from *os.File, start, end int64) error {
	if _, err := from.Seek(start, io.SeekStart); err != nil {
		return err
	}
	if _, err := to.Seek(start, io.SeekStart); err != nil {
		return err
	}
	for at := start; at < end; {
		if w.Err() != nil {
			return w.Err()
		}
		piece := min(copyPiece, end-at)
		if err := w.room.take(piece); err != nil {
			return err
		}
		n, err := io.CopyN(to, from, piece) // in the kernel, where it can
		w.task.count(0, n)
		if errors.Is(err, io.EOF) { // it was cut off just now
			return nil
		}
		if err != nil {
			return err
		}
		at += n
	}
	return nil
}
