package subuser

import (
	"slices"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// The facts of this room. Their subject is the subuser's id; they are the
// instance's.
const (
	Added   event.Type = "subuser.added"
	Changed event.Type = "subuser.changed"
	Removed event.Type = "subuser.removed"
)

// The caps.
const (
	PerInstance = 100
	PerUser     = 500
)

// Subuser is somebody who may use an instance that isn't his.
type Subuser struct {
	Instance ident.Instance
	User     ident.User
	Username string
	Rights   []access.Right // in the order of access.Rights
	Created  time.Time
	Updated  time.Time
}

// Invitation says who shall become a subuser: one of Username and Email.
type Invitation struct {
	Username string
	Email    string
	Rights   []access.Right
}

func (i Invitation) check() error {
	if (i.Username == "") == (i.Email == "") {
		return problem.Invalid("username", "give either a username or an email")
	}
	return nil
}

// mayGive is nil when the caller has every one of the rights himself.
func mayGive(c access.Caller, of access.Of, rights []access.Right) error {
	for _, r := range rights {
		if !c.Entitled(r, of) {
			return problem.New(problem.Forbidden, "this takes the right %s, which you don't have yourself: ask the owner", r)
		}
	}
	return nil
}

// same says whether both are the same rights, in the order of access.Rights.
func same(a, b []access.Right) bool { return slices.Equal(a, b) }

func noSubuser() error { return problem.New(problem.NotFound, "there is no such subuser") }
