package patch

import (
	"bytes"
	"strconv"
	"strings"
)

// tomlPart is one level of a key's whole path: a name, or the place in a list.
type tomlPart struct {
	key   string
	index int // -1 is a name
}

// tomlScan finds its way through a TOML text, without keeping any of it.
type tomlScan struct{ b []byte }

// tomlLine is a header of a table, or a key with its value.
type tomlLine struct {
	header, list bool // [a] or [[a]]
	key          []string
	value, end   int // of the value
	stop         int // where the line ends
}

// each calls visit for every header and key, with the table that they are in.
func (t *tomlScan) each(visit func(table []tomlPart, l tomlLine) error) error {
	var table []tomlPart
	counts := map[string]int{}
	for at := 0; at < len(t.b); {
		at = skip(t.b, at, " \t\r\n")
		if at >= len(t.b) {
			return nil
		}
		if t.b[at] == '#' {
			at = lineStop(t.b, at)
			continue
		}
		l, err := t.line(at)
		if err != nil {
			return err
		}
		if l.header {
			table = tableOf(l, counts)
		}
		if err := visit(table, l); err != nil {
			return err
		}
		at = l.stop
	}
	return nil
}

// tableOf is the path of a header, with the places in the lists on the way.
func tableOf(l tomlLine, counts map[string]int) []tomlPart {
	var table []tomlPart
	var name strings.Builder
	for i, key := range l.key {
		table = append(table, tomlPart{key, -1})
		name.WriteString(strconv.Itoa(len(key)) + ":" + key)
		last := i == len(l.key)-1
		if last && l.list {
			counts[name.String()]++
		}
		if n := counts[name.String()]; n > 0 && (!last || l.list) {
			table = append(table, tomlPart{"", n - 1})
			name.WriteString("#" + strconv.Itoa(n))
		}
	}
	return table
}

func (t *tomlScan) c(at int) byte {
	if at < len(t.b) {
		return t.b[at]
	}
	return 0
}

func (t *tomlScan) line(at int) (l tomlLine, err error) {
	if t.c(at) == '[' {
		l.header = true
		if at++; t.c(at) == '[' {
			l.list = true
			at++
		}
	}
	if l.key, at, err = t.keys(at); err != nil {
		return l, err
	}
	if l.header {
		ends := "]"
		if l.list {
			ends = "]]"
		}
		if !bytes.HasPrefix(t.b[at:], []byte(ends)) {
			return l, broken(at, "the name of a table ends with %s", ends)
		}
		at += len(ends)
	} else {
		if t.c(at) != '=' {
			return l, broken(at, "a \"=\" is missing behind a key")
		}
		l.value = skip(t.b, at+1, " \t")
		if l.end, err = t.valueEnd(l.value); err != nil {
			return l, err
		}
		at = l.end
	}
	rest := skip(t.b, at, " \t\r")
	if rest < len(t.b) && t.b[rest] != '\n' && t.b[rest] != '#' {
		return l, broken(rest, "there is something behind the end of a line's value")
	}
	l.stop = lineEnd(t.b, at)
	return l, nil
}

// keys reads a key, whose parts have dots between them.
func (t *tomlScan) keys(at int) (keys []string, end int, err error) {
	for {
		at = skip(t.b, at, " \t")
		begin := at
		switch c := t.c(at); {
		case c == '"' || c == '\'':
			if at, err = t.stringEnd(at); err != nil {
				return nil, 0, err
			}
			if bytes.IndexByte(t.b[begin:at], '\n') >= 0 {
				return nil, 0, broken(begin, "a key is one line")
			}
			keys = append(keys, tomlText(t.b[begin:at]))
		default:
			for at < len(t.b) && bareKey(t.b[at]) {
				at++
			}
			if at == begin {
				return nil, 0, broken(at, "a key is missing")
			}
			keys = append(keys, string(t.b[begin:at]))
		}
		at = skip(t.b, at, " \t")
		if t.c(at) != '.' {
			return keys, at, nil
		}
		at++
	}
}

