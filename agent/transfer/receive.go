package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// checksumHeader carries the sum of a part: "sha256 HEX".
const checksumHeader = "Berth-Checksum"

// uploading calls do with an instance's volume.
func (s *Store) uploading(c *call, do func(at *site) error) error {
	at, err := s.openParts(c.id)
	if err != nil {
		return err
	}
	defer at.close()
	return at.explain(do(at), "")
}

func (s *Store) putUpload(c *call) error {
	var body wire.FileUpload
	if err := c.decode(&body); err != nil {
		return err
	}
	if err := valid("path", body.Path, false); err != nil {
		return err
	}
	if body.Size < 0 {
		return problem.Invalid("size", "must be 0 or more")
	}
	if body.Mode < 0 || body.Mode > 0o777 {
		return problem.Invalid("mode", "must be 0 to 0777 (511)")
	}
	return s.uploading(c, func(at *site) error {
		state, err := at.begin(c.arg, body)
		if err != nil {
			return err
		}
		return c.answer(http.StatusOK, state)
	})
}

func (s *Store) getUpload(c *call) error {
	return s.uploading(c, func(at *site) error {
		u, err := at.turn(c.arg)
		if err != nil {
			return err
		}
		defer u.leave()
		return c.answer(http.StatusOK, u.state())
	})
}

func (s *Store) deleteUpload(c *call) error {
	return s.uploading(c, func(at *site) error {
		u, err := at.turn(c.arg)
		if err == nil {
			at.forget(u)
			u.leave()
		}
		c.flow.WriteHeader(http.StatusNoContent)
		return nil
	})
}

func (s *Store) finishUpload(c *call) error {
	return s.uploading(c, func(at *site) error {
		u, err := at.turn(c.arg)
		if err != nil {
			return err
		}
		defer u.leave()
		entry, err := at.finish(u)
		if err != nil {
			return at.explain(err, u.record.Upload.Path)
		}
		return c.answer(http.StatusOK, entry)
	})
}

// patchUpload receives a part.
func (s *Store) patchUpload(c *call) error {
	offset, err := strconv.ParseInt(c.r.URL.Query().Get("offset"), 10, 64)
	if err != nil || offset < 0 {
		return problem.Invalid("offset", "must say where the part begins")
	}
	sum, err := checksum(c.r.Header.Get(checksumHeader))
	if err != nil {
		return err
	}
	return s.uploading(c, func(at *site) error {
		u, err := at.turn(c.arg)
		if err != nil {
			return err
		}
		defer u.leave()
		if u.record.Finished || offset != u.record.Offset {
			return problem.New(problem.Conflict, "the upload is at offset %d, not at %d", u.record.Offset, offset)
		}
		if left := u.record.Upload.Size - offset; c.r.ContentLength > left {
			return problem.New(problem.TooLarge, "the upload has %d bytes to come, the part has %d", left, c.r.ContentLength)
		}
		if err := at.receive(c, u, sum); err != nil {
			return err
		}
		return c.answer(http.StatusOK, u.state())
	})
}

// checksum reads the header; none is none.
func checksum(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	name, digits, _ := strings.Cut(text, " ")
	sum, err := hex.DecodeString(digits)
	if name != "sha256" || err != nil || len(sum) != sha256.Size {
		return nil, problem.Invalid("checksum", `must be "sha256" and the sum of the part in hex digits`)
	}
	return sum, nil
}

// part is what is being received.
type part struct {
	*site
	u     *upload
	file  *os.File
	room  *budget
	hash  hash.Hash // nil without a checksum
	at    int64     // what is written
	given int64     // what the disk was given of that
	laid  chan laid // what becomes of it; nil when the disk is at rest
}

