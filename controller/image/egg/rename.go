package egg

import (
	"regexp"
	"slices"
	"strings"
)

// rename gives variables that have a name of ours another one, and what refers
// to them follows.
func (r *reader) rename() {
	taken := func(name string) bool {
		return reserved[name] || slices.ContainsFunc(r.egg.Variables, func(v Variable) bool { return v.Env == name })
	}
	for i := range r.egg.Variables {
		v := &r.egg.Variables[i]
		if !reserved[v.Env] {
			continue
		}
		old, name := v.Env, "SERVER_"+v.Env
		for taken(name) {
			name = "SERVER_" + name
		}
		v.Env = name
		r.changed("variables."+old, "this name is set by the panel; the variable is called %s, and what refers to it follows", name)
		r.moved(old, name, "variables")
		r.follow(old, name)
	}
}

// follow writes every reference to a variable anew.
func (r *reader) follow(old, name string) {
	braces := func(s string) string {
		return placeholder.ReplaceAllStringFunc(s, func(m string) string {
			inside := placeholder.FindStringSubmatch(m)[1]
			for _, prefix := range []string{"", "env.", "server.environment."} {
				if inside == prefix+old {
					return "{{" + prefix + name + "}}"
				}
			}
			return m
		})
	}
	e := r.egg
	shell := regexp.MustCompile(`\$(\{[#!]?)?` + old + `([^A-Za-z0-9_]|$)`)
	dollar := func(s string) string {
		if !strings.Contains(s, old) {
			return s
		}
		for range 2 { // two that stand side by side share the character between
			s = shell.ReplaceAllString(s, "$$${1}"+name+"${2}")
		}
		return s
	}
	for i := range e.Commands {
		e.Commands[i].Line = dollar(braces(e.Commands[i].Line))
	}
	for i := range e.Files {
		if was := e.Files[i].Path; braces(was) != was {
			e.Files[i].Path = braces(was)
			r.moved(was, e.Files[i].Path, "config", "files")
		}
		for k := range e.Files[i].Find {
			f := &e.Files[i].Find[k]
			f.Match, f.If = braces(f.Match), braces(f.If)
			if s, ok := f.Value.(string); ok {
				f.Value = braces(s)
			}
		}
	}
	if e.Script != nil {
		e.Script.Text = dollar(e.Script.Text)
	}
}

// moved puts what was kept of a thing under the thing's new name.
func (r *reader) moved(old, name string, below ...string) {
	at := r.egg.Kept
	for _, step := range below {
		at, _ = at[step].(map[string]any)
	}
	kept, there := at[old]
	if !there {
		return
	}
	at[name] = kept
	delete(at, old)
	prefix := strings.Join(below, ".") + "."
	for path := range r.ignored {
		if rest, ok := strings.CutPrefix(path, prefix+old+"."); ok {
			delete(r.ignored, path)
			r.ignored[prefix+name+"."+rest] = true
		}
	}
}
