package fleet

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// OpenIncoming announces to the node a volume that will be copied there. It may
// be repeated, also to have an image tried again. CONFLICT: the node holds a
// volume of that instance already.
func (f *Fleet) OpenIncoming(ctx context.Context, node ident.Node, in wire.Incoming) (wire.IncomingState, error) {
	var state wire.IncomingState
	path, err := volumePath(wire.PathIncoming, in.Instance, "")
	if err == nil {
		err = f.ask(ctx, node, http.MethodPut, path, in, &state)
	}
	return state, err
}

// Incoming asks the node how far an announced volume is. NOT_FOUND: it was not
// announced, or was taken over or dropped.
func (f *Fleet) Incoming(ctx context.Context, node ident.Node, id ident.Instance) (wire.IncomingState, error) {
	var state wire.IncomingState
	path, err := volumePath(wire.PathIncoming, id, "")
	if err == nil {
		err = f.ask(ctx, node, http.MethodGet, path, nil, &state)
	}
	return state, err
}

// DropIncoming has the node forget all of an announced volume; one that isn't
// there is no error.
func (f *Fleet) DropIncoming(ctx context.Context, node ident.Node, id ident.Instance) error {
	path, err := volumePath(wire.PathIncoming, id, "")
	if err == nil {
		err = f.ask(ctx, node, http.MethodDelete, path, nil, nil)
	}
	if problem.Is(err, problem.NotFound) {
		return nil
	}
	return err
}

// VolumeDigest asks for the digest of an instance's volume, or with incoming of
// the copy of it that is being made on the node. The node works it out in the
// background: ask again until it is Done. It stays what it is until the next Copy
// begins, for about ten minutes.
func (f *Fleet) VolumeDigest(ctx context.Context, node ident.Node, id ident.Instance, incoming bool) (wire.Digest, error) {
	var digest wire.Digest
	base := wire.PathVolumes
	if incoming {
		base = wire.PathIncoming
	}
	path, err := volumePath(base, id, "digest")
	if err == nil {
		err = f.ask(ctx, node, http.MethodGet, path, nil, &digest)
	}
	return digest, err
}

// volumePath refuses what would lead elsewhere.
func volumePath(base string, id ident.Instance, verb string) (string, error) {
	if !id.Valid() {
		return "", fmt.Errorf("%q is no instance's id", string(id))
	}
	path := base + "/" + url.PathEscape(string(id))
	if verb != "" {
		path += "/" + verb
	}
	return path, nil
}

// Copy makes the incoming volume on the node to be what the instance's volume on
// the node from now is: one pass. It takes as long as the content flows; what has
// arrived when it fails stays, and the next Copy goes on from there. What an
// instance that runs changes meanwhile is for the next pass.
//
// progress is told about once a second, from one goroutine at a time and never
// after Copy has returned, how many bytes of how many are in place; it may be nil.
//
// NODE_OFFLINE names the one of the two nodes that broke off.
// INSUFFICIENT_RESOURCES: it doesn't fit on the disk there.
func (f *Fleet) Copy(ctx context.Context, from, to ident.Node, id ident.Instance, progress func(doneBytes, totalBytes int64)) error {
	if !id.Valid() {
		return fmt.Errorf("%q is no instance's id", string(id))
	}
	p := &pass{fleet: f, from: from, to: to, id: id}
	if err := p.survey(ctx); err != nil {
		return err
	}
	stop := p.tell(progress)
	defer stop()
	if p.files > 0 {
		if err := p.walk(ctx, p.content); err != nil {
			return err
		}
	}
	if p.files == 0 && p.changed == 0 {
		return nil
	}
	// Once more: now that nothing in them changes any more, folders keep their times.
	return p.walk(ctx, func(context.Context, wire.EntryPage, wire.Needs) error { return nil })
}

// pass is one Copy.
type pass struct {
	fleet    *Fleet
	from, to ident.Node
	id       ident.Instance

	total   int64 // bytes of the volume
	needed  int64 // bytes that the target lacked at first
	files   int   // that it lacked
	changed int   // other entries that it lacked
	sent    atomic.Int64
}

// walk goes through the source's pages and has the target compare each.
func (p *pass) walk(ctx context.Context, each func(context.Context, wire.EntryPage, wire.Needs) error) error {
	for after := wire.Path(""); ; {
		page, err := p.page(ctx, after)
		if err != nil {
			return err
		}
		needs, err := p.compare(ctx, page)
		if err != nil {
			return err
		}
		if err := each(ctx, page, needs); err != nil {
			return err
		}
		if page.Last {
			return nil
		}
		after = page.Entries[len(page.Entries)-1].Path
	}
}

