package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// link owns the connection to one target for as long as the target stays the same.
type link struct {
	fleet  *Fleet
	target Target
	sink   Sink
	log    *slog.Logger
	client *http.Client
	slots  chan struct{} // calls under way
	bulk   *bulk         // for volumes on their way
	live   *live         // for people's streams

	ctx    context.Context // of the link's whole life; ends with the cause that cut was given
	cut    context.CancelCauseFunc
	before <-chan struct{} // the link to the same node before this one has ended; nil: there was none
	done   chan struct{}
	sooner chan struct{} // the next try need not wait

	mu       sync.Mutex
	name     string
	good     string // serials of the certificates that are let in
	next     string
	shown    Shown // by the last handshake
	presence Presence
	session  context.Context // while online: its end cuts the calls
}

// callsAtOnce bounds the calls to one node, so that a slow one holds up only its own.
const callsAtOnce = 16

func (f *Fleet) newLink(ctx context.Context, target Target, sink Sink) *link {
	l := &link{
		fleet: f, target: target, sink: sink, name: target.Name,
		log:      f.log.With("node", string(target.Node)),
		slots:    make(chan struct{}, callsAtOnce),
		done:     make(chan struct{}),
		sooner:   make(chan struct{}, 1),
		good:     target.Certificate,
		next:     target.NextCertificate,
		presence: Presence{Since: f.now(), Reason: "the controller is connecting to it for the first time since its start"},
	}
	l.ctx, l.cut = context.WithCancelCause(ctx)
	l.client = &http.Client{
		Transport: &http.Transport{
			DialTLSContext:      l.dialTLS,
			MaxConnsPerHost:     callsAtOnce + 2, // and hello and inventory
			MaxIdleConnsPerHost: 4,
			IdleConnTimeout:     90 * time.Second,
			DisableCompression:  true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	l.bulk, l.live = newBulk(l), newLive(l)
	return l
}

func (l *link) host() string { return net.JoinHostPort(l.target.Address, strconv.Itoa(l.target.Port)) }

// keeps says whether the link is good for this target too; it takes over a new
// name, and other certificates when the one that the agent shows stays good.
func (l *link) keeps(target Target) bool {
	if l.ctx.Err() != nil {
		return false
	}
	mine := l.target
	mine.Name, mine.Certificate, mine.NextCertificate = target.Name, target.Certificate, target.NextCertificate
	if mine != target {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	same := l.good == target.Certificate && l.next == target.NextCertificate
	shown := l.shown.Serial
	if !same && (shown == "" || shown != target.Certificate && shown != target.NextCertificate) {
		return false
	}
	l.name, l.good, l.next = target.Name, target.Certificate, target.NextCertificate
	return true
}

// accepts says whether a certificate of the target with that serial is let in.
func (l *link) accepts(serial string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return serial != "" && (serial == l.good || serial == l.next)
}

// saw notes what a handshake showed; false: it is not let in any more.
func (l *link) saw(shown Shown) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if shown.Serial != l.good && shown.Serial != l.next {
		return false
	}
	l.shown = shown
	l.presence.CertificateEndsAt = shown.NotAfter
	return true
}

// renewed gives the certificate that the agent shows when it is the one that was
// on its way to it.
func (l *link) renewed() (Shown, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shown, l.next != "" && l.shown.Serial == l.next
}

// hurry has the next try made at once.
func (l *link) hurry() {
	select {
	case l.sooner <- struct{}{}:
	default:
	}
}

// run connects again and again until the link is cut.
func (l *link) run() {
	defer l.client.CloseIdleConnections()
	defer l.bulk.client.CloseIdleConnections()
	defer l.live.client.CloseIdleConnections()
	if l.before != nil {
		<-l.before
	}
	pause := firstPause
	for l.ctx.Err() == nil {
		if l.connect() >= steadyAfter {
			pause = firstPause
		}
		if !l.sleep(pause/2 + rand.N(pause/2)) {
			return
		}
		pause = min(2*pause, longestPause)
	}
}

// sleep waits, and says false when the link was cut before.
func (l *link) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-l.ctx.Done():
		return false
	case <-l.sooner:
		return true
	case <-timer.C:
		return true
	}
}

// connect is one connection from hello to its end; it says for how long the
// node was online.
func (l *link) connect() time.Duration {
	ctx, cancel := context.WithCancelCause(l.ctx)
	defer cancel(nil)
	defer l.client.CloseIdleConnections()
	defer l.bulk.client.CloseIdleConnections()
	defer l.live.client.CloseIdleConnections()
	hello, err := l.hello(ctx)
	if err != nil {
		return l.leave(ended(ctx, err))
	}
	if shown, ok := l.renewed(); ok {
		if err := l.fleet.directory.Renewed(ctx, l.target.Node, shown); err != nil {
			return l.leave(ended(ctx, fmt.Errorf("take over the node's new certificate: %w", err)))
		}
	}
	after, err := l.sink.Connected(ctx, l.target.Node, hello)
	if err != nil {
		return l.leave(ended(ctx, fmt.Errorf("take the node in: %w", err)))
	}
	err = ended(ctx, l.serve(ctx, cancel, hello.Epoch, after))
	if l.fleet.stopping() {
		err = ErrStopped
	}
	cancel(err)            // cuts the calls that are under way
	online := l.leave(err) // before the Sink hears of it, so that it sees the node offline
	last, stop := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer stop()
	l.sink.Disconnected(last, l.target.Node, err)
	return online
}

