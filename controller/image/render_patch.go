package image

import (
	"encoding/json"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/berth-panel/berth/shared/wire"
)

// patches are the changes of files with the values put in.
func (r *rendering) patches() []wire.Patch {
	var out []wire.Patch
	for _, p := range r.d.Patches {
		one := wire.Patch{Path: beneath(named(p.Path, r.value)), Parser: p.Parser, Set: []wire.PatchSet{}}
		if one.Path == "" {
			continue // named by a value that is empty
		}
		for _, s := range p.Set {
			one.Set = append(one.Set, r.set(p.Parser, s))
		}
		out = append(out, one)
	}
	return out
}

// beneath makes a path one of the volume, whatever values it was made of.
func beneath(p string) string {
	return strings.TrimPrefix(path.Clean("/"+strings.ReplaceAll(strings.ReplaceAll(p, `\`, "/"), "\x00", "")), "/")
}

// set puts the values into one replacement. In a path and in an expression a value
// stands for its own characters, and what replaces the match of one names no groups.
func (r *rendering) set(parser wire.PatchParser, s PatchSet) wire.PatchSet {
	match := r.value
	if parser != wire.PatchFile && parser != wire.PatchProperties { // whose matches are letters only
		match = r.escaped(inPath.Replace)
	}
	out := wire.PatchSet{Match: named(s.Match, match)}
	expression, isExpression := strings.CutPrefix(s.If, regexPrefix)
	if isExpression {
		out.If = regexPrefix + named(expression, r.escaped(regexp.QuoteMeta))
	} else {
		out.If = named(s.If, r.value)
	}
	text, isText := s.Value.(string)
	if !isText {
		out.Value = encoded(s.Value)
		return out
	}
	put := named(text, r.escaped(func(v string) string {
		if parser == wire.PatchFile { // its unit is the line: a value makes no second one
			v = oneLine.Replace(v)
		}
		if isExpression {
			v = strings.ReplaceAll(v, "$", "$$")
		}
		return v
	}))
	if parser == wire.PatchXML && !setsAttribute(text) && setsAttribute(put) {
		put = " " + put // it is text, which no value makes an attribute
	}
	if !isExpression && r.typed(parser, text) && isWhole(put) {
		out.Value = json.RawMessage(put)
		return out
	}
	out.Value = encoded(put)
	return out
}

// inPath writes a value as a part of a key, whatever stands in it; see
// wire.PatchSet.
var inPath = strings.NewReplacer(`\`, `\\`, `.`, `\.`, `[`, `\[`, `]`, `\]`, `*`, `\*`, `'`, `\'`, `"`, `\"`, `~`, `\~`)

var oneLine = strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ")

// setsAttribute says whether the XML parser may take a text for "[name='value']".
func setsAttribute(text string) bool {
	return strings.HasPrefix(text, "[") && strings.HasSuffix(text, "']")
}

func (r *rendering) escaped(how func(string) string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, known := r.value(name)
		return how(v), known
	}
}

// typed says whether a text that is a whole number is meant as one. Eggs can
// write it no other way where the format has types; of other images only a
// text that is nothing but a name.
func (r *rendering) typed(parser wire.PatchParser, text string) bool {
	switch parser {
	case wire.PatchJSON, wire.PatchYAML, wire.PatchTOML:
		return r.d.Launch == LaunchEntrypoint || placeholder.FindString(text) == text
	default:
		return false
	}
}

// isWhole says whether a text is a whole number and nothing else is lost when it
// becomes one: "007" and "+1" stay texts.
func isWhole(text string) bool {
	n, err := strconv.ParseInt(text, 10, 64)
	return err == nil && strconv.FormatInt(n, 10) == text
}

// encoded is JSON of a text, a number, a truth or null; of nothing else.
func encoded(v any) json.RawMessage {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return json.RawMessage("null")
	}
	return json.RawMessage(strings.TrimSuffix(b.String(), "\n"))
}
