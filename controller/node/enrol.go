package node

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// errUnproven is all that whoever can't prove a key's secret is told.
func errUnproven() *problem.Problem {
	return problem.New(problem.Unauthorized, "the enrolment key is not known here: it is mistyped, replaced by a newer one, or another controller's")
}

// errWire refuses an agent of another version.
func errWire(its int) *problem.Problem {
	return problem.New(problem.BadRequest, "this agent speaks version %d, the controller version %d: install the release that belongs to the controller", its, wire.Version)
}

// Enrol lets an agent in: it checks the proof, uses the key up, gives the node a
// certificate and voids the one before. from is where the request came from: a
// node that joins without saying an address gets it.
func (s *Service) Enrol(ctx context.Context, r wire.EnrolRequest, from netip.Addr) (wire.EnrolAnswer, error) {
	address := ""
	if from.IsValid() {
		address = from.Unmap().WithZone("").String()
	}
	if err := s.tries.enter(address, s.Now()); err != nil {
		return wire.EnrolAnswer{}, err
	}
	// Before the proof: an older version proves itself in another way, and its key
	// would be called unknown.
	if 0 < r.Agent.Wire && r.Agent.Wire < wire.Version {
		return wire.EnrolAnswer{}, errWire(r.Agent.Wire)
	}
	key, err := s.prove(ctx, r)
	if err != nil {
		if problem.Is(err, problem.Unauthorized) {
			s.tries.failed(address, s.Now())
			s.Log.Warn("an enrolment was refused", "key", fmt.Sprintf("%.64q", r.KeyID), "address", address)
		}
		return wire.EnrolAnswer{}, err
	}
	if r.Agent.Wire != wire.Version {
		return wire.EnrolAnswer{}, errWire(r.Agent.Wire)
	}
	publicKey, err := fleet.PublicKeyOf(r.CSR)
	if err != nil {
		return wire.EnrolAnswer{}, err
	}
	var issued fleet.Issued
	var node ident.Node
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		node, issued, err = s.letIn(ctx, tx, r, publicKey, address)
		return err
	})
	if err != nil {
		return wire.EnrolAnswer{}, err
	}
	answer := wire.EnrolAnswer{Node: node, CA: s.Authority.CertificatePEM(), Certificate: issued.PEM}
	answer.MAC = key.SignAnswer(r.Nonce, answer)
	return answer, nil
}

// prove finds the key and checks that the agent knows its secret. It writes
// nothing, so that the writer is not at the service of strangers.
func (s *Service) prove(ctx context.Context, r wire.EnrolRequest) (wire.EnrolmentKey, error) {
	if nonce, err := base64.RawURLEncoding.DecodeString(r.Nonce); err != nil || len(nonce) < 16 || len(nonce) > 64 {
		return wire.EnrolmentKey{}, problem.Invalid("nonce", "16 random bytes in base64url")
	}
	row, err := findKey(ctx, s.DB.Snapshot(), r.KeyID)
	found := err == nil
	if err != nil && !errors.Is(err, store.ErrNoRows) {
		return wire.EnrolmentKey{}, err
	}
	key := wire.EnrolmentKey{ID: r.KeyID, Secret: make([]byte, 32), Fingerprint: s.Authority.Fingerprint()}
	if found {
		if key.Secret, err = s.Secrets.Open(secretPurpose+row.ID, row.Sealed); err != nil {
			s.Log.Error("an enrolment key can't be opened: was secret.key replaced?", "key", row.ID, "error", err)
			found, key.Secret = false, make([]byte, 32)
		}
	}
	// Computed for an unknown key too, so that the time says nothing.
	if proven := wire.Proves(r.MAC, key.SignRequest(r)); !found || !proven {
		return wire.EnrolmentKey{}, errUnproven()
	}
	return key, nil
}

