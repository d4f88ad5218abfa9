package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

const columns = `id, name, definition, EXISTS (SELECT 1 FROM image_icons WHERE image_id = images.id), created_at, updated_at`

func scan(row func(...any) error) (Image, error) {
	var i Image
	var definition string
	var created, updated int64
	if err := row(&i.ID, &i.Name, &definition, &i.HasIcon, &created, &updated); err != nil {
		return i, err
	}
	i.CreatedAt, i.UpdatedAt = time.UnixMilli(created).UTC(), time.UnixMilli(updated).UTC()
	if err := json.Unmarshal([]byte(definition), &i.Definition); err != nil {
		return i, fmt.Errorf("image %s: definition: %w", i.ID, err)
	}
	return i, nil
}

func one(ctx context.Context, q store.Querier, where string, arg any) (Image, error) {
	i, err := scan(q.QueryRowContext(ctx, `SELECT `+columns+` FROM images WHERE `+where+` ORDER BY created_seq LIMIT 1`, arg).Scan)
	if errors.Is(err, store.ErrNoRows) {
		return i, problem.New(problem.NotFound, "there is no such image in the catalogue")
	}
	return i, err
}

// ByID finds an image by its id.
func ByID(ctx context.Context, q store.Querier, id ident.Image) (Image, error) {
	return one(ctx, q, `id = ?`, string(id))
}

// ByName finds an image by its name; case does not matter.
func ByName(ctx context.Context, q store.Querier, name string) (Image, error) {
	return one(ctx, q, `name = ?`, name)
}

// ByReference finds the image that answers to a container reference: of several
// the one that was made first.
func ByReference(ctx context.Context, q store.Querier, reference string) (Image, error) {
	return one(ctx, q, `id IN (SELECT image_id FROM image_references WHERE reference = ?)`, reference)
}

// All gives the whole catalogue, the oldest first.
func All(ctx context.Context, q store.Querier) ([]Image, error) {
	return store.Collect(ctx, q, scan, `SELECT `+columns+` FROM images ORDER BY created_seq`)
}

func put(ctx context.Context, tx *store.Tx, i Image, isNew bool) error {
	definition, err := json.Marshal(i.Definition)
	if err != nil {
		return err
	}
	if isNew {
		_, err = tx.ExecContext(ctx, `INSERT INTO images (id, name, reference, definition, uuid, author, created_seq, created_at, updated_at)
			VALUES (?, ?, ?, ?, NULLIF(?, ''), ?, (SELECT COALESCE(MAX(created_seq), 0) + 1 FROM images), ?, ?)`,
			string(i.ID), i.Name, i.References[0], string(definition), i.fileID(), i.Author, i.CreatedAt.UnixMilli(), i.UpdatedAt.UnixMilli())
	} else {
		_, err = tx.ExecContext(ctx, `UPDATE images SET name = ?, reference = ?, definition = ?, uuid = NULLIF(?, ''), author = ?, updated_at = ? WHERE id = ?`,
			i.Name, i.References[0], string(definition), i.fileID(), i.Author, i.UpdatedAt.UnixMilli(), string(i.ID))
	}
	if store.IsUnique(err) {
		return problem.New(problem.Conflict, "the catalogue has an image named %q already", i.Name)
	}
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM image_references WHERE image_id = ?`, string(i.ID)); err != nil {
		return err
	}
	for n, ref := range i.References {
		_, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO image_references (reference, image_id, position) VALUES (?, ?, ?)`, ref, string(i.ID), n)
		if err != nil {
			return err
		}
	}
	return nil
}

// fileID is the id that its file has; "" for none.
func (i Image) fileID() string {
	if i.Source == nil {
		return ""
	}
	return i.Source.UUID
}

func remove(ctx context.Context, tx *store.Tx, id ident.Image) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM images WHERE id = ?`, string(id))
	return err
}

// Filter narrows a list. Zero fields don't narrow.
type Filter struct {
	Search     string // part of the name, the author or a tag
	Sort       string // "name", "created_at"; with a leading "-" downwards
	Limit, Off int
}

var orders = map[string]string{"": "created_seq", "name": "name", "-name": "name DESC", "created_at": "created_seq", "-created_at": "created_seq DESC"}

// matching narrows to those whose name, author or tags hold a text; it takes the
// pattern three times.
const matching = `(name LIKE ? ESCAPE '\' OR author LIKE ? ESCAPE '\' OR
	EXISTS (SELECT 1 FROM json_each(images.definition, '$.tags') WHERE value LIKE ? ESCAPE '\'))`

func list(ctx context.Context, q store.Querier, f Filter) ([]Image, int, error) {
	like := "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(f.Search) + "%"
	total, err := store.Count(ctx, q, `SELECT COUNT(*) FROM images WHERE `+matching, like, like, like)
	if err != nil {
		return nil, 0, err
	}
	images, err := store.Collect(ctx, q, scan, `SELECT `+columns+` FROM images WHERE `+matching+` ORDER BY `+orders[f.Sort]+` LIMIT ? OFFSET ?`,
		like, like, like, f.Limit, f.Off)
	return images, total, err
}
