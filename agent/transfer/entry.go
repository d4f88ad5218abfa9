package transfer

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// partFile is an open file among the parts.
type partFile struct {
	file *os.File
	name wire.Path
}

// etagOf changes with a file's content: the time of its last change of any kind
// is set by nobody but the kernel.
func etagOf(info files.Info) string {
	return fmt.Sprintf("%x-%x-%x-%x", info.Inode, info.Size, info.MTime, info.CTime)
}

func entryOf(info files.Info) wire.FileEntry {
	e := wire.FileEntry{
		Path: info.Path, Kind: wire.EntryOther, Mode: info.Mode & 0o777, UID: info.UID, GID: info.GID,
		Size: info.Size, MTime: time.Unix(0, info.MTime).UTC(), Target: info.Target,
	}
	switch info.Kind {
	case files.File:
		e.Kind, e.ETag = wire.EntryFile, etagOf(info)
	case files.Dir:
		e.Kind = wire.EntryDir
	case files.Link:
		e.Kind = wire.EntryLink
	}
	return e
}

func folderOf(path wire.Path) wire.Path {
	if cut := strings.LastIndexByte(string(path), '/'); cut >= 0 {
		return path[:cut]
	}
	return wire.Root
}

func nameOf(path wire.Path) string { return string(path[strings.LastIndexByte(string(path), '/')+1:]) }

func join(dir wire.Path, name wire.Path) wire.Path {
	switch {
	case dir == wire.Root:
		return name
	case name == wire.Root:
		return dir
	}
	return dir + "/" + name
}

// valid refuses what is no path; root says whether the volume itself will do.
func valid(field string, path wire.Path, root bool) error {
	if !path.Valid() {
		return problem.Invalid(field, "must be a path inside the volume: relative, without empty, \".\" or \"..\" parts and NUL, at most %d bytes, %d in each name", wire.MaxPath, wire.MaxName)
	}
	if path == wire.Root && !root {
		return problem.Invalid(field, "can't be the volume itself")
	}
	return nil
}

func validAll(field string, paths []wire.Path) error {
	if len(paths) == 0 || len(paths) > wire.FilesAtOnce {
		return problem.Invalid(field, "must be 1 to %d", wire.FilesAtOnce)
	}
	for n, path := range paths {
		if err := valid(fmt.Sprintf("%s[%d]", field, n), path, false); err != nil {
			return err
		}
	}
	return nil
}
