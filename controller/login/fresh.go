package login

import (
	"context"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/shared/ident"
)

// CheckProof gives who is logged in, when he proved who he is a short while ago: for
// other rooms whose changes are to how somebody logs in.
func (s *Service) CheckProof(ctx context.Context) (access.Caller, error) { return s.checkFresh(ctx) }

// Emails changes a user's address: by a link that is mailed to the new one, where
// mails can be sent (controller/invite).
type Emails interface {
	ChangeEmail(ctx context.Context, user ident.User, email string) (pending bool, err error)
}

// AttachEmails gives the service the room of links, before it serves anybody.
func (s *Service) AttachEmails(e Emails) { s.emails = e }
