package image

import (
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/berth-panel/berth/controller/image/name"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Image is an entry of the catalogue.
type Image struct {
	ID        ident.Image
	Name      string
	CreatedAt time.Time
	UpdatedAt time.Time
	HasIcon   bool // see Service.Icon; kept with the picture, not with the image
	Definition
}

// Definition is all that an image says. It is kept as JSON.
type Definition struct {
	Description string   `json:"description,omitempty" doc:"What it is, for people"`
	Author      string   `json:"author,omitempty"`
	AuthorName  string   `json:"author_name,omitempty"`
	Tags        []string `json:"tags,omitempty" maxItems:"50"`
	// Source is where a definition that was imported came from.
	Source *Source `json:"source,omitempty"`

	References       []string        `json:"references" minItems:"1" maxItems:"100" doc:"Container images, such as nginx:1.27; the first is the default"`
	Labels           []string        `json:"labels,omitempty" maxItems:"100" doc:"What people choose the references by, in their order; an empty one is the reference"`
	Pull             wire.PullPolicy `json:"pull,omitempty" enum:"missing,always,never" doc:"When a reference is asked for; missing when absent"`
	Launch           Launch          `json:"launch,omitempty" enum:"command,entrypoint" doc:"Who runs the start command: Berth, or the container image's own entrypoint, which finds it in STARTUP; command when absent"`
	Commands         []Startup       `json:"commands,omitempty" maxItems:"50" doc:"Start commands to choose from, the first is the default; instead of command and command_line"`
	Command          []string        `json:"command,omitempty" doc:"Start command, word by word; none keeps the container image's own"`
	Entrypoint       []string        `json:"entrypoint,omitempty" maxItems:"100" doc:"Instead of the container image's own entrypoint, word by word; its own command is then left out, too"`
	CommandLine      string          `json:"command_line,omitempty" doc:"Start command as one line, instead of command; run by sh -c only where it needs a shell"`
	Env              []string        `json:"env,omitempty" doc:"NAME=value; {{VARIABLE}} is replaced"`
	StopCommand      string          `json:"stop_command,omitempty" doc:"A line for the console, ^C for SIGINT, or ^SIGNAME; empty is the container image's stop signal"`
	StopGraceSeconds int             `json:"stop_grace_seconds,omitempty" minimum:"0" maximum:"3600" doc:"How long a stop may take before it is a kill; 0 is 10"`
	ReadyLine        string          `json:"ready_line,omitempty" doc:"Console text that says that it is up, or regex: and an expression of RE2"`
	ReadyLines       []string        `json:"ready_lines,omitempty" maxItems:"16" doc:"More of them: any will do"`

	StartTimeoutSeconds int          `json:"start_timeout_seconds,omitempty" minimum:"0" maximum:"86400" doc:"After how long a start that is not ready is said to be overdue; nothing is stopped for it. 0 is 300"`
	Crash               *CrashPolicy `json:"crash_policy,omitempty" doc:"What is done about a container that ended by itself, where the instance says nothing else"`

	Features   []string   `json:"features,omitempty"`
	Volume     string     `json:"volume,omitempty" doc:"Where the data is mounted in the container; empty is /app/data"`
	NoTTY      bool       `json:"no_tty,omitempty" doc:"Run without a terminal"`
	Install    []Download `json:"install,omitempty" doc:"Files that are put into a new volume"`
	Script     *Script    `json:"script,omitempty" doc:"A program that installs into a new volume, after the files"`
	Patches    []Patch    `json:"patches,omitempty" maxItems:"100" doc:"Files that are changed before each start"`
	Variables  []Variable `json:"variables,omitempty" doc:"In the order of the form"`
	Release    string     `json:"release,omitempty" doc:"Version of this definition"`
	ConfigFile *File      `json:"config_file,omitempty" doc:"A file of the classic form, kept for its export"`
	// Kept are fields of the file that it came from which mean nothing here: its
	// export gives them back.
	Kept map[string]any `json:"kept,omitempty" doc:"Fields of the imported file that mean nothing here, for its export"`
}

// Source is where an imported definition came from.
type Source struct {
	Format    string `json:"format" doc:"PTDL_v1, PTDL_v2, PLCN_v1, PLCN_v2, PLCN_v3, classic or compose"`
	UUID      string `json:"uuid,omitempty" doc:"Its own id, which says on a later import that it is the same one"`
	UpdateURL string `json:"update_url,omitempty"`
	Name      string `json:"name,omitempty" doc:"What its file calls it; with the author it says the same where there is no id"`
}

// Launch is who runs the start command.
type Launch string

// The ways to launch.
const (
	LaunchCommand    Launch = "command"    // Berth makes it the container's command
	LaunchEntrypoint Launch = "entrypoint" // the container image's entrypoint reads STARTUP, as images for eggs do
)

// Startup is one start command to choose.
type Startup struct {
	Name string `json:"name" minLength:"1" maxLength:"200"`
	Line string `json:"line"`
}

// Script is an install script; see wire.Script. The text may not name variables:
// they are in its environment.
type Script struct {
	Image      string `json:"image"`
	Entrypoint string `json:"entrypoint,omitempty" doc:"What runs it; bash when absent"`
	Text       string `json:"text"`
}

// Patch changes one file before each start; see wire.Patch. Path, matches and
// values may name variables.
type Patch struct {
	Path   string           `json:"path"`
	Parser wire.PatchParser `json:"parser" enum:"file,properties,ini,json,yaml,xml,toml"`
	Set    []PatchSet       `json:"set"`
}

// PatchSet is one value of it.
type PatchSet struct {
	Match string `json:"match"`
	Value any    `json:"value" doc:"Text, a number, true, false or null"`
	If    string `json:"if,omitempty" doc:"Only where the old value is this text, or matches regex: and an expression of RE2"`
}

// Download is one file of an install: both texts may name variables.
type Download struct {
	URI    string `json:"uri"`
	Path   string `json:"path" doc:"Relative to the volume"`
	SHA256 string `json:"sha256,omitempty" doc:"That the file must have, in hex"`
}

// File is a file's path and content.
type File struct {
	Path    string `json:"path"`
	Content string `json:"content"`
}

// Variable is one value that an instance of the image takes.
type Variable struct {
	Name        string   `json:"name" minLength:"1" maxLength:"256" doc:"In the environment"`
	Label       string   `json:"label,omitempty" doc:"For people; none is the name"`
	Type        string   `json:"type,omitempty"`
	Default     string   `json:"default,omitempty"`
	Required    bool     `json:"required,omitempty"`
	Description string   `json:"description,omitempty"`
	Rules       []string `json:"rules,omitempty" maxItems:"50" doc:"What a value must be, as eggs say it: required, max:20, in:a,b, regex:/^x$/ …"`
	Hidden      bool     `json:"hidden,omitempty" doc:"Customers don't see it"`
	Locked      bool     `json:"locked,omitempty" doc:"Customers don't change it"`
	Secret      bool     `json:"secret,omitempty" doc:"Its value is never shown, in no answer and no log"`
}

// The defaults of a definition.
const (
	DefaultVolume = "/app/data"
	DefaultGrace  = 10 // seconds
)

var (
	variableName = regexp.MustCompile(`^[^=\x00-\x1f\x7f{}]{1,256}$`)
	reference    = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._:/@-]{0,254}$`)
	signalName   = regexp.MustCompile(`^SIG[A-Z0-9+-]{1,12}$`)
)

// maxText is how large a definition's single texts may be, in bytes.
const maxText = 64 << 10

// check says what is wrong with an image that is to be kept.
func (i Image) check() error {
	if err := name.Check(i.Name); err != nil {
		return err
	}
	return i.Definition.check()
}

func (d Definition) check() error {
	if len(d.References) == 0 {
		return problem.Invalid("references", "at least one container image, such as nginx:1.27")
	}
	for n, ref := range d.References {
		if !reference.MatchString(ref) {
			return problem.Invalid("references", "number %d is not the name of a container image: %.80q", n+1, ref)
		}
	}
	if len(d.Command) > 0 && d.CommandLine != "" {
		return problem.Invalid("command_line", "give either command or command_line")
	}
	if _, err := d.Argv(map[string]string{}); err != nil {
		return err
	}
	for _, e := range d.Env {
		if name, _, ok := strings.Cut(e, "="); !ok || !variableName.MatchString(name) || strings.ContainsRune(e, 0) {
			return problem.Invalid("env", "%.80q is not of the form NAME=value", e)
		}
	}
	if v := d.Volume; v != "" && (!strings.HasPrefix(v, "/") || len(v) > 255 || hasControl(v) || v == "/" || slices.Contains(strings.Split(v, "/"), "..") || strings.Contains(v, ":")) {
		return problem.Invalid("volume", "an absolute path in the container, not its root")
	}
	if _, err := d.Stop(); err != nil {
		return err
	}
	if err := d.checkReady(); err != nil {
		return err
	}
	if err := d.checkStart(); err != nil {
		return err
	}
	if err := d.checkVariables(); err != nil {
		return err
	}
	return d.checkBounds()
}

// Stop is how the image's containers are asked to end.
func (d Definition) Stop() (wire.Stop, error) {
	s := wire.Stop{GraceSeconds: d.StopGraceSeconds}
	if s.GraceSeconds <= 0 {
		s.GraceSeconds = DefaultGrace
	}
	switch c := d.StopCommand; {
	case c == "":
	case stopSignal(c) != "":
		s.Signal = stopSignal(c)
	case strings.HasPrefix(c, "^SIG"):
		return s, problem.Invalid("stop_command", "%.40q is not ^C, ^SIGNAME or a line for the console", c)
	case strings.ContainsAny(c, "\x00\n\r"):
		return s, problem.Invalid("stop_command", "it must be one line")
	default:
		s.Command = c
	}
	return s, nil
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, unicode.IsControl)
}
