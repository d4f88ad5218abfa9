package fleet

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/turnstile"
	"github.com/berth-panel/berth/shared/wire"
)

// The clock of a connection. Together they keep the promise that a node's
// coming and going is known within 15 s.
const (
	silenceLimit   = 12 * time.Second // without a sign of life: offline
	connectTimeout = 5 * time.Second  // to reach the port and finish the TLS handshake
	callTimeout    = 10 * time.Second // for a call, its wait for a free slot included
	firstPause     = 200 * time.Millisecond
	longestPause   = 5 * time.Second
	steadyAfter    = 10 * time.Second // online for so long: the next pause is the first again
	farewell       = 5 * time.Second  // for Sink.Disconnected after everything else was cancelled
)

// Target is one agent to be connected with.
type Target struct {
	Node        ident.Node
	Name        string // for messages; a change of it cuts nothing
	Address     string // host name or IP
	Port        int
	Tunnel      bool   // the agent opens a tunnel; address and port are nothing to dial
	Certificate string // serial of the certificate that is let in, hex
	// NextCertificate is the serial of one that is on its way to the agent and is
	// let in too; "" none.
	NextCertificate string
}

// Shown is a certificate that an agent showed.
type Shown struct {
	Serial   string // hex
	NotAfter time.Time
}

// Directory says which agents there are to be connected with: enrolled, not revoked.
type Directory interface {
	Targets(ctx context.Context) ([]Target, error)
	// Tunnelled is called when a node that is to be dialled has opened a tunnel
	// and proven itself: from now on Targets has it as one with a tunnel.
	Tunnelled(ctx context.Context, node ident.Node) error
	// Renewed is called when a node shows the certificate that was on its way to
	// it: from now on Targets has no other. It may be called again.
	Renewed(ctx context.Context, node ident.Node, shown Shown) error
}

// Sink is told what happens on the connections. For one node its methods are
// called by one goroutine at a time. An error from any of the first three ends
// the connection; the next try is made after the usual pause.
type Sink interface {
	// Connected is called when the right agent has said hello. It gives the
	// number of the last event that took effect in the hello's epoch.
	Connected(ctx context.Context, node ident.Node, hello wire.Hello) (after int64, err error)
	// Synced is called when the event stream stands and calls are possible, with
	// all that the agent held at a moment after that. Events of before that
	// moment may still follow.
	Synced(ctx context.Context, node ident.Node, inventory wire.Inventory) error
	// Events takes a batch in, its numbers rising. When it returns nil they have
	// taken effect for good. After a break the same events may come again.
	Events(ctx context.Context, node ident.Node, epoch string, events []wire.Event) error
	// Disconnected ends each Connected that returned no error. why is ErrStopped
	// when it is the controller that leaves, ErrCut when the node is let in no
	// longer or is found elsewhere now.
	Disconnected(ctx context.Context, node ident.Node, why error)
}

// Why a connection was ended from this side.
var (
	ErrStopped = errors.New("the controller stops")
	ErrCut     = errors.New("this connection is not let in any more")
)

// Presence is what is known of a node's connection.
type Presence struct {
	Online bool
	Since  time.Time // of being online, or of being offline
	Heard  time.Time // the last sign of life; zero: none since the controller's start
	Reason string    // of being offline, for people
	// CertificateEndsAt is the end of the certificate that the agent showed last;
	// zero: none since the controller's start.
	CertificateEndsAt time.Time
}

