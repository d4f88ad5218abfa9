package sftp

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	firstPause   = 200 * time.Millisecond // between tries to open a socket
	longestPause = 10 * time.Second
	giveUp       = 8 // tries on a node that is offline: it is tried again when it is back
	pingEvery    = 20 * time.Second
	questionMost = 16 << 10 // bytes
	judgeWithin  = 12 * time.Second
	writeWithin  = 10 * time.Second
)

// asking is where somebody answers the node's questions.
type asking struct {
	mu       sync.Mutex
	arrivals map[ident.Node]int // since somebody does
}

// came counts an arrival; it is the first when nobody answers.
func (a *asking) came(node ident.Node) (first bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.arrivals[node]++
	return a.arrivals[node] == 1
}

// left forgets a node that is offline, unless it came meanwhile: then it gives
// the arrivals up to now, else 0.
func (a *asking) left(node ident.Node, seen int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now := a.arrivals[node]; now > max(seen, 1) {
		return now
	}
	delete(a.arrivals, node)
	return 0
}

// attend holds a socket open to a node that came and answers what it asks, until
// the node has been offline for a while. Where somebody does already, it is nothing.
func (s *Service) attend(ctx context.Context, node ident.Node) {
	if !s.asking.came(node) {
		return
	}
	arrivals := 0
	for failed := 0; ctx.Err() == nil; failed++ {
		socket, err := s.Agents.Socket(ctx, node, "/v1/logins/ask")
		if err == nil {
			failed = 0
			err = s.converse(ctx, node, socket)
		}
		s.Log.Debug("a node can't ask for passwords", "node", string(node), "error", err)
		if failed >= giveUp && !s.Agents.Presence(node).Online {
			if arrivals = s.asking.left(node, arrivals); arrivals == 0 {
				return
			}
			failed = 0
		}
		_ = pause(ctx, min(longestPause, firstPause<<min(failed, 10)))
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// converse answers questions until the socket ends.
func (s *Service) converse(ctx context.Context, node ident.Node, socket *fleet.Socket) error {
	ctx, cancel := context.WithCancel(ctx)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer cancel()
	defer func() { _ = socket.Close() }()
	socket.SetReadLimit(questionMost)
	parts.Go(func() { s.keepAlive(ctx, socket) })
	var writing sync.Mutex
	places := make(chan struct{}, wire.LoginsAtOnce)
	for {
		var q wire.LoginQuestion
		if err := socket.ReadJSON(&q); err != nil {
			return err
		}
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		parts.Go(func() {
			defer func() { <-places }()
			answer, ok := s.judge(ctx, node, q)
			if !ok {
				return // the node finds out that it takes too long
			}
			writing.Lock()
			defer writing.Unlock()
			_ = socket.SetWriteDeadline(s.Now().Add(writeWithin))
			if err := socket.WriteJSON(answer); err != nil {
				_ = socket.Close()
			}
		})
	}
}

func (s *Service) keepAlive(ctx context.Context, socket *fleet.Socket) {
	for pause(ctx, pingEvery) == nil {
		if err := socket.WriteControl(websocket.PingMessage, nil, s.Now().Add(writeWithin)); err != nil {
			_ = socket.Close()
			return
		}
	}
}

// judge answers one question; ok is false when that can't be said in this moment.
func (s *Service) judge(ctx context.Context, node ident.Node, q wire.LoginQuestion) (answer wire.LoginAnswer, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, judgeWithin)
	defer cancel()
	no := wire.LoginAnswer{Ref: q.Ref}
	p, err := s.check(ctx, "", q.Username, q.Password)
	var i instance.Instance
	if err == nil {
		i, err = s.reach(ctx, p, q.Instance)
	}
	switch {
	case err == nil && i.Node != node:
		return no, true
	case problem.Is(err, problem.Unauthorized) || problem.Is(err, problem.RateLimited) || problem.Is(err, problem.NotFound):
		return no, true
	case problem.Is(err, problem.Forbidden) || problem.Is(err, problem.Conflict):
		no.Message = problem.From(err).Message
		return no, true
	case err != nil:
		s.Log.Error("a login over SFTP can't be judged", "node", string(node), "error", err)
		return no, false
	}
	return wire.LoginAnswer{Ref: q.Ref, Allowed: true, User: p.ID, Password: p.Password}, true
}

// check finds who has that name and password. Guesses are slowed down.
func (s *Service) check(ctx context.Context, address, username, password string) (identity.Person, error) {
	name := strings.ToLower(username)
	if wait := s.guesses.Try(address, name, s.Now()); wait > 0 {
		return identity.Person{}, problem.New(problem.RateLimited, "Too many tries: wait %s, or use a key.", max(time.Second, wait.Round(time.Second)))
	}
	p, err := s.Users.LoginPerson(ctx, username, password)
	if !problem.Is(err, problem.Unauthorized) {
		s.guesses.Passed(address, name)
	}
	return p, err
}

// reach gives an instance that the person may log in to: NOT_FOUND when there is
// none, CONFLICT, with a sentence for him, when it is suspended.
func (s *Service) reach(ctx context.Context, p identity.Person, id ident.Instance) (instance.Instance, error) {
	i, err := s.Instances.Get(ctx, access.Local(), id)
	if err != nil {
		return i, err
	}
	if login, _ := may(p, i.Of()); !login || i.Phase == instance.Deleting {
		return i, problem.New(problem.NotFound, "there is no such instance")
	}
	if i.Suspended && !manages(p) {
		return i, problem.New(problem.Conflict, "%s", suspended(i.ID, i.SuspendReason))
	}
	return i, nil
}
