package instance_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func ports(hosts ...uint16) func(*instance.New) {
	return func(n *instance.New) {
		n.Ports = nil
		for k, h := range hosts {
			n.Ports = append(n.Ports, allocation.Mapping{Host: h, Container: 8080 + uint16(k), Primary: k == 0})
		}
	}
}

func TestCreate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i, j := b.begin(ports(25565, 25566), func(n *instance.New) {
		n.DiskMiB, n.Variables = 0, map[string]string{"MAP": "sea", "PRIMARY_PORT": "1"}
	})
	if i.Status() != instance.StatusInstalling || i.Generation != 1 || i.DiskMiB != instance.DefaultDiskMiB || !i.ID.Valid() || i.Reference != "example/game:1" {
		t.Errorf("%+v", i)
	}
	if j.Kind != instance.KindDeploy || j.Instance != i.ID || j.Owner != b.owner.User || j.Actor != b.admin.Actor {
		t.Errorf("%+v", j)
	}
	want := wire.Spec{
		Instance: i.ID, Generation: 1, Image: wire.ImageSpec{Reference: "example/game:1", Command: []string{"run", "sea"}},
		Env:    []string{"FROM=image", "MAP=sea", "PRIMARY_PORT=8080"},
		Limits: wire.Limits{MemoryMiB: 128, NanoCPUs: 5e8, DiskMiB: 5120},
		Ports:  []wire.Port{{IP: "0.0.0.0", Host: 25565, Container: 8080, Primary: true}, {IP: "0.0.0.0", Host: 25566, Container: 8081}},
		Volume: "/app/data", TTY: true, Stop: wire.Stop{Command: "stop", GraceSeconds: 10}, Power: wire.Power{Want: wire.WantRunning, Order: 1},
	}
	if got := b.handed(i.ID); !follows(got, want) {
		t.Errorf("the node is told\n%+v\nwant\n%+v", got, want)
	}
	b.carryOut(i.ID)
	b.ended(j, job.Succeeded)
	if i = b.get(i.ID); i.Status() != "running" || i.Container == "" || i.Failure != nil {
		t.Errorf("%+v", i)
	}
	if facts := b.facts(i.ID); !slices.Equal(facts, []string{"instance.created", "instance.ready", "instance.running"}) {
		t.Errorf("%v", facts)
	}
}

func TestCreateStopped(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ready(func(n *instance.New) { n.Stopped = true })
	if i.Status() != "stopped" || i.Power != wire.WantStopped || i.Spec.Power.Order != 1 {
		t.Errorf("%+v", i)
	}
}

// Each refusal names its field and leaves no row.
func TestCreateRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.ready(ports(30000))
	disabled := b.user("disabled")
	if _, err := b.users.UpdateUser(access.With(t.Context(), b.admin), disabled.User, identity.UserChange{Disabled: pointer(true)}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		edit  func(*instance.New)
		code  problem.Code
		field string
	}{
		"no owner":            {func(n *instance.New) { n.Owner = "nobody" }, problem.Validation, "owner_id"},
		"disabled owner":      {func(n *instance.New) { n.Owner = disabled.User }, problem.Validation, "owner_id"},
		"no node":             {func(n *instance.New) { n.Node = "nowhere" }, problem.Validation, "node_id"},
		"no image":            {func(n *instance.New) { n.Image = "none" }, problem.Validation, "image_id"},
		"no such reference":   {func(n *instance.New) { n.Reference = "example/other:1" }, problem.Validation, "reference"},
		"no name":             {func(n *instance.New) { n.Name = "" }, problem.Validation, "name"},
		"a control character": {func(n *instance.New) { n.Name = "a\u009bb" }, problem.Validation, "name"},
		"201 letters":         {func(n *instance.New) { n.Name = strings.Repeat("ü", 201) }, problem.Validation, "name"},
		"memory 0":            {func(n *instance.New) { n.MemoryMiB = 0 }, problem.Validation, "memory"},
		"memory below 6":      {func(n *instance.New) { n.MemoryMiB = 5 }, problem.Validation, "memory"},
		"memory 10^18":        {func(n *instance.New) { n.MemoryMiB = 1e18 }, problem.Validation, "memory"},
		"cpu 0":               {func(n *instance.New) { n.NanoCPUs = 0 }, problem.Validation, "cpu"},
		"more cores":          {func(n *instance.New) { n.NanoCPUs = 4e9 + 1 }, problem.Validation, "cpu"},
		"negative disk":       {func(n *instance.New) { n.DiskMiB = -1 }, problem.Validation, "disk"},
		"too much memory":     {func(n *instance.New) { n.MemoryMiB = 1024 - 128 + 1 }, problem.InsufficientResources, ""},
		"too much disk":       {func(n *instance.New) { n.DiskMiB = 10240 - 512 + 1 }, problem.InsufficientResources, ""},
		"a taken port":        {ports(30001, 30000), problem.Conflict, ""},
		"a port twice":        {ports(30001, 30001), problem.Validation, "ports"},
		"no primary":          {func(n *instance.New) { n.Ports = []allocation.Mapping{{Host: 1, Container: 1}} }, problem.Validation, "ports"},
		"a variable's name":   {func(n *instance.New) { n.Variables = map[string]string{"A=B": "x"} }, problem.Validation, "variables"},
		"a variable with NUL": {func(n *instance.New) { n.Variables = map[string]string{"A": "x\x00"} }, problem.Validation, "variables.A"},
		"variables > 32 KiB":  {func(n *instance.New) { n.Variables = map[string]string{"A": strings.Repeat("x", 32<<10)} }, problem.Validation, "variables"},
	} {
		p := b.nothing(name, c.code, func() error {
			_, _, err := b.instances.Create(t.Context(), b.admin, b.order(ports(30002), c.edit))
			return err
		})
		if c.field != "" && (len(p.Fields) != 1 || p.Fields[0].Field != c.field) {
			t.Errorf("%s: names %+v, want %s", name, p.Fields, c.field)
		}
	}
	if p := b.nothing("a taken port", problem.Conflict, func() error {
		_, _, err := b.instances.Create(t.Context(), b.admin, b.order(ports(30000)))
		return err
	}); !strings.HasPrefix(p.Message, "port 30000 of the node is taken by instance ") {
		t.Errorf("%q", p.Message)
	}
}

