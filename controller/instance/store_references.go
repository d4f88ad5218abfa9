package instance

import (
	"context"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

// ReferencesOf gives the container references that instances of an image run, in
// alphabetical order.
func (s *Service) ReferencesOf(ctx context.Context, q store.Querier, id ident.Image) ([]string, error) {
	return store.Collect(ctx, q, func(row func(...any) error) (ref string, err error) {
		err = row(&ref)
		return ref, err
	}, `SELECT DISTINCT reference FROM instances WHERE image_id = ? AND reference <> '' ORDER BY reference`, string(id))
}
