package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/berth-panel/berth/shared/problem"
)

// refusal is a problem with what only this door knows of: a status that no code
// has, a time to wait, a text that the classic API wants.
type refusal struct {
	*problem.Problem
	status  int           // instead of the code's
	wait    time.Duration // Retry-After
	classic string        // instead of the message, in the classic API
}

// Unwrap gives the problem.
func (r *refusal) Unwrap() error { return r.Problem }

type pagination struct {
	Page  int `json:"page"`
	Limit int `json:"limit"`
	Total int `json:"total"`
	Pages int `json:"pages"`

	message string // the envelope's
}

// rawList marshals rows that are JSON already without looking at them again.
type rawList []json.RawMessage

const mediaJSON = "application/json; charset=utf-8"

func newBuffer() any { return new(bytes.Buffer) }

// success writes the envelope around out. For a Secret it also makes the form
// that may be stored.
func (k *call) success(out any, p *pagination) error {
	b, ok := k.api.buffers.Get().(*bytes.Buffer)
	if !ok {
		b = new(bytes.Buffer)
	}
	defer k.api.release(b)
	b.Reset()
	if err := writeEnvelope(b, out, p); err != nil {
		return fmt.Errorf("marshal the answer: %w", err)
	}
	k.http.SetStatusCode(k.route.Status)
	k.http.SetContentType(mediaJSON)
	k.http.Response.SetBody(b.Bytes())
	if s, ok := out.(SessionOutput); ok {
		if text, life := s.SessionCookie(); life != KeepCookie {
			for _, cookie := range k.api.loginCookies(text, life) {
				k.http.Response.Header.Add("Set-Cookie", cookie)
			}
		}
	}
	if s, secret := out.(Secret); secret && k.route.Idempotent {
		var without bytes.Buffer
		if err := writeEnvelope(&without, s.Redacted(), p); err != nil {
			return fmt.Errorf("marshal the answer without its secret: %w", err)
		}
		k.stored = without.Bytes()
	}
	return nil
}

// release keeps buffers of a common size for the next answer.
func (a *API) release(b *bytes.Buffer) {
	if b.Cap() <= 256<<10 {
		a.buffers.Put(b)
	}
}

func writeEnvelope(b *bytes.Buffer, out any, p *pagination) error {
	b.WriteString(`{"success":true,"data":`)
	if err := writeJSON(b, out); err != nil {
		return err
	}
	if m, ok := out.(Messenger); ok && m.Message() != "" {
		b.WriteString(`,"message":`)
		if err := writeJSON(b, m.Message()); err != nil {
			return err
		}
	}
	if p != nil && p.message != "" {
		b.WriteString(`,"message":`)
		if err := writeJSON(b, p.message); err != nil {
			return err
		}
	}
	if p != nil {
		b.WriteString(`,"pagination":`)
		if err := writeJSON(b, p); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

// writeJSON appends v; what is JSON already is appended as it is.
func writeJSON(b *bytes.Buffer, v any) error {
	switch v := v.(type) {
	case json.RawMessage:
		if len(v) == 0 {
			b.WriteString("null")
		}
		b.Write(v)
		return nil
	case rawList:
		b.WriteByte('[')
		for i, row := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			b.Write(row)
		}
		b.WriteByte(']')
		return nil
	}
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1) // the encoder's newline
	return nil
}

// fiberError answers what Fiber and the routes' handlers gave as an error.
func (a *API) fiberError(c *fiber.Ctx, err error) error {
	k, ok := c.Context().UserValue(callKey{}).(*call)
	if !ok {
		return err
	}
	var own *fiber.Error
	if !errors.As(err, &own) {
		k.refuse(err)
		return nil
	}
	switch own.Code {
	case fiber.StatusMethodNotAllowed:
		allow := string(c.Response().Header.Peek("Allow"))
		if !strings.Contains(allow, fiber.MethodOptions) {
			c.Response().Header.Set("Allow", allow+", "+fiber.MethodOptions)
		}
		if k.method == fiber.MethodOptions {
			c.Status(fiber.StatusNoContent)
			return nil
		}
		k.refuse(problem.New(problem.MethodNotAllowed, "the method %s isn't allowed here", k.method))
	case fiber.StatusNotFound:
		k.notFound()
	default:
		k.refuse(problem.New(problem.BadRequest, "the request isn't understood").Because(err))
	}
	return nil
}

// notFound answers for a path without a route: JSON for the API, a page for the
// rest, which may be the panel's.
func (k *call) notFound() {
	if k.isAPI() {
		k.refuse(problem.New(problem.NotFound, "there is nothing at %s", clip(k.path)))
		return
	}
	k.api.pages.serve(k)
}

func (k *call) isAPI() bool { return k.path == "/api" || strings.HasPrefix(k.path, "/api/") }

// isClassic says in which shape errors are told.
func (k *call) isClassic() bool {
	if k.route != nil {
		return k.route.Style == Classic
	}
	return k.isAPI() && k.path != "/api/v1" && !strings.HasPrefix(k.path, "/api/v1/")
}

type errorView struct {
	Code    problem.Code    `json:"code"`
	Message string          `json:"message"`
	Details []problem.Field `json:"details,omitempty"`
}

// refuse answers with an error in the shape of the call's API.
func (k *call) refuse(err error) {
	p, r := k.explain(err)
	status := p.Code.Status()
	if r.status != 0 {
		status = r.status
	}
	k.cause = err
	h := &k.http.Response.Header
	if r.wait > 0 {
		h.Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(r.wait.Seconds())))))
	}
	if p.Code == problem.Unauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="berth"`)
	}
	var v any
	if k.isClassic() {
		message := p.Message
		if r.classic != "" {
			message = r.classic
		}
		if r.status == 0 {
			status = classicStatus(p.Code)
		}
		v = map[string]string{"error": message}
	} else {
		v = struct {
			Success   bool      `json:"success"`
			Error     errorView `json:"error"`
			RequestID string    `json:"request_id"`
		}{false, errorView{p.Code, p.Message, p.Fields}, k.id}
	}
	var b bytes.Buffer
	if err := writeJSON(&b, v); err != nil {
		k.cause = errors.Join(k.cause, err)
	}
	k.http.SetStatusCode(status)
	k.http.SetContentType(mediaJSON)
	k.http.Response.SetBody(b.Bytes())
}

// explain finds what may be told of an error.
func (k *call) explain(err error) (*problem.Problem, *refusal) {
	var r *refusal
	if errors.As(err, &r) {
		return r.Problem, r
	}
	var p *problem.Problem
	if errors.As(err, &p) {
		return p, &refusal{}
	}
	if k.ctx != nil && k.ctx.Err() != nil {
		text := "Berth is stopping; try again in a moment"
		if errors.Is(k.ctx.Err(), context.DeadlineExceeded) {
			text = fmt.Sprintf("this took longer than %s and was given up", k.route.Timeout)
		}
		return problem.New(problem.Internal, "%s", text).Because(err), &refusal{}
	}
	return problem.From(err), &refusal{}
}

// classicStatus is the status of a code in the classic API, which knows fewer.
func classicStatus(c problem.Code) int {
	switch c {
	case problem.Validation, problem.InsufficientResources:
		return 400
	case problem.ResourceBusy:
		return 409
	case problem.NodeOffline:
		return 500
	default:
		return c.Status()
	}
}
