package patch

import (
	"bytes"
	"strings"
)

// yamlEntry is one entry of a collection.
type yamlEntry struct {
	key   []byte // as it is written, maybe in quotes
	value yamlNode
	after int  // behind the ":" or "-"
	stop  int  // where the entry's last line ends, or its text within brackets
	odd   bool // "? key": it is left alone
}

// entries calls visit for each entry of a collection.
func (y *yamlScan) entries(n yamlNode, visit func(yamlEntry) error) error {
	switch n.kind {
	case yamlMap, yamlList:
		return y.blockEntries(n, visit)
	case yamlFlowMap, yamlFlowList:
		return y.flowEntries(n, visit)
	default:
		return nil
	}
}

func (y *yamlScan) blockEntries(n yamlNode, visit func(yamlEntry) error) error {
	for at := n.start; at >= 0; {
		var e yamlEntry
		var err error
		switch {
		case n.kind == yamlList:
			e, err = y.listEntry(at, n)
		case y.question(at) || y.b[at] == ':' && y.blankAt(at+1):
			e = y.opaque(at, n)
		default:
			e, err = y.mapEntry(at, n)
		}
		if err != nil {
			return err
		}
		if err := visit(e); err != nil {
			return err
		}
		if at = y.content(y.nextLine(e.stop)); at < 0 {
			return nil
		}
		switch column := y.column(at); {
		case column < n.indent:
			return nil
		case column > n.indent:
			return broken(at, "it is indented further than what it belongs to")
		case n.kind == yamlList && !y.dash(at):
			if n.owner < n.indent-1 || n.depth == 0 {
				return broken(at, "a list ends here without being further in than what follows")
			}
			return nil // a list at its own key's column
		case n.kind == yamlMap && y.dash(at):
			return broken(at, "an element of a list is where a key should be")
		case y.b[y.lineStart(at)] == '\t':
			return broken(at, "a tab can't indent; put blanks")
		}
	}
	return nil
}

func (y *yamlScan) listEntry(at int, n yamlNode) (e yamlEntry, err error) {
	e.after = at + 1
	body := skip(y.b, at+1, " \t")
	if y.atLineEnd(at + 1) {
		e.value, err = y.below(at+1, n.indent, -1, n.depth)
	} else {
		e.value, err = y.node(body, n.indent, n.depth+1)
	}
	e.stop = y.stop(e)
	return e, err
}

func (y *yamlScan) mapEntry(at int, n yamlNode) (e yamlEntry, err error) {
	end := y.keyEnd(at)
	if end < 0 {
		return e, broken(at, "there is neither \"key: value\" nor an element of a list")
	}
	e.key = bytes.TrimRight(y.b[y.properties(at):end], " \t")
	e.after = end + bytes.IndexByte(y.b[end:], ':') + 1
	body := y.properties(skip(y.b, e.after, " \t"))
	switch {
	case y.atLineEnd(body):
		if body > len(y.b) || y.b[body-1] != ':' {
			body = y.trimBack(body, e.after)
		}
		e.value, err = y.below(body, n.indent, n.indent, n.depth)
	default:
		e.value, err = y.inline(body, n.indent, n.depth)
	}
	e.stop = y.stop(e)
	return e, err
}

// trimBack goes back over blanks, not further than from.
func (y *yamlScan) trimBack(at, from int) int {
	for at > from && (y.b[at-1] == ' ' || y.b[at-1] == '\t') {
		at--
	}
	return at
}

// stop is where an entry's last line ends.
func (y *yamlScan) stop(e yamlEntry) int { return lineEnd(y.b, min(e.value.end, len(y.b))) }

// opaque is an entry with "?": it is left alone.
func (y *yamlScan) opaque(at int, n yamlNode) yamlEntry {
	stop := lineEnd(y.b, at)
	for {
		next := y.content(y.nextLine(stop))
		if next < 0 || y.column(next) <= n.indent {
			return yamlEntry{odd: true, value: yamlNode{kind: yamlNothing, start: stop, end: stop}, after: stop, stop: stop}
		}
		stop = lineEnd(y.b, next)
	}
}

