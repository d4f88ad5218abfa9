package transfer

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/berth-panel/berth/shared/coarse"
	"github.com/berth-panel/berth/shared/problem"
)

const (
	// idleTime is how long a stream may stand still.
	idleTime = time.Minute
	// drainTime is how long the rest of a body that was refused is read, so that the
	// refusal is heard and not taken for a broken connection.
	drainTime = 5 * time.Second
	chunk     = 512 << 10
)

// chunks are the buffers of streams.
type chunks struct{ pool sync.Pool }

func (c *chunks) get() *[]byte {
	if b, ok := c.pool.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, chunk)
	return &b
}

func (c *chunks) put(b *[]byte) { c.pool.Put(b) }

// flow is both streams of a call: each step of them has its own time, until they
// are cut.
type flow struct {
	w       http.ResponseWriter
	r       *http.Request
	control *http.ResponseController
	now     func() time.Time
	began   bool // the answer has
	heard   bool // the body, as a whole
	buffers *chunks

	mu      sync.Mutex
	over    bool
	final   bool      // a refusal is being said: that has its own end
	read    time.Time // when a read was last given its time; zero when rest has since
	written time.Time // likewise
}

func newFlow(w http.ResponseWriter, r *http.Request, s *Store) *flow {
	f := &flow{w: w, r: r, control: http.NewResponseController(w), now: s.Now, buffers: &s.buffers}
	f.heard = r.ContentLength == 0
	f.rest()
	return f
}

// rest gives the call its time, beside its streams. Where nothing is to come,
// reading has no end: net/http waits for the next request already, and takes a
// deadline for the client's going.
func (f *flow) rest() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return
	}
	f.read, f.written = time.Time{}, time.Time{}
	until := f.now().Add(callTime)
	_ = f.control.SetWriteDeadline(until) // where it can't be set there is none
	if f.heard {
		until = time.Time{}
	}
	_ = f.control.SetReadDeadline(until)
}

// cut ends what is being read or written, and all that follows.
func (f *flow) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.final {
		return
	}
	f.over = true
	past := f.now().Add(-time.Hour)
	_, _ = f.control.SetReadDeadline(past), f.control.SetWriteDeadline(past)
}

// extend gives a step its time, to the second: there are a hundred thousand of them
// in a GiB.
func (f *flow) extend(last *time.Time, set func(time.Time) error) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return false
	}
	if now := f.now(); now.Sub(*last) >= time.Second {
		*last = now
		_ = set(now.Add(idleTime))
	}
	return true
}

// Read reads the body.
func (f *flow) Read(p []byte) (int, error) {
	if !f.extend(&f.read, f.control.SetReadDeadline) {
		return 0, os.ErrDeadlineExceeded
	}
	n, err := f.r.Body.Read(p)
	if errors.Is(err, io.EOF) {
		f.heard = true
		f.rest()
	}
	return n, err
}

// fill reads until p is full or the body ends: io.EOF is a proper end.
func (f *flow) fill(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = f.Read(p[n:])
		n += m
	}
	return n, err
}

// Header is that of the answer.
func (f *flow) Header() http.Header { return f.w.Header() }

// WriteHeader begins the answer.
func (f *flow) WriteHeader(status int) {
	f.began = true
	f.w.WriteHeader(status)
}

// Write writes the answer.
func (f *flow) Write(p []byte) (int, error) {
	f.began = true
	if !f.extend(&f.written, f.control.SetWriteDeadline) {
		return 0, os.ErrDeadlineExceeded
	}
	return coarse.Write(coarse.From(f.r.Context()), p, f.w.Write)
}

// ReadFrom writes all of a reader in large pieces.
func (f *flow) ReadFrom(from io.Reader) (int64, error) {
	buffer := f.buffers.get()
	defer f.buffers.put(buffer)
	return io.CopyBuffer(plain{f}, bare{from}, *buffer)
}

// plain and bare have nothing but their one method.
type plain struct{ io.Writer }
type bare struct{ io.Reader }

// refuse answers with a failure. An answer that has begun is broken off instead:
// it must not look whole.
func (f *flow) refuse(err error) {
	if f.began {
		f.abort()
		return
	}
	f.mu.Lock()
	f.over, f.final = false, true
	_ = f.control.SetWriteDeadline(f.now().Add(callTime))
	f.mu.Unlock()
	p := problem.From(err)
	text, _ := json.Marshal(p) // text and numbers: can't fail
	h := f.w.Header()
	for _, name := range []string{"ETag", "Last-Modified", "Content-Encoding", "Accept-Ranges"} {
		h.Del(name)
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	if f.heard {
		f.w.WriteHeader(p.Code.Status())
		_, _ = f.w.Write(text)
		return
	}
	_ = f.control.EnableFullDuplex() // the refusal is heard while the body still comes
	h.Set("Connection", "close")
	f.w.WriteHeader(p.Code.Status())
	_, _ = f.w.Write(text)
	_ = f.control.Flush()
	_ = f.control.SetReadDeadline(f.now().Add(drainTime))
	_, _ = io.Copy(io.Discard, f.r.Body)
}

// abort breaks the connection.
func (f *flow) abort() {
	conn, _, err := f.control.Hijack()
	if err == nil {
		_ = conn.Close()
		return
	}
	if !errors.Is(err, http.ErrNotSupported) {
		f.cut()
	}
}
