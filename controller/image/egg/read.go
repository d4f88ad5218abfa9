package egg

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/berth-panel/berth/controller/image/name"
)

// marks are words of which every egg has one: texts without are not parsed.
var marks = []string{"PTDL_", "PLCN_", "startup", "docker_images"}

// Is says whether a text is meant to be an egg, also a broken one.
func Is(file []byte) bool {
	if !slices.ContainsFunc(marks, func(mark string) bool { return bytes.Contains(file, []byte(mark)) }) {
		return false
	}
	n, err := parse(file)
	if err != nil {
		return meant.Match(file)
	}
	return looks(n)
}

// meant are fields that a broken egg has, and pages about eggs have not.
var meant = regexp.MustCompile(`(?im)["']?version["']?\s*:\s*["']?(?:PTDL|PLCN)_v|^\s*["']?docker_images["']?\s*:`)

func looks(n *node) bool {
	if v := n.get("meta").get("version"); v != nil && (strings.HasPrefix(v.text, "PTDL_") || strings.HasPrefix(v.text, "PLCN_")) {
		return true
	}
	votes := 0
	for _, name := range []string{"docker_images", "startup_commands", "startup", "images", "config", "scripts", "variables"} {
		if n.get(name) != nil {
			votes++
		}
	}
	return votes >= 3 && (n.get("docker_images") != nil || n.get("startup") != nil || n.get("startup_commands") != nil)
}

// Read reads an egg of any version; an error is an *Error.
func Read(file []byte) (*Egg, error) {
	n, broken := parse(file)
	if broken != nil {
		return nil, broken
	}
	r := &reader{egg: &Egg{Kept: map[string]any{}}, ignored: map[string]bool{}}
	if n.kind != object {
		return nil, &Error{Line: n.line, Reason: "an egg is an object, not " + kindNames[n.kind]}
	}
	r.all(n)
	if r.err != nil {
		return nil, r.err
	}
	r.rename()
	r.once()
	for path := range r.ignored {
		r.egg.Ignored = append(r.egg.Ignored, path)
	}
	sort.Strings(r.egg.Ignored)
	if len(r.egg.Kept) == 0 {
		r.egg.Kept = nil
	}
	return r.egg, nil
}

// reader reads on after an error, of which the first one counts.
type reader struct {
	egg     *Egg
	err     *Error
	ignored map[string]bool
	old     bool // a placeholder of an older version was met
}

func (r *reader) fail(n *node, field, format string, args ...any) {
	if r.err == nil {
		r.err = &Error{Field: field, Reason: fmt.Sprintf(format, args...)}
		if n != nil {
			r.err.Line = n.line
		}
	}
}

func (r *reader) changed(field, format string, args ...any) {
	r.egg.Changes = append(r.egg.Changes, field+": "+fmt.Sprintf(format, args...))
}

// keep notes what has no meaning here.
func (r *reader) keep(n *node, path ...string) {
	at := r.egg.Kept
	for _, name := range path[:len(path)-1] {
		next, ok := at[name].(map[string]any)
		if !ok {
			next = map[string]any{}
			at[name] = next
		}
		at = next
	}
	at[path[len(path)-1]] = n.value()
	r.ignored[strings.Join(path, ".")] = true
}

// unknown keeps the fields of an object that aren't known, and tells of those that
// stand there twice.
func (r *reader) unknown(n *node, known []string, path ...string) {
	if n == nil || n.kind != object {
		return
	}
	seen := map[string]bool{}
	for _, f := range n.fields {
		if seen[f.name] {
			r.changed(strings.Join(append(slices.Clone(path), f.name), "."), "it is there twice: the last one counts")
		}
		seen[f.name] = true
		if !slices.Contains(known, f.name) && !f.value.none() {
			r.keep(f.value, append(slices.Clone(path), f.name)...)
		}
	}
}

// text reads a scalar; nothing, an empty list and an empty map are "".
func (r *reader) text(n *node, field string) string {
	if n.none() {
		return ""
	}
	if !n.scalar() {
		r.fail(n, field, "it must be text, not %s", kindNames[n.kind])
		return ""
	}
	return n.text
}

// texts reads a list of text in any of its forms.
func (r *reader) texts(n *node, field string) []string {
	if n.none() {
		return nil
	}
	var items []*node
	switch n.kind {
	case list:
		items = n.items
	case object:
		for _, f := range n.fields {
			items = append(items, f.value)
		}
	default:
		items = []*node{n}
	}
	var out []string
	for i, item := range items {
		if t := r.text(item, fmt.Sprintf("%s[%d]", field, i)); t != "" {
			out = append(out, t)
		}
	}
	return out
}

func (r *reader) flag(n *node, field string) bool {
	if n.none() {
		return false
	}
	switch strings.ToLower(r.text(n, field)) {
	case "true", "1", "yes", "on":
		return true
	case "false", "0", "no", "off":
		return false
	}
	r.fail(n, field, "it must be true or false")
	return false
}

