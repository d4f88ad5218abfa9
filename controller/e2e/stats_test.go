package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	agentapp "github.com/berth-panel/berth/agent/app"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
)

// figures are what /api/v1 says of an instance's use.
type figures struct {
	Type    string
	At      time.Time
	Running bool
	Memory  int64 `json:"memory_bytes"`
	Limit   int64 `json:"memory_limit_bytes"`
	Disk    int64 `json:"disk_used_bytes"`
	Pids    int64
}

// TestStats: from a real container's counters to the API, live, in the list, past
// a stop and a restart of the agent, and on both pages for Prometheus.
func TestStats(t *testing.T) {
	t.Parallel()
	p := startPanel(t, "")
	page := fmt.Sprintf("127.0.0.1:%d", runtimetest.FreePort(t))
	h := p.addHost("a", func(c *agentapp.Config) { c.MetricsListen = page })
	id, job := h.begin(h.body(h.loadProbe("fill", "20", "then", "idle"), p.user("anna"), 0))
	p.awaitJob(job, "succeeded")
	base := "/api/v1/instances/" + id + "/stats"
	now := func() figures {
		var v data[figures]
		p.must(http.StatusOK, "GET", base, nil, &v)
		return v.Data
	}
	eventually(t, "figures of the container", func() bool {
		f := now()
		return f.Running && f.Memory >= 20<<20 && f.Limit == 64<<20 && f.Pids > 0 && f.Disk >= 0
	})

	var ticket data[struct{ Ticket string }]
	p.must(http.StatusCreated, "POST", base+"/ticket", nil, &ticket)
	conn, answer, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(p.url, "http")+base+"/live?ticket="+ticket.Data.Ticket, nil)
	if err != nil {
		t.Fatalf("%v, %v", err, answer)
	}
	_ = answer.Body.Close()
	defer func() { _ = conn.Close() }()
	live := func(what string, holds func(f figures) bool) {
		t.Helper()
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		for f := (figures{}); !holds(f); {
			f = figures{}
			if err := conn.ReadJSON(&f); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
	}
	var first time.Time
	live("a sample", func(f figures) bool { first = f.At; return f.Running && f.Pids > 0 })
	live("a later one", func(f figures) bool { return f.At.After(first) })

	var list data[struct {
		Instances []struct {
			InstanceID string `json:"instance_id"`
			Stats      *figures
		}
	}]
	p.must(http.StatusOK, "GET", "/api/v1/stats", nil, &list)
	if all := list.Data.Instances; len(all) != 1 || all[0].InstanceID != id || all[0].Stats == nil || all[0].Stats.Pids == 0 {
		t.Errorf("%+v", all)
	}
	var machine data[struct{ Cores, Running int }]
	p.must(http.StatusOK, "GET", "/api/v1/nodes/"+string(h.id)+"/stats", nil, &machine)
	if machine.Data.Cores < 1 || machine.Data.Running != 1 {
		t.Errorf("%+v", machine.Data)
	}
	for url, line := range map[string]string{
		"http://" + page + "/metrics": `berth_instance_processes{instance="` + id + `"`,
		p.url + "/metrics":            `berth_instances{state="running"} 1`,
	} {
		if text := readPage(t, url); !strings.Contains(text, "\n"+line) {
			t.Errorf("%s has no %s:\n%s", url, line, text)
		}
	}

	p.must(http.StatusAccepted, "POST", "/api/v1/instances/"+id+"/stop", nil, nil)
	live("the stop", func(f figures) bool { return f.Type == "sample" && !f.Running })
	past := func(resolution string) int {
		var v data[struct{ At []int64 }]
		p.must(http.StatusOK, "GET", base+"/history?resolution="+resolution, nil, &v)
		return len(v.Data.At)
	}
	if n := past("1s"); n == 0 {
		t.Error("no seconds are kept")
	}
	h.stop()
	if _, err := os.Stat(filepath.Join(h.dir, "stats", id+".ring")); err != nil {
		t.Errorf("the history was not written: %v", err)
	}
	h.run(nil)
	h.awaitOnline()
	if tens, minutes := past("10s"), past("1m"); tens == 0 || minutes == 0 {
		t.Errorf("after the agent's restart there are %d and %d points", tens, minutes)
	}
	live("a sample by the new agent", func(f figures) bool { return f.Type == "sample" && !f.Running && f.Disk >= 0 })
}

func readPage(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("x-api-key", adminKey)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %s, %v", url, res.StatusCode, text, err)
	}
	return string(text)
}
