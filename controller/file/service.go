package file

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/grant"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// answerLimit is how long a short answer of an agent may be: a page of long names.
const answerLimit = 16 << 20

// Grants decides who may.
type Grants interface {
	Allow(ctx context.Context, c access.Caller, id ident.Instance, right access.Right) (instance.Instance, error)
	Hold(ctx context.Context, c access.Caller, id ident.Instance, right access.Right, also ...grant.Check) (held context.Context, release func(), err error)
	Issue(ctx context.Context, c access.Caller, id ident.Instance, right access.Right, purpose grant.Purpose) (grant.Ticket, error)
	Redeem(ctx context.Context, text string, purpose grant.Purpose, id ident.Instance) (access.Caller, error)
}

// Agents are the calls to the nodes, as fleet makes them.
type Agents interface {
	Open(ctx context.Context, node ident.Node, r fleet.Request) (*http.Response, error)
}

// Jobs is what we need of the durable work.
type Jobs interface {
	Register(kind job.Kind, p job.Policy)
	Enqueue(ctx context.Context, tx *store.Tx, n job.New) (job.Job, error)
	Progress(ctx context.Context, tx *store.Tx, id ident.Job, step string, percent int, message string) error
	Finish(ctx context.Context, tx *store.Tx, id ident.Job, failed *problem.Problem) error
}

// Instances finds instances.
type Instances interface {
	Find(ctx context.Context, q store.Querier, id ident.Instance) (instance.Instance, error)
}

// Deps are the rooms that files stand on. All must be there.
type Deps struct {
	DB        *store.DB
	Events    *event.Log
	Jobs      Jobs
	Grants    Grants
	Agents    Agents
	Instances Instances
	Log       *slog.Logger
	Now       func() time.Time
}

// Service is the verbs of files. Safe for concurrent use.
type Service struct {
	Deps
	wanted wanted
	turns  turns
}

// NewService makes the service and registers its kinds of jobs. Run clears old
// uploads away.
func NewService(d Deps) *Service {
	s := &Service{Deps: d, wanted: newWanted(), turns: newTurns()}
	s.register()
	return s
}

// List gives a part of a folder.
func (s *Service) List(ctx context.Context, c access.Caller, id ident.Instance, q wire.FileQuery) (page wire.FilePage, err error) {
	i, err := s.Grants.Allow(ctx, c, id, access.ReadFiles)
	if err != nil {
		return page, err
	}
	return page, s.call(ctx, i, http.MethodPost, "list", nil, q, &page)
}

// Entry gives one entry.
func (s *Service) Entry(ctx context.Context, c access.Caller, id ident.Instance, p wire.Path) (entry wire.FileEntry, err error) {
	i, err := s.Grants.Allow(ctx, c, id, access.ReadFiles)
	if err != nil {
		return entry, err
	}
	return entry, s.call(ctx, i, http.MethodGet, "entry", query(p), nil, &entry)
}

// MakeFolder makes a folder, and those above it that are missing.
func (s *Service) MakeFolder(ctx context.Context, c access.Caller, id ident.Instance, p wire.Path) (entry wire.FileEntry, err error) {
	i, err := s.Grants.Allow(ctx, c, id, access.WriteFiles)
	if err != nil {
		return entry, err
	}
	if err = s.call(ctx, i, http.MethodPost, "folder", nil, wire.FileFolder{Path: p}, &entry); err != nil {
		return entry, err
	}
	return entry, s.tell(ctx, c.Actor, i, FolderMade, about([]wire.Path{p}))
}

// Rename moves entries within the volume. What became of each is in the answer;
// a single one that was not moved is the error.
func (s *Service) Rename(ctx context.Context, c access.Caller, id ident.Instance, r wire.FileRenames) (done wire.FileDone, err error) {
	i, err := s.Grants.Allow(ctx, c, id, access.WriteFiles)
	if err != nil {
		return done, err
	}
	if err = s.call(ctx, i, http.MethodPost, "rename", nil, r, &done); err != nil {
		return done, err
	}
	if err := alone(done, len(r.Renames)); err != nil {
		return done, err
	}
	moved := map[string]any{"count": done.Count}
	if len(r.Renames) == 1 {
		moved = map[string]any{"path": text(r.Renames[0].From), "to": text(r.Renames[0].To)}
	} else {
		var pairs []map[string]string
		for _, one := range r.Renames[:min(len(r.Renames), named)] {
			pairs = append(pairs, map[string]string{"path": text(one.From), "to": text(one.To)})
		}
		moved["renames"], moved["failed"] = pairs, len(done.Failed)
	}
	return done, s.tellWhen(ctx, done, c.Actor, i, Renamed, moved)
}

