package e2e

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/shared/wire"
)

// spoken is a message of a console's socket.
type spoken struct {
	Type, Ref, Code, Message, Node, Record, Job string
	From, To                                    int64
	Lines                                       []wire.ConsoleLineFrame
}

// viewer is somebody who looks at a console.
type viewer struct {
	t    testing.TB
	conn *websocket.Conn
	last int64 // of the lines so far, which have no gap
	text strings.Builder
}

func (p *panel) view(key, id, query string) *viewer {
	p.t.Helper()
	conn, res, err := websocket.DefaultDialer.DialContext(p.t.Context(), "ws"+strings.TrimPrefix(p.url, "http")+"/api/v1/instances/"+id+"/console"+query, http.Header{"X-Api-Key": {key}})
	if err != nil {
		p.t.Fatalf("%v, %v", res, err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	return &viewer{t: p.t, conn: conn}
}

func (v *viewer) say(text string) {
	v.t.Helper()
	if err := v.conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		v.t.Fatal(err)
	}
}

// read reads a message; lines must follow the ones before, in the same record.
func (v *viewer) read() (spoken, error) {
	v.t.Helper()
	_ = v.conn.SetReadDeadline(time.Now().Add(patience))
	var m spoken
	if err := v.conn.ReadJSON(&m); err != nil {
		return m, err
	}
	if m.Type == "record" {
		v.last = 0
	}
	if m.Type == "missed" {
		v.t.Errorf("lines %d to %d were missed", m.From, m.To)
	}
	for _, line := range m.Lines {
		if v.last != 0 && line.Seq != v.last+1 {
			v.t.Errorf("line %d came after %d", line.Seq, v.last)
		}
		v.last = line.Seq
		v.text.WriteString(string(line.Source) + ": " + line.Text + "\n")
	}
	return m, nil
}

// until reads until the message, or all lines so far, hold what is looked for.
func (v *viewer) until(what string, holds func(m spoken) bool) spoken {
	v.t.Helper()
	for {
		m, err := v.read()
		if err != nil {
			v.t.Fatalf("waiting for %s: %v; so far:\n%s", what, err, v.text.String())
		}
		if holds(m) {
			return m
		}
	}
}

func (v *viewer) sees(text string) {
	v.t.Helper()
	if !strings.Contains(v.text.String(), text) {
		v.until(text, func(spoken) bool { return strings.Contains(v.text.String(), text) })
	}
}

// ends wants a reason and a close code.
func (v *viewer) ends(code string, number int) {
	v.t.Helper()
	var last spoken
	for {
		m, err := v.read()
		if err == nil {
			last = m
			continue
		}
		var closed *websocket.CloseError
		if !errors.As(err, &closed) || closed.Code != number || last.Type != "closing" || last.Code != code || last.Message == "" {
			v.t.Errorf("it ended with %v after %+v", err, last)
		}
		return
	}
}

func (p *panel) newKey(user, scope string) (id, text string) {
	p.t.Helper()
	var made data[struct {
		ID  string
		Key string
	}]
	p.must(http.StatusCreated, "POST", "/api/v1/keys", map[string]any{"user_id": user, "name": "test", "scopes": []string{scope}, "rate_limit": 0}, &made)
	return made.Data.ID, made.Data.Key
}

// A console outlives kill -9 of the agent: who looks on is told, and gets every
// line once; and an order given meanwhile by command is not lost silently.
func TestConsoleOverAgentKill(t *testing.T) {
	t.Parallel()
	p := startPanel(t, "")
	h := p.addProcess("one")
	owner := p.user("anna")
	_, key := p.newKey(owner, "write")
	id := h.deploy(h.loadProbe("say", "hello\\n", "then", "answer"), owner, mapping(8080, runtimetest.FreePort(t)), nil)
	p.awaitStatus(id, "running")
	v := p.view(key, id, "")
	v.sees("out: hello\n")
	v.say(`{"type":"command","ref":"1","command":"one"}`)
	v.until("done", func(m spoken) bool { return m.Type == "done" && m.Ref == "1" })
	v.sees("in: one\n")
	v.sees("out: you said one\n")
	before := v.last

	h.killAgent()
	v.until("the node is away", func(m spoken) bool { return m.Type == "state" && m.Node == "offline" })
	v.say(`{"type":"command","ref":"2","command":"lost"}`)
	v.until("the refusal", func(m spoken) bool { return m.Type == "error" && m.Ref == "2" && m.Code == "NODE_OFFLINE" })
	h.spawn()
	h.awaitOnline()
	v.until("the node is back", func(m spoken) bool { return m.Type == "state" && m.Node == "online" })
	eventually(t, "a command gets through again", func() bool {
		status, _ := p.raw(key, "POST", "/api/v1/instances/"+id+"/command", map[string]string{"command": "two"})
		return status == http.StatusOK
	})
	v.sees("out: you said two\n")
	if v.last <= before || strings.Contains(v.text.String(), "lost") || strings.Count(v.text.String(), "you said one") != 1 {
		t.Errorf("%d lines, before %d:\n%s", v.last, before, v.text.String())
	}
	again := p.view(key, id, "?after=1")
	again.last = 1
	again.sees("out: you said two\n")
	if again.text.String() != strings.SplitN(v.text.String(), "\n", 2)[1] {
		t.Errorf("who comes back reads\n%s\ninstead of\n%s", again.text.String(), v.text.String())
	}
	p.must(http.StatusCreated, "DELETE", "/api/instance/delete", map[string]string{"id": id}, nil)
	v.ends("CONFLICT", 4004)
}

func TestConsoleEndsWithItsRight(t *testing.T) {
	t.Parallel()
	p := startPanel(t, "")
	h := p.addHost("one")
	owner := p.user("anna")
	revoked, first := p.newKey(owner, "write")
	_, second := p.newKey(owner, "write")
	id := h.deploy(h.loadProbe("say", "hello\\n", "then", "answer"), owner, mapping(8080, runtimetest.FreePort(t)), nil)
	p.awaitStatus(id, "running")
	one, two, admin := p.view(first, id, ""), p.view(second, id, ""), p.view(adminKey, id, "")
	for _, v := range []*viewer{one, two, admin} {
		v.sees("out: hello\n")
	}
	two.say(`{"type":"power","ref":"p","verb":"restart"}`)
	two.until("done", func(m spoken) bool { return m.Type == "done" && m.Ref == "p" && m.Job != "" })
	two.until("a second hello", func(spoken) bool { return strings.Count(two.text.String(), "out: hello\n") == 2 })
	p.must(http.StatusOK, "DELETE", "/api/v1/keys/"+revoked, nil, nil)
	one.ends("UNAUTHORIZED", 4001)
	p.must(http.StatusOK, "POST", "/api/instances/suspend/"+id, map[string]string{}, nil)
	two.ends("CONFLICT", 4009)
	p.stop()
	admin.ends("INTERNAL_ERROR", websocket.CloseGoingAway)
}

// A hundred look at a container that prints, one of them takes nothing in: the
// others get every line, over one stream from the node.
func TestHundredViewersOneStuck(t *testing.T) {
	t.Parallel()
	p := startPanel(t, "")
	h := p.addHost("one")
	owner, other := p.user("anna"), p.user("berta")
	p.must(http.StatusOK, "PATCH", "/api/v1/users/"+other, map[string]bool{"admin": true}, nil)
	_, key := p.newKey(owner, "read")
	_, otherKey := p.newKey(other, "read")
	const lines = 5000
	id := h.deploy(h.loadProbe("pace", "5000", "1000", "then", "idle"), owner, mapping(8080, runtimetest.FreePort(t)), nil)
	keys := []string{key, otherKey}
	_ = p.view(key, id, "?after=0") // reads nothing
	var reading sync.WaitGroup
	for n := range 99 {
		v := p.view(keys[n%2], id, "?after=0") // also who comes late
		reading.Go(func() {
			got := 0
			for got < lines {
				_ = v.conn.SetReadDeadline(time.Now().Add(patience))
				_, text, err := v.conn.ReadMessage()
				if err != nil {
					t.Errorf("viewer %d, after %d lines: %v", n, got, err)
					return
				}
				if bytes.HasPrefix(text, []byte(`{"type":"missed"`)) {
					t.Errorf("viewer %d, after %d lines: %s", n, got, text)
					return
				}
				got += bytes.Count(text, []byte(`"source":"out"`))
			}
		})
	}
	reading.Wait()
}
