package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/shared/build"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// maxBody bounds the body of a call.
const maxBody = 1 << 20

// Instances are what the calls work on (agent/instance).
type Instances interface {
	Apply(spec wire.Spec) (wire.Accepted, error)
	Remove(id ident.Instance, removal wire.Removal) (wire.Accepted, error)
	Inventory() wire.Inventory
	Spec(id ident.Instance) (wire.Spec, error)
	Engine() wire.Engine
	Ack(seq int64) error
}

// Events are what the stream sends (agent/journal).
type Events interface {
	Epoch() string
	LastSeq() int64
	Events(after int64, limit int) ([]wire.Event, error)
	Untold() ([]ident.Instance, error)
	Changed() <-chan struct{}
}

// Releases are the agent's own program (agent/update).
type Releases interface {
	State() wire.ReleaseState
	Receive(ctx context.Context, release, sum string, size int64, program io.Reader) (wire.ReleaseState, error)
	Restart()
	Listening()
}

// Options are what a Door works with. Ping and Patience may be left out.
type Options struct {
	Node      ident.Node
	Instances Instances
	Events    Events
	Releases  Releases // nil: the calls about them are refused
	// Certificates are the node's own; nil: the calls about them are refused.
	Certificates Certificates
	Moves        Moves // nil: the calls about them are refused
	// Rooms are served by their name in the path; see Live.
	Rooms    map[string]Live
	Log      *slog.Logger
	Now      func() time.Time
	Ping     time.Duration // between pings on the stream; 5 s
	Patience time.Duration // how long a silent stream is held for alive; three pings
}

// Door is the http.Handler. Close ends the stream that is under way.
type Door struct {
	Options
	upgrader websocket.Upgrader

	mu      sync.Mutex
	current *stream
	closed  bool
	streams sync.WaitGroup
}

// New makes a Door.
func New(o Options) *Door {
	if o.Ping <= 0 {
		o.Ping = 5 * time.Second
	}
	if o.Patience <= 0 {
		o.Patience = 3 * o.Ping
	}
	return &Door{Options: o, upgrader: websocket.Upgrader{
		HandshakeTimeout: 10 * time.Second,
		ReadBufferSize:   1 << 10,
		WriteBufferSize:  16 << 10,
		// The controller is no browser; a browser tricked into calling us is none either.
		CheckOrigin: func(r *http.Request) bool { return r.Header.Get("Origin") == "" },
		Error: func(w http.ResponseWriter, _ *http.Request, _ int, reason error) {
			refuse(w, problem.New(problem.BadRequest, "not a WebSocket handshake").Because(reason))
		},
	}}
}

// Close ends the stream under way and refuses new ones.
func (d *Door) Close() {
	d.mu.Lock()
	d.closed = true
	current := d.current
	d.mu.Unlock()
	if current != nil {
		current.end("the agent is being stopped")
	}
	d.streams.Wait()
}

// ServeHTTP finds the call.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer d.rescue(w, r)
	if d.live(w, r) {
		return
	}
	path, method := r.URL.Path, ""
	var serve func(http.ResponseWriter, *http.Request)
	id, single := strings.CutPrefix(path, wire.PathInstances+"/")
	switch {
	case path == wire.PathHello:
		method, serve = http.MethodGet, d.hello
	case path == wire.PathInstances:
		method, serve = http.MethodGet, d.inventory
	case path == wire.PathEvents:
		method, serve = http.MethodGet, d.events
	case path == wire.PathCertificate && r.Method == http.MethodPut:
		method, serve = http.MethodPut, d.installCertificate
	case path == wire.PathCertificate:
		method, serve = http.MethodPost, d.requestCertificate
	case path == wire.PathRelease && r.Method == http.MethodPut:
		method, serve = http.MethodPut, d.receiveRelease
	case path == wire.PathRelease:
		method, serve = http.MethodGet, d.release
	case single && !ident.Instance(id).Valid():
		refuse(w, problem.Invalid("instance", "must be 8 lower-case hex characters"))
		return
	case single && r.Method == http.MethodDelete:
		method, serve = http.MethodDelete, func(w http.ResponseWriter, r *http.Request) { d.remove(w, r, ident.Instance(id)) }
	case single && r.Method == http.MethodGet:
		method, serve = http.MethodGet, func(w http.ResponseWriter, _ *http.Request) { d.spec(w, ident.Instance(id)) }
	case single:
		method, serve = http.MethodPut, func(w http.ResponseWriter, r *http.Request) { d.apply(w, r, ident.Instance(id)) }
	default:
		d.move(w, r)
		return
	}
	if r.Method != method {
		refuse(w, problem.New(problem.MethodNotAllowed, "%s is not a method of this call", r.Method))
		return
	}
	serve(w, r)
}

