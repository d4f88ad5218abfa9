package node_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/fleet/fleettest"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/roomtest"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

const day = 24 * time.Hour

// dueAfter is when a certificate that was made at the test's beginning is renewed.
const dueAfter = 365*day - fleet.RenewBefore

// clocked is a live bundle whose clock the test moves, with one agent.
type clocked struct {
	*live
	agent *fleettest.Agent
	id    ident.Node
	halt  func()
}

func setupClocked(t *testing.T) *clocked {
	t.Helper()
	b := &bundle{t: t, dir: t.TempDir(), guests: &guests{refuse: map[int64]error{}}, log: &roomtest.Log{}, clock: roomtest.ClockAt(time.Now())}
	c := &clocked{live: &live{bundle: b}}
	c.start()
	t.Cleanup(func() { c.halt() })
	e, err := c.nodes.NewJoinKey(t.Context(), admin, node.Join{})
	if err != nil {
		t.Fatal(err)
	}
	c.agent = fleettest.Listen(t)
	c.agent.Clock(b.clock.Now)
	c.id = c.admit(c.agent, c.parse(e))
	c.online()
	return c
}

// start opens the data directory and runs the connections; again after halt.
func (c *clocked) start() {
	c.t.Helper()
	authority, err := fleet.OpenAuthority(c.dir, c.clock.Now)
	if err != nil {
		c.t.Fatal(err)
	}
	c.real = fleet.New(fleet.Options{Authority: authority, Logger: slog.New(slog.NewTextHandler(c.log, nil)), Now: c.clock.Now})
	c.open(c.real, c.clock.Now)
	ctx, cancel := context.WithCancel(c.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.real.Run(ctx, c.nodes, c.nodes) }()
	halted := false
	c.halt = func() {
		if halted {
			return
		}
		halted = true
		cancel()
		if err := <-ended; err != nil {
			c.t.Errorf("Run: %v", err)
		}
	}
}

func (c *clocked) online() {
	c.t.Helper()
	eventually(c.t, "online", func() bool { return c.state(c.id) == node.Online })
}

// reconnect breaks the connection and waits for the next.
func (c *clocked) reconnect() {
	c.t.Helper()
	before := len(c.agent.Streams())
	c.agent.Drop()
	c.agent.Wait(c.t, "another stream", func() bool { return len(c.agent.Streams()) > before })
	c.online()
}

func (c *clocked) renew() error { return node.RenewNow(c.t.Context(), c.nodes, c.real, c.id) }

// settled checks that the node has one certificate, and that the agent shows it.
func (c *clocked) settled(renewals int) {
	c.t.Helper()
	n := c.get(c.id)
	if n.NextCertificate != "" || n.Certificate != c.agent.Target().Certificate || c.agent.Renewals() != renewals {
		c.t.Fatalf("certificate %q, next %q, the agent shows %q after %d renewals", n.Certificate, n.NextCertificate, c.agent.Target().Certificate, c.agent.Renewals())
	}
	if told := strings.Count(c.facts(), "node.certificate_renewed"); told != min(renewals, 1) && told != renewals {
		c.t.Fatalf("%s", c.facts())
	}
	if n.CertificateEndsAt == nil || n.CertificateEndsAt.Before(c.clock.Now()) {
		c.t.Fatalf("it ends at %v", n.CertificateEndsAt)
	}
}

func TestCertificateIsRenewedAtTwoThirdsOfItsLife(t *testing.T) {
	t.Parallel()
	c := setupClocked(t)
	first := c.get(c.id)
	c.clock.Add(dueAfter - day)
	if err := c.renew(); err != nil {
		t.Fatal(err)
	}
	c.settled(0)
	c.clock.Add(2 * day)
	if err := c.renew(); err != nil {
		t.Fatal(err)
	}
	c.settled(1)
	n := c.get(c.id)
	if n.Certificate == first.Certificate || n.CertificateEndsAt.Sub(c.clock.Now()) < 364*day {
		t.Fatalf("%+v", n)
	}
	if err := c.renew(); err != nil { // nothing is due any more
		t.Fatal(err)
	}
	c.settled(1)
	if facts := c.facts(); strings.Contains(facts, "offline") {
		t.Fatalf("the renewal cut the connection: %s", facts)
	}
	c.reconnect()
}

