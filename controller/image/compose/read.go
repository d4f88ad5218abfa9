package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/interpolation"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"

	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/shared/problem"
)

// Reader is the image.Reader of Compose files. It is safe for concurrent use.
type Reader struct{}

// Format is "compose".
func (Reader) Format() string { return "compose" }

var servicesLine = regexp.MustCompile(`(?m)^(?:services|"services"|'services')[ \t]*:`)

// Reads says whether a text has services at its top.
func (Reader) Reads(text []byte) bool {
	trimmed := strings.TrimSpace(strings.TrimPrefix(string(text), "\ufeff"))
	if strings.HasPrefix(trimmed, "{") {
		var keys map[string]json.RawMessage
		return json.Unmarshal([]byte(trimmed), &keys) == nil && keys["services"] != nil
	}
	return servicesLine.MatchString(trimmed)
}

const (
	maxText  = 256 << 10 // bytes
	maxNodes = 5_000     // of what is taken, with what anchors repeat
	maxEach  = 1_000     // entries of one list or map
	maxValue = 8 << 10   // bytes of a text that names variables
	maxNamed = 100       // variables in it
)

// taken are the keys of a service that the parser gets to see.
var taken = []string{
	"image", "command", "entrypoint", "environment", "ports", "expose", "volumes", "stop_signal", "stop_grace_period", "tty", "restart", "pull_policy",
}

// quiet are keys of the top that need no word.
var quiet = []string{"services", "name", "version", "volumes"}

// Read gives what the file says. An error is a *problem.Problem with line and
// field.
func (Reader) Read(_ string, text []byte) (reading image.Reading, err error) {
	defer func() {
		if p := recover(); p != nil { // a parser of somebody else's, fed by strangers
			err = refused("the file can't be read").Because(fmt.Errorf("compose-go: %v", p))
		}
	}()
	if len(text) > maxText {
		return reading, refused("it is larger than %d KiB", maxText>>10)
	}
	f := &file{text: strings.TrimPrefix(string(text), "\ufeff")}
	if err := f.parse(); err != nil {
		return reading, err
	}
	if err := f.choose(); err != nil {
		return reading, err
	}
	service, err := f.load()
	if err != nil {
		return reading, err
	}
	return f.convert(service)
}

// file is one that is being read.
type file struct {
	text string

	top     map[string]any
	service string         // its name
	says    map[string]any // what it says; later only what is taken

	vars    map[string]*variable
	changes []string
	ignored []string
}

func refused(format string, args ...any) *problem.Problem {
	return problem.New(problem.Validation, "this Compose file can't be used: "+format, args...)
}

// at is refused with the field, and its line where that can be found.
func (f *file) at(field, format string, args ...any) *problem.Problem {
	where := field
	if n := f.line(field); n > 0 {
		where = fmt.Sprintf("line %d, %s", n, field)
	}
	return refused("%s: %s", where, fmt.Sprintf(format, args...))
}

// line finds where the last key of a field stands: behind its service's, where
// the file is written as most are.
func (f *file) line(field string) int {
	keys := strings.Split(field, ".")
	last := regexp.MustCompile(`^\s*(?:-\s+)?["']?` + regexp.QuoteMeta(keys[len(keys)-1]) + `["']?\s*:`)
	inside, service := len(keys) < 3, regexp.MustCompile(`^\s*["']?`+regexp.QuoteMeta(keys[min(1, len(keys)-1)])+`["']?\s*:`)
	for n, line := range strings.Split(f.text, "\n") {
		if !inside && service.MatchString(line) {
			inside = true
			continue
		}
		if inside && last.MatchString(line) {
			return n + 1
		}
	}
	return 0
}

func (f *file) changed(field, format string, args ...any) {
	f.changes = append(f.changes, field+": "+fmt.Sprintf(format, args...))
}

func (f *file) ignore(field string) { f.ignored = append(f.ignored, field) }

// field is a key of the service, as people find it.
func (f *file) field(key string) string { return "services." + f.service + "." + key }

// parse reads the document as YAML, by the parser that compose-go itself has: it
// gives up where anchors repeat more than was written.
func (f *file) parse() error {
	var raw, more any
	documents := yaml.NewDecoder(strings.NewReader(f.text))
	if err := documents.Decode(&raw); err != nil {
		return refused("%s", plain(err)).Because(err)
	}
	if err := documents.Decode(&more); !errors.Is(err, io.EOF) {
		f.changed("the file", "it holds several documents, of which only the first is read")
	}
	top, ok := raw.(map[string]any)
	if !ok {
		return refused("line 1: it must begin with names, such as services:")
	}
	f.top = top
	return nil
}

