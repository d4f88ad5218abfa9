package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	"github.com/berth-panel/berth/agent/cgroup"
	"github.com/berth-panel/berth/agent/console"
	"github.com/berth-panel/berth/agent/demo"
	"github.com/berth-panel/berth/agent/egress"
	"github.com/berth-panel/berth/agent/enrol"
	"github.com/berth-panel/berth/agent/install"
	"github.com/berth-panel/berth/agent/instance"
	"github.com/berth-panel/berth/agent/journal"
	"github.com/berth-panel/berth/agent/move"
	"github.com/berth-panel/berth/agent/patch"
	"github.com/berth-panel/berth/agent/registry"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/docker"
	"github.com/berth-panel/berth/agent/server"
	"github.com/berth-panel/berth/agent/sftp"
	"github.com/berth-panel/berth/agent/stats"
	"github.com/berth-panel/berth/agent/supervisor"
	"github.com/berth-panel/berth/agent/tidy"
	"github.com/berth-panel/berth/agent/transfer"
	"github.com/berth-panel/berth/agent/tunnel"
	"github.com/berth-panel/berth/agent/update"
	"github.com/berth-panel/berth/agent/volume"
	"github.com/berth-panel/berth/shared/coarse"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// Defaults of a Config.
const (
	DefaultListen    = ":8443"
	DefaultNetwork   = "berth"
	DefaultPidsLimit = 512
)

// Where the volumes are in the data directory, and what containers see of the agent.
const (
	volumesDir    = "volumes"
	supervisorDir = "supervisor"
)

// UnmountVolumes takes the mounts of an agent's data directory away, once it is
// not used any more; see volume.Unmount.
func UnmountVolumes(data string) error { return volume.Unmount(filepath.Join(data, volumesDir)) }

// RemoveFirewall takes the rules of the node that a data directory is of out of the
// kernel; one that was never enrolled has none.
func RemoveFirewall(data string) error {
	keeper, err := enrol.Keep(data, time.Now)
	if errors.Is(err, enrol.ErrNotEnrolled) {
		return nil
	}
	if err != nil {
		return err
	}
	return egress.Uninstall(keeper.Identity().Node)
}

// closeWithin is how long calls under way may take when the agent ends.
const closeWithin = 3 * time.Second

// Config are the node's own settings. The zero value of each but Data is sane.
type Config struct {
	Data           string         // data directory, enrolled
	Listen         string         // "host:port"; "" is DefaultListen
	Tunnel         bool           // open a tunnel to the controller and listen nowhere
	DockerHost     string         // "unix:///…"; "" is the environment's, or Docker's default
	NetworkName    string         // of Berth's bridge; "" is DefaultNetwork
	NetworkSubnet  string         // CIDR; "" leaves it to the engine
	PidsLimit      int64          // for instances whose spec leaves it open; 0 is DefaultPidsLimit
	NoDemo         bool           // don't make the demo image
	NoFirewall     bool           // leave it to others what instances reach
	DemoExecutable string         // a static build of the agent; "" is the running program
	DemoReference  string         // name of the demo image; "" is demo.Reference
	AllowDownloads []netip.Prefix // private networks that installs may download from
	KeepImages     time.Duration  // how long an unused image that was pulled stays; 0 is tidy.DefaultKeep
	MetricsListen  string         // "host:port" of the page for Prometheus, which asks for no key; "" is none
	SFTPListen     string         // "host:port" of the SFTP door; "" or "off": none
	Volumes        string         // how disk limits are held: volume.Auto, or a driver that must work; "" is plain directories
	FreeSpace      int            // percent of the engine's filesystem for which images go earlier; 0 is tidy.DefaultFree, less is never
}

// Deps may replace parts of the outside; the zero value is the real thing.
type Deps struct {
	Engine   runtime.Engine  // closed by the App; nil is Docker at Config.DockerHost
	Listener net.Listener    // plain TCP, closed by the App; nil listens on Config.Listen
	Releases *update.Updater // of the program that runs; nil is one that can't be replaced
	Log      *slog.Logger    // nil discards
	Now      func() time.Time
}

