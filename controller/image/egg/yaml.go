package egg

import (
	"bytes"
	"fmt"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml"
)

// yamlWriter writes a tree so that every text comes back character by character.
// The library's own writer takes CRs out of blocks of lines, which descriptions
// and values of real eggs hold.
type yamlWriter struct{ b bytes.Buffer }

var plainWord = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_./-]*$`)

// notPlain are words that mean something else without quotes, somewhere.
var notPlain = map[string]bool{"true": true, "false": true, "null": true, "yes": true, "no": true, "on": true, "off": true, "y": true, "n": true}

func (w *yamlWriter) object(m yaml.MapSlice, depth int) error {
	for _, f := range m {
		w.indent(depth)
		key, err := w.quoted(fmt.Sprint(f.Key))
		if err != nil {
			return err
		}
		w.b.WriteString(key + ":")
		if err := w.value(f.Value, depth); err != nil {
			return err
		}
	}
	return nil
}

func (w *yamlWriter) indent(depth int) { w.b.WriteString(strings.Repeat("  ", depth)) }

// value writes what follows a key or a dash, and the end of the line.
func (w *yamlWriter) value(v any, depth int) error {
	switch v := v.(type) {
	case yaml.MapSlice:
		if len(v) == 0 {
			w.b.WriteString(" {}\n")
			return nil
		}
		w.b.WriteByte('\n')
		return w.object(v, depth+1)
	case map[string]any:
		return w.value(sorted(v), depth)
	case []yaml.MapSlice:
		return writeList(w, v, depth)
	case []string:
		return writeList(w, v, depth)
	case []any:
		return writeList(w, v, depth)
	case string:
		return w.text(v, depth)
	case nil:
		w.b.WriteString(" null\n")
	case float64:
		w.b.WriteString(" " + strconv.FormatFloat(v, 'f', -1, 64) + "\n")
	default: // bool, int
		fmt.Fprintf(&w.b, " %v\n", v)
	}
	return nil
}

func writeList[T any](w *yamlWriter, items []T, depth int) error {
	if len(items) == 0 {
		w.b.WriteString(" []\n")
		return nil
	}
	w.b.WriteByte('\n')
	for _, item := range items {
		w.indent(depth + 1)
		w.b.WriteByte('-')
		if err := w.value(item, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func sorted(m map[string]any) yaml.MapSlice {
	out := make(yaml.MapSlice, 0, len(m))
	for name, value := range m {
		out = append(out, item(name, value))
	}
	sort.Slice(out, func(a, b int) bool { return fmt.Sprint(out[a].Key) < fmt.Sprint(out[b].Key) })
	return out
}

// text writes several lines as a block where each of them survives it.
func (w *yamlWriter) text(s string, depth int) error {
	if !blockable(s) {
		quoted, err := w.quoted(s)
		w.b.WriteString(" " + quoted + "\n")
		return err
	}
	body, last := strings.CutSuffix(s, "\n")
	if last {
		w.b.WriteString(" |\n")
	} else {
		w.b.WriteString(" |-\n")
	}
	for line := range strings.SplitSeq(body, "\n") {
		if line != "" {
			w.indent(depth + 1)
		}
		w.b.WriteString(line + "\n")
	}
	return nil
}

func blockable(s string) bool {
	if !strings.Contains(s, "\n") || s[0] == ' ' || s[0] == '\n' || s[0] == '\t' || strings.HasSuffix(s, "\n\n") {
		return false
	}
	for line := range strings.SplitSeq(s, "\n") {
		if line != "" && strings.TrimSpace(line) == "" {
			return false
		}
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r != '\n' && r != '\t' && !unicode.IsGraphic(r) || r == '\ufeff' || r == '\u0085' || r == '\u2028' || r == '\u2029'
	})
}

func (w *yamlWriter) quoted(s string) (string, error) {
	if plainWord.MatchString(s) && !notPlain[strings.ToLower(s)] {
		return s, nil
	}
	if !strings.ContainsFunc(s, func(r rune) bool { return r != ' ' && !unicode.IsGraphic(r) || r == '\\' || r > 0x7e }) {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'", nil
	}
	raw, err := plain(s)
	return string(raw), err
}
