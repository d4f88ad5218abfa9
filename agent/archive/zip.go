package archive

import (
	"io"
	"io/fs"
	"math"

	"github.com/klauspost/compress/zip"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

type zipSource struct {
	files []*zip.File
	open  io.ReadCloser
}

// bounded refuses to read more than it has left.
type bounded struct {
	*counter
	left int64
}

func (b *bounded) ReadAt(p []byte, off int64) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, problem.New(problem.Validation, "the archive's directory is larger than %d MiB", mostDirectory>>20)
	}
	return b.counter.ReadAt(p, off)
}

func openZip(file *counter, size int64) (source, error) {
	b := &bounded{counter: file, left: mostDirectory}
	r, err := zip.NewReader(b, size)
	if err != nil {
		return nil, damaged(err)
	}
	b.left = math.MaxInt64 // the content has its own limits
	return &zipSource{files: r.File}, nil
}

func (z *zipSource) close() {
	if z.open != nil {
		_ = z.open.Close()
		z.open = nil
	}
}

func (z *zipSource) next() (Entry, io.Reader, error) {
	z.close()
	if len(z.files) == 0 {
		return Entry{}, nil, io.EOF
	}
	f := z.files[0]
	z.files[0], z.files = nil, z.files[1:]
	path, err := clean(f.Name)
	if err != nil {
		return Entry{}, nil, err
	}
	e := Entry{Path: path, Mode: uint32(f.Mode().Perm()), MTime: f.Modified, Size: int64(min(f.UncompressedSize64, math.MaxInt64))}
	kind := f.Mode().Type()
	switch {
	case kind.IsDir():
		e.Kind, e.Mode = Dir, orElse(e.Mode, 0o755)
		return e, nil, nil
	case kind != 0 && kind != fs.ModeSymlink:
		return Entry{Path: path}, nil, nil
	case f.Flags&1 != 0:
		return Entry{}, nil, problem.New(problem.Validation, "the archive is encrypted: that can't be unpacked here")
	}
	if z.open, err = f.Open(); err != nil {
		return Entry{}, nil, err
	}
	e.Kind, e.Mode = File, orElse(e.Mode, 0o644)
	if kind == 0 {
		return e, z.open, nil
	}
	target, err := io.ReadAll(io.LimitReader(z.open, wire.MaxPath+1))
	if err != nil {
		return Entry{}, nil, err
	}
	e.Kind, e.Target = Link, string(target)
	return e, nil, checkTarget(e)
}

// orElse is for archives that were made where there are no permission bits.
func orElse(mode, without uint32) uint32 {
	if mode == 0 {
		return without
	}
	return mode
}