// App is a whole agent.
type App struct {
	config          Config
	log             *slog.Logger
	node            ident.Node
	journal         *journal.Journal
	volumes         *volume.Store
	engine          runtime.Engine
	supervisor      *supervisor.Supervisor // nil: containers have the engine's own init
	tidy            *tidy.Tidy
	installer       *install.Installer
	scripts         *install.Scripts
	maker           *demo.Maker // nil without the demo
	moves           *move.Store
	logins          *registry.Service
	manager         *instance.Manager
	door            *server.Door
	rooms           map[string]server.Live // of the door
	sftp            *sftp.Service
	stats           *stats.Service
	console         *console.Room
	firewall        *egress.Firewall // nil: what instances reach is not limited
	transfer        *transfer.Store
	metrics         *http.Server // nil: not served
	metricsListener net.Listener
	listener        net.Listener
	tunnel          *tunnel.Tunnel // the listener, when it is one; else nil
	web             *http.Server
	closing         sync.Once
	closed          error
}

// New opens everything and listens; calls are answered once Run runs. Who does
// not call Run calls Close. ErrNotEnrolled of agent/enrol is among the errors.
func New(config Config, deps Deps) (*App, error) {
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Releases == nil {
		deps.Releases = update.Open(update.Options{Log: deps.Log, Now: deps.Now})
	}
	if deps.Engine != nil {
		config.NoFirewall = true // it has no bridge of ours
	}
	a := &App{config: config, log: deps.Log, engine: deps.Engine, listener: deps.Listener, rooms: map[string]server.Live{}}
	if err := a.build(deps); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// openSupervisor gives what instances' containers call, or nil: they get along
// without it.
func (a *App) openSupervisor(now func() time.Time) *supervisor.Supervisor {
	program := supervisor.Program()
	if program == nil {
		return nil
	}
	s, err := supervisor.Open(supervisor.Options{Dir: filepath.Join(a.config.Data, supervisorDir), Program: program, Log: a.log, Now: now})
	if err != nil {
		a.log.Warn("instances that crash are started again by the engine alone, which takes longer", "error", err)
		return nil
	}
	return s
}

func (a *App) build(deps Deps) error {
	keeper, err := enrol.Keep(a.config.Data, deps.Now)
	if err != nil {
		return err
	}
	identity := keeper.Identity()
	a.node = identity.Node
	if a.journal, err = journal.Open(filepath.Join(a.config.Data, "journal.db")); err != nil {
		return err
	}
	if a.volumes, err = volume.OpenWith(volume.Options{
		Dir: filepath.Join(a.config.Data, volumesDir), Driver: a.config.Volumes, Log: a.log, Now: deps.Now,
	}); err != nil {
		return err
	}
	if a.engine == nil {
		options := docker.Options{Host: a.config.DockerHost, Node: identity.Node, PidsLimit: a.pidsLimit(), Logger: a.log, Now: deps.Now}
		if a.supervisor = a.openSupervisor(deps.Now); a.supervisor != nil {
			options.Supervisor = a.supervisor
		}
		engine, err := docker.New(options)
		if err != nil {
			return err
		}
		a.engine = engine
	}
	a.tidy = tidy.New(tidy.Options{
		Engine: a.engine, Journal: a.journal, Keep: a.config.KeepImages, Free: a.config.FreeSpace, Log: a.log, Now: deps.Now,
	})
	a.engine = a.tidy.Engine() // from here on everything goes through it
	a.buildDemo()
	a.moves, err = move.New(move.Options{
		Volumes: a.volumes, Log: a.log, Now: deps.Now,
		Fetch: func(ctx context.Context, image wire.ImageSpec) error { return a.manager.Fetch(ctx, image) },
	})
	if err != nil {
		return err
	}
	if err := a.buildConsole(deps.Now); err != nil {
		return err
	}
	if a.logins, err = registry.Open(registry.Options{Journal: a.journal, Engine: a.engine, Log: a.log}); err != nil {
		return err
	}
	a.rooms["registries"] = a.logins.Room()
	if err := a.buildManager(deps.Now); err != nil {
		return err
	}
	if err := a.buildStats(deps.Now); err != nil {
		return err
	}
	a.buildTransfer(deps.Now)
	if err := a.buildSFTP(deps.Now); err != nil {
		return err
	}
	a.door = server.New(server.Options{Node: identity.Node, Instances: a.manager, Events: a.journal, Releases: deps.Releases, Certificates: keeper, Moves: a.moves, Rooms: a.rooms, Log: a.log, Now: deps.Now})
	return a.listen(keeper, deps.Now)
}

func (a *App) buildDemo() {
	if a.config.NoDemo {
		return
	}
	executable := a.config.DemoExecutable
	if executable == "" {
		// Not by its path: a new build may be there by now, or nothing.
		executable = "/proc/self/exe"
	}
	a.maker = demo.NewMaker(a.engine, a.demoReference(), executable, a.log)
}

func (a *App) demoReference() string {
	if a.config.DemoReference == "" {
		return demo.Reference
	}
	return a.config.DemoReference
}

func (a *App) buildManager(now func() time.Time) error {
	a.installer = install.New(a.config.AllowDownloads)
	var err error
	if a.scripts, err = install.OpenScripts(filepath.Join(a.config.Data, "install")); err != nil {
		return err
	}
	name := a.config.NetworkName
	if name == "" {
		name = DefaultNetwork
	}
	deps := instance.Deps{
		Throttle: cgroup.Open(""), Engine: a.engine, Journal: a.journal, Volumes: a.volumes, Installer: a.installer, Scripts: a.scripts, Patcher: patch.New(a.volumes, a.volumes.Privileged), Logins: a.logins, Moves: a.moves, Console: a.console, Writers: writers{a}, SFTP: a.announceSFTP, Log: a.log, Now: now,
	}
	if a.maker != nil {
		deps.Images = a.maker
	}
	if !a.config.NoFirewall {
		a.firewall = egress.Open(egress.Options{Node: a.node, Bridge: docker.BridgeName(name), Log: a.log})
		deps.Fence = a.firewall
	}
	a.manager, err = instance.New(instance.Config{
		Network:   runtime.NetworkSpec{Name: name, Subnet: a.config.NetworkSubnet},
		PidsLimit: a.pidsLimit(),
	}, deps)
	return err
}

func (a *App) pidsLimit() int64 {
	if a.config.PidsLimit > 0 {
		return a.config.PidsLimit
	}
	return DefaultPidsLimit
}

func (a *App) listen(keeper *enrol.Keeper, now func() time.Time) (err error) {
	if a.config.Tunnel {
		if a.tunnel, err = tunnel.New(tunnel.Options{Controller: keeper.Identity().Controller, Log: a.log, Now: now}); err != nil {
			return err
		}
		if a.listener != nil {
			_ = a.listener.Close() // nothing listens
		}
		a.listener = a.tunnel
	}
	if a.listener == nil {
		address := a.config.Listen
		if address == "" {
			address = DefaultListen
		}
		if a.listener, err = net.Listen("tcp", address); err != nil {
			return fmt.Errorf("listen for the controller: %w", err)
		}
	}
	a.web = &http.Server{
		Handler:           a.door,
		TLSConfig:         server.TLSConfig(keeper.Certificate, keeper.Identity().Authorities),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ConnContext:       coarse.With,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelDebug), // strangers at the door
	}
	return nil
}

// Addr is where the agent listens.
func (a *App) Addr() net.Addr { return a.listener.Addr() }

// Node is who this agent is.
func (a *App) Node() ident.Node { return a.node }
