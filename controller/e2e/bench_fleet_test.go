package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berth-panel/berth/shared/ident"
)

// A fleet's figures and what they should be, on 2 cores of which the agents, which
// are other machines in truth, have what the controller leaves (see startFleet).
const (
	envFleetNodes = "BERTH_TEST_FLEET_NODES" // how many nodes there are in the end

	perNode        = 100              // instances
	mostAtOnce     = 200              // nodes that come in a stride
	mostCores      = 1.0              // in steady state
	mostResident   = 512.0            // MB
	mostPageP99    = 50.0             // ms
	mostAgreement  = 60 * time.Second // after a restart
	leastDeploys   = 200.0            // a second
	steadyFor      = 30 * time.Second
	deployClients  = 16
	fleetPatience  = 10 * time.Minute
	deployRun      = 2000 // instances of the measured deployments
	pageReaders    = 4
	pageReads      = 500
	fleetReference = "itzg/minecraft-server"
)

// fleetFigures are those of one size of the fleet.
type fleetFigures struct {
	nodes, instances int
	cores, resident  float64
	pageP99          float64 // ms
	online, agree    time.Duration
	accepted         float64 // deployments a second
	carried          float64 // of them, until the agents had done them
}

// BenchmarkFleet runs one controller, as a process, with 100, 300 and 1,000
// agents of 100 instances each and prints what each size costs. The agents are
// the real ones on scripted engines. It takes a quarter of an hour; make
// bench-fleet calls it.
func BenchmarkFleet(b *testing.B) {
	most, err := strconv.Atoi(os.Getenv(envFleetNodes))
	if err != nil {
		b.Skipf("%s does not say how many nodes: run make bench-fleet", envFleetNodes)
	}
	f := newFleetBench(b)
	var table []fleetFigures
	for _, nodes := range []int{most / 10, most * 3 / 10, most} {
		f.grow(b, nodes)
		table = append(table, f.measure(b))
	}
	b.Logf("%8s %10s %8s %10s %14s %8s %12s %10s %10s %12s", "nodes", "instances", "cores", "µs/s/node", "resident (MB)", "p99 (ms)", "online (s)", "agree (s)", "accept/s", "done/s")
	for _, r := range table {
		b.Logf("%8d %10d %8.4f %10.2f %14.1f %8.2f %12.1f %10.1f %10.0f %12.0f", r.nodes, r.instances, r.cores, r.cores*1e6/float64(r.nodes), r.resident, r.pageP99,
			r.online.Seconds(), r.agree.Seconds(), r.accepted, r.carried)
	}
	last := table[len(table)-1]
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(last.cores, fmt.Sprintf("cores(max_%g)", mostCores))
	b.ReportMetric(last.resident, fmt.Sprintf("MB(max_%g)", mostResident))
	b.ReportMetric(last.pageP99, fmt.Sprintf("p99-ms(max_%g)", mostPageP99))
	b.ReportMetric(last.agree.Seconds(), fmt.Sprintf("agree-s(max_%g)", mostAgreement.Seconds()))
	b.ReportMetric(last.accepted, fmt.Sprintf("deploys/s(min_%g)", leastDeploys))
	b.ReportMetric((last.cores/float64(last.nodes))/(table[0].cores/float64(table[0].nodes)), "cost-growth")
}

type fleetBench struct {
	*site
	dir    string // the controller's
	agents string
	key    string
	owner  string
	client *http.Client
	nodes  []ident.Node
	count  int // instances
}

func newFleetBench(b *testing.B) *fleetBench {
	b.Helper()
	binary(b, "berth-controller") // skips before the work is done
	f := &fleetBench{dir: b.TempDir(), agents: memoryDir(b)}
	f.site = startController(b, f.dir)
	f.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: deployClients}, Timeout: time.Minute}
	var made data[struct{ Key string }]
	f.must(http.StatusCreated, "POST", "/api/v1/join-keys", map[string]any{"name": "fleet", "uses": 1000, "hours": 24}, &made)
	f.key, f.owner = made.Data.Key, f.user("anna")
	f.must(http.StatusCreated, "POST", "/api/v1/images/import", map[string]any{
		"Name": "server", "Image": fleetReference, "StopCommand": "stop", "Env": []string{"FROM_IMAGE=yes"},
	}, nil)
	return f
}