// Chmod sets permission bits.
func (s *Service) Chmod(ctx context.Context, c access.Caller, id ident.Instance, m wire.FileChmod) (done wire.FileDone, err error) {
	i, err := s.Grants.Allow(ctx, c, id, access.WriteFiles)
	if err != nil {
		return done, err
	}
	if err = s.call(ctx, i, http.MethodPost, "chmod", nil, m, &done); err != nil {
		return done, err
	}
	if err := alone(done, len(m.Paths)); err != nil {
		return done, err
	}
	data := about(m.Paths)
	data["mode"] = octal(m.Mode)
	return done, s.tellWhen(ctx, done, c.Actor, i, ModeSet, data)
}

// alone is the problem of a single path that was not done.
func alone(done wire.FileDone, asked int) error {
	if asked == 1 && len(done.Failed) == 1 {
		return &done.Failed[0].Problem
	}
	return nil
}

func octal(mode uint32) string { return fmt.Sprintf("%04o", mode) }

// Found is what a search found.
type Found struct {
	Hits   []wire.FileHit
	Cut    bool // there may be more
	Passed int  // files that could not be looked into
}

// Search looks for files by name or content.
func (s *Service) Search(ctx context.Context, c access.Caller, id ident.Instance, q wire.FileSearch) (f Found, err error) {
	i, held, release, err := s.hold(ctx, c, id, access.ReadFiles)
	if err != nil {
		return f, err
	}
	defer release()
	answer, err := s.open(held, i, http.MethodPost, "search", nil, q)
	if err != nil {
		return f, err
	}
	defer func() { _ = answer.Body.Close() }()
	lines := json.NewDecoder(io.LimitReader(answer.Body, answerLimit))
	for {
		var hit wire.FileHit
		if err := lines.Decode(&hit); err != nil {
			if cause := context.Cause(held); cause != nil {
				err = cause
			}
			return f, fmt.Errorf("the search broke off: %w", err)
		}
		if hit.Last {
			f.Cut, f.Passed = hit.Cut || f.Cut, hit.Passed
			return f, nil
		}
		if len(f.Hits) >= q.Limit {
			f.Cut = true
			continue
		}
		f.Hits = append(f.Hits, hit)
	}
}

// call makes a short call about an instance's files; in and out are JSON and may
// be nil.
func (s *Service) call(ctx context.Context, i instance.Instance, method, rest string, q url.Values, in, out any) error {
	answer, err := s.open(ctx, i, method, rest, q, in) //nolint:bodyclose // by read
	if err != nil {
		return err
	}
	return read(ctx, answer, out)
}

// read reads a short answer; ctx is its call's.
func read(ctx context.Context, answer *http.Response, out any) error {
	defer func() { _ = answer.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(answer.Body, answerLimit+1))
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	if err == nil && len(content) > answerLimit {
		err = errors.New("the agent's answer is too long")
	}
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(content, out); err != nil {
		return fmt.Errorf("the agent's answer: %w", err)
	}
	return nil
}

func (s *Service) open(ctx context.Context, i instance.Instance, method, rest string, q url.Values, in any) (*http.Response, error) {
	r := fleet.Request{Method: method, Path: address(i.ID, rest), Query: q}
	if in != nil {
		var err error
		if r, err = withJSON(r, in); err != nil {
			return nil, err
		}
	}
	return s.Agents.Open(ctx, i.Node, r)
}

func withJSON(r fleet.Request, in any) (fleet.Request, error) {
	b, err := json.Marshal(in)
	if err != nil {
		return r, err
	}
	r.Body, r.Size = bytes.NewReader(b), int64(len(b))
	r.Header = http.Header{"Content-Type": {"application/json"}}
	return r, nil
}

// address is where an agent has a call; rest is a text of ours.
func address(id ident.Instance, rest string) string {
	return wire.PathInstances + "/" + url.PathEscape(string(id)) + "/files/" + rest
}

func query(p wire.Path) url.Values { return url.Values{"path": {text(p)}} }

func index(field string, n int) string { return field + "[" + strconv.Itoa(n) + "]" }

// tell writes what happened to files. It has happened: whether the caller is
// still there, or his time is over, changes nothing.
func (s *Service) tell(ctx context.Context, by access.Actor, i instance.Instance, t event.Type, data map[string]any) error {
	ctx = context.WithoutCancel(ctx)
	return s.DB.Write(ctx, func(tx *store.Tx) error { return s.tellIn(ctx, tx, by, i, t, data) })
}

func (s *Service) tellIn(ctx context.Context, tx *store.Tx, by access.Actor, i instance.Instance, t event.Type, data map[string]any) error {
	return s.Events.Append(ctx, tx, event.Event{Type: t, Owner: i.Owner, Instance: i.ID, Node: i.Node, Actor: by}, data)
}

// tellWhen is tell, when something was done at all.
func (s *Service) tellWhen(ctx context.Context, done wire.FileDone, by access.Actor, i instance.Instance, t event.Type, data map[string]any) error {
	if done.Count == 0 {
		return nil
	}
	if len(done.Failed) > 0 {
		data["failed"] = len(done.Failed)
	}
	return s.tell(ctx, by, i, t, data)
}
