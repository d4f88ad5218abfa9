package sftp

import (
	"slices"
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/roomtest"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// rightsOf is what a node holds of one person.
func (w *world) rightsOf(n ident.Node, user ident.User) []wire.LoginRight {
	var out []wire.LoginRight
	for _, r := range w.last(n).Rights {
		if r.User == user {
			out = append(out, r)
		}
	}
	return out
}

// share says what bob may do with anna's instance on the node n1, and tells of it.
func (w *world) share(rights ...access.Right) {
	w.t.Helper()
	w.edit(func() {
		for n := range w.people {
			if w.people[n].ID == "u-bob" {
				w.people[n].Shares = map[ident.Instance][]access.Right{"00000001": rights}
			}
		}
	})
	w.tell("subuser.changed", "n1")
}

// A node is told of each change of what a subuser may do, and so ends his session.
func TestSubusersArePushed(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.run()
	roomtest.Until(t, "the first push", func() bool { return w.count("n1") > 0 && w.count("n2") > 0 })
	own := slices.Clone(w.rightsOf("n1", "u-bob"))
	holds := func(write bool) func() bool {
		return func() bool {
			return slices.Contains(w.rightsOf("n1", "u-bob"), wire.LoginRight{User: "u-bob", Instance: "00000001", Write: write})
		}
	}
	w.share(access.SeeInstance, access.UseSFTP, access.ReadFiles)
	roomtest.Until(t, "bob may read", holds(false))
	w.share(access.SeeInstance, access.UseSFTP, access.ReadFiles, access.WriteFiles)
	roomtest.Until(t, "bob may write", holds(true))
	w.share(access.SeeInstance, access.UseSFTP, access.ReadFiles)
	roomtest.Until(t, "bob may only read again", holds(false))
	for _, without := range [][]access.Right{{access.SeeInstance, access.ReadFiles, access.WriteFiles}, {access.SeeInstance, access.UseSFTP, access.WriteFiles}, nil} {
		w.share(without...)
		roomtest.Until(t, "bob is out", func() bool { return slices.Equal(w.rightsOf("n1", "u-bob"), own) })
		w.share(access.SeeInstance, access.UseSFTP, access.ReadFiles)
		roomtest.Until(t, "bob is in", holds(false))
	}
	if n := len(w.rightsOf("n2", "u-bob")); n != 0 {
		t.Errorf("another node was told of %d rights", n)
	}
}

// Passwords are judged by the same rights, and a role opens what an admin's does.
func TestWhoMayLogIn(t *testing.T) {
	t.Parallel()
	of := access.Of{Instance: "00000001", Owner: "u-anna"}
	person := func(rights ...access.Right) identity.Person {
		return identity.Person{ID: "u-bob", Shares: map[ident.Instance][]access.Right{of.Instance: rights}}
	}
	manager := identity.Person{ID: "u-bob", Permissions: []access.Permission{access.WriteInstances}}
	reader := identity.Person{ID: "u-bob", Permissions: []access.Permission{access.ReadInstances}}
	for name, tc := range map[string]struct {
		who          identity.Person
		login, write bool
		everywhere   bool
	}{
		"nothing": {person(), false, false, false}, "no door": {person(access.ReadFiles, access.WriteFiles), false, true, false},
		"no reading": {person(access.UseSFTP, access.WriteFiles), false, true, false}, "reads": {person(access.UseSFTP, access.ReadFiles), true, false, false},
		"writes":        {person(access.UseSFTP, access.ReadFiles, access.WriteFiles), true, true, false},
		"a manager":     {manager, true, true, true},
		"who reads all": {reader, false, false, false},
		"the owner":     {identity.Person{ID: "u-anna"}, true, true, false},
		"an admin":      {identity.Person{ID: "u-root", Admin: true}, true, true, true},
	} {
		login, write := may(tc.who, of)
		if login != tc.login || write != tc.write || manages(tc.who) != tc.everywhere {
			t.Errorf("%s: %t, %t, %t", name, login, write, manages(tc.who))
		}
	}
}
