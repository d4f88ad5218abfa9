package fake

import (
	"context"
	"sync"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/ident"
)

// Options say what the engine and its machine are. The zero value will do.
type Options struct {
	Node      ident.Node // "" is "fake-node"
	Info      runtime.Info
	Program   func(runtime.ContainerSpec) Program // what containers do; nil is the zero Program for all, but that installations end at once
	Addresses []string                            // the machine's, beside the loopback and the unspecified ones; nil lets every address be
	PidsLimit int64                               // for specs that name none; 0 is 512
	Now       func() time.Time                    // nil is the wall clock
}

// Engine is a scripted runtime.Engine of one node. Engines made by Beside share
// its machine: containers, images, networks and ports.
type Engine struct {
	node    ident.Node
	machine *machine
	faults  *faults
}

var _ runtime.Engine = (*Engine)(nil)

// machine is what the engines of several nodes share. Its mutex guards all of
// it, each box included.
type machine struct {
	mu        sync.Mutex
	now       func() time.Time
	info      runtime.Info
	addresses map[string]bool // nil: every address is the machine's
	program   func(runtime.ContainerSpec) Program
	pids      int64
	serial    uint64
	boxes     map[runtime.ContainerID]*box
	names     map[string]*box
	ports     map[portKey][]portUse
	images    map[string]*image // by full reference
	offers    map[string]Offer
	logins    map[string]runtime.Login // by host; see SetLogin
	networks  map[string]*bridge
	watchers  map[*watcher]struct{}
	silent    bool  // no watcher is told anything
	freed     int64 // by the removal of an image
}

// New makes an engine on a machine of its own.
func New(o Options) *Engine {
	if o.Node == "" {
		o.Node = "fake-node"
	}
	if o.Now == nil {
		o.Now = time.Now // the wall clock is handed in here
	}
	if o.Program == nil {
		o.Program = func(s runtime.ContainerSpec) Program { return Program{Ends: s.Role == runtime.RoleInstall} }
	}
	if o.PidsLimit == 0 {
		o.PidsLimit = 512
	}
	m := &machine{
		now: o.Now, info: withDefaults(o.Info), program: o.Program, pids: o.PidsLimit,
		boxes: map[runtime.ContainerID]*box{}, names: map[string]*box{}, ports: map[portKey][]portUse{},
		images: map[string]*image{}, offers: map[string]Offer{}, logins: map[string]runtime.Login{}, networks: map[string]*bridge{}, watchers: map[*watcher]struct{}{},
	}
	if o.Addresses != nil {
		m.addresses = map[string]bool{"0.0.0.0": true, "127.0.0.1": true, "::": true, "::1": true}
		for _, a := range o.Addresses {
			m.addresses[a] = true
		}
	}
	return &Engine{node: o.Node, machine: m, faults: newFaults()}
}

func withDefaults(i runtime.Info) runtime.Info {
	if i.Engine == "" {
		i.Engine = "fake"
	}
	if i.Version == "" {
		i.Version = "1.0"
	}
	if i.OS == "" {
		i.OS = "a machine in memory"
	}
	if i.Arch == "" {
		i.Arch = "amd64"
	}
	if i.Cores == 0 {
		i.Cores = 64
	}
	if i.MemoryBytes == 0 {
		i.MemoryBytes = 256 << 30
	}
	if i.StorageBytes == 0 {
		i.StorageBytes = 4 << 40
	}
	if i.StorageFree == 0 {
		i.StorageFree = i.StorageBytes / 2
	}
	return i
}

// Beside gives an engine of another node on the same machine, with faults of
// its own.
func (e *Engine) Beside(node ident.Node) *Engine {
	return &Engine{node: node, machine: e.machine, faults: newFaults()}
}

// SetProgram changes what containers do from their next start on.
func (e *Engine) SetProgram(program func(runtime.ContainerSpec) Program) {
	e.machine.mu.Lock()
	defer e.machine.mu.Unlock()
	e.machine.program = program
}

// Info gives what Options say of the machine.
func (e *Engine) Info(ctx context.Context) (runtime.Info, error) {
	if err := e.enter(ctx, Info); err != nil {
		return runtime.Info{}, err
	}
	e.machine.mu.Lock()
	defer e.machine.mu.Unlock()
	return e.machine.info, nil
}

// Close does nothing: the containers stay as they are.
func (e *Engine) Close() error { return nil }
