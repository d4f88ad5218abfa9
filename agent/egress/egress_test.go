package egress_test

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-panel/berth/agent/egress"
	engines "github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/docker"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// bundle is a node with an engine, a firewall, and two hosts beyond it: one on the
// internet and one in a private network.
type bundle struct {
	t        *testing.T
	firewall *egress.Firewall
	options  egress.Options
	engine   *docker.Engine
	image    string
	network  engines.NetworkSpec
	public   string // HOST:PORT that listens, somewhere on the internet
	private  string // in a private network
	node     string // on the node itself
}

func setup(t *testing.T) *bundle {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv(runtimetest.EnvDocker) == "required" {
			t.Fatal("this test needs root")
		}
		t.Skip("this test needs root")
	}
	host, node := runtimetest.DockerHost(t), runtimetest.NewNode()
	runtimetest.CleanDocker(t, host, node)
	engine, err := docker.New(docker.Options{Host: host, Node: node})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	b := &bundle{t: t, engine: engine, image: "bt/probe-" + string(ident.NewInstance()) + ":1"}
	runtimetest.LoadProbe(t, engine, b.image)
	b.network = runtimetest.Network(t, engine)
	resolvers := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(resolvers, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.options = egress.Options{Node: node, Bridge: docker.BridgeName(b.network.Name), Resolvers: []string{resolvers}, Log: slog.New(slog.DiscardHandler)}
	b.firewall = egress.Open(b.options)
	t.Cleanup(func() { _ = egress.Uninstall(node) })
	if state := b.firewall.State(); !state.Works {
		t.Fatalf("%+v", state)
	}
	n := rand.IntN(60)
	b.public = b.beyond(fmt.Sprintf("198.51.100.%d", 4*n), 443)
	b.private = b.beyond(fmt.Sprintf("192.168.%d.%d", 100+rand.IntN(100), 4*n), 5432)
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go answerAll(l)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	gateway := strings.TrimSuffix(b.network.Subnet[:strings.LastIndexByte(b.network.Subnet, '/')], "")
	at := net.ParseIP(gateway).To4()
	at[3]++
	b.node = net.JoinHostPort(at.String(), port)
	return b
}

// beyond makes a host behind a cable, of the /30 that begins at that address, and
// listens on it. Its way back is the node.
func (b *bundle) beyond(first string, port int) string {
	b.t.Helper()
	a := net.ParseIP(first).To4()
	near, far := net.IPv4(a[0], a[1], a[2], a[3]+1), net.IPv4(a[0], a[1], a[2], a[3]+2)
	name := "bteg" + string(ident.NewInstance())[:7]
	b.ip("netns", "add", name)
	b.t.Cleanup(func() { _ = exec.Command("ip", "netns", "delete", name).Run() })
	b.ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
	b.t.Cleanup(func() { _ = exec.Command("ip", "link", "delete", name).Run() })
	b.ip("addr", "add", near.String()+"/30", "dev", name)
	b.ip("link", "set", name, "up")
	b.ip("-n", name, "addr", "add", far.String()+"/30", "dev", "eth0")
	b.ip("-n", name, "link", "set", "eth0", "up")
	b.ip("-n", name, "route", "add", "default", "via", near.String())
	listening := make(chan net.Listener)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this goroutine
		file, err := os.Open("/run/netns/" + name)
		if err == nil {
			err = unix.Setns(int(file.Fd()), unix.CLONE_NEWNET)
		}
		var l net.Listener
		if err == nil {
			l, err = net.Listen("tcp4", net.JoinHostPort(far.String(), strconv.Itoa(port)))
		}
		if err != nil {
			b.t.Error(err)
		}
		listening <- l
	}()
	l := <-listening
	if l == nil {
		b.t.FailNow()
	}
	b.t.Cleanup(func() { _ = l.Close() })
	go answerAll(l)
	return l.Addr().String()
}

func (b *bundle) ip(args ...string) {
	b.t.Helper()
	if said, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		b.t.Fatalf("ip %v: %v: %s", args, err, said)
	}
}

