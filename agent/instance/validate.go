package instance

import (
	"fmt"
	"net/netip"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/berth-panel/berth/agent/patch"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const badInstance = "must be 8 lower-case hex characters"

const (
	maxPorts     = 100
	maxDownloads = 100
	maxEnv       = 1000
	maxGrace     = 3600  // seconds
	maxSeconds   = 86400 // of what may last longest
	maxMiB       = 1 << 32
	maxPatches   = 100
	maxSets      = 2000    // of all patches
	maxScript    = 1 << 20 // bytes
)

// Validate says what is wrong with a spec, as a *problem.Problem with each field
// named. The controller has checked all this for people; here it guards the node.
func Validate(s wire.Spec) error {
	var v validator
	v.check(s.Instance.Valid(), "instance", badInstance)
	v.check(s.Generation >= 1, "generation", "must be 1 or more")
	v.check(plain(s.Image.Reference, 512) && s.Image.Reference != "", "image.reference", "must be the name of an image")
	_, err := runtime.Pinned(s.Image.Reference, s.Image.Digest)
	v.check(s.Image.Digest == "" || err == nil, "image.digest", "must be sha256: and 64 hex characters")
	v.check(slices.Contains([]wire.PullPolicy{"", wire.PullMissing, wire.PullAlways, wire.PullNever}, s.Image.Pull), "image.pull", "must be missing, always or never")
	v.texts("image.entrypoint", s.Image.Entrypoint)
	v.texts("image.command", s.Image.Command)
	v.env("env", s.Env)
	v.limits(s.Limits)
	v.ports(s.Ports)
	v.check(path.IsAbs(s.Volume) && path.Clean(s.Volume) == s.Volume && s.Volume != "/" && plain(s.Volume, 512) && !strings.Contains(s.Volume, ":"),
		"volume", "must be a clean absolute path below /")
	v.check(plain(s.Stop.Command, 1024), "stop.command", "must be one line")
	v.check(plain(s.Stop.Signal, 32), "stop.signal", "must be the name of a signal")
	v.check(s.Stop.GraceSeconds >= 0 && s.Stop.GraceSeconds <= maxGrace, "stop.grace_seconds", "must be 0 to 3600")
	v.install(s.Install)
	v.patches(s.Patches)
	v.check(s.Power.Want == wire.WantRunning || s.Power.Want == wire.WantStopped, "power.want", "must be running or stopped")
	v.check(s.Power.Order >= 0, "power.order", "must not be negative")
	v.ready(s.Ready)
	v.crash(s.Crash)
	v.check(s.Wipe >= 0 && s.Reinstall >= 0, "wipe", "must not be negative")
	v.check(s.Drift == "" || s.Drift == wire.DriftRepair || s.Drift == wire.DriftReport, "drift", "must be repair or report")
	if len(v.fields) == 0 {
		return nil
	}
	first := v.fields[0]
	return &problem.Problem{Code: problem.Validation, Message: first.Field + ": " + first.Message, Fields: v.fields}
}

type validator struct{ fields []problem.Field }

func (v *validator) check(ok bool, field, message string) {
	if !ok {
		v.fields = append(v.fields, problem.Field{Field: field, Message: message})
	}
}

func (v *validator) patches(list []wire.Patch) {
	v.check(len(list) <= maxPatches, "patches", "too many")
	sets := 0
	for i, p := range list {
		field := fmt.Sprintf("patches[%d]", i)
		v.check(filepath.IsLocal(p.Path) && path.Clean(p.Path) != "." && !strings.ContainsRune(p.Path, 0), field+".path", "must be a path inside the volume")
		v.check(patch.Knows(p.Parser), field+".parser", "must be file, properties, ini, json, yaml, xml or toml")
		sets += len(p.Set)
	}
	v.check(sets <= maxSets, "patches", "too many settings")
}

var checksum = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)

