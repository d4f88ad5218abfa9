package image

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/berth-panel/berth/controller/image/name"
	"github.com/berth-panel/berth/shared/problem"
)

// FormatClassic is what the classic form is called.
const FormatClassic = "classic"

// classicOverlay is the field for what the classic form has no word for.
const classicOverlay = "Berth"

// classicReader reads the classic JSON form.
type classicReader struct{}

func (classicReader) Format() string { return FormatClassic }

// Reads goes by the names that only classic images have.
func (classicReader) Reads(text []byte) bool {
	var keys map[string]json.RawMessage
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if json.Unmarshal(text, &keys) != nil {
		return bytes.Contains(text, []byte(`"AltImages"`)) || bytes.Contains(text, []byte(`"StopCommand"`)) || bytes.Contains(text, []byte(`"StartedMessage"`))
	}
	votes := 0
	for _, name := range []string{"Name", "Image", "AltImages", "Cmd", "Scripts", "StopCommand", "StartedMessage", "Variables", "AuthorName", "Env"} {
		if _, there := keys[name]; there {
			votes++
		}
	}
	return votes >= 2
}

// form is the fields of an object that mean something here, with theirs; "*" is any.
type form map[string]form

var classicForm = form{
	"id": nil, "name": nil, "description": nil, "author": nil, "authorname": nil, "image": nil, "altimages": nil, "cmd": nil, "env": nil, "stopcommand": nil,
	"startedmessage": nil, "features": nil, "configfilepath": nil, "configfilecontent": nil, strings.ToLower(classicOverlay): nil,
	"scripts": {"install": {"url": nil, "renameto": nil, "uri": nil, "path": nil}}, "meta": {"version": nil},
	"variables": {"*": {"type": nil, "default": nil, "required": nil, "description": nil}},
}

// unknown gives what of an object is none of the form, with its structure, and its
// paths.
func (f form) unknown(object map[string]any, at string) (rest map[string]any, paths []string) {
	for field, value := range object {
		of, known := f[strings.ToLower(field)]
		if each, there := f["*"]; there {
			of, known = each, true
		}
		var below []string
		switch inner := value.(type) {
		case nil:
			continue
		case map[string]any:
			if known && of != nil {
				value, below = of.unknown(inner, at+field+".")
			}
		case []any:
			for n, item := range inner {
				if one, isObject := item.(map[string]any); isObject && of != nil {
					_, more := of.unknown(one, fmt.Sprintf("%s%s[%d].", at, field, n))
					below = append(below, more...)
				}
			}
		}
		switch {
		case !known:
			paths = append(paths, at+field)
		case len(below) == 0:
			continue
		default:
			paths = append(paths, below...)
		}
		if rest == nil {
			rest = map[string]any{}
		}
		rest[field] = value
	}
	return rest, paths
}

// Read reads both shapes.
func (classicReader) Read(_ string, text []byte) (Reading, error) {
	r := Reading{Format: FormatClassic, Silent: silent(nil)}
	var c struct {
		Classic
		Berth map[string]any `json:"Berth"`
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if err := json.Unmarshal(text, &c); err != nil {
		return r, unreadable(text, err)
	}
	change := func(field, format string, args ...any) {
		r.Changes = append(r.Changes, field+": "+fmt.Sprintf(format, args...))
	}
	r.Image.Name = name.Clean(c.Name)
	if r.Image.Name == "" || strings.TrimSpace(c.Image) == "" {
		return r, problem.New(problem.Validation, "this is not a classic image: it needs at least Name and Image")
	}
	if r.Image.Name != strings.TrimSpace(c.Name) {
		change("Name", "%.200q is read as %q", c.Name, r.Image.Name)
	}
	r.Image.Definition = c.definition()
	d := &r.Image.Definition
	d.Source = &Source{Format: FormatClassic, Name: r.Image.Name}
	d.mendClassic(change)
	if d.ConfigFile != nil {
		r.Ignored = append(r.Ignored, "ConfigFilePath", "ConfigFileContent")
	}
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		return r, unreadable(text, err)
	}
	rest, ignored := classicForm.unknown(all, "")
	for field, value := range rest {
		d.keep(field, value)
	}
	r.Ignored = append(r.Ignored, ignored...)
	slices.Sort(r.Ignored)
	if c.Berth != nil {
		r.Silent = silent(c.Berth)
		if err := d.apply(c.Berth); err != nil {
			return r, err
		}
	}
	return r, inFile(text, r.Image.check(), classicNames)
}

