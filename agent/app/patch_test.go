package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// settings are files of five formats, each with the port.
func settings(port string) []wire.Patch {
	set := func(match string) []wire.PatchSet { return []wire.PatchSet{{Match: match, Value: []byte(port)}} }
	return []wire.Patch{
		{Path: "server.properties", Parser: wire.PatchProperties, Set: set("server-port")},
		{Path: "conf/config.yml", Parser: wire.PatchYAML, Set: set("listeners[0].port")},
		{Path: "conf/app.json", Parser: wire.PatchJSON, Set: set("http.port")},
		{Path: "conf/a.toml", Parser: wire.PatchTOML, Set: set("http.port")},
		{Path: "conf/x.ini", Parser: wire.PatchINI, Set: set("http.port")},
	}
}

// TestPatchesOnDocker: a container whose user isn't root reads files that are made
// and changed before each of its starts, and writes into them; one that can't be
// read is a start that fails, of a container that stays as it was.
func TestPatchesOnDocker(t *testing.T) {
	t.Parallel()
	n := setup(t)
	config := runtimetest.ProbeConfig()
	config.User = "1000:1000"
	user := n.probe + "-user"
	if err := n.hand.Load(t.Context(), user, runtimetest.Rootfs(t), config); err != nil {
		t.Fatal(err)
	}
	a := n.run(n.config, nil)
	id := ident.NewInstance()
	s := spec(id, 1, user, runtimetest.FreePort(t))
	s.Patches = settings("25565")
	for _, p := range s.Patches {
		s.Image.Command = append(s.Image.Command, "read", "/app/data/"+p.Path, "then")
	}
	s.Image.Command = append(s.Image.Command, "write", "/app/data/conf/x.ini", "; mine\n[http]\nport = 1\n", "then", "say", `all read\n`, "then", "answer")
	a.apply(s)
	if st := a.settled(id, 1); st.Phase != wire.PhaseReady || st.Actual != wire.ActualRunning {
		t.Fatalf("%+v, %v", st, st.Failure)
	}
	l := a.look(id, "?after=0")
	l.line("out: all read")
	for _, want := range []string{"out: server-port=25565", "out:   - port: 25565", "out:     \"port\": 25565", "out: port = 25565", "out: port=25565"} {
		l.line(want)
	}

	s.Generation, s.Power.Order, s.Power.Restart, s.Patches = 2, 2, true, settings("7")
	a.apply(s)
	a.settled(id, 2)
	for _, want := range []string{"out: server-port=7", "out: ; mine", "out: port = 7"} { // what it wrote itself
		l.line(want)
	}

	broken := filepath.Join(n.volume(id), "data", "conf/app.json")
	if err := os.WriteFile(broken, []byte("{\n\"http\" 1}"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.Generation, s.Power.Order = 3, 3
	a.apply(s)
	st := a.settled(id, 3)
	if st.Failure == nil || st.Failure.Code != problem.Conflict || !strings.HasPrefix(st.Failure.Message, "conf/app.json, line 2: it isn't JSON") || st.Actual != wire.ActualStopped || st.Phase != wire.PhaseReady {
		t.Fatalf("%+v, %v", st, st.Failure)
	}
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	s.Generation, s.Power.Order = 4, 4
	a.apply(s)
	if st := a.settled(id, 4); st.Failure != nil || st.Actual != wire.ActualRunning {
		t.Fatalf("%+v, %v", st, st.Failure)
	}
	l.line("out:     \"port\": 7")
}
