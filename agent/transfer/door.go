package transfer

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/berth-panel/berth/agent/server"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	callTime = 2 * time.Minute // of a call without a stream
	// mostBody is for wire.FilesAtOnce paths of any length, every byte escaped.
	mostBody = wire.FilesAtOnce*(3*wire.MaxPath+64) + 4096
)

// call is one call under way.
type call struct {
	context.Context
	cancel context.CancelCauseFunc
	w      http.ResponseWriter
	r      *http.Request
	id     ident.Instance
	arg    string // what follows the verb in the path
	flow   *flow
}

// serve answers a call; a failure is answered for it, unless the answer has begun.
type serve func(c *call) error

// verbs are the calls by what follows /files/, and by their method; with a slash
// at the end, something follows.
func (s *Store) verbs() map[string]map[string]serve {
	return map[string]map[string]serve{
		"list":     {http.MethodPost: s.list},
		"entry":    {http.MethodGet: s.entry},
		"content":  {http.MethodGet: s.read, http.MethodHead: s.read, http.MethodPut: s.write},
		"folder":   {http.MethodPost: s.folder},
		"rename":   {http.MethodPost: s.rename},
		"chmod":    {http.MethodPost: s.chmod},
		"search":   {http.MethodPost: s.search},
		"bundle":   {http.MethodPost: s.bundle},
		"tasks/":   {http.MethodPut: s.putTask, http.MethodGet: s.getTask, http.MethodDelete: s.deleteTask},
		"uploads/": {http.MethodPut: s.putUpload, http.MethodGet: s.getUpload, http.MethodPatch: s.patchUpload, http.MethodPost: s.finishUpload, http.MethodDelete: s.deleteUpload},
	}
}

// ServeNode answers nothing: all files are an instance's.
func (s *Store) ServeNode(w http.ResponseWriter, _ *http.Request, _ string) { server.NoCall(w) }

// ServeInstance answers a call about the files of an instance.
func (s *Store) ServeInstance(w http.ResponseWriter, r *http.Request, id ident.Instance, rest string) {
	verb, arg, deeper := strings.Cut(rest, "/")
	if deeper {
		verb += "/"
	}
	methods, known := s.verbs()[verb]
	if !known || deeper && !isUUID(arg) {
		server.NoCall(w)
		return
	}
	do := methods[r.Method]
	if do == nil {
		server.WrongMethod(w, r)
		return
	}
	c, done := s.begin(w, r, id, arg)
	defer done()
	err := do(c)
	if err == nil {
		return
	}
	if cause := context.Cause(c.Context); cause != nil && errors.Is(err, context.Canceled) { //nolint:contextcheck // the call's own, which ends with the request's
		err = cause
	}
	if p := problem.From(err); p.Code == problem.Internal && r.Context().Err() == nil {
		s.Log.Error("a call about files failed", "instance", string(id), "call", r.Method+" "+verb, "error", err)
	}
	c.flow.refuse(err)
}

// begin counts a call and gives it its times; done ends it.
func (s *Store) begin(w http.ResponseWriter, r *http.Request, id ident.Instance, arg string) (c *call, done func()) {
	ctx, cancel := context.WithCancelCause(r.Context())
	c = &call{Context: ctx, cancel: cancel, w: w, r: r, id: id, arg: arg, flow: newFlow(w, r, s)}
	y := s.yard(id)
	y.mu.Lock()
	inside := y.admit()
	y.calls[c] = struct{}{}
	y.mu.Unlock()
	stop := context.AfterFunc(ctx, c.flow.cut) // what waits for the other end learns of it
	return c, func() {
		stop()
		cancel(nil)
		y.mu.Lock()
		delete(y.calls, c)
		y.mu.Unlock()
		y.leave(inside)
	}
}

// decode reads the body of a call.
func (c *call) decode(into any) error {
	if err := server.DecodeMost(c.w, c.r, into, mostBody); err != nil {
		return err
	}
	c.flow.heard = true
	c.flow.rest()
	return nil
}

// answer writes a JSON answer.
func (c *call) answer(status int, body any) error {
	c.flow.rest() // putting it on the disk may have taken long
	c.flow.began = true
	server.Answer(c.w, status, body)
	return nil
}

// path reads the path of a query.
func (c *call) path(root bool) (wire.Path, error) {
	var path wire.Path
	if err := path.UnmarshalText([]byte(c.r.URL.Query().Get("path"))); err != nil {
		return "", problem.Invalid("path", "must be in the text form of a path: %% and two hex digits for a %% and for bytes that are no UTF-8")
	}
	return path, valid("path", path, root)
}
