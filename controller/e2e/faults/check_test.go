package faults

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// picture is all that the checker knows: what the public API says, what Docker
// says, what lies in the volumes, and what was answered on the way.
type picture struct {
	Ledger    []entry
	Instances []instanceView
	Jobs      []jobView
	Nodes     []nodePicture
	Log       []int64 // ids of the event list, from the run's beginning on
	Stream    []int64 // ids as the follower of the stream got them
	Base      int64   // the id before the first of both
}

// instanceView is an instance of the API.
type instanceView struct {
	ID, Name, Status, Phase, Power, Actual string
	NodeID                                 string `json:"node_id"`
	ContainerID                            string `json:"container_id"`
	Suspended                              bool
	Memory                                 int64
	CPU                                    float64
	Ports                                  []struct{ Host, Container uint16 }
	Variables                              map[string]string
	Failure                                *struct{ Code, Message string }
	RetryAt                                string `json:"retry_at"`
	Drift                                  string
}

// runs says whether it should run.
func (i instanceView) runs() bool {
	return i.Power == "running" && !i.Suspended && i.Phase != "deleting"
}

func (i instanceView) String() string {
	text := fmt.Sprintf("%s (%s, %s)", i.Name, i.ID, i.Status)
	if i.Failure != nil {
		text += fmt.Sprintf(" [%s: %s]", i.Failure.Code, i.Failure.Message)
	}
	return text
}

// jobView is a job of the API.
type jobView struct {
	ID, Kind, State, Step, Message string
	InstanceID                     string `json:"instance_id"`
	Attempt                        int
	Failure                        *struct{ Code, Message string }
}

// nodePicture is a node from both sides.
type nodePicture struct {
	ID, Name, State string
	MemoryUsed      int64
	Used            []uint16 // ports that the API says are used
	Containers      []container
	Volumes         map[string]files // by instance
}

// files are what the witness keeps in a volume.
type files struct {
	Mark  string
	Count int
	Error string // they can't be read
}

// violation is something that was promised and isn't so.
type violation struct{ Kind, Text string }

func (v violation) String() string { return v.Kind + ": " + v.Text }

// checker collects violations.
type checker struct {
	picture
	found []violation
	byID  map[string]instanceView
}

// check compares. It is a function of the picture alone.
func check(p picture) []violation {
	c := &checker{picture: p, byID: map[string]instanceView{}}
	for _, i := range p.Instances {
		if _, twice := c.byID[i.ID]; twice {
			c.add("doubled", "the list shows %s twice", i)
		}
		c.byID[i.ID] = i
	}
	c.answers()
	for _, i := range p.Instances {
		c.agreement(i)
	}
	c.strangers()
	c.ports()
	c.jobs()
	c.events()
	c.volumes()
	c.load()
	return c.found
}

func (c *checker) add(kind, format string, args ...any) {
	c.found = append(c.found, violation{kind, fmt.Sprintf(format, args...)})
}

// answers: every 2xx is still true, and nothing is there that nobody asked for.
func (c *checker) answers() {
	named := map[string][]instanceView{}
	for _, i := range c.Instances {
		named[i.Name] = append(named[i.Name], i)
	}
	for _, e := range c.Ledger {
		here := named[e.Name]
		delete(named, e.Name)
		if len(here) > 1 {
			c.add("doubled", "%s was asked for once, and there are %v", e.Name, here)
		}
		switch e.Life {
		case living:
			i, there := c.byID[e.ID]
			if !there {
				c.add("lost", "%s (%s) was answered 2xx and is not there", e.Name, e.ID)
				continue
			}
			c.entry(e, i)
		case gone:
			if len(here) > 0 {
				c.add("undeleted", "%s was deleted with a 2xx and is there: %v", e.Name, here)
			}
		case never:
			if len(here) > 0 {
				c.add("unasked", "%s was refused and is there: %v", e.Name, here)
			}
		}
	}
	for name, list := range named {
		c.add("unasked", "nobody asked for %s: %v", name, list)
	}
}

// entry: what was answered of one instance is what the API says of it now.
func (c *checker) entry(e entry, i instanceView) {
	differ := func(what string, is, want any) {
		if is != want {
			c.add("forgotten", "%s of %s is %v, and %v was answered 2xx", what, i, is, want)
		}
	}
	differ("power", i.Power, e.Power)
	differ("suspension", i.Suspended, e.Suspended)
	differ("memory", i.Memory, e.Memory)
	differ("cpu", i.CPU, e.CPU)
	differ("mark", i.Variables["MARK"], e.Mark)
	greeting := i.Variables["GREETING"]
	if greeting == "" {
		greeting = "hello"
	}
	differ("greeting", greeting, e.Greeting)
	if e.Node != "" {
		differ("node", i.NodeID, e.Node)
	}
	if len(i.Ports) != 1 {
		c.add("forgotten", "%s has ports %v, and one was answered 2xx", i, i.Ports)
		return
	}
	differ("port", i.Ports[0].Host, e.Port)
}

// agreement: desired and actual are the same, and Docker says so too.
func (c *checker) agreement(i instanceView) {
	switch {
	case i.Phase == "deleting":
		c.add("stuck", "%s is still being deleted", i)
		return
	case i.Phase == "failed" && i.Failure != nil && !i.runs():
		// It could not be made, says why, and nobody wants it to run now.
	case i.Phase != "ready":
		c.add("stuck", "%s is %s", i, i.Phase)
	case i.Drift != "":
		c.add("disagree", "%s drifted: %s", i, i.Drift)
	case i.runs() && i.Actual != "running":
		c.add("disagree", "%s should run and is %s", i, i.Actual)
	case !i.runs() && i.Actual != "stopped" && i.Actual != "crashed":
		c.add("disagree", "%s should not run and is %s", i, i.Actual)
	}
	found := 0
	for _, n := range c.Nodes {
		for _, box := range n.Containers {
			if box.Config.Labels[labelInstance] != i.ID {
				continue
			}
			if n.ID != i.NodeID {
				c.add("orphan", "%s is on another node, and %s has its container %.12s", i, n.Name, box.ID)
				continue
			}
			found++
			c.container(i, n, box)
		}
	}
	if found > 1 {
		c.add("doubled", "%s has %d containers", i, found)
	}
	if found == 0 && i.runs() {
		c.add("missing", "%s should run and has no container", i)
	}
}

