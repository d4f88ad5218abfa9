package identity_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// role makes a role, and a user who has it with a key of the scope admin.
func (b *bundle) role(name string, permissions ...access.Permission) (ident.Role, ident.User, string) {
	b.t.Helper()
	r, err := b.svc.CreateRole(b.local(), identity.Role{Name: name, Permissions: permissions})
	if err != nil {
		b.t.Fatal(err)
	}
	u, err := b.svc.CreateUser(b.local(), identity.NewUser{Username: name, Email: name + "@example.test", Password: "long enough", Role: r.ID})
	if err != nil {
		b.t.Fatal(err)
	}
	k, err := b.svc.CreateKey(b.local(), identity.NewKey{User: u.ID, Name: name, Scopes: []access.Scope{access.ScopeAdmin}})
	if err != nil {
		b.t.Fatal(err)
	}
	return r.ID, u.ID, k.Text
}

func TestARoleCountsAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, user, key := b.role("support", access.ReadInstances)
	before := access.From(b.as(key))
	if !before.Can(access.ReadInstances) || before.Can(access.ReadNodes) || before.Role != id {
		t.Fatalf("%+v", before)
	}
	if _, err := b.svc.UpdateRole(b.local(), id, identity.RoleChange{Permissions: &[]string{"nodes.read"}}); err != nil {
		t.Fatal(err)
	}
	for how, c := range map[string]access.Caller{"the next call": access.From(b.as(key)), "what goes on": recalled(b, before)} {
		if c.Can(access.ReadInstances) || !c.Can(access.ReadNodes) {
			t.Errorf("%s: %v", how, c.Permissions)
		}
	}
	if err := b.svc.DeleteRole(b.local(), id); err != nil {
		t.Fatal(err)
	}
	c := access.From(b.as(key))
	if c.Role != "" || len(c.Held()) > 0 || c.Has(access.ScopeAdmin) {
		t.Errorf("without a role: %+v", c)
	}
	if u, err := b.svc.User(b.ctx(), user); err != nil || u.Role != "" {
		t.Errorf("%+v, %v", u, err)
	}
	if got := b.happened(); !strings.HasSuffix(got, "role.created user.created key.created role.updated role.deleted") {
		t.Error(got)
	}
}

func recalled(b *bundle, c access.Caller) access.Caller {
	b.t.Helper()
	now, err := b.svc.Recall(b.ctx(), c)
	if err != nil {
		b.t.Fatal(err)
	}
	return now
}

