package grant

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/turnstile"
)

// Instances finds instances, also those that are being deleted.
type Instances interface {
	Get(ctx context.Context, c access.Caller, id ident.Instance) (instance.Instance, error)
}

// Callers knows what became of a caller.
type Callers interface {
	// Recall gives him as he stands now: his key's scopes, whether he is an admin.
	// One whose key or account is gone, expired or disabled is Unauthorized.
	Recall(ctx context.Context, c access.Caller) (access.Caller, error)
}

// Deps are the rooms that rights depend on.
type Deps struct {
	DB        *store.DB
	Events    *event.Log
	Instances Instances
	Callers   Callers
	Log       *slog.Logger
	Now       func() time.Time
}

// Service gives and takes rights. Safe for concurrent use.
type Service struct {
	Deps
	holds   holds
	tickets tickets
	lobby   *turnstile.Lobby // guests who have not said yet who they are
	recheck time.Duration
	hello   time.Duration // that a guest has to say who he is
	ready   chan struct{} // closed when events are followed
	opening sync.Once
}

// NewService makes the service; Run it.
func NewService(d Deps) *Service {
	return &Service{Deps: d, holds: newHolds(), tickets: newTickets(), lobby: turnstile.NewLobby(strangers, strangersOf), recheck: Recheck, hello: introduceWithin, ready: make(chan struct{})}
}

// Allow gives the instance when the caller may use the right with it now. Else
// NOT_FOUND (he may not see it), FORBIDDEN (he lacks right or scope), or CONFLICT
// (it is suspended, or being deleted).
func (s *Service) Allow(ctx context.Context, caller access.Caller, id ident.Instance, right access.Right) (instance.Instance, error) {
	if !caller.Known() {
		return instance.Instance{}, judge(caller, instance.Instance{}, right)
	}
	i, err := s.find(ctx, id)
	if err == nil {
		err = judge(caller, i, right)
	}
	if err != nil {
		return instance.Instance{}, err
	}
	return i, nil
}

// find gives an instance whoever asks: judge decides.
func (s *Service) find(ctx context.Context, id ident.Instance) (instance.Instance, error) {
	if !id.Valid() {
		return instance.Instance{}, gone()
	}
	i, err := s.Instances.Get(ctx, access.Local(), id)
	if problem.Is(err, problem.NotFound) {
		return i, gone()
	}
	return i, err
}

// Check is something more that a hold depends on: an error ends it.
type Check func(ctx context.Context) error

// Hold is Allow for as long as it takes: held ends with ctx, with release, and
// when the caller loses the right; its cause is then a *problem.Problem for
// people. also are asked whenever the rights are looked at again: after each
// event about the user or the instance, and each Recheck. Call release at the
// end, once or more. RATE_LIMITED says that too much is open.
func (s *Service) Hold(ctx context.Context, caller access.Caller, id ident.Instance, right access.Right, also ...Check) (held context.Context, release func(), err error) {
	if _, err := s.Allow(ctx, caller, id, right); err != nil {
		return nil, nil, err
	}
	h := &hold{caller: caller, instance: id, right: right, also: also}
	h.ctx, h.end = context.WithCancelCause(ctx)
	if err := s.holds.add(h); err != nil {
		h.end(err)
		return nil, nil, err
	}
	release = func() {
		s.holds.remove(h)
		h.end(context.Canceled)
	}
	if err := s.look(ctx, newLooked(), h); err != nil { // again: it may have changed before it was listed
		release()
		return nil, nil, err
	}
	return h.ctx, release, nil
}

// Reason gives what a held context ended with, for people: the loss of a right,
// or that Berth is stopping.
func Reason(held context.Context) *problem.Problem {
	if p, ok := asProblem(context.Cause(held)); ok {
		return p
	}
	return problem.New(problem.Internal, "Berth is stopping; come back in a moment").Because(ErrStopping)
}

// looked is what one round of looking has read already.
type looked struct {
	instances map[ident.Instance]found
	callers   map[who]recalled
}

type found struct {
	instance.Instance
	err error
}

type recalled struct {
	access.Caller
	err error
}

// who tells callers apart by what Recall looks at.
type who struct {
	via     access.Via
	user    ident.User
	key     ident.Key
	session ident.Session
	address string // which a key may be bound to
}

func newLooked() looked {
	return looked{instances: map[ident.Instance]found{}, callers: map[who]recalled{}}
}

// look says whether a hold's right is there still. An error that is no problem
// says nothing about the right.
func (s *Service) look(ctx context.Context, l looked, h *hold) error {
	name := who{h.caller.Via, h.caller.User, h.caller.Key, h.caller.Session, h.caller.Address}
	c, ok := l.callers[name]
	if !ok {
		c.Caller, c.err = s.Callers.Recall(ctx, h.caller)
		l.callers[name] = c
	}
	if c.err != nil {
		return revoked(c.err)
	}
	i, ok := l.instances[h.instance]
	if !ok {
		i.Instance, i.err = s.find(ctx, h.instance)
		l.instances[h.instance] = i
	}
	if i.err != nil {
		return i.err
	}
	if c.User == "" { // of the local socket, or Berth's own
		c.Scopes, c.Admin = h.caller.Scopes, h.caller.Admin
	}
	if err := judge(c.Caller, i.Instance, h.right); err != nil {
		return err
	}
	for _, check := range h.also {
		if err := check(ctx); err != nil {
			return err
		}
	}
	return nil
}

func revoked(err error) error {
	if p, ok := asProblem(err); ok && p.Code == problem.Unauthorized {
		return p.Because(ErrRevoked)
	}
	return err
}

// Confirm is Allow for somebody who holds another right: it asks first what
// became of him, and gives him as he stands now.
func (s *Service) Confirm(ctx context.Context, caller access.Caller, id ident.Instance, right access.Right) (access.Caller, instance.Instance, error) {
	now, err := s.Callers.Recall(ctx, caller)
	if err != nil {
		return access.Caller{}, instance.Instance{}, revoked(err)
	}
	i, err := s.Allow(ctx, now, id, right)
	return now, i, err
}