// container: the one that there is, is as it should be.
func (c *checker) container(i instanceView, n nodePicture, box container) {
	running := box.State.Running && !box.State.Paused
	if running != i.runs() {
		c.add("disagree", "%s on %s: power %s, suspended %t, and its container %.12s is %s", i, n.Name, i.Power, i.Suspended, box.ID, box.State.Status)
		return
	}
	if !running {
		return
	}
	if i.ContainerID != box.ID {
		c.add("disagree", "%s is said to be in container %.12s and is in %.12s", i, i.ContainerID, box.ID)
	}
	if want := i.Memory << 20; box.HostConfig.Memory != want {
		c.add("limits", "%s has %d bytes of memory, not %d", i, box.HostConfig.Memory, want)
	}
	if want := int64(i.CPU*1e9 + 0.5); box.HostConfig.NanoCpus != want {
		c.add("limits", "%s has %d billionths of a core, not %d", i, box.HostConfig.NanoCpus, want)
	}
	for name, value := range i.Variables {
		if !slices.Contains(box.Config.Env, name+"="+value) {
			c.add("disagree", "%s lacks %s=%s in its container", i, name, value)
		}
	}
	for _, p := range i.Ports {
		for _, protocol := range []string{"tcp", "udp"} {
			inside, host := fmt.Sprintf("%d/%s", p.Container, protocol), strconv.Itoa(int(p.Host))
			bound := box.NetworkSettings.Ports[inside]
			if !slices.ContainsFunc(bound, func(b struct{ HostIp, HostPort string }) bool { return b.HostPort == host }) {
				c.add("ports", "%s: port %s is not published at %s but %v", i, inside, host, bound)
			}
		}
	}
}

// strangers: no container of ours and no volume without an instance.
func (c *checker) strangers() {
	for _, n := range c.Nodes {
		if n.State != "online" {
			c.add("offline", "node %s is %s", n.Name, n.State)
		}
		for _, box := range n.Containers {
			id := box.Config.Labels[labelInstance]
			if _, there := c.byID[id]; !there {
				c.add("orphan", "container %.12s (%s) on %s belongs to instance %s, which is not there", box.ID, box.State.Status, n.Name, id)
			}
			if node := box.Config.Labels[labelNode]; node != n.ID {
				c.add("orphan", "container %.12s on %s says that it is of node %s", box.ID, n.Name, node)
			}
		}
	}
}

// ports: none is given twice, by the API's word or by Docker's, and none is held
// for nobody.
func (c *checker) ports() {
	for _, n := range c.Nodes {
		given, bound := map[uint16][]string{}, map[string][]string{}
		for _, i := range c.Instances {
			if i.NodeID != n.ID {
				continue
			}
			for _, p := range i.Ports {
				given[p.Host] = append(given[p.Host], i.Name)
				if !slices.Contains(n.Used, p.Host) {
					c.add("ports", "%s has port %d on %s, which is not among the used ones", i, p.Host, n.Name)
				}
			}
		}
		for _, port := range n.Used {
			if len(given[port]) == 0 {
				c.add("ports", "port %d on %s is used by nobody and not free", port, n.Name)
			}
		}
		for port, names := range given {
			if len(names) > 1 {
				c.add("ports", "port %d on %s was given to %v", port, n.Name, names)
			}
		}
		for _, box := range n.Containers {
			if !box.State.Running {
				continue
			}
			for inside, list := range box.NetworkSettings.Ports {
				for _, b := range list {
					if strings.Contains(b.HostIp, ":") {
						continue // the same port, once more for IPv6
					}
					_, protocol, _ := strings.Cut(inside, "/")
					at := b.HostPort + "/" + protocol
					bound[at] = append(bound[at], box.ID)
				}
			}
		}
		for at, ids := range bound {
			if len(ids) > 1 {
				c.add("ports", "port %s on %s is published by containers %v", at, n.Name, ids)
			}
		}
	}
}

// jobs: each has ended.
func (c *checker) jobs() {
	for _, j := range c.Jobs {
		switch j.State {
		case "succeeded", "failed", "cancelled":
		default:
			c.add("stuck", "job %s (%s of %s) is %s, attempt %d: %s %s", j.ID, j.Kind, j.InstanceID, j.State, j.Attempt, j.Step, j.Message)
		}
	}
}

// events: the list has every number once, and the stream had all of them, in
// order, and none twice.
func (c *checker) events() {
	next := c.Base
	for _, id := range c.Log {
		if next++; id != next {
			c.add("events", "the list has %d where %d was expected", id, next)
			next = id
		}
	}
	if len(c.Log) == 0 {
		return
	}
	last := c.Base
	seen := map[int64]bool{}
	for _, id := range c.Stream {
		if seen[id] || id < last {
			c.add("events", "the stream sent %d after %d", id, last)
		}
		seen[id], last = true, id
	}
	var missing []int64
	for _, id := range c.Log {
		if !seen[id] {
			missing = append(missing, id)
		}
	}
	if len(missing) > 0 {
		c.add("events", "the stream lacked %d: %v", len(missing), missing[:min(len(missing), 20)])
	}
}
