package sftp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync/atomic"

	"github.com/pkg/sftp"
	"golang.org/x/sys/unix"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// handlesMost is how many files and folders a session may have open.
const handlesMost = 128

// view is a volume as one session sees it. The library calls it from several
// goroutines.
type view struct {
	service *Service
	ctx     context.Context //nolint:containedctx // the library has no context to hand on
	guest   guest
	handles atomic.Int32
	diary   *diary
}

var (
	errPath    = errors.New("no such name is possible here")
	errLinks   = errors.New("links can't be made here")
	errSpecial = errors.New("it is a link, or no regular file: these are shown and removed only")
	errExists  = errors.New("there is something of that name already")
	errFull    = errors.New("folder is not empty")
	errHandles = fmt.Errorf("%d files and folders are open in this session: close one first", handlesMost)
	errVolume  = errors.New("the instance has no files that can be opened now: its first installation makes them")
	errSpace   = errors.New("no space: the instance's disk is full")
	errMany    = errors.New("no space: the instance's disk holds as many files as it can")
)

// where makes of a path of the protocol, which the library has cleaned, one of
// the volume.
func where(p string) (wire.Path, error) {
	p = strings.TrimPrefix(p, "/")
	if p == "" {
		return wire.Root, nil
	}
	if !wire.Path(p).Valid() {
		return "", errPath
	}
	return wire.Path(p), nil
}

// at opens the volume for one request, and gives its failure as the client is to
// see it. Nothing that is wrong in a request may end the agent.
func (v *view) at(p string, do func(root *files.Root, at wire.Path) error) (err error) {
	defer func() {
		if broken := recover(); broken != nil {
			v.service.Log.Error("an SFTP request panicked", "instance", string(v.guest.instance), "panic", fmt.Sprint(broken))
			err = errors.New("something went wrong inside the agent")
		}
	}()
	if cause := context.Cause(v.ctx); cause != nil {
		return shown(cause)
	}
	place, err := where(p)
	if err != nil {
		return err
	}
	root, err := v.volume()
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	return shown(do(root, place))
}

// volume opens the instance's volume. That it can't be opened must not look as if
// it were empty: who mirrors it would delete the copy.
func (v *view) volume() (*files.Root, error) {
	root, err := v.service.Volumes.Files(v.guest.instance)
	if err == nil {
		return root, nil
	}
	v.service.Log.Debug("an SFTP request finds no volume", "instance", string(v.guest.instance), "error", err)
	var p *problem.Problem
	if errors.As(err, &p) {
		return nil, shown(p)
	}
	return nil, errVolume
}

// writable says whether the guest may change something in this moment.
func (v *view) writable() error {
	if cause := context.Cause(v.ctx); cause != nil {
		return cause
	}
	write, _, err := v.service.logins.check(v.guest)
	if err != nil {
		return err
	}
	if !write {
		return fs.ErrPermission
	}
	return v.service.Instances.Writable(v.guest.instance)
}

// change is at for what changes something but content: that is also for who makes
// room on a full disk.
func (v *view) change(p string, do func(root *files.Root, at wire.Path) error) error {
	return v.at(p, func(root *files.Root, at wire.Path) error {
		if err := v.writable(); err != nil {
			return err
		}
		return do(root, at)
	})
}

// shown is a failure as the client is to see it: as one of the protocol's codes,
// or as a sentence.
func shown(err error) error {
	var p *problem.Problem
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return err
	case errors.Is(err, files.ErrMany):
		return errMany
	case errors.As(err, &p) && p.Code == problem.InsufficientResources, files.Full(err):
		return errSpace
	case p != nil:
		return errors.New(p.Message)
	case errors.Is(err, files.ErrKind), errors.Is(err, unix.ELOOP):
		return errSpecial
	case files.Gone(err):
		return sftp.ErrSSHFxNoSuchFile
	case files.NotEmpty(err) && !errors.Is(err, unix.EEXIST):
		return errFull
	case errors.Is(err, fs.ErrExist):
		return errExists
	case errors.Is(err, fs.ErrPermission):
		return sftp.ErrSSHFxPermissionDenied
	}
	var system unix.Errno
	if errors.As(err, &system) {
		return errors.New(system.Error()) // without the path, which the client knows
	}
	return err
}

// handle takes a place for something open; leave gives it back.
func (v *view) handle() (leave func(), err error) {
	if v.handles.Add(1) > handlesMost {
		v.handles.Add(-1)
		return nil, errHandles
	}
	var left atomic.Bool
	return func() {
		if !left.Swap(true) {
			v.handles.Add(-1)
		}
	}, nil
}

// owner is what new entries get.
func owner(root *files.Root, mode uint32) (files.Meta, error) {
	top, err := root.Lstat(wire.Root)
	return files.Meta{Mode: mode & 0o777, UID: top.UID, GID: top.GID}, err
}

// Filelist lists a folder, or shows one entry. Nothing is followed.
func (v *view) Filelist(r *sftp.Request) (lister sftp.ListerAt, err error) {
	if r.Method != "List" {
		return v.Lstat(r)
	}
	leave, err := v.handle()
	if err != nil {
		return nil, err
	}
	err = v.at(r.Filepath, func(root *files.Root, at wire.Path) error {
		folder, err := root.OpenFolder(at)
		if err == nil {
			lister = &listing{view: v, folder: folder, leave: leave}
		}
		return err
	})
	if err != nil {
		leave()
	}
	return lister, err
}

// Lstat shows one entry.
func (v *view) Lstat(r *sftp.Request) (lister sftp.ListerAt, err error) {
	err = v.at(r.Filepath, func(root *files.Root, at wire.Path) error {
		info, err := root.Lstat(at)
		lister = single{entry{path.Base(r.Filepath), info}}
		return err
	})
	return lister, err
}

// Readlink shows where a link leads, as it is written there.
func (v *view) Readlink(p string) (target string, err error) {
	err = v.at(path.Clean("/"+p), func(root *files.Root, at wire.Path) error {
		info, err := root.Lstat(at)
		if err == nil && info.Kind != files.Link {
			err = errors.New("it is no link")
		}
		target = string(info.Target)
		return err
	})
	return target, err
}

// single is a list of one.
type single struct{ entry }

// ListAt is the library's.
func (s single) ListAt(into []os.FileInfo, offset int64) (int, error) {
	if offset > 0 || len(into) == 0 {
		return 0, io.EOF
	}
	into[0] = s.entry
	return 1, io.EOF
}

// listing is an open folder.
type listing struct {
	view   *view
	folder *files.Folder
	leave  func()
}

// ListAt is the library's: it goes on where it was.
func (l *listing) ListAt(into []os.FileInfo, _ int64) (int, error) {
	if cause := context.Cause(l.view.ctx); cause != nil {
		return 0, shown(cause)
	}
	entries, err := l.folder.Next(len(into))
	for n, info := range entries {
		into[n] = entry{path.Base(string(info.Path)), info}
	}
	return len(entries), shown(err)
}

// Close is the library's.
func (l *listing) Close() error {
	l.leave()
	return l.folder.Close()
}
