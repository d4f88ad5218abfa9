package instance

import (
	"context"
	"net/netip"
	"slices"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// SFTPEnded is the fact that somebody's SFTP session is over, with what he did.
const SFTPEnded event.Type = "sftp.session_ended"

// sessionText is how many bytes of paths are kept of one session.
const sessionText = 32 << 10

// applySession writes down what was done over SFTP. The node says so: it speaks
// for its own instances, of people that there are, and at no greater length than
// was agreed.
func (s *Service) applySession(ctx context.Context, tx *store.Tx, i Instance, w wire.Session) error {
	u, err := identity.Lookup(ctx, tx, w.User)
	if problem.Is(err, problem.NotFound) { // deleted meanwhile
		u, err = identity.User{}, nil
	}
	if err != nil {
		return err
	}
	by := access.Actor{Via: access.ViaSFTP, User: u.ID, Username: u.Username}
	if address, err := netip.ParseAddr(w.Address); err == nil {
		by.Address = address.String()
	}
	deeds, bytes := []wire.Deed{}, 0
	for _, d := range w.Deeds {
		bytes += len(d.What) + len(d.Path) + len(d.To)
		if len(deeds) == wire.SessionDeeds || bytes > sessionText {
			break
		}
		if slices.Contains([]string{"read", "written", "made", "removed", "renamed", "changed"}, d.What) {
			deeds = append(deeds, d)
		}
	}
	return s.tell(ctx, tx, by, SFTPEnded, i, map[string]any{"began_at": w.Began, "deeds": deeds, "more": max(w.More, 0) + len(w.Deeds) - len(deeds)})
}
