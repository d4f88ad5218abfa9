package access

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/berth-panel/berth/shared/ident"
)

// Reach is what lists show to a caller. The zero value shows nothing.
type Reach struct {
	All       bool             // everything
	Instances bool             // what is about any instance
	Nodes     bool             // what is about any node, and no instance
	Owner     ident.User       // what is his
	Shared    []ident.Instance // and what is about these, in order
}

// Everything is the reach of Berth itself.
func Everything() Reach { return Reach{All: true} }

// Reach gives what lists show to the caller, of things that whoever holds all may
// see all of.
func (c Caller) Reach(all Permission) Reach {
	if !c.Known() {
		return Reach{}
	}
	if c.Holds(all) {
		return Everything()
	}
	return Reach{
		Instances: c.Holds(ReadInstances), Nodes: c.Holds(ReadNodes), Owner: c.User, Shared: slices.Sorted(maps.Keys(c.Shares)),
	}
}

// Includes says whether the reach has something of that owner that is about that
// instance and node; each may be "".
func (r Reach) Includes(of Of, node ident.Node) bool {
	switch {
	case r.All, r.Owner != "" && r.Owner == of.Owner, r.Instances && of.Instance != "", r.Nodes && of.Instance == "" && node != "":
		return true
	default:
		return of.Instance != "" && slices.Contains(r.Shared, of.Instance)
	}
}

// Clause is the reach as a condition of SQL with its arguments, over the columns
// of those names, which are the room's own and never a caller's; "" is no
// condition. A room whose rows are about no node gives no column for it. However
// many instances are shared, they are one argument.
func (r Reach) Clause(owner, instance, node string) (string, []any) {
	if r.All {
		return "", nil
	}
	var parts []string
	var args []any
	add := func(part string, arg ...any) {
		parts = append(parts, part)
		args = append(args, arg...)
	}
	if r.Owner != "" {
		add(owner+" = ?", string(r.Owner))
	}
	if r.Instances {
		add(instance + " IS NOT NULL")
	} else if len(r.Shared) > 0 {
		ids, _ := json.Marshal(r.Shared) // of plain texts: never fails
		add(instance+" IN (SELECT value FROM json_each(?))", string(ids))
	}
	if r.Nodes && node != "" {
		add(instance + " IS NULL AND " + node + " IS NOT NULL")
	}
	switch len(parts) {
	case 0:
		return "0", nil
	case 1:
		return parts[0], args
	default:
		return "(" + strings.Join(parts, " OR ") + ")", args
	}
}

// View names all that decides what the caller is shown of instances: two callers
// with the same one are shown the same. For caches.
func (c Caller) View() string {
	scope := slices.MaxFunc(append([]Scope{""}, c.Scopes...), func(a, b Scope) int { return cmp.Compare(rank[a], rank[b]) })
	if c.Holds(WriteInstances) {
		return "all:" + string(scope)
	}
	shares, _ := json.Marshal(c.Shares) // texts by texts, in order: never fails
	return fmt.Sprintf("%t:%s:%s:%s", c.Holds(ReadInstances), scope, c.User, shares)
}
