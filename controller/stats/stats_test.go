package stats_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/stats"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestAnswers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var now stats.StatsView
	b.get(b.key, "{instance}/stats", &now)
	if !now.Running || now.CPU != 0.25 || now.Memory != 5 || now.DiskUsed != -1 {
		t.Errorf("%+v", now)
	}
	var history stats.StatsHistoryView
	b.get(b.key, "{instance}/stats/history?since=1700000000", &history)
	if history.Resolution != wire.Ten || history.At == nil || history.CPU == nil || history.DiskUsed == nil {
		t.Errorf("%+v", history)
	}
	if n := b.room.times("/v1/instances/" + string(b.id) + "/stats/history?resolution=10s&since=1700000000"); n != 1 {
		t.Errorf("the node was asked for that history %d times: %v", n, b.room.asked)
	}
	var machine stats.NodeStatsView
	b.get(b.admin, "{node}/stats", &machine)
	b.get(b.admin, "{node}/stats/history?resolution=1m", &history)
	if machine.CPU != 1.5 || machine.Cores != 4 || len(history.Running) != 1 {
		t.Errorf("%+v, %+v", machine, history)
	}
}

// TestRights: nobody, somebody else, and what only admins see.
func TestRights(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for path, code := range map[string]problem.Code{
		"{instance}/stats": problem.NotFound, "{instance}/stats/history": problem.NotFound, "{instance}/stats/live": problem.Internal,
		"{node}/stats": problem.Forbidden, "{node}/stats/history": problem.Forbidden, "/metrics": problem.Forbidden,
	} {
		if code != problem.Internal { // a public route, which is tried below
			b.refused("", http.MethodGet, path, problem.Unauthorized)
			b.refused(b.other, http.MethodGet, path, code)
		}
	}
	b.refused("", http.MethodGet, "/api/v1/stats", problem.Unauthorized)
	b.refused(b.other, http.MethodPost, "{instance}/stats/ticket", problem.NotFound)
	for _, path := range []string{"/api/v1/instances/00000000/stats", "/api/v1/instances/..%2Fx/stats", "/api/v1/instances/00000000/stats/history"} {
		b.refused(b.admin, http.MethodGet, path, problem.NotFound)
	}
	b.refused(b.admin, http.MethodGet, "/api/v1/nodes/nobody/stats", problem.NotFound)
	for _, path := range []string{"{instance}/stats/history?resolution=2s", "{instance}/stats/history?since=-1", "{instance}/stats/history?since=x",
		"{instance}/stats?x=1", "/api/v1/stats?instances=../x", "/api/v1/stats?instances=,"} {
		b.refused(b.admin, http.MethodGet, path, problem.Validation)
	}
	if len(b.room.asked) != 0 {
		t.Errorf("the node was asked %v", b.room.asked)
	}
	for name, header := range map[string]http.Header{"another's key": {"X-Api-Key": {b.other}}, "a wrong key": {"X-Api-Key": {"bk_wrong"}}} {
		_, answer, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(b.url, "http")+b.path("{instance}/stats/live"), header)
		if err == nil || answer == nil || answer.StatusCode != http.StatusNotFound && answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %v, %v", name, answer, err)
		}
	}
}

// TestList: what each may see, of what runs; and a node is asked once for many.
func TestList(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() { b.call(b.key, http.MethodGet, "/api/v1/stats") })
	}
	group.Wait()
	if n := b.room.times("/v1/stats?"); n != 1 {
		t.Errorf("20 calls within a second asked the node %d times", n)
	}
	b.passed.Add(1)
	b.call(b.key, http.MethodGet, "/api/v1/stats")
	if n := b.room.times("/v1/stats?"); n != 2 {
		t.Errorf("a call in the next second makes it %d", n)
	}
	var list stats.StatsListView
	b.get(b.key, "/api/v1/stats?instances="+string(b.id)+",00000000", &list)
	if len(list.Instances) != 1 || list.Instances[0].InstanceID != string(b.id) || !list.Instances[0].Online || list.Instances[0].Stats == nil || list.Instances[0].Stats.NetInRate != 7 {
		t.Errorf("%+v", list)
	}
	for _, empty := range []struct{ key, path string }{{b.other, "/api/v1/stats"}, {b.other, "/api/v1/stats?instances=" + string(b.id)}, {b.admin, "/api/v1/stats?instances=00000000"}} {
		list = stats.StatsListView{}
		b.get(empty.key, empty.path, &list)
		if list.Instances == nil || len(list.Instances) != 0 {
			t.Errorf("%s shows %+v", empty.path, list)
		}
	}
	b.agent.Stop()
	eventually(t, "the node is away", func() bool { return !b.fleet.Online(b.node) })
	b.passed.Add(1)
	list = stats.StatsListView{}
	b.get(b.admin, "/api/v1/stats", &list)
	if len(list.Instances) != 1 || list.Instances[0].Online || list.Instances[0].Stats != nil {
		t.Errorf("of a node that is away: %+v", list)
	}
	b.refused(b.key, http.MethodGet, "{instance}/stats", problem.NodeOffline)
	b.refused(b.admin, http.MethodGet, "{node}/stats/history", problem.NodeOffline)
}

