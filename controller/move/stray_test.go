package move_test

import (
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// double puts what node a has of the instance on node b too, with a volume of its
// own: as after the restore of a copy that is older than a move.
func (b *bundle) double(id ident.Instance) {
	b.t.Helper()
	var copied box
	b.world.with(b.nodes[0], func(m *machine) { copied = *m.boxes[id] })
	volume := "what was played"
	copied.volume, copied.generation = &volume, copied.generation+7
	copied.spec.Generation = copied.generation
	b.world.with(b.nodes[1], func(m *machine) { m.boxes[id] = &copied })
	b.reconcile(b.t.Context(), b.nodes[1])
}

func (b *bundle) strays(node ident.Node) []instance.Stray {
	b.t.Helper()
	items, _, err := b.instances.Strays(b.t.Context(), node, 50, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	return items
}

// The data may be only there: it is shown, touched by nobody, and an admin can
// have either of the two.
func TestAnInstanceThatIsOnAnotherNodeToo(t *testing.T) {
	t.Parallel()
	scene(t, func(t *testing.T, b *bundle) {
		i := b.deploy()
		b.double(i.ID)
		if s := b.strays(b.nodes[1]); len(s) != 1 || s[0].Instance != i.ID || s[0].Generation != i.Generation+7 {
			t.Fatalf("%+v", s)
		}
		_, _, err := b.instances.Adopt(t.Context(), b.admin, b.nodes[1], i.ID, instance.Adoption{Owner: b.owner})
		if !problem.Is(err, problem.Conflict) || !strings.Contains(problem.From(err).Message, "is on node a") {
			t.Errorf("adopted: %v", err)
		}
		if _, err := b.instances.RemoveStray(t.Context(), b.admin, b.nodes[0], i.ID); !problem.Is(err, problem.NotFound) {
			t.Errorf("removed where it belongs: %v", err)
		}
		g := b.world.stopAt("remove", b.nodes[1])
		j := must(b.instances.RemoveStray(t.Context(), b.admin, b.nodes[1], i.ID))(t)
		<-g.reached
		if _, err := b.instances.RemoveStray(t.Context(), b.admin, b.nodes[1], i.ID); !problem.Is(err, problem.ResourceBusy) {
			t.Errorf("removed twice: %v", err)
		}
		// Its own jobs go on beside it.
		_, stop, err := b.instances.Power(t.Context(), b.admin, i.ID, instance.Stop)
		if err != nil {
			t.Fatal(err)
		}
		b.ended(stop, job.Succeeded)
		close(g.open)
		b.ended(j, job.Succeeded)
		b.calm()
		if s := b.strays(b.nodes[1]); len(s) != 0 {
			t.Errorf("%+v", s)
		}
		b.whole(i.ID)
	})
}

func TestTheOtherOfTwoIsKept(t *testing.T) {
	t.Parallel()
	scene(t, func(t *testing.T, b *bundle) {
		i := b.deploy()
		b.double(i.ID)
		_, j, err := b.instances.Delete(t.Context(), b.admin, i.ID)
		if err != nil {
			t.Fatal(err)
		}
		b.ended(j, job.Succeeded)
		if _, j, err = b.instances.Adopt(t.Context(), b.admin, b.nodes[1], i.ID, instance.Adoption{Owner: b.owner}); err != nil {
			t.Fatal(err)
		}
		b.ended(j, job.Succeeded)
		b.calm()
		if _, volume := b.world.look(b.nodes[1], i.ID); !strings.HasPrefix(volume, "what was played") || b.get(i.ID).Node != b.nodes[1] {
			t.Errorf("the volume is %q", volume)
		}
	})
}
