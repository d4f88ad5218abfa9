package fake_test

import (
	"path"
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
			Engine: engine, Beside: engine.Beside(runtimetest.NewNode()), Away: away,
			Image: "bt/probe:1", Pullable: "registry.example/bt/game:1", Unknown: "registry.example/bt/nope:1",
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
