package rule

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// VariableSchema is JSON Schema (2020-12) of one variable's value. It is always
// text, since that is what an environment holds; what the schema can't say of it,
// the controller still checks.
type VariableSchema struct {
	Type        string        `json:"type" enum:"string"`
	Title       string        `json:"title,omitempty"`
	Description string        `json:"description,omitempty"`
	Default     *string       `json:"default,omitempty"`
	Enum        []string      `json:"enum,omitempty"`
	Not         *SchemaEnum   `json:"not,omitempty"`
	Pattern     string        `json:"pattern,omitempty"`
	AllOf       []SchemaMatch `json:"allOf,omitempty" doc:"Further patterns"`
	Format      string        `json:"format,omitempty"`
	MinLength   *int64        `json:"minLength,omitempty"`
	MaxLength   *int64        `json:"maxLength,omitempty"`
	ReadOnly    bool          `json:"readOnly,omitempty" doc:"The caller may not set it"`
	WriteOnly   bool          `json:"writeOnly,omitempty" doc:"It is never shown"`
	Numeric     bool          `json:"x-numeric,omitempty" doc:"The text is a number, which x-minimum and x-maximum bound"`
	Minimum     string        `json:"x-minimum,omitempty"`
	Maximum     string        `json:"x-maximum,omitempty"`
	Rules       []string      `json:"x-rules,omitempty" doc:"All rules, as the image has them"`
	AskedFor    []SchemaAsked `json:"x-asks,omitempty" doc:"What the rules ask for, in words"`
}

// SchemaEnum is a list of values in a schema.
type SchemaEnum struct {
	Enum []string `json:"enum"`
}

// SchemaMatch is a pattern in a schema.
type SchemaMatch struct {
	Pattern string `json:"pattern"`
}

// SchemaAsked is what one rule asks for.
type SchemaAsked struct {
	Rule    string            `json:"rule"`
	Params  map[string]string `json:"params,omitempty"`
	Message string            `json:"message"`
}

// Schema is what JSON Schema can say of the rules.
func (s Set) Schema() VariableSchema {
	v := VariableSchema{Type: "string", Numeric: s.numeric}
	for _, h := range s.rules {
		if h.known.schema != nil {
			h.known.schema(h, &v)
		}
		v.AskedFor = append(v.AskedFor, SchemaAsked{h.says.Rule, h.says.Params, h.says.Message})
	}
	if s.must {
		v.AskedFor = slices.Insert(v.AskedFor, 0, SchemaAsked{Rule: "required", Message: "it needs a value"})
		if v.MinLength == nil && v.Enum == nil && v.Pattern == "" {
			one := int64(1)
			v.MinLength = &one
		}
		return v
	}
	v.orEmpty()
	return v
}

// orEmpty lets the empty text pass, which no rule but required is held against.
func (v *VariableSchema) orEmpty() {
	if v.Enum != nil && !slices.Contains(v.Enum, "") {
		v.Enum = append(slices.Clone(v.Enum), "")
	}
	if v.Not != nil {
		v.Not = &SchemaEnum{Enum: slices.DeleteFunc(slices.Clone(v.Not.Enum), func(e string) bool { return e == "" })}
	}
	if v.MinLength != nil && *v.MinLength > 0 {
		v.match(`^[\s\S]{` + strconv.FormatInt(*v.MinLength, 10) + `,}$`)
		v.MinLength = nil
	}
	if v.Pattern != "" {
		v.Pattern = "^$|" + alternative(v.Pattern)
	}
	for n := range v.AllOf {
		v.AllOf[n].Pattern = "^$|" + alternative(v.AllOf[n].Pattern)
	}
	v.Format = "" // of what may be empty it can't be said
}

func alternative(p string) string {
	if strings.Contains(p, "|") {
		return "(?:" + p + ")"
	}
	return p
}

// match adds a pattern.
func (v *VariableSchema) match(p string) {
	if v.Pattern == "" {
		v.Pattern = p
		return
	}
	v.AllOf = append(v.AllOf, SchemaMatch{p})
}

// choose leaves only those values.
func (v *VariableSchema) choose(of []string) {
	if v.Enum == nil {
		v.Enum = slices.Compact(slices.Clone(of))
		return
	}
	v.Enum = slices.DeleteFunc(v.Enum, func(e string) bool { return !slices.Contains(of, e) })
}

func pattern(p string) func(held, *VariableSchema) {
	return func(_ held, v *VariableSchema) { v.match(p) }
}

func format(f string) func(held, *VariableSchema) {
	return func(_ held, v *VariableSchema) { v.Format = f }
}

func oneOf(of ...string) func(held, *VariableSchema) {
	return func(_ held, v *VariableSchema) { v.choose(of) }
}

func edges(before, after string) func(held, *VariableSchema) {
	return func(h held, v *VariableSchema) {
		parts := make([]string, len(h.args))
		for n, a := range h.args {
			parts[n] = strings.ReplaceAll(regexp.QuoteMeta(a), "-", `\x2d`)
		}
		v.match(before + strings.Join(parts, "|") + after)
	}
}

func expressionSchema(h held, v *VariableSchema) {
	if h.args[0] != "" {
		v.match(h.args[0])
	}
}

func digitPattern(h held, v *VariableSchema) {
	high := h.args[1]
	if high == "-1" {
		high = ""
	}
	v.match("^[0-9]{" + h.args[0] + "," + high + "}$")
}

// bounds writes what bounds a length, or what the number may be.
func bounds(h held, v *VariableSchema) {
	low, high := "", ""
	switch h.name {
	case "min", "gte", "gt":
		low = h.args[0]
	case "max", "lte", "lt":
		high = h.args[0]
	case "size":
		low, high = h.args[0], h.args[0]
	case "between":
		low, high = h.args[0], h.args[1]
	}
	if v.Numeric {
		if low != "" {
			v.Minimum = low
		}
		if high != "" {
			v.Maximum = high
		}
		return
	}
	if n, err := strconv.ParseInt(low, 10, 64); err == nil {
		if h.name == "gt" {
			n++
		}
		n = max(n, 0)
		v.MinLength = &n
	}
	if n, err := strconv.ParseInt(high, 10, 64); err == nil {
		if h.name == "lt" {
			n--
		}
		n = max(n, 0)
		v.MaxLength = &n
	}
}
