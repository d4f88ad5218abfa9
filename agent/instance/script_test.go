package instance

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const toolsImage = "tools:1"

// prepared is a spec whose volume a script installs.
func prepared(generation int64) wire.Spec {
	s := basic(one, generation)
	s.Power.Order = generation
	s.Install.Downloads = []wire.Download{{URL: "port={{PORT}}", Path: "server.properties"}}
	s.Install.Replace = map[string]string{"PORT": "25565"}
	s.Install.Script = &wire.Script{Image: toolsImage, Entrypoint: "bash", Text: "echo hello\n", Env: []string{"SERVER_MEMORY=64"}}
	return s
}

// paper takes text, and is read, from any goroutine.
type paper struct {
	mu   sync.Mutex
	text strings.Builder
}

func (p *paper) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *paper) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// screen is a console that remembers what installations printed.
type screen struct {
	noConsole
	text *paper
}

func (s screen) Install(ident.Instance) io.WriteCloser { return s }
func (s screen) Write(p []byte) (int, error)           { return s.text.Write(p) }
func (s screen) Close() error                          { return nil }

// script plays a test with an engine on which scripts do what program says. The
// console's text is on the paper.
func script(t *testing.T, program fake.Program, test func(w *world, printed *paper)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		printed := &paper{}
		w.console = screen{text: printed}
		w.engine.AddImage(toolsImage, runtime.Image{}, nil)
		w.does(program)
		w.boot()
		defer func() { w.stop() }()
		test(w, printed)
	})
}

// does says what scripts do from now on.
func (w *world) does(program fake.Program) {
	w.engine.SetProgram(func(s runtime.ContainerSpec) fake.Program {
		if s.Role == runtime.RoleInstall {
			return program
		}
		return fake.Program{}
	})
}

// aide is the one container that installs; nil when there is none.
func (w *world) aide() *runtime.Container {
	w.t.Helper()
	_, aides := split(w.engine.Find(one))
	if len(aides) > 1 {
		w.t.Fatalf("containers that install: %+v", aides)
	}
	if len(aides) == 0 {
		return nil
	}
	return &aides[0]
}

// installed checks that the instance runs, with nothing left of an installation.
func (w *world) installed() {
	w.t.Helper()
	w.running(one)
	if left, err := os.ReadDir(filepath.Join(w.dir, "install")); err != nil || len(left) != 0 {
		w.t.Errorf("scripts are left: %v, %v", left, err)
	}
}

func (w *world) failed(code problem.Code, words ...string) {
	w.t.Helper()
	s := w.expect(one, wire.PhaseFailed, wire.ActualStopped, true)
	if s.Failure == nil || s.Failure.Code != code {
		w.t.Fatalf("it failed with %v, want %s", s.Failure, code)
	}
	for _, word := range words {
		if !strings.Contains(s.Failure.Message, word) {
			w.t.Errorf("the failure is %q, without %q", s.Failure.Message, word)
		}
	}
	if w.aide() != nil {
		w.t.Error("its container is left")
	}
}

// outputs is what was told for the job's log.
func (w *world) outputs() (lines []string) {
	for _, e := range w.events(wire.EventOutput) {
		if len(e.Output) > wire.OutputLines || e.Instance != one || e.Generation == 0 {
			w.t.Errorf("an event of %d lines: %+v", len(e.Output), e)
		}
		lines = append(lines, e.Output...)
	}
	return lines
}

// begun counts the containers that were started.
func (w *world) begun() int { return w.engine.Calls(fake.Start) }

var ends = fake.Program{Ends: true, Runs: time.Minute, Says: "hello\r\n"}

func TestScriptRunsBeforeTheFirstStart(t *testing.T) {
	t.Parallel()
	script(t, ends, func(w *world, printed *paper) {
		w.apply(prepared(1))
		w.expect(one, wire.PhaseInstalling, wire.ActualStopped, false)
		w.writable(problem.Conflict)
		aide := w.aide()
		if aide == nil || aide.Status != runtime.Running {
			t.Fatalf("the installation is %+v", aide)
		}
		got := w.engine.Spec(aide.ID)
		want := runtime.ContainerSpec{
			Name: "berth-00000001-install", Instance: one, Role: runtime.RoleInstall, Generation: 1, SpecHash: got.SpecHash, Image: toolsImage,
			Entrypoint: []string{"bash"}, Command: []string{"/mnt/install/install.sh"}, Env: []string{"SERVER_MEMORY=64"}, User: "0:0", TTY: true,
			MemoryBytes: 1 << 30, NanoCPUs: 1e9, PidsLimit: 100, Network: "berth", Hostname: "00000001",
			Mounts: []runtime.Mount{
				{Source: w.volumes.Path(one), Target: "/mnt/server"},
				{Source: filepath.Join(w.dir, "install", "00000001"), Target: "/mnt/install", ReadOnly: true},
			},
		}
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Errorf("its container is\n%+v, want\n%+v", got, want)
		}
		if text, err := os.ReadFile(filepath.Join(w.dir, "install", "00000001", "install.sh")); err != nil || string(text) != "echo hello\n" {
			t.Errorf("the script is %q, %v", text, err)
		}
		if w.read("server.properties") != "port=25565" {
			t.Errorf("the downloaded file holds %q", w.read("server.properties"))
		}
		w.sleep(time.Minute)
		w.installed()
		w.writable("")
		if !strings.HasSuffix(printed.String(), "Running the install script\nhello\r\n") {
			t.Errorf("the console says %q", printed.String())
		}
		if lines := w.outputs(); !slices.Equal(lines, []string{"hello"}) {
			t.Errorf("the job's log has %q", lines)
		}
		starts := w.begun()
		w.reboot() // and never again
		w.sleep(time.Minute)
		if w.installed(); w.begun() != starts {
			t.Error("it was installed again")
		}
	})
}

