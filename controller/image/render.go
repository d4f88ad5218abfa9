package image

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// At is who an instance is and what it has: what texts of its image may name
// beside the variables.
type At struct {
	ID        ident.Instance
	Name      string
	Reference string
	Startup   string // the name of one of the start commands; "" is the first
	MemoryMiB int64
	DiskMiB   int64
	NanoCPUs  int64
	Ports     []AtPort
	Node      string // its name
	Address   string // of the node, as others reach it
	CreatedAt time.Time
	Random    string // drawn once for the instance
}

// AtPort is one port of the container.
type AtPort struct {
	Container uint16
	Primary   bool
}

// Rendered is what an image says about one instance, without placeholders.
type Rendered struct {
	Env        []string
	Entrypoint []string // none keeps the container image's
	Command    []string // none keeps the container image's
	Install    wire.Install
	Patches    []wire.Patch
}

// Render puts the values into all texts of the image. It is the only place where
// that happens, and it happens once: no value is looked at for names. It checks no
// rule of a variable.
func (d Definition) Render(given map[string]string, at At) (Rendered, error) {
	r := &rendering{d: d, at: at, values: d.Complete(given)}
	line := d.CommandLine
	for n, c := range d.Commands {
		if n == 0 || c.Name == at.Startup {
			line = c.Line
		}
	}
	if d.Launch == LaunchEntrypoint {
		out := r.entrypoint(line)
		return out, r.bounded()
	}
	r.environment()
	command, err := argv(d.Command, line, r.value, r.refer)
	out := r.out()
	out.Command = command
	if err == nil {
		err = r.bounded()
	}
	return out, err
}

// maxPut is how much values may make of an image's texts, in bytes: one that a
// text names ten thousand times must not fill the memory.
const maxPut = 1 << 20

func (r *rendering) bounded() error {
	if r.spent <= maxPut {
		return nil
	}
	return problem.Invalid("variables", "the image names its variables so often that its texts with these values are larger than %d KiB; shorten the values, or the image's texts", maxPut>>10)
}

// rendering is one Render under way. env is in order, each name once.
type rendering struct {
	d      Definition
	at     At
	values map[string]string
	names  []string
	env    map[string]string
	facts  map[string]string
	spent  int // bytes that were put into texts
}

func (r *rendering) put(name, value string) {
	if r.env == nil {
		r.env = map[string]string{}
	}
	if _, there := r.env[name]; !there {
		r.names = append(r.names, name)
	}
	r.env[name] = value
}

// port is the container's primary port, "0" when it has none.
func (r *rendering) port() string {
	for _, p := range r.at.Ports {
		if p.Primary {
			return strconv.Itoa(int(p.Container))
		}
	}
	return "0"
}

// bindAll is where a program listens. The address of the node's that its ports are
// published on is not one of the container's, so that nothing could be bound to it.
const bindAll = "0.0.0.0"

// entrypoint is an image whose container's own entrypoint runs STARTUP: an egg.
func (r *rendering) entrypoint(line string) Rendered {
	for _, name := range []string{"TZ", "STARTUP", "SERVER_MEMORY", "SERVER_IP", "SERVER_PORT", "P_SERVER_LOCATION", "P_SERVER_UUID", "P_SERVER_ALLOCATION_LIMIT"} {
		r.put(name, "") // they come first
	}
	for _, v := range r.d.Variables {
		if _, there := r.values[v.Name]; !there {
			r.values[v.Name] = "" // eggs find all their variables in the environment
		}
	}
	ours := []struct{ name, value string }{
		{"TZ", "Etc/UTC"}, {"SERVER_MEMORY", strconv.FormatInt(r.at.MemoryMiB, 10)}, {"SERVER_IP", bindAll}, {"SERVER_PORT", r.port()},
		{"P_SERVER_LOCATION", r.at.Node}, {"P_SERVER_UUID", r.uuid()}, {"P_SERVER_ALLOCATION_LIMIT", "0"},
	}
	for _, o := range ours { // before the image's texts, which name them
		r.values[o.name] = o.value
	}
	r.environment()
	for _, o := range ours {
		r.put(o.name, o.value)
	}
	r.put("STARTUP", named(line, r.refer))
	return r.out()
}

// uuid is the instance's id in the form that eggs know.
func (r *rendering) uuid() string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("berth:instance:"+string(r.at.ID))).String()
}

// environment is the image's, over it the values, over both the primary port.
func (r *rendering) environment() {
	for _, p := range r.at.Ports {
		if p.Primary {
			r.values["PRIMARY_PORT"] = strconv.Itoa(int(p.Container))
		}
	}
	for _, e := range r.d.Env {
		name, value, _ := strings.Cut(e, "=")
		r.put(name, named(value, r.value))
	}
	declared := map[string]bool{"PRIMARY_PORT": true}
	for _, v := range r.d.Variables {
		declared[v.Name] = true
		if value, there := r.values[v.Name]; there {
			r.put(v.Name, value)
		}
	}
	var rest []string
	for name := range r.values {
		if !declared[name] {
			rest = append(rest, name)
		}
	}
	slices.Sort(rest)
	for _, name := range rest {
		r.put(name, r.values[name])
	}
	if number, there := r.values["PRIMARY_PORT"]; there {
		r.put("PRIMARY_PORT", number)
	}
}

