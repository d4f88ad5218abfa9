package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"sync/atomic"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/problem"
)

const (
	answerLife     = 24 * time.Hour
	purgeInterval  = time.Hour
	takeoverMargin = 10 * time.Second // beyond the operation's timeout
	finishTimeout  = 10 * time.Second
)

// answers remembers what idempotent calls were answered.
//
// A call writes a row before its handler runs and completes it afterwards. The
// same call again (same API key, same text, same method, address and body) gets
// the stored status and body. Another call under the same text is a
// VALIDATION_ERROR. While the first is under way the second gets CONFLICT. What
// passes by itself isn't stored, so that the call can be tried again: a 5xx, and
// RESOURCE_BUSY. A verb that must not be done twice keeps its answer in the
// transaction of its work (Keep). A controller that dies between the two writes
// leaves a row that may be taken over as soon as the first call can't be running
// any more; what another verb did by then is done twice, as without the header.
type answers struct {
	db     *store.DB
	now    func() time.Time
	purged atomic.Int64 // when, in milliseconds
}

func newAnswers(db *store.DB, now func() time.Time) *answers {
	return &answers{db: db, now: now}
}

// answer is a stored one.
type answer struct {
	request [sha256.Size]byte
	status  int // 0: the call is under way
	body    []byte
	created int64 // milliseconds; with the keys it names one call
}

// begin notes that a call starts. It gives the answer to replay, or nil and the
// mark to finish with.
func (s *answers) begin(ctx context.Context, key, text string, request [sha256.Size]byte, timeout time.Duration) (*answer, int64, error) {
	var replay *answer
	mark := s.now().UnixMilli()
	err := s.db.Write(ctx, func(tx *store.Tx) error {
		if err := s.purge(ctx, tx, mark); err != nil {
			return err
		}
		found, err := findAnswer(ctx, tx, key, text)
		if err != nil {
			return err
		}
		if found == nil || found.created+answerLife.Milliseconds() <= mark {
			return putAnswer(ctx, tx, key, text, request, mark)
		}
		switch {
		case found.request != request:
			return problem.Invalid("Idempotency-Key", "was used for another request in the last 24 hours; take a new one")
		case found.status != 0:
			replay = found
			return nil
		case found.created+(timeout+takeoverMargin).Milliseconds() <= mark:
			return putAnswer(ctx, tx, key, text, request, mark)
		default:
			return problem.New(problem.Conflict, "the same request is still under way")
		}
	})
	return replay, mark, err
}

// finish keeps the answer of the call that began with mark, or forgets the call.
func (s *answers) finish(ctx context.Context, key, text string, mark int64, status int, body []byte) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	return s.db.Write(ctx, func(tx *store.Tx) error {
		if status >= 500 || status == problem.ResourceBusy.Status() {
			return dropAnswer(ctx, tx, key, text, mark)
		}
		return completeAnswer(ctx, tx, key, text, mark, status, body)
	})
}

// purge drops what is too old, once in a while.
func (s *answers) purge(ctx context.Context, tx *store.Tx, now int64) error {
	if now-s.purged.Load() < purgeInterval.Milliseconds() {
		return nil
	}
	if err := purgeAnswers(ctx, tx, now-answerLife.Milliseconds()); err != nil {
		return err
	}
	tx.AfterCommit(func() { s.purged.Store(now) })
	return nil
}

// once runs an idempotent call: a replay, or the handler and then the note of
// what it answered.
func (k *call) once() error {
	text := string(k.http.Request.Header.Peek("Idempotency-Key"))
	if text == "" {
		return k.route.run(k)
	}
	if err := checkIdempotencyKey(text); err != nil {
		return err
	}
	key := keeper(k.caller)
	replay, mark, err := k.api.answers.begin(k.ctx, key, text, k.digest(), k.route.Timeout)
	if err != nil {
		return err
	}
	if replay != nil {
		k.http.Response.Header.Set("Idempotency-Replayed", "true")
		k.http.SetStatusCode(replay.status)
		k.http.SetContentType(mediaJSON)
		k.http.Response.SetBody(replay.body)
		return nil
	}
	k.ctx = context.WithValue(k.ctx, receiptKey{}, receipt{key, text, mark, k.route.Status})
	finished := false
	defer func() {
		if !finished { // a panic: the answer will be a 500
			k.keep(key, text, mark, 500, nil)
		}
	}()
	if err := k.route.run(k); err != nil {
		k.refuse(err)
	}
	finished = true
	body := k.stored
	if body == nil {
		body = k.http.Response.Body()
	}
	k.keep(key, text, mark, k.http.Response.StatusCode(), body)
	return nil
}

// keeper is whose an idempotent call is: the key's, or, by the panel, the user's.
func keeper(c access.Caller) string {
	switch {
	case c.Key != "":
		return string(c.Key)
	case c.Session != "":
		return "user " + string(c.User)
	default:
		return string(access.ViaLocal)
	}
}

// keep finishes; the caller has his answer either way.
func (k *call) keep(key, text string, mark int64, status int, body []byte) {
	if err := k.api.answers.finish(k.ctx, key, text, mark, status, body); err != nil {
		k.api.log.Error("the answer of an idempotent call couldn't be kept", "request", k.id, "error", err.Error())
	}
}

// digest tells requests apart.
func (k *call) digest() [sha256.Size]byte {
	var b bytes.Buffer
	b.WriteString(k.method)
	b.WriteByte('\n')
	b.Write(k.http.RequestURI())
	b.WriteByte('\n')
	b.Write(k.body)
	return sha256.Sum256(b.Bytes())
}

func checkIdempotencyKey(text string) error {
	if len(text) > 255 {
		return problem.Invalid("Idempotency-Key", "255 characters are the most")
	}
	for _, c := range []byte(text) {
		if c < 0x20 || c > 0x7e {
			return problem.Invalid("Idempotency-Key", "only printable ASCII")
		}
	}
	return nil
}
