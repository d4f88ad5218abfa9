package patch

import "bytes"

// tomlFile is a TOML text in which nothing but what is set changes.
type tomlFile struct {
	tomlScan
	ed    editor
	eol   string
	set   *set
	notes *notes

	done   bool // something of that name is there
	list   int  // how many steps lead to a list that has no element of the next one; 0 is none
	listAt int  // where that was seen
	best   tomlSpot
}

// tomlSpot is where a key that is missing can be put.
type tomlSpot struct {
	level int // how many steps of the path lead there; -1 is none
	table int // how many of them are the table's
	at    int
}

// tomlSet carries out one set. A key that is missing is added to the innermost
// table that there is on its way, else to a new one at the end; not below a
// wildcard, nor as an element of a list.
func tomlSet(src []byte, s *set, n *notes) ([]byte, error) {
	f := tomlFile{tomlScan: tomlScan{b: src}, ed: editor{src: src}, eol: newline(src), set: s, notes: n}
	f.best.level = -1
	if err := f.each(f.visit); err != nil {
		return nil, err
	}
	switch {
	case f.done || s.conditional() || !creatable(s.steps) || f.listed():
	case f.list > 0 && f.best.level <= f.list:
		n.add("%s isn't set: there is a list on the way to it, in line %d", named(s.steps), lineOf(src, f.listAt))
	default:
		f.add()
	}
	return f.ed.done()
}

// listed says whether the path goes on with an element behind what is there.
func (f *tomlFile) listed() bool {
	for _, s := range f.set.steps[max(0, f.best.level):] {
		if s.only {
			return true
		}
	}
	return false
}

// fits says whether a part of a path is what a step names.
func fits(s step, p tomlPart) bool {
	switch {
	case s.any:
		return true
	case p.index >= 0:
		return s.index == p.index
	default:
		return !s.only && s.key == p.key
	}
}

// common is how many steps lead to the path's parts; all of them must fit.
func common(path []step, parts []tomlPart) (int, bool) {
	for i, p := range parts {
		if i >= len(path) {
			return i, false
		}
		if !fits(path[i], p) {
			return i, false
		}
	}
	return len(parts), true
}

func (f *tomlFile) visit(table []tomlPart, l tomlLine) error {
	inside, fit := common(f.set.steps, table)
	if l.header {
		if !fit && inside < len(f.set.steps) && table[inside].index >= 0 {
			f.list, f.listAt = max(f.list, inside), l.stop
		}
		if inside == len(f.set.steps) {
			f.done = true // a table isn't a value
			if !f.set.conditional() {
				f.notes.add("%s isn't set: it is a table, in line %d", named(f.set.steps), lineOf(f.b, l.stop))
			}
		}
		if fit {
			f.offer(tomlSpot{inside, inside, l.stop})
		}
		return nil
	}
	if !fit {
		return nil
	}
	parts := table[:len(table):len(table)]
	for _, key := range l.key {
		parts = append(parts, tomlPart{key, -1})
	}
	level, whole := common(f.set.steps, parts)
	f.offer(tomlSpot{min(level, len(parts)-1), inside, l.stop})
	if whole {
		f.value(l.value, l.end, f.set.steps[level:])
		return nil
	}
	if level == len(f.set.steps) && level < len(parts) { // "a.b = 1" where a is to be set
		f.done = true
	}
	return nil
}

// offer takes a spot that is as far in as the best one, or further.
func (f *tomlFile) offer(s tomlSpot) {
	if s.level >= f.best.level && !(s.level == f.best.level && s.table < f.best.table) {
		f.best = s
	}
}

// value sets what a path names in a value.
func (f *tomlFile) value(at, end int, path []step) {
	raw := f.b[at:end]
	if len(path) == 0 {
		f.done = true
		if next, change := f.set.typed(tomlScalar(raw)); change {
			f.ed.replace(at, end, tomlWrite(next, raw[0] == '\''))
		}
		return
	}
	switch raw[0] {
	case '{':
		f.inTable(at, path)
	case '[':
		f.inList(at, path)
	default:
		f.done = true
		if !f.set.conditional() && !wild(f.set.steps) {
			f.notes.add("%s isn't set: there is a plain value on the way to it, in line %d", named(f.set.steps), lineOf(f.b, at))
		}
	}
}

