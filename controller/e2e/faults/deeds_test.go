package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// crew does the deeds: those of one instance one after the other, those of
// several at once.
type crew struct {
	lab    *lab
	ledger *ledger
	seed   uint64
	giveUp <-chan struct{} // closed when waiting for answers is over
	web    *http.Client    // to the witnesses
	slots  map[int]chan deed
	drains bool // instances may be moved by a drain, so that where they are is no promise
	done   sync.WaitGroup
}

func newCrew(l *lab, led *ledger, seed uint64, giveUp <-chan struct{}) *crew {
	return &crew{
		lab: l, ledger: led, seed: seed, giveUp: giveUp, slots: map[int]chan deed{},
		web: &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}},
	}
}

// run begins each deed when it is due, and returns when the last has begun.
func (c *crew) run(ctx context.Context, deeds []deed, began time.Time) {
	c.drains = slices.ContainsFunc(deeds, func(d deed) bool { return d.Act == drain })
	for _, d := range deeds {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(began.Add(d.At))):
		}
		queue, there := c.slots[d.Slot]
		if !there {
			queue = make(chan deed, len(deeds))
			c.slots[d.Slot] = queue
			c.done.Go(func() {
				for d := range queue {
					c.do(d)
				}
			})
		}
		queue <- d
	}
}

// wait waits until all deeds have their answers.
func (c *crew) wait() {
	for _, q := range c.slots {
		close(q)
	}
	c.done.Wait()
}

func (c *crew) do(d deed) {
	if d.Slot < 0 {
		c.doNode(d)
		return
	}
	e := c.ledger.get(d.Slot)
	if d.Act != deploy && e.Life != living {
		return // it was refused, or is gone
	}
	if d.Act == count {
		c.ledger.put(c.witness(e))
		return
	}
	method, path, body := c.request(d, e)
	if method == "" {
		return
	}
	key := ""
	if method == http.MethodPost {
		key = fmt.Sprintf("%d-%d-%d-%s", c.seed, d.Slot, d.At, d.Act)
	}
	c.lab.story.tell("→ %s", d)
	c.lab.spring()
	a, first, err := c.lab.api.insist(method, path, key, body, c.giveUp)
	if err != nil {
		c.lab.story.tell("← %s: %v", d, err)
		c.ledger.contradict("no answer", "%s of %s (%s): %v", d.Act, e.Name, e.ID, err)
		e.Life = unsure
		c.ledger.put(e)
		return
	}
	c.lab.story.tell("← %s: %d %s %s", d, a.status, a.code, a.message)
	e = c.ledger.settle(e, d, a, first)
	e = c.remember(e, d, a)
	c.ledger.put(e)
	if d.Repeat && key != "" {
		c.again(d, e, a, method, path, key, body)
	}
}

// doNode does a deed of a node.
func (c *crew) doNode(d deed) {
	node := c.lab.nodes[d.Node].id
	path, key, body := "/api/v1/nodes/"+node+"/drain", fmt.Sprintf("%d-%d-%d", c.seed, d.Slot, d.At), any(nil)
	if d.Act == reopen {
		path, body = "/api/v1/nodes/"+node+"/maintenance", map[string]any{"on": false}
	}
	c.lab.story.tell("→ %s", d)
	a, _, err := c.lab.api.insist(http.MethodPost, path, key, body, c.giveUp)
	c.lab.story.tell("← %s: %d %s %s %v", d, a.status, a.code, a.message, err)
	c.ledger.count(fmt.Sprintf("%s %d", d.Act, a.status))
	if err != nil || a.status >= 300 {
		c.ledger.contradict("node", "%s: %d %s %v", d, a.status, a.message, err)
	}
}

