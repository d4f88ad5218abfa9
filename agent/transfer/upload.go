package transfer

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	uploadsAtOnce = 100 // of an instance
	uploadKept    = 24 * time.Hour
	uploadOver    = time.Hour // that a finished one is remembered
	// settleEvery is after how many bytes of a long part its offset is put on the
	// disk: a kill of the agent costs twice as much at most.
	settleEvery = 64 << 20
)

// record is what the disk knows of an upload. Its file is replaced as a whole, and
// never says more than what is safe in the upload's own file.
type record struct {
	Upload   wire.FileUpload `json:"upload"`
	Offset   int64           `json:"offset"`
	Touched  time.Time       `json:"touched"`
	Finished bool            `json:"finished,omitempty"`
}

// upload is one upload. Whoever works with it holds turn; cut ends the part that
// is being received by who does.
type upload struct {
	id   string
	turn sync.Mutex

	mu   sync.Mutex
	cut  context.CancelCauseFunc // nil while no part is being received
	want int                     // who wait for their turn

	// The rest is behind turn.
	record record
	gone   bool
}

var errSuperseded = problem.New(problem.Conflict, "another call about this upload ended this one: ask for its offset and go on from there")

func (u *upload) content() wire.Path { return wire.Path(partUpload + u.id) }
func (u *upload) note() wire.Path    { return wire.Path(partRecord + u.id) }

// enter ends what is being received, and waits for it.
func (u *upload) enter() {
	u.mu.Lock()
	u.want++
	if u.cut != nil {
		u.cut(errSuperseded)
	}
	u.mu.Unlock()
	u.turn.Lock()
	u.mu.Lock()
	u.want--
	u.mu.Unlock()
}

func (u *upload) leave() { u.turn.Unlock() }

// receiving lets cut end a part; false when somebody waits already.
func (u *upload) receiving(cut context.CancelCauseFunc) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if cut != nil && u.want > 0 {
		return false
	}
	u.cut = cut
	return true
}

func (u *upload) state() wire.FileUploadState {
	return wire.FileUploadState{Upload: u.record.Upload, Offset: u.record.Offset}
}

// recall reads the uploads that an agent of before has left among the parts.
func (s *site) recall(names []string) (map[string]*upload, error) {
	found := map[string]*upload{}
	for _, name := range names {
		id, ok := strings.CutPrefix(name, partRecord)
		if !ok || !isUUID(id) {
			continue
		}
		u := &upload{id: id}
		text, err := s.readPart(u.note())
		if err != nil {
			return nil, err
		}
		if json.Unmarshal(text, &u.record) != nil || !u.record.Upload.Path.Valid() || u.record.Offset < 0 || u.record.Offset > u.record.Upload.Size {
			continue
		}
		info, err := s.parts.Lstat(u.content())
		switch {
		case files.NotFound(err) && u.record.Offset == u.record.Upload.Size:
			u.record.Finished = true // its content is in its place; only the word of it was lost
		case err != nil && !files.Gone(err):
			return nil, err
		case !u.record.Finished && (err != nil || info.Kind != files.File || info.Size < u.record.Offset):
			continue
		}
		found[id] = u
	}
	return found, nil
}

const mostRecord = 64 << 10

func (s *site) readPart(part wire.Path) ([]byte, error) {
	file, _, err := s.parts.Open(part)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return io.ReadAll(io.LimitReader(file, mostRecord))
}

// keep puts what is known of an upload on the disk.
func (s *site) keep(u *upload, r record) error {
	r.Touched = s.Now()
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	part, err := s.newPart()
	if err != nil {
		return err
	}
	defer s.discard(part)
	if _, err := part.file.Write(text); err != nil {
		return err
	}
	// Not synced: one that a power cut takes away is an upload that nobody knows.
	if err := s.parts.Move(part.name, s.parts, u.note()); err != nil {
		return err
	}
	u.record = r
	return nil
}

// begin makes an upload, or finds the one that is there.
func (s *site) begin(id string, want wire.FileUpload) (wire.FileUploadState, error) {
	u, isNew, err := s.enlist(id)
	if err != nil {
		return wire.FileUploadState{}, err
	}
	u.enter()
	defer u.leave()
	if u.gone {
		return wire.FileUploadState{}, errNoUpload()
	}
	if !isNew {
		if u.record.Upload != want {
			return wire.FileUploadState{}, problem.New(problem.Conflict, "this upload is there already, and another one")
		}
		return u.state(), nil
	}
	if err := s.create(u, want); err != nil {
		s.forget(u)
		return wire.FileUploadState{}, err
	}
	return u.state(), nil
}

// create makes the files of an upload.
func (s *site) create(u *upload, want wire.FileUpload) error {
	room, err := s.room()
	if err != nil {
		return err
	}
	if want.Size > room.left {
		return s.full(nil)
	}
	there, err := s.data.Lstat(want.Path)
	if err == nil && !want.Overwrite {
		return problem.New(problem.Conflict, "%s is there already", printable(want.Path))
	}
	if err == nil {
		if err := replaceable(there, want.Path); err != nil {
			return err
		}
	}
	file, err := s.parts.New(u.content())
	if err != nil {
		return err
	}
	_ = file.Close()
	return s.keep(u, record{Upload: want})
}

