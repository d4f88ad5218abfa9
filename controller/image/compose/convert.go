package compose

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"golang.org/x/sys/unix"

	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/controller/image/name"
	"github.com/berth-panel/berth/shared/wire"
)

// convert makes the image.
func (f *file) convert(s types.ServiceConfig) (image.Reading, error) {
	out := image.Image{Name: f.called()}
	out.Source = &image.Source{Format: "compose", Name: out.Name}
	out.References = []string{s.Image}
	out.Command, out.Entrypoint = s.Command, s.Entrypoint
	out.NoTTY = !s.Tty
	out.Env = f.environment(s.Environment)
	out.Variables = f.sorted()
	out.Volume = f.volume(s.Volumes)
	out.StopCommand = f.stop(s.StopSignal)
	out.StopGraceSeconds = f.grace(s.StopGracePeriod)
	out.Pull = f.pull(s.PullPolicy)
	out.Crash = f.restart(s.Restart)
	out.Description = f.ports(s)
	reading := image.Reading{Format: "compose", Image: out, Changes: f.changes, Ignored: f.ignored, Names: words}
	if reading.Changes == nil {
		reading.Changes = []string{}
	}
	if reading.Ignored == nil {
		reading.Ignored = []string{}
	}
	return reading, nil
}

// words are the file's for what an image's check names by its own.
var words = map[string]string{
	"name": "services", "references": "image", "command": "command", "entrypoint": "entrypoint", "env": "environment", "variables": "environment",
	"volume": "volumes", "stop_command": "stop_signal", "stop_grace_seconds": "stop_grace_period",
}

// called is the image's name: the project's, else the service's.
func (f *file) called() string {
	project, _ := f.top["name"].(string)
	if strings.Contains(project, "$") {
		project = ""
	}
	return cmp.Or(name.Clean(project), name.Clean(f.service), "Compose")
}

// environment is what of the environment is more than a variable of its own.
func (f *file) environment(env types.MappingWithEquals) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		value := ""
		if env[name] != nil {
			value = *env[name]
		}
		switch m := onlyName.FindStringSubmatch(value); {
		case m != nil && m[1] == name: // NAME: ${NAME:-value}
		case onlyNames.MatchString(value) && f.names(value):
			out = append(out, name+"="+value)
		default:
			v := f.variable(name)
			if v.Default == "" {
				v.Default = value
			}
		}
	}
	return out
}

var (
	onlyName  = regexp.MustCompile(`^\{\{([A-Za-z_][A-Za-z0-9_]*)\}\}$`)
	onlyNames = regexp.MustCompile(`\{\{[A-Za-z_][A-Za-z0-9_]*\}\}`)
)

// names says whether a text has a placeholder that this package has put there.
func (f *file) names(text string) bool {
	for _, m := range onlyNames.FindAllString(text, -1) {
		if f.vars[strings.Trim(m, "{}")] != nil {
			return true
		}
	}
	return false
}

// volume is where the data lies: at the first volume of the engine's that may be
// written, else at the first folder beside the file.
func (f *file) volume(mounts []types.ServiceVolumeConfig) string {
	chosen := -1
	for n, m := range mounts {
		if !m.ReadOnly && m.Type == types.VolumeTypeVolume && strings.HasPrefix(m.Target, "/") {
			chosen = n
			break
		}
	}
	for n, m := range mounts {
		if chosen < 0 && !m.ReadOnly && m.Type == types.VolumeTypeBind && strings.HasPrefix(m.Source, ".") && path.Ext(m.Target) == "" && strings.HasPrefix(m.Target, "/") {
			chosen = n
		}
	}
	for n, m := range mounts {
		if n != chosen {
			f.changed(f.field("volumes"), "nothing is mounted at %s: an instance has one volume", m.Target)
		}
	}
	if chosen < 0 {
		if len(mounts) > 0 {
			f.changed(f.field("volumes"), "none of them holds data; the volume is mounted at %s", image.DefaultVolume)
		}
		return ""
	}
	return path.Clean(mounts[chosen].Target)
}

// stop is the stop signal in the catalogue's form.
func (f *file) stop(signal string) string {
	name := strings.ToUpper(strings.TrimSpace(signal))
	if name == "" {
		return ""
	}
	if n, err := strconv.Atoi(name); err == nil {
		if name = unix.SignalName(syscall.Signal(n)); name == "" {
			f.ignore(f.field("stop_signal"))
			return ""
		}
	}
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if unix.SignalNum(name) == 0 && !strings.HasPrefix(name, "SIGRT") {
		f.ignore(f.field("stop_signal"))
		return ""
	}
	return "^" + name
}

const maxGrace = 3600 // seconds

func (f *file) grace(period *types.Duration) int {
	if period == nil {
		return 0
	}
	d := time.Duration(*period)
	seconds := int((d + time.Second - 1) / time.Second)
	switch {
	case d <= 0:
		f.changed(f.field("stop_grace_period"), "it is taken for the usual %d s", image.DefaultGrace)
		return 0
	case seconds > maxGrace:
		f.changed(f.field("stop_grace_period"), "an hour at most is possible")
		return maxGrace
	case time.Duration(seconds)*time.Second != d:
		f.changed(f.field("stop_grace_period"), "it is taken for %d s", seconds)
	}
	return seconds
}

func (f *file) pull(policy string) wire.PullPolicy {
	switch policy {
	case "":
		return ""
	case types.PullPolicyAlways:
		return wire.PullAlways
	case types.PullPolicyNever:
		return wire.PullNever
	case types.PullPolicyMissing, types.PullPolicyIfNotPresent:
		return wire.PullMissing
	}
	f.ignore(f.field("pull_policy"))
	return ""
}

func (f *file) restart(policy string) *image.CrashPolicy {
	name, _, _ := strings.Cut(policy, ":")
	switch name {
	case "":
		return nil
	case types.RestartPolicyAlways, types.RestartPolicyUnlessStopped:
		return &image.CrashPolicy{Restart: wire.RestartAlways}
	case types.RestartPolicyOnFailure:
		return &image.CrashPolicy{Restart: wire.RestartOnFailure}
	case types.RestartPolicyNo:
		return &image.CrashPolicy{Restart: wire.RestartNever}
	}
	f.ignore(f.field("restart"))
	return nil
}

// ports says in a sentence what the service listens on: which ports an instance
// gets is said when it is made.
func (f *file) ports(s types.ServiceConfig) string {
	var list []string
	add := func(port string) {
		if !slices.Contains(list, port) && len(list) < 20 {
			list = append(list, port)
		}
	}
	for _, p := range s.Ports {
		add(fmt.Sprintf("%d/%s", p.Target, p.Protocol))
	}
	for _, p := range s.Expose {
		if !strings.Contains(p, "/") {
			p += "/tcp"
		}
		add(p)
	}
	if len(list) == 0 {
		return ""
	}
	f.changed(f.field("ports"), "an instance's ports are chosen when it is made; in the container it listens on %s", strings.Join(list, ", "))
	return "Listens on " + strings.Join(list, ", ") + " in its container."
}
