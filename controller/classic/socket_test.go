package classic_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/classic"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// room is an instance's console and figures at a scripted agent: 40 lines, and
// what is typed comes back.
type room struct {
	mu     sync.Mutex
	inputs []string
}

func (r *room) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if strings.HasSuffix(q.URL.Path, "/stats") {
		_ = json.NewEncoder(w).Encode(wire.Sample{At: time.Unix(1, 0), Running: true, CPU: 1.5, MemoryBytes: 100, MemoryLimit: 200, NetIn: 3, NetOut: 4, Pids: 5, DiskUsed: 12_300_000})
		return
	}
	upgrader := websocket.Upgrader{}
	conn, err := upgrader.Upgrade(w, q, nil)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	last := int64(40)
	_ = conn.WriteJSON(wire.ConsoleFrame{Record: "r", Last: last})
	var lines []wire.ConsoleLineFrame
	for seq := range last {
		lines = append(lines, wire.ConsoleLineFrame{Seq: seq + 1, Source: wire.ConsoleOut, Text: fmt.Sprintf("line %d", seq+1)})
	}
	tail := "name> "
	_ = conn.WriteJSON(wire.ConsoleFrame{Lines: lines})
	_ = conn.WriteJSON(wire.ConsoleFrame{Tail: &tail})
	for {
		var in wire.ConsoleInput
		if conn.ReadJSON(&in) != nil {
			return
		}
		r.mu.Lock()
		r.inputs = append(r.inputs, *in.Command)
		r.mu.Unlock()
		_ = conn.WriteJSON(wire.ConsoleFrame{Done: in.Ref})
		last += 2
		_ = conn.WriteJSON(wire.ConsoleFrame{Lines: []wire.ConsoleLineFrame{
			{Seq: last - 1, Source: wire.ConsoleIn, Text: *in.Command}, {Seq: last, Source: wire.ConsoleOut, Text: "name> you said " + *in.Command},
		}})
	}
}

func (r *room) given() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.inputs...)
}

// old is an old client.
type old struct {
	t    *testing.T
	conn *websocket.Conn
	got  string
}

func (b *bundle) old(t *testing.T, path string, h http.Header) *old {
	t.Helper()
	conn, res, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(b.url, "http")+path, h)
	if err != nil {
		t.Fatalf("%v, %v", res, err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &old{t: t, conn: conn}
}

func (o *old) say(text string) *old {
	o.t.Helper()
	if err := o.conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		o.t.Fatal(err)
	}
	return o
}

// until reads until all that came holds the text.
func (o *old) until(text string) {
	o.t.Helper()
	for !strings.Contains(o.got, text) {
		_ = o.conn.SetReadDeadline(time.Now().Add(2 * patience))
		_, more, err := o.conn.ReadMessage()
		if err != nil {
			o.t.Fatalf("waiting for %q, got %q: %v", text, o.got, err)
		}
		o.got += string(more)
	}
}

// ends wants the text, and the same with the close code 1008.
func (o *old) ends(text string) {
	o.t.Helper()
	o.until(text)
	for {
		_ = o.conn.SetReadDeadline(time.Now().Add(2 * patience))
		if _, _, err := o.conn.ReadMessage(); err != nil {
			var closed *websocket.CloseError
			if !errors.As(err, &closed) || closed.Code != websocket.ClosePolicyViolation || !strings.Contains(closed.Text, text) {
				o.t.Errorf("%v instead of 1008 and %q", err, text)
			}
			return
		}
	}
}

func auth(key string) string {
	return fmt.Sprintf(`{"event":"auth","args":[%q]}`, key)
}

// housed is a bundle with one instance of a user on a node whose agent has a room.
func housed(t *testing.T) (b *bundle, r *room, id, key string, owner ident.User) {
	t.Helper()
	b, r = setup(t), &room{}
	h := b.host("one")
	h.Serve(r)
	owner = b.user("olga")
	id = b.deploy(h, owner, 25565)
	return b, r, id, b.key(owner, access.Documented, access.ScopeWrite), owner
}

