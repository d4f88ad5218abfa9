package image

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	maxScript   = 1 << 20 // bytes of an install script
	maxKept     = 1 << 20 // bytes of what is kept of a file, as JSON
	maxPatches  = 100
	maxSets     = 2000
	maxCommands = 50
)

var patchParsers = []wire.PatchParser{
	wire.PatchFile, wire.PatchProperties, wire.PatchINI, wire.PatchJSON, wire.PatchYAML, wire.PatchXML, wire.PatchTOML,
}

// checkStart says what is wrong with how the image is chosen, started, patched
// and installed.
func (d Definition) checkStart() error {
	switch {
	case len(d.Labels) > len(d.References):
		return problem.Invalid("labels", "there are more labels than references")
	case d.Launch != "" && d.Launch != LaunchCommand && d.Launch != LaunchEntrypoint:
		return problem.Invalid("launch", "must be command or entrypoint")
	case d.Pull != "" && d.Pull != wire.PullMissing && d.Pull != wire.PullAlways && d.Pull != wire.PullNever:
		return problem.Invalid("pull", "must be missing, always or never")
	case len(d.Commands) > 0 && (len(d.Command) > 0 || d.CommandLine != ""):
		return problem.Invalid("commands", "give either commands, command or command_line")
	case len(d.Commands) > maxCommands:
		return problem.Invalid("commands", "at most %d", maxCommands)
	}
	names := map[string]bool{}
	for n, c := range d.Commands {
		field := fmt.Sprintf("commands[%d]", n)
		switch {
		case c.Name == "" || utf8.RuneCountInString(c.Name) > 200 || hasControl(c.Name):
			return problem.Invalid(field+".name", "1 to 200 characters, none of them a control character")
		case names[c.Name]:
			return problem.Invalid(field+".name", "%q is there twice", c.Name)
		case len(c.Line) > maxText || strings.ContainsRune(c.Line, 0):
			return problem.Invalid(field+".line", "at most %d bytes, none of them NUL", maxText)
		}
		names[c.Name] = true
	}
	if s := d.Script; s != nil {
		switch {
		case !reference.MatchString(s.Image):
			return problem.Invalid("script.image", "%.80q is not the name of a container image", s.Image)
		case strings.TrimSpace(s.Text) == "" || len(s.Text) > maxScript || strings.ContainsRune(s.Text, 0):
			return problem.Invalid("script.text", "1 to %d bytes, none of them NUL", maxScript)
		case len(s.Entrypoint) > 255 || hasControl(s.Entrypoint):
			return problem.Invalid("script.entrypoint", "at most 255 bytes, no control characters")
		}
	}
	if err := d.checkPatches(); err != nil {
		return err
	}
	if kept, err := json.Marshal(d.Kept); err != nil || len(kept) > maxKept {
		return problem.Invalid("kept", "at most %d bytes", maxKept).Because(err)
	}
	return nil
}

func (d Definition) checkPatches() error {
	if len(d.Patches) > maxPatches {
		return problem.Invalid("patches", "at most %d", maxPatches)
	}
	sets := 0
	for n, p := range d.Patches {
		field := fmt.Sprintf("patches[%d]", n)
		switch {
		case p.Path == "" || strings.HasPrefix(p.Path, "/") || len(p.Path) > 1000 || hasControl(p.Path) || slices.Contains(strings.Split(p.Path, "/"), ".."):
			return problem.Invalid(field+".path", "a path inside of the volume: not absolute, no .., at most 1000 bytes")
		case !slices.Contains(patchParsers, p.Parser):
			return problem.Invalid(field+".parser", "must be file, properties, ini, json, yaml, xml or toml")
		}
		for m, s := range p.Set {
			if err := s.check(fmt.Sprintf("%s.set[%d]", field, m)); err != nil {
				return err
			}
		}
		sets += len(p.Set)
	}
	if sets > maxSets {
		return problem.Invalid("patches", "at most %d values in all", maxSets)
	}
	return nil
}

func (s PatchSet) check(field string) error {
	switch v := s.Value.(type) {
	case nil, bool, float64, int, int64, json.Number:
	case string:
		if len(v) > maxText || strings.ContainsRune(v, 0) {
			return problem.Invalid(field+".value", "at most %d bytes, none of them NUL", maxText)
		}
	default:
		return problem.Invalid(field+".value", "must be text, a number, true, false or null")
	}
	if s.Match == "" || len(s.Match) > 1000 || strings.ContainsAny(s.Match, "\x00\n\r") {
		return problem.Invalid(field+".match", "1 to 1000 bytes of one line")
	}
	if len(s.If) > 1000 {
		return problem.Invalid(field+".if", "at most 1000 bytes")
	}
	return nil
}
