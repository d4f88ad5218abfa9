package instance

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// Commanded is the fact that somebody wrote to an instance's console.
const Commanded = event.Commanded

// commandKept is how many characters of a command the log of events keeps.
const commandKept = 200

// NoteCommand writes down who gave an instance a command, and how it begins:
// what an admin wants to read when somebody says that it wasn't him.
func (s *Service) NoteCommand(ctx context.Context, c access.Caller, id ident.Instance, command string) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		i, err := entitled(ctx, tx, c, id, access.WriteConsole)
		if err != nil {
			return err
		}
		if !utf8.ValidString(command) {
			return problem.Invalid("command", "must be UTF-8")
		}
		return s.tell(ctx, tx, c.Actor, Commanded, i, map[string]any{"command": brief(command)})
	})
}

func brief(command string) string {
	command = strings.TrimSpace(command)
	for n := range command {
		if utf8.RuneCountInString(command[:n]) == commandKept {
			return command[:n] + "…"
		}
	}
	return command
}