// enlist finds an upload, or makes room for a new one.
func (s *site) enlist(id string) (u *upload, isNew bool, err error) {
	y := s.yard
	y.mu.Lock()
	defer y.mu.Unlock()
	if u := y.uploads[id]; u != nil {
		return u, false, nil
	}
	if len(y.uploads)-len(y.finished) >= uploadsAtOnce {
		return nil, false, problem.New(problem.RateLimited, "this instance has %d uploads under way: finish some of them, or give them up", uploadsAtOnce)
	}
	u = &upload{id: id}
	y.uploads[id] = u
	return u, true, nil
}

// forget removes an upload whose turn the caller has.
func (s *site) forget(u *upload) {
	u.gone = true
	s.drop(u.note()) // first: without it the content means nothing
	s.drop(u.content())
	s.yard.mu.Lock()
	defer s.yard.mu.Unlock()
	if s.yard.uploads[u.id] == u {
		delete(s.yard.uploads, u.id)
	}
	s.yard.finished = slices.DeleteFunc(s.yard.finished, func(f *upload) bool { return f == u })
}

func errNoUpload() error {
	return problem.New(problem.NotFound, "this node knows no such upload, maybe not any more")
}

// turn gives an upload to the caller, who leaves it.
func (s *site) turn(id string) (*upload, error) {
	s.yard.mu.Lock()
	u := s.yard.uploads[id]
	s.yard.mu.Unlock()
	if u == nil {
		return nil, errNoUpload()
	}
	u.enter()
	if u.gone {
		u.leave()
		return nil, errNoUpload()
	}
	return u, nil
}

// finish puts an upload in its place; it may be repeated.
func (s *site) finish(u *upload) (wire.FileEntry, error) {
	want := u.record.Upload
	if u.record.Finished {
		info, err := s.data.Lstat(want.Path)
		return entryOf(info), s.explain(err, want.Path)
	}
	if u.record.Offset != want.Size {
		return wire.FileEntry{}, problem.New(problem.Conflict, "only %d of the upload's %d bytes are there", u.record.Offset, want.Size)
	}
	file, info, err := s.parts.Open(u.content())
	if files.Gone(err) || err == nil && info.Size != want.Size {
		s.forget(u) // the volume was thrown away meanwhile
		err = errNoUpload()
	}
	if file != nil {
		defer func() { _ = file.Close() }()
	}
	if err != nil {
		return wire.FileEntry{}, err
	}
	r := rule{match: "-", mode: 0o644, keep: want.Mode == 0}
	if want.Overwrite {
		r.match = ""
	}
	if want.Mode != 0 {
		r.mode = uint32(want.Mode)
	}
	entry, err := s.put(partFile{file: file, name: u.content()}, want.Path, r)
	if err != nil {
		return entry, err
	}
	u.record.Finished = true
	if err := s.keep(u, u.record); err != nil { // a start of the agent finds it out without
		s.Log.Warn("the end of an upload can't be noted", "instance", string(s.id), "error", err)
	}
	s.over(u)
	return entry, nil
}

// over counts an upload as finished: no more than uploadsAtOnce of those are
// remembered either.
func (s *site) over(u *upload) {
	s.yard.mu.Lock()
	s.yard.finished = append(s.yard.finished, u)
	var oldest *upload
	if len(s.yard.finished) > uploadsAtOnce {
		oldest, s.yard.finished = s.yard.finished[0], s.yard.finished[1:]
	}
	s.yard.mu.Unlock()
	if oldest != nil && oldest.turn.TryLock() {
		s.forget(oldest)
		oldest.leave()
	}
}

func (s *site) openPart(u *upload) (*os.File, error) {
	info, err := s.parts.Lstat(u.content())
	if files.Gone(err) || err == nil && info.Size < u.record.Offset {
		s.forget(u) // the volume was thrown away meanwhile
		err = errNoUpload()
	}
	if err != nil {
		return nil, err
	}
	file, err := s.parts.Create(u.content())
	if err != nil {
		return nil, err
	}
	if err := file.Truncate(u.record.Offset); err != nil { // what came behind it counts for nothing
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// tidyUploads clears away what nobody comes back for.
func (s *site) tidyUploads(now time.Time) error {
	s.yard.mu.Lock()
	list := make([]*upload, 0, len(s.yard.uploads))
	for _, u := range s.yard.uploads {
		list = append(list, u)
	}
	s.yard.mu.Unlock()
	for _, u := range list {
		if !u.turn.TryLock() { // somebody works with it
			continue
		}
		idle := now.Sub(u.record.Touched)
		if !u.gone && (idle >= uploadKept || u.record.Finished && idle >= uploadOver) {
			s.forget(u)
		}
		u.leave()
	}
	return nil
}
