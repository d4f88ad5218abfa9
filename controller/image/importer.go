package image

import (
	"context"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// ImportOrder is what an import takes.
type ImportOrder struct {
	Format    string // of all files; "" is found out
	Files     []ImportFile
	URL       string        // fetched as one more file
	ApartFrom []ident.Image // that are matched by no file; see ImportBody
}

// Import takes files in and tells what became of each.
func (s *Service) Import(ctx context.Context, c access.Caller, o ImportOrder) (ImportReport, error) {
	report := ImportReport{Files: []ImportedFile{}}
	for _, f := range o.Files {
		one := ImportedFile{File: f.Name, Format: "classic", Changes: []string{}, Ignored: []string{}}
		parsed, err := ParseClassic([]byte(f.Text))
		if err == nil {
			parsed, err = s.Create(ctx, c, parsed)
		}
		if err != nil {
			one.problem = problem.From(err)
			one.Status, one.Error = Refused, one.problem.Message
		} else {
			one.Status, one.Name, one.ImageID = Imported, parsed.Name, string(parsed.ID)
		}
		report.Files = append(report.Files, one)
	}
	return report, nil
}
