package egg

import (
	"slices"
	"strings"
	"unicode"
)

func (r *reader) config(n *node) {
	if n = r.unpack(n, "config"); n.none() {
		return
	}
	if n.kind != object {
		r.fail(n, "config", "it must be an object, not %s", kindNames[n.kind])
		return
	}
	r.unknown(n, []string{"files", "startup", "logs", "stop"}, "config")
	r.files(r.unpack(n.get("files"), "config.files"))
	r.startup(n.get("startup"))
	logs := n.get("logs")
	for !logs.none() && logs.kind == text {
		packed, err := parseJSON([]byte(logs.text))
		if err != nil {
			break
		}
		logs = packed
	}
	if !logs.none() {
		r.keep(logs, "config", "logs")
	}
	r.egg.Stop = strings.TrimSpace(r.text(n.get("stop"), "config.stop"))
}

// unpack reads JSON inside of text; what is no text stays.
func (r *reader) unpack(n *node, field string) *node {
	if n == nil || n.kind != text {
		return n
	}
	inner := strings.TrimSpace(n.text)
	if inner == "" || inner == "null" {
		return nil
	}
	if inner[0] != '{' && inner[0] != '[' && inner[0] != '"' {
		r.fail(n, field, "the text must be JSON, and is %.40q", inner)
		return nil
	}
	out, err := parseJSON([]byte(n.text))
	if err != nil {
		r.fail(n, field, "in the text, line %d: %s", err.Line, err.Reason)
		return nil
	}
	out.move(n.line)
	if out.kind == text { // packed twice
		return r.unpack(out, field)
	}
	return out
}

// move puts a node and all in it on one line: where the text stands in the file.
func (n *node) move(line int) {
	n.line = line
	for _, item := range n.items {
		item.move(line)
	}
	for _, f := range n.fields {
		f.value.move(line)
	}
}

// startup reads what says that it is up; a text that holds no object is such a
// line itself.
func (r *reader) startup(n *node) {
	if n != nil && n.kind == text && strings.TrimSpace(n.text) != "" && !strings.HasPrefix(strings.TrimSpace(n.text), "{") {
		if packed, err := parseJSON([]byte(n.text)); err == nil && (packed.kind == text || packed.none()) {
			packed.move(n.line)
			n = packed // twice, or nothing
		} else {
			r.changed("config.startup", "it is no object, and read as its done")
			r.done(n)
			return
		}
	}
	if n = r.unpack(n, "config.startup"); n.none() {
		return
	}
	if n.kind != object {
		r.fail(n, "config.startup", "it must be an object, not %s", kindNames[n.kind])
		return
	}
	r.unknown(n, []string{"done"}, "config", "startup")
	r.done(n.get("done"))
}

// done reads the lines themselves, also as a list of JSON inside of text.
func (r *reader) done(n *node) {
	if n != nil && n.kind == text && strings.HasPrefix(strings.TrimSpace(n.text), "[") {
		if lines, err := parseJSON([]byte(n.text)); err == nil && !slices.ContainsFunc(lines.items, func(l *node) bool { return l.kind != text }) {
			n = lines
		}
	}
	for _, line := range r.texts(n, "config.startup.done") {
		first, _, more := strings.Cut(strings.Trim(line, "\r\n"), "\n")
		first = strings.TrimSuffix(first, "\r")
		if more {
			r.changed("config.startup.done", "a line of the console is one line: %.80q", first)
		}
		if strings.TrimSpace(first) != "" {
			r.egg.Done = append(r.egg.Done, first)
		}
	}
}

