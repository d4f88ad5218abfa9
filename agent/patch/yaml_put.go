package patch

import (
	"bytes"
	"errors"
	"strings"
)

// yamlFile is a YAML text in which nothing but what is set changes.
type yamlFile struct {
	yamlScan
	ed     editor
	eol    string
	set    *set
	notes  *notes
	within bool // brackets
}

// yamlSets carries out sets in the first document; those behind it stay as they
// are. A value with an anchor keeps it. An alias that is set becomes a value; what
// lies behind one isn't reached.
func yamlSets(src []byte, sets []set, n *notes) ([]byte, error) {
	for i := range sets {
		if err := n.over(); err != nil {
			return nil, err
		}
		f := yamlFile{yamlScan: yamlScan{b: src}, ed: editor{src: src}, eol: newline(src), set: &sets[i], notes: n}
		root, err := f.root()
		if err == nil && i == 0 {
			root, err = f.finish(root) // all of it is read once
		}
		if err != nil {
			return nil, err
		}
		if root.kind == yamlNothing {
			f.begin(root.start)
		} else if err := f.put(root, root.start, f.set.steps, false); err != nil {
			return nil, err
		}
		if src, err = f.ed.done(); err != nil {
			return nil, err
		}
	}
	return src, nil
}

// errFound ends a search.
var errFound = errors.New("found")

// begin writes the first value of an empty document.
func (f *yamlFile) begin(at int) {
	if f.set.conditional() || !creatable(f.set.steps) {
		return
	}
	begin := ""
	if at > 0 && f.b[at-1] != '\n' {
		begin = f.eol
	}
	f.ed.replace(at, at, begin+f.block(f.set.steps, 0)+f.eol)
}

// put sets what a path names below a value; after is behind the ":" or "-" that
// it belongs to.
func (f *yamlFile) put(n yamlNode, after int, path []step, below bool) error {
	if len(path) == 0 {
		f.replace(n, after)
		return nil
	}
	switch n.kind {
	case yamlMap, yamlFlowMap:
		return f.inMap(n, path, below)
	case yamlList, yamlFlowList:
		return f.inList(n, path, below)
	}
	if f.set.conditional() {
		return nil
	}
	plain := n.kind == yamlPlain && yamlScalar(f.b[n.start:n.end]).kind == null
	if (n.kind == yamlNothing || plain) && creatable(path) {
		f.fill(n, path)
	} else if !below {
		what := "a plain value"
		if n.kind == yamlAlias {
			what = "an alias"
		}
		f.notes.add("%s isn't set: there is %s on the way to it, in line %d", named(f.set.steps), what, lineOf(f.b, n.start))
	}
	return nil
}

// fill puts a mapping or list in the place of nothing.
func (f *yamlFile) fill(n yamlNode, path []step) {
	if n.kind == yamlPlain || n.owner < 0 || f.within {
		f.ed.replace(n.start, n.end, f.pad(n.start)+f.inlineNest(path))
		return
	}
	end := lineEnd(f.b, n.end)
	f.ed.replace(end, end, f.eol+f.block(path, n.owner+2))
}

// pad is the blank between a ":" and what is put behind it.
func (f *yamlFile) pad(at int) string {
	if at > 0 && strings.IndexByte(" \t\n", f.b[at-1]) < 0 {
		return " "
	}
	return ""
}

// replace sets the value itself.
func (f *yamlFile) replace(n yamlNode, after int) {
	old := f.scalar(n)
	next, change := f.set.typed(old)
	if !change {
		return
	}
	var style byte
	switch n.kind {
	case yamlSingle:
		style = '\''
	case yamlDouble:
		style = '"'
	}
	text := yamlText(next, style, f.within)
	from := n.start
	if n.kind == yamlMap || n.kind == yamlList { // they begin on a line of their own, but for those in a list
		if from = f.trimBack(f.lineStart(n.start), after); from <= after {
			from = after
		} else if from = lineEnd(f.b, after); bytes.IndexByte(f.b[after:from], '#') >= 0 {
			from = after + skip(f.b[after:from], 0, " \t")
			from = f.trimBack(from, after)
		}
	}
	if n.kind == yamlNothing || from != n.start {
		text = f.pad(from) + text
	}
	f.ed.replace(from, n.end, text)
}

func (f *yamlFile) scalar(n yamlNode) scalar {
	switch n.kind {
	case yamlNothing:
		return scalar{kind: null}
	case yamlPlain:
		return yamlScalar(f.b[n.start:n.end])
	case yamlSingle, yamlDouble:
		return scalar{text, yamlUnquote(f.b[n.start:n.end])}
	case yamlBlock:
		return scalar{text, yamlLines(f.b[n.start:n.end])}
	default:
		return scalar{kind: compound}
	}
}

