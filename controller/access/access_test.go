package access_test

import (
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/shared/problem"
)

func caller(admin bool, scopes ...access.Scope) access.Caller {
	return access.Caller{Actor: access.Actor{Via: access.ViaKey, User: "anna"}, Admin: admin, Scopes: scopes}
}

func TestRules(t *testing.T) {
	t.Parallel()
	nobody := access.Caller{}
	for name, c := range map[string]struct {
		rule access.Rule
		who  access.Caller
		want problem.Code // "" passes
	}{
		"a route without a rule lets nobody in":      {access.Rule{}, access.Local(), problem.Forbidden},
		"public lets everybody in":                   {access.Public(), nobody, ""},
		"a rule needs somebody":                      {access.Needs(access.ScopeRead), nobody, problem.Unauthorized},
		"read may read":                              {access.Needs(access.ScopeRead), caller(false, access.ScopeRead), ""},
		"read may not write":                         {access.Needs(access.ScopeWrite), caller(true, access.ScopeRead), problem.Forbidden},
		"write includes read":                        {access.Needs(access.ScopeRead), caller(false, access.ScopeWrite), ""},
		"admin includes write":                       {access.Needs(access.ScopeWrite), caller(false, access.ScopeAdmin), ""},
		"no scope, no right":                         {access.Needs(access.ScopeRead), caller(true), problem.Forbidden},
		"an unknown scope is none":                   {access.Needs(access.ScopeRead), caller(true, "root"), problem.Forbidden},
		"a permission's rule refuses a user's admin": {access.Permits(access.ReadNodes), caller(false, access.ScopeAdmin), problem.Forbidden},
		"a permission's rule still needs the scope":  {access.Permits(access.WriteNodes), caller(true, access.ScopeWrite), problem.Forbidden},
		"an admin with the scope passes":             {access.Permits(access.WriteNodes), caller(true, access.ScopeAdmin), ""},
		"the local socket may do what an admin may":  {access.Permits(access.WriteNodes), access.Local(), ""},
	} {
		err := c.rule.Check(c.who)
		if (c.want == "" && err != nil) || (c.want != "" && !problem.Is(err, c.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSeesUser(t *testing.T) {
	t.Parallel()
	reader := caller(false)
	reader.Permissions = []access.Permission{access.ReadUsers}
	if !caller(false).SeesUser("anna") || caller(false).SeesUser("bob") || caller(false).SeesUser("") || !caller(true).SeesUser("bob") || !reader.SeesUser("bob") ||
		(access.Caller{}).SeesUser("") {
		t.Fatal("somebody sees too much or too little")
	}
}

func TestParseScopes(t *testing.T) {
	t.Parallel()
	if got, err := access.ParseScopes([]string{"read", " write ", "read"}); err != nil || len(got) != 2 {
		t.Fatalf("%v, %v", got, err)
	}
	for _, bad := range [][]string{nil, {}, {"root"}, {""}, {"read", "READ"}} {
		if _, err := access.ParseScopes(bad); !problem.Is(err, problem.Validation) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestContext(t *testing.T) {
	t.Parallel()
	if access.From(t.Context()).Known() {
		t.Fatal("an empty context knows somebody")
	}
	if got := access.From(access.With(t.Context(), caller(true))); got.User != "anna" || !got.Known() {
		t.Fatalf("%+v", got)
	}
}
