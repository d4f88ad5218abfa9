package egg

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-panel/berth/controller/image/rule"
)

var placeholder = regexp.MustCompile(`\{\{\s*([^{}]{1,256}?)\s*\}\}`)

func (r *reader) variables(n *node) {
	if n.none() {
		return
	}
	items := n.items
	switch n.kind {
	case list:
	case object:
		for _, f := range n.fields {
			items = append(items, f.value)
		}
	default:
		r.fail(n, "variables", "it must be a list, not %s", kindNames[n.kind])
		return
	}
	if len(items) > mostVariables {
		r.fail(n, "variables", "at most %d", mostVariables)
		return
	}
	type sorted struct {
		at float64
		v  Variable
	}
	var all []sorted
	for i, item := range items {
		field := fmt.Sprintf("variables[%d]", i)
		if item.kind != object {
			r.fail(item, field, "it must be an object, not %s", kindNames[item.kind])
			return
		}
		v := r.variable(item, field)
		at := -1.0 // those without a place stand first, as in the panels that have it
		if s := item.get("sort"); !s.none() {
			place, err := strconv.ParseFloat(r.text(s, field+".sort"), 64)
			if err != nil || place != place {
				r.changed(field+".sort", "%.40q is no number; it stands where the file has it", s.text)
			} else {
				at = place
			}
		}
		if twice := slices.IndexFunc(all, func(s sorted) bool { return s.v.Env == v.Env }); twice >= 0 {
			r.changed(field+".env_variable", "%s is there twice: the second one counts", v.Env)
			all[twice].v = v
			continue
		}
		all = append(all, sorted{at, v})
	}
	slices.SortStableFunc(all, func(a, b sorted) int { return cmp.Compare(a.at, b.at) })
	for _, s := range all {
		r.egg.Variables = append(r.egg.Variables, s.v)
	}
}

func (r *reader) variable(n *node, field string) Variable {
	v := Variable{
		Name:        strings.TrimSpace(r.text(n.get("name"), field+".name")),
		Description: r.text(n.get("description"), field+".description"),
		Env:         strings.TrimSpace(r.text(n.get("env_variable"), field+".env_variable")),
		Viewable:    r.flag(n.get("user_viewable"), field+".user_viewable"),
		Editable:    r.flag(n.get("user_editable"), field+".user_editable"),
		Rules:       r.rules(n.get("rules"), field+".rules"),
		Type:        strings.ToLower(r.text(n.get("field_type"), field+".field_type")),
	}
	if v.Type == "text" {
		v.Type = ""
	}
	switch {
	case v.Env == "":
		r.fail(n, field+".env_variable", "a variable needs one")
	case strings.ContainsAny(v.Env, "={}") || strings.ContainsFunc(v.Env, func(c rune) bool { return c < ' ' || c == 0x7f }) || len(v.Env) > 256:
		r.fail(n.get("env_variable"), field+".env_variable", "%.80q can't be the name of a variable: no = { } and no control characters", v.Env)
	}
	v.Default = r.standard(n.get("default_value"), field+".default_value")
	r.unknown(n, []string{"name", "description", "env_variable", "default_value", "user_viewable", "user_editable", "rules", "field_type", "sort"}, "variables", v.Env)
	return v
}

// standard reads a default.
func (r *reader) standard(n *node, field string) string {
	switch {
	case n.none() && (n == nil || n.kind != null || !n.plain || n.text == "~"):
		return ""
	case n.kind == null: // of YAML: as it stands there
		return n.text
	case n.scalar():
		return n.text
	}
	packed, err := plain(n.value())
	if err != nil {
		r.fail(n, field, "it must be text, not %s", kindNames[n.kind])
		return ""
	}
	r.changed(field, "%s is read as text: %.80s", kindNames[n.kind], packed)
	return string(packed)
}

// rules reads the list or the text with bars between; a bar inside of an
// expression is one of the expression.
func (r *reader) rules(n *node, field string) []string {
	if n.none() {
		return nil
	}
	var out []string
	add := func(one string) {
		if one = strings.TrimSpace(one); one != "" {
			out = append(out, one)
		}
	}
	if n.scalar() {
		for _, one := range rule.Split(r.text(n, field)) {
			add(one)
		}
		return out
	}
	if n.kind == object {
		for _, f := range n.fields {
			if _, err := strconv.Atoi(f.name); err == nil {
				add(r.text(f.value, field))
			} else {
				add(f.name + ":" + r.text(f.value, field))
			}
		}
		return out
	}
	for i, item := range n.items {
		if item.kind == object && len(item.fields) == 1 { // "max: 20" of YAML
			add(item.fields[0].name + ":" + r.text(item.fields[0].value, field))
			continue
		}
		one := r.text(item, fmt.Sprintf("%s[%d]", field, i))
		if name, _, _ := strings.Cut(one, ":"); strings.Contains(name, "|") { // several in one text
			out = append(out, rule.Split(one)...)
			continue
		}
		add(one)
	}
	return out
}
