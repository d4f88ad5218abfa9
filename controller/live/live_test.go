package live_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/live"
	"github.com/berth-panel/berth/controller/roomtest"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

func TestEachSeesHisOwn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	shared := caller("carl", false)
	shared.Shares = map[ident.Instance][]access.Right{"i1": {access.ReadConsole}}
	b.people.put(shared)
	pages := map[string]*client{}
	for _, who := range []string{"root", "anna", "bob", "carl"} {
		pages[who], _ = b.open(who, "")
	}
	by := access.Actor{Via: access.ViaSession, User: "anna", Username: "anna", Address: "192.0.2.7"}
	b.happens(
		event.Event{Type: "instance.started", Owner: "anna", Instance: "i1", Actor: by},
		event.Event{Type: "instance.started", Owner: "bob", Instance: "i3"},
		event.Event{Type: "file.written", Owner: "anna", Instance: "i1", Actor: by},
		event.Event{Type: event.Commanded, Owner: "anna", Instance: "i1", Actor: by},
		event.Event{Type: "node.online", Node: "n1"},
		event.Event{Type: "instance.stopped", Owner: "anna", Instance: "i1"},
		event.Event{Type: "user.updated", Owner: "bob", Subject: "bob"},
		event.Event{Type: "user.updated", Owner: "anna", Subject: "anna"},
		event.Event{Type: "user.updated", Owner: "carl", Subject: "carl"},
	)
	for who, want := range map[string][]int64{"root": {1, 2, 3, 4, 5, 6, 7, 8, 9}, "anna": {1, 3, 4, 6, 8}, "bob": {2, 7}, "carl": {1, 6, 9}} {
		for _, id := range want {
			m := pages[who].next()
			if m.Type != "event" || m.Event.ID != id {
				t.Fatalf("%s is told %+v, want %d", who, m, id)
			}
			if address := m.Event.Actor.Address; id == 1 && (address == "") != (who == "carl") {
				t.Errorf("%s sees the address %q", who, address)
			}
		}
	}
}

// However often the connection breaks, each fact comes once and in order.
func TestComesBackWithoutGapOrRepeat(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const facts, lives = 600, 12
	c, after := b.open("anna", "")
	var writers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() {
			for range facts / 3 {
				b.happens(event.Event{Type: event.Type(fmt.Sprintf("instance.n%d", w)), Owner: "anna", Instance: "i1"}, event.Event{Type: "node.x", Node: "n1"})
			}
		})
	}
	var got []int64
	for life := 1; len(got) < facts; {
		m := c.next()
		if m.Type != "event" || m.Event.ID <= after {
			t.Fatalf("after %d came %+v", after, m)
		}
		got, after = append(got, m.Event.ID), m.Event.ID
		if len(got) >= life*facts/lives {
			life++
			_ = c.conn.Close()
			c = b.dial("anna", fmt.Sprintf("?after=%d", after))
			if m := c.next(); m.Type != "hello" || m.After != after {
				t.Fatalf("after %d it begins with %+v", after, m)
			}
		}
	}
	writers.Wait()
	list, total, err := b.events.List(t.Context(), b.db.Snapshot(), event.Filter{Sight: event.Sight{Me: "anna"}, After: 0, Limit: 1000})
	if err != nil || total != facts {
		t.Fatal(total, err)
	}
	slices.Reverse(list)
	for i, e := range list {
		if got[i] != e.ID {
			t.Fatalf("the fact %d is %d, want %d", i, got[i], e.ID)
		}
	}
}

