package image

import (
	"context"
	"encoding/json"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// Export gives an image as a file of a format: "PLCN_v3" (or ""), as "json" (or
// "") or "yaml"; or "classic".
func (s *Service) Export(ctx context.Context, id ident.Image, format, as string) (Export, error) {
	i, err := s.Get(ctx, id)
	if err != nil {
		return Export{}, err
	}
	if format != "classic" {
		return Export{}, problem.Invalid("format", "PLCN_v3 or classic")
	}
	text, err := json.MarshalIndent(i.ToClassic(), "", "    ")
	return Export{Name: "image.json", Type: "application/json", Text: text}, err
}