func answerAll(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = c.Close() }()
			_, _ = io.Copy(c, c)
		}()
	}
}

// container makes one that does those steps, with a folder at /data.
func (b *bundle) container(id ident.Instance, ports []engines.Port, steps ...string) (engines.ContainerID, string) {
	b.t.Helper()
	dir := b.t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		b.t.Fatal(err)
	}
	spec := runtimetest.Spec(b.image, steps...)
	spec.Name, spec.Instance, spec.MAC, spec.Network = "berth-"+string(id), id, egress.MAC(id).String(), b.network.Name
	spec.Ports, spec.Mounts = ports, []engines.Mount{{Source: dir, Target: "/data"}}
	made, err := b.engine.Create(b.t.Context(), spec)
	if err == nil {
		err = b.engine.Start(b.t.Context(), made)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return made, dir
}

// reaches says which of the addresses a container of that instance reaches.
func (b *bundle) reaches(id ident.Instance, addresses ...string) []bool {
	b.t.Helper()
	var steps []string
	for n, address := range addresses {
		steps = append(steps, "dial", address, "/data/"+strconv.Itoa(n), "then")
	}
	made, dir := b.container(id, nil, append(steps, "write", "/data/end", "x")...)
	runtimetest.Eventually(b.t, "the dials to end", func() bool {
		_, err := os.Stat(filepath.Join(dir, "end"))
		return err == nil
	})
	if err := b.engine.Remove(b.t.Context(), made); err != nil {
		b.t.Fatal(err)
	}
	out := make([]bool, len(addresses))
	for n := range addresses {
		text, err := os.ReadFile(filepath.Join(dir, strconv.Itoa(n)))
		if err != nil {
			b.t.Fatal(err)
		}
		b.t.Logf("%s: %s", addresses[n], text)
		out[n] = string(text) == "reached"
	}
	return out
}

func (b *bundle) hold(id ident.Instance, n wire.Network, ports ...wire.Port) {
	b.t.Helper()
	if err := b.firewall.Hold(id, n, ports); err != nil {
		b.t.Fatal(err)
	}
}

// want fails the test unless exactly the internet, the private network and the
// node are reached that are named.
func (b *bundle) want(id ident.Instance, names string) {
	b.t.Helper()
	got := b.reaches(id, b.public, b.private, b.node)
	var list []string
	for n, name := range []string{"internet", "private", "node"} {
		if got[n] {
			list = append(list, name)
		}
	}
	if reached := strings.Join(list, " "); reached != names {
		b.t.Errorf("it reaches %q, want %q", reached, names)
	}
}

// Beside the internet nothing is reached, unless it is allowed; and what isn't the
// instance's is none of its business.
func TestOnlyTheInternet(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := ident.NewInstance()
	b.want(id, "internet private node") // without rules: the test's own ways are open
	b.hold(id, wire.Network{})
	b.want(id, "internet")
	b.hold(id, wire.Network{Offline: true})
	b.want(id, "")
	address, _, _ := strings.Cut(b.private, ":")
	b.hold(id, wire.Network{Allow: []string{address + "/30"}})
	b.want(id, "internet private")
	b.hold(id, wire.Network{Offline: true, Allow: []string{address}})
	b.want(id, "private")
	b.want(ident.NewInstance(), "internet private node") // another one
	b.firewall.Release(id)
	b.want(id, "internet private node")
}

// Whoever comes in by a port is answered, also by an instance that is offline.
func TestPortsAreAnswered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, port := ident.NewInstance(), runtimetest.FreePort(t)
	b.hold(id, wire.Network{Offline: true}, wire.Port{Host: port})
	b.container(id, []engines.Port{{HostIP: "0.0.0.0", Host: port, Container: 8080, Protocol: engines.TCP}}, "serve", "8080")
	said := make([]byte, 5)
	runtimetest.Eventually(t, "an answer", func() bool {
		c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err != nil {
			return false
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		_, err = c.Write([]byte("hello"))
		if err == nil {
			_, err = io.ReadFull(c, said)
		}
		return err == nil
	})
	if string(said) != "hello" {
		t.Errorf("%q", said)
	}
}

