package sftp

import (
	"context"
	"errors"
	"time"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/sshdoor"
	"github.com/berth-panel/berth/shared/wire"
)

// errWrong is all that a stranger hears.
var errWrong = errors.New("the login is wrong")

// listedWithin is how long a right password waits for the push that lists its
// owner: after a change, an answer may be quicker than the push.
const listedWithin = 8 * time.Second // less than the controller waits for a call

// Password is sshdoor.Guard's: it asks the controller, unless too much was
// guessed.
func (s *Service) Password(ctx context.Context, l sshdoor.Login, password string) (guest, error) {
	name := fold(l.Username)
	if wait := s.guesses.Try(l.Address, name, s.Now()); wait > 0 {
		return guest{}, problem.New(problem.RateLimited, "Too many tries: wait %s, or use a key.", max(time.Second, wait.Round(time.Second)))
	}
	answer, err := s.asker.ask(ctx, wire.LoginQuestion{Username: l.Username, Instance: l.Instance, Password: password, Address: l.Address})
	if err == nil && !answer.Allowed && answer.Message == "" {
		return guest{}, errWrong
	}
	s.guesses.Passed(l.Address, name)
	switch {
	case err != nil:
		return guest{}, err
	case !answer.Allowed:
		return guest{}, problem.New(problem.Forbidden, "%s", answer.Message)
	}
	g := guest{user: answer.User, instance: l.Instance, address: l.Address, stamp: answer.Password}
	return g, s.listed(ctx, g)
}

// listed waits until the last push has a place for the guest.
func (s *Service) listed(ctx context.Context, g guest) error {
	ctx, cancel := context.WithTimeout(ctx, listedWithin)
	defer cancel()
	for {
		_, changed, err := s.logins.check(g)
		if err == nil {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return err
		}
	}
}