// receive takes a part to its end, or as much of it as comes. What has come of
// one without a checksum is kept, also when it breaks off.
func (s *site) receive(c *call, u *upload, sum []byte) error {
	ctx, cut := context.WithCancelCause(c)
	defer cut(nil)
	if !u.receiving(cut) {
		return errSuperseded
	}
	defer u.receiving(nil)
	defer context.AfterFunc(ctx, c.flow.cut)()
	file, err := s.openPart(u)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	p := &part{site: s, u: u, file: file, at: u.record.Offset, given: u.record.Offset}
	defer p.rest() // before the file is closed
	if p.room, err = s.room(); err != nil {
		return err
	}
	defer p.room.settle()
	if sum != nil {
		p.hash = sha256.New()
	}
	failed := p.take(c.flow)
	if cause := context.Cause(ctx); failed != nil && cause != nil && !errors.Is(cause, context.Canceled) {
		failed = cause
	}
	if p.hash != nil {
		if failed != nil {
			return failed
		}
		if string(p.hash.Sum(nil)) != string(sum) {
			return problem.Invalid("checksum", "is not that of what came: send the part again")
		}
	}
	return errors.Join(failed, p.settle())
}

// takeSize is how much of a part is written at a time. What TLS has just deciphered
// is still in the processor's own cache then: with a whole chunk, writing an upload
// cost a fifth more of the processor's time.
const takeSize = 64 << 10

// take writes what comes.
func (p *part) take(from *flow) error {
	if _, err := p.file.Seek(p.at, io.SeekStart); err != nil {
		return err
	}
	buffer := from.buffers.get()
	defer from.buffers.put(buffer)
	piece := (*buffer)[:takeSize]
	for {
		n, err := from.fill(piece)
		if p.at+int64(n) > p.u.record.Upload.Size {
			return problem.New(problem.TooLarge, "more came than the %d bytes that the upload was to have", p.u.record.Upload.Size)
		}
		if err := p.write(piece[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return problem.New(problem.BadRequest, "the part broke off").Because(err)
		}
	}
}

func (p *part) write(piece []byte) error {
	if err := p.room.take(int64(len(piece))); err != nil {
		return err
	}
	n, err := p.file.Write(piece)
	if p.hash != nil {
		_, _ = p.hash.Write(piece[:n])
	}
	p.at += int64(n)
	if err != nil {
		return err
	}
	if p.at-p.given >= flushEvery {
		return p.give()
	}
	return nil
}

// flushEvery is after how many bytes the disk begins with them, so that little is
// left to wait for at the end.
const flushEvery = 8 << 20

// laid is what became of bytes that the disk was given.
type laid struct {
	safe int64 // all before it is on the disk; 0 when that wasn't asked for
	err  error
}

// give has the disk begin with what was written, beside what comes next: its time
// is not the connection's then. While it is busy with what it had before, it is
// left alone; but no more than twice settleEvery is owed to it.
func (p *part) give() error {
	owed := func(most int64) bool { return p.hash == nil && p.at-p.u.record.Offset >= most }
	var done laid
	if owed(2 * settleEvery) {
		done = p.rest()
	} else if p.laid != nil {
		select {
		case done = <-p.laid:
			p.laid = nil
		default:
			return nil
		}
	}
	if err := p.note(done); err != nil {
		return err
	}
	from, to, safe := p.given, p.at, owed(settleEvery)
	p.given, p.laid = to, make(chan laid, 1)
	go func(done chan<- laid) {
		files.Flush(p.file, from, to-from)
		if !safe {
			done <- laid{}
			return
		}
		done <- laid{safe: to, err: files.Sync(p.file)}
	}(p.laid)
	return nil
}

// rest waits until the disk is at rest.
func (p *part) rest() (done laid) {
	if p.laid != nil {
		done = <-p.laid
		p.laid = nil
	}
	return done
}

// note keeps how far the file is safe.
func (p *part) note(done laid) error {
	if done.err != nil || done.safe <= p.u.record.Offset {
		return done.err
	}
	if err := p.writable(); err != nil {
		return err
	}
	r := p.u.record
	r.Offset = done.safe
	return p.keep(p.u, r)
}

// settle makes what has come safe.
func (p *part) settle() error {
	if done := p.rest(); done.err != nil {
		return done.err
	}
	if p.at == p.u.record.Offset {
		return nil
	}
	return p.note(laid{safe: p.at, err: files.Sync(p.file)})
}
