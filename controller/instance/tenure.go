package instance

import (
	"context"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

// Tenure is what of an instance says who may reach it.
type Tenure struct {
	ID            ident.Instance
	Owner         ident.User
	Suspended     bool
	SuspendReason string
}

// Of is what rights to the instance are asked with.
func (t Tenure) Of() access.Of { return access.Of{Instance: t.ID, Owner: t.Owner} }

// OnNode gives the tenures of a node's instances, by id, without those that are
// being deleted.
func (s *Service) OnNode(ctx context.Context, node ident.Node) (all []Tenure, err error) {
	err = s.DB.Read(ctx, func(q store.Querier) error {
		all, err = tenures(ctx, q, node)
		return err
	})
	return all, err
}
