package image

import (
	"context"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// Update imports an image anew from the address that its file has named, and tells
// what became of it as an import does. What is there must be a newer form of this
// image by the rules of imports (see register): another one is a CONFLICT, and
// nothing changes.
func (s *Service) Update(ctx context.Context, c access.Caller, id ident.Image) (ImportedFile, error) {
	i, err := s.Get(ctx, id)
	if err != nil {
		return ImportedFile{}, err
	}
	if i.Source == nil || i.Source.UpdateURL == "" {
		return ImportedFile{}, problem.New(problem.Conflict, "the file that %s came from names no address for updates: import its newer file by hand", i.Name)
	}
	file, err := s.download(ctx, i.Source.UpdateURL)
	if err != nil {
		return ImportedFile{}, err
	}
	report := ImportedFile{File: file.Name, Changes: []string{}, Ignored: []string{}}
	reading, ok := read(s.readers, file, false, &report)
	if !ok {
		return ImportedFile{}, problem.New(problem.Conflict, "what %s gives can't be used, and the image stays as it is: %s", file.Name, report.Error)
	}
	one := newCandidate(&report, reading)
	err = s.db.Write(ctx, func(tx *store.Tx) error { return s.takeUpdate(ctx, tx, c, id, one) })
	return report, err
}

// takeUpdate writes what was fetched as a newer form of that image, or not at all.
func (s *Service) takeUpdate(ctx context.Context, tx *store.Tx, c access.Caller, id ident.Image, one *candidate) error {
	i, err := ByID(ctx, tx, id)
	if err != nil {
		return err
	}
	all, err := knownImages(ctx, tx)
	if err != nil {
		return err
	}
	var others []ident.Image
	for _, k := range all {
		if k.id != id {
			others = append(others, k.id)
		}
	}
	catalogue := newRegister(all, others)
	if catalogue.match([]*candidate{one}); one.match == nil {
		return problem.New(problem.Conflict, "%s holds another image now, %q%s, and %s stays as it is: import that file if you want both",
			one.report.File, one.name, by(one.reading.Image.Author), i.Name)
	}
	return s.takeOne(ctx, tx, c, catalogue, one)
}
