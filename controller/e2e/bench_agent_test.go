package e2e

import (
	"crypto/tls"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/docker"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
)

// What the agent is measured by.
const (
	mostReadySeconds    = 0.10 // with nothing in the journal
	mostReadySecondsOf  = 0.40 // with heldInstances in it
	mostAgentMBOf       = 40
	mostIdleCPUPercent  = 0.5
	mostKillToRunningMS = 250
	mostKillRatio       = 1.25 // on a machine where Docker alone takes long, this says what is the agent's

	heldInstances = 500 // that don't run
	idleInstances = 20  // that run and do nothing
	agentRounds   = 9
	youngFor      = time.Minute // that the figures of what was started are taken each second, looked at or not
	idleWindows   = 4
	idleWindow    = 10 * time.Second
)

// BenchmarkAgent measures the agent as a process: how soon it serves, and what
// it holds resident, with nothing and with many instances that don't run.
func BenchmarkAgent(b *testing.B) {
	p := startPrograms(b)
	h := p.addProgramHost(1 << 20)
	h.measure(b, "with no instance", mostReadySeconds, mostAgentMB)
	image, owner := h.loadProbe("idle"), p.user("anna")
	var last string
	for range heldInstances {
		body := h.body(image, owner, runtimetest.FreePort(b))
		body["start"] = false
		_, last = h.begin(body)
	}
	p.awaitJob(last, "succeeded")
	eventually(b, "all are deployed", func() bool { return len(h.containers()) == heldInstances })
	h.measure(b, "with 500 instances", mostReadySecondsOf, mostAgentMBOf)
	b.ReportMetric(0, "ns/op")
}

// measure starts the agent again and again.
func (h *siteHost) measure(b *testing.B, with string, seconds, megabytes float64) {
	b.Helper()
	var ready []float64
	for range agentRounds {
		h.process.stop()
		began := time.Now()
		h.process = startProgram(b, "berth-agent", nil, h.args...)
		h.serves(b)
		ready = append(ready, time.Since(began).Seconds())
	}
	h.online(b)
	time.Sleep(settleFor)
	var held []float64
	for range 5 {
		held = append(held, resident(b, h.process.pid))
		time.Sleep(time.Second)
	}
	figure(b, "agent, s until it serves "+with, median(ready), "at most", seconds)
	figure(b, "agent, MB resident "+with, median(held), "at most", megabytes)
}

// serves waits until the agent answers a handshake.
func (h *siteHost) serves(b *testing.B) {
	b.Helper()
	config := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13} // only when it answers is asked
	deadline := time.Now().Add(patience)
	for {
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Second}, "tcp", h.listen, config)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("the agent does not answer: %v", err)
		}
		time.Sleep(time.Millisecond)
	}
}

// BenchmarkAgentAtWork measures the agent as a process beside instances that
// run: what it costs when nothing happens, how soon one that was killed runs
// again, and how soon one that is told to start runs.
func BenchmarkAgentAtWork(b *testing.B) {
	p := startPrograms(b)
	h := p.addProgramHost(1 << 20)
	image, owner := h.loadProbe("idle"), p.user("anna")
	ids := make([]string, 0, idleInstances)
	for range idleInstances {
		id, _ := h.begin(h.body(image, owner, runtimetest.FreePort(b)))
		ids = append(ids, id)
	}
	for _, id := range ids {
		p.awaitStatus(id, "running")
	}
	time.Sleep(youngFor + settleFor)
	var used []float64
	for range idleWindows {
		before := cpuTime(b, h.process.pid)
		time.Sleep(idleWindow)
		used = append(used, (cpuTime(b, h.process.pid)-before)/idleWindow.Seconds()*100)
	}
	b.Logf("percent of a core in windows of %s: %v", idleWindow, used)
	figure(b, "agent, percent of a core with 20 idle instances", mean(used), "at most", mostIdleCPUPercent)
	figure(b, "agent, MB resident with 20 idle instances", resident(b, h.process.pid), "at most", mostAgentMBOf)

	started := newDirect(b, h).watchStarts()
	var again, start []float64
	for _, id := range ids[:agentRounds] {
		again = append(again, milliseconds(p.crash(b, h, id)))
	}
	alone := h.dockerAlone(b, started, image)
	for _, id := range ids[agentRounds:][:agentRounds] {
		p.awaitJob(p.order(id, "stop"), "succeeded")
		began := time.Now()
		p.must(http.StatusAccepted, "POST", "/api/v1/instances/"+id+"/start", nil, nil)
		start = append(start, milliseconds(started.await(b, "berth-"+id).Sub(began)))
		p.awaitStatus(id, "running")
	}
	figure(b, "agent, ms from a kill until it runs again, first crash", median(again), "at most", mostKillToRunningMS)
	figure(b, "agent, the same / Docker alone, which is told to start it as soon as it says that it ended", median(again)/median(alone), "at most", mostKillRatio)
	b.ReportMetric(median(alone), "docker-kill-to-running-ms")
	b.Logf("start call to running: %.4g ms", median(start))
	b.ReportMetric(median(start), "start-ms")
	b.ReportMetric(median(again), "kill-to-running-ms")
	b.ReportMetric(0, "ns/op")
}

