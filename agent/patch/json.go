package patch

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"github.com/tidwall/jsonc"
)

// jsonFile is a JSON text with comments and trailing commas, in which nothing but
// what is set changes. clean is the same text with blanks in the place of both,
// so that what is found in one is at the same place in the other.
type jsonFile struct {
	ed    editor
	clean []byte
	unit  string // of indentation; "" is all on one line
	eol   string
	set   *set
	notes *notes
}

// jsonSets carries out sets. Keys and elements that are missing are made, but not
// below a wildcard's missing level, and no element behind a gap.
func jsonSets(src []byte, sets []set, n *notes) ([]byte, error) {
	f := jsonFile{notes: n, eol: newline(src)}
	if len(bytes.TrimSpace(src)) > 0 {
		f.take(src)
		if err := f.valid(); err != nil {
			return nil, err
		}
	}
	for i := range sets {
		f.set = &sets[i]
		if err := n.over(); err != nil {
			return nil, err
		}
		if f.clean == nil {
			if f.set.conditional() || !creatable(f.set.steps) || f.set.steps[0].only {
				continue
			}
			f.take([]byte("{}\n"))
		}
		if err := f.put(jsonSkip(f.clean, 0), f.set.steps, false); err != nil {
			return nil, err
		}
		if f.ed.dirty {
			next, err := f.ed.done()
			if err != nil {
				return nil, err
			}
			f.take(next)
		}
	}
	if f.clean == nil {
		return src, nil
	}
	return f.ed.src, nil
}

func (f *jsonFile) take(src []byte) {
	f.ed = editor{src: src}
	f.clean = nil // before there is another
	f.clean = jsonc.ToJSONInPlace(bytes.Clone(src))
	f.unit = jsonUnit(f.clean)
}

// nothing takes any JSON without keeping it.
type nothing struct{}

func (*nothing) UnmarshalJSON([]byte) error { return nil }

func (f *jsonFile) valid() error {
	err := json.Unmarshal(f.clean, &nothing{})
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return broken(max(0, int(syntax.Offset)-1), "it isn't JSON: %s", syntax.Error())
	}
	return err
}

// jsonUnit is how far a level is indented.
func jsonUnit(clean []byte) string {
	at := bytes.IndexByte(clean, '\n')
	if at < 0 || len(bytes.TrimSpace(clean[at:])) == 0 {
		if trimmed := bytes.TrimSpace(clean); len(trimmed) == 2 {
			return "  "
		}
		return ""
	}
	for at >= 0 && at < len(clean) {
		begin := at + 1
		end := skip(clean, begin, " \t")
		if end > begin && end < len(clean) && clean[end] != '\n' && clean[end] != '\r' {
			return string(clean[begin:end])
		}
		next := bytes.IndexByte(clean[begin:], '\n')
		if next < 0 {
			break
		}
		at = begin + next
	}
	return "  "
}

// put sets what a path names below the value at.
func (f *jsonFile) put(at int, path []step, below bool) error {
	if len(path) == 0 {
		return f.replace(at)
	}
	switch c := f.clean[at]; {
	case c == '{':
		return f.inObject(at, path, below)
	case c == '[':
		return f.inArray(at, path, below)
	case c == 'n' && !f.set.conditional() && creatable(path):
		f.ed.replace(at, jsonEnd(f.clean, at), f.nest(path, f.indentAt(at)))
	case !below && !f.set.conditional():
		f.notes.add("%s isn't set: there is a plain value on the way to it, in line %d", named(f.set.steps), lineOf(f.clean, at))
	}
	return nil
}

// replace sets the value itself.
func (f *jsonFile) replace(at int) error {
	end := jsonEnd(f.clean, at)
	old := jsonScalar(f.clean[at:end])
	if next, change := f.set.typed(old); change {
		f.ed.replace(at, end, jsonText(next))
	}
	return nil
}

func (f *jsonFile) inObject(at int, path []step, below bool) error {
	if path[0].any {
		return f.members(at, func(_ []byte, value int) error { return f.put(value, path[1:], true) })
	}
	for n := 1; n <= len(path); n++ { // a key may have dots in it
		key, ok := joined(path, n)
		if !ok {
			break
		}
		found := -1
		if err := f.members(at, func(raw []byte, value int) error {
			if jsonIs(raw, key) {
				found = value // the last one counts
			}
			return nil
		}); err != nil {
			return err
		}
		if found >= 0 {
			return f.put(found, path[n:], below)
		}
	}
	if f.set.conditional() || !creatable(path) || path[0].only {
		return nil
	}
	f.grow(at, jsonQuote(path[0].key)+":", path[1:])
	return nil
}

func (f *jsonFile) inArray(at int, path []step, below bool) error {
	if path[0].any {
		return f.members(at, func(_ []byte, value int) error { return f.put(value, path[1:], true) })
	}
	if path[0].index < 0 {
		if !below && !f.set.conditional() {
			f.notes.add("%s isn't set: there is a list on the way to it, in line %d", named(f.set.steps), lineOf(f.clean, at))
		}
		return nil
	}
	count, found := 0, -1
	if err := f.members(at, func(_ []byte, value int) error {
		if count == path[0].index {
			found = value
		}
		count++
		return nil
	}); err != nil {
		return err
	}
	switch {
	case found >= 0:
		return f.put(found, path[1:], below)
	case path[0].index == count && !f.set.conditional() && creatable(path[1:]):
		f.grow(at, "", path[1:])
	}
	return nil
}

