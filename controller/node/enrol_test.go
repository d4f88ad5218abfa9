package node_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// proven checks an answer as an agent does and gives its certificate.
func proven(t *testing.T, key wire.EnrolmentKey, nonce string, a wire.EnrolAnswer) *x509.Certificate {
	t.Helper()
	if !wire.Proves(a.MAC, key.SignAnswer(nonce, a)) {
		t.Fatal("the answer does not prove the key")
	}
	ca, _ := pem.Decode([]byte(a.CA))
	leaf, _ := pem.Decode([]byte(a.Certificate))
	if ca == nil || leaf == nil {
		t.Fatal("the answer's certificates are not PEM")
	}
	if sum := sha256.Sum256(ca.Bytes); !bytes.Equal(sum[:], key.Fingerprint) {
		t.Fatal("the CA is not the one that the key names")
	}
	cert, err := x509.ParseCertificate(leaf.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if cert.URIs[0].String() != wire.NodeURI(a.Node) {
		t.Fatalf("the certificate is for %v", cert.URIs)
	}
	return cert
}

func TestEnrolLetsTheNodeIn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n, key := b.make("a")
	if state, _ := b.nodes.State(n); state != node.Unconfigured {
		t.Fatalf("a new node is %s", state)
	}
	r := b.request(key)
	answer, err := b.nodes.Enrol(t.Context(), r, home)
	if err != nil {
		t.Fatal(err)
	}
	cert := proven(t, key, r.Nonce, answer)
	after := b.get(n.ID)
	if answer.Node != n.ID || after.Certificate != cert.SerialNumber.Text(16) || after.EnrolledAt == nil {
		t.Fatalf("answer for %s, node %+v", answer.Node, after)
	}
	if after.Name != "a" || after.Address != "10.0.0.5" || len(after.Tags) != 0 || after.MemoryMiB != 4096 {
		t.Fatalf("the agent's words changed the node: %+v", after)
	}
	if state, _ := b.nodes.State(after); state != node.Offline {
		t.Fatalf("an enrolled node is %s", state)
	}
	targets, err := b.nodes.Targets(t.Context())
	if err != nil || len(targets) != 1 || targets[0].Certificate != after.Certificate || b.fleet.refreshes() != 1 {
		t.Fatalf("targets %+v (%v), refreshed %d times", targets, err, b.fleet.refreshes())
	}
	if got := b.facts(); got != "node.created node.enrolled" {
		t.Fatalf("facts: %s", got)
	}
}

func TestKeysAreKeptSealed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, key := b.make("a")
	var sealed []byte
	if err := b.db.Snapshot().QueryRowContext(t.Context(), `SELECT secret FROM enrolment_keys`).Scan(&sealed); err != nil {
		t.Fatal(err)
	}
	if len(sealed) == 0 || bytes.Contains(sealed, key.Secret) || bytes.Contains(sealed, key.Secret[:8]) {
		t.Fatal("the secret can be read in the database")
	}
}

// An agent of an older version proves itself as it did then: it is told that it is
// too old, not that its key is unknown.
func TestEnrolmentOfAnOlderAgent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, key := b.make("a")
	r := b.request(key)
	r.Agent.Wire, r.MAC = wire.Version-1, "another proof"
	_, err := b.nodes.Enrol(t.Context(), r, home)
	wantProblem(t, err, problem.BadRequest, fmt.Sprintf("this agent speaks version %d", wire.Version-1))
}

func TestUnprovenRequestsAllGetOneAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, key := b.make("a")
	stale := key
	_, err := b.nodes.NewKey(t.Context(), admin, b.all()[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	_, key = b.make("b")
	changes := map[string]func(r *wire.EnrolRequest){
		"a replaced key":  func(r *wire.EnrolRequest) { *r = b.request(stale) },
		"an unknown key":  func(r *wire.EnrolRequest) { r.KeyID = "nobody"; r.MAC = key.SignRequest(*r) },
		"SQL for a key":   func(r *wire.EnrolRequest) { r.KeyID = "' OR 1=1 --"; r.MAC = key.SignRequest(*r) },
		"no key":          func(r *wire.EnrolRequest) { r.KeyID = "" },
		"another secret":  func(r *wire.EnrolRequest) { k := key; k.Secret = make([]byte, 32); r.MAC = k.SignRequest(*r) },
		"no proof":        func(r *wire.EnrolRequest) { r.MAC = "" },
		"changed proof":   func(r *wire.EnrolRequest) { r.MAC = string(r.MAC[0]^1) + r.MAC[1:] }, // another digit, whichever it was
		"changed nonce":   func(r *wire.EnrolRequest) { r.Nonce = "AAAAAAAAAAAAAAAAAAAAAA" },
		"changed CSR":     func(r *wire.EnrolRequest) { r.CSR = b.csr() },
		"changed name":    func(r *wire.EnrolRequest) { r.Agent.Name = "x" },
		"changed address": func(r *wire.EnrolRequest) { r.Agent.Address = "198.51.100.1" },
		"changed port":    func(r *wire.EnrolRequest) { r.Agent.Port++ },
		"changed tags":    func(r *wire.EnrolRequest) { r.Agent.Tags = append(r.Agent.Tags, "x") },
		"changed memory":  func(r *wire.EnrolRequest) { r.Agent.MemoryMiB++ },
		"changed disk":    func(r *wire.EnrolRequest) { r.Agent.DiskMiB++ },
		"changed wire":    func(r *wire.EnrolRequest) { r.Agent.Wire++ },
		"changed release": func(r *wire.EnrolRequest) { r.Agent.Release = "x" },
	}
	before, said := b.dump(), map[string]bool{}
	from := home
	for name, change := range changes {
		r := b.request(key)
		change(&r)
		from = from.Next() // each from an address of its own, else they would be slowed
		_, err := b.nodes.Enrol(t.Context(), r, from)
		if !problem.Is(err, problem.Unauthorized) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		said[err.Error()] = true
	}
	if len(said) != 1 {
		t.Errorf("different answers tell what was wrong: %v", said)
	}
	if b.dump() != before {
		t.Error("something was changed")
	}
	if _, err := b.nodes.Enrol(t.Context(), b.request(key), home); err != nil {
		t.Errorf("the right request after all that: %v", err)
	}
}

func TestProvenRequestsThatAreRefusedCostNothing(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change func(r *wire.EnrolRequest)
		code   problem.Code
		text   string
	}{
		"no CSR": {func(r *wire.EnrolRequest) { r.CSR = "" }, problem.Validation, "csr"},
		"not a CSR": {func(r *wire.EnrolRequest) {
			r.CSR = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"
		}, problem.Validation, "csr"},
		"short nonce":  {func(r *wire.EnrolRequest) { r.Nonce = "AAAA" }, problem.Validation, "nonce"},
		"huge nonce":   {func(r *wire.EnrolRequest) { r.Nonce = strings.Repeat("A", 1000) }, problem.Validation, "nonce"},
		"older agent":  {func(r *wire.EnrolRequest) { r.Agent.Wire = 0 }, problem.BadRequest, "this agent speaks version 0"},
		"newer agent":  {func(r *wire.EnrolRequest) { r.Agent.Wire = 99 }, problem.BadRequest, "this agent speaks version 99"},
		"bad name":     {func(r *wire.EnrolRequest) { r.Agent.Name = "a\nb" }, problem.Validation, "name"},
		"long name":    {func(r *wire.EnrolRequest) { r.Agent.Name = strings.Repeat("x", 10_000) }, problem.Validation, "name"},
		"bad address":  {func(r *wire.EnrolRequest) { r.Agent.Address = "http://x" }, problem.Validation, "address"},
		"bad port":     {func(r *wire.EnrolRequest) { r.Agent.Port = 70_000 }, problem.Validation, "port"},
		"bad tag":      {func(r *wire.EnrolRequest) { r.Agent.Tags = []string{"a b"} }, problem.Validation, "tags"},
		"no memory":    {func(r *wire.EnrolRequest) { r.Agent.MemoryMiB = 0 }, problem.Validation, "memory"},
		"minus disk":   {func(r *wire.EnrolRequest) { r.Agent.DiskMiB = -1 }, problem.Validation, "disk"},
		"absurd sizes": {func(r *wire.EnrolRequest) { r.Agent.MemoryMiB = 1 << 62 }, problem.Validation, "memory"},
	}
	b := setup(t)
	e, err := b.nodes.NewJoinKey(t.Context(), admin, node.Join{Name: "j"})
	if err != nil {
		t.Fatal(err)
	}
	key, before := b.parse(e), b.dump()
	for name, c := range cases {
		r := b.request(key)
		c.change(&r)
		r.MAC = key.SignRequest(r)
		_, err := b.nodes.Enrol(t.Context(), r, home)
		t.Log(name, "→", err)
		wantProblem(t, err, c.code, c.text)
	}
	if b.dump() != before {
		t.Fatal("something was changed")
	}
	if _, err := b.nodes.Enrol(t.Context(), b.request(key), home); err != nil {
		t.Fatalf("the key's one use is gone: %v", err)
	}
}

