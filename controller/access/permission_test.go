package access_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

func holder(permissions ...access.Permission) access.Caller {
	c := caller(false, access.ScopeAdmin)
	c.Permissions = permissions
	return c
}

func TestEachPermissionIsItsOwn(t *testing.T) {
	t.Parallel()
	for _, p := range access.Permissions() {
		c := holder(p)
		if !c.Can(p) || !c.Holds(p) || (access.Rule{}).Check(c) == nil || access.Permits(p).Check(c) != nil {
			t.Errorf("%s can't be used", p)
		}
		for _, other := range access.Permissions() {
			comes := strings.HasSuffix(string(other), ".read") && other != access.ReadAll
			if other != p && c.Can(other) && !comes {
				t.Errorf("%s gives %s too", p, other)
			}
		}
		if p.Text() == "" || holder().Can(p) || !caller(true, access.ScopeAdmin).Can(p) || (access.Caller{Admin: true, Scopes: []access.Scope{access.ScopeAdmin}}).Can(p) {
			t.Errorf("%s is somebody's who hasn't it, or not an admin's", p)
		}
		weak := holder(p)
		weak.Scopes = nil
		if weak.Can(p) || !problem.Is(access.Permits(p).Check(weak), problem.Forbidden) {
			t.Errorf("%s needs no scope", p)
		}
	}
	if holder("").Can("") || holder("*").Can("*") && access.Permission("*").Text() != "" {
		t.Error("no permission is one")
	}
}

func TestNobodyGivesMoreThanHeHas(t *testing.T) {
	t.Parallel()
	c := holder(access.WriteUsers, access.ReadNodes)
	for name, r := range map[string]struct {
		admin bool
		list  []access.Permission
		ok    bool
	}{
		"nothing":          {false, nil, true},
		"his own":          {false, []access.Permission{access.WriteUsers, access.ReadNodes}, true},
		"what comes along": {false, []access.Permission{access.ReadUsers}, true},
		"more":             {false, []access.Permission{access.WriteNodes}, false},
		"an admin":         {true, nil, false},
		"something odd":    {false, []access.Permission{"*"}, false},
	} {
		if err := c.Covers(r.admin, r.list); (err == nil) != r.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err := caller(true).Covers(r.admin, r.list); err != nil {
			t.Errorf("an admin, %s: %v", name, err)
		}
	}
}

func TestParsePermissions(t *testing.T) {
	t.Parallel()
	got, err := access.ParsePermissions([]string{"nodes.read", "users.read", "nodes.read"})
	if err != nil || !slices.Equal(got, []access.Permission{access.ReadUsers, access.ReadNodes}) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := access.ParsePermissions(nil); err != nil || got == nil || len(got) > 0 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := access.ParsePermissions([]string{"nodes.read", "*"}); !problem.Is(err, problem.Validation) {
		t.Error(err)
	}
}

// Every right, for each kind of person: nobody has one by another.
func TestRights(t *testing.T) {
	t.Parallel()
	of := access.Of{Instance: "00000001", Owner: "owner"}
	owner, stranger, admin := caller(false, access.ScopeWrite), caller(false, access.ScopeWrite), caller(true, access.ScopeWrite)
	owner.User = "owner"
	reader, writer := holder(access.ReadInstances), holder(access.WriteInstances)
	other := stranger
	other.Shares = map[ident.Instance][]access.Right{"00000002": access.Rights()}
	for _, r := range access.Rights() {
		if r.Text() == "" || !owner.May(r, of) || stranger.May(r, of) || other.May(r, of) || !admin.May(r, of) || !writer.May(r, of) || (access.Caller{}).May(r, of) {
			t.Errorf("%s is somebody's whose it isn't, or not his whose it is", r)
		}
		looks := r == access.SeeInstance || r == access.ReadConsole || r == access.ReadActivity
		if reader.May(r, of) != looks {
			t.Errorf("who reads all instances: %s is %t", r, reader.May(r, of))
		}
		sub := stranger
		sub.Shares = map[ident.Instance][]access.Right{of.Instance: {r}}
		for _, asked := range access.Rights() {
			if sub.May(asked, of) != (asked == r || asked == access.SeeInstance) {
				t.Errorf("a subuser with %s: %s is %t", r, asked, sub.May(asked, of))
			}
		}
		sub.Scopes = []access.Scope{access.ScopeRead}
		if sub.May(r, of) != (r.Scope() == access.ScopeRead) || !sub.Entitled(r, of) || !sub.SeesInstance(of) {
			t.Errorf("a key of the scope read and %s", r)
		}
	}
	odd := stranger
	odd.Shares = map[ident.Instance][]access.Right{of.Instance: {"everything"}}
	if odd.May("everything", of) || owner.May("everything", of) || admin.May("", of) {
		t.Error("a right that there isn't is given")
	}
	if stranger.SeesInstance(access.Of{Instance: "1"}) || (access.Caller{Actor: access.Actor{Via: access.ViaKey}}).SeesInstance(access.Of{Instance: "1"}) {
		t.Error("nobody's instance is everybody's")
	}
}

