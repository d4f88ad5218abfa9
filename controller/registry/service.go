package registry

import (
	"context"
	"log/slog"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/push"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// Secrets seal passwords (controller/secret).
type Secrets interface {
	Seal(purpose string, plain []byte) []byte
	Open(purpose string, sealed []byte) ([]byte, error)
}

// Instances are what nodes pull images for (controller/instance).
type Instances interface {
	List(ctx context.Context, c access.Caller, f instance.Filter) ([]instance.Listed, int, error)
}

// Images say what else is pulled for them (controller/image).
type Images interface {
	All(ctx context.Context) ([]image.Image, error)
}

// Nodes are who pulls (controller/node).
type Nodes interface {
	All(ctx context.Context) ([]node.Node, error)
}

// Fleet reaches the nodes' agents (controller/fleet).
type Fleet interface {
	Presence(node ident.Node) fleet.Presence
	Call(ctx context.Context, node ident.Node, method, path string, in, out any) error
}

// Deps are the rooms that this stands on; all are needed.
type Deps struct {
	DB        *store.DB
	Events    *event.Log
	Secrets   Secrets
	Instances Instances
	Images    Images
	Nodes     Nodes
	Fleet     Fleet
	Log       *slog.Logger
	Now       func() time.Time
}

// Service is the verbs of logins, and keeps the nodes' copies right. Safe for
// concurrent use.
type Service struct {
	Deps
	copies *push.Keeper[copied]
	told   told
}

// NewService makes the service; Run keeps the nodes right.
func NewService(d Deps) *Service {
	s := &Service{Deps: d, told: newTold()}
	s.copies = s.keep()
	return s
}

// List gives all logins, by host.
func (s *Service) List(ctx context.Context) ([]Registry, error) {
	list, err := all(ctx, s.DB.Snapshot())
	for n := range list {
		_, list[n].Broken = s.password(list[n])
	}
	return list, err
}

// Get gives one login.
func (s *Service) Get(ctx context.Context, id ident.Registry) (Registry, error) {
	r, err := byID(ctx, s.DB.Snapshot(), id)
	if err == nil {
		_, r.Broken = s.password(r)
	}
	return r, err
}

// password opens what was sealed; broken says that it can't be opened any more.
func (s *Service) password(r Registry) (text string, broken bool) {
	plain, err := s.Secrets.Open(purpose(r.Host), r.sealed)
	return string(plain), err != nil
}

// Add keeps a login; a host that has one already is a CONFLICT.
func (s *Service) Add(ctx context.Context, c access.Caller, host, username, password string) (Registry, error) {
	host, err := readHost(host)
	if err != nil {
		return Registry{}, err
	}
	if err := checkUsername(username); err != nil {
		return Registry{}, err
	}
	if err := checkPassword(password); err != nil {
		return Registry{}, err
	}
	now := s.Now().UTC().Truncate(time.Millisecond)
	r := Registry{ID: ident.Registry(ident.New()), Host: host, Username: username, CreatedAt: now, UpdatedAt: now,
		sealed: s.Secrets.Seal(purpose(host), []byte(password))}
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		if err := add(ctx, tx, r); err != nil {
			return err
		}
		if err := s.tell(ctx, tx, c, "registry.created", r); err != nil {
			return err
		}
		return httpapi.Keep(ctx, tx, r.view())
	})
	return r, err
}

// Change gives a login another user name or password; nil leaves what there is.
// What changes nothing but the password counts as a change, too.
func (s *Service) Change(ctx context.Context, c access.Caller, id ident.Registry, username, password *string) (r Registry, err error) {
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		if r, err = byID(ctx, tx, id); err != nil {
			return err
		}
		_, r.Broken = s.password(r)
		same := password == nil && (username == nil || *username == r.Username)
		if same {
			return nil
		}
		if username != nil {
			if r.Username = *username; checkUsername(r.Username) != nil {
				return checkUsername(r.Username)
			}
		}
		if password != nil {
			if err := checkPassword(*password); err != nil {
				return err
			}
			r.sealed, r.Broken = s.Secrets.Seal(purpose(r.Host), []byte(*password)), false
		}
		r.UpdatedAt = s.Now().UTC().Truncate(time.Millisecond)
		if err := save(ctx, tx, r); err != nil {
			return err
		}
		return s.tell(ctx, tx, c, "registry.updated", r)
	})
	return r, err
}

// Delete forgets a login, here and on the nodes.
func (s *Service) Delete(ctx context.Context, c access.Caller, id ident.Registry) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		r, err := byID(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := remove(ctx, tx, id); err != nil {
			return err
		}
		return s.tell(ctx, tx, c, "registry.deleted", r)
	})
}

func (s *Service) tell(ctx context.Context, tx *store.Tx, c access.Caller, t event.Type, r Registry) error {
	return s.Events.Append(ctx, tx, event.Event{Type: t, Subject: string(r.ID), Actor: c.Actor}, map[string]string{"host": r.Host})
}

// mended is what to do about a login that can't be read.
func mended(r Registry) error {
	return problem.New(problem.Conflict, "the password for %s can't be read any more, because the controller's key is another: set it again", r.Host)
}