// crash kills an instance's program as the kernel does, and gives the time until
// whoever asks the panel is told that it has begun again and runs.
func (s *site) crash(b *testing.B, h *siteHost, id string) time.Duration {
	b.Helper()
	before := s.instance(id)
	c, there := h.inspect("berth-" + id)
	if !there || c.State.Pid == 0 || before.StartedAt == nil {
		b.Fatalf("instance %s does not run", id)
	}
	program := onlyChild(b, c.State.Pid)
	began := time.Now()
	if err := syscall.Kill(program, syscall.SIGKILL); err != nil {
		b.Skipf("the engine's processes can't be killed from here: %v", err)
	}
	for {
		v := s.instance(id)
		if v.Status == "running" && v.StartedAt != nil && v.StartedAt.After(*before.StartedAt) {
			break
		}
		if time.Since(began) > patience {
			b.Fatalf("instance %s is %+v", id, v)
		}
		time.Sleep(time.Millisecond)
	}
	took := time.Since(began)
	if now := onlyChild(b, h.mustInspect(id).State.Pid); now == program {
		b.Fatalf("instance %s is said to run, and its program is still the one that was killed", id)
	}
	return took
}

func (h *siteHost) mustInspect(id string) *inspected {
	h.panel.t.Helper()
	c, there := h.inspect("berth-" + id)
	if !there {
		h.panel.t.Fatalf("instance %s has no container", id)
	}
	return c
}

// onlyChild is the program that a container's first process runs.
func onlyChild(b *testing.B, first int) int {
	b.Helper()
	children := runtimetest.Children(b, first)
	if len(children) != 1 {
		b.Fatalf("process %d has the children %v, want one", first, children)
	}
	return children[0]
}

// dockerAlone gives how long Docker takes for the same, with containers that no
// agent looks after.
func (h *siteHost) dockerAlone(b *testing.B, s *starts, image string) []float64 {
	b.Helper()
	node := runtimetest.NewNode()
	runtimetest.CleanDocker(b, h.docker, node)
	engine, err := docker.New(docker.Options{Host: h.docker, Node: node})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = engine.Close() })
	spec := runtimetest.Spec(image, "idle")
	spec.Network = h.network
	spec.Ports = runtimetest.Publish(runtimetest.FreePort(b), 8080, runtime.TCP, runtime.UDP)
	id, err := engine.Create(b.Context(), spec)
	if err != nil {
		b.Fatal(err)
	}
	if err := engine.Start(b.Context(), id); err != nil {
		b.Fatal(err)
	}
	var took []float64
	for range agentRounds {
		c, there := h.inspect(string(id))
		if !there {
			b.Fatal("it is gone")
		}
		s.forget(spec.Name)
		began := time.Now()
		if err := syscall.Kill(c.State.Pid, syscall.SIGKILL); err != nil {
			b.Fatal(err)
		}
		var ended struct{ StatusCode int } // which comes once it is down
		h.engineCall(http.MethodPost, "/containers/"+string(id)+"/wait", nil, &ended)
		h.inspect(string(id)) // Docker says so before it gives the ports back; this waits for that
		if status := h.engineCall(http.MethodPost, "/containers/"+string(id)+"/start", nil, nil); status != http.StatusNoContent {
			b.Fatalf("Docker answers %d", status)
		}
		took = append(took, milliseconds(s.await(b, spec.Name).Sub(began)))
	}
	return took
}

// forget lets await wait for the container's next start.
func (s *starts) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.seen, name)
}

func mean(of []float64) float64 {
	sum := 0.0
	for _, v := range of {
		sum += v
	}
	return sum / float64(len(of))
}
