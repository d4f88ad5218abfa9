package console

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Engine is what consoles need of the container engine.
type Engine interface {
	Attach(ctx context.Context, id runtime.ContainerID) (runtime.Attachment, error)
	Log(ctx context.Context, id runtime.ContainerID, which runtime.LogRange, handle func(runtime.LogPart) error) error
	Resize(ctx context.Context, id runtime.ContainerID, rows, columns uint16) error
	Inspect(ctx context.Context, id runtime.ContainerID) (runtime.Container, error)
}

// Instances are those that this node has (agent/instance).
type Instances interface {
	State(id ident.Instance) (wire.State, error)
	Subscribe(id ident.Instance) (changed <-chan struct{}, cancel func())
}

// Options are what a Room works with; all are needed but those that say so.
type Options struct {
	Dir       string // of the records; made when it is missing
	Engine    Engine
	Instances Instances
	Upgrade   func(w http.ResponseWriter, r *http.Request) (*websocket.Conn, error)
	Log       *slog.Logger
	Now       func() time.Time

	PerInstance int           // readers of an instance; 0 is 256
	PerNode     int           // readers of the node; 0 is 4096
	Behind      int64         // bytes of an instance's record while a reader is late; 0 is four times wire.ConsoleBytes
	Ping        time.Duration // between pings to a reader; 0 is 15 s
	Patience    time.Duration // how long a silent reader is held for alive; 0 is three pings
}

// Room is the consoles of a node. Its methods are safe for concurrent use; Close
// ends it.
type Room struct {
	Options
	boot string
	life context.Context // of the sessions; stop ends it
	stop context.CancelFunc

	resuming chan struct{} // holds as many as are found again at a time
	reading  chan struct{} // and as many whose logs are read at a time

	mu       sync.Mutex
	consoles map[ident.Instance]*console
	readers  int
	deaf     bool // no more readers
	closed   bool
	work     sync.WaitGroup
}

// What an agent's start may do at a time, when it finds hundreds of containers.
const (
	resumeAtOnce = 16
	readAtOnce   = 4
)

// New makes a Room; nothing is read before it is needed.
func New(o Options) (*Room, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	for setting, or := range map[*int]int{&o.PerInstance: 256, &o.PerNode: 4096} {
		if *setting <= 0 {
			*setting = or
		}
	}
	if o.Behind <= 0 {
		o.Behind = 4 * wire.ConsoleBytes
	}
	if o.Ping <= 0 {
		o.Ping = 15 * time.Second
	}
	if o.Patience <= 0 {
		o.Patience = 3 * o.Ping
	}
	k := &Room{Options: o, boot: strings.TrimSpace(string(boot)), consoles: map[ident.Instance]*console{}}
	k.resuming, k.reading = make(chan struct{}, resumeAtOnce), make(chan struct{}, readAtOnce)
	k.life, k.stop = context.WithCancel(forever{})
	return k, nil
}

// forever is the root of the context in which a Room works on its own: between
// calls, and longer than any of them.
type forever struct{}

func (forever) Deadline() (time.Time, bool) { return time.Time{}, false }
func (forever) Done() <-chan struct{}       { return nil }
func (forever) Err() error                  { return nil }
func (forever) Value(any) any               { return nil }

// Dismiss ends all readers, and lets none come any more.
func (k *Room) Dismiss() {
	k.mu.Lock()
	k.deaf = true
	all := k.all()
	k.mu.Unlock()
	for _, c := range all {
		c.dismiss("the agent is being stopped")
	}
}

// Close ends everything and closes the records. Containers live on.
func (k *Room) Close() error {
	k.Dismiss()
	k.mu.Lock()
	k.closed = true
	k.stop()
	all := k.all()
	k.mu.Unlock()
	var errs []error
	for _, c := range all {
		c.endSession()
	}
	k.work.Wait()
	for _, c := range all {
		errs = append(errs, c.close())
	}
	return errors.Join(errs...)
}

func (k *Room) all() []*console {
	list := make([]*console, 0, len(k.consoles))
	for _, c := range k.consoles {
		list = append(list, c)
	}
	return list
}

// of gives the console of an instance, and makes one for it.
func (k *Room) of(id ident.Instance) *console {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.consoles[id]
	if c == nil {
		c = &console{room: k, id: id, dir: filepath.Join(k.Dir, string(id)), log: k.Log.With("instance", string(id)), typing: make(chan struct{}, 1)}
		k.consoles[id] = c
	}
	return c
}

// begin counts work that Close waits for; false when the Room is closed.
func (k *Room) begin() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return false
	}
	k.work.Add(1)
	return true
}

// Say adds what the agent has to say about an instance.
func (k *Room) Say(id ident.Instance, text string) {
	k.of(id).add([]entry{{at: k.Now(), source: wire.ConsoleBerth, text: clean([]byte(text))}})
}

// Install takes the output of an installation.
func (k *Room) Install(id ident.Instance) io.WriteCloser {
	return &installation{room: k, id: id, lines: splitter{source: wire.ConsoleInstall}}
}

type installation struct {
	room *Room
	id   ident.Instance

	mu    sync.Mutex
	lines splitter
}

func (i *installation) Write(p []byte) (int, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.room.of(i.id).add(i.lines.feed(nil, p, i.room.Now()))
	return len(p), nil
}

func (i *installation) Close() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.room.of(i.id).add(i.lines.end(nil, i.room.Now()))
	return nil
}

// Remove forgets an instance.
func (k *Room) Remove(id ident.Instance) {
	if !id.Valid() {
		return
	}
	c := k.of(id)
	c.dismiss("the instance was removed")
	c.endSession()
	c.remove()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.consoles[id] == c {
		delete(k.consoles, id)
	}
}

// Keep removes the records of all other instances. One that is in use is left.
func (k *Room) Keep(ids []ident.Instance) {
	names, err := os.ReadDir(k.Dir)
	if err != nil {
		k.Log.Warn("the consoles' records can't be listed", "error", err)
		return
	}
	keep := make(map[string]bool, len(ids))
	for _, id := range ids {
		keep[string(id)] = true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, n := range names {
		id := ident.Instance(n.Name())
		if !id.Valid() || keep[n.Name()] || k.consoles[id] != nil {
			continue
		}
		if err := os.RemoveAll(filepath.Join(k.Dir, n.Name())); err != nil {
			k.Log.Warn("a console's record can't be removed", "instance", n.Name(), "error", err)
		}
	}
}

// enter counts a reader; leave ends what it counted.
func (k *Room) enter() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.deaf:
		return problem.New(problem.NodeOffline, "the agent is being stopped")
	case k.readers >= k.PerNode:
		return problem.New(problem.RateLimited, "this node has %d open consoles, and takes no more", k.readers)
	}
	k.readers++
	k.work.Add(1)
	return nil
}

func (k *Room) leave() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.readers--
	k.work.Done()
}
