package access

import "github.com/berth-panel/berth/shared/ident"

// Right is one thing that somebody may do with an instance. The owner and admins
// have all of them; a subuser has those that he was given.
type Right string

// The rights.
const (
	SeeInstance  Right = "instance.see"  // that it exists, its state and its figures; all others include it
	ReadConsole  Right = "console.read"  // what it prints
	WriteConsole Right = "console.write" // commands
	PowerRight   Right = "power"         // start, stop, restart, kill
	ReadFiles    Right = "files.read"    // list, read, download, search
	WriteFiles   Right = "files.write"   // all that changes a file
	UseSFTP      Right = "sftp"          // the files above, over SFTP
	EditInstance Right = "instance.edit" // variables, crash policy, network, reinstall
)

// rights are all of them, in the order that pages show them.
var rights = []Right{SeeInstance, ReadConsole, WriteConsole, PowerRight, ReadFiles, WriteFiles, UseSFTP, EditInstance}

// Rights lists all there are.
func Rights() []Right { return append([]Right(nil), rights...) }

// Scope is what an API key needs at least to use the right.
func (r Right) Scope() Scope {
	switch r {
	case SeeInstance, ReadConsole, ReadFiles:
		return ScopeRead
	default:
		return ScopeWrite
	}
}

// May says whether the caller may do r with an instance of that owner, as far as
// he himself goes: whether the instance is suspended, or there at all, is another
// question. It is the one place where rights are decided.
func (c Caller) May(r Right, owner ident.User) bool {
	return c.Known() && c.Has(r.Scope()) && c.Sees(owner)
}
