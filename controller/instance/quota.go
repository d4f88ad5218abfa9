package instance

import (
	"context"

	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

// UseOf gives what a user's instances have, without those that are being deleted.
func (s *Service) UseOf(ctx context.Context, q store.Querier, owner ident.User) (identity.Use, error) {
	return useOf(ctx, q, owner)
}

// use is what the instance counts for in its owner's quota.
func (i Instance) use() identity.Use {
	return identity.Use{Instances: 1, MemoryMiB: i.MemoryMiB, NanoCPUs: i.NanoCPUs, DiskMiB: i.DiskMiB}
}

// fits is nil when the owner's quota allows more of his, in the transaction that
// is about to write it: there is one writer, so nobody passes it at the same time.
func fits(ctx context.Context, tx *store.Tx, owner ident.User, more identity.Use) error {
	u, err := identity.Lookup(ctx, tx, owner)
	if err != nil {
		return err
	}
	if u.Quota == (identity.Quota{}) {
		return nil
	}
	used, err := useOf(ctx, tx, owner)
	if err != nil {
		return err
	}
	return u.Allows(used, more)
}

// withinQuota is fits for a change: the whole of it for another owner, else what it
// has more than before.
func (i Instance) withinQuota(ctx context.Context, tx *store.Tx, after Instance) error {
	if after.Owner != i.Owner {
		return fits(ctx, tx, after.Owner, after.use())
	}
	more := identity.Use{MemoryMiB: after.MemoryMiB - i.MemoryMiB, NanoCPUs: after.NanoCPUs - i.NanoCPUs, DiskMiB: after.DiskMiB - i.DiskMiB}
	if more == (identity.Use{}) {
		return nil
	}
	return fits(ctx, tx, after.Owner, more)
}
