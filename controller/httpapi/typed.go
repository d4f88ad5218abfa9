package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// Handle registers an operation of /api/v1. I is a struct: fields with the tags
// path, query and header, embedded structs of such, and a field Body for what
// comes as JSON, with huma's validation tags (minLength, maximum, enum, doc …).
// Unknown query parameters and unknown fields of the body are refused. What O
// marshals to becomes data; a json.RawMessage goes out as it is. h gives back
// problems as errors; any other error is an INTERNAL_ERROR and goes to the log.
// in belongs to h and may be kept.
func Handle[I, O any](a *API, op Operation, h func(ctx context.Context, in *I) (O, error)) {
	r := a.add(op)
	if r == nil {
		return
	}
	typed[I](a, r, a.envelopeSchema(r, reflect.TypeFor[O]()), func(ctx context.Context, k *call, in *I) error {
		out, err := h(ctx, in)
		if err != nil {
			return err
		}
		return k.success(out, nil)
	})
}

// paged is an input that embeds PageQuery.
type paged interface{ pageQuery() PageQuery }

var errNotPaged = errors.New("the input doesn't embed PageQuery")

// HandlePage registers a list of /api/v1; I must embed PageQuery.
func HandlePage[I, T any](a *API, op Operation, h func(ctx context.Context, in *I) (Page[T], error)) {
	r := a.add(op)
	if r == nil {
		return
	}
	if _, ok := any(new(I)).(paged); !ok {
		a.fail(op, errNotPaged)
		return
	}
	typed[I](a, r, a.pageSchema(r, reflect.TypeFor[T]()), func(ctx context.Context, k *call, in *I) error {
		page, err := h(ctx, in)
		if err != nil {
			return err
		}
		list, ok := any(in).(paged)
		if !ok {
			return errNotPaged
		}
		q := list.pageQuery()
		if page.Items == nil {
			page.Items = []T{}
		}
		p := pagination{Page: q.Page, Limit: q.Limit, Total: page.Total, Pages: (page.Total + q.Limit - 1) / q.Limit, message: page.Message}
		if raw, ok := any(page.Items).([]json.RawMessage); ok {
			return k.success(rawList(raw), &p)
		}
		return k.success(page.Items, &p)
	})
}

// typed lets huma describe, decode and validate I, and run act with it.
func typed[I any](a *API, r *route, responses map[string]*huma.Response, act func(ctx context.Context, k *call, in *I) error) {
	if responses == nil {
		return // the mistake is noted
	}
	if r.Style != Envelope {
		a.fail(r.Operation, errors.New("typed operations answer in the envelope"))
		return
	}
	r.typed = true
	ok := a.register(r.Operation, func() {
		huma.Register(a.huma, *a.describe(r, responses), func(ctx context.Context, in *I) (*struct{}, error) {
			h, ok := ctx.(*handed)
			if !ok {
				return nil, errors.New("huma handed another context on")
			}
			k := h.call
			k.failed = act(ctx, k, in)
			return nil, nil // the answer is written by the call itself
		})
	})
	if !ok {
		return
	}
	op, handler := a.adapter.taken()
	if unread := undocumented(r, op); unread != nil {
		a.fail(r.Operation, fmt.Errorf("the input has no field for %s of the path", strings.Join(unread, ", ")))
		return
	}
	if op.RequestBody != nil {
		r.body, r.needed = true, op.RequestBody.Required
	}
	r.queries = map[string]struct{}{}
	for _, p := range op.Parameters {
		if p.In == "query" {
			r.queries[p.Name] = struct{}{}
		}
	}
	if r.Idempotent {
		op.Parameters = append(op.Parameters, idempotencyParameter())
	}
	r.run = func(k *call) error {
		handler(&humaCall{call: k, op: op})
		return k.failed
	}
}
