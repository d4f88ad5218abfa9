package console

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/berth-panel/berth/shared/wire"
)

// A segment is a file of lines, named after the number of its first:
//
//	header  8 bytes  segmentMagic
//	line    4 length of what follows the checksum · 4 checksum of it (CRC-32C)
//	        8 time, ns since 1970 · 1 source, and partBit · the text
//
// All numbers are little endian. Numbers of lines are not in it: they follow on
// each other. What is torn, or isn't as it should be, ends the segment.
const (
	segmentMagic = "berthcl1"
	lineHead     = 8
	lineFixed    = 9
	maxLine      = lineFixed + wire.ConsoleLine
	partBit      = 0x80
	segmentSize  = wire.ConsoleBytes / 8
	segmentEnd   = ".lines"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// codes are the sources on disk, by their places.
func codes() []wire.ConsoleSource {
	return []wire.ConsoleSource{wire.ConsoleOut, wire.ConsoleErr, wire.ConsoleIn, wire.ConsoleInstall, wire.ConsoleBerth}
}

func codeOf(s wire.ConsoleSource) byte {
	switch s {
	case wire.ConsoleOut:
		return 0
	case wire.ConsoleErr:
		return 1
	case wire.ConsoleIn:
		return 2
	case wire.ConsoleInstall:
		return 3
	default:
		return 4
	}
}

// appendEntry encodes a line.
func appendEntry(to []byte, e entry) []byte {
	begin := len(to)
	to = append(to, make([]byte, lineHead)...)
	to = binary.LittleEndian.AppendUint64(to, uint64(e.at.UnixNano()))
	code := codeOf(e.source)
	if e.part {
		code |= partBit
	}
	to = append(append(to, code), e.text...)
	body := to[begin+lineHead:]
	binary.LittleEndian.PutUint32(to[begin:], uint32(len(body)))
	binary.LittleEndian.PutUint32(to[begin+4:], crc32.Checksum(body, castagnoli))
	return to
}

// sizeOf is what appendEntry adds.
func sizeOf(e entry) int64 { return lineHead + lineFixed + int64(len(e.text)) }

// readEntry decodes the line at the beginning; n is 0 when it is not whole or not
// as it should be.
func readEntry(p []byte) (e entry, n int) {
	if len(p) < lineHead+lineFixed {
		return entry{}, 0
	}
	size := int(binary.LittleEndian.Uint32(p))
	if size < lineFixed || size > maxLine || len(p) < lineHead+size {
		return entry{}, 0
	}
	body := p[lineHead : lineHead+size]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(p[4:]) {
		return entry{}, 0
	}
	code := int(body[8] &^ partBit)
	sources := codes()
	if code >= len(sources) {
		return entry{}, 0
	}
	at := time.Unix(0, int64(binary.LittleEndian.Uint64(body))).UTC()
	return entry{at: at, source: sources[code], part: body[8]&partBit != 0, text: string(body[lineFixed:])}, lineHead + size
}

// place is where in the files a line stands.
type place struct {
	segment int64 // the number of its first line
	offset  int64
	seq     int64 // of the line that stands there
}

// readLines reads from a place on, until a number or as many bytes as most, at
// least one line. It gives the place behind them; no lines when there are none.
func readLines(dir string, from place, until, most int64) ([]wire.ConsoleLineFrame, place, error) {
	file, err := os.Open(filepath.Join(dir, segmentName(from.segment)))
	if err != nil {
		return nil, from, err
	}
	defer func() { _ = file.Close() }()
	window := make([]byte, min(most, segmentSize)+lineHead+maxLine)
	var lines []wire.ConsoleLineFrame
	for read := int64(0); from.seq <= until && read < most; {
		n, err := file.ReadAt(window, from.offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return lines, from, err
		}
		p, before := window[:n], from.offset
		for from.seq <= until && read < most {
			e, size := readEntry(p)
			if size == 0 {
				break
			}
			lines = append(lines, wire.ConsoleLineFrame{Seq: from.seq, At: e.at, Source: e.source, Text: e.text, Part: e.part})
			p, read = p[size:], read+int64(size)
			from.seq, from.offset = from.seq+1, from.offset+int64(size)
		}
		if from.offset == before {
			break
		}
	}
	return lines, from, nil
}

// seek finds a line in its segment.
func seek(dir string, segment, seq int64) (place, error) {
	at := place{segment: segment, offset: int64(len(segmentMagic)), seq: segment}
	for at.seq < seq {
		_, next, err := readLines(dir, at, seq-1, 128<<10)
		if err != nil {
			return at, err
		}
		if next.seq == at.seq {
			return at, io.EOF
		}
		at = next
	}
	return at, nil
}

// scan finds the whole lines of a segment: how many, and where they end.
func scan(dir string, segment int64) (lines, size int64, err error) {
	p, err := os.ReadFile(filepath.Join(dir, segmentName(segment)))
	if err != nil {
		return 0, 0, err
	}
	if !strings.HasPrefix(string(p[:min(len(p), len(segmentMagic))]), segmentMagic) {
		return 0, 0, nil
	}
	size = int64(len(segmentMagic))
	for p = p[size:]; ; {
		_, n := readEntry(p)
		if n == 0 {
			return lines, size, nil
		}
		p, lines, size = p[n:], lines+1, size+int64(n)
	}
}

func segmentName(first int64) string { return fmt.Sprintf("%019d%s", first, segmentEnd) }

func segmentOf(name string) (first int64, ok bool) {
	digits, ok := strings.CutSuffix(name, segmentEnd)
	if !ok || len(digits) != 19 {
		return 0, false
	}
	first, err := strconv.ParseInt(digits, 10, 64)
	return first, err == nil && first > 0
}
