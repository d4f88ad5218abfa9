package image

import (
	"regexp"
	"strings"

	"github.com/mattn/go-shellwords"

	"github.com/berth-panel/berth/shared/problem"
)

var (
	shellName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	placeholder = regexp.MustCompile(`\{\{\s*([^{}]{1,256}?)\s*\}\}`)
)

// named calls f for each {{NAME}} of an image author's text, once: what f gives is
// not looked at again, whatever it holds. Where f knows nothing of a name, it
// stays.
func named(text string, f func(name string) (string, bool)) string {
	return placeholder.ReplaceAllStringFunc(text, func(m string) string {
		if v, known := f(placeholder.FindStringSubmatch(m)[1]); known {
			return v
		}
		return m
	})
}

// Expand puts values into an image author's text, once: a value that holds
// {{…}} stays as it is, and an unknown name too.
func Expand(text string, values map[string]string) string {
	return named(text, func(name string) (string, bool) { v, known := values[name]; return v, known })
}

// Argv is the image's first start command with the values put in; none keeps the
// container image's own.
func (d Definition) Argv(values map[string]string) ([]string, error) {
	line := d.CommandLine
	if len(d.Commands) > 0 {
		line = d.Commands[0].Line
	}
	lookup := func(name string) (string, bool) { v, known := values[name]; return v, known }
	return argv(d.Command, line, lookup, func(name string) (string, bool) { return "${" + name + "}", shellName.MatchString(name) })
}

// argv is a start command: the words as they are, or else the line. value gives
// what stands for a name; where the line needs a shell, refer gives how the shell
// reads it from the environment, so that no value is ever read as a command.
func argv(words []string, line string, value, refer func(name string) (string, bool)) ([]string, error) {
	if len(words) == 0 && strings.TrimSpace(line) != "" {
		if needsShell(line) {
			return []string{"sh", "-c", named(line, refer)}, nil
		}
		var err error
		if words, err = shellwords.Parse(protect(line)); err != nil {
			return nil, problem.Invalid("command_line", "its quotes don't match")
		}
		for i := range words {
			words[i] = unprotect(words[i])
		}
	}
	out := make([]string, 0, len(words))
	for _, w := range words {
		out = append(out, named(w, value))
	}
	return out, nil
}

var assignment = regexp.MustCompile(`^\s*[A-Za-z_][A-Za-z0-9_]*=`)

// needsShell says whether a line uses what only a shell understands.
func needsShell(line string) bool {
	return strings.ContainsAny(placeholder.ReplaceAllString(line, ""), "|&;<>()$`*?[]~#\n!") || assignment.MatchString(line)
}

// Placeholders may hold spaces; the word splitter must not see them.
func protect(line string) string {
	return placeholder.ReplaceAllStringFunc(line, func(m string) string {
		return "{{" + strings.ReplaceAll(placeholder.FindStringSubmatch(m)[1], " ", "\x01") + "}}"
	})
}

func unprotect(word string) string { return strings.ReplaceAll(word, "\x01", " ") }
