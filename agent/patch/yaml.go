package patch

import (
	"bytes"
	"strings"
)

// yamlNode is where a value is in a YAML text.
type yamlNode struct {
	kind       yamlKind
	start, end int // of its text, without anchor and tag
	indent     int // of a block's entries
	owner      int // the indentation of what it belongs to: its lines are further in
	depth      int
}

type yamlKind int

const (
	yamlNothing yamlKind = iota // start is behind the ":" or "-"
	yamlPlain
	yamlSingle
	yamlDouble
	yamlBlock // | or >
	yamlAlias
	yamlMap
	yamlList
	yamlFlowMap
	yamlFlowList
)

// maxDepth is how deep a text may be nested.
const maxDepth = 500

// yamlScan finds its way through a YAML text, without keeping any of it: block and
// flow collections, the five styles of scalars, anchors, tags and comments. It is
// for the first document. What it takes for granted instead of checking doesn't
// change what is where.
type yamlScan struct {
	b   []byte
	end int // of the document
}

// root is the document's value; a block's end isn't known yet.
func (y *yamlScan) root() (yamlNode, error) {
	y.end = len(y.b)
	at := 0
	for {
		line := y.content(at)
		if line < 0 {
			return yamlNode{kind: yamlNothing, start: y.end, end: y.end, owner: -1}, nil
		}
		if y.b[line] == '%' && line == y.lineStart(line) {
			at = y.nextLine(line)
			continue
		}
		if !y.marker(line, "---") {
			at = line
			break
		}
		at = line + 3
		rest := skip(y.b, at, " \t")
		if rest < len(y.b) && y.b[rest] != '\n' && y.b[rest] != '\r' && y.b[rest] != '#' {
			at = rest
			break
		}
		at = y.nextLine(line)
		next := y.content(at)
		if next < 0 {
			return yamlNode{kind: yamlNothing, start: at, end: at, owner: -1}, nil
		}
		at = next
		break
	}
	return y.nodeOpen(at, -1, 0)
}

// marker says whether a line is the beginning or end of a document.
func (y *yamlScan) marker(at int, mark string) bool {
	if at > 0 && y.b[at-1] != '\n' || !bytes.HasPrefix(y.b[at:], []byte(mark)) {
		return false
	}
	rest := y.b[at+3:]
	return len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0
}

// content is the next place, from a line's beginning on, that is neither blank nor
// comment; -1 at the document's end.
func (y *yamlScan) content(at int) int {
	for at < y.end {
		c := skip(y.b[:y.end], at, " \t\r")
		if c < y.end && y.b[c] != '\n' && y.b[c] != '#' {
			if c == at && (y.marker(c, "...") || y.marker(c, "---") && c > 0 && y.begun(c)) {
				y.end = c
				return -1
			}
			return c
		}
		at = y.nextLine(c)
	}
	return -1
}

// begun says whether something of the document stands before.
func (y *yamlScan) begun(at int) bool {
	for i := 0; i < at; {
		c := skip(y.b, i, " \t\r")
		if y.b[c] != '\n' && y.b[c] != '#' && y.b[c] != '%' {
			return true
		}
		i = y.nextLine(c)
	}
	return false
}

func (y *yamlScan) nextLine(at int) int { return min(lineStop(y.b, min(at, len(y.b)))+1, len(y.b)) }

func (y *yamlScan) lineStart(at int) int { return bytes.LastIndexByte(y.b[:at], '\n') + 1 }

func (y *yamlScan) column(at int) int { return at - y.lineStart(at) }

// node reads the value that begins at; its lines are further in than owner.
func (y *yamlScan) node(at, owner, depth int) (yamlNode, error) {
	n, err := y.nodeOpen(at, owner, depth)
	if err != nil {
		return n, err
	}
	return y.finish(n)
}

// nodeOpen is node without looking for a block's end.
func (y *yamlScan) nodeOpen(at, owner, depth int) (yamlNode, error) {
	if depth > maxDepth {
		return yamlNode{}, broken(at, "it is nested more than %d deep", maxDepth)
	}
	if bytes.IndexByte(y.b[y.lineStart(at):at], '\t') >= 0 && len(bytes.TrimSpace(y.b[y.lineStart(at):at])) == 0 {
		return yamlNode{}, broken(at, "a tab can't indent; put blanks")
	}
	column := y.column(at)
	if y.dash(at) {
		return yamlNode{kind: yamlList, start: at, end: -1, indent: column, owner: owner, depth: depth}, nil
	}
	if y.question(at) || y.keyEnd(at) >= 0 {
		return yamlNode{kind: yamlMap, start: at, end: -1, indent: column, owner: owner, depth: depth}, nil
	}
	body := y.properties(at)
	if body > at && y.atLineEnd(body) {
		return y.below(body, owner, owner, depth)
	}
	return y.inline(body, owner, depth)
}

