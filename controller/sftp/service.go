package sftp

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/push"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/turnstile"
	"github.com/berth-panel/berth/shared/wire"
)

// Users are who may log in (controller/identity).
type Users interface {
	People(ctx context.Context) ([]identity.Person, error)
	LoginPerson(ctx context.Context, name, password string) (identity.Person, error)
	KeyHolder(ctx context.Context, username, fingerprint string) (identity.Person, error)
	User(ctx context.Context, id ident.User) (identity.User, error)
}

// Instances are what they may log in to (controller/instance).
type Instances interface {
	OnNode(ctx context.Context, node ident.Node) ([]instance.Tenure, error)
	Get(ctx context.Context, c access.Caller, id ident.Instance) (instance.Instance, error)
}

// Nodes are where those are (controller/node).
type Nodes interface {
	All(ctx context.Context) ([]node.Node, error)
	Find(ctx context.Context, q store.Querier, id ident.Node) (node.Node, error)
}

// Agents are the nodes' agents (controller/fleet).
type Agents interface {
	Presence(node ident.Node) fleet.Presence
	Call(ctx context.Context, node ident.Node, method, path string, in, out any) error
	Socket(ctx context.Context, node ident.Node, path string) (*fleet.Socket, error)
}

// Deps are the rooms that this stands on; all are needed but Door.
type Deps struct {
	DB        *store.DB
	Events    *event.Log
	Users     Users
	Instances Instances
	Nodes     Nodes
	Agents    Agents
	Door      DoorConfig
	PublicURL string // whose host people are told for the controller's own door
	Log       *slog.Logger
	Now       func() time.Time
}

// Service keeps the nodes' lists right, and is the controller's own door. Safe
// for concurrent use.
type Service struct {
	Deps
	guesses  *turnstile.Guesses
	sessions *turnstile.Lobby
	door     *door // nil: none
	copies   *push.Keeper[wire.Logins]
	asking   asking
}

// New makes the service, and listens if it has a door.
func New(d Deps) (*Service, error) {
	s := &Service{Deps: d, guesses: turnstile.NewGuesses(), sessions: turnstile.NewLobby(sessionsMost, sessionsEach), asking: asking{arrivals: map[ident.Node]int{}}}
	s.copies = s.keep()
	var err error
	s.door, err = s.openDoor(d.Door)
	return s, err
}

// Close frees the port, for a Service that was never run.
func (s *Service) Close() {
	if s.door != nil {
		_ = s.door.listener.Close()
	}
}

// Run keeps the lists of all nodes right, answers their questions, and serves
// the door, until ctx ends.
func (s *Service) Run(ctx context.Context) {
	var parts sync.WaitGroup
	defer parts.Wait()
	if s.door != nil {
		parts.Go(func() {
			if err := s.door.ssh.Serve(ctx, s.door.listener); err != nil {
				s.Log.Error("the controller's SFTP door is not served any more", "error", err)
			}
		})
	}
	s.copies.Run(ctx)
}

// callerOf is a person as rights are asked for him.
func callerOf(p identity.Person) access.Caller {
	return access.Caller{Actor: access.Actor{Via: access.ViaSFTP, User: p.ID, Username: p.Username}, Admin: p.Admin, Permissions: p.Permissions,
		Shares: p.Shares, Scopes: []access.Scope{access.ScopeWrite}}
}

// may is what a person may do with the files of an instance.
func may(p identity.Person, of access.Of) (login, write bool) {
	c := callerOf(p)
	return c.May(access.UseSFTP, of) && c.May(access.ReadFiles, of), c.May(access.WriteFiles, of)
}

// manages says whether all instances are open to the person, suspended or not.
func manages(p identity.Person) bool { return callerOf(p).Can(access.WriteInstances) }

// suspended is what the owner of a suspended instance is told.
func suspended(id ident.Instance, reason string) string {
	if reason != "" {
		reason = " (" + reason + ")"
	}
	return "Instance " + string(id) + " is suspended" + reason + ": ask an admin to unsuspend it."
}