func TestUsedAndOutdatedKeysAreToldApartOnlyWithTheProof(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, used := b.make("used")
	if _, err := b.nodes.Enrol(t.Context(), b.request(used), home); err != nil {
		t.Fatal(err)
	}
	_, late := b.make("late")
	_, err := b.nodes.Enrol(t.Context(), b.request(used), home)
	wantProblem(t, err, problem.Forbidden, "used already")
	b.clock.Add(time.Hour - time.Millisecond)
	_, err = b.nodes.Enrol(t.Context(), b.request(used), home)
	wantProblem(t, err, problem.Forbidden, "used already")
	b.clock.Add(time.Millisecond)
	_, err = b.nodes.Enrol(t.Context(), b.request(late), home)
	wantProblem(t, err, problem.Forbidden, "ran out")
	for _, key := range []wire.EnrolmentKey{used, late} {
		key.Secret = make([]byte, 32)
		_, err := b.nodes.Enrol(t.Context(), b.request(key), home)
		wantProblem(t, err, problem.Unauthorized, "not known here")
	}
}

func TestParallelUsesOfOneKeyLetOneIn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n, key := b.make("a")
	requests := make([]wire.EnrolRequest, 50)
	for i := range requests {
		requests[i] = b.request(key)
	}
	answers := make([]wire.EnrolAnswer, len(requests))
	failures := make([]error, len(requests))
	var wg sync.WaitGroup
	for i := range requests {
		wg.Go(func() { answers[i], failures[i] = b.nodes.Enrol(t.Context(), requests[i], home) })
	}
	wg.Wait()
	let := 0
	for i, err := range failures {
		if err != nil {
			wantProblem(t, err, problem.Forbidden, "used already")
			continue
		}
		let++
		if cert := proven(t, key, requests[i].Nonce, answers[i]); cert.SerialNumber.Text(16) != b.get(n.ID).Certificate {
			t.Error("another certificate was stored than was given")
		}
	}
	if let != 1 {
		t.Fatalf("%d of 50 were let in", let)
	}
	if got := b.facts(); got != "node.created node.enrolled" {
		t.Fatalf("facts: %s", got)
	}
}

func TestLostAnswerIsGivenAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n, key := b.make("a")
	r := b.request(key)
	first, err := b.nodes.Enrol(t.Context(), r, home)
	if err != nil {
		t.Fatal(err)
	}
	before := b.dump()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			again, err := b.nodes.Enrol(t.Context(), r, home)
			if err != nil {
				t.Error(err)
				return
			}
			if cert := proven(t, key, r.Nonce, again); again.Node != n.ID || cert.SerialNumber.Cmp(proven(t, key, r.Nonce, first).SerialNumber) != 0 {
				t.Error("the repeated answer is another one")
			}
		})
	}
	wg.Wait()
	if b.dump() != before || b.fleet.refreshes() != 1 {
		t.Fatal("repeating it changed something")
	}
	b.clock.Add(time.Hour)
	_, err = b.nodes.Enrol(t.Context(), r, home)
	wantProblem(t, err, problem.Forbidden, "ran out")
}