// choose finds the one service and what of it is taken.
func (f *file) choose() error {
	for _, key := range []string{"include", "extends"} {
		if f.top[key] != nil {
			return f.at(key, "it is made of several files; write it as one (docker compose config does)")
		}
	}
	services, _ := f.top["services"].(map[string]any)
	names := slices.Sorted(maps.Keys(services))
	switch len(names) {
	case 0:
		return f.at("services", "it has no service")
	case 1:
	default:
		return f.at("services", "it has %d services (%s), and an image is one container: leave one of them, and make an image of each other", len(names), strings.Join(names, ", "))
	}
	f.service = names[0]
	says, ok := services[f.service].(map[string]any)
	if !ok {
		return f.at("services."+f.service, "it says nothing")
	}
	if says["extends"] != nil {
		return f.at(f.field("extends"), "it is made of several files; write it as one (docker compose config does)")
	}
	for _, key := range slices.Sorted(maps.Keys(f.top)) {
		if !slices.Contains(quiet, key) && !strings.HasPrefix(key, "x-") {
			f.ignore(key)
		}
	}
	f.says = map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(says)) {
		if slices.Contains(taken, key) {
			f.says[key] = says[key]
		} else {
			f.ignore(f.field(key))
		}
	}
	if err := f.bound(); err != nil {
		return err
	}
	if text, _ := f.says["image"].(string); strings.TrimSpace(text) == "" {
		if says["build"] != nil {
			return f.at(f.field("build"), "Berth builds no images: build it, push it to a registry, and name it as image")
		}
		return f.at("services."+f.service, "it names no image")
	}
	return nil
}

// load puts the values in and gives the service as the parser understands it.
func (f *file) load() (types.ServiceConfig, error) {
	f.vars = map[string]*variable{}
	for _, key := range []string{"command", "entrypoint", "environment"} {
		if v, there := f.says[key]; there {
			named, err := f.name(key, v)
			if err != nil {
				return types.ServiceConfig{}, err
			}
			f.says[key] = named
		}
	}
	f.settle()
	project, err := f.project()
	if err != nil {
		return types.ServiceConfig{}, f.explain(err)
	}
	for name, s := range project.Services {
		s.Name = name
		return s, nil
	}
	return types.ServiceConfig{}, f.at("services", "its service is in no active profile")
}

// project is what the parser makes of the service.
func (f *file) project() (*types.Project, error) {
	return loader.LoadWithContext(offline(), types.ConfigDetails{
		ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Config: map[string]any{"services": map[string]any{f.service: f.says}}}},
		Environment: types.Mapping{},
	}, func(o *loader.Options) {
		o.SkipNormalization, o.SkipConsistencyCheck, o.SkipExtends, o.SkipInclude = true, true, true, true
		o.SkipResolveEnvironment, o.SkipResolveLabels, o.ResolvePaths = true, true, false
		o.Interpolate = &interpolation.Options{LookupValue: nothing, TypeCastMapping: o.Interpolate.TypeCastMapping, Substitute: func(text string, m template.Mapping) (string, error) {
			return template.SubstituteWithOptions(text, m, template.WithoutLogging)
		}}
		o.SetProjectName("berth", true)
	})
}

// explain is what a refusal of the parser says to people.
func (f *file) explain(err error) error {
	var missing *template.MissingRequiredError
	if errors.As(err, &missing) {
		return refused("${%s} has no default outside of command, entrypoint and environment: write the value there", missing.Variable)
	}
	for _, key := range slices.Sorted(maps.Keys(f.says)) { // which it is the parser doesn't say
		if alone := (&file{service: f.service, says: map[string]any{"image": "x", key: f.says[key]}}); key != "image" && alone.refuses() {
			return f.at(f.field(key), "%s", plain(err)).Because(err)
		}
	}
	return refused("%s", plain(err)).Because(err)
}

// refuses says whether the parser can't read the service.
func (f *file) refuses() bool {
	_, err := f.project()
	return err != nil
}

// plain takes off what the parser says of the file that it believes to read.
func plain(err error) string {
	text := strings.NewReplacer("failed to parse compose.yaml: ", "", "validating compose.yaml: ", "", "compose.yaml: ", "", "yaml: ", "").Replace(err.Error())
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > 300 {
		text = string(r[:300]) + "…"
	}
	return text
}

func nothing(string) (string, bool) { return "", false }

// offline is a context for a parser that goes nowhere.
func offline() context.Context {
	return context.Background() //nolint:forbidigo // nothing of what it would end is ever begun
}
