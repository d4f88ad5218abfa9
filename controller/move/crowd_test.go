package move_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/move"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/store"
)

// one does something at random that has to do with the room of nodes.
func (b *bundle) one(r *rand.Rand) (what string, err error) {
	ctx := b.t.Context()
	on := b.nodes[r.IntN(len(b.nodes))]
	ids, err := b.instances.Occupants(ctx, b.db.Snapshot(), on)
	if err != nil {
		return "list", err
	}
	id := append(ids, "00000000")[r.IntN(max(len(ids), 1))]
	switch r.IntN(12) {
	case 0, 1, 2:
		n := instance.New{Name: "more", Owner: b.owner, Image: b.image, MemoryMiB: int64(64 + r.IntN(200)), NanoCPUs: 1e8, DiskMiB: int64(100 + r.IntN(2000)),
			Ports: []allocation.Mapping{{Host: uint16(5000 + r.IntN(20)), Container: 1, Primary: true}}}
		if r.IntN(2) == 0 {
			n.Node = on
		}
		_, _, err = b.instances.Create(ctx, b.admin, n)
		return "deploy", err
	case 3, 4, 5, 6:
		memory, disk := int64(64+r.IntN(400)), int64(100+r.IntN(4000))
		_, _, err = b.instances.Change(ctx, b.admin, id, instance.Patch{MemoryMiB: &memory, DiskMiB: &disk})
		return "change " + string(id), err
	case 7, 8, 9:
		_, _, err = b.moves.Move(ctx, b.admin, id, move.Order{Reassign: true})
		return "move " + string(id), err
	case 10:
		_, _, err = b.instances.Delete(ctx, b.admin, id)
		return "delete " + string(id), err
	default:
		more := int64(r.IntN(8))
		if _, err = b.machines.Change(ctx, b.admin, on, func(s *node.Spec) { s.MemoryMiB += more }); err == nil {
			err = b.db.Write(ctx, func(tx *store.Tx) error {
				return b.machines.SetMaintenance(ctx, tx, b.admin.Actor, on, r.IntN(3) == 0)
			})
		}
		return "node " + string(on), err
	}
}

// Deployments, changes of limits, moves, deletes and changes of nodes at the same
// time: what is noted as given is what was given, and never more than there is.
func TestRoomInACrowd(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			scene(t, func(t *testing.T, b *bundle) {
				b.deployMany(5)
				var crowd sync.WaitGroup
				for n := range uint64(6) {
					r := rand.New(rand.NewPCG(seed, n))
					crowd.Go(func() {
						for range 40 {
							if what, err := b.one(r); !expected(err) {
								t.Errorf("%s: %v", what, err)
							}
							b.balanced()
						}
					})
				}
				crowd.Wait()
				b.calm()
				b.balanced()
			})
		})
	}
}