func TestRenewalBeginsWhenANodeConnects(t *testing.T) {
	t.Parallel()
	c := setupClocked(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.nodes.Renew(ctx, c.real)
	}()
	c.clock.Add(dueAfter + day)
	c.reconnect()
	eventually(t, "renewed", func() bool { return strings.Contains(c.facts(), "node.certificate_renewed") })
	c.settled(1)
	cancel()
	<-ended
}

// lossy loses what the controller was about to do.
type lossy struct{ node.Agents }

func (lossy) InstallCertificate(context.Context, ident.Node, fleet.Issued) (fleet.Shown, error) {
	return fleet.Shown{}, errors.New("the controller died here")
}

// Whoever dies wherever on the way: the node can connect, and a later try
// succeeds.
func TestRenewalThatIsCutShort(t *testing.T) {
	t.Parallel()
	answer := func(c *clocked, method string, how fleettest.Answer) error {
		c.agent.OnRenew(func(m string) *fleettest.Answer {
			if m != method {
				return nil
			}
			return &how
		})
		defer c.agent.OnRenew(nil)
		return c.renew()
	}
	cases := map[string]struct {
		cut      func(c *clocked) error
		took     bool // the agent has the new one
		renewals int  // after the later try
	}{
		"the agent refuses to ask": {func(c *clocked) error {
			return answer(c, http.MethodPost, fleettest.Answer{Problem: problem.New(problem.Internal, "the disk is full")})
		}, false, 1},
		"the request is lost": {func(c *clocked) error {
			return answer(c, http.MethodPost, fleettest.Answer{Break: true})
		}, false, 1},
		"it asks with nonsense": {func(c *clocked) error {
			return answer(c, http.MethodPost, fleettest.Answer{Status: 200, Body: `{"csr": "x"}`})
		}, false, 1},
		"the controller dies before it hands it out": {func(c *clocked) error {
			return node.RenewNow(c.t.Context(), c.nodes, lossy{c.real}, c.id)
		}, false, 1},
		"the agent refuses it": {func(c *clocked) error {
			return answer(c, http.MethodPut, fleettest.Answer{Problem: problem.New(problem.Conflict, "not mine")})
		}, false, 1},
		"the agent's answer is lost": {func(c *clocked) error {
			return answer(c, http.MethodPut, fleettest.Answer{Break: true})
		}, true, 1},
	}
	for name, how := range cases {
		for _, next := range []string{"try again", "reconnect", "restart"} {
			t.Run(name+", "+next, func(t *testing.T) {
				t.Parallel()
				c := setupClocked(t)
				c.clock.Add(dueAfter + day)
				if err := how.cut(c); err == nil {
					t.Fatal("nothing was cut short")
				}
				switch next {
				case "reconnect":
					c.reconnect()
				case "restart":
					c.halt()
					c.agent.Stop()
					c.start()
					c.agent.Start(t)
					c.online()
				}
				if how.took && next != "try again" {
					c.settled(1) // seen by the connection itself
				}
				if err := c.renew(); err != nil {
					t.Fatal(err)
				}
				c.settled(how.renewals)
				c.reconnect()
			})
		}
	}
}

