package instance

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// patched is a spec whose config file is downloaded and has its port set.
func patched(generation int64, port string) wire.Spec {
	s := basic(one, generation)
	s.Install.Downloads = []wire.Download{{URL: "port=1", Path: "conf/game.properties"}}
	s.Patches = []wire.Patch{{Path: "conf/game.properties", Parser: wire.PatchProperties, Set: []wire.PatchSet{{Match: "port", Value: []byte(port)}}}}
	return s
}

func (w *world) reads(name string) string {
	w.t.Helper()
	text, err := os.ReadFile(w.volumeFile(one, name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

func TestFilesArePatchedBeforeEachStart(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(patched(1, "25565"))
		box := w.running(one)
		if got := w.reads("conf/game.properties"); got != "port=25565" {
			t.Fatalf("%q", got)
		}

		// Other values wait for the next start: what runs is left alone.
		w.apply(patched(2, "7"))
		if w.running(one).ID != box.ID || w.reads("conf/game.properties") != "port=25565" {
			t.Fatalf("%q", w.reads("conf/game.properties"))
		}
		again := patched(3, "7")
		again.Power = wire.Power{Want: wire.WantRunning, Order: 2, Restart: true}
		w.apply(again)
		if w.running(one).ID != box.ID || w.reads("conf/game.properties") != "port=7" {
			t.Fatalf("%q", w.reads("conf/game.properties"))
		}

		// What its program or its owner changed is put right after a crash, too.
		if err := os.WriteFile(w.volumeFile(one, "conf/game.properties"), []byte("port=9\n# new\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		w.crash(one)
		w.running(one)
		if got := w.reads("conf/game.properties"); got != "port=7\n# new\n" {
			t.Fatalf("%q", got)
		}
	})
}

func TestAFileThatCantBeReadIsAStartThatFails(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		spec := patched(1, "25565")
		spec.Install.Downloads[0].URL = "{\"port\": }"
		spec.Patches[0].Parser = wire.PatchJSON
		w.apply(spec)
		s := w.expect(one, wire.PhaseFailed, wire.ActualStopped, true)
		if s.Failure == nil || s.Failure.Code != problem.Conflict || !strings.HasPrefix(s.Failure.Message, "conf/game.properties, line 1: it isn't JSON") {
			t.Fatalf("%+v", s.Failure)
		}
		if boxes := w.engine.Find(one); len(boxes) != 1 || boxes[0].Status != runtime.Created {
			t.Fatalf("%+v", boxes)
		}
		if n := w.crashes(one); n != 0 || s.Crashes != 0 {
			t.Errorf("it counts as %d crashes", n)
		}
		w.lastState(one)

		// It is mended, and started by the next order; nothing is installed again.
		if err := os.WriteFile(w.volumeFile(one, "conf/game.properties"), []byte("{\"port\": 1}"), 0o600); err != nil {
			t.Fatal(err)
		}
		spec.Generation, spec.Power.Order = 2, 2
		w.apply(spec)
		w.running(one)
		if got := w.reads("conf/game.properties"); got != "{\"port\": 25565}" || w.installer.count() != 1 {
			t.Fatalf("%q after %d installations", got, w.installer.count())
		}
	})
}

// TestSettingsWithoutAPlaceAreTold: to who looks at the console, at each start, and
// in the log of the job that waits for one.
func TestSettingsWithoutAPlaceAreTold(t *testing.T) {
	t.Parallel()
	listen(t, func(w *world, c *scripted) {
		spec := patched(1, "25565")
		spec.Install.Downloads[0].URL = "{\"port\": 1, \"world\": \"hidden\"}"
		spec.Install.Secrets = []string{"hunter2"}
		spec.Patches[0].Parser = wire.PatchJSON
		spec.Patches[0].Set = append(spec.Patches[0].Set, wire.PatchSet{Match: "world.hunter2", Value: []byte("5")})
		w.apply(spec)
		w.running(one)
		const line = "conf/game.properties: world.****** isn't set: there is a plain value on the way to it, in line 1."
		if lines := w.outputs(); !slices.Equal(lines, []string{line}) {
			t.Errorf("the job's log has %q", lines)
		}
		said := func() (n int) {
			c.mu.Lock()
			defer c.mu.Unlock()
			for _, text := range c.said {
				if text == line {
					n++
				}
			}
			return n
		}
		if said() != 1 {
			t.Errorf("the console has %q", c.said)
		}
		if got := w.reads("conf/game.properties"); !strings.Contains(got, "25565") {
			t.Errorf("the other setting is not set: %q", got)
		}
		w.crash(one)
		w.sleep(time.Minute)
		w.running(one)
		if lines := w.outputs(); said() != 2 || len(lines) != 1 {
			t.Errorf("after a crash the console has it %d times, and a job's log %q", said(), lines)
		}
	})
}

func TestPatchesThatNobodyCanCarryOutAreRefused(t *testing.T) {
	t.Parallel()
	for field, p := range map[string]wire.Patch{
		"patches[0].path":   {Path: "../x", Parser: wire.PatchINI},
		"patches[0].parser": {Path: "x", Parser: "perl"},
	} {
		s := basic(one, 1)
		s.Patches = []wire.Patch{p}
		if err := Validate(s); !problem.Is(err, problem.Validation) || problem.From(err).Fields[0].Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	s := basic(one, 1)
	s.Patches = []wire.Patch{{Path: "a", Parser: wire.PatchINI, Set: make([]wire.PatchSet, maxSets+1)}}
	if err := Validate(s); !problem.Is(err, problem.Validation) {
		t.Errorf("%v", err)
	}
}
