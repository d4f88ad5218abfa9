package file

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// The caps of uploads.
const (
	UploadMost       = 100 << 30      // bytes of one
	UploadLife       = 24 * time.Hour // without a part; the agent's too
	uploadsEach      = 64             // open ones of a user
	uploadsInstance  = 100            // open ones of an instance; the agent's too
	uploadsSweep     = 10 * time.Minute
	uploadsForgotten = 500 // at a time
)

// UploadState is where an upload is.
type UploadState string

// The states of an upload.
const (
	Open      UploadState = "open"
	Finishing UploadState = "finishing" // the agent may have been told to put it in place
	Finished  UploadState = "finished"  // kept for a while, for who asks again
)

// Upload is a file that comes in parts.
type Upload struct {
	ID        string
	Instance  ident.Instance
	User      ident.User // who began it
	Path      wire.Path
	Size      int64
	Overwrite bool
	State     UploadState
	Created   time.Time
	Touched   time.Time
	Offset    int64 // as the agent said last; not kept
}

// Expires is when it is cleared away unless a part comes.
func (u Upload) Expires() time.Time { return u.Touched.Add(UploadLife) }

func (u Upload) wire() wire.FileUpload {
	return wire.FileUpload{Path: u.Path, Size: u.Size, Overwrite: u.Overwrite}
}

// Begin begins an upload: a row, and then the agent, which looks whether the
// place is free and there is room.
func (s *Service) Begin(ctx context.Context, c access.Caller, id ident.Instance, w wire.FileUpload) (u Upload, err error) {
	i, err := s.Grants.Allow(ctx, c, id, access.WriteFiles)
	if err != nil {
		return u, err
	}
	if w.Size < 0 || w.Size > UploadMost {
		return u, problem.New(problem.TooLarge, "an upload has at most %d bytes", int64(UploadMost))
	}
	now := s.Now().UTC()
	u = Upload{ID: uuid.NewString(), Instance: i.ID, User: c.User, Path: w.Path, Size: w.Size, Overwrite: w.Overwrite, State: Open, Created: now, Touched: now}
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		if err := roomFor(ctx, tx, u); err != nil {
			return err
		}
		return insertUpload(ctx, tx, u)
	})
	if err != nil {
		return u, err
	}
	state, err := s.tellUpload(ctx, i, u)
	if err != nil {
		u.Offset = 0
		return u, s.undo(ctx, u, err)
	}
	if u.Offset = state.Offset; u.Size == 0 {
		return u, s.complete(ctx, c.Actor, i, &u)
	}
	return u, nil
}

// undo forgets an upload that the agent didn't take.
func (s *Service) undo(ctx context.Context, u Upload, why error) error {
	ctx = context.WithoutCancel(ctx)
	if err := s.DB.Write(ctx, func(tx *store.Tx) error { return deleteUpload(ctx, tx, u.ID) }); err != nil {
		s.Log.Error("forget an upload that was refused", "upload", u.ID, "error", err)
	}
	return why
}

func roomFor(ctx context.Context, q store.Querier, u Upload) error {
	ofUser, ofInstance, err := countOpen(ctx, q, u.User, u.Instance)
	switch {
	case err != nil:
		return err
	case u.User != "" && ofUser >= uploadsEach:
		return problem.New(problem.RateLimited, "you have %d unfinished uploads, which is the most: finish or drop some", uploadsEach)
	case ofInstance >= uploadsInstance:
		return problem.New(problem.RateLimited, "instance %s has %d unfinished uploads, which is the most: finish or drop some", u.Instance, uploadsInstance)
	}
	return nil
}

// Uploads gives the caller's unfinished uploads to an instance; its owner and who
// manages all instances get everybody's. The offset is not asked for.
func (s *Service) Uploads(ctx context.Context, c access.Caller, id ident.Instance) ([]Upload, error) {
	i, err := s.Grants.Allow(ctx, c, id, access.WriteFiles)
	if err != nil {
		return nil, err
	}
	whose := c.User
	if allOf(c, i) {
		whose = ""
	}
	return openUploads(ctx, s.DB.Snapshot(), id, whose)
}

