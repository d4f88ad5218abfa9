package sftp

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/pkg/sftp"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/sshdoor"
	"github.com/berth-panel/berth/shared/turnstile"
)

// How many sessions there may be at a time.
const (
	sessionsUser     = 16
	sessionsInstance = 32
	sessionsNode     = 512
)

var errStopped = problem.New(problem.Conflict, "the agent is being stopped: connect again in a while")

// sessions are all that are open. Safe for concurrent use.
type sessions struct {
	users     *turnstile.Lobby
	instances *turnstile.Lobby

	mu     sync.Mutex
	open   map[*session]struct{}
	closed bool
}

// session is one that is open. done is closed when nothing of it is left.
type session struct {
	guest guest
	cut   context.CancelCauseFunc
	done  chan struct{}
}

func newSessions() *sessions {
	return &sessions{
		users: turnstile.NewLobby(sessionsNode, sessionsUser), instances: turnstile.NewLobby(sessionsNode, sessionsInstance),
		open: map[*session]struct{}{},
	}
}

// enter makes a session of the guest's; leave ends it.
func (s *sessions) enter(g guest, cut context.CancelCauseFunc) (entered *session, leave func(), err error) {
	leaveUser, ok := s.users.Enter(string(g.user))
	if !ok {
		return nil, nil, problem.New(problem.RateLimited, "you have %d SFTP sessions open, or the node has %d: end one first", sessionsUser, sessionsNode)
	}
	leaveInstance, ok := s.instances.Enter(string(g.instance))
	if !ok {
		leaveUser()
		return nil, nil, problem.New(problem.RateLimited, "%d SFTP sessions with this instance are open: end one first", sessionsInstance)
	}
	entered = &session{guest: g, cut: cut, done: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		leaveUser()
		leaveInstance()
		return nil, nil, errStopped
	}
	s.open[entered] = struct{}{}
	return entered, func() {
		s.mu.Lock()
		delete(s.open, entered)
		s.mu.Unlock()
		leaveUser()
		leaveInstance()
		close(entered.done)
	}, nil
}

// review cuts those that may not be here any more.
func (s *sessions) review(l *logins) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for open := range s.open {
		if _, _, err := l.check(open.guest); err != nil {
			open.cut(err)
		}
	}
}

// cut ends those of an instance and waits for their end.
func (s *sessions) cut(id ident.Instance, why error) {
	for _, done := range s.end(func(g guest) bool { return g.instance == id }, why) {
		<-done
	}
}

// close ends all, and lets none begin.
func (s *sessions) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	for _, done := range s.end(func(guest) bool { return true }, errStopped) {
		<-done
	}
}

func (s *sessions) end(which func(guest) bool, why error) (ending []<-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for open := range s.open {
		if which(open.guest) {
			open.cut(why)
			ending = append(ending, open.done)
		}
	}
	return ending
}

// Serve is sshdoor.Guard's.
func (s *Service) Serve(ctx context.Context, g guest, channel sshdoor.Channel) error {
	ctx, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	_, leave, err := s.sessions.enter(g, cut)
	if err != nil {
		return err
	}
	defer leave()
	// Only now: a push that came before it was listed would not have cut it.
	if _, _, err := s.logins.check(g); err != nil {
		return err
	}
	s.Log.Info("an SFTP session begins", "instance", string(g.instance), "user", string(g.user), "address", g.address)
	v := &view{service: s, ctx: ctx, guest: g, diary: newDiary(s.Now())}
	server := sftp.NewRequestServer(channel, sftp.Handlers{FileGet: v, FilePut: v, FileCmd: v, FileList: v})
	detach := context.AfterFunc(ctx, func() { channel.End(lastWords(context.Cause(ctx))) })
	err = server.Serve()
	detach()
	if s.Tell != nil {
		s.Tell(v.diary.end(g, s.Now()))
	}
	cause := context.Cause(ctx)
	s.Log.Info("an SFTP session ends", "instance", string(g.instance), "user", string(g.user), "cause", cause)
	if cause != nil {
		return cause
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// lastWords are what a person is told of the end of a session.
func lastWords(cause error) string {
	var p *problem.Problem
	if errors.As(cause, &p) {
		return p.Message
	}
	return "the connection ends"
}