func (r *reader) all(n *node) {
	e := r.egg
	if n.more > 0 {
		r.changed("the file", "it holds %d documents, of which only the first is read", n.more+1)
	}
	r.version(n)
	if e.Name = r.name(r.text(n.get("name"), "name"), "name"); e.Name == "" {
		r.fail(n, "name", "an egg needs one")
	}
	e.UUID = strings.ToLower(strings.TrimSpace(r.text(n.get("uuid"), "uuid")))
	e.Author = strings.TrimSpace(r.text(n.get("author"), "author"))
	e.Description = r.text(n.get("description"), "description")
	if e.Tags = r.texts(n.get("tags"), "tags"); len(e.Tags) > mostTags {
		r.changed("tags", "only the first %d are taken", mostTags)
		e.Tags = e.Tags[:mostTags]
	}
	e.Features = r.texts(n.get("features"), "features")
	r.images(n)
	r.commands(n)
	r.config(n.get("config"))
	r.script(n.get("scripts"))
	r.variables(n.get("variables"))
	if deny := n.get("file_denylist"); !deny.none() {
		r.keep(deny, "file_denylist")
	}
	known := []string{"_comment", "meta", "exported_at", "uuid", "name", "author", "description", "tags", "features", "image", "images", "icon", "docker_images",
		"startup", "startup_commands", "config", "scripts", "variables", "file_denylist"}
	r.unknown(n, known)
}

func (r *reader) version(n *node) {
	meta := n.get("meta")
	said := strings.TrimSpace(r.text(meta.get("version"), "meta.version"))
	switch {
	case slices.Contains(versions, Version(said)):
		r.egg.Version = Version(said)
	case slices.ContainsFunc(versions, func(v Version) bool { return strings.EqualFold(string(v), said) }):
		r.egg.Version = Version(strings.Replace(strings.ToUpper(said), "_V", "_v", 1))
		r.changed("meta.version", "%q is read as %s", said, r.egg.Version)
	case said != "":
		r.fail(meta.get("version"), "meta.version", "%.40q is none of PTDL_v1, PTDL_v2, PLCN_v1, PLCN_v2, PLCN_v3", said)
	case !looks(n):
		r.fail(n, "", "this is not an egg: it says no meta.version")
	case n.get("startup_commands") != nil:
		r.egg.Version = PLCN3
	case n.get("docker_images") != nil:
		r.egg.Version = PTDL2
	default:
		r.egg.Version = PTDL1
	}
	r.egg.UpdateURL = r.text(meta.get("update_url"), "meta.update_url")
	r.unknown(meta, []string{"version", "update_url"}, "meta")
}

// images reads the references, and the icon, which one version keeps where
// another has a reference.
func (r *reader) images(n *node) {
	for _, name := range []string{"icon", "image"} {
		v := n.get(name)
		if v.none() {
			continue
		}
		t := strings.TrimSpace(r.text(v, name))
		switch {
		case strings.HasPrefix(t, "data:"):
			r.egg.Icon = t
		case name == "image" && !strings.Contains(t, "://"):
			r.reference("", t, v, name)
		default:
			r.keep(v, name)
		}
	}
	for _, name := range []string{"docker_images", "images"} {
		v := n.get(name)
		switch {
		case v.none():
		case v.kind == object:
			for _, f := range v.fields {
				r.reference(f.name, r.text(f.value, name+"."+f.name), f.value, name+"."+f.name)
			}
		case v.kind == list:
			for i, item := range v.items {
				if item.kind == object { // a list of one-entry maps
					for _, f := range item.fields {
						r.reference(f.name, r.text(f.value, name), f.value, name)
					}
					continue
				}
				field := fmt.Sprintf("%s[%d]", name, i)
				r.reference("", r.text(item, field), item, field)
			}
		default:
			r.reference("", r.text(v, name), v, name)
		}
	}
	if len(r.egg.Images) == 0 {
		r.fail(n, "docker_images", "an egg needs at least one container image")
	}
}

// How many there may be of each.
const (
	mostImages    = 100
	mostCommands  = 50
	mostVariables = 1000
	mostFiles     = 100
	mostFinds     = 2000
	mostTags      = 50
)

var referenceForm = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._:/@-]{0,254}$`)

// name reads what people call a thing.
func (r *reader) name(text, field string) string {
	text = strings.TrimSpace(text)
	clean := name.Clean(text)
	if clean != text {
		r.changed(field, "%.200q is read as %q", text, clean)
	}
	return clean
}

// reference adds one; a tilde says only that it isn't to be pulled, blanks are
// nobody's intention.
func (r *reader) reference(name, ref string, n *node, field string) {
	clean := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(ref), "~"))
	if clean == "" {
		r.changed(field, "it is empty and left out")
		return
	}
	if clean != ref {
		r.changed(field, "%q is read as %q", ref, clean)
	}
	if !referenceForm.MatchString(clean) {
		r.fail(n, field, "%.80q is not the name of a container image", clean)
	}
	if name = strings.TrimSpace(name); name == clean || name == strings.TrimSpace(ref) {
		name = clean
	} else if name = r.name(name, field); name == "" {
		name = clean
	}
	for _, i := range r.egg.Images {
		if i.Reference == clean {
			if name != i.Label && field != "image" {
				r.changed(field, "%s is there already as %q; this name of it is left out", clean, i.Label)
			}
			return
		}
	}
	if len(r.egg.Images) == mostImages {
		r.fail(n, field, "at most %d container images", mostImages)
		return
	}
	r.addImage(Image{Label: name, Reference: clean}, field)
}

// addImage makes sure that its label is its own.
func (r *reader) addImage(i Image, field string) {
	taken := func(name string) bool {
		return slices.ContainsFunc(r.egg.Images, func(i Image) bool { return i.Label == name })
	}
	if taken(i.Label) {
		other := apart(i.Label, taken)
		r.changed(field, "there are two called %q; one is %q", i.Label, other)
		i.Label = other
	}
	r.egg.Images = append(r.egg.Images, i)
}
