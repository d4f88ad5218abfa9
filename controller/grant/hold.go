package grant

import (
	"context"
	"errors"
	"sync"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// hold is one right that somebody goes on using.
type hold struct {
	caller   access.Caller
	instance ident.Instance
	right    access.Right
	also     []Check
	ctx      context.Context //nolint:containedctx // it is what was given out
	end      context.CancelCauseFunc
}

// user is what the holds of one caller are counted by.
func (h *hold) user() ident.User { return h.caller.User }

// holds lists them by what may end them. Safe for concurrent use.
type holds struct {
	mu         sync.Mutex
	byInstance map[ident.Instance]map[*hold]struct{}
	byUser     map[ident.User]map[*hold]struct{}
}

func newHolds() holds {
	return holds{byInstance: map[ident.Instance]map[*hold]struct{}{}, byUser: map[ident.User]map[*hold]struct{}{}}
}

func (s *holds) add(h *hold) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	most := PerUser
	if h.caller.Holds(access.WriteInstances) {
		most = PerAdmin
	}
	switch {
	case len(s.byUser[h.user()]) >= most: // the local socket counts as an admin of its own
		return problem.New(problem.RateLimited, "you have %d consoles, transfers and sessions open, which is the most for one user: close some", most)
	case len(s.byInstance[h.instance]) >= PerInstance:
		return problem.New(problem.RateLimited, "instance %s has %d consoles, transfers and sessions open, which is the most for one instance: close some", h.instance, PerInstance)
	}
	put(s.byInstance, h.instance, h)
	put(s.byUser, h.user(), h)
	return nil
}

func (s *holds) remove(h *hold) {
	s.mu.Lock()
	defer s.mu.Unlock()
	drop(s.byInstance, h.instance, h)
	drop(s.byUser, h.user(), h)
}

// of gives the holds that one of the instances or users is part of.
func (s *holds) of(instances map[ident.Instance]struct{}, users map[ident.User]struct{}) []*hold {
	s.mu.Lock()
	defer s.mu.Unlock()
	hit := map[*hold]struct{}{}
	for id := range instances {
		for h := range s.byInstance[id] {
			hit[h] = struct{}{}
		}
	}
	for id := range users {
		for h := range s.byUser[id] {
			hit[h] = struct{}{}
		}
	}
	return list(hit)
}

// all gives every hold.
func (s *holds) all() []*hold {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*hold
	for _, set := range s.byInstance {
		out = append(out, list(set)...)
	}
	return out
}

func list(set map[*hold]struct{}) []*hold {
	out := make([]*hold, 0, len(set))
	for h := range set {
		out = append(out, h)
	}
	return out
}

func put[K comparable](m map[K]map[*hold]struct{}, key K, h *hold) {
	if m[key] == nil {
		m[key] = map[*hold]struct{}{}
	}
	m[key][h] = struct{}{}
}

func drop[K comparable](m map[K]map[*hold]struct{}, key K, h *hold) {
	delete(m[key], h)
	if len(m[key]) == 0 {
		delete(m, key)
	}
}

func asProblem(err error) (*problem.Problem, bool) {
	var p *problem.Problem
	ok := errors.As(err, &p)
	return p, ok
}
