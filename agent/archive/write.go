package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"unicode/utf8"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Writer writes one archive. It has one user.
type Writer struct {
	tar   *tar.Writer
	zip   *zip.Writer
	outer io.WriteCloser // what compresses a tar
}

// NewWriter begins an archive in the order in which entries are added.
func NewWriter(format wire.ArchiveFormat, to io.Writer) (*Writer, error) {
	w := &Writer{}
	var err error
	switch format {
	case wire.ArchiveZip:
		w.zip = zip.NewWriter(to)
		return w, nil
	case wire.ArchiveTar:
	case wire.ArchiveTarGz:
		w.outer = gzip.NewWriter(to)
	case wire.ArchiveTarZs:
		w.outer, err = zstd.NewWriter(to, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	case wire.ArchiveTarXz:
		w.outer, err = xz.NewWriter(to)
	default:
		return nil, problem.Invalid("format", "must be zip, tar, tar.gz, tar.xz or tar.zst")
	}
	if err != nil {
		return nil, fmt.Errorf("begin an archive: %w", err)
	}
	if w.outer != nil {
		to = w.outer
	}
	w.tar = tar.NewWriter(to)
	return w, nil
}

// Add adds an entry. Of a file's content, Size bytes are taken; a file that turns
// out to be shorter, because it is being written, is filled up with zeros.
func (w *Writer) Add(e Entry, content io.Reader) error {
	if w.zip != nil {
		return w.addZip(e, content)
	}
	h := &tar.Header{Name: string(e.Path), Mode: int64(e.Mode & 0o777), ModTime: e.MTime, Format: tar.FormatPAX}
	switch e.Kind {
	case File:
		h.Typeflag, h.Size = tar.TypeReg, e.Size
	case Dir:
		h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
	case Link:
		h.Typeflag, h.Linkname = tar.TypeSymlink, e.Target
	default:
		return fmt.Errorf("an archive takes no entry of kind %d", e.Kind)
	}
	if !utf8.ValidString(h.Name) || !utf8.ValidString(h.Linkname) {
		h.Format = tar.FormatGNU // takes names of any bytes
	}
	if err := w.tar.WriteHeader(h); err != nil {
		return err
	}
	if e.Kind != File {
		return nil
	}
	_, err := io.CopyBuffer(plain{w.tar}, io.LimitReader(io.MultiReader(content, zeros{}), e.Size), make([]byte, 256<<10))
	return err
}

func (w *Writer) addZip(e Entry, content io.Reader) error {
	h := &zip.FileHeader{Name: string(e.Path), Modified: e.MTime, Method: zip.Deflate, NonUTF8: !utf8.ValidString(string(e.Path))}
	mode := fs.FileMode(e.Mode & 0o777)
	switch e.Kind {
	case Dir:
		h.Name, h.Method, mode = h.Name+"/", zip.Store, mode|fs.ModeDir
	case Link:
		h.Method, mode = zip.Store, mode|fs.ModeSymlink
	case File:
	default:
		return fmt.Errorf("an archive takes no entry of kind %d", e.Kind)
	}
	h.SetMode(mode)
	to, err := w.zip.CreateHeader(h)
	if err != nil {
		return err
	}
	switch e.Kind {
	case Link:
		_, err = io.WriteString(to, e.Target)
	case File:
		_, err = io.CopyBuffer(plain{to}, io.LimitReader(content, e.Size), make([]byte, 256<<10))
	}
	return err
}

// Close writes the end of the archive.
func (w *Writer) Close() error {
	if w.zip != nil {
		return w.zip.Close()
	}
	err := w.tar.Close()
	if w.outer != nil {
		err = errors.Join(err, w.outer.Close())
	}
	return err
}

// Abandon frees what the Writer holds, of an archive that has no end.
func (w *Writer) Abandon() {
	if w.outer != nil {
		_ = w.outer.Close()
	}
}

// plain hides all of a writer but Write, so that copies are of our size.
type plain struct{ io.Writer }

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