func TestNameOf200Letters(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.begin(func(n *instance.New) { n.Name = strings.Repeat("ü", 200) })
}

// All of a node may be given away, once; what is being deleted counts until it
// is gone; more than all when the node says so.
func TestCapacity(t *testing.T) {
	t.Parallel()
	b := setup(t)
	whole := func(n *instance.New) { n.MemoryMiB, n.DiskMiB, n.NanoCPUs = 1024, 10240, 4e9 }
	first := b.ready(whole)
	least := func(n *instance.New) { n.MemoryMiB, n.DiskMiB = 6, 1 }
	more := func() error {
		_, _, err := b.instances.Create(t.Context(), b.admin, b.order(least))
		return err
	}
	if p := b.nothing("a full node", problem.InsufficientResources, more); p.Message != "node a has 0 MiB of memory left, 6 were asked for" {
		t.Errorf("%q", p.Message)
	}
	b.setNode(func(s *node.Spec) { s.MemoryFactor = 1.5 })
	if p := b.nothing("a full disk", problem.InsufficientResources, more); p.Message != "node a has 0 MiB of disk left, 1 were asked for" {
		t.Errorf("%q", p.Message)
	}
	b.setNode(func(s *node.Spec) { s.DiskFactor = 1.5 })
	second := b.ready(func(n *instance.New) { n.MemoryMiB, n.DiskMiB = 512, 5120 })
	b.nothing("more than the factor gives", problem.InsufficientResources, more)
	b.setNode(func(s *node.Spec) { s.MemoryFactor, s.DiskFactor = 1, 1 }) // nobody is thrown out
	b.remove(first.ID)
	b.remove(second.ID)
	b.ready(whole)
}

func TestDeletingKeepsItsRoom(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ready(ports(30000), func(n *instance.New) { n.MemoryMiB = 1024 })
	_, j, err := b.instances.Delete(t.Context(), b.admin, i.ID)
	if err != nil {
		t.Fatal(err)
	}
	b.until("the node is told", func() bool { return b.agents.removals(i.ID) == 1 && b.job(j.ID).Handed })
	again := func() error {
		_, _, err := b.instances.Create(t.Context(), b.admin, b.order(ports(30000)))
		return err
	}
	b.nothing("while it is being deleted", problem.InsufficientResources, again)
	b.say(b.node, wire.Event{Type: wire.EventRemoved, Instance: i.ID})
	b.ended(j, job.Succeeded)
	if err := again(); err != nil {
		t.Errorf("after the delete: %v", err)
	}
}

// setNode edits the node.
func (b *bundle) setNode(edit func(*node.Spec)) {
	b.t.Helper()
	must(b.nodes.Change(b.t.Context(), b.admin, b.node, edit))(b.t)
}

// Many at once: not one more than there is room for, and one for a port.
func TestCreateAtTheSameTime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	created := func(n int, edits ...func(*instance.New)) (fine int) {
		results := make(chan error, n)
		for range n {
			go func() {
				_, _, err := b.instances.Create(context.Background(), b.admin, b.order(edits...))
				results <- err
			}()
		}
		for range n {
			switch err := <-results; {
			case err == nil:
				fine++
			case !problem.Is(err, problem.Conflict) && !problem.Is(err, problem.InsufficientResources):
				t.Error(err)
			}
		}
		return fine
	}
	if n := created(50, ports(30000)); n != 1 {
		t.Errorf("%d instances on one port", n)
	}
	if n := created(20); n != 1024/128-1 {
		t.Errorf("%d instances more in 896 MiB, each of 128", n)
	}
	if rows := b.rows(); rows["instances"] != 8 || rows["allocations"] != 1 || rows["jobs"] != 8 {
		t.Errorf("%v", rows)
	}
}
