package httpapi

import (
	"context"
	"encoding/json"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

// Request is a call to a raw route. It belongs to the handler while it runs.
type Request struct {
	Body []byte // as it came, within the route's limit; nil when there is none
	call *call
}

// Param gives a part of the path by its name in braces, unescaped; "" for none.
func (r *Request) Param(name string) string { return r.call.params[name] }

// Query gives a query parameter; "" for none.
func (r *Request) Query(name string) string { return string(r.call.http.QueryArgs().Peek(name)) }

// Header gives a request header; "" for none.
func (r *Request) Header(name string) string { return string(r.call.http.Request.Header.Peek(name)) }

// JSON decodes the body whatever its content type says. No body, or one that
// isn't JSON or is nested too deep, is a BadRequest problem; a value that doesn't
// fit its field is a Validation problem. Unknown fields are let pass.
func (r *Request) JSON(v any) error { return decodeJSON(r.Body, v) }

// Reply is the answer of a raw route.
type Reply struct {
	Status int // 0 is the operation's
	Body   any // marshalled, unless Raw is there
	// Raw is JSON that goes out as it is, without a copy: it must not be changed
	// any more.
	Raw json.RawMessage
}

// HandleRaw registers a route whose handler reads and writes by itself: the
// classic API. The door's checks are the same; errors are told in the route's
// Style. Op.Accepts and Op.Answers describe it in the OpenAPI document.
func HandleRaw(a *API, op Operation, h func(ctx context.Context, r *Request) (Reply, error)) {
	r := a.add(op)
	if r == nil {
		return
	}
	r.raw = true
	r.run = func(k *call) error {
		reply, err := h(k.ctx, &Request{Body: k.body, call: k})
		if err != nil {
			return err
		}
		return k.reply(reply)
	}
	a.register(r.Operation, func() {
		doc := a.describe(r, a.rawResponses(r))
		if op.Accepts != nil {
			doc.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
				"application/json": {Schema: a.schemaOf(reflect.TypeOf(op.Accepts), r.ID+"Request")},
			}}
		}
		a.huma.OpenAPI().AddOperation(doc)
	})
}

func (k *call) reply(r Reply) error {
	raw := []byte(r.Raw)
	if raw == nil {
		b, err := marshalBytes(r.Body)
		if err != nil {
			return err
		}
		raw = b
	}
	status := r.Status
	if status == 0 {
		status = k.route.Status
	}
	k.http.SetStatusCode(status)
	k.http.SetContentType(mediaJSON)
	k.http.Response.SetBodyRaw(raw)
	if s, secret := r.Body.(Secret); secret && k.route.Idempotent {
		without, err := marshalBytes(s.Redacted())
		k.stored = without
		return err
	}
	return nil
}
