package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Moves are both sides of a volume's way between nodes (agent/move).
type Moves interface {
	MoveSource
	MoveTarget
	Digest(id ident.Instance, incoming bool) (wire.Digest, error)
}

// MoveSource sends the volumes that are at home here.
type MoveSource interface {
	Entries(ctx context.Context, id ident.Instance, query wire.EntryQuery) (wire.EntryPage, error)
	Send(ctx context.Context, id ident.Instance, needs wire.Needs, w io.Writer) error
}

// MoveTarget takes volumes in.
type MoveTarget interface {
	Staged() []ident.Instance
	Announce(in wire.Incoming) (wire.IncomingState, error)
	Incoming(id ident.Instance) (wire.IncomingState, error)
	Drop(id ident.Instance) error
	Compare(ctx context.Context, id ident.Instance, page wire.EntryPage) (wire.Needs, error)
	Receive(ctx context.Context, id ident.Instance, left int64, r io.Reader, cut func()) (wire.Received, error)
}

const (
	// pageTime is for the calls that look at a part of a volume.
	pageTime = 2 * time.Minute
	// idleTime is how long a stream of content may stand still: the disk of the
	// other end is part of it.
	idleTime = time.Minute
	// drainTime is how long the rest of a content is read, so that a refusal is
	// heard and not taken for a broken connection.
	drainTime = 5 * time.Second
)

// move finds the calls of moves.
func (d *Door) move(w http.ResponseWriter, r *http.Request) {
	rest, incoming := strings.CutPrefix(r.URL.Path, wire.PathIncoming+"/")
	if !incoming {
		var volumes bool
		if rest, volumes = strings.CutPrefix(r.URL.Path, wire.PathVolumes+"/"); !volumes {
			refuse(w, problem.New(problem.NotFound, "no such call"))
			return
		}
	}
	text, verb, _ := strings.Cut(rest, "/")
	id := ident.Instance(text)
	if !id.Valid() {
		refuse(w, problem.Invalid("instance", "must be 8 lower-case hex characters"))
		return
	}
	if d.Moves == nil {
		refuse(w, problem.New(problem.Conflict, "this agent can't move volumes"))
		return
	}
	control := http.NewResponseController(w)
	until := d.Now().Add(pageTime)
	_, _ = control.SetReadDeadline(until), control.SetWriteDeadline(until) // where it can't be set there is none
	calls := d.volumeCalls(id)
	if incoming {
		calls = d.incomingCalls(id)
	}
	methods, known := calls[verb]
	serve := methods[r.Method]
	switch {
	case !known:
		refuse(w, problem.New(problem.NotFound, "no such call"))
	case serve == nil:
		refuse(w, problem.New(problem.MethodNotAllowed, "%s is not a method of this call", r.Method))
	default:
		serve(w, r)
	}
}

// verbs are calls by what follows the id, and by their method.
type verbs map[string]map[string]http.HandlerFunc

func (d *Door) incomingCalls(id ident.Instance) verbs {
	return verbs{
		"": {
			http.MethodPut:    func(w http.ResponseWriter, r *http.Request) { d.announce(w, r, id) },
			http.MethodGet:    func(w http.ResponseWriter, r *http.Request) { d.reply(w, r)(d.Moves.Incoming(id)) },
			http.MethodDelete: func(w http.ResponseWriter, r *http.Request) { d.drop(w, r, id) },
		},
		"compare": {http.MethodPost: func(w http.ResponseWriter, r *http.Request) { d.compare(w, r, id) }},
		"content": {http.MethodPut: func(w http.ResponseWriter, r *http.Request) { d.receiveContent(w, r, id) }},
		"digest":  {http.MethodGet: func(w http.ResponseWriter, r *http.Request) { d.reply(w, r)(d.Moves.Digest(id, true)) }},
	}
}

func (d *Door) volumeCalls(id ident.Instance) verbs {
	return verbs{
		"entries": {http.MethodPost: func(w http.ResponseWriter, r *http.Request) { d.entries(w, r, id) }},
		"content": {http.MethodPost: func(w http.ResponseWriter, r *http.Request) { d.sendContent(w, r, id) }},
		"digest":  {http.MethodGet: func(w http.ResponseWriter, r *http.Request) { d.reply(w, r)(d.Moves.Digest(id, false)) }},
	}
}

// reply answers with what a call gave, or with its failure.
func (d *Door) reply(w http.ResponseWriter, r *http.Request) func(body any, err error) {
	return func(body any, err error) {
		if err != nil {
			d.failed(w, r, err)
			return
		}
		answer(w, http.StatusOK, body)
	}
}