func TestBehind(t *testing.T) {
	t.Parallel()
	b := setup(t)
	last := b.happens(event.Event{Type: "instance.a", Owner: "anna"}, event.Event{Type: "instance.b", Owner: "anna"}, event.Event{Type: "instance.c", Owner: "anna"})
	err := b.db.Write(t.Context(), func(tx *store.Tx) error {
		if _, err := tx.ExecContext(t.Context(), `DELETE FROM events WHERE id = 1`); err != nil { // it grew too old
			return err
		}
		for range live.BehindMost + 1 {
			if err := b.events.Append(t.Context(), tx, event.Event{Type: "x.y", Owner: "bob", Actor: access.System()}, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	head := last + live.BehindMost + 1
	for name, tc := range map[string]struct {
		who    string
		after  int64
		behind bool
		from   int64
	}{
		"what it needs is there":         {"anna", 1, false, 1},
		"what it needs is gone":          {"anna", 0 + 0, false, head}, // 0 is a new page
		"of a log that was put back":     {"anna", head + 5, true, head},
		"too much happened":              {"bob", 2, true, head},
		"too much, but nothing to see":   {"anna", 2, false, 2},
		"as far as there is anything":    {"bob", head, false, head},
		"almost all of it still matters": {"bob", last + 1, false, last + 1},
	} {
		c, after := b.open(tc.who, fmt.Sprintf("?after=%d", tc.after))
		if after != tc.from {
			t.Errorf("%s: it begins at %d, want %d", name, after, tc.from)
		}
		if tc.behind {
			if m := c.next(); m.Type != "behind" || m.After != head {
				t.Errorf("%s: %+v", name, m)
			}
		} else if tc.from < head && tc.who == "bob" {
			if m := c.next(); m.Type != "event" || m.Event.ID != tc.from+1 {
				t.Errorf("%s: %+v", name, m)
			}
		}
		_ = c.conn.Close()
	}
	_, err = purge(b, 3)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := b.open("anna", "?after=1")
	if m := c.next(); m.Type != "behind" {
		t.Errorf("the log begins later: %+v", m)
	}
}

// purge drops the oldest facts up to a number.
func purge(b *bench, upTo int64) (n int64, err error) {
	err = b.db.Write(b.t.Context(), func(tx *store.Tx) error {
		res, err := tx.ExecContext(b.t.Context(), `DELETE FROM events WHERE id <= ?`, upTo)
		if err == nil {
			n, err = res.RowsAffected()
		}
		return err
	})
	return n, err
}

func TestRightsChange(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c, _ := b.open("carl", "")
	c.say(map[string]any{"type": "watch", "instances": []string{"i1", "i3"}})
	if m := c.until("the answer", func(m told) bool { return m.Type == "watching" }); len(m.Instances) != 0 {
		t.Fatalf("a stranger watches %v", m.Instances)
	}
	b.happens(event.Event{Type: "instance.started", Owner: "anna", Instance: "i1"})
	with := caller("carl", false)
	with.Shares = map[ident.Instance][]access.Right{"i1": {access.ReadActivity}}
	b.people.put(with)
	b.happens(event.Event{Type: "subuser.added", Owner: "anna", Instance: "i1", Subject: "carl"})
	c.until("what concerns him", func(m told) bool { return m.Event.Type == "subuser.added" })
	b.happens(event.Event{Type: "file.written", Owner: "anna", Instance: "i1"})
	c.until("what others did", func(m told) bool { return m.Event.Type == "file.written" })
	c.say(map[string]any{"type": "watch", "instances": []string{"i1", "i3"}, "nodes": []string{"n1"}})
	if m := c.until("the answer", func(m told) bool { return m.Type == "watching" }); !slices.Equal(m.Instances, []string{"i1"}) || len(m.Nodes) != 0 {
		t.Fatalf("a subuser watches %+v", m)
	}
	c.until("figures", func(m told) bool { return m.Type == "stats" && m.InstanceID == "i1" && m.CPU == 0.5 })

	b.people.put(caller("carl", false))
	b.happens(event.Event{Type: "file.written", Owner: "anna", Instance: "i1"}, event.Event{Type: "subuser.removed", Owner: "anna", Instance: "i1", Subject: "carl"})
	if m := c.until("the end of it", func(m told) bool { return m.Type == "watching" || m.Event.Type == "file.written" }); m.Type != "watching" || len(m.Instances) != 0 {
		t.Fatalf("after the right was taken: %+v", m)
	}
	b.happens(event.Event{Type: "user.updated", Subject: "carl"})
	for m := c.next(); m.Event.Type != "user.updated"; m = c.next() {
		if m.Type == "stats" || m.Event.Type == "file.written" {
			t.Errorf("after the right was taken: %+v", m)
		}
	}
	roomtest.Until(t, "nobody asks the node any more", func() bool { return live.Sources(b.live) == 0 })
}

func TestEnds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c, _ := b.open("anna", "")
	b.people.revoke("anna")
	b.happens(event.Event{Type: "key.revoked", Owner: "anna"})
	c.ends(problem.Unauthorized, 4001)
	rounds, _ := b.open("carl", "")
	b.people.revoke("carl") // nobody says so
	rounds.ends(problem.Unauthorized, 4001)

	d, _ := b.open("bob", "")
	b.stop()
	d.ends(problem.Internal, websocket.CloseGoingAway)
	if n := live.Pages(b.live); n != 0 {
		t.Errorf("%d pages are left", n)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, tc := range []struct {
		key, query string
		header     http.Header
		status     int
	}{
		{"", "", nil, http.StatusUnauthorized}, {"wrong", "", nil, http.StatusUnauthorized}, {"anna", "?after=x", nil, http.StatusUnprocessableEntity},
		{"anna", "?after=-1", nil, http.StatusUnprocessableEntity}, {"anna", "", http.Header{"Origin": {"https://evil.example"}}, http.StatusForbidden},
	} {
		header := http.Header{"X-Api-Key": {tc.key}}
		for k, v := range tc.header {
			header[k] = v
		}
		conn, answer, err := websocket.DefaultDialer.DialContext(t.Context(), b.url+tc.query, header)
		if err == nil {
			_ = conn.Close()
			t.Fatalf("%+v is let in", tc)
		}
		if answer == nil || answer.StatusCode != tc.status {
			t.Errorf("%+v: %+v", tc, answer)
		}
	}
	c, _ := b.open("anna", "")
	for _, text := range []string{`{`, `[]`, `"watch"`, `{"type":"boom"}`, `{"type":"watch","instances":7}`, strings.ReplaceAll(`{"type":"watch","instances":[X"i1"]}`, "X", strings.Repeat(`"i1",`, 100))} {
		if err := c.conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if m := c.next(); m.Type != "refused" || m.Message == "" {
			t.Errorf("%.40s: %+v", text, m)
		}
	}
	c.say(map[string]any{"type": "watch", "instances": []string{"../../etc", "", "i3", "i1", "i1"}, "nodes": []string{"n1"}})
	if m := c.until("the answer", func(m told) bool { return m.Type == "watching" }); !slices.Equal(m.Instances, []string{"i1"}) || len(m.Nodes) != 0 {
		t.Errorf("%+v", m)
	}
	c.say(map[string]any{"type": "ping"})
	c.until("a pong", func(m told) bool { return m.Type == "pong" })
	big, _ := b.open("anna", "")
	_ = big.conn.WriteMessage(websocket.TextMessage, make([]byte, 100_000))
	big.lost()
	flood, _ := b.open("anna", "")
	go func() {
		for flood.conn.WriteMessage(websocket.TextMessage, []byte(`{"type":"ping"}`)) == nil {
			continue
		}
	}()
	flood.lost()
}

// lost reads on until the connection is over, with or without a reason.
func (c *client) lost() {
	c.t.Helper()
	for {
		if _, _, err := c.conn.ReadMessage(); err != nil {
			var late interface{ Timeout() bool }
			if errors.As(err, &late) && late.Timeout() {
				c.t.Error("it stays open")
			}
			return
		}
	}
}

func TestBeats(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c, after := b.open("anna", "")
	pinged := make(chan struct{}, 1)
	c.conn.SetPingHandler(func(string) error {
		select {
		case pinged <- struct{}{}:
		default:
		}
		return c.conn.WriteControl(websocket.PongMessage, nil, time.Now().Add(patience))
	})
	for beats := 0; beats < 3; {
		var m told
		if err := c.conn.ReadJSON(&m); err != nil {
			t.Fatal(err)
		}
		if m.Type != "beat" || m.After != after {
			t.Fatalf("%+v", m)
		}
		beats++
	}
	select {
	case <-pinged:
	default:
		t.Error("no ping")
	}
}
