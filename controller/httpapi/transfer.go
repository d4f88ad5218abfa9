package httpapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/shared/problem"
)

const (
	copyBuffer   = 256 << 10 // bytes that go out at once
	stallBytes   = 64 << 10  // of a body that must come within pace.stall of waiting
	unknownBytes = -1
)

// Transfer is a call whose body is a stream. It belongs to the handler while it
// runs.
type Transfer struct {
	Request
	// Body is read as it comes, within the operation's BodyLimit, and never nil.
	// An error of its own is a *problem.Problem: too large, broken off, or stalled
	// (a client must get 64 KiB across in 30 s of waiting for it). It has a method
	// Interrupt, which ends a Read that waits, and may be called by another
	// goroutine until the handler returns.
	Body io.Reader
	Size int64 // of Body, as announced; -1 when the client doesn't know
}

// Answer is what a transfer is answered with.
type Answer struct {
	Status int               // 0 is the operation's
	Header map[string]string // besides those that every answer has; they win. A refusal has them too
	// Cookies are headers Set-Cookie, besides Header: API.Cookie.
	Cookies []string
	Type    string        // media type of Body; "" is application/octet-stream
	Size    int64         // bytes that Body gives; -1: it ends when it ends
	Body    io.ReadCloser // read and closed here; nil: none
	// Data is answered in the envelope of /api/v1 when there is no Body; nil
	// answers with nothing.
	Data any
}

// Shape describes a transfer for the OpenAPI document.
type Shape struct {
	Takes    string // media type of the request's body; "" none
	Gives    string // media type of the answer's body; "" none, or Op.Answers as JSON
	Statuses []int  // of success, besides Op.Status
}

// HandleTransfer registers a route whose request or answer is a stream of any
// length: files. The rule and the rate limit are checked before a byte of the
// body is taken; a request that is answered before its body is read loses its
// connection once the answer has got across. ctx has no timeout: it ends when
// the answer has been sent or the client is found to be gone, and when the server
// stops. Any method will do, HEAD, PATCH and (with access.Public()) OPTIONS too;
// a GET also answers HEAD unless that has an operation of its own. An error that
// comes while Body is read breaks the connection off, so that nobody takes a part
// for the whole.
func HandleTransfer(a *API, op Operation, shape Shape, h func(ctx context.Context, t *Transfer) (Answer, error)) {
	r := a.add(op)
	if r == nil {
		return
	}
	if r.Idempotent {
		a.fail(r.Operation, errors.New("a stream's answer can't be kept for Idempotency-Key"))
		return
	}
	r.transfer = true
	r.run = func(k *call) error { return k.transfer(h) }
	a.register(r.Operation, func() { a.huma.OpenAPI().AddOperation(a.describeTransfer(r, shape)) })
}

func (a *API) describeTransfer(r *route, shape Shape) *huma.Operation {
	binary := func(kind string) map[string]*huma.MediaType {
		return map[string]*huma.MediaType{kind: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}
	}
	var out map[string]*huma.Response
	switch {
	case shape.Gives == "" && r.Answers != nil && r.Style == Envelope:
		out = a.responses(r, a.envelope(a.schemaOf(reflect.TypeOf(r.Answers), r.ID+"Answer"), false))
	default:
		out = a.rawResponses(r)
	}
	for _, status := range append([]int{r.Status}, shape.Statuses...) {
		text := strconv.Itoa(status)
		if out[text] == nil {
			out[text] = &huma.Response{Description: http.StatusText(status)}
		}
		if shape.Gives != "" && status < http.StatusMultipleChoices {
			out[text].Content = binary(shape.Gives)
		} else if r.Answers == nil {
			out[text].Content = nil
		}
	}
	doc := a.describe(r, out)
	if shape.Takes != "" {
		doc.RequestBody = &huma.RequestBody{Content: binary(shape.Takes)}
	}
	return doc
}

