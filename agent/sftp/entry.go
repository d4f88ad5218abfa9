package sftp

import (
	"io/fs"
	"time"

	"github.com/berth-panel/berth/agent/files"
)

// entry shows an entry to the library.
type entry struct {
	name string
	info files.Info
}

// Name is the last part of the path.
func (e entry) Name() string { return e.name }

// Size is in bytes.
func (e entry) Size() int64 { return e.info.Size }

// ModTime is when its content changed last.
func (e entry) ModTime() time.Time { return time.Unix(0, e.info.MTime) }

// IsDir says whether it is a folder.
func (e entry) IsDir() bool { return e.info.Kind == files.Dir }

// Sys is nothing.
func (e entry) Sys() any { return nil }

// Uid is the owner, as the library asks for it.
func (e entry) Uid() uint32 { return uint32(e.info.UID) }

// Gid is the group, as the library asks for it.
func (e entry) Gid() uint32 { return uint32(e.info.GID) }

// Mode is kind and permissions.
func (e entry) Mode() fs.FileMode {
	mode := fs.FileMode(e.info.Mode & 0o777)
	switch e.info.Kind {
	case files.Dir:
		mode |= fs.ModeDir
	case files.Link:
		mode |= fs.ModeSymlink
	case files.Other:
		mode |= fs.ModeIrregular
	case files.File:
	}
	return mode
}