// memoryDir is a directory without a disk behind it: the thousand journals of
// the agents, which are a thousand machines' in truth, shall not wait for one.
func memoryDir(b *testing.B) string {
	b.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "berth-fleet-")
	if err != nil {
		return b.TempDir()
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// grow makes the fleet have so many nodes, with their instances running. It goes in
// strides: deployments are accepted faster than agents on the same cores do them.
func (f *fleetBench) grow(b *testing.B, nodes int) {
	b.Helper()
	for len(f.nodes) < nodes {
		f.stride(b, min(nodes, len(f.nodes)+mostAtOnce))
	}
}

func (f *fleetBench) stride(b *testing.B, nodes int) {
	b.Helper()
	fresh := startFleet(b, fleetOrder{Controller: f.url, Key: f.key, Dir: f.agents, Images: []string{fleetReference}, From: len(f.nodes), To: nodes})
	f.nodes = append(f.nodes, fresh...)
	f.await(b, "every node is online", func(s fleetStatus) bool { return s.Online == nodes })
	f.deploy(b, len(fresh)*perNode, func(n int) ident.Node { return fresh[n%len(fresh)] })
	f.settle(b)
}

// deploy deploys so many instances and gives how many a second were accepted.
func (f *fleetBench) deploy(b *testing.B, count int, where func(n int) ident.Node) float64 {
	b.Helper()
	var next atomic.Int64
	var clients sync.WaitGroup
	failed := make(chan error, deployClients)
	began := time.Now()
	for range deployClients {
		clients.Go(func() {
			for n := int(next.Add(1)) - 1; n < count; n = int(next.Add(1)) - 1 {
				if err := f.deployOne(f.count+n, where(n)); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	clients.Wait()
	took := time.Since(began)
	select {
	case err := <-failed:
		b.Fatal(err)
	default:
	}
	f.count += count
	return float64(count) / took.Seconds()
}

func (f *fleetBench) deployOne(n int, on ident.Node) error {
	body, err := json.Marshal(map[string]any{
		"name": fmt.Sprintf("server number %d", n), "owner_id": f.owner, "node_id": on, "reference": fleetReference, "memory": 512, "cpu": 0.5, "disk": 1024,
		"ports": []map[string]any{{"container": 25565, "host": 1024 + n%60000}},
	})
	if err != nil {
		return err
	}
	req, err := http.NewRequest(http.MethodPost, f.url+"/api/v1/instances", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("x-api-key", adminKey)
	req.Header.Set("Content-Type", "application/json")
	res, err := f.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusAccepted {
		err = fmt.Errorf("instance %d: %d: %s", n, res.StatusCode, text)
	}
	return err
}

// fleetStatus is what the bench reads of /api/v1/status.
type fleetStatus struct {
	Online    int `json:"nodes_online"`
	Instances int `json:"instances"`
	Running   int `json:"instances_running"`
	Active    int `json:"jobs_active"`
}

func (f *fleetBench) status() (s fleetStatus, there bool) {
	req, err := http.NewRequest(http.MethodGet, f.url+"/api/v1/status", nil)
	if err != nil {
		return s, false
	}
	req.Header.Set("x-api-key", adminKey)
	res, err := f.client.Do(req)
	if err != nil {
		return s, false
	}
	defer func() { _ = res.Body.Close() }()
	var v data[struct{ Counts fleetStatus }]
	err = json.NewDecoder(res.Body).Decode(&v)
	return v.Data.Counts, err == nil && res.StatusCode == http.StatusOK
}

// await waits until the status is as asked for and gives how long that took.
func (f *fleetBench) await(b *testing.B, what string, holds func(fleetStatus) bool) time.Duration {
	b.Helper()
	began := time.Now()
	for {
		s, there := f.status()
		if there && holds(s) {
			return time.Since(began)
		}
		if time.Since(began) > fleetPatience {
			b.Fatalf("not within %s: %s (%+v)", fleetPatience, what, s)
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// settle waits until everything runs and nothing is to do.
func (f *fleetBench) settle(b *testing.B) time.Duration {
	b.Helper()
	return f.await(b, "everything runs", func(s fleetStatus) bool {
		return s.Online == len(f.nodes) && s.Active == 0 && s.Running == f.count
	})
}

func (f *fleetBench) measure(b *testing.B) fleetFigures {
	b.Helper()
	r := fleetFigures{nodes: len(f.nodes)}
	time.Sleep(settleFor)
	began := cpuTime(b, f.process.pid)
	time.Sleep(steadyFor)
	r.cores = (cpuTime(b, f.process.pid) - began) / steadyFor.Seconds()
	r.resident = resident(b, f.process.pid)
	r.pageP99 = f.pages(b)
	r.online, r.agree = f.restart(b)

	time.Sleep(settleFor) // the agents are told their copies (logins, registries) after they agree
	from := time.Now()
	r.accepted = f.deploy(b, deployRun, func(n int) ident.Node { return f.nodes[n%len(f.nodes)] })
	f.settle(b)
	r.carried = deployRun / time.Since(from).Seconds()
	r.instances = f.count
	return r
}

// pages reads pages of 50 instances all over the list, while the fleet goes on,
// and gives the 99th percentile of the answers' times in ms.
func (f *fleetBench) pages(b *testing.B) float64 {
	b.Helper()
	var readers sync.WaitGroup
	var connections []*connection
	for range pageReaders {
		connections = append(connections, f.connect(b, "/api/v1/health"))
	}
	took := make([][]time.Duration, pageReaders)
	failed := make([]error, pageReaders)
	for r := range pageReaders {
		readers.Go(func() {
			for n := 0; n < pageReads && failed[r] == nil; n++ {
				connections[r].aim(fmt.Sprintf("/api/v1/instances?limit=50&page=%d", 1+(n*37+r)%max(f.count/50, 1)))
				began := time.Now()
				failed[r] = connections[r].ask()
				took[r] = append(took[r], time.Since(began))
			}
		})
	}
	readers.Wait()
	for _, err := range failed {
		if err != nil {
			b.Fatal(err)
		}
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	return milliseconds(all[(len(all)*99+99)/100-1])
}

// restart kills the controller, starts it again, and gives when every node was
// online and when everything agreed.
func (f *fleetBench) restart(b *testing.B) (online, agree time.Duration) {
	b.Helper()
	f.process.kill()
	began := time.Now()
	f.site = startControllerAt(b, f.dir, strings.TrimPrefix(f.url, "http://"))
	f.await(b, "every node is online again", func(s fleetStatus) bool { return s.Online == len(f.nodes) })
	online = time.Since(began)
	f.settle(b)
	return online, time.Since(began)
}
