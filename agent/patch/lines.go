package patch

import (
	"bytes"
	"strings"
)

// lines replaces each line that begins with a match as a whole; of several that
// match, the last one counts. The value may be several lines. Nothing is appended.
//
// Lines that are a value already are left alone, and none of them is matched:
// else a match of "port" with the value "port = 1\nportal = 2" would grow with
// every start.
func lines(src []byte, sets []set, _ *notes) ([]byte, error) {
	eol := newline(src)
	blocks := make([][]string, len(sets))
	for i := range sets {
		blocks[i] = splitLines(sets[i].value.text)
	}
	ed := editor{src: src}
	free := 0 // the first line that isn't part of a value that is there
	for at, line := 0, 0; at <= len(src); line++ {
		for _, block := range blocks {
			if n := len(block); n > 0 && line+n > free && standsAt(src, at, block) {
				free = line + n
			}
		}
		end := lineEnd(src, at)
		if line >= free {
			if text, ok := lineFor(src[at:end], sets, blocks, eol); ok {
				ed.replace(at, end, text)
			}
		}
		at = lineStop(src, at) + 1
	}
	return ed.done()
}

// lineFor is what comes in the place of a line.
func lineFor(line []byte, sets []set, blocks [][]string, eol string) (out string, ok bool) {
	for i := range sets {
		s := &sets[i]
		if len(line) < len(s.match) || string(line[:len(s.match)]) != s.match {
			continue
		}
		rest := string(line[len(s.match):])
		switch {
		case s.expr != nil:
			// The expression is of the rest of the line; its groups may be in the value.
			found := s.expr.FindStringSubmatchIndex(rest)
			if found == nil {
				continue
			}
			out = strings.Join(splitLines(string(s.expr.ExpandString(nil, s.value.text, rest, found))), eol)
		case s.only != "" && rest != s.only:
			continue
		default:
			out = strings.Join(blocks[i], eol)
		}
		ok = true
	}
	return out, ok && out != string(line)
}

func splitLines(text string) []string {
	list := strings.Split(text, "\n")
	for i := range list {
		list[i] = strings.TrimRight(list[i], "\r") // which a line of the file ends with
	}
	return list
}

// standsAt says whether the lines from an offset on are these.
func standsAt(src []byte, at int, block []string) bool {
	for _, want := range block {
		if at > len(src) {
			return false
		}
		if !bytes.Equal(src[at:lineEnd(src, at)], []byte(want)) {
			return false
		}
		at = lineStop(src, at) + 1
	}
	return true
}