// request is how a deed is asked for.
func (c *crew) request(d deed, e entry) (method, path string, body any) {
	base := "/api/v1/instances"
	switch d.Act {
	case deploy:
		b := map[string]any{
			"name": e.Name, "owner_id": c.lab.owner, "reference": reference, "memory": d.Memory, "cpu": d.CPU, "disk": 64,
			"ports":     []map[string]any{{"container": 8080, "host": d.Port}},
			"variables": map[string]string{"MARK": e.Mark},
		}
		if d.Node >= 0 {
			b["node_id"] = c.lab.nodes[d.Node].id
		}
		return http.MethodPost, base, b
	case remove:
		return http.MethodDelete, base + "/" + e.ID, nil
	case change:
		b := map[string]any{}
		if d.Memory != 0 {
			b["memory"] = d.Memory
		}
		if d.CPU != 0 {
			b["cpu"] = d.CPU
		}
		if d.Port != 0 {
			b["ports"] = []map[string]any{{"container": 8080, "host": d.Port}}
		}
		if d.Greeting != "" {
			b["variables"] = map[string]string{"GREETING": d.Greeting}
		}
		return http.MethodPatch, base + "/" + e.ID, b
	case move:
		return http.MethodPost, base + "/" + e.ID + "/move", map[string]any{"node_id": c.lab.nodes[d.Node].id}
	default:
		return http.MethodPost, base + "/" + e.ID + "/" + string(d.Act), nil
	}
}

// made is what an answer says of the instance.
type made struct {
	Instance struct {
		ID     string
		NodeID string `json:"node_id"`
	}
	Job *struct{ ID string }
}

// remember keeps what only the answer tells.
func (c *crew) remember(e entry, d deed, a answer) entry {
	if a.status >= 300 || (d.Act != deploy && d.Act != move) {
		return e
	}
	if d.Act == move {
		e.Node = "" // here or there, as the move ends
		return e
	}
	var m made
	if err := json.Unmarshal(a.data, &m); err != nil || m.Instance.ID == "" {
		c.ledger.contradict("answer", "%s of %s was answered %d without an instance: %s", d.Act, e.Name, a.status, a.data)
		e.Life = unsure
		return e
	}
	e.ID, e.Node = m.Instance.ID, ""
	if d.Node >= 0 && !c.drains {
		e.Node = c.lab.nodes[d.Node].id
	}
	return e
}

// again repeats an answered call under its key: the same must come back.
func (c *crew) again(d deed, e entry, a answer, method, path, key string, body any) {
	b, _, err := c.lab.api.insist(method, path, key, body, c.giveUp)
	if err != nil {
		c.ledger.contradict("no answer", "the repeat of %s of %s: %v", d.Act, e.Name, err)
		return
	}
	busy := a.code == "RESOURCE_BUSY" || a.status >= 500 // passing refusals are not kept
	if busy {
		// Then the repeat is a new try, and what it was told counts.
		c.ledger.put(c.remember(c.ledger.settle(e, d, b, false), d, b))
		return
	}
	var one, two made
	_ = json.Unmarshal(a.data, &one)
	_ = json.Unmarshal(b.data, &two)
	if a.status != b.status || one.Instance.ID != two.Instance.ID {
		c.ledger.contradict("repeat", "%s of %s was answered %d %s, and under the same key %d %s", d.Act, e.Name, a.status, a.data, b.status, b.data)
	}
}

// said is what a witness answers.
type said struct {
	Mark  string
	Count int
}

// witness has the instance write into its volume.
func (c *crew) witness(e entry) entry {
	var v struct {
		NodeID string `json:"node_id"`
		Status string
		Ports  []struct{ Host uint16 }
	}
	if err := c.lab.api.get("/api/v1/instances/"+e.ID, &v); err != nil || v.Status != "running" || len(v.Ports) == 0 {
		return e
	}
	for _, n := range c.lab.nodes {
		if n.id != v.NodeID {
			continue
		}
		s, err := c.ask("http://" + net.JoinHostPort(n.address, strconv.Itoa(int(v.Ports[0].Host))) + "/count")
		if err != nil {
			e.Uncertain++
			c.ledger.count("count unanswered")
			return e
		}
		if s.Mark != e.Mark {
			// Its port may be another's by now: what is asked here is no proof.
			c.ledger.count("count of another")
			return e
		}
		c.ledger.count("count")
		if s.Count <= e.Counted || s.Count > e.Counted+e.Uncertain+1 {
			c.ledger.contradict("files", "%s (%s) had counted to %d (and %d uncertain), and now says %d", e.Name, e.ID, e.Counted, e.Uncertain, s.Count)
		}
		e.Counted, e.Uncertain = s.Count, 0
	}
	return e
}

func (c *crew) ask(url string) (s said, err error) {
	res, err := c.web.Post(url, "text/plain", nil)
	if err != nil {
		return s, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(res.Body)
		return s, fmt.Errorf("%d: %s", res.StatusCode, text)
	}
	return s, json.NewDecoder(res.Body).Decode(&s)
}
