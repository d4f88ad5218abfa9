package image

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/tidwall/jsonc"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/store"
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

// mostFiles are imported at once.
const mostFiles = 2000

// candidate is a file on its way into the catalogue.
type candidate struct {
	report  *ImportedFile
	reading Reading
	uuid    string
	name    string // as its file has it
	match   *known // the image that it is a newer form of
}

func newCandidate(report *ImportedFile, reading Reading) *candidate {
	c := &candidate{report: report, reading: reading, name: reading.Image.Name}
	if from := reading.Image.Source; from != nil {
		c.uuid = from.UUID
		if from.Name != "" {
			c.name = from.Name
		}
	}
	return c
}

// Import takes files in and tells what became of each. Each is taken as a whole
// or not at all, and one that is refused stands in no other's way. Callers are
// refused for what they asked, never for what a file holds.
func (s *Service) Import(ctx context.Context, c access.Caller, o ImportOrder) (ImportReport, error) {
	readers, err := s.readersOf(o.Format)
	if err != nil {
		return ImportReport{}, err
	}
	files := slices.Clone(o.Files)
	if o.URL != "" {
		file, err := s.download(ctx, o.URL)
		if err != nil {
			return ImportReport{}, err
		}
		files = append(files, file)
	}
	switch {
	case len(files) == 0:
		return ImportReport{}, problem.Invalid("files", "there is nothing to import: give files or a url")
	case len(files) > mostFiles:
		return ImportReport{}, problem.Invalid("files", "at most %d at once", mostFiles)
	}
	report := ImportReport{Files: make([]ImportedFile, len(files))}
	var candidates []*candidate
	for n, f := range files {
		report.Files[n] = ImportedFile{File: f.Name, Changes: []string{}, Ignored: []string{}}
		if reading, ok := read(readers, f, o.Format != "", &report.Files[n]); ok {
			candidates = append(candidates, newCandidate(&report.Files[n], reading))
		}
	}
	if len(candidates) == 0 {
		return report, nil
	}
	err = s.db.Write(ctx, func(tx *store.Tx) error { return s.take(ctx, tx, c, o.ApartFrom, candidates) })
	return report, err
}

func (s *Service) readersOf(format string) ([]Reader, error) {
	if format == "" {
		return s.readers, nil
	}
	var names []string
	for _, r := range s.readers {
		if r.Format() == format || r.Format() == "egg" && (strings.HasPrefix(format, "PTDL_v") || strings.HasPrefix(format, "PLCN_v")) {
			return []Reader{r}, nil
		}
		names = append(names, r.Format())
	}
	return nil, problem.Invalid("format", "must be one of %s", strings.Join(names, ", "))
}

// read finds a file's format and reads it; the report tells why when it can't.
func read(readers []Reader, f ImportFile, certain bool, out *ImportedFile) (Reading, bool) {
	refuse := func(status ImportStatus, p *problem.Problem) (Reading, bool) {
		out.Status, out.Error, out.problem = status, p.Message, p
		return Reading{}, false
	}
	text := f.Bytes
	if len(text) == 0 {
		text = []byte(f.Text)
	}
	if len(text) > fileMost {
		return refuse(Refused, problem.New(problem.TooLarge, "the file is too large; %d bytes are the most", fileMost))
	}
	text, charset := inUTF8(text)
	named := certain || names(text)
	for _, r := range readers {
		if !certain && !(named && r.Reads(text)) {
			continue
		}
		reading, err := r.Read(f.Name, text)
		out.Format, out.Name = reading.Format, reading.Image.Name
		if out.Format == "" {
			out.Format = formatGuess(r.Format(), text)
		}
		if err == nil {
			err = inFile(text, reading.Image.check(), reading.Names)
		}
		if err != nil {
			return refuse(Refused, problem.From(err))
		}
		if charset != "" {
			out.Changes = append(out.Changes, "the file: it is in "+charset+", and read as such")
		}
		out.Changes, out.Ignored = append(out.Changes, reading.Changes...), append(out.Ignored, reading.Ignored...)
		return reading, true
	}
	if p := broken(readers, f.Name, text); p != nil {
		return refuse(Refused, p)
	}
	return refuse(Skipped, problem.New(problem.Validation, "this is not the definition of an image: no egg, no classic image, no Compose file"))
}

