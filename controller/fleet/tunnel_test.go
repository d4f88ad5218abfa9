package fleet_test

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/hashicorp/yamux"

	"github.com/berth-panel/berth/controller/fleet/fleettest"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// socket opens a WebSocket at the door; it is closed at the test's end.
func (b *bundle) socket(t *testing.T) *websocket.Conn {
	t.Helper()
	socket, err := b.door.Socket(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	return socket
}

// ends waits until the controller closes the socket, and gives how.
func ends(t *testing.T, socket *websocket.Conn) error {
	t.Helper()
	_ = socket.SetReadDeadline(time.Now().Add(patience))
	for {
		if _, _, err := socket.ReadMessage(); err != nil {
			return err
		}
	}
}

// prove opens a tunnel by hand, proven as the agent.
func (b *bundle) prove(t *testing.T, agent *fleettest.Agent) (*websocket.Conn, *yamux.Session, error) {
	t.Helper()
	socket := b.socket(t)
	session, err := fleettest.Session(socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return socket, session, agent.Prove(session)
}

// frame is one of yamux.
func frame(kind byte, flags uint16, stream, length uint32) []byte {
	f := make([]byte, 12)
	f[1] = kind
	binary.BigEndian.PutUint16(f[2:], flags)
	binary.BigEndian.PutUint32(f[4:], stream)
	binary.BigEndian.PutUint32(f[8:], length)
	return f
}

func TestStrangersTunnelIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, tunnelled, nil)
	known := b.join(t)
	wrong := authority(t, t.TempDir())
	strangers := map[string]*fleettest.Agent{
		"a node of another controller":              fleettest.New(t, wrong, known.Target().Node),
		"a node that is not let in":                 fleettest.New(t, b.authority, ident.Node(ident.New())),
		"the node itself with an older certificate": fleettest.New(t, b.authority, known.Target().Node),
	}
	for name, stranger := range strangers {
		socket := b.socket(t)
		session, err := fleettest.Session(socket)
		if err != nil {
			t.Fatal(err)
		}
		_ = stranger.Prove(session) // which side notices first is open
		<-session.CloseChan()
		if b.sink.count("disconnected") != 0 || !b.fleet.Online(known.Target().Node) {
			t.Fatalf("%s took the node's place", name)
		}
	}
	if tunnels, _ := b.directory.told(); len(tunnels) != 0 {
		t.Fatalf("the directory was told of %v", tunnels)
	}
}

func TestWhatIsNoTunnelIsClosed(t *testing.T) {
	t.Parallel()
	random := make([]byte, 4096)
	_, _ = rand.Read(random)
	random[0] = 9 // no version of yamux
	cases := map[string]func(s *websocket.Conn) error{
		"text":  func(s *websocket.Conn) error { return s.WriteMessage(websocket.TextMessage, []byte("hello")) },
		"noise": func(s *websocket.Conn) error { return s.WriteMessage(websocket.BinaryMessage, random) },
		"a huge frame": func(s *websocket.Conn) error {
			_ = s.WriteMessage(websocket.BinaryMessage, make([]byte, 2<<20)) // it may be closed before the end
			return nil
		},
		"a stream": func(s *websocket.Conn) error { return s.WriteMessage(websocket.BinaryMessage, frame(1, 1, 2, 0)) },
		"a stream with data": func(s *websocket.Conn) error {
			return s.WriteMessage(websocket.BinaryMessage, frame(0, 1, 2, 1<<31))
		},
		"pings": func(s *websocket.Conn) error {
			for range 100 {
				if err := s.WriteMessage(websocket.BinaryMessage, frame(2, 1, 0, 7)); err != nil {
					return nil // closed before the last
				}
			}
			return nil
		},
		"goodbye": func(s *websocket.Conn) error { return s.WriteMessage(websocket.BinaryMessage, frame(3, 0, 0, 2)) },
	}
	b := setup(t, tunnelled, nil)
	known := b.join(t)
	for name, send := range cases {
		socket := b.socket(t)
		if err := send(socket); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := ends(t, socket); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if b.sink.count("disconnected") != 0 || !b.fleet.Online(known.Target().Node) {
		t.Fatal("another node was disturbed")
	}
}

func TestFloodOfStreamsEndsTheTunnel(t *testing.T) {
	t.Parallel()
	b := setup(t, tunnelled, nil)
	agent := fleettest.New(t, b.authority, ident.Node(ident.New()))
	target := agent.Target()
	target.Tunnel = true
	b.directory.set(target)
	b.fleet.Refresh()
	b.offline(t, target.Node, "it has not opened its tunnel")
	socket, session, err := b.prove(t, agent)
	if err != nil {
		t.Fatal(err)
	}
	b.logs(t, "a node opened its tunnel")
	for range 1000 {
		if _, err := session.Open(); err != nil {
			break
		}
	}
	<-session.CloseChan()
	_ = socket.Close()
	b.logs(t, "it opens a stream")
}

func TestUnprovenTunnelsAreFew(t *testing.T) {
	t.Parallel()
	b := setup(t, tunnelled, nil)
	silent := make([]*websocket.Conn, 8)
	for i := range silent {
		silent[i] = b.socket(t)
		if _, _, err := silent[i].NextReader(); err != nil { // the controller has begun with it
			t.Fatal(err)
		}
	}
	if err := ends(t, b.socket(t)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Fatalf("the ninth from one network: %v", err)
	}
	known := b.agent(t)
	b.directory.set(known.Target())
	b.fleet.Refresh()
	_ = silent[0].Close()
	b.sink.wait(t, "the known one", func() bool { return b.sink.count("synced") == 1 })
}

func TestNewerTunnelTakesThePlace(t *testing.T) {
	t.Parallel()
	b := setup(t, tunnelled, nil)
	agent := fleettest.New(t, b.authority, ident.Node(ident.New()))
	target := agent.Target()
	target.Tunnel = true
	b.directory.set(target)
	b.fleet.Refresh()
	b.offline(t, target.Node, "it has not opened its tunnel")
	older := b.socket(t)
	conn := wire.NewTunnelConn(older, true, time.Now)
	config := yamux.DefaultConfig()
	config.LogOutput = io.Discard
	session, err := yamux.Server(conn, config)
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.Prove(session); err != nil {
		t.Fatal(err)
	}
	b.logs(t, "a node opened its tunnel")
	_, newer, err := b.prove(t, agent)
	if err != nil {
		t.Fatal(err)
	}
	<-session.CloseChan()
	if err := conn.Err(); !websocket.IsCloseError(err, wire.TunnelReplaced) {
		t.Fatalf("the older was told %v", err)
	}
	if newer.IsClosed() {
		t.Fatal("the newer is closed too")
	}
}

func TestDialledNodeThatOpensATunnel(t *testing.T) {
	t.Parallel()
	b := setup(t, dialled, nil)
	agent := b.join(t)
	node := agent.Target().Node
	_, _, err := b.prove(t, agent)
	if err != nil {
		t.Fatal(err)
	}
	b.logs(t, "a node opened its tunnel")
	b.sink.wait(t, "the other way", func() bool { return b.sink.count("disconnected") == 1 })
	if tunnels, _ := b.directory.told(); len(tunnels) != 1 || tunnels[0] != node {
		t.Fatalf("the directory was told of %v", tunnels)
	}
}

func TestNodeThatShallBeDialledAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, tunnelled, nil)
	agent := b.join(t)
	target := agent.Target()
	target.Tunnel = false
	b.directory.set(target)
	b.fleet.Refresh()
	// The agent goes on opening its tunnel, and its own settings decide.
	b.sink.wait(t, "back", func() bool { return b.sink.count("synced") == 2 })
	if tunnels, _ := b.directory.told(); len(tunnels) != 1 {
		t.Fatalf("the directory was told %d times", len(tunnels))
	}
}

