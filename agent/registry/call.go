package registry

import (
	"net/http"

	"github.com/berth-panel/berth/agent/server"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// mostBody bounds a push: all of a node's logins.
const mostBody = 4 << 20

// Room serves the controller's calls; see wire.Registries.
func (s *Service) Room() server.Live { return room{s} }

type room struct{ s *Service }

func (r room) ServeInstance(w http.ResponseWriter, _ *http.Request, _ ident.Instance, _ string) {
	server.NoCall(w)
}

func (r room) ServeNode(w http.ResponseWriter, q *http.Request, rest string) {
	switch {
	case rest == "" && q.Method == http.MethodPut:
		r.put(w, q)
	case rest == "check" && q.Method == http.MethodPost:
		r.check(w, q)
	case rest == "" || rest == "check":
		server.WrongMethod(w, q)
	default:
		server.NoCall(w)
	}
}

func (r room) put(w http.ResponseWriter, q *http.Request) {
	var all wire.Registries
	if err := server.DecodeMost(w, q, &all, mostBody); err != nil {
		server.Refuse(w, err)
		return
	}
	held, err := r.s.put(all)
	if err != nil {
		server.Refuse(w, err)
		return
	}
	server.Answer(w, http.StatusOK, held)
}

func (r room) check(w http.ResponseWriter, q *http.Request) {
	var login wire.Registry
	if err := server.Decode(w, q, &login); err != nil {
		server.Refuse(w, err)
		return
	}
	checked, err := r.s.try(q.Context(), login)
	if err != nil {
		server.Refuse(w, err)
		return
	}
	server.Answer(w, http.StatusOK, checked)
}