// mendClassic makes usable what others take as it is.
func (d *Definition) mendClassic(change func(field, format string, args ...any)) {
	d.Description = shortened(d.Description, "Description", change)
	var refs []string
	for _, ref := range d.References {
		clean := strings.TrimSpace(ref)
		if clean == "" {
			change("AltImages", "an empty one is left out")
			continue
		}
		if clean != ref {
			change("Image", "%q is read as %q", ref, clean)
		}
		refs = append(refs, clean)
	}
	d.References = refs
	d.ReadyLine = strings.Trim(d.ReadyLine, "\r\n")
	if err := checkReadyLine("StartedMessage", d.ReadyLine); err != nil && d.ReadyLine != "" {
		change("StartedMessage", "it is left out: %s", problem.From(err).Fields[0].Message)
		d.ReadyLine = ""
	}
	if strings.ContainsAny(d.StopCommand, "\r\n") { // several lines are a mistake, not a habit
		return
	}
	stop, repaired := repairStop(d.StopCommand)
	if repaired != "" {
		change("StopCommand", "%s", repaired)
	}
	d.StopCommand = stop
}

// classicNames are the classic form's words for what a check names by ours.
var classicNames = map[string]string{
	"name": "Name", "references": "Image", "command_line": "Cmd", "command": "Cmd", "env": "Env", "stop_command": "StopCommand", "ready_line": "StartedMessage",
	"variables": "Variables", "install": "Scripts", "description": "Description", "author": "Author", "author_name": "AuthorName", "features": "features",
	"config_file": "ConfigFileContent", "release": "Meta",
}

func (c Classic) definition() Definition {
	d := Definition{
		Description: c.Description, Author: c.Author, AuthorName: c.AuthorName, References: []string{c.Image},
		Command: c.Cmd.words, CommandLine: c.Cmd.line, Env: c.Env, StopCommand: c.StopCommand, ReadyLine: c.StartedMessage,
		Features: c.Features, Variables: c.Variables,
	}
	for _, alt := range c.AltImages {
		if alt != c.Image {
			d.References = append(d.References, alt)
		}
	}
	for _, s := range c.Scripts.Install {
		d.Install = append(d.Install, Download{URI: s.URI, Path: s.Path})
	}
	if o := c.Scripts.Older; o != nil && o.URL != "" {
		path := o.Rename
		if path == "" {
			path = o.URL[strings.LastIndexByte(o.URL, '/')+1:]
		}
		d.Install = append(d.Install, Download{URI: o.URL, Path: path})
	}
	if c.ConfigFilePath != "" {
		d.ConfigFile = &File{Path: c.ConfigFilePath, Content: c.ConfigContent}
	}
	if c.Meta != nil {
		d.Release = string(c.Meta.Version)
	}
	return d
}

// classicFile writes an image in the classic form. What that has no word for
// stands in a field of its own, which others leave alone.
func classicFile(i Image) ([]byte, error) {
	c := i.ToClassic()
	plain, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	back, err := (classicReader{}).Read("", plain)
	if err != nil {
		return nil, err
	}
	over, err := overlay(i.Definition, back.Image.Definition)
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(struct {
		Classic
		Berth map[string]any `json:"Berth,omitempty"`
	}{c, over}, "", "    ")
}
