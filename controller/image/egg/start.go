package egg

import (
	"fmt"
	"slices"
	"strings"

	"github.com/berth-panel/berth/controller/image/name"
)

// commands reads the start commands: of older versions the one.
func (r *reader) commands(n *node) {
	r.commandsOf(n.get("startup_commands"), "startup_commands")
	old := n.get("startup")
	switch {
	case old.none():
	case len(r.egg.Commands) == 0:
		r.commandsOf(old, "startup")
	case !slices.ContainsFunc(r.egg.Commands, func(c Command) bool { return old.scalar() && c.Line == old.text }):
		r.keep(old, "startup")
	}
}

func (r *reader) commandsOf(n *node, field string) {
	if n.none() {
		return
	}
	switch n.kind {
	case object:
		for _, f := range n.fields {
			r.command(f.name, r.text(f.value, field+"."+f.name), field)
		}
	case list:
		for i, item := range n.items {
			called := DefaultCommand
			if i > 0 {
				called = fmt.Sprintf("%s %d", DefaultCommand, i+1)
			}
			r.command(called, r.text(item, fmt.Sprintf("%s[%d]", field, i)), field)
		}
	default:
		r.command(DefaultCommand, r.text(n, field), field)
	}
}

func (r *reader) command(name, line, field string) {
	if len(r.egg.Commands) == mostCommands {
		r.fail(nil, field, "at most %d", mostCommands)
		return
	}
	if name = r.name(name, field); name == "" {
		name = DefaultCommand
	}
	taken := func(name string) bool {
		return slices.ContainsFunc(r.egg.Commands, func(c Command) bool { return c.Name == name })
	}
	if taken(name) {
		apart := apart(name, taken)
		r.changed(field, "there are two called %q; one is %q", name, apart)
		name = apart
	}
	r.egg.Commands = append(r.egg.Commands, Command{Name: name, Line: r.upgrade(line)})
}

// apart makes a name that isn't taken.
func apart(called string, taken func(string) bool) string {
	for i := 2; ; i++ {
		suffix := fmt.Sprintf(" (%d)", i)
		if other := name.Cut(called, name.Most-len(suffix)) + suffix; !taken(other) {
			return other
		}
	}
}

func (r *reader) script(scripts *node) {
	n := scripts.get("installation")
	r.unknown(scripts, []string{"installation"}, "scripts")
	if n.none() {
		return
	}
	const at = "scripts.installation"
	if n.kind != object {
		r.fail(n, at, "it must be an object, not %s", kindNames[n.kind])
		return
	}
	r.unknown(n, []string{"script", "container", "entrypoint"}, "scripts", "installation")
	s := Script{
		Text:       r.text(n.get("script"), at+".script"),
		Container:  strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(r.text(n.get("container"), at+".container")), "~")),
		Entrypoint: strings.TrimSpace(r.text(n.get("entrypoint"), at+".entrypoint")),
	}
	if strings.TrimSpace(s.Text) == "" {
		return // nothing is installed
	}
	if strings.Contains(s.Text, "\r") {
		s.Text = strings.ReplaceAll(strings.ReplaceAll(s.Text, "\r\n", "\n"), "\r", "\n")
		r.changed(at+".script", "its lines end as a shell can read them (LF)")
	}
	switch {
	case s.Container == "":
		r.fail(n, at+".container", "a script needs a container image to run in")
	case !referenceForm.MatchString(s.Container):
		r.fail(n.get("container"), at+".container", "%.80q is not the name of a container image", s.Container)
	}
	r.egg.Script = &s
}
