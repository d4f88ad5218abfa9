package patch

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// properties sets keys of Java's format. Each key that is named is set wherever it
// stands, since Java takes the last; one that isn't there is appended. What is
// written is ASCII: a program reads it alike as ISO 8859-1 and as UTF-8. Of other
// lines not a byte changes.
func properties(src []byte, sets []set, _ *notes) ([]byte, error) {
	byKey := map[string][]*set{}
	for i := range sets {
		byKey[sets[i].match] = append(byKey[sets[i].match], &sets[i])
	}
	seen := map[string]bool{}
	ed := editor{src: src}
	for at := 0; at < len(src); {
		p := property(src, at)
		at = p.next
		if p.comment {
			continue
		}
		key, _ := unescape(src[p.key:p.keyEnd])
		list := byKey[key]
		if list == nil {
			continue
		}
		seen[key] = true
		old, ascii := unescape(src[p.value:p.end])
		text := scalar{text, old}
		for _, s := range list {
			if next, change := s.next(text); change {
				text = scalar{kind: text.kind, text: next.text}
			}
		}
		if text.text == old && ascii {
			continue
		}
		between := ""
		switch {
		case p.value == p.keyEnd:
			between = "="
		case !bytes.ContainsAny(src[p.keyEnd:p.value], "=:") && strings.IndexAny(text.text, "=:") == 0:
			between = `\\` // or it were the sign behind the key
		}
		ed.replace(p.value, p.end, between+escapeValue(text.text))
	}
	appendProperties(&ed, sets, seen)
	return ed.done()
}

// appendProperties adds the keys that aren't in the file.
func appendProperties(ed *editor, sets []set, seen map[string]bool) {
	eol := newline(ed.src)
	last := map[string]*set{}
	for i := range sets {
		if !sets[i].conditional() && !seen[sets[i].match] {
			last[sets[i].match] = &sets[i]
		}
	}
	end := len(ed.src)
	begin := ""
	if end > 0 && ed.src[end-1] != '\n' && ed.src[end-1] != '\r' {
		begin = eol
		if odd(ed.src, end) {
			begin += eol // the last line goes on: an empty one ends it
		}
	}
	for i := range sets {
		if s := &sets[i]; last[s.match] == s {
			ed.replace(end, end, begin+escapeKey(s.match)+"="+escapeValue(s.value.text)+eol)
			begin = ""
		}
	}
}

// oneProperty is where the parts of a line are, with those that go on in the next.
type oneProperty struct {
	comment     bool // or blank
	key, keyEnd int
	value, end  int // of the value, without the line's end
	next        int
}

func property(src []byte, at int) oneProperty {
	at = skip(src, at, " \t\f")
	p := oneProperty{key: at}
	if at < len(src) && (src[at] == '#' || src[at] == '!') {
		p.comment = true
		for at < len(src) && src[at] != '\n' && src[at] != '\r' {
			at++
		}
		p.next = pastBreak(src, at)
		return p
	}
	end := at
	for end < len(src) && (src[end] != '\n' && src[end] != '\r' || odd(src, end)) {
		if src[end] == '\r' && end+1 < len(src) && src[end+1] == '\n' {
			end++
		}
		end++
	}
	p.next, p.comment = pastBreak(src, end), at == end
	if end == len(src) && odd(src, end) {
		end-- // it goes on with nothing
	}
	p.end = end
	for at < end && (src[at] > '=' || strings.IndexByte(" \t\f=:", src[at]) < 0 || odd(src, at)) {
		at++
	}
	p.keyEnd = at
	at = blanks(src, at, end)
	if at < end && (src[at] == '=' || src[at] == ':') {
		at = blanks(src, at+1, end)
	}
	p.value = at
	return p
}

// blanks skips white space, and ends of lines that go on, up to end.
func blanks(src []byte, at, end int) int {
	for at < end {
		switch {
		case src[at] == ' ' || src[at] == '\t' || src[at] == '\f':
			at++
		case src[at] == '\\' && at+1 < end && (src[at+1] == '\n' || src[at+1] == '\r'):
			at = pastBreak(src, at+1)
		default:
			return at
		}
	}
	return at
}

