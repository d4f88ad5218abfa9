package image

import (
	"fmt"
	"strings"

	"github.com/berth-panel/berth/shared/problem"
)

// How many there may be of each, and how long some are, in bytes.
const (
	maxVariables = 1000
	maxRules     = 50
	maxTags      = 50
	maxWords     = 1000 // of a command, of the environment, features
	maxDownloads = 200
	maxLine      = 4000
	maxFile      = 1 << 20
	maxGrace     = 3600 // seconds
)

func (d Definition) checkVariables() error {
	if len(d.Variables) > maxVariables {
		return problem.Invalid("variables", "at most %d", maxVariables)
	}
	seen := map[string]bool{}
	for _, v := range d.Variables {
		switch {
		case !variableName.MatchString(v.Name):
			return problem.Invalid("variables", "%.80q is no name of a variable: no control characters, no = { }", v.Name)
		case seen[v.Name]:
			return problem.Invalid("variables", "%s is there twice", v.Name)
		case strings.ContainsRune(v.Default, 0):
			return problem.Invalid("variables", "the default of %s holds a NUL character", v.Name)
		case len(v.Rules) > maxRules:
			return problem.Invalid("variables", "%s has more than %d rules", v.Name, maxRules)
		}
		for _, text := range append([]string{v.Label, v.Type, v.Default, v.Description}, v.Rules...) {
			if len(text) > maxText {
				return problem.Invalid("variables", "a text of %s has more than %d bytes", v.Name, maxText)
			}
		}
		seen[v.Name] = true
	}
	return nil
}

// checkBounds refuses what no image needs that much of.
func (d Definition) checkBounds() error {
	if d.StopGraceSeconds < 0 || d.StopGraceSeconds > maxGrace {
		return problem.Invalid("stop_grace_seconds", "0 to %d", maxGrace)
	}
	for _, l := range []struct {
		field string
		list  []string
		most  int
		size  int
	}{
		{"tags", d.Tags, maxTags, maxLine}, {"features", d.Features, maxWords, maxLine}, {"references", d.References, 100, maxLine}, {"labels", d.Labels, 100, maxLine},
		{"command", d.Command, maxWords, maxText}, {"entrypoint", d.Entrypoint, 100, maxText}, {"env", d.Env, maxWords, maxText},
		{"description", []string{d.Description}, 1, maxText}, {"author", []string{d.Author}, 1, maxLine}, {"author_name", []string{d.AuthorName}, 1, maxLine},
		{"command_line", []string{d.CommandLine}, 1, maxText}, {"stop_command", []string{d.StopCommand}, 1, maxText}, {"release", []string{d.Release}, 1, maxLine},
	} {
		if err := bound(l.field, l.list, l.most, l.size); err != nil {
			return err
		}
	}
	if s := d.Source; s != nil {
		if err := bound("source", []string{s.Format, s.UUID, s.UpdateURL, s.Name}, 4, maxLine); err != nil {
			return err
		}
	}
	if f := d.ConfigFile; f != nil && (len(f.Path) > maxLine || len(f.Content) > maxFile) {
		return problem.Invalid("config_file", "at most %d bytes", maxFile)
	}
	return d.checkDownloads()
}

// shortened cuts a description of a file that is too long.
func shortened(text, field string, change func(field, format string, args ...any)) string {
	if len(text) <= maxText {
		return text
	}
	change(field, "only its first %d KiB are taken", maxText>>10)
	return strings.ToValidUTF8(text[:maxText], "")
}

// bound refuses too many of a list, and one of it that is too long.
func bound(field string, list []string, most, size int) error {
	if len(list) > most {
		return problem.Invalid(field, "at most %d", most)
	}
	for n, text := range list {
		if len(text) <= size {
			continue
		}
		if most > 1 {
			return problem.Invalid(fmt.Sprintf("%s[%d]", field, n), "at most %d bytes", size)
		}
		return problem.Invalid(field, "at most %d bytes", size)
	}
	return nil
}

func (d Definition) checkDownloads() error {
	if len(d.Install) > maxDownloads {
		return problem.Invalid("install", "at most %d steps", maxDownloads)
	}
	for _, s := range d.Install {
		switch {
		case s.URI == "" || s.Path == "" || strings.ContainsRune(s.Path, 0):
			return problem.Invalid("install", "every step needs a uri and a path")
		case len(s.URI) > maxLine || len(s.Path) > maxLine:
			return problem.Invalid("install", "a uri and a path have at most %d bytes", maxLine)
		}
	}
	return nil
}