// letIn is the transaction of an enrolment whose proof was right.
func (s *Service) letIn(ctx context.Context, tx *store.Tx, r wire.EnrolRequest, publicKey []byte, address string) (ident.Node, fleet.Issued, error) {
	key, err := findKey(ctx, tx, r.KeyID)
	if errors.Is(err, store.ErrNoRows) { // replaced in this very moment
		return "", fleet.Issued{}, errUnproven()
	}
	if err != nil {
		return "", fleet.Issued{}, err
	}
	if !s.Now().Before(key.ExpiresAt) {
		return "", fleet.Issued{}, problem.New(problem.Forbidden, "the enrolment key ran out at %s: make a new one (berth-controller node key NODE, or node join)", key.ExpiresAt.Format(time.RFC3339))
	}
	id, serial, before, err := enrolment(ctx, tx, key.ID, publicKey)
	if err != nil {
		return "", fleet.Issued{}, err
	}
	if before {
		return s.repeat(ctx, tx, id, serial, r.CSR)
	}
	if key.UsesLeft < 1 {
		return "", fleet.Issued{}, problem.New(problem.Forbidden, "the enrolment key was used already: make a new one (berth-controller node key NODE, or node join)")
	}
	n, err := s.nodeFor(ctx, tx, key, r.Agent, address)
	if err != nil {
		return "", fleet.Issued{}, err
	}
	if n.Connection = Dial; r.Agent.Tunnel {
		n.Connection = Tunnel
	}
	issued, err := s.certify(ctx, tx, n, key, r.CSR, publicKey)
	if err != nil {
		return "", fleet.Issued{}, err
	}
	data := map[string]any{"release": clip(r.Agent.Release)}
	if key.Node == "" {
		data["join_key"] = key.ID
	}
	return n.ID, issued, s.tell(ctx, tx, agentAt(address), "node.enrolled", n, data)
}

// repeat gives the certificate again that this public key got with this
// enrolment key, as long as it is the node's.
func (s *Service) repeat(ctx context.Context, tx *store.Tx, id ident.Node, serial, csr string) (ident.Node, fleet.Issued, error) {
	n, err := byID(ctx, tx, id)
	if err != nil {
		return "", fleet.Issued{}, err
	}
	if n.Certificate != serial {
		return "", fleet.Issued{}, problem.New(problem.Forbidden, "this agent was shut out or replaced since it was enrolled: enrol it anew with a new key")
	}
	issued, err := s.Authority.IssueNode(id, csr, serial)
	return id, issued, err
}

// certify makes the node's certificate the only one that is let in, and uses
// the key up.
func (s *Service) certify(ctx context.Context, tx *store.Tx, n Node, key Key, csr string, publicKey []byte) (fleet.Issued, error) {
	issued, err := s.Authority.IssueNode(n.ID, csr, "")
	if err != nil {
		return issued, err
	}
	now := s.moment()
	n.setCertificate(issued)
	n.EnrolledAt, n.RevokedAt = &now, nil
	if err := put(ctx, tx, n); err != nil {
		return issued, err
	}
	if err := noteEnrolment(ctx, tx, key.ID, publicKey, n.ID, issued.Serial); err != nil {
		return issued, err
	}
	tx.AfterCommit(s.Fleet.Refresh)
	return issued, spendKey(ctx, tx, key.ID)
}

// agentAt is who enrols: nobody with an account.
func agentAt(address string) access.Actor {
	by := access.System()
	by.Address = address
	return by
}

// nodeFor gives the node of a node's own key, and makes one for a join key.
func (s *Service) nodeFor(ctx context.Context, tx *store.Tx, key Key, a wire.EnrolAgent, address string) (Node, error) {
	if key.Node != "" {
		return byID(ctx, tx, key.Node)
	}
	spec := Spec{
		Name: a.Name, Tags: union(key.Tags, a.Tags), Address: a.Address, Port: a.Port, MemoryMiB: a.MemoryMiB, DiskMiB: a.DiskMiB,
	}
	if spec.Name == "" {
		spec.Name = "node"
	}
	if spec.Address == "" {
		spec.Address = address
	}
	spec, err := spec.clean()
	if err != nil {
		return Node{}, err
	}
	if spec.Name, err = freeName(ctx, tx, spec.Name); err != nil {
		return Node{}, err
	}
	return s.insert(ctx, tx, agentAt(address), spec)
}

func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, tag := range b {
		if !slices.Contains(out, tag) {
			out = append(out, tag)
		}
	}
	return out
}

// freeName gives the name, with -2, -3 … behind it when it is taken.
func freeName(ctx context.Context, q store.Querier, name string) (string, error) {
	stem := []rune(name)
	for n := 1; n <= 10_000; n++ {
		candidate := name
		if n > 1 {
			suffix := fmt.Sprintf("-%d", n)
			candidate = string(stem[:min(len(stem), maxName-len(suffix))]) + suffix
		}
		taken, err := nameTaken(ctx, q, candidate, "")
		if err != nil {
			return "", err
		}
		if !taken {
			return candidate, nil
		}
	}
	return "", problem.New(problem.Conflict, "there are too many nodes named %s: give this one another name", name)
}

// clip keeps what an agent says of itself short.
func clip(text string) string {
	if r := []rune(text); len(r) > maxName {
		return string(r[:maxName])
	}
	return text
}