func (r *rendering) out() Rendered {
	out := Rendered{Env: []string{}, Patches: r.patches()}
	for _, name := range r.names {
		out.Env = append(out.Env, name+"="+r.env[name])
	}
	for _, w := range r.d.Entrypoint {
		out.Entrypoint = append(out.Entrypoint, named(w, r.value))
	}
	out.Install = r.install(out.Env)
	return out
}

// inEnvironment are the prefixes by which eggs name the environment.
var inEnvironment = []string{"env.", "server.environment.", "server.build.environment.", "server.build.env."}

// value is what a name stands for, until too much was put into texts.
func (r *rendering) value(name string) (string, bool) {
	v, known := r.meant(name)
	if r.spent += len(v); r.spent > maxPut {
		return "", known
	}
	return v, known
}

// meant gives what a name stands for in a text of the image. Of the names that are
// an egg's, those that nobody knows are empty; any other may be meant for
// the program, and stays.
func (r *rendering) meant(name string) (string, bool) {
	if v, there := r.values[name]; there {
		return v, true
	}
	for _, prefix := range inEnvironment {
		if bare, is := strings.CutPrefix(name, prefix); is {
			if v, there := r.values[bare]; there {
				return v, true
			}
			return r.env[bare], true
		}
	}
	if v, there := r.fact(name); there {
		return v, true
	}
	if _, declared := r.d.Variable(name); declared {
		return "", r.d.Launch == LaunchEntrypoint
	}
	return "", strings.HasPrefix(name, "server.") || strings.HasPrefix(name, "config.")
}

// fact gives what an instance says of itself: the allow-list.
func (r *rendering) fact(name string) (string, bool) {
	if r.facts == nil {
		number := func(n int64) string { return strconv.FormatInt(n, 10) }
		percent := new(big.Rat).SetFrac64(r.at.NanoCPUs, 1e7).FloatString(0)
		r.facts = map[string]string{
			"server.uuid": r.uuid(), "server.id": string(r.at.ID), "server.name": r.at.Name, "server.meta.name": r.at.Name,
			"server.build.memory_limit": number(r.at.MemoryMiB), "server.build.memory": number(r.at.MemoryMiB), "server.build.swap": "0",
			"server.build.disk_space": number(r.at.DiskMiB), "server.build.disk": number(r.at.DiskMiB),
			"server.build.cpu_limit": percent, "server.build.cpu": percent, "server.build.io_weight": "500", "server.build.io": "500",
			"server.allocations.default.ip": bindAll, "server.build.default.ip": bindAll,
			"server.allocations.default.port": r.port(), "server.build.default.port": r.port(),
			"server.container.image": r.at.Reference, "server.build.image": r.at.Reference,
			"config.docker.interface": r.at.Address, "config.docker.network.interface": r.at.Address,
		}
	}
	if v, there := r.facts[name]; there {
		return v, true
	}
	v, there := r.own()[name]
	return v, there && r.d.Launch != LaunchEntrypoint
}

// own are the names of the classic form, in texts and in what was downloaded.
func (r *rendering) own() map[string]string {
	return map[string]string{
		"primaryPort": r.port(), "containerName": string(r.at.ID), "timestamp": r.at.CreatedAt.UTC().Format("2006-01-02T15:04:05.000Z"), "randomString": r.at.Random,
	}
}

// refer gives how a shell in the container reads what a name stands for: from the
// environment, where it is data. What no shell could name is there a second time
// under a name that it can.
func (r *rendering) refer(name string) (string, bool) {
	bare := name
	for _, prefix := range inEnvironment {
		bare = strings.TrimPrefix(bare, prefix)
	}
	if shellName.MatchString(bare) {
		return "${" + bare + "}", true
	}
	v, known := r.value(name)
	if !known {
		return "", r.d.Launch == LaunchEntrypoint // its entrypoint would make it a broken reference
	}
	alias := r.alias(name)
	r.put(alias, v)
	return "${" + alias + "}", true
}

// aliasPrefix begins the names of what no shell could name.
const aliasPrefix = "BERTH_"

// alias is a name for shells that nothing else has.
func (r *rendering) alias(name string) string {
	plain := strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
			return c
		default:
			return '_'
		}
	}, name)
	alias := aliasPrefix + strings.ToUpper(plain)
	for n := 2; ; n++ {
		v, there := r.env[alias]
		if same, _ := r.meant(name); !there || v == same {
			return alias
		}
		alias = fmt.Sprintf("%s%s_%d", aliasPrefix, strings.ToUpper(plain), n)
	}
}

// install is what prepares a new volume. Downloads may name variables; a script
// finds them in its environment, which is the container's.
func (r *rendering) install(env []string) wire.Install {
	var out wire.Install
	for _, s := range r.d.Install {
		out.Downloads = append(out.Downloads, wire.Download{URL: named(s.URI, r.value), Path: named(s.Path, r.value), SHA256: s.SHA256})
	}
	if len(out.Downloads) > 0 && r.d.Launch != LaunchEntrypoint {
		out.Replace = r.own()
	}
	if s := r.d.Script; s != nil {
		out.Script = &wire.Script{Image: s.Image, Entrypoint: s.Entrypoint, Text: strings.ReplaceAll(s.Text, "\r\n", "\n"), Env: env}
		if out.Script.Entrypoint == "" {
			out.Script.Entrypoint = "bash"
		}
	}
	for _, v := range r.d.Variables {
		if value := r.values[v.Name]; v.IsSecret() && value != "" && !slices.Contains(out.Secrets, value) {
			out.Secrets = append(out.Secrets, value)
		}
	}
	return out
}
