package move

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// The types of frames; see shared/wire/move.go.
const (
	frameFile  = 'F'
	frameData  = 'D'
	frameEnd   = 'E'
	frameGone  = 'G'
	frameError = 'X'
	frameDone  = 'Z'
)

// The content of an 'E'.
const (
	endWhole    = 0
	endUnsteady = 1
)

const (
	chunkSize   = 1 << 20 // bytes of a file in a frame
	frameHeader = 5
)

// castagnoli is the table of the frames' checksum.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) } // made once by the standard library

// frameWriter writes frames; call flush at the end.
type frameWriter struct {
	out   *bufio.Writer
	table *crc32.Table
	head  [frameHeader]byte
}

func newFrameWriter(w io.Writer) *frameWriter {
	return &frameWriter{out: bufio.NewWriterSize(w, 64<<10), table: castagnoli()}
}

// write writes one frame whose content is the parts together.
func (f *frameWriter) write(kind byte, parts ...[]byte) error {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	if size > wire.MaxFrame {
		return fmt.Errorf("a frame of %d bytes", size)
	}
	f.head[0] = kind
	binary.BigEndian.PutUint32(f.head[1:], uint32(size))
	sum := crc32.Checksum(f.head[:], f.table)
	_, _ = f.out.Write(f.head[:]) // the writer keeps its first error for the last call
	for _, p := range parts {
		sum = crc32.Update(sum, f.table, p)
		_, _ = f.out.Write(p)
	}
	_, err := f.out.Write(binary.BigEndian.AppendUint32(nil, sum))
	return err
}

func (f *frameWriter) json(kind byte, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode a frame: %w", err)
	}
	return f.write(kind, text)
}

func (f *frameWriter) flush() error { return f.out.Flush() }

// frame is one frame; its content is good until the next is read.
type frame struct {
	kind    byte
	content []byte
}

// frameReader reads and verifies frames. Its memory is bounded by one frame.
type frameReader struct {
	in     *bufio.Reader
	table  *crc32.Table
	buffer []byte
}

func newFrameReader(r io.Reader) *frameReader {
	return &frameReader{in: bufio.NewReaderSize(r, 64<<10), table: castagnoli()}
}

var (
	errCut     = errors.New("the stream was cut off")
	errDamaged = errors.New("the stream is damaged: a checksum is wrong")
)

func (f *frameReader) next() (frame, error) {
	var head [frameHeader]byte
	if _, err := io.ReadFull(f.in, head[:]); err != nil {
		return frame{}, cut(err)
	}
	size := binary.BigEndian.Uint32(head[1:])
	if size > wire.MaxFrame {
		return frame{}, badFrame("a frame of %d bytes", size)
	}
	need := int(size) + crc32.Size
	if cap(f.buffer) < need {
		f.buffer = make([]byte, max(need, min(2*cap(f.buffer), wire.MaxFrame+crc32.Size)))
	}
	content := f.buffer[:need]
	if _, err := io.ReadFull(f.in, content); err != nil {
		return frame{}, cut(err)
	}
	sum := crc32.Update(crc32.Checksum(head[:], f.table), f.table, content[:size])
	if sum != binary.BigEndian.Uint32(content[size:]) {
		return frame{}, problem.New(problem.BadRequest, "%s", errDamaged).Because(errDamaged)
	}
	return frame{kind: head[0], content: content[:size]}, nil
}

// cut names the reason why no more frames come.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errCut
	}
	return problem.New(problem.BadRequest, "the content did not arrive as a whole: %s", errCut).Because(err)
}

func badFrame(format string, args ...any) error {
	return problem.New(problem.BadRequest, "the content is not what was asked for: "+format, args...)
}

// decode reads a frame of JSON.
func (f frame) decode(into any) error {
	if err := json.Unmarshal(f.content, into); err != nil {
		return badFrame("a %c frame can't be read", f.kind)
	}
	return nil
}