func TestScriptHasWhatItsInstanceHas(t *testing.T) {
	t.Parallel()
	script(t, ends, func(w *world, _ *paper) {
		s := prepared(1)
		s.Limits = wire.Limits{MemoryMiB: 4096, NanoCPUs: 3e9, DiskMiB: 10, Pids: 999}
		s.Install.Script.Entrypoint = "/bin/bash -e"
		w.apply(s)
		got := w.engine.Spec(w.aide().ID)
		if got.MemoryBytes != 4096<<20 || got.NanoCPUs != 3e9 || got.PidsLimit != 999 || len(got.Ports) != 0 || !slices.Equal(got.Entrypoint, []string{"/bin/bash", "-e"}) {
			t.Errorf("its container is %+v", got)
		}
	})
}

func TestScriptThatFails(t *testing.T) {
	t.Parallel()
	says := "one\r\n\x1b[31mtwo\x1b[0m\r\n50%\r100%\r\nthe key is hunter2\r\nfive\r\nsix\r\n"
	script(t, fake.Program{Ends: true, Says: says, ExitCode: 3}, func(w *world, printed *paper) {
		s := prepared(1)
		s.Install.Secrets = []string{"hunter2"}
		w.apply(s)
		w.sleep(time.Second)
		w.failed(problem.Conflict, "exit code 3", "two / 100% / the key is ****** / five / six")
		if all := fmt.Sprint(w.events(wire.EventOutput), w.events(wire.EventProgress), w.events(wire.EventState), printed); strings.Contains(all, "hunter2") {
			t.Errorf("the secret is told: %s", all)
		}
		w.sleep(time.Hour)
		if w.begun() != 1 {
			t.Errorf("%d starts", w.begun())
		}
		w.reboot()
		w.sleep(time.Hour)
		w.failed(problem.Conflict, "exit code 3")

		w.does(fake.Program{Ends: true}) // and the next order tries it again
		s.Generation, s.Power.Order = 2, 2
		w.apply(s)
		w.sleep(time.Second)
		w.installed()
	})
}

func TestScriptsThatCantBeRun(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		program fake.Program
		spec    func(s *wire.Spec)
		code    problem.Code
		words   string
	}{
		"no such program": {fake.Program{Missing: true}, func(*wire.Spec) {}, problem.Validation, "not in the image"},
		"no such image":   {ends, func(s *wire.Spec) { s.Install.Script.Image = "nowhere:1" }, problem.NotFound, "nowhere:1"},
		"no memory":       {fake.Program{Ends: true, OOM: true}, func(*wire.Spec) {}, problem.InsufficientResources, "1024 MiB"},
		"it never ends": {fake.Program{Says: "still here\r\n"}, func(s *wire.Spec) { s.Install.Script.WithinSeconds = 90 },
			problem.Conflict, "within 1m30s, and was ended; it printed last: still here"},
		"it takes for ever": {fake.Program{}, func(*wire.Spec) {}, problem.Conflict, "within 2h0m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script(t, tt.program, func(w *world, _ *paper) {
				s := prepared(1)
				tt.spec(&s)
				w.apply(s)
				w.sleep(3 * time.Hour)
				w.failed(tt.code, tt.words)
			})
		})
	}
}

// TestScriptOutputIsBounded: the job's log gets the first and the last lines.
func TestScriptOutputIsBounded(t *testing.T) {
	t.Parallel()
	var says strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&says, "line %d\r\n", i)
	}
	script(t, fake.Program{Ends: true, Says: says.String(), ExitCode: 1}, func(w *world, printed *paper) {
		w.apply(prepared(1))
		w.sleep(time.Second)
		lines := w.outputs()
		if len(lines) != 201 || lines[149] != "line 149" || lines[150] != "… 800 lines more; the console has all of them" || lines[151] != "line 950" || lines[200] != "line 999" {
			t.Errorf("%d lines: %q", len(lines), lines)
		}
		if !strings.HasSuffix(printed.String(), says.String()) {
			t.Error("the console doesn't have all of them")
		}
	})
}

