package image

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/berth-panel/berth/controller/image/egg"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// eggVolume is where images for eggs have their data.
const eggVolume = "/home/container"

// eggGrace is how long a stop of what an egg runs may take, in seconds: worlds are
// written meanwhile, and eggs have no word for it. The agents that they were
// written for wait ten minutes.
const eggGrace = 60

// overlayKey is the field of an exported file that holds what its format has no
// word for; see overlay.go.
const overlayKey = "berth"

// eggReader reads eggs.
type eggReader struct{}

func (eggReader) Format() string         { return "egg" }
func (eggReader) Reads(text []byte) bool { return egg.Is(text) }

func (eggReader) Read(_ string, text []byte) (Reading, error) {
	e, err := egg.Read(text)
	if err != nil {
		var at *egg.Error
		if !errors.As(err, &at) {
			return Reading{}, err
		}
		p := problem.New(problem.Validation, "%s", at.Error())
		if at.Field != "" {
			p.Fields = []problem.Field{{Field: at.Field, Message: at.Reason}}
		}
		return Reading{}, p
	}
	reading, err := fromEgg(e)
	return reading, inFile(text, err, eggNames)
}

// eggNames are an egg's words for what a check names by ours.
var eggNames = map[string]string{
	"name": "name", "references": "docker_images", "labels": "docker_images", "commands": "startup", "stop_command": "config.stop", "ready_line": "config.startup",
	"ready_lines": "config.startup", "patches": "config.files", "script": "scripts", "variables": "variables", "description": "description", "author": "author",
	"tags": "tags", "features": "features", "source": "meta", overlayKey: overlayKey,
}

// fromEgg makes an image of an egg.
func fromEgg(e *egg.Egg) (Reading, error) {
	r := Reading{Format: string(e.Version), Changes: slices.Clone(e.Changes), Ignored: slices.Clone(e.Ignored), Silent: silent(nil)}
	change := func(field, format string, args ...any) {
		r.Changes = append(r.Changes, field+": "+fmt.Sprintf(format, args...))
	}
	d := Definition{
		Description: e.Description, Author: e.Author, Tags: e.Tags, Features: e.Features, Launch: LaunchEntrypoint, Volume: eggVolume, StopGraceSeconds: eggGrace,
		Source: &Source{Format: string(e.Version), UpdateURL: e.UpdateURL, Name: e.Name}, Kept: e.Kept,
	}
	d.Description = shortened(d.Description, "description", change)
	if id, err := uuid.Parse(e.UUID); err == nil {
		d.Source.UUID = id.String()
	} else if e.UUID != "" {
		d.keep("uuid", e.UUID)
		r.Ignored = append(r.Ignored, "uuid")
	}
	for _, i := range e.Images {
		label := i.Label
		if label == i.Reference {
			label = ""
		}
		d.References, d.Labels = append(d.References, i.Reference), append(d.Labels, label)
	}
	d.Labels = anyText(d.Labels)
	for _, c := range e.Commands {
		d.Commands = append(d.Commands, Startup{Name: c.Name, Line: c.Line})
	}
	d.readyLines(e.Done, change)
	stop, repaired := repairStop(e.Stop)
	if repaired != "" {
		change("config.stop", "%s", repaired)
	}
	d.StopCommand = stop
	if s := e.Script; s != nil {
		d.Script = &Script{Image: s.Container, Entrypoint: s.Entrypoint, Text: s.Text}
	}
	d.patches(e.Files, change)
	for _, v := range e.Variables {
		label := v.Name
		if label == v.Env {
			label = ""
		}
		d.Variables = append(d.Variables, Variable{Name: v.Env, Label: label, Description: v.Description, Default: v.Default, Rules: v.Rules,
			Hidden: !v.Viewable, Locked: !v.Editable, Type: v.Type})
	}
	if e.Icon != "" {
		icon, err := iconOf(e.Icon)
		if err != nil {
			change("icon", "it is left out: %s", problem.From(err).Fields[0].Message)
		}
		r.Icon = icon
	}
	if over, there := d.Kept[overlayKey].(map[string]any); there {
		d.Kept = without(d.Kept, overlayKey)
		r.Ignored = slices.DeleteFunc(r.Ignored, func(s string) bool { return s == overlayKey })
		r.Silent = silent(over)
		if err := d.apply(over); err != nil {
			return r, err
		}
	}
	r.Ignored = append(r.Ignored, d.Unheld()...)
	r.Image = Image{Name: e.Name, Definition: d}
	return r, r.Image.check()
}

// keep notes a field of the file that means nothing here. Kept may be shared.
func (d *Definition) keep(name string, value any) {
	d.Kept = without(d.Kept, name)
	if d.Kept == nil {
		d.Kept = map[string]any{}
	}
	d.Kept[name] = value
}

// without is a copy without one name; nil when nothing is left.
func without(m map[string]any, name string) map[string]any {
	var out map[string]any
	for k, v := range m {
		if k != name {
			if out == nil {
				out = make(map[string]any, len(m))
			}
			out[k] = v
		}
	}
	return out
}

// anyText is nil when all of a list is empty.
func anyText(list []string) []string {
	if slices.ContainsFunc(list, func(s string) bool { return s != "" }) {
		return list
	}
	return nil
}

func (d *Definition) readyLines(lines []string, change func(field, format string, args ...any)) {
	var good []string
	for _, line := range lines {
		if err := checkReadyLine("it", line); err != nil {
			change("config.startup.done", "%.80q is left out: %s", line, problem.From(err).Fields[0].Message)
			continue
		}
		if len(good) == maxReadyLines {
			change("config.startup.done", "only the first %d lines are taken", maxReadyLines)
			break
		}
		good = append(good, line)
	}
	if len(good) == 1 {
		d.ReadyLine = good[0]
	} else {
		d.ReadyLines = good
	}
}

func (d *Definition) patches(files []egg.File, change func(field, format string, args ...any)) {
	for _, f := range files {
		path := strings.TrimLeft(strings.TrimPrefix(f.Path, "./"), "/")
		if path != f.Path {
			change("config.files."+f.Path, "its path begins at the volume: %s", path)
		}
		p := Patch{Path: path, Parser: wire.PatchParser(f.Parser)}
		for _, one := range f.Find {
			p.Set = append(p.Set, PatchSet{Match: one.Match, Value: one.Value, If: one.If})
		}
		d.Patches = append(d.Patches, p)
	}
}
