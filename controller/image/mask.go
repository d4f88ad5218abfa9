package image

import (
	"slices"
	"strings"
)

// Masked stands for what is not shown.
const Masked = "********"

// shortest is how long a value must be that is masked inside of others too: a
// shorter one is a part of everything.
const shortest = 4

// Masks says whether anything of an environment is masked, see MaskEnv.
func (d Definition) Masks(customer bool) bool {
	return slices.ContainsFunc(d.Variables, func(v Variable) bool { return v.IsSecret() || customer && v.Hidden })
}

// MaskEnv is an instance's environment as it may be shown: without the values of
// secret variables, and for a customer without hidden ones, also where another
// text of the image has put them. Of a text with a value that is too short to be
// looked for, all is masked.
func (d Definition) MaskEnv(env []string, customer bool) []string {
	var values []string
	names, secret := map[string]bool{}, map[string]bool{}
	for _, v := range d.Variables {
		if v.IsSecret() || customer && v.Hidden {
			names[v.Name] = true
		}
	}
	short := map[string]bool{} // names
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		if !names[name] || value == "" {
			continue
		}
		secret[value] = true
		if short[name] = len(value) < shortest; !short[name] {
			values = append(values, value)
		}
	}
	for _, e := range d.Env {
		if name, text, _ := strings.Cut(e, "="); mentions(text, short) {
			names[name] = true
		}
	}
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) }) // the longest first: one may hold another
	out := make([]string, 0, len(env))
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		if value != "" && (names[name] || strings.HasPrefix(name, aliasPrefix) && secret[value]) {
			value = Masked
		}
		for _, secret := range values {
			value = strings.ReplaceAll(value, secret, Masked)
		}
		out = append(out, name+"="+value)
	}
	return out
}

// mentions says whether a text names one of the variables.
func mentions(text string, variables map[string]bool) bool {
	found := false
	named(text, func(name string) (string, bool) {
		for _, prefix := range inEnvironment {
			found = found || variables[strings.TrimPrefix(name, prefix)]
		}
		return "", false
	})
	return found
}

// Shown is the image as somebody who can read the catalogue sees it: defaults of
// secrets are left out, and for customers what is hidden from them. An edit of
// what was shown doesn't lose the defaults; see keepSecrets.
func (i Image) Shown(customer bool) Image {
	if !i.Masks(customer) {
		return i
	}
	variables := make([]Variable, 0, len(i.Variables))
	for _, v := range i.Variables {
		if customer && v.Hidden {
			continue
		}
		if v.IsSecret() {
			v.Default = ""
		}
		variables = append(variables, v)
	}
	i.Variables = variables
	if customer {
		i.Kept = without(i.Kept, "variables") // it names them
	}
	return i
}

// keepSecrets gives secret variables that come without a default the one that
// they had: nobody was shown it, so nobody could say it again.
func (d *Definition) keepSecrets(before Definition) {
	for n := range d.Variables {
		v := &d.Variables[n]
		if was, there := before.Variable(v.Name); there && v.IsSecret() && was.IsSecret() && v.Default == "" {
			v.Default = was.Default
		}
	}
}
