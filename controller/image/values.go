package image

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/berth-panel/berth/controller/image/rule"
	"github.com/berth-panel/berth/shared/problem"
)

// MaxValues bounds all names and values of an instance together, in bytes.
const MaxValues = 32 << 10

// MountPath is where the volume is mounted.
func (d Definition) MountPath() string {
	if d.Volume == "" {
		return DefaultVolume
	}
	return d.Volume
}

// Variable finds a variable by its name.
func (d Definition) Variable(name string) (Variable, bool) {
	n := slices.IndexFunc(d.Variables, func(v Variable) bool { return v.Name == name })
	if n < 0 {
		return Variable{}, false
	}
	return d.Variables[n], true
}

// IsSecret says whether the value is never shown.
func (v Variable) IsSecret() bool { return v.Secret || strings.EqualFold(v.Type, "password") }

// HasReference refuses a container image that isn't one of the image's.
func (i Image) HasReference(reference string) error {
	if slices.Contains(i.References, reference) {
		return nil
	}
	return problem.Invalid("reference", "%s has no reference %.100q; it has %s", i.Name, reference, strings.Join(i.References, ", "))
}

// HasStartup refuses the name of a start command that isn't one of the image's; ""
// is its first.
func (i Image) HasStartup(name string) error {
	if name == "" || slices.ContainsFunc(i.Commands, func(s Startup) bool { return s.Name == name }) {
		return nil
	}
	if len(i.Commands) == 0 {
		return problem.Invalid("startup", "%s has one start command only, without a name; leave this out", i.Name)
	}
	names := make([]string, len(i.Commands))
	for n, s := range i.Commands {
		names[n] = s.Name
	}
	return problem.Invalid("startup", "%s has no start command %.100q; it has %s", i.Name, name, strings.Join(names, ", "))
}

// ruleSet is what the variable's value must be. Types of the classic form are
// rules too.
func (v Variable) ruleSet() (rule.Set, []rule.Unknown) {
	rules := slices.Clone(v.Rules)
	if v.Required {
		rules = append(rules, "required")
	}
	switch strings.ToLower(v.Type) {
	case "number":
		rules = append(rules, "numeric")
	case "boolean":
		rules = append(rules, "boolean")
	}
	return rule.Parse(rules)
}

// Unheld tells the rules of the image's variables that nothing here can hold, a
// sentence each: they are kept, and ignored.
func (d Definition) Unheld() []string {
	var out []string
	for _, v := range d.Variables {
		_, unknown := v.ruleSet()
		for _, u := range unknown {
			out = append(out, fmt.Sprintf("variables.%s.rules: %s: %s", v.Name, u.Rule, u.Why))
		}
	}
	return out
}

// Values checks values against the image's variables, all of them, and gives them
// completed with the defaults. A value is any text without NUL. What is wrong is
// told for each variable, as the field variables.NAME.
func (d Definition) Values(given map[string]string) (map[string]string, error) {
	if err := checkValues(given); err != nil {
		return nil, err
	}
	return d.Complete(given), d.CheckRules(given, func(string) bool { return true })
}

// checkValues refuses what no environment can hold.
func checkValues(given map[string]string) error {
	size := 0
	for name, value := range given {
		if !variableName.MatchString(name) {
			return problem.Invalid("variables", "%.80q is no name of a variable: 1 to 256 characters, no control characters, no = { }", name)
		}
		if strings.ContainsRune(value, 0) {
			return problem.Invalid("variables."+name, "a value can't hold a NUL character")
		}
		size += len(name) + len(value)
	}
	if size > MaxValues {
		return problem.Invalid("variables", "names and values together may have at most %d KiB", MaxValues>>10)
	}
	return nil
}

// Complete adds the defaults of the variables that are not given.
func (d Definition) Complete(given map[string]string) map[string]string {
	out := maps.Clone(given)
	if out == nil {
		out = map[string]string{}
	}
	for _, v := range d.Variables {
		if _, is := out[v.Name]; !is && v.Default != "" {
			out[v.Name] = v.Default
		}
	}
	return out
}

// CheckRules holds values, completed with the defaults, against the rules of the
// variables that are asked for by their names.
func (d Definition) CheckRules(given map[string]string, asked func(name string) bool) error {
	var fields []problem.Field
	for _, v := range d.Variables {
		if !asked(v.Name) {
			continue
		}
		value, isGiven := given[v.Name]
		if !isGiven {
			value = v.Default
		}
		set, _ := v.ruleSet()
		for _, b := range set.Check(value, isGiven) {
			fields = append(fields, problem.Field{Field: "variables." + v.Name, Message: b.Message, Rule: b.Rule, Params: b.Params})
		}
	}
	return breaks(fields)
}

// maxBroken bounds the fields of an answer.
const maxBroken = 200

// breaks is a problem about fields; nil when there are none.
func breaks(fields []problem.Field) error {
	if len(fields) == 0 {
		return nil
	}
	if len(fields) > maxBroken {
		fields = fields[:maxBroken]
	}
	p := problem.New(problem.Validation, "%s: %s", fields[0].Field, fields[0].Message)
	if more := len(fields) - 1; more > 0 {
		p.Message += fmt.Sprintf(", and %d more", more)
	}
	p.Fields = fields
	return p
}

// CheckCustomer refuses values that a customer may not set: of variables that the
// image has not, of hidden and of locked ones. was is what is set now; to say it
// again is no change, but of a secret: nobody shall find out by trying.
func (d Definition) CheckCustomer(was, given map[string]string) error {
	var fields []problem.Field
	for _, name := range slices.Sorted(maps.Keys(given)) {
		v, there := d.Variable(name)
		before, set := was[name]
		if !set {
			before = v.Default
		}
		switch field := "variables." + name; {
		case !there || v.Hidden: // what is hidden isn't there for him
			fields = append(fields, problem.Field{Field: field, Message: "the image has no variable of this name", Rule: "unknown"})
		case v.Locked && (v.IsSecret() || given[name] != before):
			fields = append(fields, problem.Field{Field: field, Message: "only who may write all instances changes it", Rule: "locked"})
		}
	}
	return breaks(fields)
}

// Merge sets values over those that are set, and checks those that are set anew
// against the rules; what they leave out stays as it is.
func (d Definition) Merge(set, anew map[string]string) (map[string]string, error) {
	merged := maps.Clone(set)
	if merged == nil {
		merged = map[string]string{}
	}
	maps.Copy(merged, anew)
	if err := checkValues(merged); err != nil {
		return nil, err
	}
	return merged, d.CheckRules(merged, func(name string) bool { _, is := anew[name]; return is })
}

// NamesNode says whether anything of an instance depends on its node, beside its ports.
func (d Definition) NamesNode() bool {
	if d.Launch == LaunchEntrypoint {
		return true // its environment has the node's name
	}
	return slices.ContainsFunc(d.texts(), func(text string) bool { return strings.Contains(text, "config.docker.") })
}

// texts are all that may name variables and what an instance is.
func (d Definition) texts() []string {
	out := slices.Concat([]string{d.CommandLine}, d.Command, d.Entrypoint, d.Env)
	for _, c := range d.Commands {
		out = append(out, c.Line)
	}
	for _, s := range d.Install {
		out = append(out, s.URI, s.Path)
	}
	for _, p := range d.Patches {
		out = append(out, p.Path)
		for _, s := range p.Set {
			text, _ := s.Value.(string)
			out = append(out, s.Match, text, s.If)
		}
	}
	return out
}
