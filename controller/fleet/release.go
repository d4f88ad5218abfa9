package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// stallLimit is how long a node may take nothing of a program in, and how long
// it may look at the whole of it.
const stallLimit = 30 * time.Second

var errStalled = fmt.Errorf("it took nothing in for %d s", stallLimit/time.Second)

// Release asks which program the node's agent runs. It needs no session: an
// agent whose version is refused answers it too.
func (f *Fleet) Release(ctx context.Context, node ident.Node) (wire.ReleaseState, error) {
	var state wire.ReleaseState
	err := f.beside(ctx, node, func(ctx context.Context, l *link) error {
		return l.do(ctx, http.MethodGet, wire.PathRelease, nil, &state)
	})
	return state, err
}

// PushRelease hands the node's agent a program to update itself by: its release,
// its SHA-256 (hex), its size in bytes and the program itself. Like Release it
// needs no session. It may take as long as the program goes on flowing. When it
// returns, the agent has the whole program and is about to try it.
func (f *Fleet) PushRelease(ctx context.Context, node ident.Node, release, sha256 string, size int64, program io.Reader) (wire.ReleaseState, error) {
	var state wire.ReleaseState
	query := url.Values{"release": {release}, "sha256": {sha256}}
	err := f.beside(ctx, node, func(ctx context.Context, l *link) error {
		ctx, stall := context.WithCancelCause(ctx)
		defer stall(nil)
		timer := time.AfterFunc(stallLimit, func() { stall(errStalled) })
		defer timer.Stop()
		body := io.NopCloser(&flowing{from: program, timer: timer})
		request, err := http.NewRequestWithContext(ctx, http.MethodPut, "https://"+l.host()+wire.PathRelease+"?"+query.Encode(), body)
		if err != nil {
			return err
		}
		request.ContentLength = size
		request.Header.Set("Content-Type", "application/octet-stream")
		answer, err := l.client.Do(request)
		if err != nil {
			return ended(ctx, err)
		}
		defer func() { _ = answer.Body.Close() }()
		content, err := readAll(answer.Body, answerLimit)
		if err != nil {
			return ended(ctx, err)
		}
		if answer.StatusCode >= http.StatusMultipleChoices {
			return refused(answer.StatusCode, content)
		}
		if err := json.Unmarshal(content, &state); err != nil {
			return fmt.Errorf("%w: %w", errGarbled, err)
		}
		return nil
	})
	return state, err
}

// beside makes a call outside of any session; it is cut short when the node is
// not let in any more.
//
//nolint:contextcheck // the link has a context of its own: its end cuts the call short
func (f *Fleet) beside(ctx context.Context, node ident.Node, call func(ctx context.Context, l *link) error) error {
	l := f.link(node)
	if l == nil {
		return problem.New(problem.NodeOffline, "node %s is offline: %s", node, f.Presence(node).Reason)
	}
	_, name, _ := l.current()
	limited, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	defer context.AfterFunc(l.ctx, func() { cut(context.Cause(l.ctx)) })()
	err := l.slot(limited, func() error { return call(limited, l) })
	return tellCall(ctx, limited, name, err)
}

// flowing is a body that starts a timer anew whenever more of it is wanted.
type flowing struct {
	from  io.Reader
	timer *time.Timer
}

// Read gives the next bytes.
func (f *flowing) Read(p []byte) (int, error) {
	f.timer.Reset(stallLimit)
	return f.from.Read(p)
}
