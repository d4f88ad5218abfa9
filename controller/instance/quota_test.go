package instance_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

func (b *bundle) limit(user ident.User, q identity.Quota) {
	b.t.Helper()
	if _, err := b.users.UpdateUser(access.With(b.t.Context(), b.admin), user, identity.UserChange{Quota: &q}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bundle) use(user ident.User) identity.Use {
	b.t.Helper()
	u, err := b.instances.UseOf(b.t.Context(), b.db.Snapshot(), user)
	if err != nil {
		b.t.Fatal(err)
	}
	return u
}

func n(v int64) *int64 { return &v }

// small is an order of which a node holds many.
func small(o *instance.New) { o.MemoryMiB, o.NanoCPUs, o.DiskMiB = 8, 1e7, 8 }

// Twenty at once, with room for seven: each kind of limit holds alone.
func TestAQuotaHoldsAgainstManyAtOnce(t *testing.T) {
	t.Parallel()
	for name, q := range map[string]identity.Quota{
		"instances": {Instances: n(7)}, "memory": {MemoryMiB: n(7*8 + 7)}, "cpu": {NanoCPUs: n(7*1e7 + 1)}, "disk": {DiskMiB: n(7 * 8)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.limit(b.owner.User, q)
			var made, refused atomic.Int32
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					_, _, err := b.instances.Create(t.Context(), b.admin, b.order(small))
					switch p := problem.From(err); {
					case err == nil:
						made.Add(1)
					case p.Code == problem.InsufficientResources && len(p.Fields) == 1 && p.Fields[0].Field == name && strings.Contains(p.Message, "owner"):
						refused.Add(1)
					default:
						t.Error(err)
					}
				})
			}
			all.Wait()
			if made.Load() != 7 || refused.Load() != 13 || b.use(b.owner.User).Instances != 7 {
				t.Errorf("%d made, %d refused", made.Load(), refused.Load())
			}
		})
	}
}

func TestAQuotaHoldsForChangesAndTransfers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	heir := b.user("heir")
	i := b.ready()
	b.limit(b.owner.User, identity.Quota{MemoryMiB: n(200), DiskMiB: n(100)}) // he has 512 of disk already
	b.limit(heir.User, identity.Quota{Instances: n(1), MemoryMiB: n(100)})
	change := func(p instance.Patch) error {
		_, _, err := b.instances.Change(t.Context(), b.admin, i.ID, p)
		return err
	}
	for what, p := range map[string]instance.Patch{
		"more memory": {MemoryMiB: n(201)}, "more of what is over already": {DiskMiB: n(513)}, "to who has no room for it": {Owner: &heir.User},
		"to him, still too large": {Owner: &heir.User, MemoryMiB: n(101)},
	} {
		if err := change(p); !problem.Is(err, problem.InsufficientResources) {
			t.Errorf("%s: %v", what, err)
		}
	}
	err := b.db.Write(t.Context(), func(tx *store.Tx) error {
		return b.instances.TransferAll(t.Context(), tx, b.owner.User, heir.User, b.admin.Actor)
	})
	if !problem.Is(err, problem.InsufficientResources) {
		t.Errorf("all of them: %v", err)
	}
	if got := b.get(i.ID); got.Owner != b.owner.User || got.MemoryMiB != 128 || got.DiskMiB != 512 {
		t.Fatalf("%+v", got)
	}
	name := "other"
	if err := change(instance.Patch{Name: &name}); err != nil {
		t.Errorf("another name: %v", err)
	}
	_, j, err := b.instances.Change(t.Context(), b.admin, i.ID, instance.Patch{DiskMiB: n(400)})
	if err != nil {
		t.Fatalf("less disk, though still too much: %v", err)
	}
	b.carryOut(i.ID)
	b.ended(j, job.Succeeded)
	if err := change(instance.Patch{Owner: &heir.User, MemoryMiB: n(100)}); err != nil {
		t.Errorf("to him, small enough: %v", err)
	}
	if used := b.use(heir.User); used.Instances != 1 || used.MemoryMiB != 100 || b.use(b.owner.User).Instances != 0 {
		t.Errorf("%+v", used)
	}
	if _, _, err := b.instances.Delete(t.Context(), b.admin, i.ID); err != nil {
		t.Fatal(err)
	}
	if used := b.use(heir.User); used != (identity.Use{}) {
		t.Errorf("what is being deleted counts: %+v", used)
	}
}