func (v *validator) install(s wire.Install) {
	v.check(len(s.Downloads) <= maxDownloads, "install.downloads", "too many")
	for i, d := range s.Downloads {
		v.check(filepath.IsLocal(d.Path) && path.Clean(d.Path) != "." && plain(d.Path, 1024), fmt.Sprintf("install.downloads[%d].path", i), "must be a path inside the volume")
		v.check(plain(d.URL, 4096) && d.URL != "", fmt.Sprintf("install.downloads[%d].url", i), "must be an address")
		v.check(d.SHA256 == "" || checksum.MatchString(d.SHA256), fmt.Sprintf("install.downloads[%d].sha256", i), "must be 64 hex characters")
	}
	v.check(len(s.Replace) <= maxEnv, "install.replace", "too many")
	v.check(len(s.Secrets) <= maxEnv, "install.secrets", "too many")
	if s.Script == nil {
		return
	}
	_, err := runtime.FullName(s.Script.Image)
	v.check(err == nil && plain(s.Script.Image, 512), "install.script.image", "must be the name of an image")
	v.check(strings.TrimSpace(s.Script.Entrypoint) != "" && plain(s.Script.Entrypoint, 512), "install.script.entrypoint", "must be a program")
	v.check(len(s.Script.Text) <= maxScript && !strings.ContainsRune(s.Script.Text, 0), "install.script.text", "must be at most 1 MiB without a NUL")
	v.env("install.script.env", s.Script.Env)
	v.check(s.Script.WithinSeconds >= 0 && s.Script.WithinSeconds <= maxSeconds, "install.script.within_seconds", "must be 0 to 86400")
}

func (v *validator) env(field string, env []string) {
	v.check(len(env) <= maxEnv, field, "too many")
	for i, e := range env {
		name, _, ok := strings.Cut(e, "=")
		v.check(ok && name != "" && !strings.ContainsRune(e, 0), fmt.Sprintf("%s[%d]", field, i), "must be NAME=value without a NUL")
	}
}

func (v *validator) texts(field string, list []string) {
	v.check(len(list) <= maxEnv, field, "too many")
	for i, text := range list {
		v.check(!strings.ContainsRune(text, 0), fmt.Sprintf("%s[%d]", field, i), "must not hold a NUL")
	}
}

func (v *validator) limits(l wire.Limits) {
	v.check(l.MemoryMiB > 0 && l.MemoryMiB < maxMiB, "limits.memory_mib", "must be positive")
	v.check(l.NanoCPUs > 0, "limits.nano_cpus", "must be positive")
	v.check(l.DiskMiB > 0 && l.DiskMiB < maxMiB, "limits.disk_mib", "must be positive")
	v.check(l.Pids >= 0, "limits.pids", "must not be negative")
}

func (v *validator) ready(r wire.Ready) {
	v.check(len(r.Lines) <= maxReadyLines, "ready.lines", "too many")
	for i, line := range r.Lines {
		v.check(line != "" && len(line) <= maxReadyText && !strings.ContainsAny(line, "\x00\r\n"), fmt.Sprintf("ready.lines[%d]", i), "must be 1 to 512 bytes of one line")
	}
	_, err := compileReady(r.Lines)
	v.check(err == nil, "ready.lines", "must hold valid expressions")
	v.check(r.WithinSeconds >= 0 && r.WithinSeconds <= maxSeconds, "ready.within_seconds", "must be 0 to 86400")
}

func (v *validator) crash(c wire.Crash) {
	switch c.Restart {
	case "", wire.RestartOnFailure, wire.RestartAlways, wire.RestartNever:
	default:
		v.check(false, "crash.restart", "must be on-failure, always or never")
	}
	v.check(len(c.CleanCodes) <= 256, "crash.clean_codes", "too many")
	for i, code := range c.CleanCodes {
		v.check(code >= 0 && code <= 255, fmt.Sprintf("crash.clean_codes[%d]", i), "must be 0 to 255")
	}
	v.check(c.Limit >= -1 && c.Limit <= 1000, "crash.limit", "must be -1 to 1000")
	v.check(c.WindowSeconds >= 0 && c.WindowSeconds <= maxSeconds, "crash.window_seconds", "must be 0 to 86400")
	v.check(c.QuietSeconds >= 0 && c.QuietSeconds <= maxSeconds, "crash.quiet_seconds", "must be 0 to 86400")
}

func (v *validator) ports(ports []wire.Port) {
	v.check(len(ports) <= maxPorts, "ports", "too many")
	taken := map[string]bool{}
	for i, p := range ports {
		field := fmt.Sprintf("ports[%d]", i)
		_, err := netip.ParseAddr(p.IP)
		v.check(err == nil, field+".ip", "must be an address")
		v.check(p.Host > 0 && p.Container > 0, field, "must be 1 to 65535")
		at := fmt.Sprintf("%s %d", p.IP, p.Host)
		v.check(!taken[at], field, "is there twice")
		taken[at] = true
	}
}

// plain says that the text has no control characters and at most so many bytes.
func plain(text string, most int) bool {
	return len(text) <= most && !strings.ContainsFunc(text, func(r rune) bool { return r < 0x20 || r == 0x7f })
}