func (p *pass) page(ctx context.Context, after wire.Path) (wire.EntryPage, error) {
	var page wire.EntryPage
	path, err := volumePath(wire.PathVolumes, p.id, "entries")
	if err != nil {
		return page, err
	}
	err = p.fleet.bulkCall(ctx, p.from, path, wire.EntryQuery{After: after, Limit: wire.MaxEntries}, &page)
	if err == nil && !page.Last && (len(page.Entries) == 0 || after != "" && after.Compare(page.Entries[len(page.Entries)-1].Path) >= 0) {
		err = problem.New(problem.Internal, "the node with the volume lists nothing new").Because(errGarbled) // or it would be asked for ever
	}
	page.After = after
	return page, err
}

func (p *pass) compare(ctx context.Context, page wire.EntryPage) (wire.Needs, error) {
	var needs wire.Needs
	path, err := volumePath(wire.PathIncoming, p.id, "compare")
	if err == nil {
		err = p.fleet.bulkCall(ctx, p.to, path, page, &needs)
	}
	return needs, err
}

// survey measures what there is and what is lacking, and has the target remove
// what is too much.
func (p *pass) survey(ctx context.Context) error {
	return p.walk(ctx, func(_ context.Context, page wire.EntryPage, needs wire.Needs) error {
		lacking := make(map[wire.Path]int64, len(needs.Files))
		for _, need := range needs.Files {
			lacking[need.Path] = need.Offset
		}
		for _, e := range page.Entries {
			weight := e.Weight()
			p.total += weight
			if offset, ok := lacking[e.Path]; ok {
				p.needed += max(0, weight-offset)
			}
		}
		p.files += len(needs.Files)
		p.changed += needs.Changed
		return nil
	})
}

// content has the files of a page sent. Agents that are at other moves are
// waited for.
func (p *pass) content(ctx context.Context, page wire.EntryPage, needs wire.Needs) error {
	for len(needs.Files) > 0 {
		err := p.pipe(ctx, needs)
		if !problem.Is(err, problem.ResourceBusy) {
			return err
		}
		timer := time.NewTimer(busyPause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
		if needs, err = p.compare(ctx, page); err != nil { // part of it may have arrived
			return err
		}
	}
	return nil
}

// busyPause is the wait for agents that are at other moves.
const busyPause = time.Second

// pipe has the source's answer be the target's request.
func (p *pass) pipe(ctx context.Context, needs wire.Needs) error {
	fromPath, err := volumePath(wire.PathVolumes, p.id, "content")
	if err != nil {
		return err
	}
	toPath, err := volumePath(wire.PathIncoming, p.id, "content")
	if err != nil {
		return err
	}
	toPath += "?bytes=" + strconv.FormatInt(max(0, p.needed-p.sent.Load()), 10)
	return p.fleet.bulkWithin(ctx, p.from, sending, func(ctx context.Context, from *link, cutFrom context.CancelCauseFunc) error {
		answer, err := from.bulkOpen(ctx, http.MethodPost, fromPath, needs)
		if err != nil {
			return err
		}
		defer func() { _ = answer.Body.Close() }()
		stream := &flow{from: answer.Body, count: &p.sent}
		err = p.fleet.bulkWithin(ctx, p.to, receiving, func(ctx context.Context, to *link, cutTo context.CancelCauseFunc) error {
			defer stream.watch(cutFrom, cutTo)()
			var received wire.Received
			return to.bulkSend(ctx, http.MethodPut, toPath, stream, &received)
		})
		if broke := stream.broke(); err != nil && broke != nil {
			return broke // the target only saw that nothing came any more
		}
		return err
	})
}

// tell has progress told until stop is called.
func (p *pass) tell(progress func(done, total int64)) (stop func()) {
	if progress == nil {
		return func() {}
	}
	say := func() { progress(min(p.total, p.total-p.needed+p.sent.Load()), p.total) }
	say()
	quit := make(chan struct{})
	var teller sync.WaitGroup
	teller.Go(func() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				say()
			case <-quit:
				return
			}
		}
	})
	return func() {
		close(quit)
		teller.Wait()
		say()
	}
}
