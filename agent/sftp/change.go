package sftp

import (
	"errors"

	"github.com/pkg/sftp"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/wire"
)

const modeOfFolder = 0o755

// Filecmd changes an entry.
func (v *view) Filecmd(r *sftp.Request) error {
	switch r.Method {
	case "Setstat":
		return v.noted("changed", r, v.setstat(r))
	case "Rename":
		return v.noted("renamed", r, v.rename(r, (*files.Root).MoveNew))
	case "Mkdir":
		return v.noted("made", r, v.change(r.Filepath, makeFolder))
	case "Rmdir":
		return v.noted("removed", r, v.remove(r.Filepath, true))
	case "Remove":
		return v.noted("removed", r, v.remove(r.Filepath, false))
	default: // Symlink, Link
		return errLinks
	}
}

// PosixRename puts an entry in the place of another.
func (v *view) PosixRename(r *sftp.Request) error {
	return v.noted("renamed", r, v.rename(r, (*files.Root).Move))
}

// noted writes down what was done, when it was.
func (v *view) noted(what string, r *sftp.Request, err error) error {
	if err != nil {
		return err
	}
	at, err := where(r.Filepath)
	if err != nil {
		return err
	}
	var to wire.Path
	if what == "renamed" {
		if to, err = where(r.Target); err != nil {
			return err
		}
	}
	v.diary.note(what, at, to)
	return nil
}

func (v *view) rename(r *sftp.Request, move func(from *files.Root, path wire.Path, to *files.Root, dest wire.Path) error) error {
	dest, err := where(r.Target)
	if err != nil {
		return err
	}
	return v.change(r.Filepath, func(root *files.Root, at wire.Path) error { return move(root, at, root, dest) })
}

func makeFolder(root *files.Root, at wire.Path) error {
	if at == wire.Root {
		return errExists
	}
	meta, err := owner(root, modeOfFolder)
	if err != nil {
		return err
	}
	if err := root.Mkdir(at); err != nil {
		return err
	}
	info, err := root.Lstat(at)
	if err != nil {
		return err
	}
	meta.MTime = info.MTime
	_, err = root.Apply(info, meta)
	return err
}

// remove is for folders or for all else, as the protocol has it.
func (v *view) remove(p string, folder bool) error {
	return v.change(p, func(root *files.Root, at wire.Path) error {
		info, err := root.Lstat(at)
		switch {
		case err != nil:
			return err
		case at == wire.Root:
			return errors.New("the volume itself stays")
		case folder && info.Kind != files.Dir:
			return errors.New("it is no folder")
		case !folder && info.Kind == files.Dir:
			return errors.New("it is a folder")
		}
		return root.Remove(at)
	})
}

// setstat changes size, mode and times; owners are passed over.
func (v *view) setstat(r *sftp.Request) error {
	asked, wanted := r.AttrFlags(), r.Attributes()
	if wanted == nil {
		return errors.New("the attributes can't be read")
	}
	return v.change(r.Filepath, func(root *files.Root, at wire.Path) error {
		if asked.Size {
			if err := truncate(root, at, int64(wanted.Size)); err != nil {
				return err
			}
		}
		if asked.Permissions {
			if err := root.Chmod(at, wanted.Mode&0o777); err != nil {
				return err
			}
		}
		if !asked.Acmodtime {
			return nil
		}
		info, err := root.Lstat(at)
		if err != nil {
			return err
		}
		meta := files.Meta{Mode: info.Mode, UID: info.UID, GID: info.GID, MTime: int64(wanted.Mtime) * 1e9, ATime: int64(wanted.Atime) * 1e9}
		_, err = root.Apply(info, meta)
		return err
	})
}

func truncate(root *files.Root, at wire.Path, size int64) error {
	if size < 0 {
		return errors.New("no file is that long")
	}
	file, err := root.Edit(at, files.How{})
	if err != nil {
		return err
	}
	err = file.Truncate(size)
	if closing := file.Close(); err == nil {
		err = closing
	}
	return err
}

// blockSize is what sizes are told in.
const blockSize = 4096

// StatVFS tells of the instance's own disk, not of the node's.
func (v *view) StatVFS(r *sftp.Request) (stat *sftp.StatVFS, err error) {
	err = v.at(r.Filepath, func(root *files.Root, at wire.Path) error {
		if _, err := root.Lstat(at); err != nil {
			return err
		}
		used, limit, err := v.service.Volumes.Usage(v.guest.instance)
		if err != nil {
			return err
		}
		free, err := root.Space()
		if err != nil {
			return err
		}
		if limit <= 0 {
			limit = used + free
		}
		free = max(0, min(free, limit-used))
		const plenty = 1 << 30 // files: they are not counted
		stat = &sftp.StatVFS{Bsize: blockSize, Frsize: blockSize, Blocks: uint64(limit / blockSize), Bfree: uint64(free / blockSize),
			Bavail: uint64(free / blockSize), Files: plenty, Ffree: plenty, Favail: plenty, Namemax: wire.MaxName}
		return nil
	})
	return stat, err
}
