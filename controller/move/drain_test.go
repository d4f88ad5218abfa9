package move_test

import (
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/shared/ident"
)

func (b *bundle) drain(node ident.Node) job.Job {
	b.t.Helper()
	return must(b.moves.Drain(b.t.Context(), b.admin, node))(b.t)
}

// deployMany makes instances on the first node.
func (b *bundle) deployMany(n int) (ids []ident.Instance) {
	b.t.Helper()
	for k := range n {
		ids = append(ids, b.deploy(func(i *instance.New) {
			i.Ports = []allocation.Mapping{{Host: uint16(3000 + k), Container: 1, Primary: true}}
		}).ID)
	}
	return ids
}

func TestADrainEmptiesTheNode(t *testing.T) {
	t.Parallel()
	scene(t, func(t *testing.T, b *bundle) {
		ids := b.deployMany(7)
		j := b.drain(b.nodes[0])
		if again := b.drain(b.nodes[0]); again.ID != j.ID {
			t.Error("a second drain began")
		}
		b.until("the drain ends", func() bool { return b.job(j.ID).State.Ended() })
		if b.world.most != 2 {
			t.Errorf("%d copies at a time", b.world.most)
		}
		if got := b.job(j.ID); got.State != job.Succeeded {
			t.Fatalf("%s: %v", got.State, got.Failure)
		}
		if n := b.count(`SELECT COUNT(*) FROM instances WHERE node_id = ?`, string(b.nodes[0])); n != 0 {
			t.Errorf("%d are left", n)
		}
		b.calm()
		b.whole(ids...)
		if err := b.machines.Delete(t.Context(), b.admin, b.nodes[0]); err != nil {
			t.Errorf("a drained node can't be deleted: %v", err)
		}
	})
}

func TestADrainGoesOnPastWhatCantMoveAndAfterARestart(t *testing.T) {
	t.Parallel()
	scene(t, func(t *testing.T, b *bundle) {
		ids := b.deployMany(4)
		large := b.deploy(func(n *instance.New) { n.Name, n.MemoryMiB = "large", 500 })
		for _, n := range b.nodes[1:] {
			b.deploy(func(i *instance.New) { i.Node, i.MemoryMiB = n, 600 })
		}
		g := b.world.stopAt("finish", "")
		j := b.drain(b.nodes[0])
		<-g.reached
		b.restart()
		got := b.ended(j, job.Failed)
		if m := got.Failure.Message; !strings.Contains(m, "4 of 5 moved") || !strings.Contains(m, string(large.ID)) {
			t.Error(m)
		}
		b.calm()
		b.whole(append(ids, large.ID)...)
		if n, err := b.machines.Get(t.Context(), b.nodes[0]); err != nil || !n.Maintenance {
			t.Errorf("maintenance %v, %v", n.Maintenance, err)
		}
		memory := int64(64)
		if _, _, err := b.instances.Change(t.Context(), b.admin, large.ID, instance.Patch{MemoryMiB: &memory}); err != nil {
			t.Fatal(err)
		}
		again, err := b.jobs.Retry(t.Context(), b.admin, j.ID) // while the change is under way
		if err != nil {
			t.Fatal(err)
		}
		b.ended(again, job.Succeeded)
		b.calm()
		b.whole(append(ids, large.ID)...)
	})
}

func TestACancelledDrainBeginsNoMoreMoves(t *testing.T) {
	t.Parallel()
	scene(t, func(t *testing.T, b *bundle) {
		ids := b.deployMany(5)
		g := b.world.stopAt("copy", "")
		j := b.drain(b.nodes[0])
		<-g.reached
		if _, err := b.jobs.Cancel(t.Context(), b.admin, j.ID); err != nil {
			t.Fatal(err)
		}
		close(g.open)
		b.calm()
		b.whole(ids...)
		if n := b.count(`SELECT COUNT(*) FROM instances WHERE node_id = ?`, string(b.nodes[0])); n < 3 || n == 5 {
			t.Errorf("%d of 5 are left", n)
		}
	})
}

func TestADrainSaysWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	scene(t, func(t *testing.T, b *bundle) {
		ids := b.deployMany(2)
		b.away(b.nodes[0], true)
		j := b.drain(b.nodes[0])
		b.until("it says so", func() bool {
			m := b.job(j.ID).Message
			return strings.HasPrefix(m, "0 of 2 moved; waiting: ") && strings.Contains(m, "offline")
		})
		b.away(b.nodes[0], false)
		b.ended(j, job.Succeeded)
		b.calm()
		b.whole(ids...)
	})
}

func TestADrainWaitsForWhatIsBusyAndForItsNode(t *testing.T) {
	t.Parallel()
	scene(t, func(t *testing.T, b *bundle) {
		ids := b.deployMany(2)
		b.away(b.nodes[0], true)
		if _, _, err := b.instances.Power(t.Context(), b.admin, ids[0], instance.Restart); err != nil {
			t.Fatal(err)
		}
		if _, _, err := b.instances.Delete(t.Context(), b.admin, ids[1]); err != nil {
			t.Fatal(err)
		}
		j := b.drain(b.nodes[0])
		b.until("it looks", func() bool { return b.job(j.ID).Message == "0 of 2 moved" })
		b.away(b.nodes[0], false)
		b.ended(j, job.Succeeded)
		b.calm()
		b.whole(ids...)
	})
}