// finish reads a block's entries to find its end.
func (y *yamlScan) finish(n yamlNode) (yamlNode, error) {
	if n.end >= 0 {
		return n, nil
	}
	end := n.start
	err := y.entries(n, func(e yamlEntry) error {
		end = e.stop
		return nil
	})
	n.end = end
	return n, err
}

// below is the value on the lines after at, where at's own line ends. A list may
// begin at list's column, further out than the others.
func (y *yamlScan) below(at, owner, list, depth int) (yamlNode, error) {
	line := y.content(y.nextLine(at))
	if line >= 0 && (y.column(line) > owner || y.column(line) == list && list >= 0 && y.dash(line)) {
		own := owner
		if y.column(line) <= owner {
			own = owner - 1
		}
		return y.node(line, own, depth+1)
	}
	return yamlNode{kind: yamlNothing, start: at, end: at, owner: owner, depth: depth}, nil
}

// inline is a value that begins at, on a line of its owner's.
func (y *yamlScan) inline(at, owner, depth int) (yamlNode, error) {
	n := yamlNode{start: at, owner: owner, depth: depth}
	var err error
	switch y.b[at] {
	case '"':
		n.kind = yamlDouble
		n.end, err = y.quoted(at)
	case '\'':
		n.kind = yamlSingle
		n.end, err = y.quoted(at)
	case '{':
		n.kind = yamlFlowMap
		n.end, err = y.flowEnd(at)
	case '[':
		n.kind = yamlFlowList
		n.end, err = y.flowEnd(at)
	case '|', '>':
		n.kind = yamlBlock
		n.end = y.blockEnd(at, owner)
	case '*':
		n.kind = yamlAlias
		n.end = y.wordEnd(at)
	default:
		n.kind = yamlPlain
		n.end, err = y.plainEnd(at, owner)
	}
	if err != nil {
		return n, err
	}
	if n.kind != yamlBlock && !y.atLineEnd(n.end) {
		return n, broken(n.end, "there is something behind the end of a value")
	}
	return n, nil
}

// atLineEnd says whether only blanks and a comment follow on the line.
func (y *yamlScan) atLineEnd(at int) bool {
	c := skip(y.b, at, " \t\r")
	return c >= len(y.b) || y.b[c] == '\n' || y.b[c] == '#' && (c == 0 || y.blankAt(c-1))
}

func (y *yamlScan) dash(at int) bool     { return y.b[at] == '-' && y.blankAt(at+1) }
func (y *yamlScan) question(at int) bool { return y.b[at] == '?' && y.blankAt(at+1) }

func (y *yamlScan) blankAt(at int) bool {
	return at >= len(y.b) || strings.IndexByte(" \t\r\n", y.b[at]) >= 0
}

// properties skips anchors and tags.
func (y *yamlScan) properties(at int) int {
	for at < len(y.b) && (y.b[at] == '&' || y.b[at] == '!') {
		end := skip(y.b, y.wordEnd(at), " \t")
		at = end
	}
	return at
}

func (y *yamlScan) wordEnd(at int) int {
	for !y.blankAt(at) {
		at++
	}
	return at
}

// quoted is the end of a scalar in quotes.
func (y *yamlScan) quoted(at int) (int, error) {
	quote := y.b[at]
	for i := at + 1; i < len(y.b); i++ {
		switch {
		case y.b[i] == '\\' && quote == '"':
			i++
		case y.b[i] == quote && quote == '\'' && i+1 < len(y.b) && y.b[i+1] == quote:
			i++
		case y.b[i] == quote:
			return i + 1, nil
		}
	}
	return 0, broken(at, "a %c has no end", quote)
}

