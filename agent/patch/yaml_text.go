package patch

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

var (
	// yamlNumber are the texts that one YAML reader or another takes for a number
	// or a time: of version 1.1 too, with its 1:30 for 90.
	yamlNumber = regexp.MustCompile(`^[-+]?(0[xX][0-9a-fA-F_]+|0[oO]?[0-7_]+|0[bB][01_]+|[0-9][0-9_,]*(:[0-5]?[0-9])+(\.[0-9_]*)?|[0-9][0-9_]*\.?[0-9_]*([eE][-+]?[0-9]+)?|\.[0-9_]+([eE][-+]?[0-9]+)?|\.(inf|Inf|INF))$|^\.(nan|NaN|NAN)$|^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}`)
	// yamlPlainText are texts that need no quotes, if they are no number nor one of
	// the words below.
	yamlPlainText = regexp.MustCompile(`^[\pL0-9_/.$(+^\\]([^\x00-\x1f\x7f-\x9f\x{2028}\x{2029}\x{feff}]*[^\x00-\x20\x7f-\x9f\x{2028}\x{2029}\x{feff}:])?$`)
)

var yamlWords = map[string]kind{
	"": null, "~": null, "null": null, "Null": null, "NULL": null,
	"true": boolean, "True": boolean, "TRUE": boolean, "false": boolean, "False": boolean, "FALSE": boolean,
	"y": boolean, "Y": boolean, "n": boolean, "N": boolean,
	"yes": boolean, "Yes": boolean, "YES": boolean, "no": boolean, "No": boolean, "NO": boolean,
	"on": boolean, "On": boolean, "ON": boolean, "off": boolean, "Off": boolean, "OFF": boolean,
}

// yamlScalar is what a text without quotes is.
func yamlScalar(raw []byte) scalar {
	s := string(raw)
	if strings.Contains(s, "\n") {
		return scalar{text, yamlFold(s)}
	}
	if k, ok := yamlWords[s]; ok {
		if k == null {
			return scalar{kind: null}
		}
		return scalar{k, s}
	}
	if yamlNumber.MatchString(s) {
		return scalar{number, s}
	}
	return scalar{text, s}
}

// yamlText writes a value: in the quotes that stood there, or in none where it is
// understood without.
func yamlText(s scalar, style byte, flow bool) string {
	switch s.kind {
	case number, boolean:
		return s.text
	case null:
		return "null"
	}
	control := strings.ContainsFunc(s.text, func(r rune) bool {
		return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r == '\ufeff' || r == utf8.RuneError
	})
	_, word := yamlWords[s.text]
	plain := !word && !control && !yamlNumber.MatchString(s.text) && yamlPlainText.MatchString(s.text) &&
		!strings.Contains(s.text, ": ") && !strings.Contains(s.text, " #") && !(flow && strings.ContainsAny(s.text, ",[]{}:"))
	switch {
	case style == '"' || control:
		return quoteControls(jsonQuote(s.text))
	case style == '\'' || !plain:
		return "'" + strings.ReplaceAll(s.text, "'", "''") + "'"
	default:
		return s.text
	}
}

// quoteControls escapes what JSON leaves as it is and other formats don't.
func quoteControls(quoted string) string {
	var b strings.Builder
	for _, r := range quoted {
		if r >= 0x7f && r < 0xa0 || r == '\ufeff' {
			fmt.Fprintf(&b, `\u%04x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// yamlUnquote reads a scalar in quotes, with them.
func yamlUnquote(raw []byte) string {
	body := string(raw[1 : len(raw)-1])
	if raw[0] == '\'' {
		return strings.ReplaceAll(yamlFold(body), "''", "'")
	}
	var b strings.Builder
	for i := 0; i < len(body); {
		switch c := body[i]; {
		case c == '\n' || c == '\r' || c == ' ' || c == '\t':
			end := i
			for end < len(body) && strings.IndexByte(" \t\r\n", body[end]) >= 0 {
				end++
			}
			b.WriteString(foldBlank(body[i:end]))
			i = end
		case c != '\\' || i+1 == len(body):
			b.WriteByte(c)
			i++
		case body[i+1] == '\n' || body[i+1] == '\r':
			i++
			for i < len(body) && strings.IndexByte(" \t\r\n", body[i]) >= 0 {
				i++
			}
		default:
			i += 2 + yamlEscape(&b, body[i+1], body[i+2:])
		}
	}
	return b.String()
}

// yamlEscape writes what "\c" is, and gives how many bytes of rest belong to it.
func yamlEscape(b *strings.Builder, c byte, rest string) int {
	plain := map[byte]string{
		'0': "\x00", 'a': "\a", 'b': "\b", 't': "\t", 'n': "\n", 'v': "\v", 'f': "\f", 'r': "\r", 'e': "\x1b",
		'N': "\u0085", '_': "\u00a0", 'L': "\u2028", 'P': "\u2029",
	}
	if s, ok := plain[c]; ok {
		b.WriteString(s)
		return 0
	}
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
	if digits > 0 && len(rest) >= digits {
		if n, err := strconv.ParseUint(rest[:digits], 16, 32); err == nil {
			if c == 'u' {
				r, size := unicodeEscape([]byte(rest))
				b.WriteRune(r)
				return size
			}
			b.WriteRune(rune(n))
			return digits
		}
	}
	b.WriteByte(c)
	return 0
}

// yamlFold makes one line of several.
func yamlFold(s string) string {
	if !strings.Contains(s, "\n") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		end := i
		for end < len(s) && strings.IndexByte(" \t\r\n", s[end]) >= 0 {
			end++
		}
		if end > i {
			b.WriteString(foldBlank(s[i:end]))
			i = end
			continue
		}
		b.WriteByte(s[i])
		i++
	}
	return b.String()
}

// foldBlank is what white space between words means: an end of a line is a blank,
// each further one an end of a line.
func foldBlank(s string) string {
	switch n := strings.Count(s, "\n"); n {
	case 0:
		return s
	case 1:
		return " "
	default:
		return strings.Repeat("\n", n-1)
	}
}

// yamlLines reads a scalar of lines, with its "|" or ">".
func yamlLines(raw []byte) string {
	header, body, _ := bytes.Cut(raw, []byte{'\n'})
	list := strings.Split(strings.ReplaceAll(string(body), "\r", ""), "\n")
	indent := -1
	for _, line := range list {
		if trimmed := strings.TrimLeft(line, " "); trimmed != "" && (indent < 0 || len(line)-len(trimmed) < indent) {
			indent = len(line) - len(trimmed)
		}
	}
	for i := range list {
		list[i] = list[i][min(max(indent, 0), len(list[i])):]
	}
	out := strings.Join(list, "\n")
	if header[0] == '>' {
		out = yamlFold(out)
	}
	if !bytes.ContainsRune(header, '-') {
		out += "\n"
	}
	return out
}
