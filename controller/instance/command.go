package instance

import (
	"context"
	"unicode/utf8"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// Commanded is the fact that somebody wrote to an instance's console.
const Commanded = event.Commanded

// NoteCommand writes down who gave an instance a command. What he typed stays in
// the console's own record, for who may read that: commands hold passwords, and
// the log of events goes further and lives longer.
func (s *Service) NoteCommand(ctx context.Context, c access.Caller, id ident.Instance, command string) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		i, err := living(ctx, tx, c, id)
		if err != nil {
			return err
		}
		if !utf8.ValidString(command) {
			return problem.Invalid("command", "must be UTF-8")
		}
		return s.tell(ctx, tx, c.Actor, Commanded, i, nil)
	})
}
