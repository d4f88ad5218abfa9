package image

import (
	"strings"
	"time"

	"github.com/berth-panel/berth/controller/image/egg"
)

// installer runs what is downloaded for panels that know scripts alone.
const installer = "alpine:3"

// eggFile writes an image as PLCN_v3.
func eggFile(i Image, icon *Icon, at time.Time, asYAML bool) ([]byte, error) {
	e := toEgg(i, icon)
	text, err := e.JSON(at)
	if err != nil {
		return nil, err
	}
	back, err := (eggReader{}).Read("", text)
	if err != nil {
		return nil, err
	}
	over, err := overlay(i.Definition, back.Image.Definition)
	if err != nil {
		return nil, err
	}
	if over != nil {
		e.Kept = without(e.Kept, overlayKey)
		if e.Kept == nil {
			e.Kept = map[string]any{}
		}
		e.Kept[overlayKey] = over
	}
	if asYAML {
		return e.YAML(at)
	}
	return e.JSON(at)
}

// toEgg says of an image what an egg can say, so that other panels can use it as
// far as they know how.
func toEgg(i Image, icon *Icon) *egg.Egg {
	e := &egg.Egg{Name: i.Name, Author: i.Author, Description: i.Description, Tags: i.Tags, Features: i.Features, Stop: i.StopCommand, Kept: i.Kept}
	if s := i.Source; s != nil {
		e.UUID, e.UpdateURL = s.UUID, s.UpdateURL
	} else {
		e.UUID = string(i.ID)
	}
	if icon != nil {
		e.Icon = icon.address()
	}
	for n, ref := range i.References {
		one := egg.Image{Label: ref, Reference: ref}
		if n < len(i.Labels) && i.Labels[n] != "" {
			one.Label = i.Labels[n]
		}
		e.Images = append(e.Images, one)
	}
	for _, c := range i.startups() {
		e.Commands = append(e.Commands, egg.Command{Name: c.Name, Line: c.Line})
	}
	if i.ReadyLine != "" {
		e.Done = append(e.Done, i.ReadyLine)
	}
	e.Done = append(e.Done, i.ReadyLines...)
	if s := i.Script; s != nil {
		e.Script = &egg.Script{Text: s.Text, Container: s.Image, Entrypoint: s.Entrypoint}
	} else if len(i.Install) > 0 {
		e.Script = downloads(i.Install)
	}
	for _, p := range i.Patches {
		f := egg.File{Path: p.Path, Parser: string(p.Parser)}
		for _, s := range p.Set {
			f.Find = append(f.Find, egg.Find{Match: s.Match, Value: s.Value, If: s.If})
		}
		e.Files = append(e.Files, f)
	}
	e.Variables = eggVariables(i.Definition)
	return e
}

// startups are the image's start commands, however it says them.
func (d Definition) startups() []Startup {
	switch {
	case len(d.Commands) > 0:
		return d.Commands
	case d.CommandLine != "":
		return []Startup{{Name: egg.DefaultCommand, Line: d.CommandLine}}
	case len(d.Command) > 0:
		words := make([]string, len(d.Command))
		for n, w := range d.Command {
			words[n] = shellWord(w)
		}
		return []Startup{{Name: egg.DefaultCommand, Line: strings.Join(words, " ")}}
	}
	return nil
}

func eggVariables(d Definition) []egg.Variable {
	var out []egg.Variable
	taken := map[string]bool{}
	for _, v := range d.Variables {
		one := egg.Variable{Name: v.Label, Description: v.Description, Env: v.Name, Default: v.Default, Viewable: !v.Hidden, Editable: !v.Locked, Rules: v.Rules, Type: v.Type}
		if one.Name == "" {
			one.Name = v.Name
		}
		if len(v.Rules) == 0 && v.Required {
			one.Rules = []string{"required"}
		}
		taken[v.Name] = true
		out = append(out, one)
	}
	for _, e := range d.Env { // of which eggs know no more than a variable that nobody sees
		if name, value, _ := strings.Cut(e, "="); !taken[name] && !strings.Contains(value, "{{") {
			out = append(out, egg.Variable{Name: name, Env: name, Default: value})
		}
	}
	return out
}

// downloads is a script that does what an install by downloads does.
func downloads(files []Download) *egg.Script {
	var b strings.Builder
	b.WriteString("#!/bin/ash\nset -e\ncd /mnt/server\n")
	for _, f := range files {
		b.WriteString("wget -O " + shellWord(f.Path) + " " + shellWord(f.URI) + "\n")
	}
	return &egg.Script{Text: b.String(), Container: installer, Entrypoint: "ash"}
}

// shellWord quotes a word for a shell; the names of variables in it are read as
// values.
func shellWord(w string) string {
	if plainWord(w) {
		return w
	}
	var b strings.Builder
	rest := w
	for {
		at := placeholder.FindStringSubmatchIndex(rest)
		if at == nil || !shellName.MatchString(rest[at[2]:at[3]]) {
			break
		}
		b.WriteString(quoted(rest[:at[0]]) + `"${` + rest[at[2]:at[3]] + `}"`)
		rest = rest[at[1]:]
	}
	if word := b.String() + quoted(rest); word != "" {
		return word
	}
	return "''"
}

func plainWord(w string) bool {
	return w != "" && !strings.ContainsFunc(w, func(r rune) bool {
		return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:=@%+,-", r)
	})
}

func quoted(s string) string {
	if s == "" {
		return ""
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