// ended prefers why the connection was cancelled over the error that followed from it.
func ended(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// serve holds the event stream while it stands.
func (l *link) serve(ctx context.Context, cancel context.CancelCauseFunc, epoch string, after int64) error {
	events, err := l.openStream(ctx, cancel, epoch, after)
	if err != nil {
		return err
	}
	defer events.close()
	l.enter(ctx)
	inventory, err := l.inventory(ctx)
	if err != nil {
		return err
	}
	if err := l.sink.Synced(ctx, l.target.Node, inventory); err != nil {
		return fmt.Errorf("compare with what the node holds: %w", err)
	}
	for {
		batch, err := events.next(ctx)
		if err != nil {
			return err
		}
		if err := l.sink.Events(ctx, l.target.Node, epoch, batch); err != nil {
			return fmt.Errorf("take events in: %w", err)
		}
		if err := events.ack(batch[len(batch)-1].Seq); err != nil {
			return err
		}
	}
}

// hello asks who is there and whether both understand each other.
func (l *link) hello(ctx context.Context) (wire.Hello, error) {
	var said json.RawMessage
	if err := l.do(ctx, http.MethodGet, wire.PathHello, nil, &said); err != nil {
		return wire.Hello{}, err
	}
	return readHello(said, l.target.Node)
}

// readHello reads what an agent says of itself. Of another version only two
// fields are sure to mean what they mean here.
func readHello(said []byte, node ident.Node) (hello wire.Hello, err error) {
	var first struct {
		Wire    int    `json:"wire"`
		Release string `json:"release"`
	}
	err = json.Unmarshal(said, &first)
	if err == nil && first.Wire == wire.Version {
		err = json.Unmarshal(said, &hello)
	}
	hello.Wire, hello.Release = first.Wire, first.Release
	switch {
	case err != nil:
		return hello, fmt.Errorf("%w: %w", errGarbled, err)
	case hello.Wire < wire.Version:
		return hello, problem.New(problem.NodeOffline, "its agent (%s) is too old for this controller: it speaks version %d, version %d is needed; update the agent",
			release(hello), hello.Wire, wire.Version)
	case hello.Wire > wire.Version:
		return hello, problem.New(problem.NodeOffline, "its agent (%s) is newer than this controller: it speaks version %d, the controller %d; update the controller",
			release(hello), hello.Wire, wire.Version)
	case hello.Node != node:
		return hello, problem.New(problem.NodeOffline, "the agent there says that it is another node")
	case hello.Epoch == "":
		return hello, problem.New(problem.NodeOffline, "its agent does not say which journal it keeps")
	}
	return hello, nil
}

func release(h wire.Hello) string {
	if h.Release == "" || len(h.Release) > 64 {
		return "unknown release"
	}
	return "release " + strconv.QuoteToGraphic(h.Release)
}

func (l *link) inventory(ctx context.Context) (wire.Inventory, error) {
	var inventory wire.Inventory
	err := l.do(ctx, http.MethodGet, wire.PathInstances, nil, &inventory)
	return inventory, err
}

// enter marks the node online for as long as session lasts.
func (l *link) enter(session context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.fleet.now()
	l.presence = Presence{Online: true, Since: now, Heard: now, CertificateEndsAt: l.shown.NotAfter}
	l.session = session
	l.log.Info("node is online", "name", l.name)
}

// leave marks the node offline and says for how long it was online.
func (l *link) leave(why error) time.Duration {
	reason := explain(why)
	l.mu.Lock()
	defer l.mu.Unlock()
	var online time.Duration
	if l.presence.Online {
		now := l.fleet.now()
		online = now.Sub(l.presence.Since)
		l.presence.Online, l.presence.Since = false, now
	}
	if l.presence.Reason != reason {
		l.log.Info("node is offline", "name", l.name, "reason", reason, "error", why)
	}
	l.presence.Reason, l.session = reason, nil
	return online
}

func (l *link) heard() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.presence.Heard = l.fleet.now()
}

func (l *link) look() Presence {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lookLocked()
}

func (l *link) lookLocked() Presence {
	p := l.presence
	if p.Online && l.session.Err() != nil { // cut, and its owner is about to notice
		p.Online, p.Reason = false, explain(context.Cause(l.session))
	}
	return p
}

// current gives the session to call in, or the reason why there is none.
func (l *link) current() (session context.Context, name, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.lookLocked(); !p.Online {
		return nil, l.name, p.Reason
	}
	return l.session, l.name, ""
}