func TestReach(t *testing.T) {
	t.Parallel()
	sub := caller(false, access.ScopeRead)
	sub.Shares = map[ident.Instance][]access.Right{"b": {access.SeeInstance}, "a": {access.SeeInstance}}
	for name, c := range map[string]struct {
		who                       access.Caller
		clause                    string
		args                      int
		own, shared, others, node bool
	}{
		"nobody":          {access.Caller{}, "0", 0, false, false, false, false},
		"a customer":      {caller(false), "o = ?", 1, true, false, false, false},
		"a subuser":       {sub, "(o = ? OR i IN (SELECT value FROM json_each(?)))", 2, true, true, false, false},
		"reads instances": {holder(access.ReadInstances), "(o = ? OR i IS NOT NULL)", 1, true, true, true, false},
		"reads nodes":     {holder(access.ReadNodes), "(o = ? OR i IS NULL AND n IS NOT NULL)", 1, true, false, false, true},
		"sees all jobs":   {holder(access.WriteJobs), "", 0, true, true, true, true},
		"an admin":        {caller(true), "", 0, true, true, true, true},
	} {
		r := c.who.Reach(access.WriteJobs)
		clause, args := r.Clause("o", "i", "n")
		if clause != c.clause || len(args) != c.args {
			t.Errorf("%s: %q, %v", name, clause, args)
		}
		for _, look := range []struct {
			of   access.Of
			node ident.Node
			want bool
		}{
			{access.Of{Instance: "c", Owner: "anna"}, "", c.own}, {access.Of{Instance: "a", Owner: "bob"}, "", c.shared},
			{access.Of{Instance: "c", Owner: "bob"}, "n", c.others}, {access.Of{}, "n", c.node}, {access.Of{}, "", r.All},
		} {
			if got := r.Includes(look.of, look.node); got != look.want {
				t.Errorf("%s: %+v is %t", name, look, got)
			}
		}
	}
}

// What two callers are shown alike has one name, and what differs has two.
func TestViewNames(t *testing.T) {
	t.Parallel()
	with := func(rights ...access.Right) access.Caller {
		c := caller(false, access.ScopeWrite)
		c.Shares = map[ident.Instance][]access.Right{"a": rights}
		return c
	}
	bob := caller(false, access.ScopeWrite)
	bob.User = "bob"
	all := []access.Caller{
		caller(false, access.ScopeWrite), caller(false, access.ScopeRead), bob, caller(true, access.ScopeWrite), caller(true, access.ScopeRead),
		with(access.SeeInstance), with(access.SeeInstance, access.PowerRight), holder(access.ReadInstances),
	}
	seen := map[string]int{}
	for n, c := range all {
		if before, there := seen[c.View()]; there {
			t.Errorf("%d and %d are both %q", before, n, c.View())
		}
		seen[c.View()] = n
	}
	other := caller(true, access.ScopeWrite)
	other.User = "bob"
	if other.View() != all[3].View() {
		t.Error("two admins are not shown the same")
	}
}
