package transfer

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Names of the parts. Those of uploads outlive the agent.
const (
	partUpload  = "u-" // and a UUID: the content so far
	partRecord  = "r-" // and the same: what is known of it
	partScratch = "s-" // anything that only this agent knows
)

func scratch() wire.Path { return wire.Path(partScratch + uuid.NewString()) }

// clear removes what agents of before left among the parts, once for each run of
// an agent, and loads the uploads.
func (s *site) clear() error {
	y := s.yard
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.cleared {
		return nil
	}
	names, err := s.parts.Names(wire.Root)
	if err != nil {
		return err
	}
	uploads, err := s.recall(names)
	if err != nil {
		return err
	}
	for _, name := range names {
		_, id, _ := strings.Cut(name, "-")
		upload := strings.HasPrefix(name, partUpload) || strings.HasPrefix(name, partRecord)
		if upload && len(name) == len(partUpload)+36 && uploads[id] != nil {
			continue
		}
		if err := s.parts.RemoveAll(wire.Path(name), goOn); err != nil {
			return err
		}
	}
	y.uploads, y.cleared = uploads, true
	for _, u := range uploads {
		if u.record.Finished {
			y.finished = append(y.finished, u)
		}
	}
	return nil
}

func goOn() error { return nil }

// drop removes a part; one that is still there is found at the next start.
func (s *site) drop(part wire.Path) {
	if err := s.parts.RemoveAll(part, goOn); err != nil {
		s.throw(part)
		s.Log.Warn("a part of an instance's files can't be removed", "instance", string(s.id), "error", err)
	}
}

// throw leaves a part to the next tidying.
func (s *site) throw(part wire.Path) {
	s.yard.mu.Lock()
	defer s.yard.mu.Unlock()
	s.yard.trash = append(s.yard.trash, part)
}

// admitted is how much is asked of the volume for at a time: writers side by side may
// pass a soft limit by as much each.
const admitted = 4 << 20

// budget is how many bytes some work may still write.
type budget struct {
	site *site
	left int64
	owed int64 // taken, and not asked of the volume for yet
}

// room looks how much the instance's disk has left.
func (s *site) room() (*budget, error) {
	left, err := s.parts.Space()
	if err != nil {
		return nil, err
	}
	used, limit, err := s.Volumes.Usage(s.id)
	if err != nil {
		return nil, err
	}
	if limit > 0 {
		left = min(left, limit-used)
	}
	return &budget{site: s, left: left}, nil
}

// take counts bytes that are about to be written.
func (b *budget) take(n int64) error {
	if b.left -= n; b.left < 0 {
		return b.site.full(nil)
	}
	if b.owed += n; b.owed < admitted {
		return nil
	}
	n, b.owed = b.owed, 0
	return b.site.Volumes.Room(b.site.id, n)
}

// settle counts the rest of what was taken. It was within the limit when it was.
func (b *budget) settle() {
	if b.owed > 0 {
		_ = b.site.Volumes.Room(b.site.id, b.owed)
		b.owed = 0
	}
}

// tidy forgets old tasks and clears away uploads that nobody came back for: of the
// instances whose files were used here and, with all, of every other.
func (s *Store) tidy(all bool) {
	now := s.Now()
	s.mu.Lock()
	ids := slices.Collect(maps.Keys(s.yards))
	s.mu.Unlock()
	if all {
		ids = s.All()
	}
	for _, id := range ids {
		s.yard(id).forget(now)
		err := s.tidyOne(id, now)
		if problem.Is(err, problem.NotFound) {
			s.forget(id)
		} else if err != nil && problem.From(err).Code == problem.Internal {
			s.Log.Warn("the parts of an instance's files can't be tidied", "instance", string(id), "error", err)
		}
	}
}

// tidyOne clears away what is idle or was left among an instance's parts. One that
// can't be written to just now is for the next time.
func (s *Store) tidyOne(id ident.Instance, now time.Time) error {
	y := s.yard(id)
	defer y.leave(y.enter())
	at, err := s.openParts(id)
	if err != nil {
		return err
	}
	defer at.close()
	y.mu.Lock()
	trash := y.trash
	y.trash = nil
	y.mu.Unlock()
	for _, part := range trash {
		at.drop(part)
	}
	return at.tidyUploads(now)
}