func (r *reader) files(n *node) {
	if n.none() {
		return
	}
	if n.kind != object {
		r.fail(n, "config.files", "it must be an object, not %s", kindNames[n.kind])
		return
	}
	if len(n.fields) > mostFiles {
		r.fail(n, "config.files", "at most %d", mostFiles)
		return
	}
	for _, f := range n.fields {
		if f.value.none() {
			continue
		}
		field := "config.files." + f.name
		if f.value.kind != object {
			r.fail(f.value, field, "it must be an object, not %s", kindNames[f.value.kind])
			return
		}
		if strings.TrimSpace(f.name) == "" || strings.ContainsFunc(f.name, unicode.IsControl) || slices.Contains(strings.Split(f.name, "/"), "..") {
			r.fail(f.value, field, "it must be a path inside of the volume: without .. and control characters")
		}
		path := r.upgrade(f.name)
		r.unknown(f.value, []string{"parser", "find"}, "config", "files", path)
		file := File{Path: path, Parser: strings.ToLower(strings.TrimSpace(r.text(f.value.get("parser"), field+".parser")))}
		file.Find = r.find(f.value.get("find"), field+".find")
		r.egg.Files = append(r.egg.Files, r.parser(f.value, file, field))
	}
}

var parsers = map[string]string{
	"file": "file", "properties": "properties", "ini": "ini", "json": "json", "yaml": "yaml", "yml": "yaml", "xml": "xml", "toml": "toml",
}

// parser names the parser as we do.
func (r *reader) parser(n *node, f File, field string) File {
	known, there := parsers[f.Parser]
	switch {
	case !there:
		r.fail(n, field+".parser", "%.40q is none of file, properties, ini, json, yaml, xml, toml", f.Parser)
	case known != f.Parser:
		r.changed(field+".parser", "%s is %s", f.Parser, known)
	}
	f.Parser = known
	return f
}

func (r *reader) find(n *node, field string) []Find {
	if n.none() {
		return nil
	}
	if n.kind != object {
		r.fail(n, field, "it must be an object, not %s", kindNames[n.kind])
		return nil
	}
	if len(n.fields) > mostFinds {
		r.fail(n, field, "at most %d values", mostFinds)
		return nil
	}
	var out []Find
	for _, f := range n.fields {
		match := r.upgrade(f.name)
		if match == "" || strings.ContainsAny(match, "\r\n") {
			r.fail(f.value, field, "what is looked for is text of one line")
		}
		if f.value.kind != object {
			out = append(out, Find{Match: match, Value: r.replacement(f.value, field+"."+f.name)})
			continue
		}
		if len(out)+len(f.value.fields) > mostFinds {
			r.fail(n, field, "at most %d values", mostFinds)
			return nil
		}
		for _, one := range f.value.fields { // old value → new value
			out = append(out, Find{Match: match, If: r.upgrade(one.name), Value: r.replacement(one.value, field+"."+f.name+"."+one.name)})
		}
	}
	return out
}

// replacement reads a value that is put into a file, with its type.
func (r *reader) replacement(n *node, field string) any {
	switch n.kind {
	case text:
		return r.upgrade(r.text(n, field))
	case list, object:
		r.fail(n, field, "a value must be text, a number, true, false or nothing, not %s", kindNames[n.kind])
		return nil
	default:
		return n.value()
	}
}

var upgrades = []struct{ old, now string }{
	{"server.build.env.SERVER_IP", "server.allocations.default.ip"},
	{"server.build.default.ip", "server.allocations.default.ip"},
	{"server.build.env.SERVER_PORT", "server.allocations.default.port"},
	{"server.build.default.port", "server.allocations.default.port"},
	{"server.build.env.SERVER_MEMORY", "server.build.memory_limit"},
	{"server.build.memory", "server.build.memory_limit"},
}

// upgrade writes an older version's placeholders as today's.
func (r *reader) upgrade(s string) string {
	if !strings.Contains(s, "{{") {
		return s
	}
	out := placeholder.ReplaceAllStringFunc(s, func(m string) string {
		name := placeholder.FindStringSubmatch(m)[1]
		for _, u := range upgrades {
			if name == u.old {
				return "{{" + u.now + "}}"
			}
		}
		for _, prefix := range []string{"server.build.env.", "server.build.environment."} {
			if rest, ok := strings.CutPrefix(name, prefix); ok {
				return "{{server.environment." + rest + "}}"
			}
		}
		return m
	})
	if out != s && !r.old {
		r.old = true
		r.changed("config.files", "placeholders of older versions are written as today's")
	}
	return out
}