// Two instances reach each other by their ports when both say so.
func TestInstances(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one, other, port := ident.NewInstance(), ident.NewInstance(), runtimetest.FreePort(t)
	open := wire.Network{Instances: true}
	_, dir := b.container(other, []engines.Port{{HostIP: "0.0.0.0", Host: port, Container: 8080, Protocol: engines.TCP}}, "write", "/data/up", "x", "then", "serve", "8080")
	runtimetest.Eventually(t, "the other one", func() bool { _, err := os.Stat(filepath.Join(dir, "up")); return err == nil })
	node, _, _ := strings.Cut(b.node, ":")
	address := net.JoinHostPort(node, strconv.Itoa(int(port)))
	for _, c := range []struct {
		name     string
		ours     wire.Network
		its      wire.Network
		expected bool
	}{
		{"neither", wire.Network{}, wire.Network{}, false},
		{"one", open, wire.Network{}, false},
		{"the other", wire.Network{}, open, false},
		{"both", open, open, true},
		{"not any more", open, wire.Network{}, false},
	} {
		b.hold(one, c.ours)
		b.hold(other, c.its, wire.Port{Host: port})
		if got := b.reaches(one, address, b.node); got[0] != c.expected || got[1] {
			t.Errorf("%s: reached %v, want %v", c.name, got, c.expected)
		}
	}
}

// A port is open to others as long as somebody wants it open, over a new agent too:
// later it may be another instance's.
func TestOpenPortsAreClosedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	here, there, gone, port := ident.NewInstance(), ident.NewInstance(), ident.NewInstance(), wire.Port{Host: 25565}
	open := wire.Network{Instances: true}
	want := func(after, ports string) {
		t.Helper()
		said, err := exec.Command("nft", "list", "set", "inet", "berth-"+string(b.options.Node), "open").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		_, list, _ := strings.Cut(string(said), "elements = {")
		list, _, _ = strings.Cut(list, "}")
		if list = strings.Join(strings.Fields(list), " "); list != ports {
			t.Errorf("after %s %q are open, want %q", after, list, ports)
		}
	}
	b.hold(here, open, port)
	b.hold(there, open, port) // of another address of the node
	b.hold(gone, open, wire.Port{Host: 25570}, wire.Port{Host: 25571})
	b.hold(there, wire.Network{}, port)
	want("one of two was closed", "25565, 25570, 25571")
	next := egress.Open(b.options)
	next.Keep(func(id ident.Instance) (n wire.Network, ports []wire.Port, held bool) {
		switch id {
		case here:
			return open, []wire.Port{port}, true
		default:
			return n, nil, id == there
		}
	})
	want("one went while no agent ran", "25565")
	if err := next.Hold(here, wire.Network{}, []wire.Port{port}); err != nil {
		t.Fatal(err)
	}
	next.Keep(func(ident.Instance) (n wire.Network, ports []wire.Port, held bool) { return n, nil, true })
	want("the last was closed", "")
}

// Rules that somebody flushed are made again; those of a new agent are the old ones'.
func TestRulesComeBackAndStay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := ident.NewInstance()
	b.hold(id, wire.Network{})
	if err := egress.Uninstall(b.options.Node); err != nil {
		t.Fatal(err)
	}
	b.want(id, "internet private node")
	b.hold(id, wire.Network{InBytes: 1 << 30}) // written anew, with all that is needed
	b.want(id, "internet")
	next := egress.Open(b.options)
	b.want(id, "internet")
	next.Keep(func(held ident.Instance) (n wire.Network, ports []wire.Port, ours bool) { return n, nil, held == id })
	b.want(id, "internet")
	next.Keep(func(ident.Instance) (n wire.Network, ports []wire.Port, ours bool) { return n, nil, false })
	b.want(id, "internet private node")

	if err := next.Hold(id, wire.Network{}, nil); err != nil {
		t.Fatal(err)
	}
	for _, family := range []string{"inet", "bridge"} {
		if said, err := exec.Command("nft", "delete", "table", family, "berth-"+string(b.options.Node)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
	}
	b.want(id, "internet private node")
	next.Look(false)
	b.want(id, "internet")
}

