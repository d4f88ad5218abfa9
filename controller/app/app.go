package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/berth-panel/berth/controller/activity"
	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/certificate"
	"github.com/berth-panel/berth/controller/classic"
	"github.com/berth-panel/berth/controller/console"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/file"
	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/grant"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/controller/image/compose"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/invite"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/live"
	"github.com/berth-panel/berth/controller/login"
	"github.com/berth-panel/berth/controller/mail"
	"github.com/berth-panel/berth/controller/move"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/oidc"
	"github.com/berth-panel/berth/controller/preset"
	"github.com/berth-panel/berth/controller/registry"
	"github.com/berth-panel/berth/controller/release"
	"github.com/berth-panel/berth/controller/secret"
	"github.com/berth-panel/berth/controller/setting"
	"github.com/berth-panel/berth/controller/sftp"
	"github.com/berth-panel/berth/controller/stats"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/controller/subuser"
	"github.com/berth-panel/berth/shared/build"
	"github.com/berth-panel/berth/shared/guard"
	"github.com/berth-panel/berth/web"
)

// Config is how a controller runs.
type Config struct {
	Data      string // directory of everything it keeps
	PublicURL string // what agents are told to call, without a slash at the end; "" is the last run's
	RateLimit int    // calls a minute for a key; 0 none
	// Proxies are trusted to say where a call comes from, and whether by https.
	Proxies []netip.Prefix
	HSTS    bool // browsers that came by https shall come by nothing else
	// ImportNetworks are those beside the public internet from which images may be
	// imported by an address.
	ImportNetworks []netip.Prefix
	// TLS says where certificates come from; without any HTTPS is a proxy's.
	TLS        certificate.Options
	HTTPListen string // HOST:PORT of a plain door that leads to HTTPS and answers an authority; "" none
	// KeepEvents is how long the log of events goes back; 0 for ever.
	KeepEvents time.Duration
	// APIKey and AdminPassword become the first admin's at the first start; ""
	// has them generated.
	APIKey        string
	AdminPassword string
	Agents        *release.Programs // that are handed out; nil: those that were built in
	SFTPListen    string            // HOST:PORT of the controller's own SFTP door; "" none
	MetricsListen string            // "host:port" of the page for Prometheus, which asks for no key there; "" is none
	Placement     node.Strategy     // of instances whose node is left open; "" is spread
	Hash          identity.Cost     // of passwords; zero is the usual
	Log           *slog.Logger
	Now           func() time.Time
}

// App is a controller. Close it when it was not Run.
type App struct {
	cfg     Config
	started time.Time
	lock    *lock
	url     string // the public one
	first   identity.FirstRun

	DB         *store.DB
	API        *httpapi.API
	Events     *event.Log
	Jobs       *job.Service
	Fleet      *fleet.Fleet
	Users      *identity.Service
	Logins     *login.Service
	Settings   *setting.Store
	Mail       *mail.Service
	Invites    *invite.Service
	OIDC       *oidc.Service
	Nodes      *node.Service
	Ports      *allocation.Service
	Images     *image.Service
	Presets    *preset.Service
	Registries *registry.Service
	Instances  *instance.Service
	Subusers   *subuser.Service
	Grants     *grant.Service
	Files      *file.Service
	Consoles   *console.Service
	Moves      *move.Service
	Releases   *release.Service
	Stats      *stats.Service
	Live       *live.Service
	// Certificates of HTTPS; nil: it isn't spoken here.
	Certificates *certificate.Service
	Metrics      *stats.Metrics
	SFTP         *sftp.Service
}

