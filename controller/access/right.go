package access

import (
	"slices"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// Right is one thing that somebody may do with an instance. The owner has all of
// them, and so has who may write all instances; a subuser has those that he was
// given.
type Right string

// The rights.
const (
	SeeInstance  Right = "instance.see"   // that it exists, its state and its figures; all others include it
	ReadConsole  Right = "console.read"   // what it prints
	WriteConsole Right = "console.write"  // commands
	PowerRight   Right = "power"          // start, stop, restart, kill
	ReadFiles    Right = "files.read"     // list, read, download, search
	WriteFiles   Right = "files.write"    // all that changes a file
	UseSFTP      Right = "sftp"           // the files above, over SFTP
	EditInstance Right = "instance.edit"  // name, variables, crash policy, reinstall
	ReadActivity Right = "activity.read"  // who did what with it, and from where
	EditSubusers Right = "subusers.write" // who else may use it, for what one may oneself
)

// rightTexts are all of them, in the order that pages show them, with what they
// are for.
var rightTexts = []struct {
	Right Right
	Text  string
}{
	{SeeInstance, "See it, its state and its figures. All others include this."},
	{ReadConsole, "Read the console."},
	{WriteConsole, "Send commands to the console."},
	{PowerRight, "Start, stop, restart and kill it."},
	{ReadFiles, "List, read, search and download files."},
	{WriteFiles, "Change, upload and delete files."},
	{UseSFTP, "Reach the files over SFTP, within the rights to them."},
	{EditInstance, "Change its name, variables and crash policy, and install it again."},
	{ReadActivity, "See who did what with it, and from where."},
	{EditSubusers, "Choose who else may use it, and give rights that one has oneself."},
}

// Rights lists all there are, in the order that pages show them.
func Rights() []Right {
	out := make([]Right, len(rightTexts))
	for i, t := range rightTexts {
		out[i] = t.Right
	}
	return out
}

// Text says in a sentence what the right lets somebody do; "" for none of ours.
func (r Right) Text() string {
	for _, t := range rightTexts {
		if t.Right == r {
			return t.Text
		}
	}
	return ""
}

// Scope is what an API key needs at least to use the right.
func (r Right) Scope() Scope {
	switch r {
	case SeeInstance, ReadConsole, ReadFiles, ReadActivity:
		return ScopeRead
	default:
		return ScopeWrite
	}
}

// NormalRights reads a list of rights: without doubles, in the order of Rights,
// and with SeeInstance, which all include. An unknown one is a Validation problem.
func NormalRights(rights []Right) ([]Right, error) {
	for _, r := range rights {
		if r.Text() == "" {
			return nil, problem.Invalid("rights", "%q is no right; they are %v", string(r), Rights())
		}
	}
	out := []Right{}
	for _, r := range Rights() {
		if r == SeeInstance || slices.Contains(rights, r) {
			out = append(out, r)
		}
	}
	return out, nil
}

// Of says which instance it is that a right is asked for, and whose.
type Of struct {
	Instance ident.Instance
	Owner    ident.User
}

// readers are the rights that come with the permission to read all instances.
// Files are none of them: they hold what is secret.
var readers = []Right{SeeInstance, ReadConsole, ReadActivity}

// May says whether the caller may do r with the instance, as far as he himself
// and his key go: whether the instance is suspended, or there at all, is another
// question. It is the one place where rights are decided.
func (c Caller) May(r Right, of Of) bool {
	return c.Known() && c.Has(r.Scope()) && c.Entitled(r, of)
}

// Entitled says whether the person has the right, whatever his key may.
func (c Caller) Entitled(r Right, of Of) bool {
	switch {
	case !c.Known() || r.Text() == "":
		return false
	case c.Holds(WriteInstances), c.User != "" && c.User == of.Owner:
		return true
	case slices.Contains(readers, r) && c.Holds(ReadInstances):
		return true
	}
	given := c.Shares[of.Instance]
	return slices.Contains(given, r) || r == SeeInstance && len(given) > 0
}

// SeesInstance says whether the caller may know that the instance is there.
func (c Caller) SeesInstance(of Of) bool { return c.Entitled(SeeInstance, of) }

// RightsOf lists what the caller may do with the instance, never nil.
func (c Caller) RightsOf(of Of) []Right {
	out := []Right{}
	for _, t := range rightTexts {
		if c.May(t.Right, of) {
			out = append(out, t.Right)
		}
	}
	return out
}