// failed refuses, and logs what is the node's fault.
func (d *Door) failed(w http.ResponseWriter, r *http.Request, err error) {
	p := problem.From(err)
	if p.Code.Status() >= http.StatusInternalServerError {
		d.Log.Error("a call failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	refuse(w, p)
}

func (d *Door) announce(w http.ResponseWriter, r *http.Request, id ident.Instance) {
	var in wire.Incoming
	if err := decode(w, r, &in); err != nil {
		refuse(w, err)
		return
	}
	if in.Instance != id {
		refuse(w, problem.Invalid("instance", "is not the one in the path"))
		return
	}
	state, err := d.Moves.Announce(in)
	if err != nil {
		d.failed(w, r, err)
		return
	}
	answer(w, http.StatusAccepted, state)
}

func (d *Door) drop(w http.ResponseWriter, r *http.Request, id ident.Instance) {
	if err := d.Moves.Drop(id); err != nil {
		d.failed(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (d *Door) entries(w http.ResponseWriter, r *http.Request, id ident.Instance) {
	var query wire.EntryQuery
	if err := decode(w, r, &query); err != nil {
		refuse(w, err)
		return
	}
	d.reply(w, r)(d.Moves.Entries(r.Context(), id, query))
}

func (d *Door) compare(w http.ResponseWriter, r *http.Request, id ident.Instance) {
	var page wire.EntryPage
	if err := decodeMost(w, r, &page, wire.MaxPage); err != nil {
		refuse(w, err)
		return
	}
	d.reply(w, r)(d.Moves.Compare(r.Context(), id, page))
}

func (d *Door) sendContent(w http.ResponseWriter, r *http.Request, id ident.Instance) {
	var needs wire.Needs
	if err := decodeMost(w, r, &needs, wire.MaxPage); err != nil {
		refuse(w, err)
		return
	}
	out := &patientWriter{to: w, control: http.NewResponseController(w), now: d.Now}
	err := d.Moves.Send(r.Context(), id, needs, out)
	if err == nil || r.Context().Err() != nil {
		return
	}
	if !out.began {
		d.failed(w, r, err)
		return
	}
	d.Log.Warn("a volume could not be sent on", "instance", string(id), "error", err)
}

// patientWriter gives each write its own time.
type patientWriter struct {
	to      http.ResponseWriter
	control *http.ResponseController
	now     func() time.Time
	began   bool
}

func (p *patientWriter) Write(data []byte) (int, error) {
	if !p.began {
		p.began = true
		p.to.Header().Set("Content-Type", "application/octet-stream")
	}
	if err := p.control.SetWriteDeadline(p.now().Add(idleTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return p.to.Write(data)
}

func (d *Door) receiveContent(w http.ResponseWriter, r *http.Request, id ident.Instance) {
	left, err := strconv.ParseInt(r.URL.Query().Get("bytes"), 10, 64)
	if err != nil || left < 0 {
		refuse(w, problem.Invalid("bytes", "must say how much is to come"))
		return
	}
	control := http.NewResponseController(w)
	_ = control.EnableFullDuplex() // a refusal is heard while the content still comes
	body := &patientReader{from: r.Body, control: control, now: d.Now}
	received, err := d.Moves.Receive(r.Context(), id, left, body, body.cut)
	if err == nil { // for a refusal see below: it is told first
		// The frames end before the request does. In full duplex nobody else reads on, and
		// a request whose end comes after its answer leaves the connection unusable.
		body.drain()
	}
	_ = control.SetWriteDeadline(d.Now().Add(writeTimeout))
	if err == nil {
		answer(w, http.StatusOK, received)
		return
	}
	p := problem.From(err)
	d.Log.Warn("a volume could not be received as a whole", "instance", string(id), "bytes", received.Bytes, "error", err)
	text, _ := json.Marshal(p) // text and numbers: can't fail
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text))) // or the caller would wait for more
	w.Header().Set("Connection", "close")
	w.WriteHeader(p.Code.Status())
	_, _ = w.Write(text)
	_ = control.Flush()
	body.drain()
}

// patientReader gives each read its own time, until it is cut.
type patientReader struct {
	from    io.Reader
	control *http.ResponseController
	now     func() time.Time

	mu   sync.Mutex
	over bool
}

func (p *patientReader) Read(data []byte) (int, error) {
	if !p.extend(idleTime) {
		return 0, os.ErrDeadlineExceeded
	}
	return p.from.Read(data)
}

func (p *patientReader) extend(by time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return false
	}
	_ = p.control.SetReadDeadline(p.now().Add(by)) // where it can't be set there is none
	return true
}

// cut ends the read under way, and all later ones.
func (p *patientReader) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	_ = p.control.SetReadDeadline(p.now().Add(-time.Second))
}

// drain reads what still comes, for a while.
func (p *patientReader) drain() {
	if p.extend(drainTime) {
		_, _ = io.Copy(io.Discard, p.from)
	}
}