func bareKey(c byte) bool {
	return c == '-' || c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// stringEnd is the end of a string in quotes.
func (t *tomlScan) stringEnd(at int) (int, error) {
	quote := t.b[at]
	if long := strings.Repeat(string(quote), 3); bytes.HasPrefix(t.b[at:], []byte(long)) {
		for i := at + 3; i < len(t.b); i++ {
			if t.b[i] == '\\' && quote == '"' {
				i++
				continue
			}
			if !bytes.HasPrefix(t.b[i:], []byte(long)) {
				continue
			}
			i += 3
			for n := 0; n < 2 && t.c(i) == quote; n++ {
				i++ // up to two quotes may stand before the end
			}
			return i, nil
		}
		return 0, broken(at, "a %s has no end", long)
	}
	for i := at + 1; i < len(t.b) && t.b[i] != '\n'; i++ {
		switch {
		case t.b[i] == '\\' && quote == '"':
			i++
		case t.b[i] == quote:
			return i + 1, nil
		}
	}
	return 0, broken(at, "a %c has no end", quote)
}

// valueEnd is the end of a value.
func (t *tomlScan) valueEnd(at int) (int, error) {
	var open []byte
	for i := at; i < len(t.b); {
		switch c := t.b[i]; {
		case c == '"' || c == '\'':
			end, err := t.stringEnd(i)
			if err != nil {
				return 0, err
			}
			i = end
		case c == '[' || c == '{':
			if len(open) >= maxDepth {
				return 0, broken(i, "it is nested more than %d deep", maxDepth)
			}
			open = append(open, c+2) // their ends, in ASCII
			i++
			continue
		case len(open) > 0 && (c == ']' || c == '}'):
			if open[len(open)-1] != c {
				return 0, broken(i, "a %c is where a %c should be", c, open[len(open)-1])
			}
			open = open[:len(open)-1]
			i++
		case len(open) > 0 && c == '#':
			i = lineStop(t.b, i)
			continue
		case len(open) > 0 && strings.IndexByte(" \t\r\n,=.", c) >= 0:
			i++
			continue
		default:
			begin := i
			if i = t.wordEnd(i); i == begin {
				return 0, broken(i, "a value is missing")
			}
		}
		if len(open) == 0 {
			return i, nil
		}
	}
	if len(open) > 0 {
		return 0, broken(at, "a %c has no end", t.b[at])
	}
	return 0, broken(at, "a value is missing")
}

// wordEnd is the end of a number, a date or true and false. A date and its time may
// have a blank between them.
func (t *tomlScan) wordEnd(at int) int {
	i := at
	for i < len(t.b) && strings.IndexByte(" \t\r\n,]}#=[{\"'", t.b[i]) < 0 {
		i++
	}
	if i-at == 10 && t.b[at+4] == '-' && t.c(i) == ' ' && t.c(i+3) == ':' {
		i++
		for i < len(t.b) && strings.IndexByte(" \t\r\n,]}#", t.b[i]) < 0 {
			i++
		}
	}
	return i
}

func tomlScalar(raw []byte) scalar {
	switch raw[0] {
	case '"', '\'':
		return scalar{text, tomlText(raw)}
	case '{', '[':
		return scalar{kind: compound}
	}
	s := string(raw)
	if s == "true" || s == "false" {
		return scalar{boolean, s}
	}
	if plain := strings.ReplaceAll(s, "_", ""); decimal.MatchString(strings.TrimPrefix(plain, "+")) {
		return scalar{number, s}
	}
	return scalar{boolean, s} // hexadecimal, inf, a date: no text may become one
}

// tomlText reads a string, with its quotes.
func tomlText(raw []byte) string {
	quote := string(raw[:1])
	body := string(raw[1 : len(raw)-1])
	if long := strings.Repeat(quote, 3); strings.HasPrefix(string(raw), long) && len(raw) >= 6 {
		body = strings.TrimPrefix(strings.TrimPrefix(string(raw[3:len(raw)-3]), "\r"), "\n")
	}
	if quote == "'" {
		return body
	}
	var b strings.Builder
	for i := 0; i < len(body); i++ {
		if body[i] != '\\' || i+1 == len(body) {
			b.WriteByte(body[i])
			continue
		}
		i++
		if strings.IndexByte(" \t\r\n", body[i]) >= 0 {
			for i < len(body) && strings.IndexByte(" \t\r\n", body[i]) >= 0 {
				i++
			}
			i--
			continue
		}
		i += yamlEscape(&b, body[i], body[i+1:])
	}
	return b.String()
}

// tomlWrite writes a value; literal is whether it stood in single quotes.
func tomlWrite(s scalar, literal bool) string {
	switch s.kind {
	case number, boolean:
		return s.text
	case null:
		return `""` // which TOML has no word for
	}
	control := strings.ContainsFunc(s.text, func(r rune) bool { return r < ' ' || r == 0x7f })
	if literal && !control && !strings.Contains(s.text, "'") {
		return "'" + s.text + "'"
	}
	return quoteControls(jsonQuote(s.text))
}

func tomlKey(keys []string) string {
	list := make([]string, len(keys))
	for i, key := range keys {
		list[i] = key
		bare := key != ""
		for _, c := range []byte(key) {
			bare = bare && bareKey(c)
		}
		if !bare {
			list[i] = tomlWrite(scalar{text, key}, false)
		}
	}
	return strings.Join(list, ".")
}
