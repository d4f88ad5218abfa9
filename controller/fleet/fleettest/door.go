package fleettest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// As the wire says: events in a batch at most, and the time between signs of life.
const (
	batchSize  = 100
	signOfLife = 5 * time.Second
)

func (a *Agent) door(server *http.Server) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+wire.PathRelease, a.release)
	mux.HandleFunc("PUT "+wire.PathRelease, a.takeRelease)
	mux.HandleFunc("GET "+wire.PathHello, func(w http.ResponseWriter, _ *http.Request) {
		a.change(func() { a.greeted++ })
		if raw := look(a, func() string { return a.rawHello }); raw != "" {
			_, _ = w.Write([]byte(raw))
			return
		}
		answer(w, http.StatusOK, look(a, func() wire.Hello { return a.hello }))
	})
	mux.HandleFunc("GET "+wire.PathInstances, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, look(a, a.inventory))
	})
	mux.HandleFunc("PUT "+wire.PathInstances+"/{id}", a.put)
	mux.HandleFunc("GET "+wire.PathInstances+"/{id}", a.get)
	mux.HandleFunc("POST "+wire.PathCertificate, a.certificate)
	mux.HandleFunc("PUT "+wire.PathCertificate, a.certificate)
	mux.HandleFunc("DELETE "+wire.PathInstances+"/{id}", a.delete)
	mux.HandleFunc("/v1/", a.room)
	mux.HandleFunc("GET "+wire.PathEvents, func(w http.ResponseWriter, r *http.Request) { a.stream(server, w, r) })
	return mux
}

// room answers a call that Serve has a handler for.
func (a *Agent) room(w http.ResponseWriter, r *http.Request) {
	handler := look(a, func() http.Handler { return a.rooms })
	if handler == nil {
		refuse(w, problem.New(problem.NotFound, "no such call"))
		return
	}
	handler.ServeHTTP(w, r)
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller may be gone
}

func refuse(w http.ResponseWriter, p *problem.Problem) { answer(w, p.Code.Status(), p) }

// inventory needs the lock.
func (a *Agent) inventory() wire.Inventory {
	out := wire.Inventory{Instances: []wire.Holding{}}
	for id, h := range a.holdings {
		out.Instances = append(out.Instances, wire.Holding{Instance: id, Generation: h.spec.Generation, Removing: h.removing, State: h.state})
	}
	return out
}

func (a *Agent) put(w http.ResponseWriter, r *http.Request) {
	var spec wire.Spec
	if err := json.NewDecoder(r.Body).Decode(&spec); err != nil || string(spec.Instance) != r.PathValue("id") {
		refuse(w, problem.New(problem.BadRequest, "not a spec of this instance"))
		return
	}
	script := look(a, func() func(wire.Spec) *Answer { return a.apply })
	how := &Answer{}
	if script != nil {
		if said := script(spec); said != nil {
			how = said
		}
	}
	a.finish(w, r, how, func() int64 { return a.keepSpec(spec) })
}

func (a *Agent) get(w http.ResponseWriter, r *http.Request) {
	held := look(a, func() *holding { return a.holdings[ident.Instance(r.PathValue("id"))] })
	if held == nil || held.spec.Generation == 0 {
		refuse(w, problem.New(problem.NotFound, "this node has no settings of it"))
		return
	}
	answer(w, http.StatusOK, held.spec)
}

func (a *Agent) delete(w http.ResponseWriter, r *http.Request) {
	var removal wire.Removal
	if err := json.NewDecoder(r.Body).Decode(&removal); err != nil {
		refuse(w, problem.New(problem.BadRequest, "not a removal"))
		return
	}
	id := ident.Instance(r.PathValue("id"))
	script := look(a, func() func(ident.Instance, wire.Removal) *Answer { return a.remove })
	how := &Answer{}
	if script != nil {
		if said := script(id, removal); said != nil {
			how = said
		}
	}
	a.finish(w, r, how, func() int64 { return a.keepRemoval(id, removal) })
}