// inEach goes on in everything that a mapping or a list has.
func (f *yamlFile) inEach(n yamlNode, rest []step) error {
	return f.entries(n, func(e yamlEntry) error {
		if e.odd {
			return nil
		}
		return f.put(e.value, e.after, rest, true)
	})
}

func (f *yamlFile) inMap(n yamlNode, path []step, below bool) error {
	outer := f.within
	f.within = f.within || n.kind == yamlFlowMap
	defer func() { f.within = outer }()
	if path[0].any {
		return f.inEach(n, path[1:])
	}
	for size := 1; size <= len(path); size++ { // a key may have dots in it
		key, ok := joined(path, size)
		if !ok {
			break
		}
		var found *yamlEntry
		if err := f.entries(n, func(e yamlEntry) error {
			if f.is(e, key) {
				found = &e
				return errFound
			}
			return nil
		}); err != nil && !errors.Is(err, errFound) {
			return err
		}
		if found != nil {
			return f.put(found.value, found.after, path[size:], below)
		}
	}
	if f.set.conditional() || !creatable(path) || path[0].only {
		return nil
	}
	return f.grow(n, path)
}

func (f *yamlFile) inList(n yamlNode, path []step, below bool) error {
	outer := f.within
	f.within = f.within || n.kind == yamlFlowList
	defer func() { f.within = outer }()
	if path[0].any {
		return f.inEach(n, path[1:])
	}
	if path[0].index < 0 {
		if !below && !f.set.conditional() {
			f.notes.add("%s isn't set: there is a list on the way to it, in line %d", named(f.set.steps), lineOf(f.b, n.start))
		}
		return nil
	}
	count := 0
	var found *yamlEntry
	if err := f.entries(n, func(e yamlEntry) error {
		if count == path[0].index {
			found = &e
			return errFound
		}
		count++
		return nil
	}); err != nil && !errors.Is(err, errFound) {
		return err
	}
	if found != nil {
		return f.put(found.value, found.after, path[1:], below)
	}
	if path[0].index == count && !f.set.conditional() && creatable(path[1:]) {
		return f.grow(n, append([]step{{only: true}}, path[1:]...))
	}
	return nil
}

// grow adds an entry to a collection, behind its last one.
func (f *yamlFile) grow(n yamlNode, path []step) error {
	if n.kind == yamlMap || n.kind == yamlList {
		if n.end < 0 {
			var err error
			if n, err = f.finish(n); err != nil {
				return err
			}
		}
		end := lineEnd(f.b, n.end)
		f.ed.replace(end, end, f.eol+f.block(path, n.indent))
		return nil
	}
	last := -1
	if err := f.entries(n, func(e yamlEntry) error {
		last = e.stop
		return nil
	}); err != nil {
		return err
	}
	text := f.inlineNest(path)
	text = text[1 : len(text)-1] // without the brackets
	if last < 0 {
		f.ed.replace(n.start+1, n.start+1, text)
		return nil
	}
	f.ed.replace(last, last, ", "+text)
	return nil
}

// block is a path and the value, as lines that are indented so far.
func (f *yamlFile) block(path []step, indent int) string {
	var b strings.Builder
	begun := false // the line has its indentation
	for i, s := range path {
		if !begun {
			b.WriteString(strings.Repeat(" ", indent))
		}
		if s.only {
			b.WriteByte('-')
			indent += 2
			begun = true
			if i+1 < len(path) {
				b.WriteByte(' ')
			}
			continue
		}
		b.WriteString(yamlText(scalar{text, s.key}, 0, false) + ":")
		indent += 2
		if begun = false; i+1 < len(path) {
			b.WriteString(f.eol)
		}
	}
	next, _ := f.set.typed(scalar{})
	return b.String() + " " + yamlText(next, 0, false)
}

// inlineNest is a path and the value in brackets.
func (f *yamlFile) inlineNest(path []step) string {
	var open, end strings.Builder
	for i, s := range path {
		if s.only {
			open.WriteByte('[')
		} else {
			open.WriteString("{" + yamlText(scalar{text, s.key}, 0, true) + ": ")
		}
		if path[len(path)-1-i].only {
			end.WriteByte(']')
		} else {
			end.WriteByte('}')
		}
	}
	next, _ := f.set.typed(scalar{})
	return open.String() + yamlText(next, 0, true) + end.String()
}
