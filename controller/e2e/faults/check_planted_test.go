package faults

import (
	"slices"
	"strings"
	"testing"
)

// sound is a picture in which nothing is wrong: a running instance, a suspended
// one and one that was deleted.
func sound() picture {
	box := func(id, instance string, running bool) container {
		c := container{ID: id}
		c.Config.Labels = map[string]string{labelInstance: instance, labelNode: "node-a"}
		c.Config.Env = []string{"MARK=first", "GREETING=hi"}
		c.State.Status, c.State.Running = "exited", running
		if running {
			c.State.Status = "running"
		}
		c.HostConfig.Memory, c.HostConfig.NanoCpus = 64<<20, 500_000_000
		if running {
			at := []struct{ HostIp, HostPort string }{{"0.0.0.0", "20001"}, {"::", "20001"}}
			c.NetworkSettings.Ports = map[string][]struct{ HostIp, HostPort string }{"8080/tcp": at, "8080/udp": at}
		}
		return c
	}
	view := func(id, name string, port uint16) instanceView {
		return instanceView{
			ID: id, Name: name, Phase: "ready", Power: "running", Actual: "running", Status: "running", NodeID: "node-a", Memory: 64, CPU: 0.5,
			Ports: []struct{ Host, Container uint16 }{{port, 8080}}, Variables: map[string]string{"MARK": "first", "GREETING": "hi"},
		}
	}
	one, two := view("1", "slot-1", 20001), view("2", "slot-2", 20002)
	one.ContainerID, two.ContainerID = "c1", "c2"
	two.Suspended, two.Actual, two.Status = true, "stopped", "suspended"
	said := entry{Name: "slot-1", ID: "1", Life: living, Mark: "first", Power: "running", Memory: 64, CPU: 0.5, Greeting: "hi", Port: 20001, Node: "node-a", Counted: 3, Uncertain: 1}
	other := said
	other.Name, other.ID, other.Port, other.Suspended, other.Counted = "slot-2", "2", 20002, true, 0
	return picture{
		Ledger:    []entry{said, other, {Name: "slot-3", ID: "3", Life: gone}, {Name: "slot-4", Life: never}},
		Instances: []instanceView{one, two},
		Jobs:      []jobView{{ID: "j", State: "succeeded"}, {ID: "k", State: "failed"}, {ID: "l", State: "cancelled"}},
		Nodes: []nodePicture{
			{
				ID: "node-a", Name: "a", State: "online", MemoryUsed: 128, Used: []uint16{20001, 20002},
				Containers: []container{box("c1", "1", true), box("c2", "2", false)},
				Volumes:    map[string]files{"1": {Mark: "first", Count: 4}, "2": {Error: "never written"}},
			},
			{ID: "node-b", Name: "b", State: "online", Volumes: map[string]files{}},
		},
		Base: 10, Log: []int64{11, 12, 13}, Stream: []int64{11, 12, 13},
	}
}

func TestNothingIsFoundWhereNothingIsWrong(t *testing.T) {
	t.Parallel()
	if found := check(sound()); len(found) != 0 {
		t.Fatalf("%v", found)
	}
}

