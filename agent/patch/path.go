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

// steps reads a path: keys with dots between them, "*" for all of a level, "[0]"
// and numbers for elements, [@name='value'] for those of XML. A dot that belongs
// to a key is written "\." or "~1", or the key as ["a.b"].
func steps(match string) []step {
	var list []step
	var key strings.Builder
	begun := false
	end := func() {
		if begun {
			list = append(list, keyStep(key.String()))
		}
		key.Reset()
		begun = false
	}
	for i := 0; i < len(match); i++ {
		c := match[i]
		switch {
		case c == '\\' && i+1 < len(match) && match[i+1] == '.':
			key.WriteByte('.')
			begun = true
			i++
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
		if end := strings.Index(s[2:], string(s[1])+"]"); end >= 0 {
			return step{key: s[2 : 2+end], index: -1}, end + 4
		}
		return step{}, 0
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
	// The value may hold a bracket.
	begin := strings.IndexByte(s, '=') + 2
	stop := strings.Index(s[begin:], string(quoted[0])+"]")
	if stop < 0 {
		return step{}, 0
	}
	return step{index: -1, where: []attribute{{name, s[begin : begin+stop]}}}, begin + stop + 2
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
