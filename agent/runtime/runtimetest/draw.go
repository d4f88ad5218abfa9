package runtimetest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/ident"
)

// Patience is how long Eventually waits: long, since a busy machine is no
// failure.
const Patience = time.Minute

// Eventually waits until the condition holds, and fails the test when it does
// not in time. Use it for what the kernel or an engine does by itself.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	for pause := time.Millisecond; !holds(); pause = min(2*pause, 100*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain for %s", Patience, what)
		}
		time.Sleep(pause)
	}
}

// drawn are the ports that this process has given out.
var drawn struct {
	sync.Mutex
	ports map[int]bool
}

// FreePort draws a port that is free on tcp and udp now, and that no other test
// of this process draws. It lies below those that the kernel hands out by
// itself.
func FreePort(t testing.TB) uint16 {
	t.Helper()
	drawn.Lock()
	defer drawn.Unlock()
	if drawn.ports == nil {
		drawn.ports = map[int]bool{}
	}
	for range 1000 {
		port := 15000 + rand.IntN(15000)
		if drawn.ports[port] || !free(t, port) {
			continue
		}
		drawn.ports[port] = true
		return uint16(port)
	}
	t.Fatal("found no free port in 1000 attempts")
	return 0
}

func free(t testing.TB, port int) bool {
	t.Helper()
	var listen net.ListenConfig
	address := ":" + strconv.Itoa(port)
	tcp, err := listen.Listen(t.Context(), "tcp", address)
	if err != nil {
		return false
	}
	defer func() { _ = tcp.Close() }()
	udp, err := listen.ListenPacket(t.Context(), "udp", address)
	if err != nil {
		return false
	}
	defer func() { _ = udp.Close() }()
	return true
}

// Network makes a network of a name and a small subnet of its own. An engine
// has room for few networks without a subnet.
func Network(t testing.TB, engine runtime.Engine) runtime.NetworkSpec {
	t.Helper()
	var err error
	for range 50 {
		spec := DrawNetwork()
		if err = engine.EnsureNetwork(t.Context(), spec); err == nil {
			return spec
		}
		if runtime.ReasonOf(err) != runtime.Conflict {
			break
		}
	}
	t.Fatalf("making a network: %v", err)
	return runtime.NetworkSpec{}
}

// DrawNetwork gives a name and a subnet that are most likely free.
func DrawNetwork() runtime.NetworkSpec {
	return runtime.NetworkSpec{
		Name:   "bt-" + string(ident.NewInstance()),
		Subnet: fmt.Sprintf("10.%d.%d.%d/28", 200+rand.IntN(50), rand.IntN(256), 16*rand.IntN(16)),
	}
}
