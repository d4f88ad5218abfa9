package node_test

import (
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestCreateFillsInDefaults(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n, key := b.make("a")
	if n.BindAddress != "0.0.0.0" || n.MemoryFactor != 1 || n.DiskFactor != 1 || n.Tags == nil || n.Host() != "10.0.0.5" {
		t.Fatalf("%+v", n)
	}
	kept := b.get(n.ID)
	if kept.Name != "a" || !kept.CreatedAt.Equal(b.clock.Now()) || kept.Capacity() != (node.Capacity{MemoryMiB: 4096, DiskMiB: 40960}) {
		t.Fatalf("%+v", kept)
	}
	if len(key.Secret) != 32 || string(key.Fingerprint) != string(b.authority.Fingerprint()) {
		t.Fatalf("%+v", key)
	}
}

func TestCommandIsOneThatAShellRuns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, e, err := b.nodes.Create(t.Context(), admin, node.Spec{Name: "a", Address: "node.example", Port: 9000, MemoryMiB: 1, DiskMiB: 1})
	if err != nil {
		t.Fatal(err)
	}
	want := "berth-agent enrol --controller http://panel.example:8080 --key " + e.Key +
		" --data /var/lib/berth-agent && berth-agent serve --data /var/lib/berth-agent --listen :9000"
	if e.Command != want {
		t.Fatalf("the command is %s", e.Command)
	}
	if strings.Trim(e.Key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != "" {
		t.Fatalf("the key needs quotes: %s", e.Key)
	}
}

func TestSpecsThatCannotBe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	before := b.dump()
	cases := map[string]struct {
		change func(s *node.Spec)
		field  string
	}{
		"no name":              {func(s *node.Spec) { s.Name = "" }, "name"},
		"long name":            {func(s *node.Spec) { s.Name = strings.Repeat("é", 65) }, "name"},
		"control in name":      {func(s *node.Spec) { s.Name = "a\u0085b" }, "name"},
		"space at the end":     {func(s *node.Spec) { s.Name = "a " }, "name"},
		"broken text":          {func(s *node.Spec) { s.Name = "a\xff" }, "name"},
		"no address":           {func(s *node.Spec) { s.Address = "" }, "address"},
		"address with port":    {func(s *node.Spec) { s.Address = "10.0.0.1:80" }, "address"},
		"address is a URL":     {func(s *node.Spec) { s.Address = "http://x" }, "address"},
		"mistyped IP":          {func(s *node.Spec) { s.Address = "10.0.0.300" }, "address"},
		"unspecified":          {func(s *node.Spec) { s.Address = "0.0.0.0" }, "address"},
		"multicast":            {func(s *node.Spec) { s.Address = "224.0.0.1" }, "address"},
		"zone":                 {func(s *node.Spec) { s.Address = "fe80::1%eth0" }, "address"},
		"long host":            {func(s *node.Spec) { s.Address = strings.Repeat("a.", 200) + "b" }, "address"},
		"newline in host":      {func(s *node.Spec) { s.Address = "a\nb" }, "address"},
		"port 0":               {func(s *node.Spec) { s.Port = 0 }, "port"},
		"port 65536":           {func(s *node.Spec) { s.Port = 65536 }, "port"},
		"bind to a name":       {func(s *node.Spec) { s.BindAddress = "localhost" }, "bind_address"},
		"bind to a zone":       {func(s *node.Spec) { s.BindAddress = "fe80::1%eth0" }, "bind_address"},
		"public host":          {func(s *node.Spec) { s.PublicHost = "a b" }, "public_host"},
		"processor":            {func(s *node.Spec) { s.Processor = "a\x00" }, "processor"},
		"no memory":            {func(s *node.Spec) { s.MemoryMiB = 0 }, "memory"},
		"minus memory":         {func(s *node.Spec) { s.MemoryMiB = -1 }, "memory"},
		"absurd memory":        {func(s *node.Spec) { s.MemoryMiB = math.MaxInt64 }, "memory"},
		"no disk":              {func(s *node.Spec) { s.DiskMiB = 0 }, "disk"},
		"factor below 1":       {func(s *node.Spec) { s.MemoryFactor = 0.5 }, "memory_factor"},
		"factor is not number": {func(s *node.Spec) { s.DiskFactor = math.NaN() }, "disk_factor"},
		"infinite factor":      {func(s *node.Spec) { s.DiskFactor = math.Inf(1) }, "disk_factor"},
		"tag with comma":       {func(s *node.Spec) { s.Tags = []string{"a,b"} }, "tags"},
		"tag twice":            {func(s *node.Spec) { s.Tags = []string{"a", "a"} }, "tags"},
		"empty tag":            {func(s *node.Spec) { s.Tags = []string{""} }, "tags"},
		"too many tags":        {func(s *node.Spec) { s.Tags = make([]string, 33) }, "tags"},
	}
	for name, c := range cases {
		s := spec("fine")
		c.change(&s)
		_, _, err := b.nodes.Create(t.Context(), admin, s)
		if p := problem.From(err); p.Code != problem.Validation || len(p.Fields) != 1 || p.Fields[0].Field != c.field {
			t.Errorf("%s: %v", name, err)
		}
	}
	if b.dump() != before {
		t.Error("something was made")
	}
}