// inFile says of a mistake where it stands in the file, in the file's own words; names
// are those by ours.
func inFile(text []byte, err error, names map[string]string) error {
	if err == nil {
		return nil
	}
	p := *problem.From(err)
	if len(p.Fields) != 1 {
		return err
	}
	ours, _, _ := strings.Cut(p.Fields[0].Field, ".")
	ours, _, _ = strings.Cut(ours, "[")
	field := names[ours]
	if field == "" {
		return err
	}
	p.Message = field + ": " + p.Fields[0].Message
	p.Fields = []problem.Field{{Field: field, Message: p.Fields[0].Message}}
	key := field[strings.LastIndexByte(field, '.')+1:]
	if at := regexp.MustCompile(`(?m)["']` + key + `["']\s*:|^\s*` + key + `\s*:`).FindIndex(text); at != nil {
		start := at[1] - len(bytes.TrimLeft(text[at[0]:at[1]], " \t\r\n"))
		p.Message = fmt.Sprintf("line %d: %s", 1+bytes.Count(text[:start], []byte("\n")), p.Message)
	}
	return &p
}

// formatGuess names the version that a broken egg says it is.
func formatGuess(format string, text []byte) string {
	for _, v := range []string{"PTDL_v1", "PTDL_v2", "PLCN_v1", "PLCN_v2", "PLCN_v3"} {
		if format == "egg" && bytes.Contains(text, []byte(v)) {
			return v
		}
	}
	return format
}

var firstName = regexp.MustCompile(`^(?:(?:"[^"]*"|'[^']*'|[\w.$/-]+)\s*:(?:\s|$)|[&!?]|<<:)`)

// names says whether a text can be JSON, or names with their values as YAML has them:
// pages about images hold definitions too, between their words.
func names(text []byte) bool {
	for line := range bytes.Lines(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))) {
		line = bytes.TrimSpace(line)
		switch {
		case len(line) == 0, line[0] == '#', line[0] == '%', bytes.Equal(line, []byte("---")), bytes.HasPrefix(line, []byte("//")):
		case line[0] == '{', line[0] == '[':
			return true
		default:
			return firstName.Match(bytes.TrimSpace(bytes.TrimPrefix(line, []byte("--- "))))
		}
	}
	return false
}

