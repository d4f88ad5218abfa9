package archive

import (
	"strings"
	"time"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Kind is what an entry is.
type Kind int

// The kinds.
const (
	File Kind = iota + 1
	Dir
	Link // symbolic
	Hard // another name of a file that came before; its content is that
)

// Entry is one thing in an archive.
type Entry struct {
	Path   wire.Path
	Kind   Kind
	Mode   uint32 // permission bits, nothing else
	MTime  time.Time
	Size   int64  // of a file; -1 when the archive doesn't say
	Target string // of a link as it stands there; of a Hard a Path
}

// Limits bound what an archive may become. Zero values are the most there is.
type Limits struct {
	Bytes   int64 // of content, together
	Entries int
	Free    int64 // bytes that are free of the ratio; 0 is 64 MiB
}

const (
	mostEntries = 1_000_000
	mostDepth   = 128
	// An archive may become mostRatio times as large as it is, and Limits.Free in any
	// case: that is far above what people pack, and far below a bomb.
	mostRatio = 250
	freeRatio = 64 << 20
	// mostWindow bounds what a decoder holds.
	mostWindow = 128 << 20
	// mostDirectory bounds what of a zip is read before its first entry.
	mostDirectory = 16 << 20
)

// clean makes a Path of a name in an archive.
func clean(name string) (wire.Path, error) {
	if strings.HasPrefix(name, "/") {
		return "", problem.New(problem.Validation, "the archive holds an absolute path, %.100q: nothing of it was unpacked", name)
	}
	kept := make([]string, 0, 8)
	for part := range strings.SplitSeq(name, "/") {
		switch part {
		case "", ".":
		case "..":
			return "", problem.New(problem.Validation, "the archive holds a path that leads out of it, %.100q: nothing of it was unpacked", name)
		default:
			kept = append(kept, part)
		}
	}
	if len(kept) == 0 {
		return wire.Root, nil
	}
	path := wire.Path(strings.Join(kept, "/"))
	if !path.Valid() || len(kept) > mostDepth {
		return "", problem.New(problem.Validation, "the archive holds a path that can't be made here, %.100q: too long, too deep, or with a NUL", name)
	}
	return path, nil
}

func damaged(err error) error {
	if problem.Is(err, problem.Validation) {
		return err
	}
	return problem.New(problem.Validation, "the archive is damaged or of a kind that is not known here").Because(err)
}
