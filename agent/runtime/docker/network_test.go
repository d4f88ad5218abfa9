package docker_test

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
)

// addressOf is a container's own address on its network.
func (b bench) addressOf(t *testing.T, id runtime.ContainerID, network string) string {
	t.Helper()
	c := b.raws(t, id)
	settings := c.NetworkSettings.Networks[network]
	if settings == nil || settings.IPAddress == "" {
		t.Fatalf("the container has no address on %s: %+v", network, c.NetworkSettings.Networks)
	}
	return settings.IPAddress
}

// dial lets a container of the network connect somewhere and tells the result.
func (b bench) dial(t *testing.T, network, address string) string {
	t.Helper()
	spec := b.spec("dial", address, "/tmp/result", "then", "idle")
	spec.Network = network
	return b.file(t, b.start(t, spec), "/tmp/result")
}

// TestIsolation: on Berth's bridge a container reaches the node and not its
// neighbours. The same on a plain bridge proves that the attempt could work.
func TestIsolation(t *testing.T) {
	t.Parallel()
	b := setup(t)
	own := runtimetest.Network(t, b.engine)
	plain := b.plainNetwork(t)
	for _, c := range []struct {
		network string
		reached bool
	}{{plain, true}, {own.Name, false}} {
		spec := b.spec("serve", "8080")
		spec.Network = c.network
		id := b.start(t, spec)
		address := net.JoinHostPort(b.addressOf(t, id, c.network), "8080")
		runtimetest.Echoes(t, "tcp", address) // from the host, where both can be reached
		result := b.dial(t, c.network, address)
		if (result == "reached") != c.reached {
			t.Errorf("on %s the neighbour at %s: %s, want reached to be %v", c.network, address, result, c.reached)
		}
	}

	var listen net.ListenConfig
	gateway := netip.MustParsePrefix(own.Subnet).Masked().Addr().Next() // the node's own address on it
	l, err := listen.Listen(t.Context(), "tcp", net.JoinHostPort(gateway.String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if result := b.dial(t, own.Name, l.Addr().String()); result != "reached" {
		t.Errorf("a container does not reach its node at %s: %s", l.Addr(), result)
	}
}

// plainNetwork is a bridge as Docker makes it, where neighbours meet.
func (b bench) plainNetwork(t *testing.T) string {
	t.Helper()
	var err error
	for range 50 {
		spec := runtimetest.DrawNetwork()
		_, err = b.raw.NetworkCreate(t.Context(), spec.Name, network.CreateOptions{
			Driver: "bridge", IPAM: &network.IPAM{Config: []network.IPAMConfig{{Subnet: spec.Subnet}}},
		})
		if err != nil {
			continue // most likely taken
		}
		t.Cleanup(func() { b.dropNetwork(t, spec.Name) })
		return spec.Name
	}
	t.Fatal(err)
	return ""
}

// dropNetwork removes a network that is not ours, and what is on it.
func (b bench) dropNetwork(t *testing.T, name string) {
	ctx := context.Background()
	found, err := b.raw.NetworkInspect(ctx, name, network.InspectOptions{})
	if err != nil {
		t.Error(err)
		return
	}
	for id := range found.Containers {
		if err := b.raw.ContainerRemove(ctx, id, container.RemoveOptions{Force: true}); err != nil {
			t.Error(err)
		}
	}
	if err := b.raw.NetworkRemove(ctx, name); err != nil {
		t.Error(err)
	}
}

// TestNetworkAsMade reads the network back from Docker.
func TestNetworkAsMade(t *testing.T) {
	t.Parallel()
	b := setup(t)
	spec := runtimetest.Network(t, b.engine)
	n, err := b.raw.NetworkInspect(t.Context(), spec.Name, network.InspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if n.Driver != "bridge" || n.Internal || n.EnableIPv6 || n.Labels["berth.node"] == "" || n.Labels["berth.network"] != spec.Name {
		t.Errorf("the network is %+v", n)
	}
	for option, want := range map[string]string{
		"com.docker.network.bridge.enable_icc": "false", "com.docker.network.bridge.enable_ip_masquerade": "true",
		"com.docker.network.bridge.name": "br-" + spec.Name,
	} {
		if got := n.Options[option]; got != want {
			t.Errorf("%s is %q, want %q", option, got, want)
		}
	}
	if len(n.IPAM.Config) != 1 || n.IPAM.Config[0].Subnet != netip.MustParsePrefix(spec.Subnet).Masked().String() {
		t.Errorf("its subnets are %+v, want %s", n.IPAM.Config, spec.Subnet)
	}
}

// TestNetworkOfStranger: one that somebody made is neither used nor changed.
func TestNetworkOfStranger(t *testing.T) {
	t.Parallel()
	b := setup(t)
	name := b.plainNetwork(t)
	wantReason(t, "EnsureNetwork", b.engine.EnsureNetwork(t.Context(), runtime.NetworkSpec{Name: name}), runtime.Conflict)
}

// TestNetworkLongName: the device's name is short whatever the network's is.
func TestNetworkLongName(t *testing.T) {
	t.Parallel()
	b := setup(t)
	spec := runtimetest.DrawNetwork()
	spec.Name += "-with-a-name-that-no-device-can-have"
	if err := b.engine.EnsureNetwork(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	if err := b.engine.EnsureNetwork(t.Context(), spec); err != nil {
		t.Fatalf("again: %v", err)
	}
}

// TestPortsOnOneAddress: a port is published where the spec says, only there,
// and each on its own address.
func TestPortsOnOneAddress(t *testing.T) {
	t.Parallel()
	b := setup(t)
	network := runtimetest.Network(t, b.engine).Name
	port := runtimetest.FreePort(t)
	for _, ip := range []string{"127.0.0.1", "127.0.0.2"} {
		spec := b.spec("serve", "8080")
		spec.Network = network
		spec.Ports = []runtime.Port{
			{HostIP: ip, Host: port, Container: 8080, Protocol: runtime.TCP},
			{HostIP: ip, Host: port, Container: 8080, Protocol: runtime.UDP},
		}
		b.start(t, spec)
		address := net.JoinHostPort(ip, strconv.Itoa(int(port)))
		runtimetest.Echoes(t, "tcp", address)
		runtimetest.Echoes(t, "udp", address)
	}
	var d net.Dialer
	if conn, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort("127.0.0.3", strconv.Itoa(int(port)))); err == nil {
		_ = conn.Close()
		t.Error("the port answers on an address that nobody asked for")
	}
}
