package rule

import (
	"encoding/json"
	"math/big"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// kind is how rules of one name are read. Either of form and args is set.
type kind struct {
	// form is a rule without parameters: what keeps it, and the sentence.
	form func(value string) bool
	says string
	// read is one with parameters; why is told when it can't be held.
	read func(name, arg string, numeric bool) (h held, why string)
	// schema writes what JSON Schema can say of it.
	schema func(h held, v *VariableSchema)
}

func (k *kind) parse(name, arg string, numeric bool) (held, string) {
	h := held{name: name, check: k.form, says: Broken{Rule: name, Message: k.says}}
	if k.read != nil {
		var why string
		if h, why = k.read(name, arg, numeric); why != "" {
			return held{}, why
		}
		h.name = name
	}
	h.known = k
	return h, ""
}

// blanks are what may stand around a number: what PHP's is_numeric passes over. A
// schema's \s would be more in a browser and, without the vertical tab, less in RE2.
const blanks = `[ \t\r\n\v\f]*`

// kinds are all rules that are held, by name. It is filled once, before main.
var kinds = map[string]*kind{
	"numeric":   {form: isNumeric, says: "it must be a number", schema: pattern(`^` + blanks + `[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?` + blanks + `$`)},
	"integer":   {form: isInteger, says: "it must be a whole number", schema: pattern(`^` + blanks + `[+-]?(0|[1-9]\d*)` + blanks + `$`)},
	"decimal":   {read: decimal},
	"boolean":   {form: isBoolean, says: "it must be true or false, or 1 or 0", schema: oneOf("true", "false", "1", "0")},
	"accepted":  {form: in("yes", "on", "1", "true"), says: "it must be accepted: yes, on, 1 or true", schema: oneOf("yes", "on", "1", "true")},
	"declined":  {form: in("no", "off", "0", "false"), says: "it must be declined: no, off, 0 or false", schema: oneOf("no", "off", "0", "false")},
	"alpha":     {form: matches(`^[\pL\pM]+$`), says: "letters only", schema: pattern(`^[\p{L}\p{M}]+$`)},
	"alpha_num": {form: matches(`^[\pL\pM\pN]+$`), says: "letters and digits only", schema: pattern(`^[\p{L}\p{M}\p{N}]+$`)},
	"alpha_dash": {form: matches(`^[\pL\pM\pN_-]+$`), says: "letters, digits, - and _ only",
		schema: pattern(`^[\p{L}\p{M}\p{N}_\-]+$`)},
	"ascii":       {form: matches(`^[\x00-\x7f]*$`), says: "characters of ASCII only", schema: pattern(`^[\x00-\x7f]*$`)},
	"lowercase":   {form: func(v string) bool { return v == strings.ToLower(v) }, says: "no capital letters"},
	"uppercase":   {form: func(v string) bool { return v == strings.ToUpper(v) }, says: "capital letters only"},
	"json":        {form: func(v string) bool { return json.Valid([]byte(v)) }, says: "it must be JSON"},
	"uuid":        {form: matches(`(?i)^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$`), says: "it must be a UUID", schema: format("uuid")},
	"ulid":        {form: matches(`(?i)^[0-7][0-9a-hjkmnp-tv-z]{25}$`), says: "it must be a ULID", schema: pattern(`^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$`)},
	"hex_color":   {form: matches(`(?i)^#(?:[0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})$`), says: "it must be a colour such as #1a2b3c"},
	"mac_address": {form: isMAC, says: "it must be a MAC address"},
	"email":       {form: isEmail, says: "it must be an e-mail address", schema: format("email")},
	"ip":          {form: isIP(true, true), says: "it must be an IP address"},
	"ipv4":        {form: isIP(true, false), says: "it must be an IPv4 address", schema: format("ipv4")},
	"ipv6":        {form: isIP(false, true), says: "it must be an IPv6 address", schema: format("ipv6")},
	"date":        {form: isDate, says: "it must be a date such as 2006-01-31"},
	"timezone":    {form: isZone, says: "it must be a time zone such as Europe/Berlin"},
	"url":         {read: address, schema: format("uri")},

	"in": {read: list("one of ", func(v string, of []string) bool { return slices.Contains(of, v) }), schema: func(h held, v *VariableSchema) { v.choose(h.args) }},
	"not_in": {read: list("none of ", func(v string, of []string) bool { return !slices.Contains(of, v) }),
		schema: func(h held, v *VariableSchema) { v.Not = &SchemaEnum{Enum: h.args} }},
	"starts_with": {read: list("it must begin with one of ", has(strings.HasPrefix)), schema: edges("^(?:", ")")},
	"ends_with":   {read: list("it must end with one of ", has(strings.HasSuffix)), schema: edges("(?:", ")$")},
	"doesnt_start_with": {read: list("it must not begin with any of ", func(v string, of []string) bool {
		return !has(strings.HasPrefix)(v, of)
	})},
	"doesnt_end_with": {read: list("it must not end with any of ", func(v string, of []string) bool { return !has(strings.HasSuffix)(v, of) })},

	"min":         {read: bound("min", "at least ", func(c int) bool { return c >= 0 }), schema: bounds},
	"gte":         {read: bound("min", "at least ", func(c int) bool { return c >= 0 }), schema: bounds},
	"max":         {read: bound("max", "at most ", func(c int) bool { return c <= 0 }), schema: bounds},
	"lte":         {read: bound("max", "at most ", func(c int) bool { return c <= 0 }), schema: bounds},
	"gt":          {read: bound("gt", "more than ", func(c int) bool { return c > 0 }), schema: bounds},
	"lt":          {read: bound("lt", "less than ", func(c int) bool { return c < 0 }), schema: bounds},
	"size":        {read: bound("size", "exactly ", func(c int) bool { return c == 0 }), schema: bounds},
	"between":     {read: between, schema: bounds},
	"multiple_of": {read: multiple},

	"digits":         {read: digits, schema: digitPattern},
	"digits_between": {read: digits, schema: digitPattern},
	"min_digits":     {read: digits, schema: digitPattern},
	"max_digits":     {read: digits, schema: digitPattern},

	"regex":       {read: expression(true), schema: expressionSchema},
	"not_regex":   {read: expression(false)},
	"date_format": {read: dateFormat},
}

func in(of ...string) func(string) bool {
	return func(v string) bool { return slices.Contains(of, strings.ToLower(v)) }
}

func matches(re string) func(string) bool { return regexp.MustCompile(re).MatchString }

func has(side func(s, part string) bool) func(string, []string) bool {
	return func(v string, of []string) bool {
		return slices.ContainsFunc(of, func(part string) bool { return side(v, part) })
	}
}

// isBoolean takes the words true and false too: the environment has no others for
// what Laravel takes as such.
func isBoolean(v string) bool { return in("true", "false", "1", "0")(v) }

var integer = regexp.MustCompile(`^[+-]?(0|[1-9][0-9]*)$`)

func isInteger(v string) bool {
	v = strings.Trim(v, " \t\r\n\v\f")
	if !integer.MatchString(v) {
		return false
	}
	_, err := strconv.ParseInt(v, 10, 64)
	return err == nil
}

func isNumeric(v string) bool { _, ok := number(v); return ok }

var numberForm = regexp.MustCompile(`^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$`)

// number reads a number exactly. One with an exponent is read as a computer's
// number, so that 1e999999999 doesn't fill the memory.
func number(v string) (*big.Rat, bool) {
	v = strings.Trim(v, " \t\r\n\v\f")
	m := numberForm.FindStringSubmatch(v)
	if m == nil || len(v) > 1024 {
		return nil, false
	}
	if m[3] == "" {
		return new(big.Rat).SetString(v)
	}
	f, err := strconv.ParseFloat(v, 64)
	if err != nil {
		return nil, false
	}
	r := new(big.Rat).SetFloat64(f)
	return r, r != nil
}

func isMAC(v string) bool { hw, err := net.ParseMAC(v); return err == nil && len(hw) == 6 }

func isEmail(v string) bool {
	a, err := mail.ParseAddress(v)
	return err == nil && a.Address == v && a.Name == ""
}

func isIP(four, six bool) func(string) bool {
	return func(v string) bool {
		a, err := netip.ParseAddr(v)
		return err == nil && a.Zone() == "" && (four && a.Is4() || six && a.Is6())
	}
}

// dates are the forms of a date that people write, not all that PHP understands.
var dates = []string{time.DateOnly, time.DateTime, time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006/01/02", "01/02/2006",
	"02-01-2006", "02.01.2006", "2 January 2006", "January 2 2006", "January 2, 2006", "2 Jan 2006", "Jan 2, 2006", "20060102", time.RFC1123, time.RFC1123Z, time.RFC850, time.ANSIC}

func isDate(v string) bool {
	return slices.ContainsFunc(dates, func(layout string) bool { _, err := time.Parse(layout, v); return err == nil })
}

func isZone(v string) bool {
	if v == "Local" || v == "" {
		return false
	}
	_, err := time.LoadLocation(v)
	return err == nil
}

func address(_, arg string, _ bool) (held, string) {
	schemes := words(strings.ToLower(arg))
	h := held{says: Broken{Rule: "url", Message: "it must be an address such as https://example.com"}}
	if len(schemes) > 0 {
		h.says = Broken{Rule: "url", Params: map[string]string{"values": strings.Join(schemes, ", ")}, Message: "it must be an address that begins with " + strings.Join(schemes, ":// or ") + "://"}
	}
	h.check = func(v string) bool {
		u, err := url.Parse(v)
		return err == nil && u.Scheme != "" && u.Host != "" && !strings.ContainsAny(v, " \t\r\n") && (len(schemes) == 0 || slices.Contains(schemes, u.Scheme))
	}
	return h, ""
}

// list reads rules with a list of texts.
func list(message string, holds func(v string, of []string) bool) func(string, string, bool) (held, string) {
	return func(name, arg string, _ bool) (held, string) {
		of := words(arg)
		if len(of) == 0 {
			return held{}, "it lists nothing"
		}
		shown := strings.Join(of, ", ")
		return held{args: of, check: func(v string) bool { return holds(v, of) || holds(strings.TrimSpace(v), of) },
			says: Broken{Rule: name, Params: map[string]string{"values": shown}, Message: message + clipLong(shown)}}, ""
	}
}

// words are texts between commas; quotes hold a comma together. Blanks around
// them are typing, since the values that come in have none either.
func words(text string) []string {
	if text == "" {
		return nil
	}
	var out []string
	var b strings.Builder
	quoted, wasQuoted := false, false
	flush := func() {
		w := b.String()
		if !wasQuoted {
			w = strings.TrimSpace(w)
		}
		out = append(out, w)
		b.Reset()
		wasQuoted = false
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '"' && i+1 < len(text) && text[i+1] == '"':
			b.WriteByte('"')
			i++
		case quoted && c == '"':
			quoted = false
		case !quoted && c == '"' && strings.TrimSpace(b.String()) == "" && !wasQuoted:
			b.Reset()
			quoted, wasQuoted = true, true
		case !quoted && c == ',':
			flush()
		case !quoted && wasQuoted && (c == ' ' || c == '\t'):
		default:
			b.WriteByte(c)
		}
	}
	flush()
	return out
}

func clipLong(text string) string {
	const most = 400
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// length is what bounds of a text are of.
func length(v string) int64 { return int64(utf8.RuneCountInString(v)) }
