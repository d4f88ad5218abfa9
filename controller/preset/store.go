package preset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

const query = `SELECT id, image_id, name, settings, created_at, updated_at FROM presets`

func scan(row func(...any) error) (Preset, error) {
	var p Preset
	var settings string
	var created, updated int64
	if err := row(&p.ID, &p.Image, &p.Name, &settings, &created, &updated); err != nil {
		return p, err
	}
	p.CreatedAt, p.UpdatedAt = time.UnixMilli(created).UTC(), time.UnixMilli(updated).UTC()
	if err := json.Unmarshal([]byte(settings), &p.PresetSettings); err != nil {
		return p, fmt.Errorf("preset %s: %w", p.ID, err)
	}
	return p, nil
}

// find gives a preset of that image.
func find(ctx context.Context, q store.Querier, of ident.Image, id ident.Preset) (Preset, error) {
	p, err := scan(q.QueryRowContext(ctx, query+` WHERE image_id = ? AND id = ?`, string(of), string(id)).Scan)
	if errors.Is(err, store.ErrNoRows) {
		return p, problem.New(problem.NotFound, "the image has no such preset")
	}
	return p, err
}

func ofImage(ctx context.Context, q store.Querier, of ident.Image) ([]Preset, error) {
	return store.Collect(ctx, q, scan, query+` WHERE image_id = ? ORDER BY name, id`, string(of))
}

// put writes a preset, a new one too.
func put(ctx context.Context, tx *store.Tx, p Preset) error {
	settings, err := json.Marshal(p.PresetSettings)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO presets (id, image_id, name, settings, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, settings = excluded.settings, updated_at = excluded.updated_at`,
		string(p.ID), string(p.Image), p.Name, string(settings), p.CreatedAt.UnixMilli(), p.UpdatedAt.UnixMilli())
	if store.IsUnique(err) {
		return problem.New(problem.Conflict, "the image has a preset named %q already", p.Name)
	}
	return err
}

func remove(ctx context.Context, tx *store.Tx, id ident.Preset) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM presets WHERE id = ?`, string(id))
	return err
}
