package release

import (
	"io"
	"sync"

	"github.com/berth-panel/berth/shared/problem"
)

// What strangers can make us uncompress at a time: in all, and for one network,
// so that one that takes its time keeps nobody else from the agent.
const (
	downloadsAtOnce = 32
	downloadsEach   = 8
)

// downloads counts those under way. Safe for concurrent use.
type downloads struct {
	mu   sync.Mutex
	of   map[string]int // by network
	open int
}

// enter takes a place, if there is one; leave gives it back and must be called once.
func (d *downloads) enter(network string) (leave func(), ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open >= downloadsAtOnce || d.of[network] >= downloadsEach {
		return nil, false
	}
	d.open++
	d.of[network]++
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.open--
		if d.of[network]--; d.of[network] == 0 {
			delete(d.of, network)
		}
	}, true
}

// download opens a program for somebody of a network who fetches it, when not too
// many do.
func (s *Service) download(arch, network string) (Program, io.ReadCloser, error) {
	p, err := s.Programs.For(arch)
	if err != nil {
		return p, nil, err
	}
	leave, ok := s.downloads.enter(network)
	if !ok {
		return p, nil, problem.New(problem.RateLimited, "too many machines fetch the agent at this moment; try again in a minute")
	}
	body, err := p.Open()
	if err != nil {
		leave()
		return p, nil, err
	}
	return p, &counted{ReadCloser: body, done: leave}, nil
}

// counted gives its place back when it is closed.
type counted struct {
	io.ReadCloser
	done func()
}

// Close closes, once.
func (c *counted) Close() error {
	if c.done != nil {
		c.done()
		c.done = nil
	}
	return c.ReadCloser.Close()
}
