package patch

import (
	"encoding/json"
	"errors"
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

// Knows says whether there is such a parser.
func Knows(parser wire.PatchParser) bool {
	_, ok := parsers[parser]
	return ok
}

// paths says whether a parser's matches are paths of keys.
func paths(parser wire.PatchParser) bool {
	return parser != wire.PatchFile && parser != wire.PatchProperties && parser != wire.PatchINI
}

// usable gives the sets that can be carried out; those that can't are noted, and
// the others are no worse for them.
func usable(parser wire.PatchParser, list []wire.PatchSet, n *notes) []set {
	ready := make([]set, 0, len(list))
	for _, s := range list {
		one, err := compile(s)
		if err == nil && paths(parser) && (len(one.steps) == 0 || len(one.steps) > maxSteps) {
			err = fmt.Errorf("it is no path of 1 to %d keys", maxSteps)
		}
		if err != nil {
			n.add("%.100s isn't set: %v", s.Match, err)
			continue
		}
		ready = append(ready, one)
	}
	return ready
}

func compile(s wire.PatchSet) (set, error) {
	out := set{match: s.Match, only: s.If}
	if s.Match == "" {
		return set{}, errors.New("it names nothing")
	}
	var err error
	if out.value, err = decode(s.Value); err != nil {
		return set{}, err
	}
	if rest, ok := strings.CutPrefix(s.If, "regex:"); ok {
		if len(rest) > maxExpression {
			return set{}, errors.New("its expression is too long")
		}
		if out.expr, err = regexp.Compile(rest); err != nil {
			return set{}, fmt.Errorf("its expression isn't one: %w", err)
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
		return scalar{}, errors.New("its value must be JSON")
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
		return scalar{}, errors.New("its value must be text, a number, true, false or null")
	}
}
