package move_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/move"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// expected is whether an order may be refused so: nothing inside Berth went wrong.
func expected(err error) bool {
	for _, code := range []problem.Code{problem.ResourceBusy, problem.Conflict, problem.NotFound, problem.InsufficientResources, problem.NodeOffline, problem.Validation} {
		if problem.Is(err, code) {
			return true
		}
	}
	return err == nil
}

// act does one thing at random.
func (b *bundle) act(r *rand.Rand, ids []ident.Instance) (what string, err error) {
	ctx := b.t.Context()
	id, node := ids[r.IntN(len(ids))], b.nodes[r.IntN(len(b.nodes))]
	switch n := r.IntN(20); {
	case n < 6:
		var to ident.Node
		if n < 3 {
			to = node
		}
		_, _, err = b.moves.Move(ctx, b.admin, id, move.Order{Node: to, Reassign: n%2 == 0})
		return fmt.Sprintf("move %s to %q", id, to), err
	case n < 8:
		v := []instance.Verb{instance.Start, instance.Stop, instance.Restart, instance.Kill}[r.IntN(4)]
		_, _, err = b.instances.Power(ctx, b.admin, id, v)
		return fmt.Sprintf("%s %s", v, id), err
	case n == 8:
		_, _, err = b.instances.Suspend(ctx, b.admin, id, "")
		return "suspend " + string(id), err
	case n == 9:
		_, _, err = b.instances.Unsuspend(ctx, b.admin, id)
		return "unsuspend " + string(id), err
	case n == 10 && r.IntN(3) == 0:
		_, _, err = b.instances.Delete(ctx, b.admin, id)
		return "delete " + string(id), err
	case n < 13:
		b.away(node, r.IntN(2) == 0)
		return "away " + string(node), nil
	case n == 13:
		b.restart()
		return "restart", nil
	case n == 14:
		silent := r.IntN(2) == 0
		b.world.with(node, func(m *machine) { m.silent = silent })
		return fmt.Sprintf("silent %s %v", node, silent), nil
	case n == 15:
		sick := []string{"", "it has the flu"}[r.IntN(2)]
		b.world.with(node, func(m *machine) { m.sick = sick })
		return fmt.Sprintf("sick %s %q", node, sick), nil
	case n == 16:
		b.world.with(node, func(m *machine) { m.corrupt = r.IntN(5) })
		return "corrupt " + string(node), nil
	default:
		active, _, err := b.jobs.List(ctx, access.Local(), job.Filter{Instance: id, Limit: 1})
		if err != nil || len(active) == 0 || active[0].Kind != instance.KindMove {
			return "nothing", err
		}
		_, err = b.jobs.Cancel(ctx, b.admin, active[0].ID)
		return "cancel the move of " + string(id), err
	}
}

// Orders and faults in any order; after they have healed, everything is whole.
func TestAnythingInAnyOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			scene(t, func(t *testing.T, b *bundle) {
				r := rand.New(rand.NewPCG(seed, 7))
				paces := rand.New(rand.NewPCG(seed, 8))
				b.world.pace = func() time.Duration { return time.Duration(paces.IntN(700)) * time.Millisecond }
				var ids []ident.Instance
				for range 4 {
					ids = append(ids, b.deploy().ID)
				}
				for range 60 {
					what, err := b.act(r, ids)
					t.Log(what, err)
					if !expected(err) {
						t.Fatalf("%s: %v", what, err)
					}
					b.balanced()
					time.Sleep(time.Duration(r.IntN(2000)) * time.Millisecond)
				}
				for _, n := range b.nodes {
					b.world.with(n, func(m *machine) { m.silent, m.sick, m.corrupt = false, "", 0 })
					b.away(n, false)
				}
				b.calm()
				b.whole(ids...)
			})
		})
	}
}
