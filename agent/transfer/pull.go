package transfer

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/build"
	"github.com/berth-panel/berth/shared/guard"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const pullName = "download" // of a file whose server gives it no name that can be used

// target tells a file's path from a folder's; "./" is the volume's own.
func target(to wire.Path) (place wire.Path, folder bool) {
	place, folder = wire.Path(strings.TrimSuffix(string(to), "/")), strings.HasSuffix(string(to), "/")
	return place, folder
}

func checkPull(b wire.FilePull) error {
	u, err := url.Parse(b.URL)
	if err != nil || len(b.URL) > 8192 {
		return problem.Invalid("url", "can't be read")
	}
	if err := guard.CheckURL(u); err != nil {
		return problem.Invalid("url", "must be an http or https address")
	}
	place, folder := target(b.To)
	return valid("to", place, folder)
}

// pull downloads a file.
func (w *work) pull(body wire.FilePull) error {
	u, err := url.Parse(body.URL)
	if err != nil {
		return problem.Invalid("url", "can't be read")
	}
	ctx, cancel := context.WithCancelCause(w)
	defer cancel(nil)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return problem.Invalid("url", "can't be used")
	}
	req.Header.Set("User-Agent", "berth-agent/"+build.Version)
	w.task.say(-1, "asking %s", u.Host)
	answer, err := w.client.Do(req)
	if err != nil {
		return refused(u, err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return problem.New(problem.Validation, "%s answered %d", answer.Request.URL.Host, answer.StatusCode)
	}
	dest, folder := target(body.To)
	if folder {
		dest = join(dest, wire.Path(nameFrom(answer)))
		if err := valid("to", dest, false); err != nil {
			return err
		}
	}
	if answer.ContentLength > w.room.left {
		return w.full(nil)
	}
	match := "-"
	if body.Over {
		match = ""
	} else if _, err := w.data.Lstat(dest); err == nil { // said before all of it was downloaded
		return problem.New(problem.Conflict, "%s is there already", printable(dest))
	}
	return w.fetch(answer, dest, match, cancel)
}

// fetch takes the answer as a file.
func (w *work) fetch(answer *http.Response, dest wire.Path, match string, cancel context.CancelCauseFunc) error {
	part, err := w.newPart()
	if err != nil {
		return err
	}
	defer w.discard(part)
	w.task.say(-1, "downloading %s from %s", printable(dest), answer.Request.URL.Host)
	stalled := problem.New(problem.ResourceBusy, "%s sent nothing for %s", answer.Request.URL.Host, w.stall)
	watchdog := time.AfterFunc(w.stall, func() { cancel(stalled) })
	defer watchdog.Stop()
	to := charged{part.file, w.room}
	buffer := make([]byte, 256<<10)
	for total := int64(0); ; {
		n, err := answer.Body.Read(buffer)
		watchdog.Reset(w.stall)
		if _, err := to.Write(buffer[:n]); err != nil {
			return err
		}
		total += int64(n)
		w.task.count(0, int64(n))
		w.task.reach(total, answer.ContentLength)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if cause := context.Cause(answer.Request.Context()); cause != nil {
				return cause
			}
			return problem.New(problem.ResourceBusy, "%s broke off: try again", answer.Request.URL.Host).Because(err)
		}
	}
	if err := files.Sync(part.file); err != nil {
		return err
	}
	_, err = w.put(part, dest, rule{match: match, mode: 0o644, keep: true})
	if err == nil {
		w.task.count(1, 0)
	}
	return err
}

// refused says why there is no answer, of the address that failed: behind a
// redirect that is another one than was asked for. It may hold secrets: only its
// host is shown.
func refused(u *url.URL, err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
		if last, broken := url.Parse(failed.URL); broken == nil {
			u = last
		}
	}
	var p *problem.Problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, guard.ErrForbidden):
		return problem.New(problem.Forbidden, "%s is not on the public internet", u.Host).Because(err)
	}
	return problem.New(problem.ResourceBusy, "%s doesn't answer: try again later", u.Host).Because(err)
}

// nameFrom is what a server calls the file that it sends, made harmless.
func nameFrom(answer *http.Response) string {
	_, params, err := mime.ParseMediaType(answer.Header.Get("Content-Disposition"))
	if name := harmless(params["filename"]); err == nil && name != "" {
		return name
	}
	if name := harmless(path.Base(answer.Request.URL.Path)); name != "" {
		return name
	}
	return pullName
}

// harmless makes one name of somebody else's text, or "".
func harmless(text string) string {
	text = strings.ToValidUTF8(text, "_")
	if cut := strings.LastIndexAny(text, `/\`); cut >= 0 {
		text = text[cut+1:]
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) { // also what turns the direction of text
			return -1
		}
		return r
	}, text)
	text = strings.TrimSpace(text)
	for len(text) > wire.MaxName {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	if text == "." || text == ".." {
		return ""
	}
	return text
}
