package archive

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// source gives the entries of one kind of archive. The reader of a file is good
// until the next call.
type source interface {
	next() (Entry, io.Reader, error)
	close()
}

// Reader reads one archive. It has one user.
type Reader struct {
	source  source
	limits  Limits
	content io.Reader
	entries int
	bytes   int64
	most    int64 // bytes, by the limit and the ratio
	ratio   bool  // the ratio is the narrower one
	skipped int64
	from    *counter
}

// Open finds out what an archive is; name is that of its file, for the one file
// in a file that is only compressed. Failures are *problem.Problem, where they are
// not the file's. Close the Reader.
func Open(file io.ReaderAt, size int64, name string, limits Limits) (*Reader, error) {
	if limits.Entries <= 0 || limits.Entries > mostEntries {
		limits.Entries = mostEntries
	}
	if limits.Free <= 0 {
		limits.Free = freeRatio
	}
	r := &Reader{limits: limits, most: limits.Bytes, from: &counter{file: file}}
	if byRatio := max(limits.Free, size*mostRatio); r.most <= 0 || byRatio < r.most {
		r.most, r.ratio = byRatio, true
	}
	head := make([]byte, 6)
	n, err := file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	head = head[:n]
	if bytes.HasPrefix(head, []byte("PK\x03\x04")) || bytes.HasPrefix(head, []byte("PK\x05\x06")) {
		r.source, err = openZip(r.from, size)
		return r, err
	}
	stream := io.Reader(bufio.NewReaderSize(io.NewSectionReader(r.from, 0, size), 256<<10))
	opened, closing, compressed, err := decompress(stream, head)
	if err != nil {
		return nil, damaged(err)
	}
	r.source, err = openStream(opened, closing, compressed, name)
	return r, err
}

// counter counts how far an archive was read.
type counter struct {
	file io.ReaderAt
	n    int64
}

func (c *counter) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.file.ReadAt(p, off)
	c.n += int64(n)
	return n, err
}

// Consumed is how many bytes of the archive were read, about.
func (r *Reader) Consumed() int64 { return r.from.n }

// Skipped is how many entries were passed over: devices, pipes and the like.
func (r *Reader) Skipped() int64 { return r.skipped }

// Close frees what the Reader holds.
func (r *Reader) Close() { r.source.close() }

// Next gives the next entry, with io.EOF after the last one. The content of a file
// is read from the Reader itself.
func (r *Reader) Next() (Entry, error) {
	for {
		entry, content, err := r.source.next()
		if errors.Is(err, io.EOF) {
			return Entry{}, io.EOF
		}
		if err != nil {
			return Entry{}, damaged(err)
		}
		if r.entries++; r.entries > r.limits.Entries {
			return Entry{}, problem.New(problem.Validation, "the archive holds more than %d entries", r.limits.Entries)
		}
		if entry.Kind == 0 {
			r.skipped++
			continue
		}
		if entry.Path == wire.Root { // "./", as tar writes it
			continue
		}
		r.content = content
		return entry, nil
	}
}

// Read reads the content of the entry that Next gave.
func (r *Reader) Read(p []byte) (int, error) {
	if r.content == nil {
		return 0, io.EOF
	}
	n, err := r.content.Read(p)
	if r.bytes += int64(n); r.bytes > r.most {
		if r.ratio {
			return 0, problem.New(problem.Validation, "the archive would become more than %d times as large as it is: that is no honest one", mostRatio)
		}
		return 0, problem.New(problem.InsufficientResources, "what is in the archive needs more than the %d MiB that the disk of this instance has left", r.limits.Bytes>>20)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = damaged(err)
	}
	return n, err
}

// decompress finds out how a stream is compressed.
func decompress(from io.Reader, head []byte) (opened io.Reader, closing func(), compressed bool, err error) {
	closing = func() {}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		opened, err = gzip.NewReader(from)
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		opened, err = xz.NewReader(from, mostWindow)
	case bytes.HasPrefix(head, []byte("BZh")):
		opened = bzip2.NewReader(from)
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		var z *zstd.Decoder
		z, err = zstd.NewReader(from, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(mostWindow))
		if err == nil {
			opened, closing = z, z.Close
		}
	default:
		return from, closing, false, nil
	}
	return opened, closing, true, err
}

// openStream tells a tar from a file that is only compressed.
func openStream(from io.Reader, closing func(), compressed bool, name string) (source, error) {
	buffered := bufio.NewReaderSize(from, 64<<10)
	head, err := buffered.Peek(mostBlank + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		closing()
		return nil, damaged(err)
	}
	switch {
	case isTar(head):
		return &tarSource{tar: tar.NewReader(buffered), closing: closing}, nil
	case compressed:
		return &single{from: buffered, name: name, closing: closing}, nil
	}
	closing()
	return nil, problem.New(problem.Validation, "this is no archive that is known here: zip, tar, gz, xz, zst, bz2")
}

// mostBlank is how much an empty tar has of zeros, and nothing else; more of them
// is a file of zeros.
const mostBlank = 20 << 10

// isTar checks the sum that every header of a tar has.
func isTar(head []byte) bool {
	if len(head) < 512 {
		return false
	}
	if len(bytes.Trim(head, "\x00")) == 0 {
		return len(head) >= 1024 && len(head) <= mostBlank
	}
	block := head[:512]
	text := strings.Trim(string(block[148:156]), " \x00")
	want, err := strconv.ParseInt(text, 8, 64)
	if err != nil {
		return false
	}
	var sum int64
	for n, b := range block {
		if n >= 148 && n < 156 {
			b = ' '
		}
		sum += int64(b)
	}
	return sum == want
}

type tarSource struct {
	tar     *tar.Reader
	closing func()
}

func (t *tarSource) close() { t.closing() }

func (t *tarSource) next() (Entry, io.Reader, error) {
	header, err := t.tar.Next()
	if err != nil {
		return Entry{}, nil, err
	}
	path, err := clean(header.Name)
	if err != nil {
		return Entry{}, nil, err
	}
	e := Entry{Path: path, Mode: uint32(header.Mode) & 0o777, MTime: header.ModTime, Size: header.Size}
	switch header.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeCont:
		e.Kind = File
	case tar.TypeDir:
		e.Kind = Dir
	case tar.TypeSymlink:
		e.Kind, e.Target = Link, header.Linkname
	case tar.TypeLink:
		target, err := clean(header.Linkname)
		if err != nil {
			return Entry{}, nil, err
		}
		e.Kind, e.Target = Hard, string(target)
	}
	return e, t.tar, checkTarget(e)
}

func checkTarget(e Entry) error {
	if e.Kind == Link && (e.Target == "" || len(e.Target) > wire.MaxPath || strings.IndexByte(e.Target, 0) >= 0) {
		return problem.New(problem.Validation, "the archive holds a link that can't be made here, %.100q", string(e.Path))
	}
	return nil
}

// single is the one file in a file that is only compressed.
type single struct {
	from    io.Reader
	name    string
	closing func()
	given   bool
}

func (s *single) close() { s.closing() }

func (s *single) next() (Entry, io.Reader, error) {
	if s.given {
		return Entry{}, nil, io.EOF
	}
	s.given = true
	name := s.name
	if cut := strings.LastIndexByte(name, '.'); cut > 0 {
		name = name[:cut]
	} else {
		name += ".out" // not the archive itself
	}
	path, err := clean(name)
	return Entry{Path: path, Kind: File, Mode: 0o644, MTime: time.Time{}, Size: -1}, s.from, err
}