func TestRepeatDoesNotBringBackAVoidCertificate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	e, err := b.nodes.NewJoinKey(t.Context(), admin, node.Join{Uses: 5})
	if err != nil {
		t.Fatal(err)
	}
	join := b.parse(e)
	r := b.request(join)
	answer, err := b.nodes.Enrol(t.Context(), r, home)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.nodes.Revoke(t.Context(), admin, answer.Node); err != nil {
		t.Fatal(err)
	}
	_, err = b.nodes.Enrol(t.Context(), r, home)
	wantProblem(t, err, problem.Forbidden, "shut out or replaced")
	own, err := b.nodes.NewKey(t.Context(), admin, answer.Node)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(e.EnrolCommand, "--force") || !strings.Contains(own.EnrolCommand, " --force && ") {
		t.Fatalf("the machine is enrolled already: %s", own.EnrolCommand)
	}
	if _, err := b.nodes.Enrol(t.Context(), b.request(b.parse(own)), home); err != nil {
		t.Fatal(err)
	}
	_, err = b.nodes.Enrol(t.Context(), r, home)
	wantProblem(t, err, problem.Forbidden, "shut out or replaced")
	if n := b.get(answer.Node); n.RevokedAt != nil || n.Certificate == "" {
		t.Fatalf("the node is %+v", n)
	}
}

func TestNewEnrolmentVoidsTheCertificateBefore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n := b.enrolled("a")
	e, err := b.nodes.NewKey(t.Context(), admin, n.ID)
	if err != nil {
		t.Fatal(err)
	}
	if b.get(n.ID).Certificate != n.Certificate {
		t.Fatal("a new key alone voided the certificate")
	}
	if _, err := b.nodes.Enrol(t.Context(), b.request(b.parse(e)), home); err != nil {
		t.Fatal(err)
	}
	if after := b.get(n.ID); after.Certificate == n.Certificate || after.Certificate == "" {
		t.Fatalf("the certificate is still %q", after.Certificate)
	}
	if got := b.facts(); got != "node.created node.enrolled node.key_made node.enrolled" {
		t.Fatalf("facts: %s", got)
	}
}

func TestFailuresAreSlowedPerAddress(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, key := b.make("a")
	wrong := key
	wrong.Secret = make([]byte, 32)
	attacker := netip.MustParseAddr("2001:db8::1")
	for range 20 {
		_, err := b.nodes.Enrol(t.Context(), b.request(wrong), attacker)
		wantProblem(t, err, problem.Unauthorized, "not known here")
	}
	neighbour := netip.MustParseAddr("2001:db8::2") // of the same /64
	for _, from := range []netip.Addr{attacker, neighbour} {
		_, err := b.nodes.Enrol(t.Context(), b.request(key), from)
		wantProblem(t, err, problem.RateLimited, "wait a minute")
	}
	b.clock.Add(time.Minute)
	if _, err := b.nodes.Enrol(t.Context(), b.request(wrong), attacker); !problem.Is(err, problem.Unauthorized) {
		t.Fatalf("after a minute: %v", err)
	}
	for range 20 {
		_, _ = b.nodes.Enrol(t.Context(), b.request(wrong), attacker)
	}
	if _, err := b.nodes.Enrol(t.Context(), b.request(key), netip.MustParseAddr("2001:db8:1::1")); err != nil {
		t.Fatalf("from elsewhere: %v", err)
	}
	if log := b.log.String(); !strings.Contains(log, "an enrolment was refused") || strings.Contains(log, fmt.Sprintf("%x", key.Secret)) {
		t.Fatalf("the log: %s", log)
	}
}
