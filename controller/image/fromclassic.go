package image

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

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

// classicFields are those that mean something here.
var classicFields = []string{
	"Id", "Name", "Description", "Author", "AuthorName", "Image", "AltImages", "Cmd", "Env", "StopCommand", "StartedMessage", "features", "Scripts",
	"ConfigFilePath", "ConfigFileContent", "Variables", "Meta", classicOverlay,
}

// Read reads both shapes.
func (classicReader) Read(_ string, text []byte) (Reading, error) {
	r := Reading{Format: FormatClassic, Silent: []Part{PartSecrets, PartPull, PartCrash, PartGrace}}
	var c struct {
		Classic
		Berth map[string]any `json:"Berth"`
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if err := json.Unmarshal(text, &c); err != nil {
		return r, unreadable(text, err)
	}
	r.Image.Name = strings.TrimSpace(c.Name)
	if c.Name == "" || c.Image == "" {
		return r, problem.New(problem.Validation, "this is not a classic image: it needs at least Name and Image")
	}
	r.Image.Definition = c.definition()
	d := &r.Image.Definition
	d.Source = &Source{Format: FormatClassic, Name: r.Image.Name}
	if d.ConfigFile != nil {
		r.Ignored = append(r.Ignored, "ConfigFilePath", "ConfigFileContent")
	}
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		return r, unreadable(text, err)
	}
	for name, value := range all {
		known := func(field string) bool { return strings.EqualFold(field, name) }
		if !slices.ContainsFunc(classicFields, known) && value != nil {
			d.keep(name, value)
			r.Ignored = append(r.Ignored, name)
		}
	}
	slices.Sort(r.Ignored)
	if !strings.ContainsAny(d.StopCommand, "\r\n") { // several lines are a mistake, not a habit
		stop, repaired := repairStop(d.StopCommand)
		if repaired != "" {
			r.Changes = append(r.Changes, "StopCommand: "+repaired)
		}
		d.StopCommand = stop
	}
	if c.Berth != nil {
		r.Silent = nil
		if err := d.apply(c.Berth); err != nil {
			return r, err
		}
	}
	return r, inClassic(text, r.Image.check())
}

// classicNames are the classic form's words for what a check names by ours.
var classicNames = map[string]string{
	"name": "Name", "references": "Image", "command_line": "Cmd", "env": "Env", "stop_command": "StopCommand", "ready_line": "StartedMessage",
	"variables": "Variables", "install": "Scripts", "description": "Description", "kept": "",
}

// inClassic says of a mistake where it stands in the file.
func inClassic(text []byte, err error) error {
	if err == nil {
		return nil
	}
	p := *problem.From(err)
	if len(p.Fields) != 1 || classicNames[p.Fields[0].Field] == "" {
		return err
	}
	name := classicNames[p.Fields[0].Field]
	p.Message = name + ": " + p.Fields[0].Message
	p.Fields = []problem.Field{{Field: name, Message: p.Fields[0].Message}}
	if at := bytes.Index(text, []byte(`"`+name+`"`)); at >= 0 {
		p.Message = fmt.Sprintf("line %d: %s", 1+bytes.Count(text[:at], []byte("\n")), p.Message)
	}
	return &p
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