// rescue keeps one broken call from ending the agent.
func (d *Door) rescue(w http.ResponseWriter, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	d.Log.Error("a call panicked", "method", r.Method, "path", r.URL.Path, "panic", fmt.Sprint(p))
	refuse(w, problem.New(problem.Internal, "something went wrong inside the agent; its log says what"))
}

func (d *Door) hello(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, wire.Hello{
		Node: d.Node, Wire: wire.Version, Release: build.Version,
		Epoch: d.Events.Epoch(), LastSeq: d.Events.LastSeq(), Engine: d.Instances.Engine(),
	})
}

func (d *Door) inventory(w http.ResponseWriter, _ *http.Request) {
	inventory := d.Instances.Inventory()
	telling, err := d.Events.Untold() // after the states: what comes between is told by its event
	if err != nil {
		d.Log.Error("the journal can't be read", "error", err)
		refuse(w, problem.New(problem.Internal, "the node's journal can't be read; the agent's log says why"))
		return
	}
	for i, h := range inventory.Instances {
		inventory.Instances[i].Telling = slices.Contains(telling, h.Instance)
	}
	if d.Moves != nil {
		inventory.Incoming = d.Moves.Staged()
	}
	answer(w, http.StatusOK, inventory)
}

func (d *Door) spec(w http.ResponseWriter, id ident.Instance) {
	spec, err := d.Instances.Spec(id)
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, http.StatusOK, spec)
}

func (d *Door) apply(w http.ResponseWriter, r *http.Request, id ident.Instance) {
	var spec wire.Spec
	if err := decode(w, r, &spec); err != nil {
		refuse(w, err)
		return
	}
	if spec.Instance != id {
		refuse(w, problem.Invalid("instance", "is not the one in the path"))
		return
	}
	accepted, err := d.Instances.Apply(spec)
	d.settle(w, r, accepted, err)
}

func (d *Door) remove(w http.ResponseWriter, r *http.Request, id ident.Instance) {
	var removal wire.Removal
	if err := decode(w, r, &removal); err != nil {
		refuse(w, err)
		return
	}
	accepted, err := d.Instances.Remove(id, removal)
	d.settle(w, r, accepted, err)
}

func (d *Door) settle(w http.ResponseWriter, r *http.Request, accepted wire.Accepted, err error) {
	if err == nil {
		answer(w, http.StatusAccepted, accepted)
		return
	}
	p := problem.From(err)
	if p.Code.Status() >= http.StatusInternalServerError {
		d.Log.Error("a call failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	refuse(w, p)
}

// decode reads one JSON object and nothing else: no unknown fields, nothing
// after it, at most maxBody bytes.
func decode(w http.ResponseWriter, r *http.Request, into any) error {
	return decodeMost(w, r, into, maxBody)
}

// decodeMost is decode for a body of another size.
func decodeMost(w http.ResponseWriter, r *http.Request, into any, most int64) error {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, most))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil {
		if _, err = decoder.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			return problem.New(problem.BadRequest, "something follows the JSON object")
		}
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return problem.New(problem.TooLarge, "the body is larger than %d bytes", most)
	}
	return problem.New(problem.BadRequest, "the body is not what this call takes: %s", err)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // fails when the client is gone: nobody to tell
}

func refuse(w http.ResponseWriter, err error) {
	p := problem.From(err)
	answer(w, p.Code.Status(), p)
}