// The resolver is reached although it is in a private network, and by nobody who
// is offline.
func TestResolvers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	resolver := b.beyond(fmt.Sprintf("10.199.%d.%d", rand.IntN(250), 4*rand.IntN(60)), 53)
	address, _, _ := strings.Cut(resolver, ":")
	if err := os.WriteFile(b.options.Resolvers[0], []byte("# a comment\nsearch example.com\nnameserver 127.0.0.53\nnameserver "+address+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.firewall.Look(true)
	id := ident.NewInstance()
	b.hold(id, wire.Network{})
	if got := b.reaches(id, resolver); !got[0] {
		t.Error("names can't be looked up")
	}
	b.hold(id, wire.Network{Offline: true})
	if got := b.reaches(id, resolver); got[0] {
		t.Error("an offline one looks names up")
	}
}

// What goes out and comes in is held to its rate: no clock is needed but a lower bound.
func TestBandwidth(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, way := range []struct {
		name    string
		network wire.Network
	}{{"out", wire.Network{OutBytes: 1 << 20}}, {"in", wire.Network{InBytes: 1 << 20}}} {
		id, port := ident.NewInstance(), runtimetest.FreePort(t)
		b.hold(id, way.network, wire.Port{Host: port})
		b.container(id, []engines.Port{{HostIP: "0.0.0.0", Host: port, Container: 8080, Protocol: engines.TCP}}, "serve", "8080")
		var c net.Conn
		runtimetest.Eventually(t, "the echo", func() bool {
			var err error
			if c, err = net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second); err != nil {
				return false
			}
			_ = c.SetDeadline(time.Now().Add(5 * time.Second))
			if _, err = c.Write([]byte("hello")); err == nil {
				_, err = io.ReadFull(c, make([]byte, 5))
			}
			if err != nil {
				_ = c.Close()
			}
			return err == nil
		})
		_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
		const amount = 4 << 20
		began := time.Now()
		go func() { _, _ = c.Write(make([]byte, amount)) }()
		if _, err := io.ReadFull(c, make([]byte, amount)); err != nil {
			t.Fatalf("%s: %v", way.name, err)
		}
		// Of the amount a MiB and a quarter may pass at once, the rest at one MiB a second.
		if took := time.Since(began); took < 2500*time.Millisecond {
			t.Errorf("%s: %d bytes passed in %s", way.name, amount, took)
		}
		_ = c.Close()
	}
}

func TestHostileNetworks(t *testing.T) {
	t.Parallel()
	node := runtimetest.NewNode()
	f := egress.Open(egress.Options{Node: node, Bridge: "bt-not-here", Log: slog.New(slog.DiscardHandler)})
	defer func() { _ = egress.Uninstall(node) }()
	for _, text := range []string{"", "10.0.0.0/33", "::ffff:0:0/90", "x", "fe80::1%eth0", "10.0.0.0/8; drop", "1.2.3", "\x00"} {
		if _, err := egress.Prefixes([]string{text}); err == nil {
			t.Errorf("%q is taken for a network", text)
		}
	}
	for text, means := range map[string]string{"::ffff:10.0.0.0/104": "10.0.0.0/8", "::ffff:10.0.0.1": "10.0.0.1/32", "10.1.2.3/8": "10.0.0.0/8", "0.0.0.0/0": "0.0.0.0/0"} {
		if got, err := egress.Prefixes([]string{text}); err != nil || got[0].String() != means {
			t.Errorf("%q means %v, %v", text, got, err)
		}
	}
	if err := f.Hold(ident.NewInstance(), wire.Network{}, nil); err == nil || !strings.Contains(err.Error(), "not on this machine") {
		t.Errorf("%v", err)
	}
	for _, id := range []ident.Instance{"", "../../x", "0123456", "0123abcg"} {
		if egress.MAC(id) != nil || f.Hold(id, wire.Network{}, nil) == nil {
			t.Errorf("%q is taken for an instance", id)
		}
		f.Release(id)
	}
}
