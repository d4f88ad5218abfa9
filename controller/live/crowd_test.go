package live_test

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/live"
	"github.com/berth-panel/berth/controller/roomtest"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

func TestFigures(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c, _ := b.open("root", "")
	c.say(map[string]any{"type": "watch", "instances": []string{"i1", "i2", "i3"}, "nodes": []string{"n1", "x"}})
	if m := c.next(); m.Type != "watching" || len(m.Instances) != 3 || len(m.Nodes) != 1 {
		t.Fatalf("%+v", m)
	}
	seen := map[string]told{}
	for len(seen) < 4 {
		m := c.until("figures", func(m told) bool { return m.Type == "stats" })
		seen[m.InstanceID+m.NodeID] = m
	}
	if seen["i1"].CPU != 0.5 || string(seen["i1"].Running) != "true" || string(seen["i2"].Running) != "false" || seen["i3"].CPU != 3 || seen["n1"].CPU != 2 {
		t.Errorf("%+v", seen)
	}
	b.farm.set(func() { b.farm.running["i2"] = 1.25 })
	c.until("i2 runs", func(m told) bool { return m.InstanceID == "i2" && m.CPU == 1.25 })
	b.farm.set(func() { b.farm.away["n2"] = problem.New(problem.NodeOffline, "node n2 is away") })
	if m := c.until("n2 is away", func(m told) bool { return m.Type == "offline" }); m.InstanceID != "i3" || m.Code != problem.NodeOffline {
		t.Errorf("%+v", m)
	}
	b.farm.set(func() { delete(b.farm.away, "n2"); b.farm.running["i3"] = 9 })
	c.until("n2 is back", func(m told) bool {
		if m.Type == "offline" {
			t.Errorf("said twice: %+v", m)
		}
		return m.InstanceID == "i3" && m.CPU == 9
	})
	b.farm.set(func() { b.farm.node["i3"] = "n1" }) // it moves, which is an event
	b.happens(event.Event{Type: "instance.moved", Instance: "i3"})
	roomtest.Until(t, "only one node is asked", func() bool { return live.Sources(b.live) == 1 })
	c.until("i3 elsewhere", func(m told) bool { return m.InstanceID == "i3" })
	c.say(map[string]any{"type": "watch"})
	roomtest.Until(t, "nobody is asked", func() bool { return live.Sources(b.live) == 0 })
}

// Two hundred pages, one of which takes nothing: the others are told all of it,
// and each node is asked once for all of them.
func TestOneStuckPageAmongMany(t *testing.T) {
	t.Parallel()
	const pages, facts = 200, 100
	b := setup(t, live.Calm, func(s *live.Service) { live.Impatient(s, 5*patience) })
	var all []*client
	begun := time.Now()
	for n := range pages {
		who := ident.User("user" + string(rune('a'+n/25))) // each may have some
		b.people.put(caller(who, true))
		c, _ := b.open(string(who), "")
		_ = c.conn.SetReadDeadline(time.Now().Add(5 * patience))
		c.say(map[string]any{"type": "watch", "instances": []string{"i1", "i3"}})
		all = append(all, c)
	}
	stuck := all[0]
	if tcp, ok := stuck.conn.NetConn().(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(64 << 10)
	}
	var reading sync.WaitGroup
	for _, c := range all[1:] {
		reading.Go(func() {
			last, figures := int64(0), 0
			for n := 0; n < facts || figures == 0; {
				var m told
				if err := c.conn.ReadJSON(&m); err != nil {
					t.Errorf("a page is lost: %v", err)
					return
				}
				switch {
				case m.Type == "event" && m.Event.ID == last+1:
					last, n = m.Event.ID, n+1
				case m.Type == "event":
					t.Errorf("after %d came %d", last, m.Event.ID)
					return
				case m.Type == "stats":
					figures++
				case m.Type == "behind":
					t.Error("a page that reads is said to be behind")
					return
				}
			}
		})
	}
	for range facts {
		b.happens(event.Event{Type: "instance.x", Instance: "i1", Owner: "anna"})
	}
	reading.Wait()
	b.farm.mu.Lock()
	asked := b.farm.asked["n1"]
	b.farm.mu.Unlock()
	if most := int(time.Since(begun)/time.Second) + 2; asked > most {
		t.Errorf("the node was asked %d times, at most %d were due", asked, most)
	}
}

// A page that took nothing for long is told so, and goes on from there.
func TestSlowPageIsToldThatItIsBehind(t *testing.T) {
	t.Parallel()
	b := setup(t, func(s *live.Service) { live.Impatient(s, patience) })
	c, _ := b.open("root", "")
	if tcp, ok := c.conn.NetConn().(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(64 << 10)
	}
	text := make([]byte, 4000) // what each fact carries: more than the kernel takes for a page
	for i := range text {
		text[i] = 'x'
	}
	write := func() {
		err := b.db.Write(t.Context(), func(tx *store.Tx) error {
			for range 1000 {
				if err := b.events.Append(t.Context(), tx, event.Event{Type: "x.y", Actor: access.System()}, map[string]string{"text": string(text)}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 8 {
		write()
	}
	last := int64(0)
	for {
		m := c.next()
		if m.Type == "event" && m.Event.ID == last+1 {
			last++
			if last == 8000 {
				t.Fatal("this machine's buffers took it all")
			}
			continue
		}
		if m.Type != "behind" || m.After <= last {
			t.Fatalf("after %d came %+v", last, m)
		}
		break
	}
	next := b.happens(event.Event{Type: "x.last"})
	if m := c.until("what happens next", func(m told) bool { return m.Event.Type == "x.last" }); m.Event.ID != next {
		t.Errorf("%+v", m)
	}
}

// Whoever takes nothing at all is cut.
func TestStuckPageIsCut(t *testing.T) {
	t.Parallel()
	b := setup(t, func(s *live.Service) { live.Impatient(s, 200*time.Millisecond) })
	c, _ := b.open("root", "")
	if tcp, ok := c.conn.NetConn().(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(64 << 10)
	}
	text := make([]byte, 60_000)
	for live.Pages(b.live) > 0 {
		err := b.db.Write(t.Context(), func(tx *store.Tx) error {
			for range 50 {
				if err := b.events.Append(t.Context(), tx, event.Event{Type: "x.y", Actor: access.System()}, map[string][]byte{"text": text}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
