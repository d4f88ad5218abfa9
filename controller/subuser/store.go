package subuser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

const query = `SELECT s.instance_id, s.user_id, u.username, s.rights, s.created_at, s.updated_at FROM subusers s JOIN users u ON u.id = s.user_id`

func scan(row func(...any) error) (Subuser, error) {
	var s Subuser
	var rights string
	var created, updated int64
	if err := row(&s.Instance, &s.User, &s.Username, &rights, &created, &updated); err != nil {
		return s, err
	}
	s.Created, s.Updated = time.UnixMilli(created).UTC(), time.UnixMilli(updated).UTC()
	var err error
	s.Rights, err = readRights(rights)
	return s, err
}

// readRights reads what the database keeps, without what this version doesn't know.
func readRights(text string) ([]access.Right, error) {
	var kept []access.Right
	if err := json.Unmarshal([]byte(text), &kept); err != nil {
		return nil, fmt.Errorf("rights of a subuser: %w", err)
	}
	rights := []access.Right{}
	for _, r := range kept {
		if r.Text() != "" {
			rights = append(rights, r)
		}
	}
	return rights, nil
}

func ofInstance(ctx context.Context, q store.Querier, id ident.Instance) ([]Subuser, error) {
	return store.Collect(ctx, q, scan, query+` WHERE s.instance_id = ? ORDER BY u.username, u.id`, string(id))
}

func find(ctx context.Context, q store.Querier, id ident.Instance, user ident.User) (s Subuser, there bool, err error) {
	s, err = scan(q.QueryRowContext(ctx, query+` WHERE s.instance_id = ? AND s.user_id = ?`, string(id), string(user)).Scan)
	if errors.Is(err, store.ErrNoRows) {
		return Subuser{}, false, nil
	}
	return s, err == nil, err
}

func save(ctx context.Context, tx *store.Tx, s Subuser) error {
	rights, err := json.Marshal(s.Rights)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO subusers (instance_id, user_id, rights, created_at, updated_at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET rights = excluded.rights, updated_at = excluded.updated_at`,
		string(s.Instance), string(s.User), string(rights), s.Created.UnixMilli(), s.Updated.UnixMilli())
	return err
}

func drop(ctx context.Context, tx *store.Tx, id ident.Instance, user ident.User) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM subusers WHERE instance_id = ? AND user_id = ?`, string(id), string(user))
	return err
}

func counts(ctx context.Context, q store.Querier, id ident.Instance, user ident.User) (ofInstance, ofUser int, err error) {
	if ofInstance, err = store.Count(ctx, q, `SELECT COUNT(*) FROM subusers WHERE instance_id = ?`, string(id)); err != nil {
		return 0, 0, err
	}
	ofUser, err = store.Count(ctx, q, `SELECT COUNT(*) FROM subusers WHERE user_id = ?`, string(user))
	return ofInstance, ofUser, err
}

// sharedWith reads by the index of users, or all.
func sharedWith(ctx context.Context, q store.Querier, user ident.User) (map[ident.User]map[ident.Instance][]access.Right, error) {
	where, args := "", []any{}
	if user != "" {
		where, args = " WHERE user_id = ?", []any{string(user)}
	}
	var out map[ident.User]map[ident.Instance][]access.Right
	_, err := store.Collect(ctx, q, func(row func(...any) error) (_ struct{}, err error) {
		var to ident.User
		var id ident.Instance
		var text string
		if err := row(&to, &id, &text); err != nil {
			return struct{}{}, err
		}
		rights, err := readRights(text)
		if out == nil {
			out = map[ident.User]map[ident.Instance][]access.Right{}
		}
		if out[to] == nil {
			out[to] = map[ident.Instance][]access.Right{}
		}
		out[to][id] = rights
		return struct{}{}, err
	}, `SELECT user_id, instance_id, rights FROM subusers`+where, args...)
	return out, err
}
