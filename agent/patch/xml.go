package patch

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// xmlToken is a piece of an XML text.
type xmlToken struct {
	kind       xmlKind
	name       string
	start, end int
	selfEnds   bool // <a/>
}

type xmlKind int

const (
	xmlStart xmlKind = iota
	xmlEnd
	xmlText  // or a part of it in <![CDATA[ ]]>
	xmlOther // a comment, an instruction, a doctype
)

// xmlScan reads an XML text piece by piece, without keeping any of it.
type xmlScan struct{ b []byte }

// token reads the piece at; at is not the end.
func (x *xmlScan) token(at int) (t xmlToken, err error) {
	t.start = at
	rest := x.b[at:]
	switch {
	case rest[0] != '<':
		t.kind, t.end = xmlText, len(x.b)
		if n := bytes.IndexByte(rest, '<'); n >= 0 {
			t.end = at + n
		}
	case bytes.HasPrefix(rest, []byte("<!--")):
		t.kind = xmlOther
		t.end, err = x.until(at, 4, "-->", "a comment")
	case bytes.HasPrefix(rest, []byte("<![CDATA[")):
		t.kind = xmlText
		t.end, err = x.until(at, 9, "]]>", "a CDATA section")
	case bytes.HasPrefix(rest, []byte("<?")):
		t.kind = xmlOther
		t.end, err = x.until(at, 2, "?>", "an instruction")
	case bytes.HasPrefix(rest, []byte("<!")):
		t.kind = xmlOther
		t.end, err = x.doctype(at)
	case bytes.HasPrefix(rest, []byte("</")):
		t.kind = xmlEnd
		if t.end, err = x.until(at, 2, ">", "the end of an element"); err == nil {
			t.name = string(bytes.TrimSpace(x.b[at+2 : t.end-1]))
		}
	default:
		t.kind = xmlStart
		err = x.startTag(&t)
	}
	return t, err
}

func (x *xmlScan) until(at, skip int, mark, what string) (int, error) {
	n := bytes.Index(x.b[at+skip:], []byte(mark))
	if n < 0 {
		return 0, broken(at, "%s has no %s", what, mark)
	}
	return at + skip + n + len(mark), nil
}

// doctype ends at a ">" that is neither in brackets nor in quotes.
func (x *xmlScan) doctype(at int) (int, error) {
	depth := 0
	for i := at; i < len(x.b); i++ {
		switch c := x.b[i]; c {
		case '"', '\'':
			n := bytes.IndexByte(x.b[i+1:], c)
			if n < 0 {
				return 0, broken(i, "a %c has no end", c)
			}
			i += n + 1
		case '[':
			depth++
		case ']':
			depth--
		case '>':
			if depth <= 0 {
				return i + 1, nil
			}
		}
	}
	return 0, broken(at, "a <! has no end")
}

func (x *xmlScan) startTag(t *xmlToken) error {
	i := t.start + 1
	for i < len(x.b) && strings.IndexByte(" \t\r\n/><", x.b[i]) < 0 {
		i++
	}
	if t.name = string(x.b[t.start+1 : i]); t.name == "" {
		return broken(t.start, "a < begins no element; text has &lt; for it")
	}
	for ; i < len(x.b); i++ {
		switch c := x.b[i]; c {
		case '"', '\'':
			n := bytes.IndexByte(x.b[i+1:], c)
			if n < 0 {
				return broken(i, "a %c has no end", c)
			}
			i += n + 1
		case '<':
			return broken(t.start, "the element %s has no >", t.name)
		case '>':
			t.end, t.selfEnds = i+1, x.b[i-1] == '/'
			return nil
		}
	}
	return broken(t.start, "the element %s has no >", t.name)
}

// xmlAttribute is where an attribute's value is, without its quotes.
type xmlAttribute struct {
	name       string
	start, end int
}

// attributes are those of a start tag.
func (x *xmlScan) attributes(t xmlToken) []xmlAttribute {
	var list []xmlAttribute
	for i := t.start + 1 + len(t.name); i < t.end; {
		i = skip(x.b[:t.end], i, " \t\r\n/")
		begin := i
		for i < t.end && strings.IndexByte(" \t\r\n=/>", x.b[i]) < 0 {
			i++
		}
		name := string(x.b[begin:i])
		if i = skip(x.b[:t.end], i, " \t\r\n"); i >= t.end || x.b[i] != '=' {
			if begin == i {
				i++
			}
			continue
		}
		i = skip(x.b[:t.end], i+1, " \t\r\n")
		if i >= t.end || x.b[i] != '"' && x.b[i] != '\'' {
			continue
		}
		n := bytes.IndexByte(x.b[i+1:t.end], x.b[i])
		if n < 0 {
			return list
		}
		list = append(list, xmlAttribute{name, i + 1, i + 1 + n})
		i += n + 2
	}
	return list
}

// xmlUnescape reads text or an attribute's value.
func xmlUnescape(raw []byte) string {
	s := string(raw)
	if body, ok := strings.CutPrefix(s, "<![CDATA["); ok {
		return strings.TrimSuffix(body, "]]>")
	}
	if strings.IndexByte(s, '&') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		end := strings.IndexByte(s[i:min(len(s), i+12)], ';')
		if s[i] != '&' || end < 2 {
			b.WriteByte(s[i])
			continue
		}
		r, ok := xmlEntity(s[i+1 : i+end])
		if !ok {
			b.WriteByte('&')
			continue
		}
		b.WriteRune(r)
		i += end
	}
	return b.String()
}

func xmlEntity(name string) (rune, bool) {
	switch name {
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "amp":
		return '&', true
	case "quot":
		return '"', true
	case "apos":
		return '\'', true
	}
	digits, ok := strings.CutPrefix(name, "#")
	if !ok {
		return 0, false
	}
	base := 10
	if hex, ok := strings.CutPrefix(digits, "x"); ok {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 21)
	return rune(n), err == nil && utf8.ValidRune(rune(n))
}

// xmlHas says whether XML can hold a character in any way.
func xmlHas(r rune) bool {
	return (r >= ' ' || r == '\t' || r == '\n' || r == '\r') && r != 0xfffe && r != 0xffff
}

// xmlEscape writes text or an attribute's value. ascii is for files that aren't
// UTF-8.
func xmlEscape(s string, ascii bool) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '&':
			b.WriteString("&amp;")
		case r == '"':
			b.WriteString("&quot;")
		case r == '\'':
			b.WriteString("&apos;")
		case r == '\r', ascii && r > 0x7e:
			b.WriteString("&#" + strconv.Itoa(int(r)) + ";")
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
