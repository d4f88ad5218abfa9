package console

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/grant"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Agents is how the nodes are reached.
type Agents interface {
	Socket(ctx context.Context, node ident.Node, path string) (*fleet.Socket, error)
	Call(ctx context.Context, node ident.Node, method, path string, in, out any) error
}

// Instances is what is done with instances.
type Instances interface {
	Get(ctx context.Context, c access.Caller, id ident.Instance) (instance.Instance, error)
	Power(ctx context.Context, c access.Caller, id ident.Instance, v instance.Verb) (instance.Instance, job.Job, error)
	NoteCommand(ctx context.Context, c access.Caller, id ident.Instance, command string) error
}

// Grants says who may.
type Grants interface {
	Allow(ctx context.Context, caller access.Caller, id ident.Instance, right access.Right) (instance.Instance, error)
	Confirm(ctx context.Context, caller access.Caller, id ident.Instance, right access.Right) (access.Caller, instance.Instance, error)
	Hold(ctx context.Context, caller access.Caller, id ident.Instance, right access.Right, also ...grant.Check) (held context.Context, release func(), err error)
	Issue(ctx context.Context, caller access.Caller, id ident.Instance, right access.Right, purpose grant.Purpose) (grant.Ticket, error)
	Arrive(ctx context.Context, r *httpapi.Request, id ident.Instance, right access.Right, purpose grant.Purpose) (*grant.Guest, error)
}

// Deps are the rooms that consoles stand on.
type Deps struct {
	Agents    Agents
	Instances Instances
	Grants    Grants
	Log       *slog.Logger
}

// Service is the consoles that are looked at. Safe for concurrent use.
type Service struct {
	Deps
	pace   pace
	kept   atomic.Int64 // bytes, of all feeds
	behind int          // bytes that are kept of one instance for somebody who is behind

	mu    sync.Mutex
	feeds map[ident.Instance]*feed
}

// NewService makes the service.
func NewService(d Deps) *Service {
	return &Service{Deps: d, pace: usualPace(), behind: behindBytes, feeds: map[ident.Instance]*feed{}}
}

// checkCommand refuses what is not one line of text.
func checkCommand(text string) error {
	switch {
	case len(text) > wire.ConsoleCommand:
		return problem.New(problem.TooLarge, "a command has at most %d bytes", wire.ConsoleCommand)
	case strings.ContainsAny(text, "\n\r\x00"):
		return problem.Invalid("command", "must be one line, without its end")
	}
	return nil
}

// Command writes a line to an instance's stdin, without a stream: for programs.
func (s *Service) Command(ctx context.Context, c access.Caller, id ident.Instance, text string) error {
	i, err := s.Grants.Allow(ctx, c, id, access.WriteConsole)
	if err != nil {
		return err
	}
	if err := checkCommand(text); err != nil {
		return err
	}
	if err := s.Instances.NoteCommand(ctx, c, id, text); err != nil {
		return err
	}
	return s.Agents.Call(ctx, i.Node, http.MethodPost, path(id), wire.ConsoleInput{Command: &text}, nil)
}

// Send writes a line to the stdin of the instance that the view is of; then is
// called once with what became of it, unless Send fails. Who may is asked anew.
func (v *View) Send(ctx context.Context, c access.Caller, text string, then func(error)) error {
	s, id := v.feed.service, v.feed.id
	if err := checkCommand(text); err != nil {
		return err
	}
	now, _, err := s.Grants.Confirm(ctx, c, id, access.WriteConsole)
	if err != nil {
		return err
	}
	if err := s.Instances.NoteCommand(ctx, now, id, text); err != nil {
		return err
	}
	return v.feed.send(ctx, wire.ConsoleInput{Command: &text}, then)
}

// resize tells the container how large the terminal is.
func (v *View) resize(ctx context.Context, c access.Caller, size wire.ConsoleSize, then func(error)) error {
	if size.Rows == 0 || size.Columns == 0 {
		return problem.Invalid("size", "rows and columns are 1 to 65535")
	}
	if _, _, err := v.feed.service.Grants.Confirm(ctx, c, v.feed.id, access.WriteConsole); err != nil {
		return err
	}
	return v.feed.send(ctx, wire.ConsoleInput{Size: &size}, then)
}

// Power gives a power order and says which job carries it out.
func (v *View) Power(ctx context.Context, c access.Caller, verb instance.Verb) (ident.Job, error) {
	switch verb {
	case instance.Start, instance.Stop, instance.Restart, instance.Kill:
	default:
		return "", problem.Invalid("verb", "must be start, stop, restart or kill")
	}
	now, _, err := v.feed.service.Grants.Confirm(ctx, c, v.feed.id, access.PowerRight)
	if err != nil {
		return "", err
	}
	_, j, err := v.feed.service.Instances.Power(ctx, now, v.feed.id, verb)
	return j.ID, err
}

// Past is a stretch of a record.
type Past struct {
	Record string
	Last   int64 // the newest line there is
	Missed *wire.ConsoleMissed
	Lines  []json.RawMessage
}

// Lines gives up to limit lines behind after, oldest first; without after the
// newest.
func (s *Service) Lines(ctx context.Context, c access.Caller, id ident.Instance, after *int64, limit int) (Past, error) {
	if _, err := s.Grants.Allow(ctx, c, id, access.ReadConsole); err != nil {
		return Past{}, err
	}
	p := &past{service: s, id: id, to: -1, newest: after == nil}
	if after != nil {
		p.at = *after
	}
	defer p.close()
	if err := p.open(ctx); err != nil {
		return Past{}, broken(err)
	}
	out := Past{Record: p.record, Last: p.to, Lines: []json.RawMessage{}}
	for p.at < p.to && (p.newest || len(out.Lines) < limit) {
		lines, missed, err := p.next(ctx)
		if err != nil {
			return Past{}, broken(err)
		}
		switch {
		case missed != nil && len(out.Lines) > 0: // told when he comes back for more
			return out, nil
		case missed != nil:
			out.Missed = missed
		}
		for _, line := range lines {
			out.Lines = append(out.Lines, line.Raw)
		}
	}
	switch {
	case len(out.Lines) <= limit:
	case p.newest:
		out.Lines = out.Lines[len(out.Lines)-limit:]
	default:
		out.Lines = out.Lines[:limit]
	}
	if p.newest {
		out.Missed = nil
	}
	return out, nil
}

func broken(err error) error {
	if problem.From(err).Code == problem.Internal {
		return problem.New(problem.NodeOffline, "the stream from the node broke off: try again").Because(err)
	}
	return err
}