// TestScriptIsNoDrift: its changes are no changes of the
// instance, and a sweep takes it for nothing that was done by hand.
func TestScriptIsNoDrift(t *testing.T) {
	t.Parallel()
	script(t, fake.Program{}, func(w *world, _ *paper) {
		s := prepared(1)
		s.Drift = wire.DriftReport
		w.apply(s)
		lists := w.engine.Calls(fake.List)
		w.sleep(time.Hour)
		if s := w.expect(one, wire.PhaseInstalling, wire.ActualStopped, false); s.Drift != "" || w.begun() != 1 {
			t.Errorf("it is %+v, after %d starts", s, w.begun())
		}
		if n := w.engine.Calls(fake.List); n != lists {
			t.Errorf("%d lists", n-lists)
		}
		h := w.holding(one)
		if len(w.m.Inventory().Instances) != 1 || h.State.Container == string(w.aide().ID) {
			t.Errorf("the inventory is %+v", w.m.Inventory())
		}
	})
}

func TestScriptsFilesBelongToTheImagesUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	script(t, ends, func(w *world, _ *paper) {
		w.engine.AddImage("user:1", runtime.Image{User: "1000:1001"}, nil)
		s := prepared(1)
		s.Image.Reference = "user:1"
		w.apply(s)
		if err := os.MkdirAll(w.volumeFile(one, "mods/deep"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := writeFile(w.volumeFile(one, "mods/deep/a.jar")); err != nil {
			t.Fatal(err)
		}
		w.sleep(2 * time.Minute)
		w.installed()
		for _, name := range []string{"", "mods", "mods/deep", "mods/deep/a.jar", "server.properties"} {
			if uid, gid := ownerOf(t, w.volumeFile(one, name)); uid != 1000 || gid != 1001 {
				t.Errorf("%q belongs to %d:%d", name, uid, gid)
			}
		}
	})
}

func TestAgentWithoutScriptsSaysSo(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.m.deps.Scripts = nil
		w.apply(prepared(1))
		w.failed(problem.Conflict, "install scripts")
	})
}

// watchman is a fence that notes what stood when.
type watchman struct {
	fences
	w    *world
	mu   sync.Mutex
	seen []string
}

func (f *watchman) saw() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.seen)
}

func (f *watchman) MAC(ident.Instance) string { return "02:be:00:00:00:01" }

func (f *watchman) Hold(_ ident.Instance, network wire.Network, _ []wire.Port) error {
	status := runtime.Status("none")
	if c := f.w.aide(); c != nil {
		status = c.Status
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, fmt.Sprintf("%v %s", network.Allow, status))
	return nil
}

// TestScriptIsFenced: before it runs, as its instance, and with every newer spec.
func TestScriptIsFenced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f := &watchman{w: w}
		w.fence = f
		w.engine.AddImage(toolsImage, runtime.Image{}, nil)
		w.does(ends)
		w.boot()
		defer func() { w.stop() }()
		w.apply(prepared(1))
		s := prepared(2)
		s.Network.Allow = []string{"10.1.0.0/16"}
		w.apply(s)
		if mac := w.engine.Spec(w.aide().ID).MAC; mac != "02:be:00:00:00:01" || !slices.Equal(f.saw(), []string{"[] none", "[10.1.0.0/16] running"}) {
			t.Errorf("with the address %q, and rules at %q", mac, f.saw())
		}
		w.sleep(2 * time.Minute)
		w.installed()
	})
}

// TestReinstallForAnotherUser: the volume goes to the image's user of now.
func TestReinstallForAnotherUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	script(t, ends, func(w *world, _ *paper) {
		w.engine.AddImage("user:1", runtime.Image{User: "1000:1000"}, nil)
		w.engine.AddImage("user:2", runtime.Image{User: "2000:2000"}, nil)
		for generation, image := range []string{1: "user:1", 2: "user:2"} {
			if image == "" {
				continue
			}
			s := prepared(int64(generation))
			s.Image.Reference, s.Reinstall = image, int64(generation)-1
			w.apply(s)
			w.sleep(2 * time.Minute)
			w.installed()
			for _, name := range []string{"", "server.properties"} {
				if uid, gid := ownerOf(t, w.volumeFile(one, name)); int(uid) != 1000*generation || int(gid) != 1000*generation {
					t.Errorf("with %s, %q belongs to %d:%d", image, name, uid, gid)
				}
			}
		}
	})
}
