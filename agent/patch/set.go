package patch

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/berth-panel/berth/shared/wire"
)

// kind is what a value is, in any of the formats.
type kind int

const (
	null kind = iota
	text
	number
	boolean
	compound // a mapping, a list, an element with children
)

// scalar is one value. text is decoded: without quotes and escapes.
type scalar struct {
	kind kind
	text string
}

// looksTyped says whether a text would be something else without its quotes.
func (s scalar) looksTyped() bool {
	return decimal.MatchString(s.text) || s.text == "true" || s.text == "false"
}

var (
	integer = regexp.MustCompile(`^(0|-?[1-9][0-9]{0,17})$`)
	decimal = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)
)

// set is a wire.PatchSet that is ready to be used.
type set struct {
	match string
	steps []step // of match, for the parsers that have paths
	value scalar
	only  string         // the old value that is replaced; "" is any
	expr  *regexp.Regexp // or what of it is
}

// conditional says whether only a value that is there may be changed.
func (s *set) conditional() bool { return s.only != "" || s.expr != nil }

// next is what comes in the place of an old value; false is: it stays.
func (s *set) next(old scalar) (scalar, bool) {
	switch {
	case s.expr != nil:
		if old.kind == compound || !s.expr.MatchString(old.text) {
			return scalar{}, false
		}
		return scalar{text, s.expr.ReplaceAllString(old.text, s.value.text)}, true
	case s.only != "":
		return s.value, old.kind != compound && old.text == s.only
	default:
		return s.value, true
	}
}

// typed is next in a format that knows types: a value takes the type of what it
// replaces where it can.
func (s *set) typed(old scalar) (scalar, bool) {
	next, change := s.next(old)
	switch {
	case !change:
	case next.kind == number && old.kind == text && old.looksTyped(): // it stands in quotes on purpose
		next.kind = text
	case next.kind == text && old.kind == boolean && (next.text == "true" || next.text == "false"):
		next.kind = boolean
	case next.kind == text && old.kind == number && plainDecimal(next.text):
		next.kind = number
	}
	return next, change && next != old
}

// plainDecimal says whether a text is a number in each of the formats.
func plainDecimal(s string) bool {
	return decimal.MatchString(s) && (len(s) < 2 || s[0] != '0' || s[1] == '.') && !strings.HasPrefix(s, "-0")
}

// maxExpression is how long an expression may be, in bytes.
const maxExpression = 1024

// Check says what is wrong with one set, as a sentence; "" is nothing.
func Check(parser wire.PatchParser, s wire.PatchSet) string {
	if _, ok := parsers[parser]; !ok {
		return "the parser must be file, properties, ini, json, yaml, xml or toml"
	}
	ready, err := compile(s)
	if err != nil {
		return err.Error()
	}
	whole := parser == wire.PatchFile || parser == wire.PatchProperties || parser == wire.PatchINI
	if !whole && (len(ready.steps) == 0 || len(ready.steps) > maxSteps) {
		return fmt.Sprintf("match must be a path of 1 to %d keys", maxSteps)
	}
	return ""
}

func compile(s wire.PatchSet) (set, error) {
	out := set{match: s.Match, only: s.If}
	if s.Match == "" {
		return set{}, fmt.Errorf("match must name something")
	}
	var err error
	if out.value, err = decode(s.Value); err != nil {
		return set{}, err
	}
	if rest, ok := strings.CutPrefix(s.If, "regex:"); ok {
		if len(rest) > maxExpression {
			return set{}, fmt.Errorf("the expression of %s is too long", s.Match)
		}
		if out.expr, err = regexp.Compile(rest); err != nil {
			return set{}, fmt.Errorf("the expression of %s isn't one: %w", s.Match, err)
		}
		out.only = ""
	}
	out.steps = steps(s.Match)
	return out, nil
}

// decode reads the JSON of a value.
func decode(raw json.RawMessage) (scalar, error) {
	var v any
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return scalar{}, fmt.Errorf("the value must be JSON")
	}
	switch v := v.(type) {
	case nil:
		return scalar{kind: null}, nil
	case string:
		return scalar{text, v}, nil
	case json.Number:
		return scalar{number, v.String()}, nil
	case bool:
		return scalar{boolean, strconv.FormatBool(v)}, nil
	default:
		return scalar{}, fmt.Errorf("the value must be text, a number, true, false or null")
	}
}