// inTable sets what a path names in a table in braces.
func (f *tomlFile) inTable(at int, path []step) {
	last, found := -1, false
	for i := f.next(at + 1); f.c(i) != '}' && i < len(f.b); i = f.next(i) {
		keys, equals, err := f.keys(i)
		if err != nil || f.c(equals) != '=' {
			f.done = true
			return
		}
		value := skip(f.b, equals+1, " \t\r\n")
		end, err := f.valueEnd(value)
		if err != nil {
			f.done = true
			return
		}
		parts := make([]tomlPart, len(keys))
		for k, key := range keys {
			parts[k] = tomlPart{key, -1}
		}
		if n, ok := common(path, parts); ok {
			found = true
			f.value(value, end, path[n:])
		}
		i, last = end, end
	}
	f.done = true
	if found || f.set.conditional() || !creatable(path) || path[0].only || wild(f.set.steps) {
		return
	}
	keys, ok := names(path)
	if !ok {
		return
	}
	next, _ := f.set.typed(scalar{})
	text := tomlKey(keys) + " = " + tomlWrite(next, false)
	if last < 0 {
		f.ed.replace(at+1, at+1, " "+text+" ")
		return
	}
	f.ed.replace(last, last, ", "+text)
}

// next is where the next entry begins, or the bracket that ends them.
func (f *tomlFile) next(at int) int {
	for {
		at = skip(f.b, at, " \t\r\n,")
		if f.c(at) != '#' {
			return at
		}
		at = lineStop(f.b, at)
	}
}

// inList sets what a path names in a list.
func (f *tomlFile) inList(at int, path []step) {
	f.done = true
	last, count := -1, 0
	for i := f.next(at + 1); f.c(i) != ']' && i < len(f.b); i = f.next(i) {
		end, err := f.valueEnd(i)
		if err != nil {
			return
		}
		if fits(path[0], tomlPart{"", count}) {
			f.value(i, end, path[1:])
		}
		count++
		i, last = end, end
	}
	if path[0].index != count || len(path) > 1 || f.set.conditional() {
		return
	}
	next, _ := f.set.typed(scalar{})
	text := tomlWrite(next, false)
	if last < 0 {
		f.ed.replace(at+1, at+1, text)
		return
	}
	f.ed.replace(last, last, ", "+text)
}

// names are the keys of a path.
func names(path []step) ([]string, bool) {
	list := make([]string, len(path))
	for i, s := range path {
		if s.any || s.only {
			return nil, false
		}
		list[i] = s.key
	}
	return list, true
}

// add writes a key that is missing.
func (f *tomlFile) add() {
	path := f.set.steps
	next, _ := f.set.typed(scalar{})
	value := " = " + tomlWrite(next, false)
	end := len(f.b)
	begin := ""
	if end > 0 && f.b[end-1] != '\n' {
		begin = f.eol
	}
	if f.best.level > 0 {
		keys, _ := names(path[f.best.table:])
		f.ed.replace(f.best.at, f.best.at, f.eol+f.indent(f.best.at)+tomlKey(keys)+value)
		return
	}
	keys, _ := names(path)
	if len(keys) > 1 {
		if end > 0 {
			begin += f.eol
		}
		f.ed.replace(end, end, begin+"["+tomlKey(keys[:len(keys)-1])+"]"+f.eol+tomlKey(keys[len(keys)-1:])+value+f.eol)
		return
	}
	if f.best.level == 0 { // behind the last key that is in no table
		f.ed.replace(f.best.at, f.best.at, f.eol+tomlKey(keys)+value)
		return
	}
	at := f.firstHeader()
	if at == end {
		f.ed.replace(end, end, begin+tomlKey(keys)+value+f.eol)
		return
	}
	f.ed.replace(at, at, tomlKey(keys)+value+f.eol)
}

// indent is how the line is indented that ends at.
func (f *tomlFile) indent(at int) string {
	begin := bytes.LastIndexByte(f.b[:at], '\n') + 1
	return string(f.b[begin:skip(f.b, begin, " \t")])
}

// firstHeader is where the first table begins, or the end.
func (f *tomlFile) firstHeader() int {
	at := len(f.b)
	_ = f.each(func(_ []tomlPart, l tomlLine) error {
		if l.header && at == len(f.b) {
			at = bytes.LastIndexByte(f.b[:l.stop], '\n') + 1
		}
		return nil
	})
	return at
}
