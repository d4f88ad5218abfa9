package server

import (
	"net/http"
	"strings"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Live is a room that serves calls of its own: those beneath
// /v1/instances/{id}/NAME and /v1/NAME, for the NAME that it is mounted with.
type Live interface {
	// ServeInstance answers a call about an instance; rest is what follows the name,
	// without a slash at its beginning. That the instance exists is for the room to
	// find out.
	ServeInstance(w http.ResponseWriter, r *http.Request, id ident.Instance, rest string)
	// ServeNode answers a call about the node.
	ServeNode(w http.ResponseWriter, r *http.Request, rest string)
}

// live finds the room of a call; false when it is no room's.
func (d *Door) live(w http.ResponseWriter, r *http.Request) bool {
	if after, ok := strings.CutPrefix(r.URL.Path, wire.PathInstances+"/"); ok {
		text, after, deeper := strings.Cut(after, "/")
		id := ident.Instance(text)
		if !deeper || !id.Valid() {
			return false
		}
		name, rest, _ := strings.Cut(after, "/")
		room := d.Rooms[name]
		if room == nil {
			return false
		}
		room.ServeInstance(w, r, id, rest)
		return true
	}
	after, ok := strings.CutPrefix(r.URL.Path, "/v1/")
	if !ok {
		return false
	}
	name, rest, _ := strings.Cut(after, "/")
	room := d.Rooms[name]
	if room == nil {
		return false
	}
	room.ServeNode(w, r, rest)
	return true
}

// Decode reads one JSON object as the body and nothing else: no unknown fields,
// nothing after it, at most 1 MiB.
func Decode(w http.ResponseWriter, r *http.Request, into any) error { return decode(w, r, into) }

// DecodeMost is Decode for a body of another size.
func DecodeMost(w http.ResponseWriter, r *http.Request, into any, most int64) error {
	return decodeMost(w, r, into, most)
}

// Answer writes body as JSON.
func Answer(w http.ResponseWriter, status int, body any) { answer(w, status, body) }

// Refuse answers with what err is for the controller: its *problem.Problem, or
// INTERNAL_ERROR.
func Refuse(w http.ResponseWriter, err error) { refuse(w, err) }

// NoCall refuses a call that no room has.
func NoCall(w http.ResponseWriter) { refuse(w, problem.New(problem.NotFound, "no such call")) }

// WrongMethod refuses a method that the call doesn't have.
func WrongMethod(w http.ResponseWriter, r *http.Request) {
	refuse(w, problem.New(problem.MethodNotAllowed, "%s is not a method of this call", r.Method))
}

// Upgrade makes a WebSocket of a call, whose end it is either way: an error has
// been answered.
func (d *Door) Upgrade(w http.ResponseWriter, r *http.Request) (*websocket.Conn, error) {
	return d.upgrader.Upgrade(w, r, nil)
}
