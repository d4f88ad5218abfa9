package rule

import (
	"regexp"
	"strings"
)

// Split takes rules apart that are written as one text with | between them. An
// expression holds every | up to its closing delimiter; one without delimiters
// ends at the next | that a known rule follows.
func Split(text string) []string {
	var out []string
	for text != "" {
		name, arg, hasArg := strings.Cut(text, ":")
		if bar := strings.IndexByte(text, '|'); !hasArg || bar >= 0 && bar < len(name) {
			one, rest, more := strings.Cut(text, "|")
			out = appendRule(out, one)
			if text = rest; !more {
				break
			}
			continue
		}
		end := strings.IndexByte(text, '|')
		if n := normal(name); n == "regex" || n == "not_regex" {
			end = len(name) + 1 + expressionEnd(arg)
		}
		if end < 0 || end >= len(text) {
			return appendRule(out, text)
		}
		out, text = appendRule(out, text[:end]), text[end+1:]
	}
	return out
}

func appendRule(out []string, one string) []string {
	if one = strings.TrimSpace(one); one != "" {
		return append(out, one)
	}
	return out
}

// expressionEnd gives where an expression ends: at the | behind it, or at the end
// of the text.
func expressionEnd(text string) int {
	first := -1
	for at := 0; at < len(text); at++ {
		if text[at] != '|' {
			continue
		}
		if _, _, whole := delimited(text[:at]); whole {
			if startsRule(text[at+1:]) {
				return at
			}
			if first < 0 {
				first = at // before a word that nobody knows
			}
		}
	}
	if first >= 0 {
		return first
	}
	if _, _, whole := delimited(text); whole || isDelimiter(text) {
		return len(text)
	}
	for at := 0; at < len(text); at++ {
		if text[at] == '|' && startsRule(text[at+1:]) {
			return at
		}
	}
	return len(text)
}

var ruleStart = regexp.MustCompile(`^\s*([A-Za-z_]+)\s*(?:$|[:|])`)

// startsRule says whether a text begins with the name of a rule, or is empty.
func startsRule(text string) bool {
	if strings.TrimSpace(text) == "" {
		return true
	}
	m := ruleStart.FindStringSubmatch(text)
	if m == nil {
		return false
	}
	name := normal(m[1])
	if _, known := kinds[name]; known || name == "required" || name == "filled" {
		return true
	}
	for _, words := range [][]string{idle, elsewhere} {
		for _, w := range words {
			if w == name {
				return true
			}
		}
	}
	return false
}
