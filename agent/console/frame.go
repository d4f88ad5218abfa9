package console

import (
	"encoding/json"
	"strconv"
	"sync"
	"time"

	"github.com/berth-panel/berth/shared/wire"
)

// chunk is lines that were recorded together. It is encoded by the first reader
// that wants it, for all of them.
type chunk struct {
	lines []wire.ConsoleLineFrame
	size  int // of its texts

	once sync.Once
	text []byte // the lines as JSON, commas between
	ends []int  // where each ends in text
}

// A chunk holds at most so many lines and bytes.
const (
	chunkLines = 512
	chunkBytes = 64 << 10
)

func (c *chunk) first() int64 { return c.lines[0].Seq }
func (c *chunk) last() int64  { return c.lines[len(c.lines)-1].Seq }

func (c *chunk) encode() {
	c.once.Do(func() {
		c.text = make([]byte, 0, c.size+96*len(c.lines))
		c.ends = make([]int, 0, len(c.lines))
		for i := range c.lines {
			if i > 0 {
				c.text = append(c.text, ',')
			}
			c.text = appendLine(c.text, &c.lines[i])
			c.ends = append(c.ends, len(c.text))
		}
	})
}

// from gives the JSON of the lines from a number on, as many as fit into most
// bytes, and the number of the last of them; at least one line if any is asked
// for.
func (c *chunk) from(seq int64, most int) ([]byte, int64) {
	c.encode()
	i := int(max(0, seq-c.first()))
	if i >= len(c.ends) {
		return nil, 0
	}
	begin := 0
	if i > 0 {
		begin = c.ends[i-1] + 1
	}
	last := i
	for last+1 < len(c.ends) && c.ends[last+1]-begin <= most {
		last++
	}
	return c.text[begin:c.ends[last]], c.lines[last].Seq
}

// chunks cuts lines.
func chunks(lines []wire.ConsoleLineFrame) []*chunk {
	var all []*chunk
	c := &chunk{}
	for i := range lines {
		if len(c.lines) == chunkLines || len(c.lines) > 0 && c.size+len(lines[i].Text) > chunkBytes {
			all = append(all, c)
			c = &chunk{}
		}
		if c.lines == nil {
			c.lines = lines[i:i:len(lines)]
		}
		c.lines = c.lines[:len(c.lines)+1]
		c.size += len(lines[i].Text)
	}
	if len(c.lines) > 0 {
		all = append(all, c)
	}
	return all
}

// appendLine is json.Marshal of a line.
func appendLine(to []byte, l *wire.ConsoleLineFrame) []byte {
	to = strconv.AppendInt(append(to, `{"seq":`...), l.Seq, 10)
	to = l.At.UTC().AppendFormat(append(to, `,"at":"`...), time.RFC3339Nano)
	to = append(append(to, `","source":"`...), l.Source...)
	to = appendText(append(to, `","text":`...), l.Text)
	if l.Part {
		to = append(to, `,"part":true`...)
	}
	return append(to, '}')
}

func appendText(to []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, err := json.Marshal(text)
			if err != nil { // never, of a string
				return append(to, `""`...)
			}
			return append(to, quoted...)
		}
	}
	return append(append(append(to, '"'), text...), '"')
}
