package files

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// What a Walker holds at most, so that no tree makes it large.
const (
	namesHeld  = 2048 // of one folder; the rest is read again when it is their turn
	namesDeep  = 128  // of each folder above the one at hand, from deepAt levels on
	deepAt     = 16
	dirsOpen   = 32 // descriptors
	namesAtOne = 1024
)

// Walker goes through a tree in the order of wire.Path.Compare. It has one user.
type Walker struct {
	root  *Root
	self  bool // the root itself is due
	stack []*level
	fresh bool // the top of the stack is the folder that Next gave last
}

// level is a folder whose entries are being given.
type level struct {
	path  wire.Path
	fd    int      // -1: not open
	after string   // up to here it was given
	batch []string // what comes next, in order
	more  bool     // there may be more behind the batch
}

// Walk begins behind the path after, whether or not there is such an entry; ""
// begins with the root itself. Close the Walker.
func (r *Root) Walk(after wire.Path) (*Walker, error) {
	w := &Walker{root: r}
	if after == "" {
		w.self = true
		return w, nil
	}
	if !after.Valid() {
		return nil, failed("walk", after, unix.EINVAL)
	}
	w.push(wire.Root)
	if after == wire.Root {
		return w, nil
	}
	at := wire.Root
	for name := range strings.SplitSeq(string(after), "/") {
		w.stack[len(w.stack)-1].after = name
		at = join(at, name)
		w.push(at) // when it is no folder, that shows when it is opened
	}
	w.fresh = false
	return w, nil
}

// Close frees what the Walker holds.
func (w *Walker) Close() {
	for _, l := range w.stack {
		l.close()
	}
	w.stack = nil
}

// SkipDir leaves out what is in the folder that Next has just given.
func (w *Walker) SkipDir() {
	if w.fresh {
		w.pop()
	}
}

// Next gives the next entry, with io.EOF after the last one.
func (w *Walker) Next() (Info, error) {
	w.fresh = false
	if w.self {
		w.self = false
		info, err := w.root.self()
		if err == nil {
			w.push(wire.Root)
		}
		return info, err
	}
	for len(w.stack) > 0 {
		top := w.stack[len(w.stack)-1]
		info, found, err := w.step(top)
		switch {
		case Gone(err): // the folder went away, or is none any more
			w.pop()
		case err != nil:
			return Info{}, err
		case found:
			if info.Kind == Dir {
				w.push(info.Path)
			}
			return info, nil
		}
	}
	return Info{}, io.EOF
}

// step gives the next entry of a folder, or reads more names, or leaves it.
func (w *Walker) step(l *level) (Info, bool, error) {
	if len(l.batch) == 0 && !l.more {
		w.pop()
		return Info{}, false, nil
	}
	if err := w.open(l); err != nil {
		return Info{}, false, err
	}
	if len(l.batch) == 0 {
		return Info{}, false, l.fill()
	}
	name := l.batch[0]
	l.batch, l.after = l.batch[1:], name
	path := join(l.path, name)
	if len(path) > wire.MaxPath {
		return Info{}, false, problem.New(problem.Validation, "the volume holds folders that lie too deep: %q… is longer than %d bytes", path[:64], wire.MaxPath)
	}
	info, err := lstat(l.fd, name, path)
	if Gone(err) {
		return Info{}, false, nil
	}
	if err != nil {
		return Info{}, false, failed("lstat", path, err)
	}
	return info, true, nil
}

func (w *Walker) push(path wire.Path) {
	if n := len(w.stack); n > 0 {
		if above := w.stack[n-1]; n > deepAt && len(above.batch) > namesDeep {
			above.batch, above.more = slices.Clone(above.batch[:namesDeep]), true
		}
		if n > dirsOpen {
			w.stack[n-dirsOpen].close()
		}
	}
	w.stack = append(w.stack, &level{path: path, fd: -1, more: true})
	w.fresh = true
}

func (w *Walker) pop() {
	top := len(w.stack) - 1
	w.stack[top].close()
	w.stack = w.stack[:top]
	w.fresh = false
}

// open opens the folder on top of the stack.
func (w *Walker) open(l *level) (err error) {
	if l.fd >= 0 {
		return nil
	}
	if n := len(w.stack); n > 1 && w.stack[n-2].fd >= 0 {
		name := string(l.path[strings.LastIndexByte(string(l.path), '/')+1:])
		if l.fd, err = openat(w.stack[n-2].fd, name, dirFlags, 0); err != nil {
			l.fd = -1
			return failed("open", l.path, err)
		}
		return nil
	}
	fd, err := w.root.folder(l.path)
	if err == nil {
		l.fd = fd
	}
	return err
}

func (l *level) close() {
	if l.fd >= 0 {
		_ = unix.Close(l.fd)
		l.fd = -1
	}
}

// fill reads the next names behind after: the whole folder is read, and the
// first of them are kept.
func (l *level) fill() error {
	fd, err := openat(l.fd, ".", dirFlags, 0) // with a position of its own
	if err != nil {
		return failed("open", l.path, err)
	}
	dir := os.NewFile(uintptr(fd), string(l.path))
	defer func() { _ = dir.Close() }()
	var list []string
	var bound string // when set: names behind it are not among the first
	l.more = false
	for {
		names, err := dir.Readdirnames(namesAtOne)
		for _, name := range names {
			if name > l.after && (bound == "" || name < bound) {
				list = append(list, name)
			}
		}
		if len(list) >= 4*namesHeld {
			list, bound = l.first(list)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err // names the folder
		}
	}
	l.batch, _ = l.first(list)
	return nil
}

// first keeps the first names of a list and gives the last of them.
func (l *level) first(list []string) (kept []string, last string) {
	slices.Sort(list)
	if len(list) <= namesHeld {
		return list, ""
	}
	l.more = true
	kept = slices.Clone(list[:namesHeld])
	return kept, kept[namesHeld-1]
}

func join(dir wire.Path, name string) wire.Path {
	if dir == wire.Root {
		return wire.Path(name)
	}
	return dir + "/" + wire.Path(name)
}
