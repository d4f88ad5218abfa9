package event

import (
	"slices"
	"strings"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/shared/ident"
)

// Commanded is the one fact about an instance's state that tells what somebody
// typed. It is declared here because who may see it is decided here.
const Commanded Type = "instance.command"

// Sight is what somebody may see of the log. The zero value sees nothing.
type Sight struct {
	All bool       // everything
	Me  ident.User // what belongs to this user, what is about him, and what he did

	// Told are instances of others of which he may know who did what.
	Told []ident.Instance
	// Shown are those of which he may only know how they stand: see Stands.
	Shown     []ident.Instance
	Instances bool // how every instance stands
	Nodes     bool // what happens to every node

	// Things are the first words of the types of facts about what he may read all of.
	Things []string
}

// things says which facts are about what a permission lets somebody read.
var things = []struct {
	by    access.Permission
	words []string
}{
	{access.WriteImages, []string{"image", "preset"}},
	{access.WriteJobs, []string{"job"}},
	{access.ReadSettings, []string{"registry", "settings"}},
	{access.ReadUsers, []string{"role", "user"}},
}

// SightOf is what a caller may see.
func SightOf(c access.Caller) Sight {
	if c.Can(access.ReadAll) {
		return Sight{All: true, Me: c.User}
	}
	s := Sight{Me: c.User, Instances: c.Can(access.ReadInstances), Nodes: c.Can(access.ReadNodes)}
	for id, rights := range c.Shares {
		if slices.Contains(rights, access.ReadActivity) {
			s.Told = append(s.Told, id)
		} else {
			s.Shown = append(s.Shown, id)
		}
	}
	for _, thing := range things {
		if c.Can(thing.by) {
			s.Things = append(s.Things, thing.words...)
		}
	}
	slices.Sort(s.Told)
	slices.Sort(s.Shown)
	return s
}

// Everything is the sight of Berth's own rooms.
func Everything() Sight { return Sight{All: true} }

// Equal says whether the two see the same.
func (s Sight) Equal(o Sight) bool {
	return s.All == o.All && s.Me == o.Me && s.Instances == o.Instances && s.Nodes == o.Nodes && slices.Equal(s.Things, o.Things) && slices.Equal(s.Told, o.Told) && slices.Equal(s.Shown, o.Shown)
}

// Stands says whether a fact tells how an instance stands, and nothing of what
// people did inside it.
func (t Type) Stands() bool {
	return t != Commanded && (strings.HasPrefix(string(t), "instance.") || strings.HasPrefix(string(t), "job."))
}

// thing is what a fact is about: the first word of its type.
func (t Type) thing() string {
	word, _, _ := strings.Cut(string(t), ".")
	return word
}

// Sees says whether the fact may be seen.
func (s Sight) Sees(e Event) bool {
	return s.knows(e) || e.Type.Stands() && e.Instance != "" && (s.Instances || slices.Contains(s.Shown, e.Instance)) ||
		s.Nodes && e.Node != "" && e.Instance == "" || slices.Contains(s.Things, e.Type.thing())
}

// knows says whether who did it may be seen too.
func (s Sight) knows(e Event) bool {
	if s.All {
		return true
	}
	if s.Me != "" && (e.Owner == s.Me || e.Subject == string(s.Me) || e.Actor.User == s.Me) {
		return true
	}
	return e.Instance != "" && slices.Contains(s.Told, e.Instance)
}

// View shows the fact to whoever has the sight: from where and with which key
// somebody did it is for those who may see who did what.
func (s Sight) View(e Event) EventView {
	if !s.knows(e) {
		e.Actor = access.Actor{Via: e.Actor.Via}
	}
	return e.View()
}

// branch is a part of what is seen, as SQL has it: each has an index of its own,
// or none is needed.
type branch struct {
	where string // "" lets everything through
	args  []any
}

// manyShares is from where on shared instances are looked up in one go, and
// sorted, instead of each by its own place in the index.
const manyShares = 100

// branches are Sees in SQL; what any of them lets through is seen.
func (s Sight) branches() []branch {
	if s.All {
		return []branch{{}}
	}
	var out []branch
	if s.Me != "" {
		for _, column := range []string{"owner_id", "subject_id", "actor_id"} {
			out = append(out, branch{column + " = ?", []any{string(s.Me)}})
		}
	}
	out = append(out, within(s.Told, "")...)
	const stands = "(type GLOB 'instance.*' OR type GLOB 'job.*') AND type != '" + string(Commanded) + "'"
	if s.Instances {
		out = append(out, branch{"+instance_id IS NOT NULL AND " + stands, nil})
	} else {
		out = append(out, within(s.Shown, " AND "+stands)...)
	}
	if s.Nodes {
		out = append(out, branch{"node_id IS NOT NULL AND +instance_id IS NULL", nil})
	}
	for _, thing := range s.Things {
		out = append(out, branch{"thing = ?", []any{thing}})
	}
	if out == nil {
		return []branch{{"0", nil}}
	}
	return out
}

// within are the branches of some instances.
func within(ids []ident.Instance, also string) (out []branch) {
	if len(ids) > manyShares {
		all := branch{where: "instance_id IN (?" + strings.Repeat(", ?", len(ids)-1) + ")" + also}
		for _, id := range ids {
			all.args = append(all.args, string(id))
		}
		return []branch{all}
	}
	for _, id := range ids {
		out = append(out, branch{"instance_id = ?" + also, []any{string(id)}})
	}
	return out
}

// Deeds is the sight without what is only shown to follow how things stand: what
// somebody may read of who did what.
func (s Sight) Deeds() Sight {
	s.Shown, s.Instances, s.Nodes, s.Things = nil, false, false, nil
	return s
}
