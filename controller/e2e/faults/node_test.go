package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// node is a machine with an engine and an agent.
type node struct {
	lab       *lab
	name      string
	id        string
	namespace string
	address   string // seen from here; the other end is .1
	gateway   string
	dockerd   *process
	agent     *process
	engine    *engine
	disk      *disk  // of the agent's data
	proxy     *proxy // on the way to its agent, or of its agent's tunnel
	tunnel    bool
}

// close ends the engine with all of its containers.
func (n *node) close() {
	if n.engine != nil {
		ids, _ := n.engine.ours() // it may be away; the sweep ends what is left
		for _, id := range ids {
			_ = n.engine.call("DELETE", "/containers/"+id+"?force=1", nil, nil)
		}
	}
	if n.dockerd != nil {
		n.dockerd.end(syscall.SIGTERM, 20*time.Second)
	}
	if n.proxy != nil {
		n.proxy.close()
	}
}

// wire makes the node's network: a namespace, and a link to it.
func (n *node) wire() error {
	outside := n.namespace
	for _, words := range []string{
		"ip netns add " + n.namespace,
		"ip link add " + outside + " type veth peer name eth0 netns " + n.namespace,
		"ip addr add " + n.gateway + "/30 dev " + outside,
		"ip link set " + outside + " up",
	} {
		parts := strings.Fields(words)
		if _, err := command(parts[0], parts[1:]...); err != nil {
			return err
		}
	}
	for _, words := range []string{"ip link set lo up", "ip addr add " + n.address + "/30 dev eth0", "ip link set eth0 up", "ip route add default via " + n.gateway} {
		if _, err := n.inside(words); err != nil {
			return err
		}
	}
	return nil
}

// enter are the words that begin a command in the node's network.
func (n *node) enter() []string { return []string{"nsenter", "--net=/run/netns/" + n.namespace, "--"} }

func (n *node) inside(words string) (string, error) {
	argv := append(n.enter(), strings.Fields(words)...)
	return command(argv[0], argv[1:]...)
}

// link takes the node's network down or up. It is done at the node's end: the
// route to it stays, so that nothing goes astray.
func (n *node) link(up bool) error {
	if !up {
		_, err := n.inside("ip link set eth0 down")
		return err
	}
	_, err := n.inside("ip link set eth0 up")
	_, _ = n.inside("ip route add default via " + n.gateway) // it is there already when the link was up
	return err
}

// loss has the node's packets come late, out of order and some not at all, where
// the kernel can do that (netem). It says whether it can.
func (n *node) loss(delay time.Duration) bool {
	_, err := n.inside(fmt.Sprintf("tc qdisc replace dev eth0 root netem delay %dms %dms loss 2%%", delay.Milliseconds(), delay.Milliseconds()/4))
	return err == nil
}

// lossless takes loss back.
func (n *node) lossless() {
	_, _ = n.inside("tc qdisc del dev eth0 root") // there may be none
}

func (n *node) startEngine() error {
	run, data := filepath.Join(runDir, n.name), filepath.Join(n.lab.run, n.name)
	if err := errors.Join(os.MkdirAll(run, 0o711), os.MkdirAll(data, 0o711)); err != nil {
		return err
	}
	config := filepath.Join(data, "daemon.json") // not the machine's: its settings are for another engine
	if err := os.WriteFile(config, []byte(`{}`), 0o600); err != nil {
		return err
	}
	firewall, err := firewallPath(n.namespace)
	if err != nil {
		return err
	}
	pidfile, socket := filepath.Join(run, "docker.pid"), filepath.Join(run, "docker.sock")
	argv := append(n.enter(), "dockerd", "--config-file", config, "--data-root", filepath.Join(data, "docker"), "--exec-root", filepath.Join(run, "exec"),
		"--pidfile", pidfile, "--host", "unix://"+socket, "--bip", "10.214.0.1/24", "--log-level", "warn")
	if n.name == "n1" {
		argv = append(argv, "--live-restore") // its containers outlive it
	}
	n.engine = newEngine(socket)
	n.dockerd = &process{
		name: "dockerd of " + n.name, story: n.lab.story, log: filepath.Join(n.lab.dir, n.name+"-dockerd.log"), argv: argv,
		env: []string{"PATH=" + firewall + os.Getenv("PATH"), "DOCKER_HOST="},
		clean: func() {
			containerd := filepath.Join(run, "exec", "containerd", "containerd.pid")
			awaitEnd(containerd)
			// What they name may be another program by now, or nobody's zombie.
			_, _ = os.Remove(pidfile), os.Remove(containerd)
		},
	}
	if err := n.dockerd.start(); err != nil {
		return err
	}
	if err := n.engine.await(time.Minute); err != nil {
		return err
	}
	return n.engine.importImage(n.lab.image, reference)
}

func (n *node) startAgent() (err error) {
	l := n.lab
	if n.disk, err = newDisk(filepath.Join(l.run, n.name, "agent.img"), filepath.Join(l.run, n.name, "agent"), 64); err != nil {
		return err
	}
	made, err := n.join()
	if err != nil {
		return err
	}
	n.id = made.Node.ID
	// The controller's address, seen from the node: in a tunnel's way, or for the
	// enrolment alone.
	inward, err := newProxy(net.JoinHostPort(n.gateway, "0"), fmt.Sprintf("127.0.0.1:%d", l.port))
	if err != nil {
		return err
	}
	data := filepath.Join(n.disk.dir, "data")
	agent := filepath.Join(l.bin, "berth-agent")
	how := ""
	if n.tunnel {
		how = " --tunnel"
	}
	if said, err := n.inside(fmt.Sprintf("%s enrol --controller http://%s --key %s --data %s%s", agent, inward.addr(), made.Enrolment.Key, data, how)); err != nil {
		return fmt.Errorf("%w: %s", err, said)
	}
	argv := append(n.enter(), agent, "serve", "--data", data, "--volumes", "directory", "--no-demo", "--docker-host", "unix://"+n.engine.socket, "--log-level", "debug")
	if n.tunnel {
		n.proxy = inward
		argv = append(argv, "--tunnel")
	} else {
		inward.close()
		argv = append(argv, "--listen", net.JoinHostPort(n.address, "8443"))
	}
	n.agent = &process{name: "agent of " + n.name, story: l.story, log: filepath.Join(l.dir, n.name+"-agent.log"), argv: argv}
	if err := n.agent.start(); err != nil {
		return err
	}
	return until(time.Minute, n.name+" is online", func() error { return n.online() })
}

type enrolment struct {
	Node      struct{ ID string }
	Enrolment struct{ Key string }
}

// join makes the node, and for one that is dialled the proxy on the way.
func (n *node) join() (made enrolment, err error) {
	body := map[string]any{"name": n.name, "memory": 2048, "disk": 1 << 20, "address": n.address, "port": 8443}
	if !n.tunnel {
		if n.proxy, err = newProxy("127.0.0.1:0", net.JoinHostPort(n.address, "8443")); err != nil {
			return made, err
		}
		host, port, err := net.SplitHostPort(n.proxy.addr())
		if err != nil {
			return made, err
		}
		body["address"], body["port"] = host, json.Number(port)
	}
	return made, n.lab.api.once("POST", "/api/v1/nodes", body, &made)
}

func (n *node) online() error {
	var v struct{ State, Reason string }
	if err := n.lab.api.get("/api/v1/nodes/"+n.id, &v); err != nil {
		return err
	}
	if v.State != "online" {
		return fmt.Errorf("it is %s: %s", v.State, v.Reason)
	}
	return nil
}