// allOf says whether everybody's uploads to the instance are the caller's too: its
// owner's are, and those of who manages all instances.
func allOf(c access.Caller, i instance.Instance) bool {
	return c.Holds(access.WriteInstances) || c.User != "" && c.User == i.Owner
}

// mine finds an upload through the instance, for whoever began it or owns it all.
func (s *Service) mine(ctx context.Context, c access.Caller, i instance.Instance, id string) (Upload, error) {
	u, err := uploadByID(ctx, s.DB.Snapshot(), i.ID, id)
	if err == nil && !allOf(c, i) && u.User != c.User {
		return Upload{}, noUpload()
	}
	if err == nil && u.State != Finished && s.Now().After(u.Expires()) {
		return Upload{}, noUpload()
	}
	return u, err
}

func noUpload() error {
	return problem.New(problem.NotFound, "there is no such upload; after %d hours without a part one is cleared away", int(UploadLife.Hours()))
}

// Status gives an upload with its offset. One that has all its bytes and is not
// in place yet is put there: the client that asks was cut off before it heard.
func (s *Service) Status(ctx context.Context, c access.Caller, id ident.Instance, upload string) (u Upload, err error) {
	i, err := s.Grants.Allow(ctx, c, id, access.WriteFiles)
	if err != nil {
		return u, err
	}
	if _, err = s.mine(ctx, c, i, upload); err != nil {
		return u, err
	}
	mine, leave, err := s.turns.enter(ctx, upload)
	if err != nil {
		return u, err
	}
	defer leave()
	if u, err = s.mine(mine, c, i, upload); err == nil { // as those before us left it
		err = s.refresh(mine, c.Actor, i, &u)
	}
	return u, overtaken(mine, err)
}

// refresh asks the agent for the offset.
func (s *Service) refresh(ctx context.Context, by access.Actor, i instance.Instance, u *Upload) error {
	switch u.State {
	case Finished:
		u.Offset = u.Size
		return nil
	case Finishing:
		err := s.complete(ctx, by, i, u)
		if !problem.Is(err, problem.NotFound) {
			return err
		}
		if err := s.setState(ctx, u, Open); err != nil { // the node knows nothing of it: once more
			return err
		}
	}
	state, err := s.tellUpload(ctx, i, *u)
	if err != nil {
		return err
	}
	if u.Offset = state.Offset; u.Offset == u.Size {
		return s.complete(ctx, by, i, u)
	}
	return nil
}

// tellUpload begins it at the agent, or finds it there.
func (s *Service) tellUpload(ctx context.Context, i instance.Instance, u Upload) (state wire.FileUploadState, err error) {
	return state, s.call(ctx, i, http.MethodPut, "uploads/"+u.ID, nil, u.wire(), &state)
}

// Part is some of an upload's bytes.
type Part struct {
	Offset   int64
	Body     io.Reader // read by the calling goroutine alone
	Size     int64     // -1 when nobody knows
	Checksum string    // "sha256 HEX"; "" none
}

// Append adds a part; the right to write is held meanwhile. The offset is in the
// upload also when the part broke off: it may be asked for by Status. With the
// last byte the file is put in place.
func (s *Service) Append(ctx context.Context, c access.Caller, id ident.Instance, upload string, p Part) (u Upload, err error) {
	i, held, release, err := s.hold(ctx, c, id, access.WriteFiles)
	if err != nil {
		return u, err
	}
	defer release()
	if _, err = s.mine(ctx, c, i, upload); err != nil {
		return u, err
	}
	mine, leave, err := s.turns.enter(held, upload)
	if err != nil {
		return u, err
	}
	defer leave()
	if u, err = s.mine(mine, c, i, upload); err == nil { // as those before us left it
		err = s.add(mine, leave, c.Actor, i, &u, p)
	}
	return u, overtaken(mine, err)
}

