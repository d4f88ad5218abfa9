package instance

import (
	"errors"
	"strings"
	"testing"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestValidateNamesTheField(t *testing.T) {
	t.Parallel()
	if err := Validate(basic(one, 1)); err != nil {
		t.Fatalf("the basic spec: %v", err)
	}
	for field, change := range map[string]func(s *wire.Spec){
		"instance":                  func(s *wire.Spec) { s.Instance = "../etc" },
		"generation":                func(s *wire.Spec) { s.Generation = 0 },
		"image.reference":           func(s *wire.Spec) { s.Image.Reference = "" },
		"image.command[1]":          func(s *wire.Spec) { s.Image.Command = []string{"a", "b\x00"} },
		"image.entrypoint[0]":       func(s *wire.Spec) { s.Image.Entrypoint = []string{"\x00"} },
		"env[0]":                    func(s *wire.Spec) { s.Env = []string{"=x"} },
		"env[1]":                    func(s *wire.Spec) { s.Env = []string{"A=1", "A"} },
		"env[2]":                    func(s *wire.Spec) { s.Env = []string{"A=1", "B=", "C=\x00"} },
		"env":                       func(s *wire.Spec) { s.Env = make([]string, 1001) },
		"limits.memory_mib":         func(s *wire.Spec) { s.Limits.MemoryMiB = 1 << 60 },
		"limits.nano_cpus":          func(s *wire.Spec) { s.Limits.NanoCPUs = 0 },
		"limits.disk_mib":           func(s *wire.Spec) { s.Limits.DiskMiB = -1 },
		"limits.pids":               func(s *wire.Spec) { s.Limits.Pids = -1 },
		"ports[0].ip":               func(s *wire.Spec) { s.Ports[0].IP = "node.example" },
		"ports[0]":                  func(s *wire.Spec) { s.Ports[0].Host = 0 },
		"ports[1]":                  func(s *wire.Spec) { s.Ports = append(s.Ports, s.Ports[0]) },
		"ports":                     func(s *wire.Spec) { s.Ports = make([]wire.Port, 101) },
		"volume":                    func(s *wire.Spec) { s.Volume = "/" },
		"stop.command":              func(s *wire.Spec) { s.Stop.Command = "stop\nop me" },
		"stop.signal":               func(s *wire.Spec) { s.Stop.Signal = strings.Repeat("S", 33) },
		"stop.grace_seconds":        func(s *wire.Spec) { s.Stop.GraceSeconds = -1 },
		"install.downloads[0].path": func(s *wire.Spec) { s.Install.Downloads = []wire.Download{{URL: "http://x", Path: "../x"}} },
		"install.downloads[0].url":  func(s *wire.Spec) { s.Install.Downloads = []wire.Download{{Path: "x"}} },
		"install.downloads":         func(s *wire.Spec) { s.Install.Downloads = make([]wire.Download, 101) },
		"install.downloads[0].sha256": func(s *wire.Spec) {
			s.Install.Downloads = []wire.Download{{URL: "http://x", Path: "x", SHA256: "00ff"}}
		},
		"install.replace": func(s *wire.Spec) {
			s.Install.Replace = map[string]string{}
			for i := range 1001 {
				s.Install.Replace[strings.Repeat("A", i)] = ""
			}
		},
		"install.secrets":               func(s *wire.Spec) { s.Install.Secrets = make([]string, 1001) },
		"install.script.image":          func(s *wire.Spec) { s.Install.Script.Image = "Not An Image" },
		"install.script.entrypoint":     func(s *wire.Spec) { s.Install.Script.Entrypoint = " " },
		"install.script.text":           func(s *wire.Spec) { s.Install.Script.Text = "echo \x00" },
		"install.script.env[0]":         func(s *wire.Spec) { s.Install.Script.Env = []string{"A"} },
		"install.script.within_seconds": func(s *wire.Spec) { s.Install.Script.WithinSeconds = 86401 },
		"power.want":                    func(s *wire.Spec) { s.Power.Want = "" },
		"power.order":                   func(s *wire.Spec) { s.Power.Order = -1 },
	} {
		s := basic(one, 1)
		s.Install.Script = &wire.Script{Image: "tools:1", Entrypoint: "bash"}
		if err := Validate(s); err != nil {
			t.Fatalf("with a script: %v", err)
		}
		change(&s)
		var p *problem.Problem
		if err := Validate(s); !errors.As(err, &p) || p.Code != problem.Validation || !has(p.Fields, field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, volume := range []string{"", "app", "/app/../etc", "/app/", "/a:b", "/a\nb"} {
		s := basic(one, 1)
		s.Volume = volume
		if Validate(s) == nil {
			t.Errorf("a volume at %q is taken", volume)
		}
	}
}

func has(fields []problem.Field, field string) bool {
	for _, f := range fields {
		if f.Field == field {
			return true
		}
	}
	return false
}