func TestSpecsThatMayBe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i, address := range []string{"10.0.0.1", "::1", "127.0.0.1", "2001:db8::1", "localhost", "node-1.example.com", "node.example.", "1st.example"} {
		s := spec(string(rune('a' + i)))
		s.Address, s.BindAddress, s.PublicHost = address, "::", "play.example"
		if _, _, err := b.nodes.Create(t.Context(), admin, s); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	s := spec("mapped")
	s.BindAddress = "::ffff:10.0.0.1"
	if n, _, err := b.nodes.Create(t.Context(), admin, s); err != nil || n.BindAddress != "10.0.0.1" {
		t.Errorf("bound to %s, %v", n.BindAddress, err)
	}
}

func TestOneOfManyOfANameIsMade(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := 0
	for i := range 50 {
		wg.Go(func() {
			name := "same"
			if i%2 == 0 {
				name = "SAME"
			}
			_, _, err := b.nodes.Create(t.Context(), admin, spec(name))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made++
			} else if !problem.Is(err, problem.Conflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made != 1 || len(b.all()) != 1 || b.facts() != "node.created" {
		t.Fatalf("%d made, %d there, facts %s", made, len(b.all()), b.facts())
	}
}

func TestChangeIsFollowed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n := b.enrolled("a")
	b.make("b")
	before := b.fleet.refreshes()
	b.clock.Add(1e9)
	after, err := b.nodes.Change(t.Context(), admin, n.ID, func(s *node.Spec) { s.Name, s.Address, s.MemoryMiB = "A", "10.0.0.9", 1 })
	if err != nil || after.Name != "A" || after.Address != "10.0.0.9" || !after.UpdatedAt.After(n.UpdatedAt) || !after.CreatedAt.Equal(n.CreatedAt) {
		t.Fatalf("%+v, %v", after, err)
	}
	if b.fleet.refreshes() != before+1 {
		t.Fatal("the fleet was not told")
	}
	kept := b.get(n.ID)
	if kept.Certificate != n.Certificate || kept.EnrolledAt == nil || kept.Name != "A" {
		t.Fatalf("the change cost the node its certificate: %+v", kept)
	}
	unchanged := b.dump()
	_, err = b.nodes.Change(t.Context(), admin, n.ID, func(s *node.Spec) { s.Name = "B" })
	wantProblem(t, err, problem.Conflict, "there is a node named B already")
	_, err = b.nodes.Change(t.Context(), admin, n.ID, func(s *node.Spec) { s.Port = -1 })
	wantProblem(t, err, problem.Validation, "port")
	_, err = b.nodes.Change(t.Context(), admin, "nobody", func(*node.Spec) {})
	wantProblem(t, err, problem.NotFound, "no such node")
	if b.dump() != unchanged || b.fleet.refreshes() != before+1 {
		t.Fatal("a refused change left something behind")
	}
}

func TestDeleteNeedsAnEmptyNode(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n := b.enrolled("a")
	b.settle(n.ID, 2)
	before := b.dump()
	wantProblem(t, b.nodes.Delete(t.Context(), admin, n.ID), problem.Conflict, "node a still has 2 instances")
	if b.dump() != before {
		t.Fatal("a refused deletion left something behind")
	}
	b.settle(n.ID, 0)
	if err := b.nodes.Delete(t.Context(), admin, n.ID); err != nil {
		t.Fatal(err)
	}
	if targets, err := b.nodes.Targets(t.Context()); err != nil || len(targets) != 0 {
		t.Fatalf("targets %v, %v", targets, err)
	}
	wantProblem(t, b.nodes.Delete(t.Context(), admin, n.ID), problem.NotFound, "no such node")
	if got := b.facts(); got != "node.created node.enrolled node.deleted" {
		t.Fatalf("facts: %s", got)
	}
}

func TestRevokeShutsOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	fresh, _ := b.make("fresh")
	_, err := b.nodes.Revoke(t.Context(), admin, fresh.ID)
	wantProblem(t, err, problem.Conflict, "no certificate")
	n := b.enrolled("a")
	e, err := b.nodes.NewKey(t.Context(), admin, n.ID)
	if err != nil {
		t.Fatal(err)
	}
	before := b.fleet.refreshes()
	revoked, err := b.nodes.Revoke(t.Context(), admin, n.ID)
	if err != nil || revoked.Certificate != "" || revoked.RevokedAt == nil || b.fleet.refreshes() != before+1 {
		t.Fatalf("%+v, %v, refreshed %d times", revoked, err, b.fleet.refreshes()-before)
	}
	if state, _ := b.nodes.State(b.get(n.ID)); state != node.Revoked {
		t.Fatalf("it is %s", state)
	}
	if targets, err := b.nodes.Targets(t.Context()); err != nil || len(targets) != 0 {
		t.Fatalf("targets %v, %v", targets, err)
	}
	_, err = b.nodes.Enrol(t.Context(), b.request(b.parse(e)), home)
	wantProblem(t, err, problem.Unauthorized, "not known here") // an open key went with it
	_, err = b.nodes.Connected(t.Context(), n.ID, wire.Hello{Node: n.ID, Epoch: "e"})
	wantProblem(t, err, problem.NotFound, "not let in any more")
	if err := b.nodes.Events(t.Context(), n.ID, "", []wire.Event{{Seq: 1}}); !problem.Is(err, problem.NotFound) || len(b.applied(n.ID)) != 0 {
		t.Fatalf("its events: %v, %v", err, b.applied(n.ID))
	}
	again, err := b.nodes.NewKey(t.Context(), admin, n.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.nodes.Enrol(t.Context(), b.request(b.parse(again)), home); err != nil {
		t.Fatal(err)
	}
	if state, _ := b.nodes.State(b.get(n.ID)); state != node.Offline {
		t.Fatalf("enrolled anew it is %s", state)
	}
}

func TestListNarrowsAndSorts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids := map[string]ident.Node{}
	for i, name := range []string{"alpha", "Beta", "gamma_1", "delta"} {
		s := spec(name)
		s.MemoryMiB = int64(10 - i)
		if i%2 == 0 {
			s.Tags = []string{"eu"}
		}
		n, _, err := b.nodes.Create(t.Context(), admin, s)
		if err != nil {
			t.Fatal(err)
		}
		ids[name] = n.ID
		b.clock.Add(1e9)
	}
	for _, name := range []string{"Beta", "gamma_1", "delta"} {
		e, err := b.nodes.NewKey(t.Context(), admin, ids[name])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.nodes.Enrol(t.Context(), b.request(b.parse(e)), home); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.nodes.Revoke(t.Context(), admin, ids["delta"]); err != nil {
		t.Fatal(err)
	}
	b.fleet.set(ids["Beta"], fleet.Presence{Online: true})
	for name, c := range map[string]struct {
		filter node.Filter
		want   string
		total  int
	}{
		"all":          {node.Filter{Limit: 9}, "alpha Beta gamma_1 delta", 4},
		"by name":      {node.Filter{Sort: "name", Limit: 9}, "alpha Beta delta gamma_1", 4},
		"down by name": {node.Filter{Sort: "-name", Limit: 2}, "gamma_1 delta", 4},
		"by memory":    {node.Filter{Sort: "memory", Limit: 1}, "delta", 4},
		"second page":  {node.Filter{Sort: "-created_at", Limit: 3, Offset: 3}, "alpha", 4},
		"tag":          {node.Filter{Tag: "eu", Limit: 9}, "alpha gamma_1", 2},
		"part of name": {node.Filter{Search: "A_", Limit: 9}, "gamma_1", 1},
		"a wildcard":   {node.Filter{Search: "%", Limit: 9}, "", 0},
		"unconfigured": {node.Filter{State: node.Unconfigured, Limit: 9}, "alpha", 1},
		"online":       {node.Filter{State: node.Online, Limit: 9}, "Beta", 1},
		"offline":      {node.Filter{State: node.Offline, Limit: 9}, "gamma_1", 1},
		"revoked":      {node.Filter{State: node.Revoked, Limit: 9}, "delta", 1},
	} {
		nodes, total, err := b.nodes.List(t.Context(), c.filter)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, n := range nodes {
			names = append(names, n.Name)
			if state, _ := b.nodes.State(n); c.filter.State != "" && state != c.filter.State {
				t.Errorf("%s: %s is %s", name, n.Name, state)
			}
		}
		if got := strings.Join(names, " "); got != c.want || total != c.total {
			t.Errorf("%s: %q of %d", name, got, total)
		}
	}
}

func TestListOfOnlineNodesWhenNoneIs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.enrolled("a")
	for state, want := range map[node.State]int{node.Online: 0, node.Offline: 1} {
		if _, total, err := b.nodes.List(t.Context(), node.Filter{State: state, Limit: 9}); err != nil || total != want {
			t.Errorf("%s: %d, %v", state, total, err)
		}
	}
}

func TestCapacityCountsTheFactor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := spec("a")
	s.MemoryFactor, s.DiskFactor = 1.5, 2
	n, _, err := b.nodes.Create(t.Context(), admin, s)
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.nodes.Capacity(t.Context(), b.db.Snapshot(), n.ID)
	if err != nil || got != (node.Capacity{MemoryMiB: 6144, DiskMiB: 81920}) {
		t.Fatalf("%+v, %v", got, err)
	}
	_, err = b.nodes.Capacity(t.Context(), b.db.Snapshot(), "nobody")
	wantProblem(t, err, problem.NotFound, "no such node")
	if !slices.Equal(b.all()[0].Tags, []string{}) {
		t.Fatalf("tags %v", b.all()[0].Tags)
	}
}
