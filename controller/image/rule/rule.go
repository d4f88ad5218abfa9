package rule

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Set is the rules of one variable.
type Set struct {
	rules   []held
	numeric bool // bounds are of the number
	must    bool // required
	filled  bool
}

// held is one rule that is looked at.
type held struct {
	name  string
	args  []string
	check func(value string) bool
	says  Broken
	known *kind
}

// Broken is a rule that a value does not keep.
type Broken struct {
	Rule    string            // stable: "max_text", "max_number", "required"
	Params  map[string]string // than, from, to, values, pattern, format; none where the rule asks for nothing
	Message string            // a sentence's part: "at most 20 characters"
}

// Unknown is a rule that is not held, and why.
type Unknown struct {
	Rule string
	Why  string
}

// maxRule is how long the text of one rule may be, in bytes.
const maxRule = 4096

// idle are words that ask for nothing of a text.
var idle = []string{"string", "nullable", "sometimes", "present", "bail", ""}

// Parse reads rules, each as one text. What can't be held is told and left out.
func Parse(rules []string) (Set, []Unknown) {
	var s Set
	var unknown []Unknown
	type word struct{ name, arg, text string }
	words := make([]word, 0, len(rules))
	for _, text := range rules {
		name, arg, _ := strings.Cut(text, ":")
		w := word{normal(name), arg, text}
		words = append(words, w)
		s.numeric = s.numeric || slices.Contains([]string{"numeric", "integer", "decimal"}, w.name)
	}
	for _, w := range words {
		switch {
		case slices.Contains(idle, w.name):
			continue
		case w.name == "required":
			s.must = true
			continue
		case w.name == "filled":
			s.filled = true
			continue
		case len(w.text) > maxRule:
			unknown = append(unknown, Unknown{clip(w.text), "it is too long"})
			continue
		}
		h, why := parse(w.name, w.arg, s.numeric)
		if why != "" {
			unknown = append(unknown, Unknown{clip(w.text), why})
			continue
		}
		s.rules = append(s.rules, h)
	}
	return s, unknown
}

// also are other names of a rule.
var also = map[string]string{"int": "integer", "bool": "boolean", "num": "numeric", "number": "numeric", "notregex": "not_regex", "notin": "not_in"}

func normal(name string) string {
	name = strings.ToLower(strings.TrimSpace(name))
	if other, there := also[name]; there {
		return other
	}
	return name
}

func parse(name, arg string, numeric bool) (held, string) {
	k, there := kinds[name]
	switch {
	case there:
		return k.parse(name, arg, numeric)
	case slices.Contains(elsewhere, name):
		return held{}, "it asks for more than the value itself"
	default:
		return held{}, "nobody knows this rule"
	}
}

// elsewhere are Laravel's rules about other fields, databases and files.
var elsewhere = []string{
	"accepted_if", "active_url", "after", "after_or_equal", "any_of", "array", "before", "before_or_equal", "can", "confirmed", "contains",
	"current_password", "declined_if", "different", "dimensions", "distinct", "encoding", "enum", "exclude", "exclude_if", "exclude_unless", "exclude_with",
	"exclude_without", "exists", "extensions", "file", "image", "in_array", "list", "mimes", "mimetypes", "missing", "missing_if", "missing_unless",
	"missing_with", "missing_with_all", "password", "present_if", "present_unless", "present_with", "present_with_all", "prohibited", "prohibited_if",
	"prohibited_unless", "prohibits", "required_array_keys", "required_if", "required_if_accepted", "required_if_declined", "required_unless",
	"required_with", "required_with_all", "required_without", "required_without_all", "same", "unique", "uploaded",
}

// Required says whether there must be a value.
func (s Set) Required() bool { return s.must }

// Check gives every rule that the value breaks, in their order; none when it
// keeps them all. given says that somebody has set it; one that nobody has, and
// that has no default, is "".
func (s Set) Check(value string, given bool) []Broken {
	if strings.TrimSpace(value) == "" {
		if s.must || s.filled && given {
			return []Broken{{Rule: "required", Message: "it needs a value"}}
		}
		return nil
	}
	if !utf8.ValidString(value) {
		return []Broken{{Rule: "string", Message: "it must be text in UTF-8"}}
	}
	var broken []Broken
	for _, h := range s.rules {
		if !h.check(value) {
			broken = append(broken, h.says)
		}
	}
	return broken
}

// Names gives the names of the rules that are held, such as "max" and "in".
func (s Set) Names() []string {
	var names []string
	if s.must {
		names = append(names, "required")
	}
	for _, h := range s.rules {
		names = append(names, h.name)
	}
	return names
}

func clip(text string) string {
	const most = 80
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