// Options are what a fleet needs.
type Options struct {
	Authority *Authority
	Logger    *slog.Logger
	Now       func() time.Time
	// Dial opens the raw connection to an agent; nil dials TCP. The way for
	// tunnels, and for tests without a network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Fleet is the set of live connections. It is safe for concurrent use.
type Fleet struct {
	authority *Authority
	log       *slog.Logger
	now       func() time.Time
	dial      func(ctx context.Context, network, address string) (net.Conn, error)
	wake      chan struct{}
	lobby     *turnstile.Lobby
	serving   sync.WaitGroup // tunnels

	mu        sync.Mutex
	links     map[ident.Node]*link
	tunnels   map[ident.Node]*tunnel // proven
	open      map[*tunnel]struct{}   // all
	directory Directory              // that Run was given
	live      context.Context        // that Run was given
	over      bool                   // Run is about to return
}

// New makes a fleet without connections; Run makes them.
func New(o Options) *Fleet {
	f := &Fleet{
		authority: o.Authority, log: o.Logger, now: o.Now, dial: o.Dial,
		wake: make(chan struct{}, 1), links: map[ident.Node]*link{}, lobby: turnstile.NewLobby(strangersAtOnce, strangersEach),
		tunnels: map[ident.Node]*tunnel{}, open: map[*tunnel]struct{}{},
	}
	if f.dial == nil {
		f.dial = (&net.Dialer{}).DialContext
	}
	return f
}

// Run keeps a connection to every target of the directory until ctx ends, then
// ends them and everything else it started. Call it once.
func (f *Fleet) Run(ctx context.Context, directory Directory, sink Sink) error {
	f.mu.Lock()
	f.directory, f.live = directory, ctx
	f.mu.Unlock()
	var running sync.WaitGroup
	defer f.serving.Wait()
	defer running.Wait()
	defer f.closeTunnels() // not before the links know that it is us who leave
	live, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(ErrStopped)
	for ctx.Err() == nil {
		var again <-chan time.Time
		if targets, err := directory.Targets(ctx); err != nil {
			f.log.Error("read the list of nodes", "error", err)
			again = time.After(time.Second)
		} else {
			f.follow(live, targets, sink, &running)
		}
		select {
		case <-ctx.Done():
		case <-f.wake:
		case <-again:
		}
	}
	return nil
}

// Refresh has the directory read again, soon: call it after the commit of any
// change that Targets shows. It does not wait.
func (f *Fleet) Refresh() {
	select {
	case f.wake <- struct{}{}:
	default: // one is due already, and it reads what is true by then
	}
}

// follow makes the links be those of the targets.
func (f *Fleet) follow(ctx context.Context, targets []Target, sink Sink, running *sync.WaitGroup) {
	f.mu.Lock()
	defer f.mu.Unlock()
	wanted := make(map[ident.Node]bool, len(targets))
	dialled := map[ident.Node]bool{} // from now on
	for _, target := range targets {
		wanted[target.Node] = true
		old := f.links[target.Node]
		if old != nil && old.keeps(target) {
			continue
		}
		fresh := f.newLink(ctx, target, sink)
		if old != nil {
			old.cut(ErrCut)
			fresh.before = old.done // one owner at a time
			dialled[target.Node] = old.target.Tunnel && !target.Tunnel
		}
		f.links[target.Node] = fresh
		running.Go(func() { f.own(fresh) }) //nolint:contextcheck // a link lives by the context that it was made with
	}
	for node, l := range f.links {
		if !wanted[node] {
			l.cut(ErrCut)
		}
	}
	f.followTunnels(dialled)
}

// stopping says that it is the controller that leaves: what breaks then breaks
// for no other reason.
func (f *Fleet) stopping() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.live.Err() != nil
}

// own runs a link and forgets it once it has ended.
func (f *Fleet) own(l *link) {
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.links[l.target.Node] == l {
			delete(f.links, l.target.Node)
		}
		close(l.done)
	}()
	l.run()
}

func (f *Fleet) link(node ident.Node) *link {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.links[node]
}

// Presence says whether the node is connected, and if not, why.
func (f *Fleet) Presence(node ident.Node) Presence {
	if l := f.link(node); l != nil {
		return l.look()
	}
	return Presence{Reason: "it is not enrolled, or was revoked (a new enrolment key lets it in), or the controller has only just begun"}
}

// Online says whether the node can be called now.
func (f *Fleet) Online(node ident.Node) bool { return f.Presence(node).Online }

// OnlineNodes lists the nodes that can be called now, in no order.
func (f *Fleet) OnlineNodes() []ident.Node {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]ident.Node, 0, len(f.links))
	for node, l := range f.links {
		if l.look().Online {
			out = append(out, node)
		}
	}
	return out
}