func (y *yard) forget(now time.Time) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for id, t := range y.tasks {
		if over, done := t.ended(); done && now.Sub(over) >= taskKept {
			delete(y.tasks, id)
		}
	}
}

// rule is what may stand where something is put.
type rule struct {
	match string // as PUT content takes it
	mode  uint32 // of a new file
	keep  bool   // a file that is replaced hands its mode and owner on
}

// put puts a finished file of the parts in its place, and what is missing of the
// folders above it.
func (s *site) put(file partFile, dest wire.Path, r rule) (entry wire.FileEntry, err error) {
	err = s.within(folderOf(dest), func() error {
		entry, err = s.place(file, dest, r)
		return err
	})
	return entry, err
}

// place puts a finished file of the parts into a folder.
func (s *site) place(file partFile, dest wire.Path, r rule) (wire.FileEntry, error) {
	s.yard.placing.Lock()
	defer s.yard.placing.Unlock()
	if err := s.writable(); err != nil {
		return wire.FileEntry{}, err
	}
	there, err := s.data.Lstat(dest)
	missing := files.NotFound(err)
	if err != nil && !missing {
		return wire.FileEntry{}, s.explain(err, dest)
	}
	meta := s.meta(r.mode)
	if !missing {
		if err := replaceable(there, dest); err != nil {
			return wire.FileEntry{}, err
		}
		if r.keep {
			meta.Mode, meta.UID, meta.GID = there.Mode&0o777, there.UID, there.GID
		}
	}
	if err := matches(r.match, there, missing, dest); err != nil {
		return wire.FileEntry{}, err
	}
	if err := s.parts.Seal(file.file, file.name, meta); err != nil {
		return wire.FileEntry{}, s.explain(err, dest)
	}
	move := s.parts.Move
	if missing {
		move = s.parts.MoveNew
	}
	if err := move(file.name, s.data, dest); err != nil {
		return wire.FileEntry{}, s.explain(err, dest)
	}
	if err := s.data.SyncDir(folderOf(dest)); err != nil && !files.Gone(err) {
		return wire.FileEntry{}, s.explain(err, dest)
	}
	info, err := files.Stat(file.file, dest)
	return entryOf(info), err
}

// within makes a folder, and those above it that are missing, for what do puts
// there. When that fails, those that were made go again, but none that holds anything.
func (s *site) within(folder wire.Path, do func() error) error {
	made, err := s.data.NewDirs(folder, s.meta(0o755))
	if err = s.explain(err, folder); err == nil {
		err = do()
	}
	if err != nil {
		for _, path := range slices.Backward(made) {
			_ = s.data.RemoveDir(path) // one that holds something, or is gone
		}
	}
	return err
}

func replaceable(there files.Info, dest wire.Path) error {
	switch there.Kind {
	case files.File:
		return nil
	case files.Dir:
		return problem.New(problem.Conflict, "%s is a folder", printable(dest))
	}
	return problem.New(problem.Conflict, "%s is a link, a pipe, a socket or a device: delete it first", printable(dest))
}

// matches says whether what is there is what the caller means.
func matches(match string, there files.Info, missing bool, dest wire.Path) error {
	switch {
	case match == "":
		return nil
	case match == "-":
		if !missing {
			return unmatched("%s is there already", printable(dest))
		}
		return nil
	case missing:
		return unmatched("%s is not there any more", printable(dest))
	case match == "*" || strings.Trim(match, `"`) == etagOf(there):
		return nil
	}
	return unmatched("%s was changed by somebody else meanwhile: read it again", printable(dest))
}

// unmatched is a CONFLICT of the field "match", to be told from others.
func unmatched(format, dest string) error {
	p := problem.New(problem.Conflict, format, dest)
	p.Fields = []problem.Field{{Field: "match", Message: p.Message}}
	return p
}