// transfer runs h and hands its answer over.
func (k *call) transfer(h func(ctx context.Context, t *Transfer) (Answer, error)) error {
	ctx, cancel := context.WithCancel(access.With(&scope{k.door.streams, k.id, k.visit()}, k.caller))
	k.ctx = ctx
	sending := false
	defer func() {
		if !sending {
			cancel()
		}
	}()
	body := k.upload()
	t := &Transfer{Request: Request{call: k}, Body: body, Size: body.size}
	answer, err := h(ctx, t)
	k.complete = body.over
	for name, value := range answer.Header {
		k.http.Response.Header.Set(name, value)
	}
	for _, cookie := range answer.Cookies {
		k.http.Response.Header.Add("Set-Cookie", cookie)
	}
	if err != nil {
		if answer.Body != nil {
			_ = answer.Body.Close() // the handler's mistake; nobody else would
		}
		if body.failed != nil { // whatever it was wrapped in
			return body.failed
		}
		return err
	}
	if answer.Body == nil {
		return k.plain(answer)
	}
	k.status(answer)
	sending = true
	size := max(answer.Size, unknownBytes)
	file := &download{ReadCloser: answer.Body, size: size, done: cancel}
	if size >= 0 {
		k.http.Response.SetBodyStream(file, int(size))
		return nil
	}
	k.http.Response.SetBodyStream(&chunked{file}, unknownBytes)
	k.http.Response.Header.Del("Content-Length") // from here on fasthttp counts no bytes; Transfer-Encoding stays
	return nil
}

func (k *call) status(answer Answer) {
	status := answer.Status
	if status == 0 {
		status = k.route.Status
	}
	k.http.SetStatusCode(status)
	if kind := answer.Type; kind != "" {
		k.http.SetContentType(kind)
	} else {
		k.http.SetContentType("application/octet-stream")
	}
}

// plain answers without a stream.
func (k *call) plain(answer Answer) error {
	if answer.Data != nil {
		if err := k.success(answer.Data, nil); err != nil {
			return err
		}
		if answer.Status != 0 {
			k.http.SetStatusCode(answer.Status)
		}
		return nil
	}
	k.status(answer)
	k.http.Response.Header.SetNoDefaultContentType(true)
	k.http.Response.Header.SetContentType(answer.Type)
	if _, ok := answer.Header["Content-Length"]; ok && k.method == http.MethodHead {
		k.http.Response.SkipBody = true
	}
	return nil
}

// download goes out in large pieces: fasthttp would copy by 4 KiB.
type download struct {
	io.ReadCloser
	size int64 // unknownBytes, or what it gives
	done context.CancelFunc
}

// WriteTo sends it all, and what its source gave before it waits for more.
func (d *download) WriteTo(w io.Writer) (int64, error) {
	if out, ok := w.(*bufio.Writer); ok {
		w = atOnce{out, out}
	}
	if from, ok := d.ReadCloser.(io.WriterTo); ok {
		return from.WriteTo(w)
	}
	size := int64(copyBuffer)
	if d.size >= 0 {
		size = max(1, min(size, d.size))
	}
	return io.CopyBuffer(plainWriter{w}, plainReader{d.ReadCloser}, make([]byte, size))
}

// Close ends its source, and all that its handler had open for it.
func (d *download) Close() error {
	err := d.ReadCloser.Close()
	d.done()
	return err
}

// chunked goes out in HTTP's chunks, each as large as a piece that its source gives:
// fasthttp would make them of 4 KiB. To fasthttp it is a body without a byte.
type chunked struct{ *download }

// WriteTo sends it all. What isn't whole has no last chunk.
func (c *chunked) WriteTo(w io.Writer) (int64, error) {
	out, ok := w.(*bufio.Writer)
	if !ok {
		return 0, fmt.Errorf("a body in chunks can't be written to a %T", w)
	}
	chunks := httputil.NewChunkedWriter(out)
	if _, err := c.download.WriteTo(atOnce{chunks, out}); err != nil {
		return 0, err
	}
	if err := chunks.Close(); err != nil {
		return 0, err
	}
	_, err := out.WriteString("\r\n") // no trailer
	return 0, err
}

// atOnce sends what it has with each write.
type atOnce struct {
	io.Writer
	out *bufio.Writer
}

func (a atOnce) Write(p []byte) (int, error) {
	n, err := a.Writer.Write(p)
	if err != nil {
		return n, err
	}
	return n, a.out.Flush()
}

