package docker_test

import (
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/docker"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/shared/ident"
)

// TestSuite runs what every engine has to pass, with its own first process in
// containers, and with ours.
func TestSuite(t *testing.T) {
	t.Parallel()
	for name, supervised := range map[string]bool{"alone": false, "supervised": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			suite(t, supervised)
		})
	}
}

func suite(t *testing.T, supervised bool) {
	t.Helper()
	host := runtimetest.DockerHost(t)
	image := loadedProbe(t, host)
	runtimetest.Run(t, func(t testing.TB) runtimetest.Harness {
		registry, node, beside := runtimetest.NewRegistry(t), runtimetest.NewNode(), runtimetest.NewNode()
		runtimetest.CleanDocker(t, host, node, beside)
		engine := engineOf(t, host, node)
		if supervised {
			engine = supervisedEngine(t, host, node)
		}
		return runtimetest.Harness{
			Engine: engine, Beside: engineOf(t, host, beside), Away: awayEngine(t),
			Image: image, Pullable: sync.OnceValue(func() string { return registry.Offer(t, host, "bt/game") }), Unknown: registry.Address + "/bt/nope:1",
			Hand: runtimetest.DockerHand(host), Occupy: occupy, Address: "127.0.0.1", BlindToOOM: runtimetest.BlindToOOM(t, host),
		}
	})
}

// newEngine is a node of its own whose things are removed at the end.
func newEngine(t testing.TB, host string) *docker.Engine {
	t.Helper()
	node := runtimetest.NewNode()
	runtimetest.CleanDocker(t, host, node)
	return engineOf(t, host, node)
}

func engineOf(t testing.TB, host string, node ident.Node) *docker.Engine {
	t.Helper()
	e, err := docker.New(docker.Options{Host: host, Node: node})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// supervisedEngine is one whose containers have our first process.
func supervisedEngine(t testing.TB, host string, node ident.Node) *docker.Engine {
	t.Helper()
	e, err := docker.New(docker.Options{Host: host, Node: node, Supervisor: runtimetest.Supervisor(t, t.TempDir())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// loadedProbe loads the probe's image for a test and its subtests.
func loadedProbe(t testing.TB, host string) string {
	t.Helper()
	reference := "bt/probe-" + string(ident.NewInstance()) + ":1"
	runtimetest.LoadProbe(t, newEngine(t, host), reference)
	return reference
}

func awayEngine(t testing.TB) *docker.Engine {
	t.Helper()
	return engineOf(t, "unix://"+t.TempDir()+"/nobody", runtimetest.NewNode())
}

func occupy(t testing.TB, port uint16, protocol runtime.Protocol) {
	t.Helper()
	var listen net.ListenConfig
	address := "0.0.0.0:" + strconv.Itoa(int(port))
	if protocol == runtime.UDP {
		c, err := listen.ListenPacket(t.Context(), "udp4", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return
	}
	l, err := listen.Listen(t.Context(), "tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
}
