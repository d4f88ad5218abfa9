// Package problem is the one shape of an error that a person or a program is
// told about: a code to branch on, a sentence that says what is wrong and what
// to do, and a hidden cause for the log. It crosses the wire between controller
// and agent without its cause.
package problem

import (
	"errors"
	"fmt"
)

// Code is the machine-readable kind of a problem. Codes are part of the API.
type Code string

// The codes and the HTTP status of each (Status).
const (
	BadRequest            Code = "BAD_REQUEST"            // 400: not JSON, not understood
	Unauthorized          Code = "UNAUTHORIZED"           // 401
	Forbidden             Code = "FORBIDDEN"              // 403
	NotFound              Code = "NOT_FOUND"              // 404
	MethodNotAllowed      Code = "METHOD_NOT_ALLOWED"     // 405
	Conflict              Code = "CONFLICT"               // 409
	TooLarge              Code = "TOO_LARGE"              // 413
	UnsupportedMediaType  Code = "UNSUPPORTED_MEDIA_TYPE" // 415
	Validation            Code = "VALIDATION_ERROR"       // 422
	ResourceBusy          Code = "RESOURCE_BUSY"          // 423
	RateLimited           Code = "RATE_LIMITED"           // 429
	Internal              Code = "INTERNAL_ERROR"         // 500
	NodeOffline           Code = "NODE_OFFLINE"           // 503
	InsufficientResources Code = "INSUFFICIENT_RESOURCES" // 507
)

var statuses = map[Code]int{
	BadRequest: 400, Unauthorized: 401, Forbidden: 403, NotFound: 404, MethodNotAllowed: 405, Conflict: 409,
	TooLarge: 413, UnsupportedMediaType: 415, Validation: 422, ResourceBusy: 423, RateLimited: 429,
	Internal: 500, NodeOffline: 503, InsufficientResources: 507,
}

// Status is the HTTP status of the code; 500 for one that isn't known.
func (c Code) Status() int {
	if s, ok := statuses[c]; ok {
		return s
	}
	return 500
}

// Field is what is wrong with one field of a request.
type Field struct {
	Field   string `json:"field" doc:"Where: a path such as memory or ports[1]"`
	Message string `json:"message" doc:"What is wrong with it and what is allowed"`
	// Rule and Params are the same for programs, where a rule of an image's variable
	// is broken: see controller/image/rule.
	Rule   string            `json:"rule,omitempty" doc:"The rule of the image that is broken, such as max_text; none when it is none of its"`
	Params map[string]string `json:"params,omitempty" doc:"What the rule asks for, by name: than, from, to, values, pattern"`
}

// Problem is an error with a code and a public message. The cause is for logs
// only: it is never sent.
type Problem struct {
	Code    Code    `json:"code"`
	Message string  `json:"message"`
	Fields  []Field `json:"fields,omitempty"`
	cause   error
}

// New makes a problem; format must hold nothing secret, it is shown to callers.
func New(code Code, format string, args ...any) *Problem {
	return &Problem{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Invalid is a Validation problem about one field.
func Invalid(field, format string, args ...any) *Problem {
	msg := fmt.Sprintf(format, args...)
	return &Problem{Code: Validation, Message: field + ": " + msg, Fields: []Field{{Field: field, Message: msg}}}
}

// Because gives a copy of the problem that carries the cause.
func (p *Problem) Because(cause error) *Problem {
	q := *p
	q.cause = cause
	return &q
}

// Error is the public message and, for logs, the cause.
func (p *Problem) Error() string {
	if p.cause != nil {
		return p.Message + ": " + p.cause.Error()
	}
	return p.Message
}

// Unwrap gives the hidden cause.
func (p *Problem) Unwrap() error { return p.cause }

// From gives the problem inside err, or an Internal one that hides err behind a
// plain sentence. From(nil) is nil.
func From(err error) *Problem {
	if err == nil {
		return nil
	}
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	return New(Internal, "something went wrong inside Berth; the log has the request's id").Because(err)
}

// Is says whether err is a problem with that code.
func Is(err error, code Code) bool {
	var p *Problem
	return errors.As(err, &p) && p.Code == code
}
