package patch

import (
	"bytes"
	"errors"
	"fmt"
)

// editor makes a text out of another: what isn't replaced is copied, byte by
// byte. Places come in rising order. It holds the old text and the new one, and
// the new one only once something changes.
type editor struct {
	src, out []byte
	at       int
	dirty    bool
	broken   bool
}

// replace puts text in the place of src[from:to].
func (e *editor) replace(from, to int, text string) {
	if from < e.at || to < from || to > len(e.src) {
		e.broken = true
		return
	}
	if !e.dirty {
		e.out = make([]byte, 0, len(e.src)+len(text)+512)
		e.dirty = true
	}
	e.out = append(e.out, e.src[e.at:from]...)
	e.out = append(e.out, text...)
	e.at = to
}

var errOrder = errors.New("the changes of a file came out of order")

// done gives the new text, or the very old one.
func (e *editor) done() ([]byte, error) {
	if e.broken {
		return nil, errOrder
	}
	if !e.dirty {
		return e.src, nil
	}
	return append(e.out, e.src[e.at:]...), nil
}

// fault is why a file can't be read, and where.
type fault struct {
	at  int // offset
	why string
}

func (f *fault) Error() string { return f.why }

func broken(at int, format string, args ...any) error {
	return &fault{at, fmt.Sprintf(format, args...)}
}

// lineOf is the number of the line that an offset is on.
func lineOf(src []byte, at int) int { return 1 + bytes.Count(src[:min(at, len(src))], []byte{'\n'}) }

// lineEnd is where the line ends that an offset is on, before its "\n" or "\r\n".
func lineEnd(src []byte, at int) int {
	end := lineStop(src, at)
	if end > at && src[end-1] == '\r' {
		end--
	}
	return end
}

// lineStop is where a line's "\n" is, or the end.
func lineStop(src []byte, at int) int {
	if n := bytes.IndexByte(src[at:], '\n'); n >= 0 {
		return at + n
	}
	return len(src)
}

// newline is how the lines of a text end.
func newline(src []byte) string {
	if n := bytes.IndexByte(src, '\n'); n > 0 && src[n-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// notes are the sets that found no place, a sentence each, and whether anybody still
// waits for the answer.
type notes struct {
	list []string
	err  func() error // nil: somebody does
}

// maxNotes is how many are kept.
const maxNotes = 20

func (n *notes) add(format string, args ...any) {
	if len(n.list) < maxNotes {
		n.list = append(n.list, fmt.Sprintf(format, args...))
	}
}

// over is why nobody waits any more.
func (n *notes) over() error {
	if n.err == nil {
		return nil
	}
	return n.err()
}
