package rule

import (
	"fmt"
	"regexp"
	"strings"
)

var closing = map[byte]byte{'(': ')', '[': ']', '{': '}', '<': '>'}

func isDelimiter(text string) bool {
	return text != "" && strings.IndexByte("/#~!@%+,;=`'\"|", text[0]) >= 0
}

// delimited takes an expression's delimiters and flags off. whole is false for
// one that has none.
func delimited(text string) (body, flags string, whole bool) {
	text = strings.TrimSpace(text)
	if len(text) < 2 {
		return text, "", false
	}
	end, paired := closing[text[0]]
	if !paired && !isDelimiter(text) {
		return text, "", false
	}
	if !paired {
		end = text[0]
	}
	at := strings.LastIndexByte(text, end)
	if at < 1 {
		return text, "", false
	}
	body, flags = text[1:at], text[at+1:]
	if strings.Trim(flags, "imsuxUADSXJ") != "" {
		return text, "", false
	}
	if escaped(text, at) {
		return text, "", false
	}
	if !paired { // the delimiter may stand escaped in between
		for i := 0; i < len(body); i++ {
			if body[i] == end && !escaped(text, i+1) {
				return text, "", false
			}
		}
		return body, flags, true
	}
	// ( and [ also begin expressions without delimiters: pairs must close in order.
	depth := 0
	for i := 0; i <= at; i++ {
		switch {
		case escaped(text, i):
		case text[i] == text[0]:
			depth++
		case text[i] == end:
			depth--
		}
		if depth == 0 && i < at {
			return text, "", false
		}
	}
	if text[0] == '(' || text[0] == '[' { // more likely a group or a class
		return text, "", false
	}
	return body, flags, depth == 0
}

// escaped says whether the byte at i has an odd number of backslashes before it.
func escaped(text string, i int) bool {
	n := 0
	for i--; i >= 0 && text[i] == '\\'; i-- {
		n++
	}
	return n%2 == 1
}

// compile makes an expression of a file one of RE2. browser is the same for
// JSON Schema, "" where its dialect can't say it.
func compile(text string) (re *regexp.Regexp, browser string, err error) {
	body, flags, whole := delimited(text)
	if !whole {
		body, flags = strings.TrimSpace(text), ""
	}
	if strings.ContainsRune(flags, 'x') {
		body = unspaced(body)
	}
	body = translated(body)
	if strings.ContainsRune(flags, 'A') {
		body = `\A(?:` + body + `)`
	}
	set := ""
	for _, f := range "imsU" {
		if strings.ContainsRune(flags, f) {
			set += string(f)
		}
	}
	source := body
	if set != "" {
		source = "(?" + set + ")" + body
	}
	if re, err = regexp.Compile(source); err != nil {
		return nil, "", fmt.Errorf("not an expression of RE2: %w", err)
	}
	if set == "" || set == "m" && !strings.ContainsAny(body, "^$") {
		browser = forBrowsers(body)
	}
	return re, browser, nil
}

// forBrowsers writes an expression of RE2 in the dialect of JSON Schema, whose
// readers take it as Unicode's and refuse what is escaped in vain; "" where that
// can't be done without knowing more of it.
func forBrowsers(body string) string {
	for _, foreign := range []string{"(?", "[[:", `\A`, `\z`, `\Q`, `\C`, `\a`, `\x{`, `\p`, `\P`} {
		if strings.Contains(strings.ReplaceAll(body, "(?:", "("), foreign) {
			return ""
		}
	}
	var b strings.Builder
	class, first := false, false
	for i := 0; i < len(body); i++ {
		c := body[i]
		switch {
		case c == '\\' && i+1 < len(body):
			i++
			e := body[i]
			word := e >= '0' && e <= '9' || e >= 'a' && e <= 'z' || e >= 'A' && e <= 'Z'
			if word || strings.IndexByte(`^$\.*+?()[]{}|/`, e) >= 0 || e == '-' && class {
				b.WriteByte('\\')
			}
			b.WriteByte(e)
		case class && c == '-' && !first && i+1 < len(body) && body[i+1] != ']' && (isClassEscape(body[:i]) || body[i+1] == '\\'):
			b.WriteString(`\-`)
		case class && c == '[':
			b.WriteString(`\[`)
		case !class && c == ']', !class && c == '}' && !closes(body[:i]), !class && c == '{' && !opens(body[i:]):
			b.WriteByte('\\')
			b.WriteByte(c)
		case class && c == ']' && first:
			b.WriteString(`\]`)
		default:
			b.WriteByte(c)
		}
		first = !class && c == '[' || class && first && c == '^'
		if c == '[' && !class {
			class = true
		} else if c == ']' && class && b.String()[b.Len()-1] == ']' && !strings.HasSuffix(b.String(), `\]`) {
			class = false
		}
	}
	return b.String()
}

// isClassEscape says whether a text ends with \w, \d or the like.
func isClassEscape(text string) bool {
	n := len(text)
	return n >= 2 && text[n-2] == '\\' && !escaped(text, n-2) && strings.IndexByte("wWdDsS", text[n-1]) >= 0
}

var repetition = regexp.MustCompile(`^\{[0-9]+(,[0-9]*)?\}`)

// opens says whether a text begins with a repetition such as {2,3}.
func opens(text string) bool { return repetition.MatchString(text) }

// closes says whether a } behind the text ends a repetition.
func closes(text string) bool {
	at := strings.LastIndexByte(text, '{')
	return at >= 0 && opens(text[at:]+"}")
}

// unspaced leaves out what the flag x says is no part of the expression: blanks
// and comments outside of classes.
func unspaced(body string) string {
	var b strings.Builder
	class := false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '\\' && i+1 < len(body):
			b.WriteString(body[i : i+2])
			i++
			continue
		case class:
			class = c != ']'
		case c == '[':
			class = true
		case strings.IndexByte(" \t\r\n\f\v", c) >= 0:
			continue
		case c == '#':
			for i < len(body) && body[i] != '\n' {
				i++
			}
			continue
		}
		b.WriteByte(body[i])
	}
	return b.String()
}

// translated writes what PCRE has and RE2 spells otherwise.
func translated(body string) string {
	var b strings.Builder
	class := false
	for i := 0; i < len(body); i++ {
		c := body[i]
		if c != '\\' || i+1 >= len(body) {
			if c == '[' {
				class = true
			} else if c == ']' {
				class = false
			}
			b.WriteByte(c)
			continue
		}
		i++
		switch e := body[i]; {
		case e == 'Z' && !class:
			b.WriteString(`\z`)
		case e == 'h' && class:
			b.WriteString(`\t `)
		case e == 'h':
			b.WriteString(`[\t ]`)
		case e == 'R' && !class:
			b.WriteString(`(?:\r\n|\n|\r)`)
		case e == 'e':
			b.WriteString(`\x1b`)
		default:
			b.WriteByte('\\')
			b.WriteByte(e)
		}
	}
	return b.String()
}
