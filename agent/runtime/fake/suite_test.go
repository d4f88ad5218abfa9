package fake_test

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
)

// TestSuite runs what every engine has to pass.
func TestSuite(t *testing.T) {
	t.Parallel()
	runtimetest.Run(t, func(t testing.TB) runtimetest.Harness {
		engine := fake.New(fake.Options{
			Node: runtimetest.NewNode(), Program: playProbe, Addresses: []string{},
			Info: runtime.Info{Cores: 2},
		})
		runtimetest.LoadProbe(t, engine, "bt/probe:1")
		engine.OfferImage("registry.example/bt/game:1", fake.Offer{Image: runtime.Image{SizeBytes: 1 << 20}})
		away := fake.New(fake.Options{})
		away.SetUnreachable(true)
		return runtimetest.Harness{
			Hand:   handOf(engine),
			Engine: engine, Beside: engine.Beside(runtimetest.NewNode()), Away: away,
			Image: "bt/probe:1", Pullable: func() string { return "registry.example/bt/game:1" }, Unknown: "registry.example/bt/nope:1",
			Occupy: func(t testing.TB, port uint16, protocol runtime.Protocol) { t.Cleanup(engine.Occupy(port, protocol)) },
		}
	})
}

// playProbe does what the probe does with these arguments.
func playProbe(spec runtime.ContainerSpec) fake.Program {
	p := fake.Program{Files: map[string]string{}, Links: map[string]string{}}
	args := spec.Command
	if len(spec.Entrypoint) > 0 {
		if spec.Entrypoint[0] != "/probe" {
			return fake.Program{Missing: true}
		}
		args = append(spec.Entrypoint[1:len(spec.Entrypoint):len(spec.Entrypoint)], args...)
	}
	p.OnSignal = func(number int) (int, bool) {
		if number == 15 {
			return 0, true
		}
		return 40 + number, true
	}
	p.Ends = true // unless a step lasts
	for _, step := range strings.Split(strings.Join(args, "\x00"), "\x00then\x00") {
		words := strings.Split(step, "\x00")
		switch words[0] {
		case "exit":
			p.ExitCode, _ = strconv.Atoi(words[1])
		case "idle", "serve":
			p.Ends = false
		case "stubborn":
			p.Ends, p.Stubborn = false, true
		case "wait":
		case "lines":
			n, _ := strconv.Atoi(words[1])
			for i := range n {
				p.Says += "line " + strconv.Itoa(i+1) + "\n"
			}
		case "say", "cry":
			text, _ := strconv.Unquote(`"` + words[1] + `"`)
			if words[0] == "cry" {
				p.Cries += text
			} else {
				p.Says += text
			}
		case "answer":
			p.Ends = false
			p.Answers = func(line string) string { return "you said " + line + "\n" }
		case "size":
			p.Ends = false
		case "hog":
			if mib, _ := strconv.ParseInt(words[1], 10, 64); mib<<20 > spec.MemoryBytes {
				p.OOM = true
			} else {
				p.Ends = false
			}
		case "write":
			p.Files[path.Clean(words[1])] = words[2]
		case "link":
			p.Links[path.Clean(words[2])] = words[1]
		default:
			return fake.Program{Ends: true, ExitCode: 70}
		}
	}
	return p
}

// handOf does by hand what the script can do behind the agent's back.
func handOf(e *fake.Engine) runtimetest.Hand {
	alter := func(t testing.TB, id runtime.ContainerID, change func(c *runtime.Container)) {
		t.Helper()
		if !e.Alter(id, change) {
			t.Fatal("by hand: no such container")
		}
	}
	return runtimetest.Hand{
		Pause: func(t testing.TB, id runtime.ContainerID) {
			if !e.Pause(id) {
				t.Fatal("by hand: nothing to pause")
			}
		},
		Rename: func(t testing.TB, id runtime.ContainerID, name string) {
			alter(t, id, func(c *runtime.Container) { c.Name = name })
		},
		Limit: func(t testing.TB, id runtime.ContainerID, memory, nanoCPUs, pids int64) {
			alter(t, id, func(c *runtime.Container) { c.MemoryBytes, c.NanoCPUs, c.PidsLimit = memory, nanoCPUs, pids })
		},
		Leave: func(t testing.TB, id runtime.ContainerID, network string) {
			alter(t, id, func(c *runtime.Container) { c.Network = joined(c.Network, network, false) })
		},
		Join: func(t testing.TB, id runtime.ContainerID, network string) {
			alter(t, id, func(c *runtime.Container) { c.Network = joined(c.Network, network, true) })
		},
		Restarts: func(t testing.TB, id runtime.ContainerID) {
			alter(t, id, func(c *runtime.Container) { c.Restarts = true })
		},
		Signal: func(_ testing.TB, id runtime.ContainerID, number int) { e.Signal(id, number) },
		Stop:   func(_ testing.TB, id runtime.ContainerID) { e.Signal(id, 15) },
		Start: func(t testing.TB, id runtime.ContainerID) {
			if err := e.Start(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		},
		Remove: func(_ testing.TB, id runtime.ContainerID) { e.Vanish(id) },
	}
}

// joined puts a name into the list of names, or takes it out.
func joined(list, name string, in bool) string {
	names := strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
	names = slices.DeleteFunc(names, func(n string) bool { return n == name })
	if in {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}