// New opens the data directory and makes every room. ErrInUse says that another
// controller has the directory.
func New(ctx context.Context, cfg Config) (*App, error) {
	held, err := acquire(cfg.Data)
	if err != nil {
		return nil, err
	}
	a := &App{cfg: cfg, lock: held, started: cfg.Now()}
	if err := a.open(ctx); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

func (a *App) open(ctx context.Context) (err error) {
	cfg := a.cfg
	if err := finishRestore(cfg.Data); err != nil {
		return err
	}
	if cfg.PublicURL, err = publicURL(cfg.Data, cfg.PublicURL); err != nil {
		return err
	}
	a.url = cfg.PublicURL
	if err := a.certified(ctx); err != nil {
		return err
	}
	if err := a.beforeMigration(ctx); err != nil {
		return err
	}
	if a.DB, err = store.Open(ctx, filepath.Join(cfg.Data, databaseFile)); err != nil {
		return err
	}
	box, err := secret.Open(cfg.Data)
	if err != nil {
		return err
	}
	authority, err := fleet.OpenAuthority(cfg.Data, cfg.Now)
	if err != nil {
		return err
	}
	if cfg.Agents == nil {
		cfg.Agents = release.Embedded()
	}
	a.Events = event.New(cfg.Now)
	a.Jobs = job.NewService(a.DB, a.Events, cfg.Log, cfg.Now)
	a.Fleet = fleet.New(fleet.Options{Authority: authority, Logger: cfg.Log, Now: cfg.Now})
	if a.Users, err = identity.New(identity.Config{DB: a.DB, Events: a.Events, Logger: cfg.Log, Now: cfg.Now, Hash: cfg.Hash}); err != nil {
		return err
	}
	a.Logins, err = login.New(login.Deps{DB: a.DB, Events: a.Events, Users: a.Users, Secrets: box, PublicURL: cfg.PublicURL, Log: cfg.Log, Now: cfg.Now})
	if err != nil {
		return err
	}
	a.Users.AttachLogins(a.Logins)
	if err := a.openPeople(box); err != nil {
		return err
	}
	links := &links{}
	a.Users.Attach(links)
	a.Nodes = node.NewService(node.Deps{DB: a.DB, Events: a.Events, Fleet: a.Fleet, Authority: authority, Secrets: box, Instances: links,
		PublicURL: cfg.PublicURL, Install: cfg.Agents.Line, Placement: cfg.Placement, Log: cfg.Log, Now: cfg.Now})
	a.Ports = allocation.NewService(a.DB, a.Events, a.Nodes, cfg.Now)
	a.Images = image.NewService(a.DB, a.Events, links, cfg.Now)
	a.Images.Attach(guard.Client(cfg.ImportNetworks), compose.Reader{})
	a.Registries = registry.NewService(registry.Deps{DB: a.DB, Events: a.Events, Secrets: box, Instances: links, Images: a.Images, Nodes: a.Nodes, Fleet: a.Fleet,
		Log: cfg.Log, Now: cfg.Now})
	a.Presets = preset.NewService(a.DB, a.Events, cfg.Now)
	a.Instances = instance.NewService(instance.Deps{DB: a.DB, Events: a.Events, Jobs: a.Jobs, Agents: a.Registries.Agents(a.Fleet), Nodes: a.Nodes, Ports: a.Ports,
		Log: cfg.Log, Now: cfg.Now})
	links.Service = a.Instances
	a.Subusers = subuser.NewService(subuser.Deps{DB: a.DB, Events: a.Events, Instances: a.Instances, Inviter: a.Invites, Now: cfg.Now})
	a.Users.AttachShares(a.Subusers)
	a.Instances.AttachSharing(a.Subusers)
	a.Grants = grant.NewService(grant.Deps{DB: a.DB, Events: a.Events, Instances: a.Instances, Callers: a.Logins, Log: cfg.Log, Now: cfg.Now})
	a.Consoles = console.NewService(console.Deps{Agents: a.Fleet, Instances: a.Instances, Grants: a.Grants, Log: cfg.Log})
	a.Files = file.NewService(file.Deps{DB: a.DB, Events: a.Events, Jobs: a.Jobs, Grants: a.Grants, Agents: a.Fleet, Instances: a.Instances, Log: cfg.Log, Now: cfg.Now})
	a.Stats = stats.NewService(stats.Deps{Agents: a.Fleet, Instances: a.Instances, Nodes: a.Nodes, Grants: a.Grants, Log: cfg.Log, Now: cfg.Now})
	a.Metrics = stats.NewMetrics(a.metricCounts)
	a.Live = live.NewService(live.Deps{DB: a.DB, Events: a.Events, Callers: a.Logins, Grants: a.Grants, Figures: a.Stats, Nodes: a.Nodes, Log: cfg.Log})
	a.Moves = move.NewService(move.Deps{DB: a.DB, Events: a.Events, Jobs: a.Jobs, Agents: a.Registries.Agents(a.Fleet), Nodes: a.Nodes, Ports: a.Ports,
		Instances: a.Instances, Log: cfg.Log, Now: cfg.Now})
	a.Releases = release.NewService(release.Deps{DB: a.DB, Jobs: a.Jobs, Nodes: a.Nodes, Agents: a.Fleet, Programs: cfg.Agents, PublicURL: cfg.PublicURL, Log: cfg.Log})
	a.SFTP, err = sftp.New(sftp.Deps{DB: a.DB, Events: a.Events, Users: a.Users, Instances: a.Instances, Nodes: a.Nodes, Agents: a.Fleet,
		Door: sftp.DoorConfig{Dir: cfg.Data, Listen: cfg.SFTPListen}, PublicURL: cfg.PublicURL, Log: cfg.Log, Now: cfg.Now})
	if err != nil {
		return err
	}
	if a.first, err = a.Users.Bootstrap(ctx, cfg.APIKey, cfg.AdminPassword); err != nil {
		return err
	}
	if a.first.Created {
		if err := a.Images.Seed(ctx); err != nil {
			return fmt.Errorf("fill the catalogue: %w", err)
		}
	}
	return a.mount() //nolint:contextcheck // a socket lives by the context of its own call
}

// links is how earlier rooms reach instance, which is made after them.
type links struct{ *instance.Service }

func (a *App) mount() (err error) {
	pages, err := web.Pages()
	if err != nil {
		return err
	}
	a.API, err = httpapi.New(httpapi.Config{
		Authenticator: a.Users, Sessions: a.Logins, PublicURL: a.url, Proxies: a.cfg.Proxies, HSTS: a.cfg.HSTS, DB: a.DB, Logger: a.cfg.Log, Now: a.cfg.Now, RateLimit: a.cfg.RateLimit,
		Title: "Berth", Version: build.Version, Static: pages, Observe: a.Metrics.Observe,
	})
	if err != nil {
		return err
	}
	a.Users.Mount(a.API)
	a.Logins.Mount(a.API)
	a.mountPeople()
	a.Nodes.Mount(a.API)
	a.Fleet.Mount(a.API)
	a.Ports.Mount(a.API)
	a.Images.Mount(a.API)
	a.Presets.Mount(a.API)
	a.Registries.Mount(a.API)
	a.Instances.Mount(a.API)
	a.Subusers.Mount(a.API)
	a.Files.Mount(a.API)
	a.Consoles.Mount(a.API)
	a.Stats.Mount(a.API)
	a.Metrics.Mount(a.API)
	a.Moves.Mount(a.API)
	a.Releases.Mount(a.API)
	a.SFTP.Mount(a.API)
	a.Jobs.Mount(a.API)
	event.NewAPI(a.Events, a.DB).Mount(a.API)
	activity.New(a.DB, a.Events, a.Grants).Mount(a.API)
	a.Live.Mount(a.API)
	classic.New(classic.Deps{DB: a.DB, Users: a.Users, Nodes: a.Nodes, Images: a.Images, Instances: a.Instances, Jobs: a.Jobs, Fleet: a.Fleet,
		Grants: a.Grants, Consoles: a.Consoles, Stats: a.Stats, Log: a.cfg.Log}).Mount(a.API)
	a.mountStatus()
	return a.API.Err()
}

// FirstRun tells what was made at the first start, with its secrets; Created is
// false at every later one.
func (a *App) FirstRun() identity.FirstRun { return a.first }

// Run serves on the listener and on the local socket, keeps the fleet connected
// and works jobs off, until ctx ends. It closes the App.
func (a *App) Run(ctx context.Context, ln net.Listener) error {
	defer func() { _ = a.Close() }()
	socket, err := a.listenLocal(controlSocket)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	metrics, err := a.listenMetrics(ctx)
	if err != nil {
		return errors.Join(err, ln.Close(), socket.Close())
	}
	in, err := a.openDoors(ctx, ln)
	if err != nil {
		return errors.Join(err, ln.Close(), socket.Close(), closeIfOpen(metrics))
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.serveMetrics(ctx, metrics) })
	a.serveDoors(ctx, group, in)
	group.Go(func() error { return a.API.Serve(ctx, socket) })
	group.Go(func() error { a.Users.Run(ctx); return nil })
	group.Go(func() error { a.Logins.Run(ctx); return nil })
	group.Go(func() error { a.Mail.Run(ctx); return nil })
	group.Go(func() error { a.Mail.Alert(ctx, admins{a.Users}); return nil })
	group.Go(func() error { a.Grants.Run(ctx); return nil })
	group.Go(func() error { a.Live.Run(ctx); return nil })
	group.Go(func() error { a.Nodes.Watch(ctx); return nil })
	group.Go(func() error { a.Files.Run(ctx); return nil })
	group.Go(func() error { return a.Jobs.Run(ctx) })
	group.Go(func() error { a.Events.Run(ctx, a.DB, a.cfg.KeepEvents, a.cfg.Log); return nil })
	group.Go(func() error { return a.Fleet.Run(ctx, a.Nodes, a.Nodes) })
	group.Go(func() error { a.Nodes.Renew(ctx, a.Fleet); return nil })
	group.Go(func() error { a.SFTP.Run(ctx); return nil })
	group.Go(func() error { a.Registries.Run(ctx); return nil })
	if err := group.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// Close frees the data directory.
func (a *App) Close() error {
	var err error
	if a.SFTP != nil {
		a.SFTP.Close()
	}
	if a.DB != nil {
		err = a.DB.Close()
	}
	return errors.Join(err, a.lock.release())
}
