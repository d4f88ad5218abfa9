package compose

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"

	"github.com/berth-panel/berth/controller/image"
)

// variable is one of the image to be.
type variable struct {
	image.Variable
	at int // where the file first has its name
}

// name puts {{NAME}} in place of ${NAME:-value} in a value and all that it holds,
// and keeps NAME as a variable with that value as its default. What the parser
// sees later has no ${} left.
func (f *file) name(field string, v any) (any, error) {
	switch v := v.(type) {
	case string:
		return f.nameText(field, v)
	case []any:
		out := make([]any, len(v))
		for n, one := range v {
			named, err := f.name(field, one)
			if err != nil {
				return nil, err
			}
			out[n] = named
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, one := range v {
			named, err := f.name(field+"."+key, one)
			if err != nil {
				return nil, err
			}
			out[key] = named
		}
		return out, nil
	}
	return v, nil
}

func (f *file) nameText(field, text string) (string, error) {
	for name, found := range template.ExtractVariables(map[string]any{"": text}, nil) {
		v := f.variable(name)
		if v.Default == "" {
			v.Default = found.DefaultValue
		}
		v.Required = v.Required || found.Required
		if found.PresenceValue != "" {
			f.changed(f.field(field), "${%s:+…} has no like here: it is taken for ${%s}", name, name)
		}
	}
	named, err := template.SubstituteWithOptions(text, func(name string) (string, bool) { return "{{" + name + "}}", true }, template.WithoutLogging)
	if err != nil {
		return "", f.at(f.field(field), "%.100q is no text with variables as Compose writes them; a plain $ is $$", text)
	}
	return strings.ReplaceAll(named, "$", "$$"), nil
}

// variable gives the one of that name, new if need be.
func (f *file) variable(name string) *variable {
	v := f.vars[name]
	if v == nil {
		v = &variable{Variable: image.Variable{Name: name}, at: len(f.text)}
		if at := f.index(name); at >= 0 {
			v.at = at
		}
		f.vars[name] = v
	}
	return v
}

// index is where the text first has the name as a word; -1 for nowhere.
func (f *file) index(name string) int {
	for from := 0; ; {
		at := strings.Index(f.text[from:], name)
		if at < 0 {
			return -1
		}
		at += from
		end := at + len(name)
		if (at == 0 || !isWord(f.text[at-1])) && (end == len(f.text) || !isWord(f.text[end])) {
			return at
		}
		from = at + 1
	}
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// settle gives defaults that themselves name a variable their last word.
func (f *file) settle() {
	for _, v := range f.vars {
		text, err := template.SubstituteWithOptions(v.Default, nothing, template.WithoutLogging)
		if err == nil && text != v.Default {
			v.Default = text
		}
	}
}

// sorted are the variables as the file names them.
func (f *file) sorted() []image.Variable {
	list := make([]*variable, 0, len(f.vars))
	for _, v := range f.vars {
		list = append(list, v)
	}
	slices.SortFunc(list, func(a, b *variable) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.Name, b.Name)) })
	out := make([]image.Variable, 0, len(list))
	for _, v := range list {
		if secretName.MatchString(v.Name) {
			v.Secret = true
			f.changed(f.field("environment."+v.Name), "by its name it is a secret: its value is never shown")
		}
		out = append(out, v.Variable)
	}
	return out
}

// secretName is what names of secrets end with.
var secretName = regexp.MustCompile(`(?i)(^|_)(PASSWORD|PASSWD|PASS|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY|SECRET_?KEY)$`)
