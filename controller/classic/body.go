package classic

import (
	"bytes"
	"encoding/json"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/shared/problem"
)

// body is a request's JSON object. Fields that nobody asks for are let pass:
// clients of the classic API send more than its document names.
type body map[string]json.RawMessage

// readBody decodes the request's body. None at all counts as {}, so that the
// caller is told what is missing.
func readBody(r *httpapi.Request) (body, error) {
	if len(bytes.TrimSpace(r.Body)) == 0 {
		return body{}, nil
	}
	var b body
	if err := r.JSON(&b); err != nil {
		return nil, err
	}
	if b == nil {
		return nil, problem.New(problem.BadRequest, "the body must be a JSON object, not null")
	}
	return b, nil
}

// raw gives a field's JSON; nil when it is absent or null.
func (b body) raw(name string) []byte {
	raw := bytes.TrimSpace(b[name])
	if bytes.Equal(raw, []byte("null")) {
		return nil
	}
	return raw
}

// missing gives those of the names that are absent, null or "".
func (b body) missing(names ...string) []string {
	var out []string
	for _, name := range names {
		if raw := b.raw(name); len(raw) == 0 || string(raw) == `""` {
			out = append(out, name)
		}
	}
	return out
}

// need is a problem that names all fields of the list that are missing.
func (b body) need(names ...string) error {
	switch missing := b.missing(names...); len(missing) {
	case 0:
		return nil
	case 1:
		return problem.New(problem.Validation, "%s is required", missing[0])
	default:
		last := len(missing) - 1
		return problem.New(problem.Validation, "%s and %s are required", strings.Join(missing[:last], ", "), missing[last])
	}
}

// text gives a field that must be a string; "" when it is missing.
func (b body) text(name string) (string, error) {
	raw := b.raw(name)
	if len(raw) == 0 {
		return "", nil
	}
	var s string
	if raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return "", problem.Invalid(name, "must be text")
	}
	return s, nil
}

// textField is a field that must be a string, and where it goes.
type textField struct {
	name string
	into *string
}

// texts reads several fields that must be strings.
func (b body) texts(fields ...textField) error {
	for _, f := range fields {
		s, err := b.text(f.name)
		if err != nil {
			return err
		}
		*f.into = s
	}
	return nil
}

// literal gives a field that may be a string or a number, as it was written.
func (b body) literal(name string) (string, error) {
	raw := b.raw(name)
	switch {
	case len(raw) == 0:
		return "", nil
	case raw[0] == '"':
		return b.text(name)
	case raw[0] == '-' || (raw[0] >= '0' && raw[0] <= '9'):
		return string(raw), nil
	default:
		return "", problem.Invalid(name, "must be a number, or text that is one")
	}
}

var (
	wholeNumber   = regexp.MustCompile(`^([0-9]{1,18})(\.0{1,9})?$`)
	decimalNumber = regexp.MustCompile(`^[0-9]{1,18}(\.[0-9]{1,18})?$`)
	gigabytes     = regexp.MustCompile(`^([0-9]{1,9}(?:\.[0-9]{1,18})?) *(?:[gG](?:[iI]?[bB])?)?$`)
)

// whole reads a field as a whole number that isn't negative.
func (b body) whole(name, unit string) (int64, error) {
	text, err := b.literal(name)
	if err != nil {
		return 0, err
	}
	m := wholeNumber.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return 0, problem.Invalid(name, "%.40q is not a whole number%s", text, unit)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return 0, problem.Invalid(name, "%.40q is not a whole number%s", text, unit)
	}
	return n, nil
}

// decimal reads a field as a decimal number that isn't negative.
func (b body) decimal(name, unit string) (float64, error) {
	text, err := b.literal(name)
	if err != nil {
		return 0, err
	}
	trimmed := strings.TrimSpace(text)
	if !decimalNumber.MatchString(trimmed) {
		return 0, problem.Invalid(name, "%.40q is not a number%s", text, unit)
	}
	x, err := strconv.ParseFloat(trimmed, 64)
	if err != nil {
		return 0, problem.Invalid(name, "%.40q is not a number%s", text, unit)
	}
	return x, nil
}

// gigabytes reads a field as a size in GB and gives MiB.
func (b body) gigabytes(name string) (int64, error) {
	text, err := b.literal(name)
	if err != nil {
		return 0, err
	}
	m := gigabytes.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return 0, problem.Invalid(name, "%.40q is not a size in GB", text)
	}
	x, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return 0, problem.Invalid(name, "%.40q is not a size in GB", text)
	}
	return int64(math.Round(x * 1024)), nil
}

// inGigabytes writes MiB as the text that the classic API has for sizes: "16".
func inGigabytes(mib int64) string {
	return strconv.FormatFloat(float64(mib)/1024, 'f', -1, 64)
}

// tags reads "eu,ssd", or a list of text.
func (b body) tags(name string) ([]string, error) {
	raw := b.raw(name)
	out := []string{}
	var parts []string
	if len(raw) > 0 && raw[0] == '[' {
		if err := json.Unmarshal(raw, &parts); err != nil {
			return nil, problem.Invalid(name, "must be text such as eu,ssd")
		}
	} else {
		text, err := b.text(name)
		if err != nil {
			return nil, err
		}
		parts = strings.Split(text, ",")
	}
	for _, p := range parts {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out, nil
}

// variables reads an object of values, or the same as a JSON text. A value is
// text, a number as it is written, true or false.
func (b body) variables(name string) (map[string]string, error) {
	raw := b.raw(name)
	if len(raw) > 0 && raw[0] == '"' {
		text, err := b.text(name)
		if err != nil {
			return nil, err
		}
		raw = bytes.TrimSpace([]byte(text))
	}
	if len(raw) == 0 {
		return nil, nil
	}
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(raw, &parts); err != nil || parts == nil {
		return nil, problem.Invalid(name, "must be a JSON object, or text that is one")
	}
	out := make(map[string]string, len(parts))
	for key, value := range parts {
		text, ok := scalar(bytes.TrimSpace(value))
		if !ok {
			return nil, problem.Invalid(name, "the value of %.80q must be text, a number, true or false", key)
		}
		out[key] = text
	}
	return out, nil
}

// scalar gives the text of a JSON value that is no object, list or null.
func scalar(raw []byte) (string, bool) {
	switch raw[0] {
	case '{', '[', 'n':
		return "", false
	case '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err == nil
	default:
		return string(raw), true
	}
}
