package instance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

const strayColumns = `node_id, instance_id, generation, state, found_at`

func scanStray(row func(...any) error) (Stray, error) {
	var s Stray
	var state string
	var found int64
	if err := row(&s.Node, &s.Instance, &s.Generation, &state, &found); err != nil {
		return s, err
	}
	s.FoundAt = time.UnixMilli(found).UTC()
	if err := json.Unmarshal([]byte(state), &s.State); err != nil {
		return s, fmt.Errorf("stray %s: %w", s.Instance, err)
	}
	return s, nil
}

func getStray(ctx context.Context, q store.Querier, on ident.Node, id ident.Instance) (s Stray, there bool, err error) {
	s, err = scanStray(q.QueryRowContext(ctx, `SELECT `+strayColumns+` FROM strays WHERE node_id = ? AND instance_id = ?`, string(on), string(id)).Scan)
	if errors.Is(err, store.ErrNoRows) {
		return s, false, nil
	}
	return s, err == nil, err
}

func listStrays(ctx context.Context, q store.Querier, on ident.Node, limit, offset int) ([]Stray, int, error) {
	total, err := store.Count(ctx, q, `SELECT COUNT(*) FROM strays WHERE node_id = ?`, string(on))
	if err != nil {
		return nil, 0, err
	}
	items, err := store.Collect(ctx, q, scanStray, `SELECT `+strayColumns+` FROM strays WHERE node_id = ? ORDER BY found_at, instance_id LIMIT ? OFFSET ?`,
		string(on), limit, offset)
	return items, total, err
}

func strayIDs(ctx context.Context, q store.Querier, on ident.Node) (map[ident.Instance]bool, error) {
	out := map[ident.Instance]bool{}
	_, err := store.Collect(ctx, q, func(row func(...any) error) (id ident.Instance, err error) {
		if err = row(&id); err == nil {
			out[id] = true
		}
		return id, err
	}, `SELECT instance_id FROM strays WHERE node_id = ?`, string(on))
	return out, err
}

// keepStray writes a stray; one that is there keeps the time at which it was found.
func keepStray(ctx context.Context, tx *store.Tx, s Stray) error {
	state, err := json.Marshal(s.State)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO strays (`+strayColumns+`) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (node_id, instance_id) DO UPDATE SET generation = excluded.generation, state = excluded.state`,
		string(s.Node), string(s.Instance), s.Generation, string(state), s.FoundAt.UnixMilli())
	return err
}

// moveStray takes a new state over, of a stray that is there.
func moveStray(ctx context.Context, tx *store.Tx, s Stray) error {
	state, err := json.Marshal(s.State)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE strays SET generation = MAX(generation, ?), state = ? WHERE node_id = ? AND instance_id = ?`,
		s.Generation, string(state), string(s.Node), string(s.Instance))
	return err
}

func dropStray(ctx context.Context, tx *store.Tx, on ident.Node, id ident.Instance) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM strays WHERE node_id = ? AND instance_id = ?`, string(on), string(id))
	return err
}
