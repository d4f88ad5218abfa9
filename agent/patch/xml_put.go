package patch

import (
	"bytes"
	"regexp"
	"strings"
)

// xmlFile is an XML text in which nothing but what is set changes.
type xmlFile struct {
	xmlScan
	ed    editor
	set   *set
	notes *notes
	attr  string // the attribute that is set; "" is the text
	eol   string
	ascii bool // what isn't ASCII is written by its number

	stack []xmlOpen
	found bool
	root  string
	best  xmlSpot
}

// xmlOpen is an element whose end is still to come.
type xmlOpen struct {
	name     string
	start    xmlToken
	match    int // how many steps lead here; -1 is none
	children bool
	from, to int // its first text that isn't blank; to 0 is none
}

// xmlSpot is where an element that is missing can be put.
type xmlSpot struct {
	level int // how many steps lead there; 0 is none
	end   int // where the element's end begins, or behind its start when it ends itself
	open  xmlToken
}

// xmlValue is a value that sets an attribute: "[name='value']".
var xmlValue = regexp.MustCompile(`(?s)^\[(\w[\w.:-]*)='(.*)'\]$`)

var xmlEncoding = regexp.MustCompile(`^<\?xml[^>]*encoding=["']([^"']*)["']`)

var xmlName = regexp.MustCompile(`^[\pL_][\pL\pN_.:-]*$`)

// xmlSet carries out one set: the text of every element that the path names, from
// the root on, or one of its attributes where the value is [name='value']. An
// element that is missing is made, below a root of the path's first name in a file
// that is empty.
func xmlSet(src []byte, s *set, n *notes) ([]byte, error) {
	own := *s
	f := xmlFile{set: &own, notes: n, eol: newline(src)}
	if m := xmlValue.FindStringSubmatch(s.value.text); m != nil {
		f.attr, own.value.text = m[1], m[2]
	}
	own.value.text = strings.Map(func(r rune) rune {
		if xmlHas(r) {
			return r
		}
		return -1
	}, own.value.text)
	if len(bytes.TrimSpace(src)) == 0 {
		if s.conditional() || !xmlMakes(s.steps) {
			return src, nil
		}
		src = []byte("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<" + s.steps[0].key + "/>\n")
	}
	if m := xmlEncoding.FindSubmatch(src[:min(len(src), 200)]); m != nil {
		f.ascii = !strings.EqualFold(string(m[1]), "utf-8")
	}
	f.b, f.ed.src = src, src
	if err := f.scan(); err != nil {
		return nil, err
	}
	if !f.found && !s.conditional() && xmlMakes(s.steps) {
		f.add()
	}
	return f.ed.done()
}

// xmlMakes says whether the elements of a path can be made.
func xmlMakes(path []step) bool {
	for _, s := range path {
		if s.any || s.only || !xmlName.MatchString(s.key) {
			return false
		}
		for _, a := range s.where {
			if !xmlName.MatchString(a.name) {
				return false
			}
		}
	}
	return len(path) > 0
}

func (f *xmlFile) scan() error {
	for at := 0; at < len(f.b); {
		t, err := f.token(at)
		if err != nil {
			return err
		}
		at = t.end
		switch t.kind {
		case xmlStart:
			err = f.opens(t)
		case xmlEnd:
			err = f.closes(t)
		case xmlText:
			err = f.reads(t)
		}
		if err != nil {
			return err
		}
	}
	if len(f.stack) > 0 {
		open := f.stack[len(f.stack)-1]
		return broken(open.start.start, "the element %s has no end", open.name)
	}
	if f.root == "" {
		return broken(0, "it has no element")
	}
	return nil
}

func (f *xmlFile) opens(t xmlToken) error {
	if len(f.stack) >= maxDepth {
		return broken(t.start, "it is nested more than %d deep", maxDepth)
	}
	parent := 0
	if depth := len(f.stack); depth > 0 {
		top := &f.stack[depth-1]
		top.children, parent = true, top.match
	} else if f.root != "" {
		return broken(t.start, "it has a second root, %s", t.name)
	} else {
		f.root = t.name
	}
	match := -1
	if parent == len(f.stack) && parent < len(f.set.steps) && f.fits(f.set.steps[parent], t) {
		match = parent + 1
	}
	open := xmlOpen{name: t.name, start: t, match: match}
	if match == len(f.set.steps) {
		f.found = true
		if f.attr != "" {
			f.setAttribute(t)
		} else if t.selfEnds {
			f.setEmpty(t)
		}
	}
	if t.selfEnds {
		f.offer(open, t.end)
		return nil
	}
	f.stack = append(f.stack, open)
	return nil
}

// fits says whether an element is what a step names.
func (f *xmlFile) fits(s step, t xmlToken) bool {
	if !s.any && s.key != t.name {
		return false
	}
	for _, want := range s.where {
		ok := false
		for _, a := range f.attributes(t) {
			ok = ok || a.name == want.name && xmlUnescape(f.b[a.start:a.end]) == want.value
		}
		if !ok {
			return false
		}
	}
	return true
}

func (f *xmlFile) reads(t xmlToken) error {
	blank := len(bytes.TrimSpace(f.b[t.start:t.end])) == 0
	if len(f.stack) == 0 {
		if !blank {
			return broken(t.start+skip(f.b[t.start:], 0, " \t\r\n"), "there is text outside of the root")
		}
		return nil
	}
	top := &f.stack[len(f.stack)-1]
	switch {
	case top.to > 0 && top.to == t.start:
		top.to = t.end
	case top.to == 0 && !blank:
		top.from, top.to = t.start, t.end
	}
	return nil
}

