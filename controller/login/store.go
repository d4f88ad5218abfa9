package login

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

const sessionColumns = `id, user_id, means, address, browser, created_at, proved_at, last_seen_at, expires_at`

func scanSession(row func(...any) error) (Session, error) {
	var s Session
	var created, proved, seen, expires int64
	err := row(&s.ID, &s.User, &s.Means, &s.Address, &s.Browser, &created, &proved, &seen, &expires)
	s.Created, s.Proved, s.LastSeen, s.Expires = at(created), at(proved), at(seen), at(expires)
	return s, err
}

func at(millis int64) time.Time { return time.UnixMilli(millis).UTC() }

func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// findByCookie is Unauthorized for a session that isn't there.
func findByCookie(ctx context.Context, q store.Querier, hash []byte) (Session, error) {
	s, err := scanSession(q.QueryRowContext(ctx, `SELECT `+sessionColumns+` FROM sessions WHERE hash = ?`, hash).Scan)
	if errors.Is(err, store.ErrNoRows) {
		return Session{}, loggedOut()
	}
	return s, wrap("look for a session", err)
}

// findSession finds a session through its user.
func findSession(ctx context.Context, q store.Querier, user ident.User, id ident.Session) (Session, error) {
	s, err := scanSession(q.QueryRowContext(ctx, `SELECT `+sessionColumns+` FROM sessions WHERE id = ? AND user_id = ?`, string(id), string(user)).Scan)
	if errors.Is(err, store.ErrNoRows) {
		return Session{}, problem.New(problem.NotFound, "there is no such session")
	}
	return s, wrap("read a session", err)
}

// listSessions gives a user's, the last seen first.
func listSessions(ctx context.Context, q store.Querier, user ident.User) ([]Session, error) {
	list, err := store.Collect(ctx, q, scanSession, `SELECT `+sessionColumns+` FROM sessions WHERE user_id = ? ORDER BY last_seen_at DESC, id`, string(user))
	return list, wrap("list sessions", err)
}

func insertSession(ctx context.Context, tx *store.Tx, s Session, hash []byte) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO sessions (`+sessionColumns+`, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		string(s.ID), string(s.User), string(s.Means), s.Address, s.Browser, s.Created.UnixMilli(), s.Proved.UnixMilli(), s.LastSeen.UnixMilli(), s.Expires.UnixMilli(), hash)
	return wrap("write a session", err)
}

func deleteSession(ctx context.Context, tx *store.Tx, id ident.Session) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE id = ?`, string(id))
	return wrap("end a session", err)
}

func proveSession(ctx context.Context, tx *store.Tx, user ident.User, id ident.Session, now time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE sessions SET proved_at = ? WHERE id = ? AND user_id = ?`, now.UnixMilli(), string(id), string(user))
	return wrap("note a proof", err)
}

func touchSessions(ctx context.Context, tx *store.Tx, seen map[ident.Session]int64) error {
	for id, when := range seen {
		if _, err := tx.ExecContext(ctx, `UPDATE sessions SET last_seen_at = MAX(last_seen_at, ?) WHERE id = ?`, when, string(id)); err != nil {
			return wrap("note when a session was seen", err)
		}
	}
	return nil
}

// purgeSessions removes those that have ended by themselves.
func purgeSessions(ctx context.Context, tx *store.Tx, now time.Time) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE expires_at <= ? OR last_seen_at <= ?`, now.UnixMilli(), now.Add(-Idle).UnixMilli())
	return wrap("remove sessions that are over", err)
}