func TestDirectoryThatCannotNoteATunnel(t *testing.T) {
	t.Parallel()
	b := setup(t, dialled, nil)
	agent := b.join(t)
	b.directory.mu.Lock()
	b.directory.refusal = errors.New("the disk is full")
	b.directory.mu.Unlock()
	_, session, _ := b.prove(t, agent) // which side notices first is open
	<-session.CloseChan()
	b.logs(t, "a tunnel was refused")
	if b.sink.count("disconnected") != 0 {
		t.Fatal("the way that works was cut")
	}
}

func TestRevokedNodesTunnelIsCut(t *testing.T) {
	t.Parallel()
	b := setup(t, tunnelled, nil)
	agent := fleettest.New(t, b.authority, ident.Node(ident.New()))
	target := agent.Target()
	target.Tunnel = true
	b.directory.set(target)
	b.fleet.Refresh()
	b.offline(t, target.Node, "it has not opened its tunnel")
	_, session, err := b.prove(t, agent)
	if err != nil {
		t.Fatal(err)
	}
	b.logs(t, "a node opened its tunnel")
	b.directory.set()
	b.fleet.Refresh()
	<-session.CloseChan()
	b.offline(t, target.Node, "not enrolled")
}

// A call that is under way when the connection breaks ends at once and says so.
func TestCallIsCutWithItsTunnel(t *testing.T) {
	t.Parallel()
	b := setup(t, tunnelled, nil)
	agent := b.join(t)
	entered := make(chan struct{})
	agent.OnApply(func(wire.Spec) *fleettest.Answer {
		close(entered)
		return &fleettest.Answer{Until: make(chan struct{})}
	})
	go func() {
		<-entered
		agent.Stop()
	}()
	_, err := b.fleet.Apply(t.Context(), agent.Target().Node, wire.Spec{Instance: "0a1b2c3d"})
	wantProblem(t, err, problem.NodeOffline, "the call to node") // by the cut, or by the repeat that found no tunnel
}

// A fleet that starts anew finds its agents by their tunnels.
func TestControllerRestartsBehindItsDoor(t *testing.T) {
	t.Parallel()
	b := setup(t, tunnelled, nil)
	b.join(t)
	b.stop()
	if why := b.sink.reasons(); len(why) != 1 || why[0].Error() != "the controller stops" {
		t.Fatalf("disconnected because of %v", why)
	}
	socket := b.socket(t)
	if err := ends(t, socket); err == nil {
		t.Fatal("a fleet that has ended takes tunnels in")
	}
}

func TestManyTunnels(t *testing.T) {
	t.Parallel()
	b := setup(t, tunnelled, nil)
	var agents []*fleettest.Agent
	for range 30 { // more than may be unproven at a time
		agents = append(agents, b.agent(t))
		b.directory.mu.Lock()
		b.directory.targets = append(b.directory.targets, agents[len(agents)-1].Target())
		b.directory.mu.Unlock()
	}
	b.fleet.Refresh()
	b.sink.wait(t, "all of them", func() bool { return b.sink.count("synced") == len(agents) })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for i, agent := range agents {
		if _, err := b.fleet.Apply(ctx, agent.Target().Node, wire.Spec{Instance: ident.Instance(fmt.Sprintf("%08x", i))}); err != nil {
			t.Error(err)
		}
	}
}