// broken says what is wrong with a file that is called JSON and isn't: somebody
// meant it to be a definition.
func broken(readers []Reader, name string, text []byte) *problem.Problem {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	ext := strings.ToLower(path.Ext(strings.ReplaceAll(name, `\`, "/")))
	if ext != ".json" && ext != "" || json.Valid(text) {
		return nil
	}
	var nothing any
	err := json.Unmarshal(text, &nothing)
	if ext == "" && name != "body" {
		return nil
	}
	// With comments, as settings of editors have them, it may be something else.
	if bare := jsonc.ToJSON(text); json.Valid(bare) && !slices.ContainsFunc(readers, func(r Reader) bool { return r.Reads(bare) }) {
		return nil
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return problem.New(problem.BadRequest, "the file is empty")
	}
	return problem.From(unreadable(text, err))
}

// take matches the candidates with the catalogue and writes them.
func (s *Service) take(ctx context.Context, tx *store.Tx, c access.Caller, apart []ident.Image, candidates []*candidate) error {
	all, err := knownImages(ctx, tx)
	if err != nil {
		return err
	}
	catalogue := newRegister(all, apart)
	catalogue.match(candidates)
	for _, one := range candidates {
		err := piece(ctx, tx, func() error { return s.takeOne(ctx, tx, c, catalogue, one) })
		if err == nil {
			continue
		}
		p := problem.From(err)
		if p.Code == problem.Internal {
			return err
		}
		one.report.Status, one.report.Error, one.report.problem, one.report.ImageID = Refused, p.Message, p, ""
	}
	return nil
}

func (s *Service) takeOne(ctx context.Context, tx *store.Tx, c access.Caller, catalogue *register, one *candidate) error {
	tell := func(field, format string, args ...any) {
		one.report.Changes = append(one.report.Changes, field+": "+fmt.Sprintf(format, args...))
	}
	i := one.reading.Image
	i.once()
	if one.match == nil {
		i.ID, i.CreatedAt = ident.Image(ident.New()), s.now().UTC()
		i.UpdatedAt = i.CreatedAt
		i.Name = catalogue.name(one, tell)
		if err := put(ctx, tx, i, true); err != nil {
			return err
		}
		if err := s.iconAndEvent(ctx, tx, c, one, i, "image.imported"); err != nil {
			return err
		}
		catalogue.add(one, i)
		one.report.Status = Imported
		return nil
	}
	old, err := ByID(ctx, tx, one.match.id)
	if err != nil {
		return err
	}
	i.ID, i.CreatedAt, i.UpdatedAt = old.ID, old.CreatedAt, s.now().UTC()
	one.replaced(old, tell)
	i.Name = catalogue.nameOf(one, old, tell)
	i.leave(old, one.reading.Silent)
	i.keepSecrets(old.Definition)
	if err := s.stillUsed(ctx, tx, &i, tell); err != nil {
		return err
	}
	one.report.Status, one.report.Name, one.report.ImageID = Updated, i.Name, string(i.ID)
	if err := i.check(); err != nil {
		return err
	}
	if i.Name == old.Name && same(i.Definition, old.Definition) {
		return putNewIcon(ctx, tx, i.ID, one.reading.Icon)
	}
	if err := put(ctx, tx, i, false); err != nil {
		return err
	}
	return s.iconAndEvent(ctx, tx, c, one, i, "image.updated")
}

func (s *Service) iconAndEvent(ctx context.Context, tx *store.Tx, c access.Caller, one *candidate, i Image, happened eventType) error {
	one.report.Name, one.report.ImageID = i.Name, string(i.ID)
	if err := putNewIcon(ctx, tx, i.ID, one.reading.Icon); err != nil {
		return err
	}
	return s.tell(ctx, tx, c, happened, i)
}

// putNewIcon leaves the icon that is there where the file has none.
func putNewIcon(ctx context.Context, tx *store.Tx, id ident.Image, icon *Icon) error {
	if icon == nil {
		return nil
	}
	return putIcon(ctx, tx, id, icon)
}

func same(a, b Definition) bool {
	x, errX := parts(a)
	y, errY := parts(b)
	return errX == nil && errY == nil && reflect.DeepEqual(x, y)
}

// leave takes over from the old definition what the file's format has no word for.
func (i *Image) leave(old Image, silent []Part) {
	for _, part := range silent {
		switch part {
		case PartSecrets:
			secret := map[string]bool{}
			for _, v := range old.Variables {
				secret[v.Name] = v.Secret
			}
			for n := range i.Variables {
				i.Variables[n].Secret = i.Variables[n].Secret || secret[i.Variables[n].Name]
			}
		case PartPull:
			i.Pull = old.Pull
		case PartCrash:
			i.Crash, i.StartTimeoutSeconds = old.Crash, old.StartTimeoutSeconds
		case PartGrace:
			i.StopGraceSeconds = old.StopGraceSeconds
		}
	}
}

// stillUsed keeps the references that instances run, though the new file has
// them no more: they must go on being able to start.
func (s *Service) stillUsed(ctx context.Context, tx *store.Tx, i *Image, tell func(field, format string, args ...any)) error {
	used, err := s.usage.ReferencesOf(ctx, tx, i.ID)
	if err != nil {
		return err
	}
	for _, ref := range used {
		if ref == "" || slices.Contains(i.References, ref) {
			continue
		}
		i.References = append(i.References, ref)
		if i.Labels != nil {
			i.Labels = append(i.Labels, "")
		}
		tell("references", "%s stays, for instances run it", ref)
	}
	return nil
}
