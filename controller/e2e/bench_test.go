package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime/runtimetest"
)

// What Berth is measured by. Every figure stands beside its target in the
// benchmark's own line of the log.
const (
	mostDeployRatio  = 1.25 // of Docker's own time
	leastWholeLists  = 250  // a second, 1,000 instances
	leastPages       = 2500 // a second, 50 of 1,000 instances
	mostGrowth       = 1.1  // 1 is as fast as the bytes; a tenth is the noise of measuring
	mostControllerMB = 64
	mostAgentMB      = 32

	deployRounds = 18              // each order of the three, three times
	settleFor    = 8 * time.Second // what a program did at its start is over
)

// BenchmarkDeploy measures the time from a POST until Docker says that the
// container has started, the image being there; and, in turns with it, the same
// container created and started through Docker's API and nothing else.
func BenchmarkDeploy(b *testing.B) {
	p := startPrograms(b)
	h := p.addProgramHost(8192)
	image, owner := h.loadProbe("serve", "8080"), p.user("anna")
	d := newDirect(b, h)
	started := d.watchStarts()

	classic := func() time.Duration {
		ports := mapping(8080, runtimetest.FreePort(b))
		began := time.Now()
		id := h.deploy(image, owner, ports, nil)
		took := started.await(b, "berth-"+id).Sub(began)
		p.awaitStatus(id, "running")
		d.learn(id)
		p.must(http.StatusCreated, "DELETE", "/api/instance/delete", map[string]string{"id": id}, nil)
		return took
	}
	v1 := func() time.Duration {
		var made data[struct{ Instance struct{ ID string } }]
		body := map[string]any{
			"name": "test", "owner_id": owner, "node_id": h.id, "reference": image, "memory": 64, "cpu": 0.5,
			"ports": []map[string]any{{"container": 8080, "host": runtimetest.FreePort(b)}},
		}
		began := time.Now()
		p.must(http.StatusAccepted, "POST", "/api/v1/instances", body, &made)
		id := made.Data.Instance.ID
		took := started.await(b, "berth-"+id).Sub(began)
		p.awaitStatus(id, "running")
		p.must(http.StatusCreated, "DELETE", "/api/instance/delete", map[string]string{"id": id}, nil)
		return took
	}
	docker := func() time.Duration { return d.deploy(started) }

	classic() // the first of a kind: Docker's template is learned, everything is warm
	ways := []struct {
		name string
		run  func() time.Duration
		took []float64
	}{{name: "docker", run: docker}, {name: "classic", run: classic}, {name: "v1", run: v1}}
	for round := range deployRounds {
		order := slices.Repeat([]int{0, 1, 2}, 2)[round%3:][:3]
		if round%2 == 1 {
			slices.Reverse(order) // nobody is always the first, or always after the same
		}
		for _, w := range order {
			ways[w].took = append(ways[w].took, milliseconds(ways[w].run()))
		}
	}
	for _, w := range ways {
		b.ReportMetric(median(w.took), w.name+"-ms")
		if w.name == "docker" {
			continue
		}
		var ratios []float64 // each round's own: what else the machine does falls on its three alike
		for round, took := range w.took {
			ratios = append(ratios, took/ways[0].took[round])
		}
		b.ReportMetric(median(ratios), w.name+"-ratio")
		figure(b, fmt.Sprintf("deploy by the %s API / Docker alone", w.name), median(ratios), "at most", mostDeployRatio)
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkLists measures the lists of instances, from SQLite, in controllers
// that are processes of their own: over 8 connections that are kept, quiet and
// while something is committed every 50 ms; and one by one with a commit before
// each, so that no kept answer can serve.
func BenchmarkLists(b *testing.B) {
	small, large := startPopulated(b, 1000), startPopulated(b, 10000)
	for _, l := range []struct {
		name, path string
		least      float64
	}{{"whole", "/api/instances", leastWholeLists}, {"page", "/api/v1/instances?limit=50", leastPages}} {
		for _, kind := range []string{"quiet", "written"} {
			var before load
			b.Run(l.name+"-"+kind+"/1000", func(b *testing.B) {
				before = small.load(b, l.path, kind == "written")
				before.report(b)
				figure(b, l.name+" "+kind+", 1,000 instances: requests/s", before.rate, "at least", l.least)
			})
			b.Run(l.name+"-"+kind+"/10000", func(b *testing.B) {
				found := large.load(b, l.path, kind == "written")
				found.report(b)
				if kind == "quiet" && before.rate > 0 { // the other's cost is that of the commits, of which each request bears another share
					grown(b, l.name+" "+kind, before, found)
				}
			})
		}
		b.Run(l.name+"-anew", func(b *testing.B) {
			found := anew(b, l.path, small, large)
			b.ReportMetric(found[0].cost, "ms/answer-of-1000")
			b.ReportMetric(found[1].cost, "ms/answer-of-10000")
			b.ReportMetric(0, "ns/op")
			grown(b, l.name+" anew", found[0], found[1])
		})
	}
}

// grown prints how the cost of an answer grew from 1,000 to 10,000 instances.
func grown(b *testing.B, what string, from, to load) {
	b.Helper()
	growth := (to.cost / from.cost) / (to.bytes / from.bytes)
	b.ReportMetric(growth, "cost/bytes")
	figure(b, what+", 1,000 to 10,000 instances: growth of the cost / growth of the bytes", growth, "at most", mostGrowth)
}

// BenchmarkMemory measures what both programs hold resident with nothing to do:
// enrolled, connected, the demo image made.
func BenchmarkMemory(b *testing.B) {
	p := startPrograms(b)
	h := p.addProgramHost(8192)
	time.Sleep(settleFor)
	var controller, agent []float64
	for range 5 {
		controller, agent = append(controller, resident(b, p.process.pid)), append(agent, resident(b, h.process.pid))
		time.Sleep(time.Second)
	}
	b.ReportMetric(median(controller), "controller-MB")
	b.ReportMetric(median(agent), "agent-MB")
	b.ReportMetric(0, "ns/op")
	figure(b, "controller, MB resident", median(controller), "at most", mostControllerMB)
	figure(b, "agent, MB resident", median(agent), "at most", mostAgentMB)
}

// figure prints what was found beside what is wanted.
func figure(b *testing.B, what string, found float64, bound string, target float64) {
	b.Helper()
	verdict := "reached"
	if bound == "at most" && found > target || bound == "at least" && found < target {
		verdict = "MISSED"
	}
	b.Logf("%s: %.4g, target %s %.4g: %s", what, found, bound, target, verdict)
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