// flowEnd is the end of a collection in brackets.
func (y *yamlScan) flowEnd(at int) (int, error) {
	var open []byte
	for i := at; i < len(y.b); i++ {
		switch c := y.b[i]; {
		case c == '"' || c == '\'':
			if !y.flowBegins(i) {
				continue // within a plain one: it's
			}
			end, err := y.quoted(i)
			if err != nil {
				return 0, err
			}
			i = end - 1
		case c == '#' && y.blankAt(i-1):
			i = lineStop(y.b, i)
		case c == '{' || c == '[':
			if len(open) >= maxDepth {
				return 0, broken(i, "it is nested more than %d deep", maxDepth)
			}
			open = append(open, c+2) // their ends, in ASCII
		case c == '}' || c == ']':
			if c != open[len(open)-1] {
				return 0, broken(i, "a %c is where a %c should be", c, open[len(open)-1])
			}
			if open = open[:len(open)-1]; len(open) == 0 {
				return i + 1, nil
			}
		}
	}
	return 0, broken(at, "a %c has no end", y.b[at])
}

// flowBegins says whether a value or key may begin at i within brackets.
func (y *yamlScan) flowBegins(i int) bool {
	for i--; i >= 0 && strings.IndexByte(" \t\r\n", y.b[i]) >= 0; i-- {
	}
	return i < 0 || strings.IndexByte("[{,:", y.b[i]) >= 0 || y.afterWord(i)
}

// afterWord says whether the word that ends at i is an anchor or tag, or a
// comment's end.
func (y *yamlScan) afterWord(i int) bool {
	begin := i
	for begin >= 0 && strings.IndexByte(" \t\r\n[{,", y.b[begin]) < 0 {
		begin--
	}
	if begin+1 <= i && (y.b[begin+1] == '&' || y.b[begin+1] == '!') {
		return true
	}
	return bytes.Contains(y.b[y.lineStart(i):i+1], []byte("#"))
}

// blockEnd is the end of a scalar of lines.
func (y *yamlScan) blockEnd(at, owner int) int {
	end := lineEnd(y.b, at)
	for line := y.nextLine(at); line < y.end; line = y.nextLine(line) {
		c := skip(y.b, line, " ")
		if c >= len(y.b) || y.b[c] == '\n' || y.b[c] == '\r' {
			if c >= len(y.b) {
				break
			}
			continue
		}
		if c-line <= owner || y.marker(line, "---") || y.marker(line, "...") {
			break
		}
		end = lineEnd(y.b, line)
	}
	return end
}

// plainEnd is the end of a scalar without quotes, which may go on over lines.
func (y *yamlScan) plainEnd(at, owner int) (int, error) {
	end := y.plainLine(at)
	for {
		if !y.atLineEnd(end) || bytes.IndexByte(y.b[end:lineStop(y.b, end)], '#') >= 0 {
			return end, nil
		}
		line := y.nextLine(end)
		c := skip(y.b, line, " \t\r")
		for c < y.end && y.b[c] == '\n' {
			line = c + 1
			c = skip(y.b, line, " \t\r")
		}
		if c >= y.end || c-line <= owner || y.b[c] == '#' || y.marker(c, "---") || y.marker(c, "...") || line <= end {
			return end, nil
		}
		if y.keyEnd(c) >= 0 {
			return 0, broken(c, "it is indented further than what it belongs to")
		}
		end = y.plainLine(c)
	}
}

// plainLine is where a plain scalar ends on its line.
func (y *yamlScan) plainLine(at int) int {
	stop := lineEnd(y.b, at)
	end := stop
	for i := at + 1; i < stop; i++ {
		if y.b[i] == '#' && (y.b[i-1] == ' ' || y.b[i-1] == '\t') {
			end = i
			break
		}
	}
	for end > at && strings.IndexByte(" \t\r", y.b[end-1]) >= 0 {
		end--
	}
	return end
}

// keyEnd is where the key ends that begins at, before its ":"; -1 when what begins
// there is no key.
func (y *yamlScan) keyEnd(at int) int {
	body := y.properties(at)
	if body >= len(y.b) || y.lineStart(body) != y.lineStart(at) {
		return -1
	}
	switch y.b[body] {
	case '"', '\'':
		end, err := y.quoted(body)
		if err != nil || bytes.IndexByte(y.b[body:end], '\n') >= 0 {
			return -1
		}
		if c := skip(y.b, end, " \t"); c < len(y.b) && y.b[c] == ':' && y.blankAt(c+1) {
			return end
		}
		return -1
	case '{', '[', '|', '>', '%', '@', '`', '#':
		return -1
	}
	stop := lineEnd(y.b, at)
	for i := body; i < stop; i++ {
		if y.b[i] == '#' && i > body && (y.b[i-1] == ' ' || y.b[i-1] == '\t') {
			return -1
		}
		if y.b[i] == ':' && y.blankAt(i+1) {
			return i
		}
	}
	return -1
}