// TestLive: by each way of saying who one is.
func TestLive(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ticket := func() string {
		status, text := b.call(b.key, http.MethodPost, "{instance}/stats/ticket")
		var v struct{ Data stats.StatsTicketView }
		if err := json.Unmarshal(text, &v); err != nil || status != http.StatusCreated || v.Data.Ticket == "" {
			t.Fatalf("%d %s", status, text)
		}
		return v.Data.Ticket
	}
	conn := b.dial("", http.Header{"X-Api-Key": {b.key}})
	b.opens(1)
	b.sees(conn, 0.5)
	_ = conn.Close()
	once, opened := ticket(), 1
	for name, first := range map[string]map[string]string{
		"a key": {"type": "auth", "key": b.key}, "a ticket": {"type": "auth", "ticket": ticket()}, "by address": nil,
	} {
		t.Log(name)
		query := ""
		if first == nil {
			query = "?ticket=" + once
		}
		conn := b.dial(query, nil)
		if first != nil {
			if err := conn.WriteJSON(first); err != nil {
				t.Fatal(err)
			}
		}
		opened++
		b.opens(opened)
		b.sees(conn, 0.75)
		if err := conn.WriteMessage(websocket.BinaryMessage, []byte("noise is nothing")); err != nil {
			t.Fatal(err)
		}
		b.sees(conn, 1)
		_ = conn.Close()
	}
	for name, first := range map[string]string{
		"a used ticket": `{"type":"auth","ticket":"` + once + `"}`, "a wrong key": `{"type":"auth","key":"bk_wrong"}`,
		"rubbish": `{{{`, "nothing": ``, "both": `{"type":"auth","key":"a","ticket":"b"}`, "another message": `{"type":"command"}`,
	} {
		t.Log(name)
		conn := b.dial("", nil)
		if err := conn.WriteMessage(websocket.TextMessage, []byte(first)); err != nil {
			t.Fatal(err)
		}
		b.ends(conn, problem.Unauthorized, 4001)
	}
	stranger := b.dial("", nil)
	if err := stranger.WriteJSON(map[string]string{"type": "auth", "key": b.other}); err != nil {
		t.Fatal(err)
	}
	b.ends(stranger, problem.NotFound, 4004)
}

// TestLiveCut: a revoked key and a deleted instance end a stream, with a reason;
// a suspension doesn't.
func TestLiveCut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	local := access.With(t.Context(), access.Local())
	conn, admin := b.dial("", http.Header{"X-Api-Key": {b.key}}), b.dial("", http.Header{"X-Api-Key": {b.admin}})
	b.opens(2)
	if _, _, err := b.instances.Suspend(t.Context(), access.Local(), b.id, "unpaid"); err != nil {
		t.Fatal(err)
	}
	b.sees(conn, 1)
	if err := b.users.RevokeKey(local, b.keyID); err != nil {
		t.Fatal(err)
	}
	b.ends(conn, problem.Unauthorized, 4001)
	b.refused(b.key, http.MethodGet, "{instance}/stats", problem.Unauthorized)
	b.write(`DELETE FROM jobs`)
	if _, _, err := b.instances.Delete(t.Context(), access.Local(), b.id); err != nil {
		t.Fatal(err)
	}
	m := b.next(admin)
	for m.Type != "closing" {
		m = b.next(admin)
	}
	if m.Message == "" {
		t.Errorf("%+v", m)
	}
}

// TestLiveAway: a node that goes away and comes again, in one stream.
func TestLiveAway(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conn := b.dial("", http.Header{"X-Api-Key": {b.key}})
	b.opens(1)
	b.sees(conn, 0.5)
	b.room.cut()
	if m := b.next(conn); m.Type != "offline" || m.Message == "" {
		t.Errorf("%+v", m)
	}
	b.opens(2)
	b.sees(conn, 0.75)
	b.agent.Stop()
	b.room.cut()
	if m := b.next(conn); m.Type != "offline" || m.Message == "" {
		t.Errorf("%+v", m)
	}
	b.agent.Start(t)
	b.opens(3)
	b.sees(conn, 1)
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.refused(b.other, http.MethodGet, "{instance}/stats", problem.NotFound)
	own := httptest.NewServer(b.metrics)
	defer own.Close()
	status, page := b.call(b.admin, http.MethodGet, "/metrics")
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, page)
	}
	b.metrics.Observe("X'\n\x00", "-", 405, time.Second)
	answer := must(http.Get(own.URL + "/metrics"))(t)
	defer answer.Body.Close()
	if kind := answer.Header.Get("Content-Type"); answer.StatusCode != http.StatusOK || !strings.HasPrefix(kind, "text/plain; version=0.0.4") {
		t.Errorf("%d, %s", answer.StatusCode, kind)
	}
	again := must(b.metrics.Page(t.Context()))(t)
	for _, line := range []string{
		`berth_nodes{state="online"} 1`, `berth_nodes{state="offline"} 0`, `berth_instances{state="running"} 2`, `berth_jobs{state="done"} 3`,
		`berth_http_requests_total{class="4xx",method="GET",route="/api/v1/instances/{id}/stats"} 1`,
		`berth_http_requests_total{class="4xx",method="other",route="-"} 1`,
		`# TYPE berth_http_request_duration_seconds histogram`, `# TYPE go_goroutines gauge`,
	} {
		if !strings.Contains(string(again), line+"\n") {
			t.Errorf("%s is missing", line)
		}
	}
	if strings.Contains(string(again), string(b.id)) {
		t.Error("an instance's id is in it")
	}
	for _, path := range []string{"/", "/api/v1/instances", "/metrics/x"} {
		res := must(http.Get(own.URL + path))(t)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusNotFound {
			t.Errorf("%s without a key: %d", path, res.StatusCode)
		}
	}
}
