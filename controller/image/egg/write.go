package egg

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// comment stands at the head of a file, as others write it.
const comment = "DO NOT EDIT: FILE GENERATED AUTOMATICALLY BY PANEL"

// JSON writes the egg as PLCN_v3; at is when it is exported.
func (e *Egg) JSON(at time.Time) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "    ")
	err := enc.Encode(ordered(e.tree(at)))
	return b.Bytes(), err
}

// YAML writes the egg as PLCN_v3; at is when it is exported.
func (e *Egg) YAML(at time.Time) ([]byte, error) {
	var w yamlWriter
	err := w.object(e.tree(at), 0)
	return w.b.Bytes(), err
}

// item is shorthand for a field in its place.
func item(key string, value any) yaml.MapItem { return yaml.MapItem{Key: key, Value: value} }

// tree is the file: yaml.MapSlice for objects, so that their order stays.
func (e *Egg) tree(at time.Time) yaml.MapSlice {
	e = e.distinct()
	var images, commands, files, script yaml.MapSlice
	for _, i := range e.Images {
		images = append(images, item(i.Label, i.Reference))
	}
	for _, c := range e.Commands {
		commands = append(commands, item(c.Name, c.Line))
	}
	for _, f := range e.Files {
		files = append(files, item(f.Path, yaml.MapSlice{item("parser", f.Parser), item("find", findings(f.Find))}))
	}
	if e.Script != nil {
		script = yaml.MapSlice{item("script", e.Script.Text), item("container", e.Script.Container), item("entrypoint", e.Script.Entrypoint)}
	}
	var done any = ""
	switch {
	case len(e.Done) == 1 && !strings.HasPrefix(e.Done[0], "["): // which would be read as a list
		done = e.Done[0]
	case len(e.Done) > 0:
		done = e.Done
	}
	meta := yaml.MapSlice{item("version", string(PLCN3)), item("update_url", orNothing(e.UpdateURL))}
	out := yaml.MapSlice{item("_comment", comment), item("meta", meta), item("exported_at", at.UTC().Format(time.RFC3339)), item("name", e.Name), item("author", e.Author)}
	if e.UUID != "" {
		out = append(out, item("uuid", e.UUID))
	}
	out = append(out, item("description", e.Description), item("icon", orNothing(e.Icon)), item("tags", orEmpty(e.Tags)), item("features", orEmpty(e.Features)),
		item("docker_images", orObject(images)), item("file_denylist", []string{}), item("startup_commands", orObject(commands)),
		item("config", yaml.MapSlice{item("files", orObject(files)), item("startup", yaml.MapSlice{item("done", done)}), item("logs", yaml.MapSlice{}), item("stop", e.Stop)}),
		item("scripts", yaml.MapSlice{item("installation", orObject(script))}), item("variables", e.variableItems()))
	return merged(out, e.Kept, "")
}

func (e *Egg) variableItems() []yaml.MapSlice {
	out := make([]yaml.MapSlice, 0, len(e.Variables))
	for n, v := range e.Variables {
		m := yaml.MapSlice{item("name", v.Name), item("description", v.Description), item("env_variable", v.Env), item("default_value", v.Default),
			item("user_viewable", v.Viewable), item("user_editable", v.Editable), item("rules", orEmpty(v.Rules)), item("sort", n+1)}
		if v.Type != "" {
			m = append(m, item("field_type", v.Type))
		}
		if of, ok := e.Kept["variables"].(map[string]any); ok {
			if kept, ok := of[v.Env].(map[string]any); ok {
				m = merged(m, kept, "variables")
			}
		}
		out = append(out, m)
	}
	return out
}

// findings are the values by their matches, which stand together.
func findings(all []Find) yaml.MapSlice {
	out := yaml.MapSlice{}
	for _, f := range all {
		if f.If == "" {
			out = append(out, item(f.Match, f.Value))
			continue
		}
		last := len(out) - 1
		if last < 0 || out[last].Key != f.Match {
			out, last = append(out, item(f.Match, yaml.MapSlice{})), last+1
		}
		if of, ok := out[last].Value.(yaml.MapSlice); ok {
			out[last].Value = append(of, item(f.If, f.Value))
		}
	}
	return out
}

func orNothing(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// orObject is an object also when it has no field.
func orObject(m yaml.MapSlice) yaml.MapSlice {
	if m == nil {
		return yaml.MapSlice{}
	}
	return m
}

// merged puts what was kept into its place; below is the path of m.
func merged(m yaml.MapSlice, kept map[string]any, below string) yaml.MapSlice {
	names := make([]string, 0, len(kept))
	for name := range kept {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if below == "" && name == "variables" {
			continue // each in its variable
		}
		at := slices.IndexFunc(m, func(i yaml.MapItem) bool { return i.Key == name })
		if at < 0 {
			m = append(m, item(name, kept[name]))
			continue
		}
		inner, isObject := m[at].Value.(yaml.MapSlice)
		of, isMap := kept[name].(map[string]any)
		if isObject && isMap {
			m[at].Value = merged(inner, of, fmt.Sprint(below, ".", name))
		} else {
			m[at].Value = kept[name]
		}
	}
	return m
}

// ordered lets encoding/json write objects in their order.
type ordered yaml.MapSlice

// MarshalJSON writes the object.
func (o ordered) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := plain(fmt.Sprint(f.Key))
		if err != nil {
			return nil, err
		}
		value := f.Value
		switch v := value.(type) {
		case yaml.MapSlice:
			value = ordered(v)
		case []yaml.MapSlice:
			list := make([]ordered, len(v))
			for n := range v {
				list[n] = ordered(v[n])
			}
			value = list
		}
		raw, err := plain(value)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(raw)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// plain marshals without the escapes that are for web pages.
func plain(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimRight(b.Bytes(), "\n"), err
}