// odd says whether the byte at is escaped: an odd number of backslashes before it.
func odd(src []byte, at int) bool {
	n := 0
	for at-1-n >= 0 && src[at-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}

func pastBreak(src []byte, at int) int {
	if at < len(src) && src[at] == '\r' {
		at++
		if at < len(src) && src[at] == '\n' {
			at++
		}
		return at
	}
	if at < len(src) && src[at] == '\n' {
		at++
	}
	return at
}

// skip goes over the bytes of set, none of which is above '/'.
func skip(src []byte, at int, set string) int {
	for at < len(src) && src[at] <= '/' && strings.IndexByte(set, src[at]) >= 0 {
		at++
	}
	return at
}

// unescape reads a key or a value. ascii says that it is written in ASCII alone.
func unescape(raw []byte) (out string, ascii bool) {
	ascii = true
	simple := true
	for _, c := range raw {
		ascii = ascii && c < utf8.RuneSelf
		simple = simple && c != '\\'
	}
	if simple {
		return latin(raw), ascii
	}
	var b []byte
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' || i+1 == len(raw) {
			if raw[i] != '\\' {
				b = append(b, raw[i])
			}
			continue
		}
		i++
		switch c := raw[i]; c {
		case 'n':
			b = append(b, '\n')
		case 't':
			b = append(b, '\t')
		case 'r':
			b = append(b, '\r')
		case 'f':
			b = append(b, '\f')
		case 'u':
			r, size := unicodeEscape(raw[i+1:])
			b = utf8.AppendRune(b, r)
			i += size
		case '\n', '\r':
			i = skip(raw, pastBreak(raw, i), " \t\f") - 1
		default:
			b = append(b, c)
		}
	}
	return latin(b), ascii
}

// unicodeEscape reads what follows "\u", with the second half of a pair.
func unicodeEscape(raw []byte) (r rune, size int) {
	hex := func(raw []byte) (rune, bool) {
		if len(raw) < 4 {
			return 0, false
		}
		n, err := strconv.ParseUint(string(raw[:4]), 16, 16)
		return rune(n), err == nil
	}
	first, ok := hex(raw)
	if !ok {
		return 'u', 0
	}
	if utf16.IsSurrogate(first) && len(raw) >= 10 && raw[4] == '\\' && raw[5] == 'u' {
		if second, ok := hex(raw[6:]); ok {
			if r := utf16.DecodeRune(first, second); r != utf8.RuneError {
				return r, 10
			}
		}
	}
	return first, 4
}

// latin reads bytes as UTF-8 when they are that, else as ISO 8859-1.
func latin(raw []byte) string {
	if utf8.Valid(raw) {
		return string(raw)
	}
	var b strings.Builder
	for _, c := range raw {
		b.WriteRune(rune(c))
	}
	return b.String()
}

func escapeKey(key string) string {
	var b strings.Builder
	for i, r := range key {
		if strings.ContainsRune(" :=", r) || i == 0 && strings.ContainsRune("#!", r) {
			b.WriteByte('\\')
			b.WriteRune(r)
			continue
		}
		escapeRune(&b, r)
	}
	return b.String()
}

func escapeValue(value string) string {
	var b strings.Builder
	leading := true
	for _, r := range value {
		if r == ' ' && leading {
			b.WriteByte('\\')
		}
		leading = leading && r == ' '
		escapeRune(&b, r)
	}
	return b.String()
}

func escapeRune(b *strings.Builder, r rune) {
	switch {
	case r == '\\':
		b.WriteString(`\\`)
	case r == '\n':
		b.WriteString(`\n`)
	case r == '\r':
		b.WriteString(`\r`)
	case r == '\t':
		b.WriteString(`\t`)
	case r == '\f':
		b.WriteString(`\f`)
	case r < ' ' || r > '~':
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(b, `\u%04x`, unit)
		}
	default:
		b.WriteRune(r)
	}
}
