package patch

import (
	"strconv"
	"strings"
)

// step is one level of a path. A number is a key, or the place in a list.
type step struct {
	key   string
	index int  // -1 when it is no number
	only  bool // "[0]": never a key
	any   bool // "*"
	where []attribute
}

// attribute is "[@name='value']" of XML.
type attribute struct{ name, value string }

// special are the signs of a path that have a meaning, which "\" before them takes
// away: so the controller writes values of variables.
const special = `.[]*'"~\`

// escaped says whether a text begins with such a sign and its "\".
func escaped(s string) bool {
	return len(s) > 1 && s[0] == '\\' && strings.IndexByte(special, s[1]) >= 0
}

// bare takes every "\" away that does so.
func bare(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if escaped(s[i:]) {
			i++
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// steps reads a path: keys with dots between them, "*" for all of a level, "[0]"
// and numbers for elements, [@name='value'] for those of XML. A dot that belongs
// to a key is written "\." or "~1", or the key as ["a.b"]; "\" does the same for
// every special sign.
func steps(match string) []step {
	var list []step
	var key strings.Builder
	begun, literal := false, false
	end := func() {
		switch {
		case begun && literal && key.String() == "*":
			list = append(list, step{key: "*", index: -1})
		case begun:
			list = append(list, keyStep(key.String()))
		}
		key.Reset()
		begun, literal = false, false
	}
	for i := 0; i < len(match); i++ {
		c := match[i]
		switch {
		case escaped(match[i:]):
			i++
			key.WriteByte(match[i])
			begun, literal = true, true
		case c == '~' && i+1 < len(match) && (match[i+1] == '0' || match[i+1] == '1'):
			key.WriteByte("~."[match[i+1]-'0'])
			begun = true
			i++
		case c == '.':
			end()
		case c == '[':
			if s, size := bracket(match[i:]); size > 0 {
				if s.where != nil && (begun || len(list) > 0) {
					end()
					list[len(list)-1].where = append(list[len(list)-1].where, s.where...)
				} else {
					end()
					list = append(list, s)
				}
				i += size - 1
				break
			}
			fallthrough
		default:
			key.WriteByte(c)
			begun = true
		}
	}
	end()
	return list
}

func keyStep(key string) step {
	if key == "*" {
		return step{index: -1, any: true}
	}
	if n, err := strconv.Atoi(key); err == nil && integer.MatchString(key) && n >= 0 {
		return step{key: key, index: n}
	}
	return step{key: key, index: -1}
}

// bracket reads what stands in brackets at the beginning of s; size is 0 when
// they are letters like any others.
func bracket(s string) (step, int) {
	if len(s) > 2 && (s[1] == '"' || s[1] == '\'') {
		key, size := inQuotes(s[1:])
		if size == 0 {
			return step{}, 0
		}
		return step{key: key, index: -1}, 1 + size
	}
	end := strings.IndexByte(s, ']')
	if end < 0 {
		return step{}, 0
	}
	inner := s[1:end]
	if inner == "*" {
		return step{index: -1, any: true}, end + 1
	}
	if n, err := strconv.Atoi(inner); err == nil && n >= 0 {
		return step{index: n, only: true}, end + 1
	}
	name, quoted, ok := strings.Cut(inner, "=")
	name = strings.TrimPrefix(name, "@")
	if !ok || name == "" || len(quoted) < 1 || quoted[0] != '\'' && quoted[0] != '"' {
		return step{}, 0
	}
	begin := strings.IndexByte(s, '=') + 1
	value, size := inQuotes(s[begin:])
	if size == 0 {
		return step{}, 0
	}
	return step{index: -1, where: []attribute{{name, value}}}, begin + size
}

// inQuotes reads a text in quotes and the bracket behind them; it may hold brackets
// itself. size is 0 when they have no end.
func inQuotes(s string) (text string, size int) {
	for i := 1; i < len(s); i++ {
		if escaped(s[i:]) {
			i++
		} else if s[i] == s[0] && strings.HasPrefix(s[i+1:], "]") {
			return bare(s[1:i]), i + 2
		}
	}
	return "", 0
}

// wild says whether a path names more than one place.
func wild(path []step) bool {
	for _, s := range path {
		if s.any {
			return true
		}
	}
	return false
}

// creatable says whether a path can be made where there is nothing: each place is
// named, and of a list it is the first.
func creatable(path []step) bool {
	for _, s := range path {
		if s.any || s.only && s.index > 0 {
			return false
		}
	}
	return true
}

// joined is the key that the first n steps are together, where a file has dots
// in its keys; false when they can't be one.
func joined(path []step, n int) (string, bool) {
	var key strings.Builder
	for i, s := range path[:n] {
		if s.any || s.only || s.where != nil {
			return "", false
		}
		if i > 0 {
			key.WriteByte('.')
		}
		key.WriteString(s.key)
	}
	return key.String(), true
}

// named is a path as people read it.
func named(path []step) string {
	var out strings.Builder
	for i, s := range path {
		switch {
		case s.only:
			out.WriteString("[" + strconv.Itoa(s.index) + "]")
			continue
		case i > 0:
			out.WriteByte('.')
		}
		if s.any {
			out.WriteByte('*')
		}
		out.WriteString(s.key)
	}
	return out.String()
}
