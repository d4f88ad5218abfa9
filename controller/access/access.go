package access

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// Scope is what an API key may be used for at most. admin includes write, and
// write includes read.
type Scope string

// The scopes.
const (
	ScopeRead  Scope = "read"
	ScopeWrite Scope = "write"
	ScopeAdmin Scope = "admin"
)

var rank = map[Scope]int{ScopeRead: 1, ScopeWrite: 2, ScopeAdmin: 3}

// Dialect is how the classic API answers to a key.
type Dialect string

// The dialects of the classic API.
const (
	Documented Dialect = "documented"
	V03        Dialect = "v0.3"
)

// Via is the door that a caller came through.
type Via string

// The doors.
const (
	ViaKey      Via = "key"      // an API key
	ViaSession  Via = "session"  // the panel, by its session cookie
	ViaSFTP     Via = "sftp"     // an agent's SFTP door
	ViaSchedule Via = "schedule" // a schedule of an instance
	ViaLocal    Via = "local"    // the controller's own socket, on its machine
	ViaSystem   Via = "system"   // Berth itself: a schedule, a crash, an enrolment
)

// Actor is who did something, as events and jobs keep it.
type Actor struct {
	Via      Via        `json:"via"`
	User     ident.User `json:"user,omitempty"`
	Username string     `json:"username,omitempty"`
	Key      ident.Key  `json:"key,omitempty"`
	Address  string     `json:"address,omitempty"`
}

// System is the actor of what nobody asked for.
func System() Actor { return Actor{Via: ViaSystem} }

// Caller is who is calling. The zero value is nobody and may do nothing.
type Caller struct {
	Actor
	Admin       bool                       // the user is an admin: he has all permissions
	Role        ident.Role                 // "" none
	Permissions []Permission               // what his role lets him do
	Shares      map[ident.Instance][]Right // what owners let him do with theirs
	Scopes      []Scope                    // of the key
	Session     ident.Session              // of the panel, by which he came; "" none
	Dialect     Dialect
	RateLimit   *int // calls a minute; 0 none; nil the default
}

// Local is the caller on the controller's own socket: whoever may open that
// file may read the database anyway.
func Local() Caller {
	return Caller{Actor: Actor{Via: ViaLocal, Username: "local"}, Admin: true, Scopes: []Scope{ScopeAdmin}, Dialect: Documented}
}

// Known says whether somebody is calling.
func (c Caller) Known() bool { return c.Via != "" }

// Has says whether the key's scopes include the one asked for.
func (c Caller) Has(s Scope) bool {
	return slices.ContainsFunc(c.Scopes, func(h Scope) bool { return rank[h] >= rank[s] })
}

// SameRights says whether the other may do exactly what the caller may: what was
// begun as the one can't go on as the other where they differ.
func (c Caller) SameRights(o Caller) bool {
	return c.User == o.User && c.Admin == o.Admin && slices.Equal(c.Scopes, o.Scopes) && slices.Equal(c.Permissions, o.Permissions) &&
		maps.EqualFunc(c.Shares, o.Shares, slices.Equal[[]Right])
}

// SeesUser says whether the caller may know of a user and what is his alone, such
// as his keys.
func (c Caller) SeesUser(id ident.User) bool {
	return c.Known() && (c.Holds(ReadUsers) || c.User != "" && c.User == id)
}

// Rule says who may call a route. The zero value lets nobody in, so a route
// that forgot its rule is shut.
type Rule struct {
	public     bool
	scope      Scope
	permission Permission
	right      Right
	login      bool
}

// Public lets everybody in, without a key.
func Public() Rule { return Rule{public: true} }

// Needs lets in any user's key with that scope. The handler still shows each
// user only what he may see (Caller.SeesUser, Caller.Reach).
func Needs(s Scope) Rule { return Rule{scope: s} }

// Uses is Needs with the scope of a right to an instance. The handler asks whether
// the caller has it (Caller.May), once it has found the instance.
func Uses(r Right) Rule { return Rule{scope: r.Scope(), right: r} }

// Shows is Uses for a look at what the right lets change, so that a key of the
// scope read is enough.
func Shows(r Right) Rule { return Rule{scope: ScopeRead, right: r} }

// Announces is Uses for a socket whose client may say who he is in his first
// message: the route is public, and its handler refuses whoever lacks the right.
func Announces(r Right) Rule { return Rule{public: true, right: r} }

// Permits lets in whoever has the permission, with a key of its scope.
func Permits(p Permission) Rule { return Rule{scope: p.Scope(), permission: p} }

// LoggedIn lets in whoever is logged in to the panel: for what makes no sense by
// a key, such as to change how he logs in.
func LoggedIn() Rule { return Rule{scope: ScopeRead, login: true} }

// IsPublic says whether the rule asks for nothing.
func (r Rule) IsPublic() bool { return r.public }

// Right is the right to an instance that the rule asks for; "" for none.
func (r Rule) Right() Right { return r.right }

// Permission is the permission that the rule asks for; "" for none.
func (r Rule) Permission() Permission { return r.permission }

// String names the rule, for the table of routes.
func (r Rule) String() string {
	switch {
	case r.public && r.right != "":
		return "right " + string(r.right) + ", by key or ticket in the first message"
	case r.public:
		return "public"
	case r.scope == "":
		return "nobody"
	case r.login:
		return "any login of the panel"
	case r.permission != "":
		return "permission " + string(r.permission)
	case r.right != "" && r.scope != r.right.Scope():
		return "right " + string(r.right) + ", with " + string(r.scope)
	case r.right != "":
		return "right " + string(r.right)
	default:
		return "user with " + string(r.scope)
	}
}

// Check is nil when the caller may pass, else Unauthorized or Forbidden.
func (r Rule) Check(c Caller) error {
	if r.public {
		return nil
	}
	if r.scope == "" {
		return problem.New(problem.Forbidden, "nobody may call this")
	}
	if !c.Known() {
		return problem.New(problem.Unauthorized, "this call needs an API key in the header x-api-key")
	}
	if r.login && c.Session == "" {
		return problem.New(problem.Forbidden, "this is for who is logged in to the panel, and not for API keys: do it there")
	}
	if r.permission != "" && !c.Holds(r.permission) {
		return problem.New(problem.Forbidden, "only an admin, or whose role has the permission %s, may do this", r.permission)
	}
	if !c.Has(r.scope) {
		return problem.New(problem.Forbidden, "this API key lacks the scope %s", r.scope)
	}
	return nil
}

// ParseScopes reads a list of scopes; an empty or unknown one is a Validation problem.
func ParseScopes(names []string) ([]Scope, error) {
	if len(names) == 0 {
		return nil, problem.Invalid("scopes", "at least one of read, write, admin")
	}
	var out []Scope
	for _, n := range names {
		s := Scope(strings.TrimSpace(n))
		if rank[s] == 0 {
			return nil, problem.Invalid("scopes", "%q is none of read, write, admin", n)
		}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out, nil
}

type contextKey struct{}

// With puts the caller into the context.
func With(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, contextKey{}, c)
}

// From gives the caller out of the context; nobody when there is none.
func From(ctx context.Context) Caller {
	c, _ := ctx.Value(contextKey{}).(Caller)
	return c
}