func (f *xmlFile) closes(t xmlToken) error {
	if len(f.stack) == 0 {
		return broken(t.start, "</%s> ends nothing", t.name)
	}
	open := f.stack[len(f.stack)-1]
	if open.name != t.name {
		return broken(t.start, "</%s> is where </%s> should be", t.name, open.name)
	}
	f.stack = f.stack[:len(f.stack)-1]
	if open.match == len(f.set.steps) && f.attr == "" {
		f.setText(open, t.start)
	}
	f.offer(open, t.start)
	return nil
}

// offer remembers the first of the innermost elements that lead to the path.
func (f *xmlFile) offer(open xmlOpen, end int) {
	if open.match > f.best.level {
		f.best = xmlSpot{level: open.match, end: end, open: open.start}
	}
}

// setText sets an element's text; its children stay.
func (f *xmlFile) setText(open xmlOpen, end int) {
	trim := func(s string) string {
		if open.children || strings.TrimSpace(s) == "" {
			return strings.TrimSpace(s) // or blanks would gather
		}
		return s
	}
	if open.to == 0 {
		old := scalar{kind: text}
		if open.children {
			old.kind = compound
		}
		next, change := f.set.next(old)
		if !change || strings.TrimSpace(next.text) == "" {
			return
		}
		to := open.start.end
		if !open.children && len(bytes.TrimSpace(f.b[to:end])) == 0 {
			to = end
		}
		f.ed.replace(open.start.end, to, xmlEscape(trim(next.text), f.ascii))
		return
	}
	raw := f.b[open.from:open.to]
	old := f.text(raw)
	next, change := f.set.next(scalar{text, strings.TrimSpace(old)})
	if !change || strings.TrimSpace(next.text) == strings.TrimSpace(old) {
		return
	}
	if open.children && strings.TrimSpace(next.text) == "" {
		return // another text between its children would be the next one to go
	}
	from, to := open.from, open.to
	if trimmed := bytes.TrimSpace(raw); open.children {
		from += bytes.Index(raw, trimmed)
		to = from + len(trimmed)
	}
	f.ed.replace(from, to, xmlEscape(trim(next.text), f.ascii))
}

// text is what pieces of text and CDATA say together.
func (f *xmlFile) text(raw []byte) string {
	var b strings.Builder
	part := xmlScan{raw}
	for at := 0; at < len(raw); {
		t, err := part.token(at)
		if err != nil {
			return string(raw)
		}
		b.WriteString(xmlUnescape(raw[t.start:t.end]))
		at = t.end
	}
	return b.String()
}

// setEmpty sets the text of an element that ends itself.
func (f *xmlFile) setEmpty(t xmlToken) {
	next, change := f.set.next(scalar{kind: text})
	if change && strings.TrimSpace(next.text) != "" {
		from := f.beforeSlash(t)
		f.ed.replace(from, t.end, ">"+xmlEscape(next.text, f.ascii)+"</"+t.name+">")
	}
}

// beforeSlash is where "/>" begins, with the blanks before it.
func (f *xmlFile) beforeSlash(t xmlToken) int {
	at := t.end - 2
	for at > t.start && strings.IndexByte(" \t\r\n", f.b[at-1]) >= 0 {
		at--
	}
	return at
}

func (f *xmlFile) setAttribute(t xmlToken) {
	for _, a := range f.attributes(t) {
		if a.name != f.attr {
			continue
		}
		old := xmlUnescape(f.b[a.start:a.end])
		if next, change := f.set.next(scalar{text, old}); change && next.text != old {
			f.ed.replace(a.start, a.end, xmlEscape(next.text, f.ascii))
		}
		return
	}
	if f.set.conditional() {
		return
	}
	at := t.end - 1
	if t.selfEnds {
		at = f.beforeSlash(t)
	}
	f.ed.replace(at, at, " "+f.attr+`="`+xmlEscape(f.set.value.text, f.ascii)+`"`)
}

// add makes the elements that are missing.
func (f *xmlFile) add() {
	if f.best.level == 0 {
		f.notes.add("%s isn't set: the file's root is %s", named(f.set.steps), f.root)
		return
	}
	indent := f.indentAt(f.best.open.start)
	unit := "  "
	inner := f.nest(f.set.steps[f.best.level:], indent+unit, unit)
	open := f.best.open
	if open.selfEnds {
		f.ed.replace(f.beforeSlash(open), open.end, ">"+f.eol+inner+f.eol+indent+"</"+open.name+">")
		return
	}
	at := f.best.end
	for at > open.end && strings.IndexByte(" \t\r\n", f.b[at-1]) >= 0 {
		at--
	}
	f.ed.replace(at, f.best.end, f.eol+inner+f.eol+indent)
}

// indentAt is how the line is indented that an offset is on.
func (f *xmlFile) indentAt(at int) string {
	begin := bytes.LastIndexByte(f.b[:at], '\n') + 1
	return string(f.b[begin:skip(f.b, begin, " \t")])
}

// nest is the elements of a path within each other, with the value.
func (f *xmlFile) nest(path []step, indent, unit string) string {
	s := path[0]
	tag := s.key
	for _, a := range s.where {
		tag += " " + a.name + `="` + xmlEscape(a.value, f.ascii) + `"`
	}
	if len(path) > 1 {
		inner := f.nest(path[1:], indent+unit, unit)
		return indent + "<" + tag + ">" + f.eol + inner + f.eol + indent + "</" + s.key + ">"
	}
	value := xmlEscape(f.set.value.text, f.ascii)
	if f.attr != "" {
		return indent + "<" + tag + " " + f.attr + `="` + value + `"/>`
	}
	if value == "" {
		return indent + "<" + tag + "/>"
	}
	return indent + "<" + tag + ">" + value + "</" + s.key + ">"
}
