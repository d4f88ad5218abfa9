package node_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/roomtest"
	"github.com/berth-panel/berth/controller/secret"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The HTTP server's library has helpers that sleep on for a while after it has ended.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
	)
}

// presences stands in for the fleet where no connection is needed.
type presences struct {
	mu        sync.Mutex
	of        map[ident.Node]fleet.Presence
	refreshed int
}

func (p *presences) Presence(id ident.Node) fleet.Presence {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.of[id]
}

func (p *presences) OnlineNodes() []ident.Node {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []ident.Node
	for id, presence := range p.of {
		if presence.Online {
			out = append(out, id)
		}
	}
	return out
}

func (p *presences) Refresh() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refreshed++
}

func (p *presences) set(id ident.Node, presence fleet.Presence) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of[id] = presence
}

func (p *presences) refreshes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refreshed
}

// guests stands in for the room of the instances: it writes each event that it
// takes into a table of its own, so that a test sees what was committed.
type guests struct {
	mu         sync.Mutex
	refuse     map[int64]error // by the event's number: after it wrote
	reconciled []wire.Inventory
	failing    error // of Reconcile
}

func (g *guests) ApplyEvent(ctx context.Context, tx *store.Tx, id ident.Node, e wire.Event) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO events (at, type, node_id, actor, data) VALUES (?, 'test.applied', ?, '{}', '{}')`, e.Seq, string(id)); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refuse[e.Seq]
}

func (g *guests) Reconcile(_ context.Context, _ ident.Node, inventory wire.Inventory) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reconciled = append(g.reconciled, inventory)
	return g.failing
}

func (g *guests) fail(seq int64, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refuse[seq] = err
}

type bundle struct {
	t         testing.TB
	dir       string
	db        *store.DB
	authority *fleet.Authority
	fleet     *presences
	guests    *guests
	clock     *roomtest.Clock
	log       *roomtest.Log
	nodes     *node.Service
}

func setup(t testing.TB) *bundle {
	t.Helper()
	b := &bundle{
		t: t, dir: t.TempDir(), fleet: &presences{of: map[ident.Node]fleet.Presence{}},
		guests: &guests{refuse: map[int64]error{}},
		clock:  roomtest.NewClock(), log: &roomtest.Log{},
	}
	b.open(b.fleet, b.clock.Now)
	return b
}

// open opens the data directory, again after a restart.
func (b *bundle) open(connections node.Fleet, now func() time.Time) {
	b.t.Helper()
	db := roomtest.StoreIn(b.t, b.dir)
	box, err := secret.Open(b.dir)
	roomtest.Must(b.t, err)
	if b.authority, err = fleet.OpenAuthority(b.dir, now); err != nil {
		b.t.Fatal(err)
	}
	b.db = db
	b.nodes = node.NewService(node.Deps{
		DB: db, Events: event.New(now), Fleet: connections, Authority: b.authority, Secrets: box, Instances: b.guests,
		PublicURL: "http://panel.example:8080", Log: slog.New(slog.NewTextHandler(b.log, nil)), Now: now,
	})
}

var admin = access.Caller{Actor: access.Actor{Via: access.ViaKey, User: "admin", Username: "admin"}, Admin: true, Scopes: []access.Scope{access.ScopeAdmin}}

var home = netip.MustParseAddr("192.0.2.10")

func spec(name string) node.Spec {
	return node.Spec{Name: name, Address: "10.0.0.5", Port: 8443, MemoryMiB: 4096, DiskMiB: 40960}
}

// make makes a node with its key.
func (b *bundle) make(name string) (node.Node, wire.EnrolmentKey) {
	b.t.Helper()
	n, e, err := b.nodes.Create(b.t.Context(), admin, spec(name))
	if err != nil {
		b.t.Fatal(err)
	}
	return n, b.parse(e)
}

func (b *bundle) parse(e node.Enrolment) wire.EnrolmentKey {
	b.t.Helper()
	key, err := wire.ParseEnrolmentKey(e.Key)
	if err != nil {
		b.t.Fatal(err)
	}
	return key
}

// enrolled makes a node whose agent was let in.
func (b *bundle) enrolled(name string) node.Node {
	b.t.Helper()
	n, key := b.make(name)
	if _, err := b.nodes.Enrol(b.t.Context(), b.request(key), home); err != nil {
		b.t.Fatal(err)
	}
	return b.get(n.ID)
}

// settle makes it that the node has n instances, each of 512 MiB, 5120 MiB of
// disk and half a core.
func (b *bundle) settle(id ident.Node, n int) {
	b.t.Helper()
	b.exec(`UPDATE node_loads SET instances = ?1, memory_mib = ?1 * 512, disk_mib = ?1 * 5120, nano_cpus = ?1 * 500000000 WHERE node_id = ?2`, n, string(id))
}

// exec writes by hand.
func (b *bundle) exec(query string, args ...any) {
	b.t.Helper()
	err := b.db.Write(b.t.Context(), func(tx *store.Tx) error {
		_, err := tx.ExecContext(b.t.Context(), query, args...)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// request is a right request of an agent with a new key pair.
func (b *bundle) request(key wire.EnrolmentKey) wire.EnrolRequest {
	b.t.Helper()
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce)
	r := wire.EnrolRequest{
		KeyID: key.ID, Nonce: base64.RawURLEncoding.EncodeToString(nonce), CSR: b.csr(),
		Agent: wire.EnrolAgent{Release: "0.1.0", Wire: wire.Version, Name: "joiner", Port: 8443, Tags: []string{"ssd"}, MemoryMiB: 2048, DiskMiB: 20480},
	}
	r.MAC = key.SignRequest(r)
	return r
}

func (b *bundle) csr() string {
	b.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

func (b *bundle) get(id ident.Node) node.Node {
	b.t.Helper()
	n, err := b.nodes.Get(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

func (b *bundle) all() []node.Node {
	b.t.Helper()
	nodes, err := b.nodes.All(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return nodes
}

// facts lists the types of the facts in the log, the oldest first.
func (b *bundle) facts() string {
	b.t.Helper()
	types, err := store.Collect(b.t.Context(), b.db.Snapshot(), func(row func(...any) error) (s string, err error) { return s, row(&s) },
		`SELECT type FROM events WHERE type <> 'test.applied' ORDER BY id`)
	if err != nil {
		b.t.Fatal(err)
	}
	return strings.Join(types, " ")
}

// applied lists the numbers of the events that took effect.
func (b *bundle) applied(id ident.Node) []int64 {
	b.t.Helper()
	list, err := store.Collect(b.t.Context(), b.db.Snapshot(), func(row func(...any) error) (n int64, err error) { return n, row(&n) },
		`SELECT at FROM events WHERE type = 'test.applied' AND node_id = ? ORDER BY id`, string(id))
	if err != nil {
		b.t.Fatal(err)
	}
	return list
}

// dump is all that the database holds of nodes and keys, to see that nothing changed.
func (b *bundle) dump() string {
	b.t.Helper()
	var out bytes.Buffer
	for _, table := range []string{"nodes", "node_loads", "enrolment_keys", "enrolments", "events"} {
		if err := dumpTable(b.t.Context(), &out, b.db.Snapshot(), table); err != nil {
			b.t.Fatal(err)
		}
	}
	return out.String()
}

// dumpTable writes a line of JSON for each row.
func dumpTable(ctx context.Context, out *bytes.Buffer, q store.Querier, table string) error {
	rows, err := q.QueryContext(ctx, `SELECT * FROM `+table)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			return err
		}
		line, err := json.Marshal(values)
		if err != nil {
			return err
		}
		out.Write(append(line, '\n'))
	}
	return rows.Err()
}

func wantProblem(t *testing.T, err error, code problem.Code, text string) {
	t.Helper()
	var p *problem.Problem
	if !errors.As(err, &p) || p.Code != code || !strings.Contains(p.Message, text) {
		t.Fatalf("want %s with %q, have %v", code, text, err)
	}
}