// Each violation is planted into a sound picture, and must be found, with the
// words that a person needs to look for it.
func TestTheCheckerFindsWhatIsPlanted(t *testing.T) {
	t.Parallel()
	a := func(p *picture) *nodePicture { return &p.Nodes[0] }
	for name, c := range map[string]struct {
		plant func(p *picture)
		want  string
	}{
		"an orphan":                  {func(p *picture) { a(p).Containers[1].Config.Labels[labelInstance] = "9" }, "orphan: container c2"},
		"a container of a deleted":   {func(p *picture) { a(p).Containers[1].Config.Labels[labelInstance] = "3" }, "belongs to instance 3"},
		"a container elsewhere":      {func(p *picture) { p.Nodes[1].Containers = a(p).Containers[:1] }, "is on another node, and b has its container c1"},
		"another node's container":   {func(p *picture) { a(p).Containers[0].Config.Labels[labelNode] = "node-b" }, "says that it is of node node-b"},
		"two containers":             {func(p *picture) { a(p).Containers = append(a(p).Containers, a(p).Containers[0]) }, "doubled: slot-1"},
		"no container":               {func(p *picture) { a(p).Containers = a(p).Containers[1:] }, "missing: slot-1"},
		"one that ended":             {func(p *picture) { a(p).Containers[0].State.Running = false }, "disagree: slot-1"},
		"one that is paused":         {func(p *picture) { a(p).Containers[0].State.Paused = true }, "disagree: slot-1"},
		"a suspended one that runs":  {func(p *picture) { a(p).Containers[1].State.Running = true }, "disagree: slot-2"},
		"another container":          {func(p *picture) { p.Instances[0].ContainerID = "c9" }, "said to be in container c9"},
		"a view that is behind":      {func(p *picture) { p.Instances[0].Actual = "starting" }, "should run and is starting"},
		"a view of a suspended":      {func(p *picture) { p.Instances[1].Actual = "running" }, "should not run and is running"},
		"drift that is left":         {func(p *picture) { p.Instances[0].Drift = "stopped by hand" }, "drifted: stopped by hand"},
		"another memory":             {func(p *picture) { a(p).Containers[0].HostConfig.Memory = 32 << 20 }, "limits: slot-1"},
		"another cpu":                {func(p *picture) { a(p).Containers[0].HostConfig.NanoCpus = 1 }, "limits: slot-1"},
		"an old variable":            {func(p *picture) { a(p).Containers[0].Config.Env[1] = "GREETING=old" }, "lacks GREETING=hi"},
		"a port not published":       {func(p *picture) { delete(a(p).Containers[0].NetworkSettings.Ports, "8080/udp") }, "8080/udp is not published at 20001"},
		"a port twice in the API":    {func(p *picture) { p.Instances[1].Ports[0].Host = 20001; p.Ledger[1].Port = 20001 }, "port 20001 on a was given to"},
		"a port twice in Docker":     {plantBusyPort, "port 20001/tcp on a is published by containers"},
		"a port held for nobody":     {func(p *picture) { a(p).Used = append(a(p).Used, 20009) }, "port 20009 on a is used by nobody"},
		"a port not held":            {func(p *picture) { a(p).Used = a(p).Used[1:] }, "20001 on a, which is not among the used"},
		"a lost instance":            {func(p *picture) { p.Instances = p.Instances[:1] }, "lost: slot-2"},
		"an instance twice":          {func(p *picture) { p.Instances = append(p.Instances, p.Instances[0]) }, "doubled: the list shows"},
		"a doubled deployment":       {plantDouble, "doubled: slot-1 was asked for once"},
		"a deleted one that is back": {func(p *picture) { p.Instances[1].Name = "slot-3" }, "undeleted: slot-3"},
		"a refused one that is":      {func(p *picture) { p.Instances[1].Name = "slot-4" }, "unasked: slot-4"},
		"one that nobody asked for":  {func(p *picture) { p.Instances[1].Name = "x" }, "nobody asked for x"},
		"a lost suspension":          {func(p *picture) { p.Instances[1].Suspended = false }, "forgotten: suspension of slot-2"},
		"a lost order":               {func(p *picture) { p.Instances[0].Power = "stopped" }, "forgotten: power of slot-1"},
		"a lost change of memory":    {func(p *picture) { p.Ledger[0].Memory = 96 }, "forgotten: memory of slot-1"},
		"a lost change of cpu":       {func(p *picture) { p.Ledger[0].CPU = 1 }, "forgotten: cpu of slot-1"},
		"a lost change of a text":    {func(p *picture) { p.Ledger[0].Greeting = "new" }, "forgotten: greeting of slot-1"},
		"a lost change of the port":  {func(p *picture) { p.Ledger[0].Port = 20005 }, "forgotten: port of slot-1"},
		"another node":               {func(p *picture) { p.Ledger[0].Node = "node-b" }, "forgotten: node of slot-1"},
		"a deletion that hangs":      {func(p *picture) { p.Instances[1].Phase = "deleting" }, "stuck: slot-2"},
		"an install that hangs":      {func(p *picture) { p.Instances[0].Phase = "installing" }, "stuck: slot-1"},
		"a failed one that should run": {func(p *picture) {
			p.Instances[0].Phase, p.Instances[0].Failure = "failed", &struct{ Code, Message string }{"X", "no"}
		}, "stuck: slot-1"},
		"a failure without a reason": {func(p *picture) { p.Instances[1].Phase = "failed" }, "stuck: slot-2"},
		"a job that hangs":           {func(p *picture) { p.Jobs[0].State = "waiting" }, "stuck: job j"},
		"a gap in the list":          {func(p *picture) { p.Log = []int64{11, 13}; p.Stream = p.Log }, "the list has 13 where 12"},
		"a repeat in the list":       {func(p *picture) { p.Log = []int64{11, 12, 12, 13} }, "the list has 12 where 13"},
		"a list that begins late":    {func(p *picture) { p.Log = []int64{12, 13} }, "the list has 12 where 11"},
		"a gap in the stream":        {func(p *picture) { p.Stream = []int64{11, 13} }, "the stream lacked 1: [12]"},
		"a stream that ends early":   {func(p *picture) { p.Stream = []int64{11} }, "the stream lacked 2: [12 13]"},
		"a repeat in the stream":     {func(p *picture) { p.Stream = []int64{11, 12, 12, 13} }, "the stream sent 12 after 12"},
		"a stream out of order":      {func(p *picture) { p.Stream = []int64{12, 11, 13} }, "the stream sent 11 after 12"},
		"a lost count":               {func(p *picture) { a(p).Volumes["1"] = files{Mark: "first", Count: 2} }, "files: slot-1"},
		"a count too far":            {func(p *picture) { a(p).Volumes["1"] = files{Mark: "first", Count: 5} }, "files: slot-1"},
		"another's files":            {func(p *picture) { a(p).Volumes["1"] = files{Mark: "second", Count: 3} }, "files: slot-1"},
		"no files":                   {func(p *picture) { a(p).Volumes["1"] = files{Error: "no such file"} }, "files: slot-1"},
		"no volume":                  {func(p *picture) { delete(a(p).Volumes, "1") }, "has no volume on a"},
		"a volume of a deleted":      {func(p *picture) { a(p).Volumes["3"] = files{} }, "volume: a has the volume of 3"},
		"a volume left behind":       {func(p *picture) { p.Nodes[1].Volumes["1"] = files{} }, "volume: b has a volume of slot-1"},
		"a node that is offline":     {func(p *picture) { p.Nodes[1].State = "offline" }, "offline: node b"},
		"memory held for nobody":     {func(p *picture) { p.Nodes[1].MemoryUsed = 64 }, "load: node b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := sound()
			c.plant(&p)
			found := check(p)
			if !slices.ContainsFunc(found, func(v violation) bool { return strings.Contains(v.String(), c.want) }) {
				t.Errorf("found %v, want %q", found, c.want)
			}
		})
	}
}

// What could not be made, says why and is not wanted to run is no violation.
func TestAnHonestFailureIsNone(t *testing.T) {
	t.Parallel()
	p := sound()
	p.Instances[1].Phase, p.Instances[1].Failure = "failed", &struct{ Code, Message string }{"INSUFFICIENT_RESOURCES", "the node's disk is full"}
	if found := check(p); len(found) != 0 {
		t.Errorf("%v", found)
	}
}

func plantBusyPort(p *picture) {
	second := p.Nodes[0].Containers[0]
	second.ID, second.Config.Labels = "c3", map[string]string{labelInstance: "2", labelNode: "node-a"}
	p.Nodes[0].Containers = append(p.Nodes[0].Containers, second)
}

func plantDouble(p *picture) {
	second := p.Instances[0]
	second.ID = "7"
	p.Instances = append(p.Instances, second)
}
