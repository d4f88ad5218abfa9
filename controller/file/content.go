package file

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Conditions are what of a download is wanted, as the HTTP headers say it.
type Conditions struct {
	Range, IfRange, IfNoneMatch, IfModifiedSince string
}

// Content is a file, a part of it, or an archive, on its way.
type Content struct {
	Status int               // 200, 206, 304 or 416
	Header map[string]string // ETag, Last-Modified, Content-Range, Accept-Ranges: those that the agent gave
	Size   int64             // of Body; -1 when nobody knows
	Body   io.ReadCloser     // to be closed; it fails when the right to read ends
}

// Read opens a file. The right to read is held until Body is closed.
func (s *Service) Read(ctx context.Context, c access.Caller, id ident.Instance, p wire.Path, w Conditions) (Content, error) {
	header := http.Header{}
	for name, value := range map[string]string{"Range": oneRange(w.Range), "If-Range": w.IfRange, "If-None-Match": w.IfNoneMatch, "If-Modified-Since": w.IfModifiedSince} {
		if value != "" {
			header.Set(name, value)
		}
	}
	if header.Get("Range") == "" {
		header.Del("If-Range")
	}
	return s.fetch(ctx, c, id, []wire.Path{p}, func(i instance.Instance) (fleet.Request, error) {
		return fleet.Request{Method: http.MethodGet, Path: address(i.ID, "content"), Query: query(p), Header: header}, nil
	})
}

// Bundle opens entries as one archive, made while it is sent.
func (s *Service) Bundle(ctx context.Context, c access.Caller, id ident.Instance, b wire.FileBundle) (Content, error) {
	of := b.Paths
	if len(of) == 0 {
		of = []wire.Path{b.Folder}
	}
	return s.fetch(ctx, c, id, of, func(i instance.Instance) (fleet.Request, error) {
		return withJSON(fleet.Request{Method: http.MethodPost, Path: address(i.ID, "bundle")}, b)
	})
}

// fetch makes a call whose answer is long, within the right to read, and notes
// what of is read.
func (s *Service) fetch(ctx context.Context, c access.Caller, id ident.Instance, of []wire.Path, request func(i instance.Instance) (fleet.Request, error)) (Content, error) {
	i, held, release, err := s.hold(ctx, c, id, access.ReadFiles)
	if err != nil {
		return Content{}, err
	}
	r, err := request(i)
	if err != nil {
		release()
		return Content{}, err
	}
	answer, err := s.Agents.Open(held, i.Node, r) //nolint:bodyclose // with the download
	if err != nil {
		release()
		return Content{}, err
	}
	out := Content{Status: answer.StatusCode, Header: map[string]string{}, Size: answer.ContentLength}
	for _, name := range []string{"Etag", "Last-Modified", "Content-Range", "Accept-Ranges"} {
		if value := answer.Header.Get(name); value != "" {
			out.Header[name] = value
		}
	}
	body := &download{source: answer.Body, held: held, release: release}
	out.Body = body
	if out.Size < 0 || out.Size > relayLeast {
		out.Body = &relayed{body, out.Size}
	}
	if begins(out) {
		if err := s.tell(ctx, c.Actor, i, Downloaded, about(of)); err != nil {
			return Content{}, errors.Join(err, out.Body.Close())
		}
	}
	return out, nil
}

// begins says whether the answer has a file's first byte.
func begins(c Content) bool {
	return c.Status == http.StatusOK || c.Status == http.StatusPartialContent && strings.HasPrefix(c.Header["Content-Range"], "bytes 0-")
}

// hold is Allow and Hold.
func (s *Service) hold(ctx context.Context, c access.Caller, id ident.Instance, right access.Right) (i instance.Instance, held context.Context, release func(), err error) {
	if i, err = s.Grants.Allow(ctx, c, id, right); err != nil {
		return i, nil, nil, err
	}
	held, release, err = s.Grants.Hold(ctx, c, id, right)
	return i, held, release, err
}

// download is the body of an agent's answer. A small one is read by the goroutine
// that sends it on.
type download struct {
	source  io.ReadCloser   // its reads end with held, too
	held    context.Context // ends with the right to read
	release func()
	once    sync.Once
}

// Read gives what has come. When the right has ended, what was read by then is not
// given out any more.
func (d *download) Read(p []byte) (int, error) {
	n, err := d.source.Read(p)
	if ended := context.Cause(d.held); ended != nil {
		return 0, ended
	}
	return n, err
}

// Close ends the call to the agent, and gives the right back.
func (d *download) Close() error {
	var err error
	d.once.Do(func() {
		err = d.source.Close()
		d.release()
	})
	return err
}

// relayed is a download that is read ahead while what came is sent on: the node goes
// on while the client takes it.
type relayed struct {
	*download
	size int64 // -1 when nobody knows
}

// WriteTo sends all of it. It is for one goroutine, which closes the download after.
func (d *relayed) WriteTo(w io.Writer) (int64, error) {
	r, filled := newRelay(d.size), make(chan struct{})
	go func() {
		defer close(filled)
		_ = r.fill(d.download) // whoever writes is told
	}()
	n, err := r.WriteTo(guarded{w, d.held})
	if err != nil { // the source may wait for what nobody wants
		_ = r.Close()
		_ = d.Close()
	}
	<-filled
	return n, err
}

// guarded writes nothing any more once held has ended.
type guarded struct {
	to   io.Writer
	held context.Context
}

func (g guarded) Write(p []byte) (int, error) {
	if ended := context.Cause(g.held); ended != nil {
		return 0, ended
	}
	return g.to.Write(p)
}

// Write puts a whole file in place, or nothing; match is wire's. Another file
// there than match says is a CONFLICT of the field "match".
func (s *Service) Write(ctx context.Context, c access.Caller, id ident.Instance, p wire.Path, match string, body io.Reader, size int64) (entry wire.FileEntry, err error) {
	i, held, release, err := s.hold(ctx, c, id, access.WriteFiles)
	if err != nil {
		return entry, err
	}
	defer release()
	q := query(p)
	if match != "" {
		q.Set("match", match)
	}
	err = s.send(held, i, sending{method: http.MethodPut, rest: "content", query: q, body: body, size: size}, &entry)
	if err != nil {
		return entry, err
	}
	return entry, s.tell(ctx, c.Actor, i, Written, map[string]any{"path": text(p), "size": entry.Size})
}

// sending is a call whose body is long.
type sending struct {
	method, rest string
	query        url.Values
	header       http.Header
	body         io.Reader // is read by the goroutine that sends, and by no other
	size         int64     // -1 when nobody knows
	failed       func()    // when the agent's end of it failed; may be nil
}

// send streams a body to the agent. A body that breaks off is the error, and the
// call is broken off with it.
func (s *Service) send(ctx context.Context, i instance.Instance, o sending, out any) error {
	r := newRelay(o.size)
	done := make(chan error, 1)
	go func() {
		defer func() { _ = r.Close() }()
		request := fleet.Request{Method: o.method, Path: address(i.ID, o.rest), Query: o.query, Header: o.header, Body: r, Size: o.size}
		answer, err := s.Agents.Open(ctx, i.Node, request) //nolint:bodyclose // by read
		if err == nil {
			err = read(ctx, answer, out)
		}
		if err != nil && o.failed != nil {
			o.failed()
		}
		done <- err
	}()
	broken := r.fill(o.body)
	err := <-done
	if broken != nil && err != nil && broken != errRelayClosed { //nolint:errorlint // its own, not wrapped
		return problem.New(problem.BadRequest, "the body broke off").Because(broken)
	}
	return err
}
