package rule

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// sized gives what a bound is of: the number, where the rules say that it is one
// and it is, else the length in characters.
func sized(v string, numeric bool) *big.Rat {
	if numeric {
		if n, ok := number(v); ok {
			return n
		}
	}
	return new(big.Rat).SetInt64(length(v))
}

// bound reads rules with one number. The number may be a field's name in other
// programs, which is told.
func bound(key, message string, holds func(compared int) bool) func(string, string, bool) (held, string) {
	return func(_, arg string, numeric bool) (held, string) {
		than := strings.TrimSpace(arg)
		limit, ok := number(than)
		if !ok {
			return held{}, "its bound is not a number"
		}
		return held{args: []string{than}, check: func(v string) bool { return holds(sized(v, numeric).Cmp(limit)) },
			says: Broken{Rule: key + suffix(numeric), Params: map[string]string{"than": than}, Message: message + than + unit(than, numeric)}}, ""
	}
}

func between(_, arg string, numeric bool) (held, string) {
	of := words(arg)
	if len(of) != 2 {
		return held{}, "it needs two numbers"
	}
	low, ok1 := number(of[0])
	high, ok2 := number(of[1])
	if !ok1 || !ok2 {
		return held{}, "its bounds are not numbers"
	}
	return held{args: of, check: func(v string) bool { n := sized(v, numeric); return n.Cmp(low) >= 0 && n.Cmp(high) <= 0 },
		says: Broken{Rule: "between" + suffix(numeric), Params: map[string]string{"from": of[0], "to": of[1]}, Message: of[0] + " to " + of[1] + unit(of[1], numeric)}}, ""
}

func multiple(_, arg string, _ bool) (held, string) {
	than := strings.TrimSpace(arg)
	of, ok := number(than)
	if !ok || of.Sign() == 0 {
		return held{}, "it needs a number that isn't 0"
	}
	return held{args: []string{than}, says: Broken{Rule: "multiple_of", Params: map[string]string{"than": than}, Message: "a multiple of " + than},
		check: func(v string) bool {
			n, ok := number(v)
			return ok && new(big.Rat).Quo(n, of).IsInt()
		}}, ""
}

func decimal(_, arg string, _ bool) (held, string) {
	of := words(arg)
	if len(of) == 0 || len(of) > 2 {
		return held{}, "it needs one or two numbers"
	}
	low, err1 := strconv.Atoi(of[0])
	high, err2 := strconv.Atoi(of[len(of)-1])
	if err1 != nil || err2 != nil {
		return held{}, "its bounds are not whole numbers"
	}
	return held{args: of, says: Broken{Rule: "decimal", Params: map[string]string{"from": of[0], "to": of[len(of)-1]}, Message: "a number with " + of[0] + " to " + of[len(of)-1] + " decimals"},
		check: func(v string) bool {
			_, after, _ := strings.Cut(strings.TrimSpace(v), ".")
			return isNumeric(v) && !strings.ContainsAny(v, "eE") && len(after) >= low && len(after) <= high
		}}, ""
}

var onlyDigits = regexp.MustCompile(`^[0-9]+$`)

// digits reads the four rules about how many digits there are.
func digits(name, arg string, _ bool) (held, string) {
	var limits []int
	for _, w := range words(arg) {
		n, err := strconv.Atoi(w)
		if err != nil || n < 0 || n > 1000 {
			return held{}, "its bounds are not whole numbers up to 1000"
		}
		limits = append(limits, n)
	}
	if want := map[bool]int{true: 2, false: 1}[name == "digits_between"]; len(limits) != want {
		return held{}, "it has too few bounds, or too many"
	}
	first := strconv.Itoa(limits[0])
	low, high := limits[0], limits[len(limits)-1]
	says := Broken{Rule: name, Params: map[string]string{"than": first}}
	switch name {
	case "digits":
		says.Message = "exactly " + first + " digits"
	case "min_digits":
		high, says.Message = -1, "at least "+first+" digits"
	case "max_digits":
		low, says.Message = 1, "at most "+first+" digits"
	default:
		says.Params = map[string]string{"from": first, "to": strconv.Itoa(high)}
		says.Message = first + " to " + strconv.Itoa(high) + " digits"
	}
	return held{args: []string{strconv.Itoa(low), strconv.Itoa(high)}, says: says, check: func(v string) bool {
		return onlyDigits.MatchString(v) && len(v) >= low && (high < 0 || len(v) <= high)
	}}, ""
}

func expression(mustMatch bool) func(string, string, bool) (held, string) {
	return func(name, arg string, _ bool) (held, string) {
		re, browser, err := compile(arg)
		if err != nil {
			return held{}, err.Error()
		}
		message := "it must match "
		if !mustMatch {
			message = "it must not match "
		}
		return held{args: []string{browser}, check: func(v string) bool { return re.MatchString(v) == mustMatch },
			says: Broken{Rule: name, Params: map[string]string{"pattern": arg}, Message: message + clipLong(arg)}}, ""
	}
}

// phpDates are the letters of PHP's dates that Go has a form for.
var phpDates = map[rune]string{'d': "02", 'j': "2", 'D': "Mon", 'l': "Monday", 'm': "01", 'n': "1", 'M': "Jan", 'F': "January", 'Y': "2006", 'y': "06",
	'H': "15", 'h': "03", 'g': "3", 'i': "04", 's': "05", 'A': "PM", 'a': "pm", 'P': "-07:00", 'O': "-0700", 'T': "MST"}

func dateFormat(_, arg string, _ bool) (held, string) {
	var layouts []string
	for _, form := range words(arg) {
		var b strings.Builder
		for _, r := range form {
			part, known := phpDates[r]
			switch {
			case known:
				b.WriteString(part)
			case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '\\', r == '_':
				return held{}, "its form has letters that aren't known here"
			default:
				b.WriteRune(r)
			}
		}
		layouts = append(layouts, b.String())
	}
	if len(layouts) == 0 {
		return held{}, "it names no form"
	}
	return held{says: Broken{Rule: "date_format", Params: map[string]string{"format": arg}, Message: "a date of the form " + clipLong(arg)}, check: func(v string) bool {
		for _, layout := range layouts {
			if at, err := time.Parse(layout, v); err == nil && at.Format(layout) == v {
				return true
			}
		}
		return false
	}}, ""
}

func suffix(numeric bool) string {
	if numeric {
		return "_number"
	}
	return "_text"
}

func unit(than string, numeric bool) string {
	switch {
	case numeric:
		return ""
	case than == "1":
		return " character"
	default:
		return " characters"
	}
}
