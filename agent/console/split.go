package console

import (
	"bytes"
	"time"
	"unicode/utf8"

	"github.com/berth-panel/berth/shared/wire"
)

// entry is a line without a number.
type entry struct {
	at     time.Time
	source wire.ConsoleSource
	text   string
	part   bool
}

// splitter makes lines out of what one stream gives. It is not safe for
// concurrent use.
type splitter struct {
	source wire.ConsoleSource
	buf    []byte // the line under way
	anew   bool   // a CR was the last that came
}

// keptBuffer is how much memory an idle splitter keeps.
const keptBuffer = 1 << 10

// feed takes what came at a moment and appends the lines that it ends.
func (s *splitter) feed(to []entry, p []byte, at time.Time) []entry {
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			return s.put(to, p, at)
		}
		to = s.put(to, p[:end], at)
		p = p[end+1:]
		to = s.emit(to, s.buf, false, at)
		s.reset()
	}
	return to
}

func (s *splitter) reset() {
	s.anew = false
	if s.buf = s.buf[:0]; cap(s.buf) > keptBuffer {
		s.buf = nil
	}
}

// put adds text without an end of line.
func (s *splitter) put(to []entry, p []byte, at time.Time) []entry {
	for {
		cr := bytes.IndexByte(p, '\r')
		text := p
		if cr >= 0 {
			text = p[:cr]
		}
		if len(text) > 0 {
			if s.anew {
				s.buf, s.anew = s.buf[:0], false
			}
			to = s.grow(to, text, at)
		}
		if cr < 0 {
			return to
		}
		s.anew, p = true, p[cr+1:]
	}
}

// grow adds to the line under way and cuts it where it is too long.
func (s *splitter) grow(to []entry, text []byte, at time.Time) []entry {
	for len(text) > 0 {
		n := min(len(text), wire.ConsoleLine+utf8.UTFMax-len(s.buf))
		s.buf, text = append(s.buf, text[:n]...), text[n:]
		if len(s.buf) < wire.ConsoleLine+utf8.UTFMax {
			return to
		}
		cut := border(s.buf, wire.ConsoleLine)
		to = s.emit(to, s.buf[:cut], true, at)
		s.buf = append(s.buf[:0], s.buf[cut:]...)
	}
	return to
}

// border is the last place at or before n where a character begins.
func border[T []byte | string](text T, n int) int {
	for back := range utf8.UTFMax {
		if utf8.RuneStart(text[n-back]) {
			return n - back
		}
	}
	return n
}

func (s *splitter) emit(to []entry, line []byte, part bool, at time.Time) []entry {
	text := clean(line)
	for len(text) > wire.ConsoleLine {
		cut := border(text, wire.ConsoleLine)
		to = append(to, entry{at: at, source: s.source, text: text[:cut], part: true})
		text = text[cut:]
	}
	return append(to, entry{at: at, source: s.source, text: text, part: part})
}

// end makes a line of what has none.
func (s *splitter) end(to []entry, at time.Time) []entry {
	if len(s.buf) > 0 {
		to = s.emit(to, s.buf, false, at)
	}
	s.reset()
	return to
}

// tail is what has no end yet.
func (s *splitter) tail() string {
	text := clean(s.buf)
	if len(text) > wire.ConsoleLine {
		text = text[:border(text, wire.ConsoleLine)]
	}
	return text
}

// clean makes text of bytes: each that isn't UTF-8 is replaced by itself, as
// Docker's own logs do it.
func clean(p []byte) string {
	if utf8.Valid(p) {
		return string(p)
	}
	out := make([]byte, 0, len(p)+len(p)/8)
	for len(p) > 0 {
		r, n := utf8.DecodeRune(p)
		out = utf8.AppendRune(out, r)
		p = p[n:]
	}
	return string(out)
}
