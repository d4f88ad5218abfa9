package classic

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/turnstile"
)

// Users finds and makes users.
type Users interface {
	CreateUser(ctx context.Context, n identity.NewUser) (identity.User, error)
	User(ctx context.Context, id ident.User) (identity.User, error)
	UserByUsername(ctx context.Context, name string) (identity.User, error)
	UserByEmail(ctx context.Context, email string) (identity.User, error)
	Users(ctx context.Context, f identity.UserFilter) ([]identity.User, int, error)
}

// Nodes finds, makes and deletes nodes.
type Nodes interface {
	All(ctx context.Context) ([]node.Node, error)
	Get(ctx context.Context, id ident.Node) (node.Node, error)
	State(n node.Node) (node.State, fleet.Presence)
	Create(ctx context.Context, c access.Caller, spec node.Spec) (node.Node, node.Enrolment, error)
	Delete(ctx context.Context, c access.Caller, id ident.Node) error
}

// Images finds images of the catalogue.
type Images interface {
	All(ctx context.Context) ([]image.Image, error)
	Get(ctx context.Context, id ident.Image) (image.Image, error)
}

// Instances is the verbs of instances.
type Instances interface {
	Create(ctx context.Context, c access.Caller, n instance.New) (instance.Instance, job.Job, error)
	Get(ctx context.Context, c access.Caller, id ident.Instance) (instance.Instance, error)
	List(ctx context.Context, c access.Caller, f instance.Filter) ([]instance.Listed, int, error)
	IDsByOwner(ctx context.Context, q store.Querier) (map[ident.User][]ident.Instance, error)
	Suspend(ctx context.Context, c access.Caller, id ident.Instance, reason string) (instance.Instance, job.Job, error)
	Unsuspend(ctx context.Context, c access.Caller, id ident.Instance) (instance.Instance, job.Job, error)
	Delete(ctx context.Context, c access.Caller, id ident.Instance) (instance.Instance, job.Job, error)
}

// Jobs waits for work.
type Jobs interface {
	AwaitThat(ctx context.Context, id ident.Job, that func(job.Job) bool) (job.Job, error)
}

// Fleet says which nodes are connected.
type Fleet interface {
	OnlineNodes() []ident.Node
}

// Deps are the rooms that the classic API translates for. All must be there.
type Deps struct {
	DB        *store.DB
	Users     Users
	Nodes     Nodes
	Images    Images
	Instances Instances
	Jobs      Jobs
	Fleet     Fleet
	Grants    Grants
	Consoles  Consoles
	Stats     Stats
	Log       *slog.Logger
	Name      string // of the panel, for GET /api/name; "" is Berth
}

// Service is the classic API. Safe for concurrent use.
type Service struct {
	Deps
	memo       *memo
	deleting   sync.Mutex    // see condemn
	deployWait time.Duration // see handedOver
	deleteWait time.Duration // see awaitDelete
	statsEvery time.Duration
	lobby      *turnstile.Lobby // sockets that have not said yet whose they are
}

// New makes the classic API; Mount it.
func New(d Deps) *Service {
	if d.Name == "" {
		d.Name = "Berth"
	}
	s := &Service{Deps: d, deployWait: deployWait, deleteWait: deleteWait, statsEvery: statsEvery, lobby: turnstile.NewLobby(strangers, strangersOf)}
	s.memo = newMemo(s.moment)
	return s
}

// moment is now, as far as the lists are concerned.
func (s *Service) moment() moment {
	online := s.Fleet.OnlineNodes()
	slices.Sort(online)
	var text strings.Builder
	for _, n := range online {
		text.WriteString(string(n))
		text.WriteByte(' ')
	}
	return moment{version: s.DB.Version(), online: text.String()}
}
