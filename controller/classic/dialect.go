package classic

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/shared/problem"
)

// refusal is an answer that says no.
type refusal struct {
	status  int
	text    string
	details string // left out when empty
}

// Error is the text.
func (r *refusal) Error() string { return r.text }

func refuse(status int, text string) error { return &refusal{status: status, text: text} }

func badRequest(text string) error { return refuse(http.StatusBadRequest, text) }

// miss answers that something isn't there.
func miss(c access.Caller, text string) error {
	return refuse(byDialect(c, http.StatusBadRequest, http.StatusNotFound), text)
}

// byDialect picks what the caller's dialect wants.
func byDialect[T any](c access.Caller, documented, v03 T) T {
	if c.Dialect == access.V03 {
		return v03
	}
	return documented
}

// reply turns what a handler gave into what the door sends. A problem that the
// caller can mend is a 400; others (busy, forbidden, an offline node, what went
// wrong inside) are told and logged by the door.
func reply(r httpapi.Reply, err error) (httpapi.Reply, error) {
	if err == nil {
		return r, nil
	}
	var no *refusal
	if errors.As(err, &no) {
		return httpapi.Reply{Status: no.status, Body: errorView{Error: no.text, Details: no.details}}, nil
	}
	var p *problem.Problem
	if errors.As(err, &p) {
		switch p.Code {
		case problem.BadRequest, problem.Validation, problem.Conflict, problem.NotFound, problem.InsufficientResources:
			return httpapi.Reply{Status: http.StatusBadRequest, Body: errorView{Error: p.Message}}, nil
		}
	}
	return httpapi.Reply{}, err
}

type errorView struct {
	Error   string `json:"error"`
	Details string `json:"details,omitempty"`
}

// renamed gives a problem's field the name that the classic API has for it.
func renamed(err error, names map[string]string) error {
	var p *problem.Problem
	if !errors.As(err, &p) || len(p.Fields) != 1 {
		return err
	}
	field := p.Fields[0].Field
	name, known := names[field]
	rest, prefixed := strings.CutPrefix(p.Message, field+": ")
	if !known || !prefixed {
		return err
	}
	return problem.Invalid(name, "%s", rest).Because(err)
}

// handler answers one call; c is who calls.
type handler func(ctx context.Context, c access.Caller, r *httpapi.Request) (httpapi.Reply, error)

// mount registers a call of the classic API.
func mount(a *httpapi.API, op httpapi.Operation, h handler) {
	op.Tag, op.Style = "classic", httpapi.Classic
	httpapi.HandleRaw(a, op, func(ctx context.Context, r *httpapi.Request) (httpapi.Reply, error) {
		return reply(h(ctx, access.From(ctx), r))
	})
}