// is says whether an entry has this key.
func (y *yamlScan) is(e yamlEntry, key string) bool {
	if len(e.key) > 1 && (e.key[0] == '"' || e.key[0] == '\'') {
		return yamlUnquote(e.key) == key
	}
	return string(e.key) == key && !e.odd
}

// flowEntries reads what stands in brackets. Of nested brackets only the ends are
// looked for.
func (y *yamlScan) flowEntries(n yamlNode, visit func(yamlEntry) error) error {
	at := n.start + 1
	for {
		if at = y.flowSkip(at); y.c(at) == '}' || y.c(at) == ']' {
			return nil
		}
		if at >= len(y.b) {
			return broken(n.start, "a %c has no end", y.c(n.start))
		}
		if y.c(at) == ',' {
			at++
			continue
		}
		e, err := y.flowEntry(at, n)
		if err != nil {
			return err
		}
		if e.stop <= at {
			return broken(at, "it can't be read here")
		}
		if err := visit(e); err != nil {
			return err
		}
		at = y.flowSkip(e.stop)
		if at >= len(y.b) || strings.IndexByte(",}]", y.c(at)) < 0 {
			return broken(at, "a comma is missing")
		}
	}
}

// c is the byte at, or 0 behind the end.
func (y *yamlScan) c(at int) byte {
	if at < len(y.b) {
		return y.b[at]
	}
	return 0
}

// flowSkip goes over blanks, ends of lines and comments.
func (y *yamlScan) flowSkip(at int) int {
	for {
		at = skip(y.b, at, " \t\r\n")
		if y.c(at) != '#' || !y.blankAt(at-1) {
			return at
		}
		at = lineStop(y.b, at)
	}
}

func (y *yamlScan) flowEntry(at int, n yamlNode) (e yamlEntry, err error) {
	first, err := y.flowValue(at, n)
	if err != nil {
		return e, err
	}
	e.value, e.after, e.stop = first, at, first.end
	if n.kind == yamlFlowList {
		return e, nil
	}
	e.key = y.b[first.start:first.end]
	colon := y.flowSkip(first.end)
	if y.c(colon) != ':' {
		e.value = yamlNode{kind: yamlNothing, start: first.end, end: first.end, depth: n.depth + 1}
		return e, nil
	}
	e.after = colon + 1
	body := y.flowSkip(colon + 1)
	if body < len(y.b) && strings.IndexByte(",}]", y.c(body)) >= 0 {
		e.value = yamlNode{kind: yamlNothing, start: colon + 1, end: colon + 1, depth: n.depth + 1}
		e.stop = colon + 1
		return e, nil
	}
	e.value, err = y.flowValue(body, n)
	e.stop = e.value.end
	return e, err
}

// flowValue is a value or key within brackets.
func (y *yamlScan) flowValue(at int, n yamlNode) (yamlNode, error) {
	for y.c(at) == '&' || y.c(at) == '!' {
		for !y.blankAt(at) && strings.IndexByte(",]}", y.c(at)) < 0 {
			at++
		}
		at = y.flowSkip(at)
	}
	v := yamlNode{start: at, end: at, owner: n.owner, depth: n.depth + 1}
	var err error
	switch y.c(at) {
	case '"':
		v.kind = yamlDouble
		v.end, err = y.quoted(at)
	case '\'':
		v.kind = yamlSingle
		v.end, err = y.quoted(at)
	case '{':
		v.kind = yamlFlowMap
		v.end, err = y.flowEnd(at)
	case '[':
		v.kind = yamlFlowList
		v.end, err = y.flowEnd(at)
	case ',', '}', ']':
		v.kind = yamlNothing
	default:
		v.kind = yamlPlain
		if y.c(at) == '*' {
			v.kind = yamlAlias
		}
		i := at
		for ; i < len(y.b) && strings.IndexByte(",[]{}", y.c(i)) < 0; i++ {
			if y.c(i) == ':' && (y.blankAt(i+1) || strings.IndexByte(",[]{}", y.c(i+1)) >= 0) || y.c(i) == '#' && y.blankAt(i-1) {
				break
			}
		}
		for i > at && y.blankAt(i-1) {
			i--
		}
		v.end = i
	}
	return v, err
}
