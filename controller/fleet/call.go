package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Bytes of an answer that are read at most.
const (
	answerLimit    = 1 << 20
	inventoryLimit = 64 << 20
)

var errSlow = fmt.Errorf("it did not answer within %d s", callTimeout/1e9)

// Apply hands the node a spec. When it returns, the agent has journalled it (or
// holds a newer one: see Accepted.Generation); what comes of it arrives as events.
func (f *Fleet) Apply(ctx context.Context, node ident.Node, spec wire.Spec) (wire.Accepted, error) {
	var accepted wire.Accepted
	err := f.call(ctx, node, http.MethodPut, spec.Instance, spec, &accepted)
	return accepted, err
}

// Spec asks the node what it was told of an instance; NOT_FOUND when it has no
// settings of it.
func (f *Fleet) Spec(ctx context.Context, node ident.Node, instance ident.Instance) (wire.Spec, error) {
	var spec wire.Spec
	err := f.call(ctx, node, http.MethodGet, instance, nil, &spec)
	return spec, err
}

// Remove orders the node to remove an instance with its container and volume.
// When it returns, the agent has journalled the order; the end arrives as an
// event. An instance that the node doesn't know is no error.
func (f *Fleet) Remove(ctx context.Context, node ident.Node, instance ident.Instance, removal wire.Removal) (wire.Accepted, error) {
	var accepted wire.Accepted
	err := f.call(ctx, node, http.MethodDelete, instance, removal, &accepted)
	return accepted, err
}

// call makes one call about an instance within the node's present session.
func (f *Fleet) call(ctx context.Context, node ident.Node, method string, instance ident.Instance, in, out any) error {
	if !instance.Valid() {
		return fmt.Errorf("%q is no instance's id", string(instance)) // it would go into the path
	}
	return f.ask(ctx, node, method, wire.PathInstances+"/"+url.PathEscape(string(instance)), in, out)
}

// ask makes one call within the node's present session. out may be nil.
//
//nolint:contextcheck // the session has a context of its own: its end cuts the call short
func (f *Fleet) ask(ctx context.Context, node ident.Node, method, path string, in, out any) error {
	l := f.link(node)
	if l == nil {
		return problem.New(problem.NodeOffline, "node %s is offline: %s", node, f.Presence(node).Reason)
	}
	session, name, reason := l.current()
	if session == nil {
		return problem.New(problem.NodeOffline, "node %s is offline: %s", name, reason)
	}
	limited, cancel := context.WithTimeoutCause(ctx, callTimeout, errSlow)
	defer cancel()
	limited, cut := context.WithCancelCause(limited)
	defer cut(nil)
	defer context.AfterFunc(session, func() { cut(context.Cause(session)) })()

	err := l.slot(limited, func() error { return l.do(limited, method, path, in, out) })
	return tellCall(ctx, limited, name, err)
}

// tellCall says what became of a call to the named node: limited is what the
// call's ctx was made.
func tellCall(ctx, limited context.Context, name string, err error) error {
	var p *problem.Problem
	switch {
	case err == nil || errors.As(err, &p):
		return err
	case ctx.Err() != nil: // the caller's own doing
		return fmt.Errorf("call node %s: %w", name, context.Cause(ctx))
	default:
		err = ended(limited, err)
		return problem.New(problem.NodeOffline, "the call to node %s failed: %s", name, explain(err)).Because(err)
	}
}

// slot runs f when fewer calls than allowed are under way.
func (l *link) slot(ctx context.Context, f func() error) error {
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
		return f()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// do makes one HTTP call. An agent's refusal comes back as *problem.Problem, a
// broken connection as any other error.
func (l *link) do(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, callTimeout, errSlow)
	defer cancel()
	var body io.Reader
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode the call: %w", err)
		}
		body = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, "https://"+l.host()+path, body)
	if err != nil {
		return err
	}
	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	// Every call may be repeated. The key without a value is not sent: it allows
	// net/http to repeat a call when a kept connection turns out to be dead.
	request.Header["Idempotency-Key"] = nil
	answer, err := l.client.Do(request)
	if err != nil {
		return ended(ctx, err)
	}
	defer func() { _ = answer.Body.Close() }()
	content, err := readAll(answer.Body, limitOf(path))
	if err != nil {
		return ended(ctx, err)
	}
	if answer.StatusCode >= http.StatusMultipleChoices {
		return refused(answer.StatusCode, content)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(content, out); err != nil {
		return fmt.Errorf("%w: %w", errGarbled, err)
	}
	return nil
}

func limitOf(path string) int64 {
	if path == wire.PathInstances {
		return inventoryLimit
	}
	return answerLimit
}

func readAll(body io.Reader, limit int64) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err == nil && int64(len(content)) > limit {
		return nil, fmt.Errorf("%w: an answer of more than %d bytes", errGarbled, limit)
	}
	return content, err
}

// refused turns an agent's refusal into a problem. One about the controller's
// own right to call is not the right of whoever called the controller.
func refused(status int, body []byte) error {
	var p problem.Problem
	if err := json.Unmarshal(body, &p); err != nil || p.Code == "" || p.Message == "" {
		return fmt.Errorf("%w: it answered with status %d and no reason", errGarbled, status)
	}
	if p.Code == problem.Unauthorized || p.Code == problem.Forbidden {
		return problem.New(problem.NodeOffline, "the node does not obey this controller: %s", p.Message)
	}
	return &p
}
