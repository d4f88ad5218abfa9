package node

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// renewEvery is how often every node's certificate is looked at, beside each time
// that it connects.
const renewEvery = 24 * time.Hour

// Agents is what renewing needs of the live connections.
type Agents interface {
	RequestCertificate(ctx context.Context, node ident.Node) (csr string, err error)
	ShownCertificate(ctx context.Context, node ident.Node) (fleet.Shown, error)
	InstallCertificate(ctx context.Context, node ident.Node, issued fleet.Issued) (fleet.Shown, error)
}

// arrivals are the nodes that connected and whose certificates are to be looked
// at. Safe for concurrent use.
type arrivals struct {
	mu     sync.Mutex
	nodes  []ident.Node
	signal chan struct{}
}

func newArrivals() *arrivals { return &arrivals{signal: make(chan struct{}, 1)} }

func (a *arrivals) add(id ident.Node) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Contains(a.nodes, id) {
		a.nodes = append(a.nodes, id)
	}
	select {
	case a.signal <- struct{}{}:
	default:
	}
}

func (a *arrivals) take() (nodes []ident.Node) {
	a.mu.Lock()
	defer a.mu.Unlock()
	nodes, a.nodes = a.nodes, nil
	return nodes
}

// Renew keeps the certificates of the nodes from running out, until ctx ends: it
// looks at each when the node connects, and at all once a day. What fails is
// tried again at the next look.
func (s *Service) Renew(ctx context.Context, agents Agents) {
	daily := time.NewTicker(renewEvery)
	defer daily.Stop()
	for {
		var nodes []ident.Node
		select {
		case <-ctx.Done():
			return
		case <-s.arrivals.signal:
			nodes = s.arrivals.take()
		case <-daily.C:
			nodes = s.Fleet.OnlineNodes()
		}
		for _, id := range nodes {
			if err := s.renew(ctx, agents, id); err != nil && ctx.Err() == nil {
				s.Log.Warn("a node's certificate could not be renewed; it is tried again", "node", id, "error", err)
			}
		}
	}
}

// renew renews the node's certificate when a third of its life is left.
//
// The node must be able to connect whoever dies on the way, so the certificate
// that it may show next is let in before the node gets it, and the one before is
// void only once the next was shown. What must not happen is that the node shows
// one that is neither: therefore a certificate takes the place of another one as
// the next only after the agent was asked for a new key, which has it refuse the
// other from then on, and then was seen not to show it.
func (s *Service) renew(ctx context.Context, agents Agents, id ident.Node) error {
	n, err := s.endOf(ctx, id)
	if err != nil || n.Certificate == "" {
		return err
	}
	if n.NextCertificate == "" && (n.CertificateEndsAt == nil || n.CertificateEndsAt.Sub(s.Now()) > fleet.RenewBefore) {
		return nil
	}
	if n.NextCertificate != "" { // the answer to the last try may have got lost
		if shown, err := agents.ShownCertificate(ctx, id); err != nil || shown.Serial == n.NextCertificate {
			return errors.Join(err, s.promoteShown(ctx, id, shown))
		}
	}
	csr, err := agents.RequestCertificate(ctx, id)
	if err != nil {
		return err
	}
	shown, err := agents.ShownCertificate(ctx, id)
	if err != nil {
		return err
	}
	issued, err := s.issueNext(ctx, id, csr, shown)
	if err != nil || issued.Serial == "" {
		return err
	}
	if shown, err = agents.InstallCertificate(ctx, id, issued); err != nil {
		return err
	}
	return s.Renewed(ctx, id, shown)
}

func (s *Service) promoteShown(ctx context.Context, id ident.Node, shown fleet.Shown) error {
	if shown.Serial == "" {
		return nil
	}
	return s.Renewed(ctx, id, shown)
}

// endOf gives the node; the end of its certificate is noted when nobody has yet.
func (s *Service) endOf(ctx context.Context, id ident.Node) (n Node, err error) {
	if n, err = s.Get(ctx, id); err != nil || n.CertificateEndsAt != nil || n.Certificate == "" || n.NextCertificate != "" {
		return n, err
	}
	ends := s.Fleet.Presence(id).CertificateEndsAt.UTC()
	if ends.IsZero() {
		return n, nil
	}
	n.CertificateEndsAt = &ends
	err = s.DB.Write(ctx, func(tx *store.Tx) error { return saveEnd(ctx, tx, n) })
	return n, err
}

// issueNext makes the certificate that the node may show next, and lets it in. It
// makes none when the one before has turned out to be in place.
func (s *Service) issueNext(ctx context.Context, id ident.Node, csr string, shown fleet.Shown) (issued fleet.Issued, err error) {
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		issued = fleet.Issued{}
		n, err := byID(ctx, tx, id)
		switch {
		case err != nil:
			return err
		case shown.Serial == n.NextCertificate && shown.Serial != "":
			return s.promote(ctx, tx, n, shown)
		case shown.Serial != n.Certificate: // revoked or enrolled anew since
			return problem.New(problem.Conflict, "node %s has another certificate by now", n.Name)
		}
		if issued, err = s.Authority.IssueNode(id, csr, ""); err != nil {
			return err
		}
		n.NextCertificate = issued.Serial
		tx.AfterCommit(s.Fleet.Refresh)
		return put(ctx, tx, n)
	})
	return issued, err
}

// Renewed is fleet.Directory: the node shows the certificate that was on its way
// to it, which is the only one from now on.
func (s *Service) Renewed(ctx context.Context, id ident.Node, shown fleet.Shown) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := byID(ctx, tx, id)
		switch {
		case err != nil:
			return err
		case shown.Serial == n.Certificate && shown.Serial != "":
			return nil
		case shown.Serial == "" || shown.Serial != n.NextCertificate:
			return problem.New(problem.Conflict, "node %s has another certificate by now", n.Name)
		}
		return s.promote(ctx, tx, n, shown)
	})
}

func (s *Service) promote(ctx context.Context, tx *store.Tx, n Node, shown fleet.Shown) error {
	n.setCertificate(fleet.Issued{Serial: shown.Serial, NotAfter: shown.NotAfter})
	if err := put(ctx, tx, n); err != nil {
		return err
	}
	tx.AfterCommit(s.Fleet.Refresh)
	return s.tell(ctx, tx, access.System(), "node.certificate_renewed", n, map[string]any{"ends_at": shown.NotAfter.UTC().Format(time.RFC3339)})
}

// Tunnelled is fleet.Directory: the node opened a tunnel though it was to be
// dialled. Its own settings decide.
func (s *Service) Tunnelled(ctx context.Context, id ident.Node) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := byID(ctx, tx, id)
		if err != nil || n.Connection == Tunnel {
			return err
		}
		n.Connection = Tunnel
		if err := put(ctx, tx, n); err != nil {
			return err
		}
		tx.AfterCommit(s.Fleet.Refresh)
		return s.tell(ctx, tx, access.System(), "node.connection_changed", n, map[string]any{"connection": Tunnel})
	})
}