func TestOldConsole(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"/console/ID", "/exec/ID", "/exec/CONTAINER"} {
		// Each has its own: a view that the last client left a moment ago has what he typed.
		b, r, id, key, _ := housed(t)
		container, _ := b.instance(id)["ContainerId"].(string)
		path := strings.NewReplacer("ID", id, "CONTAINER", container).Replace(form)
		o := b.old(t, path, http.Header{"Origin": {"https://dashboard.example"}}).say(auth(key))
		o.until("name> ")
		if !strings.Contains(o.got, "[Berth]") || strings.Contains(o.got, "line 15\r\n") || !strings.Contains(o.got, "line 16\r\nline 17\r\n") {
			t.Errorf("%s: %q", path, o.got)
		}
		before := len(r.given())
		o.say(`{"event":"cmd","command":"hi"}`).until("name> you said hi\r\n")
		if given := r.given(); len(given) != before+1 || given[before] != "hi" {
			t.Errorf("%v", given)
		}
		o.say(`{"event":"dance"}`).until("Unsupported event")
		o.got = ""
		o.say(`not JSON`).until("Unsupported event")
		o.got = ""
		o.say(`{"event":"power:kill"}`).until("Unsupported event")
		_ = o.conn.Close()
	}
	b, _, id, key, _ := housed(t)
	b.old(t, "/console/"+id, nil).say(auth(key)).say(`{"event":"power:restart"}`)
	b.until("the restart is an event", func() bool {
		return b.rows(`events WHERE type = 'instance.restart_ordered'`) == 1
	})
}

func TestOldSocketsRefuse(t *testing.T) {
	t.Parallel()
	b, r, id, key, owner := housed(t)
	stranger := b.key(b.user("nobody"), access.Documented, access.ScopeWrite)
	for _, path := range []string{"/console/" + id, "/stats/" + id, "/stats/abc/" + id} {
		b.old(t, path, nil).say(`{"event":"cmd","command":"hi"}`).ends("Unauthorized access")
		b.old(t, path, nil).say(`nonsense`).ends("Unauthorized access")
		b.old(t, path, nil).say(`{"event":"auth","args":[]}`).ends("Unauthorized access")
		b.old(t, path, nil).say(`{"event":"auth","args":[7]}`).ends("Unauthorized access")
		b.old(t, path, nil).say(auth("wrong")).ends("Authentication failed")
		b.old(t, path, nil).say(auth(stranger)).ends("no such instance")
	}
	b.old(t, "/console/0000dead", nil).say(auth(key)).ends("no such instance")
	b.old(t, "/exec/nonsense", nil).say(auth(key)).ends("Instance not found")
	reader := b.old(t, "/console/"+id, nil).say(auth(b.key(owner, access.Documented, access.ScopeRead)))
	reader.say(`{"event":"cmd","command":"hi"}`).until("lacks the scope write")
	if len(r.given()) != 0 {
		t.Errorf("%v was given", r.given())
	}
	watching := b.old(t, "/console/"+id, nil).say(auth(key))
	watching.until("line 40")
	b.post(adminKey, "/api/instances/suspend/"+id, object{}).object(200)
	watching.ends("is suspended")
	answer, err := b.client.Get(b.url + "/console/" + id)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusNotFound || !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/html") {
		t.Errorf("a page at that address: %d %v", answer.StatusCode, answer.Header)
	}
}

func TestOldStats(t *testing.T) {
	t.Parallel()
	b, _, id, key, _ := housed(t)
	classic.Often(b.classic)
	o := b.old(t, "/stats/container/"+id, nil).say(auth(key))
	type cpu struct {
		CPUUsage struct {
			TotalUsage float64 `json:"total_usage"`
		} `json:"cpu_usage"`
		SystemUsage float64 `json:"system_cpu_usage"`
		OnlineCPUs  float64 `json:"online_cpus"`
	}
	var raw struct {
		CPU    cpu `json:"cpu_stats"`
		Before cpu `json:"precpu_stats"`
		Memory struct {
			Usage, Limit int64
		} `json:"memory_stats"`
		VolumeSize string `json:"volumeSize"`
	}
	for range 3 {
		_ = o.conn.SetReadDeadline(time.Now().Add(2 * patience))
		if err := o.conn.ReadJSON(&raw); err != nil {
			t.Fatal(err)
		}
		percent := (raw.CPU.CPUUsage.TotalUsage - raw.Before.CPUUsage.TotalUsage) / (raw.CPU.SystemUsage - raw.Before.SystemUsage) * raw.CPU.OnlineCPUs * 100 // as old clients reckon
		if percent != 150 || raw.Memory.Usage != 100 || raw.Memory.Limit != 200 || raw.VolumeSize != "12.3 MB" {
			t.Errorf("%v %% of %+v", percent, raw)
		}
	}
	o.say(`{"event":"cmd","command":"hi"}`).until("Unsupported event")
}
