package runtimetest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
)

func portTests() map[string]func(*testing.T, Harness) {
	return map[string]func(*testing.T, Harness){
		"reached over tcp and udp":        portsReached,
		"taken by another container":      portOfContainer,
		"taken by another program":        portOfProgram,
		"tcp and udp are apart":           protocolsApart,
		"on an address that is not here":  addressNotHere,
		"free once a container is killed": portFreed,
	}
}

// Publish gives a port of the container on all addresses, for the protocols.
func Publish(host, container uint16, protocols ...runtime.Protocol) []runtime.Port {
	var ports []runtime.Port
	for _, p := range protocols {
		ports = append(ports, runtime.Port{HostIP: "0.0.0.0", Host: host, Container: container, Protocol: p})
	}
	return ports
}

func portsReached(t *testing.T, h Harness) {
	port := FreePort(t)
	spec := h.spec("serve", "8080")
	spec.Network = Network(t, h.Engine).Name
	spec.Ports = Publish(port, 8080, runtime.TCP, runtime.UDP)
	id := start(t, h.Engine, spec)
	if h.Address == "" {
		return
	}
	address := net.JoinHostPort(h.Address, strconv.Itoa(int(port)))
	Echoes(t, "tcp", address)
	Echoes(t, "udp", address)
	HasPage(t, "http://"+address+"/")
	must(t, "Kill", h.Engine.Kill(t.Context(), id))
	if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
		_ = conn.Close()
		t.Fatalf("port %d still answers after the container was killed", port)
	}
}

// Echoes waits until the probe at the address sends back what it gets.
func Echoes(t testing.TB, network, address string) {
	t.Helper()
	sent := "hello " + network
	Eventually(t, "an echo over "+network+" from "+address, func() bool {
		conn, err := net.DialTimeout(network, address, time.Second)
		if err != nil {
			return false
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(time.Second))
		if _, err := io.WriteString(conn, sent); err != nil {
			return false
		}
		got := make([]byte, len(sent))
		_, err = io.ReadFull(conn, got)
		return err == nil && string(got) == sent
	})
}

// HasPage waits until the probe's page is at the address.
func HasPage(t testing.TB, url string) {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	Eventually(t, "a page at "+url, func() bool {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			return false
		}
		answer, err := client.Do(request)
		if err != nil {
			return false
		}
		defer func() { _ = answer.Body.Close() }()
		text, err := io.ReadAll(answer.Body)
		return err == nil && answer.StatusCode == http.StatusOK && strings.Contains(string(text), "berth probe")
	})
}

func portOfContainer(t *testing.T, h Harness) {
	network := Network(t, h.Engine).Name
	for _, protocol := range []runtime.Protocol{runtime.TCP, runtime.UDP} {
		port := FreePort(t)
		spec := h.spec("idle")
		spec.Network, spec.Ports = network, Publish(port, 80, protocol)
		start(t, h.Engine, spec)
		other := h.spec("idle")
		other.Network, other.Ports = network, Publish(port, 81, protocol)
		id := create(t, h.Engine, other)
		f := refused(t, "Start", h.Engine.Start(t.Context(), id), runtime.PortInUse)
		if f.Port != port || !strings.Contains(f.Message, fmt.Sprint(port)) {
			t.Fatalf("the failure is about port %d (%q), want %d", f.Port, f.Message, port)
		}
	}
}

func portOfProgram(t *testing.T, h Harness) {
	network := Network(t, h.Engine).Name
	for _, protocol := range []runtime.Protocol{runtime.TCP, runtime.UDP} {
		port := FreePort(t)
		h.Occupy(t, port, protocol)
		spec := h.spec("idle")
		spec.Network, spec.Ports = network, Publish(port, 80, protocol)
		id := create(t, h.Engine, spec)
		f := refused(t, "Start", h.Engine.Start(t.Context(), id), runtime.PortInUse)
		if f.Port != port || !strings.Contains(f.Message, fmt.Sprint(port)) {
			t.Fatalf("the failure is about port %d (%q), want %d", f.Port, f.Message, port)
		}
		if c := inspect(t, h.Engine, id); c.Status != runtime.Created {
			t.Fatalf("after a start that failed it is %+v", c)
		}
	}
}

func protocolsApart(t *testing.T, h Harness) {
	port := FreePort(t)
	network := Network(t, h.Engine).Name
	for _, protocol := range []runtime.Protocol{runtime.TCP, runtime.UDP} {
		spec := h.spec("idle")
		spec.Network, spec.Ports = network, Publish(port, 80, protocol)
		start(t, h.Engine, spec)
	}
}

func addressNotHere(t *testing.T, h Harness) {
	spec := h.spec("idle")
	spec.Network = Network(t, h.Engine).Name
	spec.Ports = []runtime.Port{{HostIP: "192.0.2.77", Host: FreePort(t), Container: 80, Protocol: runtime.TCP}} // an address for documents
	id := create(t, h.Engine, spec)
	f := refused(t, "Start", h.Engine.Start(t.Context(), id), runtime.AddressNotHere)
	if !strings.Contains(f.Message, "192.0.2.77") {
		t.Fatalf("the sentence %q does not name the address", f.Message)
	}
}

// portFreed: once Kill, Stop or Remove has returned the port is free at once.
func portFreed(t *testing.T, h Harness) {
	port := FreePort(t)
	network := Network(t, h.Engine).Name
	for what, end := range map[string]func(context.Context, runtime.ContainerID) error{
		"Kill":   h.Engine.Kill,
		"Remove": h.Engine.Remove,
		"Stop": func(ctx context.Context, id runtime.ContainerID) error {
			return h.Engine.Stop(ctx, id, runtime.StopSpec{Grace: grace})
		},
	} {
		for range 3 {
			spec := h.spec("idle")
			spec.Network, spec.Ports = network, Publish(port, 80, runtime.TCP, runtime.UDP)
			id := create(t, h.Engine, spec)
			must(t, "Start after "+what, h.Engine.Start(t.Context(), id))
			must(t, what, end(t.Context(), id))
		}
	}
}