func TestRevokeVoidsBothCertificates(t *testing.T) {
	t.Parallel()
	for name, void := range map[string]func(c *clocked){
		"revoked": func(c *clocked) {
			if _, err := c.nodes.Revoke(c.t.Context(), admin, c.id); err != nil {
				c.t.Fatal(err)
			}
		},
		"enrolled anew": func(c *clocked) {
			e, err := c.nodes.NewKey(c.t.Context(), admin, c.id)
			if err != nil {
				c.t.Fatal(err)
			}
			if _, err := c.nodes.Enrol(c.t.Context(), c.request(c.parse(e)), home); err != nil {
				c.t.Fatal(err)
			}
		},
	} {
		for _, took := range []bool{false, true} { // the agent has the new one
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				c := setupClocked(t)
				c.clock.Add(dueAfter + day)
				c.agent.OnRenew(func(method string) *fleettest.Answer {
					if method == http.MethodPost {
						return nil
					}
					if took {
						return &fleettest.Answer{Break: true}
					}
					return &fleettest.Answer{Problem: problem.New(problem.Internal, "no")}
				})
				if err := c.renew(); err == nil || c.get(c.id).NextCertificate == "" {
					t.Fatalf("no second certificate is on its way: %v", err)
				}
				void(c)
				if n := c.get(c.id); n.NextCertificate != "" {
					t.Fatalf("%q is still let in", n.NextCertificate)
				}
				eventually(t, "offline", func() bool { return c.state(c.id) != node.Online })
				streams := len(c.agent.Streams())
				c.real.Refresh()
				if err := c.renew(); err == nil && c.get(c.id).Certificate != "" && c.agent.Renewals() > 1 {
					t.Fatal("it was renewed all the same")
				}
				if len(c.agent.Streams()) != streams {
					t.Fatal("it came back")
				}
			})
		}
	}
}

func TestCertificateThatRanOut(t *testing.T) {
	t.Parallel()
	c := setupClocked(t)
	c.clock.Add(366 * day)
	c.agent.Drop()
	eventually(t, "the reason", func() bool {
		_, presence := c.nodes.State(c.get(c.id))
		return !presence.Online && strings.Contains(presence.Reason, "its certificate has run out")
	})
}

// The end of a certificate that was made before ends were kept is learnt.
func TestEndIsLearnt(t *testing.T) {
	t.Parallel()
	c := setupClocked(t)
	want := *c.get(c.id).CertificateEndsAt
	c.exec(`UPDATE nodes SET certificate_ends_at = NULL`)
	if err := c.renew(); err != nil {
		t.Fatal(err)
	}
	if got := c.get(c.id).CertificateEndsAt; got == nil || got.Sub(want).Abs() > 2*time.Second {
		t.Fatalf("%v, want %v", got, want)
	}
}

func TestTunnelledIsNotedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n := b.enrolled("a")
	for range 2 {
		if err := b.nodes.Tunnelled(t.Context(), n.ID); err != nil {
			t.Fatal(err)
		}
	}
	targets, err := b.nodes.Targets(t.Context())
	if err != nil || len(targets) != 1 || !targets[0].Tunnel || b.get(n.ID).Connection != node.Tunnel {
		t.Fatalf("%+v, %v", targets, err)
	}
	if facts := b.facts(); facts != "node.created node.enrolled node.connection_changed" {
		t.Fatalf("%s", facts)
	}
	if _, err := b.nodes.Change(t.Context(), admin, n.ID, func(s *node.Spec) { s.Connection = node.Dial }); err != nil {
		t.Fatal(err)
	}
	if targets, _ := b.nodes.Targets(t.Context()); targets[0].Tunnel {
		t.Fatal("it can't be dialled again")
	}
}

// What the agent says at its enrolment decides, and a node behind NAT that joins
// by itself has the address that its request came from.
func TestEnrolmentOfATunnel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	e, err := b.nodes.NewJoinKey(t.Context(), admin, node.Join{})
	if err != nil {
		t.Fatal(err)
	}
	key := b.parse(e)
	r := b.request(key)
	r.Agent.Tunnel = true
	r.MAC = key.SignRequest(r)
	answer, err := b.nodes.Enrol(t.Context(), r, home)
	if err != nil {
		t.Fatal(err)
	}
	if n := b.get(answer.Node); n.Connection != node.Tunnel || n.Address != home.String() || n.CertificateEndsAt == nil {
		t.Fatalf("%+v", n)
	}
	again, err := b.nodes.NewKey(t.Context(), admin, answer.Node)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.nodes.Enrol(t.Context(), b.request(b.parse(again)), home); err != nil {
		t.Fatal(err)
	}
	if n := b.get(answer.Node); n.Connection != node.Dial {
		t.Fatalf("the rebuilt machine has no tunnel, and yet: %+v", n)
	}
}