// add sends the part; over is called when the node has answered, which may be
// long before a client that is cut off is heard of again.
func (s *Service) add(ctx context.Context, over func(), by access.Actor, i instance.Instance, u *Upload, p Part) error {
	if u.State != Open {
		if err := s.refresh(ctx, by, i, u); err != nil {
			return err
		}
	}
	switch {
	case u.State == Finished && p.Offset == u.Size:
		return nil // said once more
	case u.State == Finished:
		return problem.New(problem.Conflict, "the upload has all its %d bytes and is finished", u.Size)
	case p.Size > u.Size-p.Offset:
		return problem.New(problem.TooLarge, "the part goes beyond the upload's %d bytes", u.Size)
	}
	var state wire.FileUploadState
	o := sending{method: http.MethodPatch, rest: "uploads/" + u.ID, query: url.Values{"offset": {strconv.FormatInt(p.Offset, 10)}}, body: p.Body, size: p.Size}
	if p.Checksum != "" {
		o.header = http.Header{"Berth-Checksum": {p.Checksum}}
	}
	o.failed = over
	if err := s.send(ctx, i, o, &state); err != nil {
		return s.touchAfter(ctx, u, err)
	}
	if u.Offset = state.Offset; u.Offset == u.Size {
		return s.complete(ctx, by, i, u)
	}
	return s.touch(ctx, u)
}

func (s *Service) touch(ctx context.Context, u *Upload) error {
	u.Touched = s.Now().UTC()
	return s.setState(ctx, u, u.State)
}

// touchAfter notes that something may have come of a part that failed.
func (s *Service) touchAfter(ctx context.Context, u *Upload, why error) error {
	if err := s.touch(ctx, u); err != nil {
		s.Log.Warn("note an upload's part", "upload", u.ID, "error", err)
	}
	return why
}

func (s *Service) setState(ctx context.Context, u *Upload, state UploadState) error {
	u.State = state
	ctx = context.WithoutCancel(ctx) // the client may be gone
	return s.DB.Write(ctx, func(tx *store.Tx) error { return saveUpload(ctx, tx, *u) })
}

// complete has the agent put the file in place, which may be repeated.
func (s *Service) complete(ctx context.Context, by access.Actor, i instance.Instance, u *Upload) error {
	if u.State == Open {
		if err := s.setState(ctx, u, Finishing); err != nil {
			return err
		}
	}
	var entry wire.FileEntry
	if err := s.call(ctx, i, http.MethodPost, "uploads/"+u.ID, nil, nil, &entry); err != nil {
		return err
	}
	u.State, u.Offset, u.Touched = Finished, u.Size, s.Now().UTC()
	ctx = context.WithoutCancel(ctx)
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		now, err := uploadByID(ctx, tx, u.Instance, u.ID)
		if err != nil || now.State == Finished { // two at once: one event
			return err
		}
		if err := saveUpload(ctx, tx, *u); err != nil {
			return err
		}
		return s.tellIn(ctx, tx, by, i, Uploaded, map[string]any{"path": text(u.Path), "size": u.Size})
	})
}

// Drop ends an upload and throws away what came of it. One that is finished is
// forgotten; its file stays.
func (s *Service) Drop(ctx context.Context, c access.Caller, id ident.Instance, upload string) error {
	i, err := s.Grants.Allow(ctx, c, id, access.WriteFiles)
	if err != nil {
		return err
	}
	u, err := s.mine(ctx, c, i, upload)
	if err != nil {
		return err
	}
	if u.State != Finished {
		if err := s.dropAtAgent(ctx, i, u); err != nil {
			return err
		}
	}
	return s.DB.Write(ctx, func(tx *store.Tx) error { return deleteUpload(ctx, tx, u.ID) })
}

func (s *Service) dropAtAgent(ctx context.Context, i instance.Instance, u Upload) error {
	err := s.call(ctx, i, http.MethodDelete, "uploads/"+u.ID, nil, nil, nil)
	if problem.Is(err, problem.NotFound) {
		return nil
	}
	return err
}

// Run clears uploads away that nobody adds to, until ctx ends. The agents clear
// their parts by themselves.
func (s *Service) Run(ctx context.Context) {
	tick := time.NewTicker(uploadsSweep)
	defer tick.Stop()
	for {
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.Log.Error("clear old uploads away", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Sweep clears away what is too old.
func (s *Service) Sweep(ctx context.Context) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error { return deleteOldUploads(ctx, tx, s.Now().Add(-UploadLife)) })
}