// finish does what the script says; keep journals the call.
func (a *Agent) finish(w http.ResponseWriter, r *http.Request, how *Answer, keep func() int64) {
	if how.Until != nil {
		select {
		case <-how.Until:
		case <-r.Context().Done():
			return
		}
	}
	switch {
	case how.Problem != nil:
		refuse(w, how.Problem)
	case how.Status != 0:
		w.WriteHeader(how.Status)
		_, _ = w.Write([]byte(how.Body))
	case how.Break:
		keep()
		panic(http.ErrAbortHandler) // the documented way to break an answer off
	default:
		answer(w, http.StatusAccepted, wire.Accepted{Generation: keep()})
	}
}

func (a *Agent) keepSpec(spec wire.Spec) (generation int64) {
	a.change(func() {
		a.applied = append(a.applied, spec)
		held := a.holdings[spec.Instance]
		if held != nil && held.spec.Generation > spec.Generation {
			generation = held.spec.Generation
			return
		}
		state := wire.State{Phase: wire.PhaseInstalling, Actual: wire.ActualUnknown}
		if held != nil {
			state = held.state
		}
		a.holdings[spec.Instance], generation = &holding{spec: spec, state: state}, spec.Generation
		if a.obedient {
			a.emit(StateEvent(spec, Done(spec)))
		}
	})
	return generation
}

func (a *Agent) keepRemoval(id ident.Instance, removal wire.Removal) int64 {
	a.change(func() {
		a.removed = append(a.removed, Removed{Instance: id, Removal: removal})
		if held := a.holdings[id]; held != nil {
			held.removing = true
		}
		if a.obedient {
			delete(a.holdings, id)
			a.emit(wire.Event{Type: wire.EventRemoved, Instance: id, Generation: removal.Generation})
		}
	})
	return removal.Generation
}

func (a *Agent) stream(server *http.Server, w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	after, err := strconv.ParseInt(query.Get("after"), 10, 64)
	if err != nil || query.Get("epoch") != a.Epoch() {
		refuse(w, problem.New(problem.Conflict, "this is not the journal's epoch"))
		return
	}
	upgrader := websocket.Upgrader{}
	a.change(func() {
		// With the lock: once the controller knows of the stream, Drop does too.
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		if a.server != server { // stopped meanwhile
			_ = conn.Close()
			return
		}
		a.conns[conn] = struct{}{}
		a.opened = append(a.opened, Stream{Epoch: query.Get("epoch"), After: after})
		gone := make(chan struct{})
		a.work.Go(func() {
			defer close(gone)
			a.readAcks(conn)
		})
		a.work.Go(func() {
			defer a.change(func() { delete(a.conns, conn) })
			defer func() { _ = conn.Close() }()
			a.send(conn, after, gone)
		})
	})
}

func (a *Agent) readAcks(conn *websocket.Conn) {
	for {
		var ack wire.Ack
		if err := conn.ReadJSON(&ack); err != nil {
			return
		}
		a.change(func() {
			a.acked = max(a.acked, ack.Seq)
			for len(a.events) > 0 && a.events[0].Seq <= ack.Seq {
				a.events = a.events[1:]
			}
		})
	}
}

// send sends what is journalled above after, then what comes, and signs of life.
func (a *Agent) send(conn *websocket.Conn, after int64, gone <-chan struct{}) {
	life := time.NewTicker(signOfLife)
	defer life.Stop()
	for {
		batch, changed, muted := a.due(after)
		for len(batch) > 0 {
			n := min(len(batch), batchSize)
			if conn.WriteJSON(wire.EventBatch{Events: batch[:n]}) != nil {
				return
			}
			after, batch = batch[n-1].Seq, batch[n:]
		}
		select {
		case <-gone:
			return
		case <-changed:
		case <-life.C:
			if !muted && conn.WriteControl(websocket.PingMessage, nil, time.Time{}) != nil {
				return
			}
		}
	}
}

func (a *Agent) due(after int64) (batch []wire.Event, changed <-chan struct{}, muted bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.events {
		if e.Seq > after {
			batch = append(batch, e)
		}
	}
	return batch, a.changed, a.muted
}
