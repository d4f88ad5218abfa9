package runtimetest

import (
	"strings"
	"testing"

	"github.com/berth-panel/berth/agent/runtime"
)

func startTests() map[string]func(*testing.T, Harness) {
	return map[string]func(*testing.T, Harness){
		"a command that is not there":    commandNotFound,
		"a failed start can be mended":   startLater,
		"entrypoint, user and variables": ownSettings,
	}
}

func commandNotFound(t *testing.T, h Harness) {
	for _, command := range []string{"/nope", "nope", "./nope", "/etc/nope/nope"} {
		spec := h.spec()
		spec.Entrypoint = []string{command}
		id := create(t, h.Engine, spec)
		refused(t, "Start of "+command, h.Engine.Start(t.Context(), id), runtime.CommandNotFound)
		if c := inspect(t, h.Engine, id); c.Status != runtime.Created || !c.StartedAt.IsZero() {
			t.Fatalf("after a start that failed it is %+v", c)
		}
		refused(t, "a second Start of "+command, h.Engine.Start(t.Context(), id), runtime.CommandNotFound)
		must(t, "Remove", h.Engine.Remove(t.Context(), id))
	}
	nothing(t, h.Engine)
}

// startLater: what kept a container from starting goes away.
func startLater(t *testing.T, h Harness) {
	port := FreePort(t)
	network := Network(t, h.Engine)
	holder, waiter := h.spec("idle"), h.spec("idle")
	for _, s := range []*runtime.ContainerSpec{&holder, &waiter} {
		s.Network = network.Name
		s.Ports = []runtime.Port{{HostIP: "0.0.0.0", Host: port, Container: 80, Protocol: runtime.TCP}}
	}
	first := start(t, h.Engine, holder)
	second := create(t, h.Engine, waiter)
	refused(t, "Start", h.Engine.Start(t.Context(), second), runtime.PortInUse)
	c := inspect(t, h.Engine, second)
	if c.Status != runtime.Created || !strings.Contains(c.Error, "port") {
		t.Fatalf("after a start that failed it is %+v", c)
	}
	if strings.Contains(c.Error, string(second)) || strings.Contains(c.Error, "endpoint") {
		t.Fatalf("%q is not for people", c.Error)
	}
	must(t, "Stop the other", h.Engine.Stop(t.Context(), first, runtime.StopSpec{Grace: grace}))
	must(t, "Start", h.Engine.Start(t.Context(), second))
	if c := inspect(t, h.Engine, second); c.Status != runtime.Running || c.Error != "" {
		t.Fatalf("started at last, it is %+v", c)
	}
}

func ownSettings(t *testing.T, h Harness) {
	spec := h.spec()
	spec.Entrypoint = []string{"/probe", "write", "/tmp/own"}
	spec.Command = []string{"entrypoint"}
	spec.User, spec.WorkingDir, spec.Env = "1000:1000", "/app", []string{"X=y"}
	id := start(t, h.Engine, spec)
	if c := ended(t, h.Engine, id); c.ExitCode != 0 {
		t.Fatalf("it left %+v", c)
	}
	text, err := h.Engine.ReadFile(t.Context(), id, "/tmp/own", 100)
	must(t, "ReadFile", err)
	if string(text) != "entrypoint" {
		t.Fatalf("it wrote %q", text)
	}
}