// Who changes users or roles can't make anybody of more power than he has, nor
// touch who has more, by any way there is.
func TestNobodyRaisesHimself(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stronger, boss, bossKey := b.role("boss", access.WriteUsers, access.WriteRoles, access.WriteNodes)
	own, clerk, key := b.role("clerk", access.WriteUsers, access.WriteRoles)
	customer, customerKey := b.user("customer", false, access.ScopeWrite)
	bossKeyID, adminKeyID := access.From(b.as(bossKey)).Key, access.From(b.as(adminKey)).Key
	ctx, yes, password := b.as(key), true, "another password"
	admin := []access.Scope{access.ScopeAdmin}
	quota := identity.Quota{}
	limit := int64(1)
	quota.Instances = &limit
	before := b.seen()
	for what, try := range map[string]func() error{
		"makes an admin": func() error {
			_, err := b.svc.CreateUser(ctx, identity.NewUser{Username: "x", Email: "x@example.test", Password: "long enough", Admin: true})
			return err
		},
		"makes a stronger user": func() error {
			_, err := b.svc.CreateUser(ctx, identity.NewUser{Username: "x", Email: "x@example.test", Password: "long enough", Role: stronger})
			return err
		},
		"makes himself an admin":    func() error { _, err := b.svc.UpdateUser(ctx, clerk, identity.UserChange{Admin: &yes}); return err },
		"makes a customer an admin": func() error { _, err := b.svc.UpdateUser(ctx, customer, identity.UserChange{Admin: &yes}); return err },
		"gives himself a role":      func() error { _, err := b.svc.UpdateUser(ctx, clerk, identity.UserChange{Role: &stronger}); return err },
		"gives himself a quota":     func() error { _, err := b.svc.UpdateUser(ctx, clerk, identity.UserChange{Quota: &quota}); return err },
		"gives a customer a role": func() error {
			_, err := b.svc.UpdateUser(ctx, customer, identity.UserChange{Role: &stronger})
			return err
		},
		"resets an admin's password": func() error {
			_, err := b.svc.UpdateUser(ctx, b.admin, identity.UserChange{Password: &password})
			return err
		},
		"resets the boss's password": func() error {
			_, err := b.svc.UpdateUser(ctx, boss, identity.UserChange{Password: &password})
			return err
		},
		"disables the boss": func() error { _, err := b.svc.UpdateUser(ctx, boss, identity.UserChange{Disabled: &yes}); return err },
		"deletes an admin":  func() error { return b.svc.DeleteUser(ctx, b.admin, identity.Refuse, "") },
		"deletes the boss":  func() error { return b.svc.DeleteUser(ctx, boss, identity.Refuse, "") },
		"makes the boss's key": func() error {
			_, err := b.svc.CreateKey(ctx, identity.NewKey{User: boss, Name: "x", Scopes: admin})
			return err
		},
		"makes an admin's key": func() error {
			_, err := b.svc.CreateKey(ctx, identity.NewKey{User: b.admin, Name: "x", Scopes: admin})
			return err
		},
		"revokes the boss's key": func() error { return b.svc.RevokeKey(ctx, bossKeyID) },
		"revokes an admin's key": func() error { return b.svc.RevokeKey(ctx, adminKeyID) },
		"changes an admin's key": func() error {
			_, err := b.svc.UpdateKey(ctx, adminKeyID, identity.KeyChange{Name: &password})
			return err
		},
		"makes a stronger role": func() error {
			_, err := b.svc.CreateRole(ctx, identity.Role{Name: "x", Permissions: []access.Permission{access.WriteNodes}})
			return err
		},
		"makes his role stronger": func() error {
			_, err := b.svc.UpdateRole(ctx, own, identity.RoleChange{Permissions: &[]string{"users.write", "roles.write", "nodes.write"}})
			return err
		},
		"makes the boss's role weaker": func() error {
			_, err := b.svc.UpdateRole(ctx, stronger, identity.RoleChange{Permissions: &[]string{"users.write"}})
			return err
		},
		"deletes the boss's role": func() error { return b.svc.DeleteRole(ctx, stronger) },
		"gives the boss an SSH key": func() error {
			_, err := b.svc.AddSSHKey(ctx, boss, "x", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1xvqC2yeqEGbO0qVv6oOTvpN1ZJk0sJYQpQnqYB0bS")
			return err
		},
		"a customer changes the clerk's key": func() error { return b.svc.RevokeKey(b.as(customerKey), access.From(b.as(key)).Key) },
	} {
		if err := try(); !problem.Is(err, problem.Forbidden) && !problem.Is(err, problem.NotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if after := b.seen(); after != before {
		t.Errorf("something happened: %v, before %v", after, before)
	}
	// What he may do, he may.
	if _, err := b.svc.UpdateUser(ctx, customer, identity.UserChange{Role: &own, Quota: &quota}); err != nil {
		t.Errorf("his own role for a customer: %v", err)
	}
	if _, err := b.svc.CreateKey(ctx, identity.NewKey{User: customer, Name: "x", Scopes: admin}); err != nil {
		t.Errorf("a key for him: %v", err)
	}
	if _, err := b.svc.CreateRole(ctx, identity.Role{Name: "weaker", Permissions: []access.Permission{access.ReadUsers}}); err != nil {
		t.Errorf("a weaker role: %v", err)
	}
}

func TestRolesOverHTTP(t *testing.T) {
	t.Parallel()
	b := setup(t).serve()
	var role identity.RoleView
	b.do(adminKey, "POST", "/api/v1/roles", `{"name":" Support ","permissions":["users.read","instances.read"]}`).read(t, &role)
	if role.Name != "Support" || len(role.Permissions) != 2 || role.Users != 0 {
		t.Fatalf("%+v", role)
	}
	for body, want := range map[string]string{
		`{"name":"support","permissions":[]}`:        "CONFLICT",
		`{"name":"other","permissions":["users.*"]}`: "VALIDATION_ERROR",
		`{"name":"","permissions":[]}`:               "VALIDATION_ERROR",
		`{"name":"a\u0007b","permissions":[]}`:       "VALIDATION_ERROR",
		`{"name":"nothing"}`:                         "VALIDATION_ERROR",
	} {
		if code, _ := b.do(adminKey, "POST", "/api/v1/roles", body).code(t); code != want {
			t.Errorf("%s: %s", body, code)
		}
	}
	var user identity.UserView
	b.do(adminKey, "POST", "/api/v1/users", `{"username":"anna","email":"anna@example.test","password":"long enough","role_id":"`+string(role.ID)+`","quota":{"instances":2,"cpu":1.5}}`).read(t, &user)
	if user.RoleID == nil || *user.RoleID != role.ID || *user.Quota.Instances != 2 || *user.Quota.CPU != 1.5 || user.Quota.Memory != nil {
		t.Fatalf("%+v", user)
	}
	b.do(adminKey, "PATCH", "/api/v1/users/"+string(user.ID), `{"quota":{"disk":5,"memory":null}}`).read(t, &user)
	if user.RoleID == nil || user.Quota.Instances != nil || *user.Quota.Disk != 5 {
		t.Errorf("%+v", user)
	}
	if code, field := b.do(adminKey, "PATCH", "/api/v1/users/"+string(user.ID), `{"role_id":"none"}`).code(t); code != "VALIDATION_ERROR" || field != "role_id" {
		t.Errorf("%s %s", code, field)
	}
	var me identity.MeView
	key, err := b.svc.CreateKey(b.local(), identity.NewKey{User: user.ID, Name: "k", Scopes: []access.Scope{access.ScopeRead}})
	if err != nil {
		t.Fatal(err)
	}
	b.svc.Attach(&flat{of: map[ident.User]int{user.ID: 1}})
	b.do(key.Text, "GET", "/api/v1/me", "").read(t, &me)
	if me.RoleName != "Support" || !slices.Equal(me.Permissions, []access.Permission{access.ReadUsers, access.ReadInstances}) || me.Used == nil || me.Used.CPU != 0.5 {
		t.Errorf("%+v", me)
	}
	var seen identity.UserDetailView
	b.do(adminKey, "GET", "/api/v1/users/"+string(user.ID), "").read(t, &seen)
	if seen.ID != user.ID || seen.Quota.Disk == nil || seen.Used == nil || *seen.Used != *me.Used {
		t.Errorf("an admin sees %+v", seen)
	}
	b.do(adminKey, "PATCH", "/api/v1/users/"+string(user.ID), `{"role_id":null}`).read(t, &user)
	if user.RoleID != nil {
		t.Errorf("%+v", user)
	}
	var all identity.PermissionsView
	b.do(key.Text, "GET", "/api/v1/permissions", "").read(t, &all)
	if len(all.Permissions) != len(access.Permissions()) || len(all.Rights) != len(access.Rights()) || all.Permissions[0].Held {
		t.Errorf("%+v", all)
	}
}
