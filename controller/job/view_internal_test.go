package job

import (
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/shared/ident"
)

// Whom an instance is shared with sees its jobs, and of who ordered them no more
// than the log tells him.
func TestWhoOrderedAJobIsForThoseWhoSeeTheLog(t *testing.T) {
	t.Parallel()
	const instance = ident.Instance("6f1c2b30-0000-4000-8000-000000000001")
	j := Job{Owner: "owner", Instance: instance, Actor: access.Actor{Via: access.ViaKey, User: "helper", Username: "helper", Key: "key", Address: "192.0.2.7"}}
	onNode := j
	onNode.Owner, onNode.Instance, onNode.Node = "", "", "node"
	as := func(user ident.User, permissions []access.Permission, rights ...access.Right) access.Caller {
		return access.Caller{Actor: access.Actor{Via: access.ViaSession, User: user}, Scopes: []access.Scope{access.ScopeAdmin}, Permissions: permissions,
			Shares: map[ident.Instance][]access.Right{instance: rights}}
	}
	for what, c := range map[string]struct {
		job    Job
		caller access.Caller
		told   bool
	}{
		"the owner":                 {j, as("owner", nil), true},
		"who ordered it":            {j, as("helper", nil, access.SeeInstance), true},
		"a subuser":                 {j, as("sub", nil, access.SeeInstance, access.ReadConsole), false},
		"one who may read the log":  {j, as("sub", nil, access.SeeInstance, access.ReadActivity), true},
		"who sees to jobs":          {j, as("staff", []access.Permission{access.WriteJobs}), false},
		"who sees all activity":     {j, as("staff", []access.Permission{access.ReadAll}), true},
		"who sees nodes":            {onNode, as("staff", []access.Permission{access.ReadNodes}), false},
		"an admin":                  {onNode, access.Local(), true},
		"nobody's and nobody calls": {onNode, access.Caller{}, false},
	} {
		v := c.job.viewFor(c.caller)
		if v.Actor.Via != j.Actor.Via {
			t.Errorf("%s: the door is %q", what, v.Actor.Via)
		}
		if told := v.Actor == j.Actor; told != c.told || !told && v.Actor != (access.Actor{Via: j.Actor.Via}) {
			t.Errorf("%s is told %+v", what, v.Actor)
		}
	}
}