// plainReader and plainWriter hide what io.CopyBuffer would use instead of its
// buffer.
type (
	plainReader struct{ io.Reader }
	plainWriter struct{ io.Writer }
)

// upload is a request's body on its way in.
type upload struct {
	call   *call
	from   io.Reader
	size   int64
	limit  int64
	read   int64
	since  int64         // read since left was full
	left   time.Duration // that may be waited yet
	over   bool          // all of it was read; written under mu, too
	failed error         // the first

	mu          sync.Mutex
	interrupted bool
}

func (k *call) upload() *upload {
	u := &upload{call: k, from: k.http.RequestBodyStream(), size: int64(k.http.Request.Header.ContentLength()), limit: k.route.BodyLimit, left: k.api.pace.stall}
	if u.from == nil {
		u.size, u.over = 0, true
	}
	if u.size < unknownBytes { // fasthttp's way to say that none was announced
		u.size, u.over = 0, true
	}
	return u
}

// Read reads on, for as long as the client gets something across.
func (u *upload) Read(p []byte) (int, error) {
	switch {
	case u.failed != nil:
		return 0, u.failed
	case u.over:
		return 0, io.EOF
	}
	began := time.Now() //nolint:forbidigo // the kernel's clock is the real one
	if err := u.wait(began.Add(u.left)); err != nil {
		return 0, err
	}
	n, err := u.from.Read(p)
	if err != nil && u.wait(began) == errInterrupted { //nolint:errorlint // its own
		u.call.door.spoiled(u.call.http)
		return 0, errInterrupted
	}
	u.left -= time.Since(began)
	u.read += int64(n)
	if u.since += int64(n); u.since >= stallBytes {
		u.since, u.left = 0, u.call.api.pace.stall
	}
	if u.read > u.limit {
		u.failed = tooLarge(u.limit)
		return 0, u.failed
	}
	if err == nil && u.size >= 0 && u.read == u.size {
		err = io.EOF // and not only with the next Read: who stops at the announced size has read all
	}
	switch {
	case errors.Is(err, io.EOF) && (u.size < 0 || u.read == u.size):
		u.mu.Lock()
		defer u.mu.Unlock()
		u.over = true
		return n, io.EOF
	case err != nil:
		return n, u.fail(err)
	}
	return n, nil
}

// errInterrupted is no failure of the body: whoever interrupted knows what to answer.
var errInterrupted = errors.New("the body is not wanted any more")

// Interrupt ends a Read that waits, and all that follow: a client who sends
// nothing holds nobody up who has his answer already.
func (u *upload) Interrupt() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.over || u.interrupted {
		return // what comes next on the connection is another call
	}
	u.interrupted = true
	_ = u.call.http.Conn().SetReadDeadline(time.Unix(1, 0)) // one that fails is broken, and so is the Read
}

// wait lets the connection be read from until a moment.
func (u *upload) wait(until time.Time) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.interrupted {
		return errInterrupted
	}
	if err := u.call.http.Conn().SetReadDeadline(until); err != nil {
		return u.fail(err)
	}
	return nil
}

// fail ends the connection: where the next request begins is not known.
func (u *upload) fail(err error) error {
	u.call.door.spoiled(u.call.http)
	u.failed = problem.New(problem.BadRequest, "the body broke off or is framed wrongly").Because(err)
	var slow net.Error
	if errors.As(err, &slow) && slow.Timeout() {
		u.failed = &refusal{Problem: problem.New(problem.BadRequest, "the body stopped coming for %s", u.call.api.pace.stall).Because(err), status: http.StatusRequestTimeout}
	}
	return u.failed
}

// oversized refuses an announced size before anything is read.
func (k *call) oversized() error {
	if int64(k.http.Request.Header.ContentLength()) > k.route.BodyLimit {
		return tooLarge(k.route.BodyLimit)
	}
	return nil
}

// withoutHead says whether a GET has no operation for HEAD beside it.
func (a *API) withoutHead(get *route) bool {
	return !slices.ContainsFunc(a.routes, func(r *route) bool { return r.Method == http.MethodHead && r.Path == get.Path })
}

var _ io.WriterTo = (*download)(nil)
