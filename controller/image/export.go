package image

import (
	"context"
	"strings"

	"github.com/berth-panel/berth/controller/image/egg"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// Export gives an image as a file of a format: "PLCN_v3" (or ""), as "json" (or
// "") or "yaml"; or "classic". Any image can be both: what a format can't say
// goes along in a field of its own, and comes back with an import. Defaults of
// secrets stay here.
func (s *Service) Export(ctx context.Context, id ident.Image, format, as string) (Export, error) {
	switch {
	case format != "" && format != string(egg.PLCN3) && format != FormatClassic:
		return Export{}, problem.Invalid("format", "must be PLCN_v3 or classic")
	case as != "" && as != "json" && as != "yaml", as == "yaml" && format == FormatClassic:
		return Export{}, problem.Invalid("as", "must be json, or yaml with PLCN_v3")
	}
	var i Image
	var icon *Icon
	err := s.db.Read(ctx, func(q store.Querier) (err error) {
		if i, err = ByID(ctx, q, id); err != nil {
			return err
		}
		icon, err = iconByID(ctx, q, id)
		return err
	})
	if err != nil {
		return Export{}, err
	}
	i = i.Shown(false)
	out := Export{Name: "egg-" + fileName(i.Name) + ".json", Type: "application/json"}
	if format == FormatClassic {
		out.Name = fileName(i.Name) + ".json"
		out.Text, err = classicFile(i)
		return out, err
	}
	if as == "yaml" {
		out.Name, out.Type = strings.TrimSuffix(out.Name, "json")+"yaml", "application/yaml"
	}
	out.Text, err = eggFile(i, icon, s.now(), as == "yaml")
	return out, err
}

// fileName is a name that every system can have, of letters, digits and dashes.
func fileName(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else if b.Len() > 0 && !strings.HasSuffix(b.String(), "-") {
			b.WriteByte('-')
		}
	}
	if out := strings.Trim(b.String(), "-"); out != "" {
		return out
	}
	return "image"
}
