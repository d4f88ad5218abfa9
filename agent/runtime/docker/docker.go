package docker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/docker/docker/client"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/ident"
)

// The labels of what this package makes.
const (
	labelNode       = "berth.node"
	labelInstance   = "berth.instance"
	labelRole       = "berth.role"
	labelGeneration = "berth.generation"
	labelSpec       = "berth.spec"
	labelMAC        = "berth.mac"     // that it was made with
	labelNetwork    = "berth.network" // on networks, beside berth.node
	labelLoaded     = "berth.loaded"  // on images, instead of berth.node
)

// DefaultPidsLimit is for containers whose spec names none.
const DefaultPidsLimit = 512

// Options say which engine, and for whom.
type Options struct {
	Host      string           // "unix:///var/run/docker.sock", "tcp://…"; "" takes the environment's, else the default socket
	Node      ident.Node       // whose containers these are; required
	PidsLimit int64            // for specs that name none; 0 is DefaultPidsLimit
	Logger    *slog.Logger     // nil logs nothing
	Now       func() time.Time // nil is the wall clock; paces the progress of pulls
	// Supervisor is what instances' containers call; nil leaves their first process to
	// the engine. Whoever opened it closes it, after the Engine.
	Supervisor Supervisor
}

// Engine is a runtime.Engine on one Docker Engine. It holds no state of its own
// but a few remembered facts, and the containers whose programs have ended a moment
// ago: two of them on one engine do no harm.
type Engine struct {
	api    *client.Client
	raw    *http.Client // the same engine without the client's reading of answers; see watch.go
	node   ident.Node
	pids   int64
	log    *slog.Logger
	now    func() time.Time
	local  bool          // the engine is on this machine
	nets   sync.Mutex    // one EnsureNetwork at a time
	known  commands      // commands that were found in their images
	queued int           // how many changes may wait for Watch's handler
	stdin  time.Duration // stdinTimeout, but in tests
	// supervisor is nil where there is none.
	supervisor Supervisor
	holds      holds
	hold       time.Duration // holdFor, but in tests
	pruned     sync.Once     // doors of instances that have no container any more
	// life is what the supervisor's calls ask in: they come from containers, and no
	// caller has one for them.
	life context.Context
	end  context.CancelFunc
}

var _ runtime.Engine = (*Engine)(nil)

// New makes the client. It asks the engine nothing yet: one that is away shows
// at the first call, as Unreachable.
func New(o Options) (*Engine, error) {
	if o.Node == "" {
		return nil, errors.New("docker engine: no node given")
	}
	opts := []client.Opt{client.FromEnv, client.WithAPIVersionNegotiation()}
	if o.Host != "" {
		opts = append(opts, client.WithHost(o.Host))
	}
	api, err := client.NewClientWithOpts(opts...)
	if err != nil {
		return nil, fmt.Errorf("docker engine %q: %w", o.Host, err)
	}
	address, err := client.ParseHostURL(api.DaemonHost())
	if err != nil {
		return nil, fmt.Errorf("docker engine %q: %w", o.Host, err)
	}
	switch address.Scheme {
	case "unix", "tcp", "http", "https":
	default:
		return nil, fmt.Errorf("docker engine %q: not a unix:// or tcp:// address", o.Host)
	}
	life, end := context.WithCancel(context.Background()) //nolint:forbidigo // see Engine.life
	e := &Engine{
		api: api, life: life, end: end, node: o.Node, pids: o.PidsLimit, log: o.Logger, now: o.Now,
		local: address.Scheme == "unix", queued: maxQueued, stdin: stdinTimeout, hold: holdFor,
	}
	e.raw = &http.Client{Transport: &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return api.Dialer()(ctx) },
		DisableKeepAlives: true,
	}}
	if e.pids <= 0 {
		e.pids = DefaultPidsLimit
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.now == nil {
		e.now = time.Now // the wall clock is handed in here
	}
	if e.local && o.Supervisor != nil {
		e.supervisor = o.Supervisor
		e.supervisor.Serve(e.consider)
	}
	return e, nil
}

// Close frees the client's connections; the containers stay as they are, but those end
// whose programs have.
func (e *Engine) Close() error {
	e.end()
	e.holds.hangUp()
	e.raw.CloseIdleConnections()
	return e.api.Close()
}
