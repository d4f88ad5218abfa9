package httpapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"github.com/berth-panel/berth/shared/problem"
)

// init sets the two of huma's package variables that have no other door, once
// and before any goroutine. Names in bodies must have the documented case: else
// {"memory": 1, "MEMORY": -5} would be validated by one and decoded by the
// other. And arrays are arrays, not null.
func init() {
	huma.ValidateStrictCasing = true
	huma.DefaultArrayNullable = false
}

// adapter catches the handler that huma makes of a registered operation.
type adapter struct {
	op      *huma.Operation
	handler func(huma.Context)
}

// Handle is called by huma.Register.
func (a *adapter) Handle(op *huma.Operation, handler func(huma.Context)) {
	a.op, a.handler = op, handler
}

// ServeHTTP is for huma's test helpers, which aren't used here.
func (a *adapter) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusNotImplemented)
}

func (a *adapter) taken() (*huma.Operation, func(huma.Context)) { return a.op, a.handler }

// humaAPI is huma's API with our way to decode and our way to answer: what huma
// wants to say about bad input is turned into our envelope.
type humaAPI struct{ huma.API }

// Negotiate always gives JSON.
func (humaAPI) Negotiate(string) (string, error) { return "application/json", nil }

// Transform gets huma's error and makes it the call's.
func (humaAPI) Transform(ctx huma.Context, _ string, v any) (any, error) {
	if k, ok := ctx.(*humaCall); ok {
		if m, ok := v.(*huma.ErrorModel); ok {
			k.failed = invalid(m)
		} else {
			k.failed = errors.New("huma answered by itself")
		}
	}
	return nil, nil // nothing is left to marshal
}

// Marshal writes nothing: Transform took the value.
func (humaAPI) Marshal(io.Writer, string, any) error { return nil }

// typeMark stands between a field and a message in the text of an error about a
// type, which is all that huma keeps of it.
const typeMark = "\x1f"

// Unmarshal decodes JSON; the content type was checked before.
func (humaAPI) Unmarshal(_ string, data []byte, v any) error {
	err := json.Unmarshal(data, v)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return errors.New(wrong.Field + typeMark + "a " + wrong.Value + " doesn't fit here")
	}
	return err
}

// invalid makes a problem of what huma found.
func invalid(m *huma.ErrorModel) error {
	if m.Status == http.StatusBadRequest {
		text := m.Detail
		if len(m.Errors) > 0 {
			text = "the body is not JSON: " + m.Errors[0].Message
		}
		return problem.New(problem.BadRequest, "%s", text)
	}
	fields := make([]problem.Field, 0, len(m.Errors))
	for _, e := range m.Errors {
		if e != nil {
			fields = append(fields, fieldOf(e))
		}
	}
	return validationProblem(fields)
}

// maxFields bounds the details of an answer: a body can have a hundred thousand
// unknown fields.
const maxFields = 20

func validationProblem(fields []problem.Field) *problem.Problem {
	if len(fields) > maxFields {
		fields = fields[:maxFields]
	}
	text := make([]string, len(fields))
	for i, f := range fields {
		text[i] = f.Field + ": " + f.Message
	}
	p := problem.New(problem.Validation, "%s", strings.Join(text, "; "))
	p.Fields = fields
	return p
}

// fieldOf names the field as the caller knows it: without "body." or "query.".
func fieldOf(e *huma.ErrorDetail) problem.Field {
	field, message := e.Location, e.Message
	for _, where := range []string{"body", "query", "path", "header"} {
		if rest, ok := strings.CutPrefix(field, where+"."); ok {
			field = rest
			break
		}
	}
	if at, text, ok := strings.Cut(message, typeMark); ok {
		field, message = at, text
	}
	if name, ok := missingProperty(message); ok {
		message = "is missing"
		if field == "body" {
			field = name
		} else {
			field += "." + name
		}
	}
	if field == "" {
		field = "body"
	}
	return problem.Field{Field: clip(field), Message: exponent.ReplaceAllStringFunc(message, plainNumber)}
}

// exponent is how huma ends a message about a large limit: "<= 1e+06".
var exponent = regexp.MustCompile(`[0-9.]+e\+[0-9]+$`)

func plainNumber(text string) string {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return text
	}
	return strconv.FormatFloat(n, 'f', -1, 64)
}

// missingProperty reads the name out of huma's message about a required field,
// by the very format that huma writes it with: the location names the parent.
func missingProperty(message string) (string, bool) {
	before, after, _ := strings.Cut(validation.MsgExpectedRequiredProperty, "%s")
	rest, ok := strings.CutPrefix(message, before)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, after)
}

// clip bounds text of the caller's that is given back to him.
func clip(s string) string {
	const most = 100
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// humaCall shows a call to huma, which reads from it and writes nothing.
type humaCall struct {
	*call
	op *huma.Operation
}

// handed is the context that goes through huma to the handler.
type handed struct {
	context.Context
	call *call
}

func (k *humaCall) Operation() *huma.Operation { return k.op }
func (k *humaCall) Context() context.Context   { return &handed{k.ctx, k.call} }
func (k *humaCall) TLS() *tls.ConnectionState  { return k.http.TLSConnectionState() }
func (k *humaCall) Version() huma.ProtoVersion {
	return huma.ProtoVersion{Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
}
func (k *humaCall) Method() string            { return k.method }
func (k *humaCall) Host() string              { return string(k.http.Host()) }
func (k *humaCall) RemoteAddr() string        { return k.address }
func (k *humaCall) Param(name string) string  { return k.params[name] }
func (k *humaCall) Query(name string) string  { return string(k.http.QueryArgs().Peek(name)) }
func (k *humaCall) Header(name string) string { return string(k.http.Request.Header.Peek(name)) }
func (k *humaCall) BodyReader() io.Reader     { return bytes.NewReader(k.body) }

func (k *humaCall) URL() url.URL {
	u, err := url.Parse(string(k.http.RequestURI()))
	if err != nil {
		return url.URL{}
	}
	return *u
}

func (k *humaCall) EachHeader(f func(name, value string)) {
	for name, value := range k.http.Request.Header.All() {
		f(string(name), string(value))
	}
}

func (k *humaCall) GetMultipartForm() (*multipart.Form, error) {
	return nil, errors.New("forms aren't taken")
}

func (k *humaCall) SetReadDeadline(time.Time) error { return nil } // the body has been read
func (k *humaCall) SetStatus(int)                   {}
func (k *humaCall) Status() int                     { return 0 }
func (k *humaCall) SetHeader(string, string)        {}
func (k *humaCall) AppendHeader(string, string)     {}
func (k *humaCall) BodyWriter() io.Writer           { return io.Discard }