// jsonIs says whether a key, with its quotes, is this one.
func jsonIs(raw []byte, key string) bool {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1:len(raw)-1]) == key
	}
	return jsonScalar(raw).text == key
}

// members calls visit with the key, in its quotes, and where the value is, of each
// member of an object or list.
func (f *jsonFile) members(at int, visit func(key []byte, value int) error) error {
	b := f.clean
	object := b[at] == '{'
	at = jsonSkip(b, at+1)
	for b[at] != '}' && b[at] != ']' {
		var key []byte
		if object {
			end := jsonEnd(b, at)
			key = b[at:end]
			at = jsonSkip(b, jsonSkip(b, end)+1)
		}
		end := jsonEnd(b, at)
		if err := visit(key, at); err != nil {
			return err
		}
		if at = jsonSkip(b, end); b[at] == ',' {
			at = jsonSkip(b, at+1)
		}
	}
	return nil
}

// grow adds a member to the object or list at, behind its last one.
func (f *jsonFile) grow(at int, key string, rest []step) {
	b := f.clean
	last := -1
	var close int
	for i := jsonSkip(b, at+1); ; {
		if b[i] == '}' || b[i] == ']' {
			close = i
			break
		}
		if b[i] == ',' || b[i] == ':' {
			i = jsonSkip(b, i+1)
			continue
		}
		last = jsonEnd(b, i)
		i = jsonSkip(b, last)
	}
	outer := f.indentAt(at)
	lines := f.unit != "" && (last < 0 || bytes.IndexByte(b[at:close], '\n') >= 0)
	sep, colon := "", ""
	if lines {
		sep = f.eol + outer + f.unit
	}
	if key != "" {
		colon = " "
	}
	member := func(indent string) string {
		if !lines {
			indent = ""
		}
		return key + colon + f.nest(rest, indent)
	}
	if last < 0 {
		end := ""
		if lines && bytes.IndexByte(b[at+1:close], '\n') < 0 {
			end = f.eol + outer
		}
		f.ed.replace(at+1, at+1, sep+member(outer+f.unit)+end)
		return
	}
	if !lines {
		f.ed.replace(last, last, ", "+member(""))
		return
	}
	sep = f.eol + f.memberIndent(at, outer)
	// A comment behind the last member stays with it.
	end := lineEnd(b, last)
	tail := f.ed.src[last:end]
	if end < close && len(bytes.TrimSpace(b[last:end])) == 0 && bytes.IndexByte(tail, ',') < 0 && !bytes.Contains(tail, []byte("/*")) {
		f.ed.replace(last, last, ",")
		f.ed.replace(end, end, sep+member(sep[len(f.eol):]))
		return
	}
	f.ed.replace(last, last, ","+sep+member(sep[len(f.eol):]))
}

// memberIndent is how the first member of the object or list at is indented.
func (f *jsonFile) memberIndent(at int, outer string) string {
	first := jsonSkip(f.clean, at+1)
	begin := bytes.LastIndexByte(f.clean[:first], '\n') + 1
	if begin > at && len(bytes.TrimSpace(f.clean[begin:first])) == 0 {
		return string(f.ed.src[begin : begin+skip(f.clean[begin:], 0, " \t")])
	}
	return outer + f.unit
}

// indentAt is how the line is indented that an offset is on.
func (f *jsonFile) indentAt(at int) string {
	begin := bytes.LastIndexByte(f.clean[:at], '\n') + 1
	return string(f.clean[begin:skip(f.clean, begin, " \t")])
}

// nest is the value, within the objects and lists that the rest of a path asks for.
func (f *jsonFile) nest(path []step, indent string) string {
	next, _ := f.set.typed(scalar{})
	value := jsonText(next)
	if len(path) == 0 {
		return value
	}
	var open, end strings.Builder
	ends := make([]string, 0, len(path))
	for _, s := range path {
		inner, sep, tail := indent, "", ""
		if f.unit != "" {
			inner = indent + f.unit
			sep, tail = f.eol+inner, f.eol+indent
		}
		if s.only {
			open.WriteString("[" + sep)
			ends = append(ends, tail+"]")
		} else {
			open.WriteString("{" + sep + jsonQuote(s.key) + ": ")
			ends = append(ends, tail+"}")
		}
		indent = inner
	}
	for i := len(ends) - 1; i >= 0; i-- {
		end.WriteString(ends[i])
	}
	return open.String() + value + end.String()
}

func jsonSkip(b []byte, at int) int { return skip(b, at, " \t\r\n") }

// jsonEnd is where the value ends that begins at.
func jsonEnd(b []byte, at int) int {
	depth := 0
	for i := at; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
			continue
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
		case ',', ' ', '\t', '\r', '\n', ':':
			if depth == 0 {
				return i
			}
			continue
		default:
			continue
		}
		if depth == 0 {
			return i + 1
		}
	}
	return len(b)
}

func jsonScalar(raw []byte) scalar {
	switch raw[0] {
	case '"':
		var s string
		_ = json.Unmarshal(raw, &s) // it is valid
		return scalar{text, s}
	case 't', 'f':
		return scalar{boolean, string(raw)}
	case 'n':
		return scalar{kind: null}
	case '{', '[':
		return scalar{kind: compound}
	default:
		return scalar{number, string(raw)}
	}
}

func jsonText(s scalar) string {
	switch s.kind {
	case number, boolean:
		return s.text
	case null:
		return "null"
	default:
		return jsonQuote(s.text)
	}
}

func jsonQuote(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // text can't fail
	return strings.TrimSuffix(b.String(), "\n")
}
