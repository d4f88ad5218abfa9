package registry

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Journal keeps the logins (agent/journal).
type Journal interface {
	Registries() (wire.Registries, error)
	KeepRegistries(r wire.Registries) error
}

// Engine tries logins (agent/runtime).
type Engine interface {
	TryLogin(ctx context.Context, host string, login runtime.Login) error
}

// Options are what a Service works with; all are needed.
type Options struct {
	Journal Journal
	Engine  Engine
	Log     *slog.Logger
}

// Service holds the logins. Safe for concurrent use.
type Service struct {
	Options

	mu     sync.Mutex
	held   int64 // revision
	logins map[string]runtime.Login
}

// Open loads what the journal keeps.
func Open(o Options) (*Service, error) {
	kept, err := o.Journal.Registries()
	if err != nil {
		return nil, err
	}
	s := &Service{Options: o}
	s.take(kept)
	return s, nil
}

// take is called under mu, or before anybody else has the service.
func (s *Service) take(all wire.Registries) {
	s.held, s.logins = all.Revision, make(map[string]runtime.Login, len(all.Logins))
	for _, l := range all.Logins {
		if l.Password != "" {
			s.logins[strings.ToLower(l.Host)] = runtime.Login{Username: l.Username, Password: l.Password}
		}
	}
}

// Login is what the registry of that host is shown; the zero value when there is
// none for it.
func (s *Service) Login(host string) runtime.Login {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins[strings.ToLower(host)]
}

const (
	mostLogins = 1000
	mostText   = 16 << 10
	tryWithin  = 25 * time.Second // less than a call to the agent's door may take
)

// put takes over a push, and says what is held then.
func (s *Service) put(all wire.Registries) (wire.RegistriesHeld, error) {
	if len(all.Logins) > mostLogins {
		return wire.RegistriesHeld{}, problem.Invalid("logins", "at most %d", mostLogins)
	}
	for _, l := range all.Logins {
		if err := check(l); err != nil {
			return wire.RegistriesHeld{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if all.Revision < s.held {
		return wire.RegistriesHeld{Revision: s.held}, nil
	}
	if err := s.Journal.KeepRegistries(all); err != nil {
		s.Log.Error("the journal can't be written", "error", err)
		return wire.RegistriesHeld{}, problem.New(problem.Internal, "the node can't write its journal: its disk may be full").Because(err)
	}
	s.take(all)
	return wire.RegistriesHeld{Revision: s.held}, nil
}

func check(l wire.Registry) error {
	host, err := runtime.Host(l.Host + "/x")
	if err != nil || host != strings.ToLower(l.Host) {
		return problem.Invalid("host", "%.120q is no registry's, as references name it", l.Host)
	}
	if len(l.Username) > mostText || len(l.Password) > mostText {
		return problem.Invalid("logins", "a user name or a password is longer than %d bytes", mostText)
	}
	return nil
}

// try lets the engine try a login, and says what came of it.
func (s *Service) try(ctx context.Context, l wire.Registry) (wire.RegistryChecked, error) {
	if err := check(l); err != nil {
		return wire.RegistryChecked{}, err
	}
	limited, cancel := context.WithTimeout(ctx, tryWithin)
	defer cancel()
	err := s.Engine.TryLogin(limited, strings.ToLower(l.Host), runtime.Login{Username: l.Username, Password: l.Password})
	if err == nil {
		return wire.RegistryChecked{Status: wire.RegistryOK, Message: "registry " + l.Host + " takes the login"}, nil
	}
	if ctx.Err() != nil {
		return wire.RegistryChecked{}, ctx.Err()
	}
	if limited.Err() != nil {
		return wire.RegistryChecked{Status: wire.RegistryUnreachable, Message: "registry " + l.Host + " gives this node no answer"}, nil
	}
	message := "the container engine doesn't answer"
	var f *runtime.Failure
	if errors.As(err, &f) {
		message = f.Message
	}
	status := wire.RegistryFailed
	switch runtime.ReasonOf(err) {
	case runtime.ImageDenied:
		status = wire.RegistryRefused
	case runtime.RegistryDown:
		status = wire.RegistryUnreachable
	case runtime.RegistryLimited:
		status = wire.RegistryLimited
	}
	if status == wire.RegistryFailed {
		s.Log.Warn("a login could not be tried", "registry", l.Host, "error", err)
	}
	return wire.RegistryChecked{Status: status, Message: message}, nil
}
