package access

import (
	"slices"
	"strings"

	"github.com/berth-panel/berth/shared/problem"
)

// Permission is one thing that a role lets its people do with what isn't theirs.
// An admin has all of them; a customer none.
type Permission string

// The permissions.
const (
	ReadUsers      Permission = "users.read"
	WriteUsers     Permission = "users.write"
	WriteRoles     Permission = "roles.write"
	ReadNodes      Permission = "nodes.read"
	WriteNodes     Permission = "nodes.write"
	WriteImages    Permission = "images.write"
	ReadInstances  Permission = "instances.read"
	WriteInstances Permission = "instances.write"
	WriteJobs      Permission = "jobs.write"
	ReadAll        Permission = "activity.read"
	ReadSettings   Permission = "settings.read"
	WriteSettings  Permission = "settings.write"
	WriteSystem    Permission = "system.write"
)

// A permissionText says what a permission is for, to whoever puts a role together.
type permissionText struct {
	Permission Permission
	Text       string
}

// permissions are all of them, in the order that pages show them.
var permissions = []permissionText{
	{ReadUsers, "See all users, their roles, quotas and API keys."},
	{WriteUsers, "Make, change, invite and remove users who may do no more than oneself."},
	{WriteRoles, "Make and change roles, with permissions that one has oneself."},
	{ReadNodes, "See the nodes, their use, addresses and alerts."},
	{WriteNodes, "Enrol, change, drain and remove nodes, their addresses and what lies on them unclaimed."},
	{WriteImages, "Import, change and remove images."},
	{ReadInstances, "See every instance, and what it prints, its figures and its jobs."},
	{WriteInstances, "Deploy, change, suspend, move and remove instances, and use every one as its owner does."},
	{WriteJobs, "Cancel and retry everybody's jobs."},
	{ReadAll, "See what everybody did."},
	{ReadSettings, "See the settings, without their secrets."},
	{WriteSettings, "Change what the panel says of itself, and test mails. The mail server and the other login take an admin: they lead into everybody's account."},
	{WriteSystem, "Bring the agents to the controller's release."},
}

// Permissions lists all there are, in the order that pages show them.
func Permissions() []Permission {
	out := make([]Permission, len(permissions))
	for i, p := range permissions {
		out[i] = p.Permission
	}
	return out
}

// Text says in a sentence what the permission lets somebody do; "" for none of ours.
func (p Permission) Text() string {
	for _, t := range permissions {
		if t.Permission == p {
			return t.Text
		}
	}
	return ""
}

// Scope is what an API key needs at least to use the permission.
func (p Permission) Scope() Scope {
	switch {
	case strings.HasSuffix(string(p), ".read"):
		return ScopeRead
	case p == WriteInstances, p == WriteJobs:
		return ScopeWrite
	default:
		return ScopeAdmin
	}
}

// implied are the permissions that come with others: who may change everybody's
// things sees them.
var implied = map[Permission][]Permission{
	ReadUsers: {WriteUsers, WriteRoles}, ReadNodes: {WriteNodes, WriteSystem}, ReadInstances: {WriteInstances}, ReadSettings: {WriteSettings},
}

// Can says whether the caller has p, by his role or as an admin, and his key the
// scope for it.
func (c Caller) Can(p Permission) bool {
	return c.Known() && c.Has(p.Scope()) && c.Holds(p)
}

// Held lists what the caller can do, in the order of Permissions; never nil.
func (c Caller) Held() []Permission {
	out := []Permission{}
	for _, p := range permissions {
		if c.Can(p.Permission) {
			out = append(out, p.Permission)
		}
	}
	return out
}

// Holds says whether the person has p, whatever his key may.
func (c Caller) Holds(p Permission) bool {
	if !c.Known() || p == "" {
		return false
	}
	if c.Admin || slices.Contains(c.Permissions, p) {
		return true
	}
	return slices.ContainsFunc(implied[p], func(with Permission) bool { return slices.Contains(c.Permissions, with) })
}

// Covers is nil when the caller may do all that an admin, or who has those
// permissions, may: then he may make, change and give such an account or role.
// Nobody gives more than he has.
func (c Caller) Covers(admin bool, permissions []Permission) error {
	if admin && !c.Admin {
		return problem.New(problem.Forbidden, "only an admin may make, change or remove an admin")
	}
	for _, p := range permissions {
		if !c.Holds(p) {
			return problem.New(problem.Forbidden, "this has the permission %s, which you don't have: only who may do all of it himself may give, change or take it", p)
		}
	}
	return nil
}

// ParsePermissions reads a list of permissions, without doubles and in the order of
// Permissions; an unknown one is a Validation problem. An empty list is fine: a
// role to be filled later.
func ParsePermissions(names []string) ([]Permission, error) {
	out := []Permission{}
	for _, n := range names {
		if Permission(n).Text() == "" {
			return nil, problem.Invalid("permissions", "%q is no permission; GET /permissions lists them", n)
		}
	}
	for _, p := range permissions {
		if slices.Contains(names, string(p.Permission)) {
			out = append(out, p.Permission)
		}
	}
	return out, nil
}
