package login

import (
	"context"
	"time"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

// Entrance is the logins for another room that has found out by its own means who
// somebody is.
type Entrance struct {
	service *Service
	means   Means
}

// For gives the entrance of those means.
func (s *Service) For(m Means) Entrance { return Entrance{s, m} }

// Begin logs a user in and gives the text of his cookie and how long the browser
// keeps it: see Service.Begin for who is refused.
func (e Entrance) Begin(ctx context.Context, user ident.User) (text string, life time.Duration, err error) {
	var b Begun
	err = e.service.DB.Write(ctx, func(tx *store.Tx) error {
		b, err = e.service.Begin(ctx, tx, user, e.means)
		return err
	})
	return b.Cookie, Life, err
}

// HasSecondFactor says whether the user needs more than a password to log in.
func (e Entrance) HasSecondFactor(ctx context.Context, user ident.User) (bool, error) {
	f, err := factorsOf(ctx, e.service.DB.Snapshot(), user)
	return f.Any(), err
}
